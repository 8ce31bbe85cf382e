/* lp_pool2d.cl: y = (share * sum of x^p over a window)^(1/p), share = kh kw / places of the window that are not behind the
 * padding; dx = sum over the windows that cover x of dy share x^(p-1) y^(1-p), without those whose y is 0.
 * x, dx: [N,H,W,C]; y, dy: [N,OH,OW,C]; pt, pb, pl, pr: places of padding, zeros. One work-item an element. */
#include "cambium.clh"

#define WINDOWS                                                                                                        \
    int N, int H, int W, int C, int OH, int OW, int kh, int kw, int sh, int sw, int pt, int pl, int pb, int pr

/* Kernel places for each place that there is, of one direction: above 1 where the last window hangs over the edge. */
static float lp_pool2d_share(int o, int stride, int before, int kernel_size, int size, int after)
{
    const int begin = o * stride - before;
    return (float)kernel_size / (float)(min(begin + kernel_size, size + after) - begin);
}

__kernel void lp_pool2d_forward(__global float *y, __global const float *x, WINDOWS, float power)
{
    const int c = get_global_id(0), ow = get_global_id(1);
    const long row = get_global_id(2); /* n OH + oh */
    if (c >= C || ow >= OW || row >= (long)N * OH) {
        return;
    }
    const int oh = row % OH;
    const int h1 = min(oh * sh - pt + kh, H), w1 = min(ow * sw - pl + kw, W);
    x += row / OH * H * W * C + c;
    float sum = 0.0f;
    for (int h = max(oh * sh - pt, 0); h < h1; h++) {
        CB_IN_ORDER
        for (int w = max(ow * sw - pl, 0); w < w1; w++) {
            sum += pow(x[((long)h * W + w) * C], power);
        }
    }
    const float share = lp_pool2d_share(oh, sh, pt, kh, H, pb) * lp_pool2d_share(ow, sw, pl, kw, W, pr);
    y[(row * OW + ow) * C + c] = pow(sum * share, 1.0f / power);
}

/* First and last output whose window covers input i; the range is empty when none does. */
static int first_window(int i, int kernel_size, int stride, int before)
{
    const int free = i + before - kernel_size + 1;
    return free > 0 ? (free + stride - 1) / stride : 0;
}

static int last_window(int i, int stride, int before, int outputs)
{
    return min((i + before) / stride, outputs - 1);
}

__kernel void lp_pool2d_dx(__global float *dx, __global const float *dy, __global const float *x,
                           __global const float *y, WINDOWS, float power, int accumulate)
{
    const int c = get_global_id(0), w = get_global_id(1);
    const long row = get_global_id(2); /* n H + h */
    if (c >= C || w >= W || row >= (long)N * H) {
        return;
    }
    const int h = row % H, h1 = last_window(h, sh, pt, OH), w1 = last_window(w, sw, pl, OW);
    const long sample = row / H * OH * OW * C + c, i = (row * W + w) * C + c;
    float g = 0.0f;
    for (int oh = first_window(h, kh, sh, pt); oh <= h1; oh++) {
        const float share = lp_pool2d_share(oh, sh, pt, kh, H, pb);
        CB_IN_ORDER
        for (int ow = first_window(w, kw, sw, pl); ow <= w1; ow++) {
            const long at = sample + ((long)oh * OW + ow) * C;
            const float norm = y[at];
            /* x / y, not x^(p-1) / y^(p-1): large powers would overflow */
            const float slope = norm == 0.0f ? 0.0f : pow(x[i] / norm, power - 1.0f);
            g += dy[at] * share * lp_pool2d_share(ow, sw, pl, kw, W, pr) * slope;
        }
    }
    dx[i] = accumulate ? dx[i] + g : g;
}
