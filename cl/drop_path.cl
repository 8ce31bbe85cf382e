/* drop_path.cl: y = u < rate ? 0 : x scale, one u in [0,1) for all elements of a sample. The same kernel turns dy into dx.
 * x, y: [samples, elements]; ids: [samples], NULL: the row's number. A work-item takes 16 neighbours. y may be x. */
#include "philox.clh"

__kernel void drop_path_forward(__global float *y, __global const float *x, __global const int *ids, long samples,
                                long elements, float rate, float scale, long seed, long step, int accumulate)
{
    const long first = get_global_id(0) * 16, sample = get_global_id(1);
    if (first >= elements || sample >= samples) {
        return;
    }
    float kept = scale;
    if (rate > 0.0f) {
        kept = cb_uniform4(cb_draw4(0, ids, sample, seed, step)).x < rate ? 0.0f : scale;
    }
    y += sample * elements;
    x += sample * elements;
    for (long i = first; i < first + 16 && i < elements; i++) {
        const float v = kept == 0.0f ? 0.0f : x[i] * kept;
        y[i] = accumulate ? y[i] + v : v;
    }
}
