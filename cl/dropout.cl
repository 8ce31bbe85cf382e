/* dropout.cl: y = u < rate ? 0 : x scale, u in [0,1) from Philox keyed by `seed` and counted by (element / 4, sample
 * id, step, high bits of both). The same kernel turns dy into dx. x, y: [samples, elements]; ids: [samples], NULL: the
 * row's number. A work-item takes four neighbours of a sample, which share one draw. y may be x. rate 0 draws none. */
#include "philox.clh"

__kernel void dropout_forward(__global float *y, __global const float *x, __global const int *ids, long samples,
                              long elements, float rate, float scale, long seed, long step, int accumulate)
{
    const long block = get_global_id(0), sample = get_global_id(1);
    const long first = block * 4;
    if (first >= elements || sample >= samples) {
        return;
    }
    float keep[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    if (rate > 0.0f) {
        const float4 u = cb_uniform4(cb_draw4(block, ids, sample, seed, step));
        vstore4(select((float4)(scale), (float4)(0.0f), u < rate), 0, keep);
    }
    y += sample * elements;
    x += sample * elements;
    for (int i = 0; i < 4 && first + i < elements; i++) {
        const float v = keep[i] == 0.0f ? 0.0f : x[first + i] * keep[i];
        y[first + i] = accumulate ? y[first + i] + v : v;
    }
}
