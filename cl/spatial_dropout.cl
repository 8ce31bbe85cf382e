/* spatial_dropout.cl: y = u < rate ? 0 : x scale, one u in [0,1) for a channel of a sample. The same kernel turns dy into
 * dx. x, y: [samples, places, channels]; ids: [samples], NULL: the row's number. A work-item takes four channels of one
 * place, which share one draw. y may be x. */
#include "philox.clh"

__kernel void spatial_dropout_forward(__global float *y, __global const float *x, __global const int *ids, long samples,
                                      long places, long channels, float rate, float scale, long seed, long step,
                                      int accumulate)
{
    const long block = get_global_id(0), place = get_global_id(1), sample = get_global_id(2);
    const long first = block * 4;
    if (first >= channels || place >= places || sample >= samples) {
        return;
    }
    float kept[4] = {scale, scale, scale, scale};
    if (rate > 0.0f) {
        const float4 u = cb_uniform4(cb_draw4(block, ids, sample, seed, step));
        vstore4(select((float4)(scale), (float4)(0.0f), u < rate), 0, kept);
    }
    y += (sample * places + place) * channels;
    x += (sample * places + place) * channels;
    for (int i = 0; i < 4 && first + i < channels; i++) {
        const float v = kept[i] == 0.0f ? 0.0f : x[first + i] * kept[i];
        y[first + i] = accumulate ? y[first + i] + v : v;
    }
}
