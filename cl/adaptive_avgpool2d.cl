/* adaptive_avgpool2d.cl: y = the mean of the x in each bin; dx gathers dy / count of the bins that see it.
 * x, dx: [N,H,W,C]; y, dy: [N,OH,OW,C]. One work-item an element. Each row of a bin is summed on its own, then the rows. */
#include "adaptive_pool2d.clh"

__kernel void adaptive_avgpool2d_forward(__global float *y, __global const float *x, BINS)
{
    const int c = get_global_id(0), ow = get_global_id(1);
    const long row = get_global_id(2); /* n OH + oh */
    if (c >= C || ow >= OW || row >= (long)N * OH) {
        return;
    }
    const int oh = row % OH, h0 = bin_begin(oh, H, OH), h1 = bin_end(oh, H, OH);
    const int w0 = bin_begin(ow, W, OW), w1 = bin_end(ow, W, OW);
    x += row / OH * H * W * C + c;
    float sum = 0.0f;
    for (int h = h0; h < h1; h++) {
        float part = 0.0f;
        CB_IN_ORDER
        for (int w = w0; w < w1; w++) {
            part += x[((long)h * W + w) * C];
        }
        sum += part;
    }
    y[(row * OW + ow) * C + c] = sum / ((float)(h1 - h0) * (float)(w1 - w0));
}

__kernel void adaptive_avgpool2d_dx(__global float *dx, __global const float *dy, BINS, int accumulate)
{
    const int c = get_global_id(0), w = get_global_id(1);
    const long row = get_global_id(2); /* n H + h */
    if (c >= C || w >= W || row >= (long)N * H) {
        return;
    }
    const int h = row % H, h1 = last_bin(h, H, OH), w1 = last_bin(w, W, OW);
    dy += row / H * OH * OW * C + c;
    float g = 0.0f;
    for (int oh = first_bin(h, H, OH); oh <= h1; oh++) {
        const int height = bin_end(oh, H, OH) - bin_begin(oh, H, OH);
        CB_IN_ORDER
        for (int ow = first_bin(w, W, OW); ow <= w1; ow++) {
            const int width = bin_end(ow, W, OW) - bin_begin(ow, W, OW);
            g += dy[((long)oh * OW + ow) * C] / ((float)height * (float)width);
        }
    }
    const long i = (row * W + w) * C + c;
    dx[i] = accumulate ? dx[i] + g : g;
}
