/* gaussian_noise.cl: y = x + stddev z, z standard normal. With stddev 0, which draws none, the same kernel turns dy into dx.
 * x, y: [samples, elements]; ids: [samples], NULL: the row's number. A work-item takes four neighbours of a sample, which
 * share one draw. y may be x. */
#include "philox.clh"

__kernel void gaussian_noise_forward(__global float *y, __global const float *x, __global const int *ids, long samples,
                                     long elements, float stddev, long seed, long step, int accumulate)
{
    const long block = get_global_id(0), sample = get_global_id(1);
    const long first = block * 4;
    if (first >= elements || sample >= samples) {
        return;
    }
    float noise[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (stddev > 0.0f) {
        vstore4(stddev * cb_normal4(cb_draw4(block, ids, sample, seed, step)), 0, noise);
    }
    y += sample * elements;
    x += sample * elements;
    for (int i = 0; i < 4 && first + i < elements; i++) {
        const float v = x[first + i] + noise[i];
        y[first + i] = accumulate ? y[first + i] + v : v;
    }
}
