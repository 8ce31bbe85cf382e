/* adaptive_maxpool2d.cl: y = the largest of the x in each bin and `places` where it stands (h W + w; NULL: not kept); dx
 * gathers the dy of the bins that chose it. x, dx: [N,H,W,C]; y, dy, places: [N,OH,OW,C]. One work-item an element. */
#include "adaptive_pool2d.clh"

__kernel void adaptive_maxpool2d_forward(__global float *y, __global int *places, __global const float *x, BINS)
{
    const int c = get_global_id(0), ow = get_global_id(1);
    const long row = get_global_id(2); /* n OH + oh */
    if (c >= C || ow >= OW || row >= (long)N * OH) {
        return;
    }
    const int oh = row % OH, h0 = bin_begin(oh, H, OH), h1 = bin_end(oh, H, OH);
    const int w0 = bin_begin(ow, W, OW), w1 = bin_end(ow, W, OW);
    x += row / OH * H * W * C + c;
    float best = -INFINITY;
    int place = h0 * W + w0;
    for (int h = h0; h < h1; h++) {
        for (int w = w0; w < w1; w++) {
            const float v = x[((long)h * W + w) * C];
            if (v > best || isnan(v)) {
                best = v;
                place = h * W + w;
            }
        }
    }
    const long i = (row * OW + ow) * C + c;
    y[i] = best;
    if (places) {
        places[i] = place;
    }
}

__kernel void adaptive_maxpool2d_dx(__global float *dx, __global const float *dy, __global const int *places, BINS,
                                    int accumulate)
{
    const int c = get_global_id(0), w = get_global_id(1);
    const long row = get_global_id(2); /* n H + h */
    if (c >= C || w >= W || row >= (long)N * H) {
        return;
    }
    const int h = row % H, place = h * W + w, h1 = last_bin(h, H, OH), w1 = last_bin(w, W, OW);
    const long sample = row / H * OH * OW * C + c;
    float g = 0.0f;
    for (int oh = first_bin(h, H, OH); oh <= h1; oh++) {
        CB_IN_ORDER
        for (int ow = first_bin(w, W, OW); ow <= w1; ow++) {
            const long at = sample + ((long)oh * OW + ow) * C;
            g += places[at] == place ? dy[at] : 0.0f;
        }
    }
    const long i = (row * W + w) * C + c;
    dx[i] = accumulate ? dx[i] + g : g;
}
