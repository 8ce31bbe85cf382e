/* upsample.cl: x [N,H,W,C] -> y [N,OH,OW,C]. Place i of y lies at (a i + b) / d of x, not below 0, in whole numbers, so
 * that every device rounds alike: p = that rounded down, and the part f behind it goes to the next place (0 without
 * `linear`). One work-item makes up to 16 channels of one place; a gradient gathers in a fixed order. */

/* Where place i of an axis of x of n places lies: p, the next one q, the part f of q. */
#define UPSAMPLE_AT(i, n, a, b, d, p, q, f)                                                                            \
    const int p##_top = max((a) * (i) + (b), 0), p = min(p##_top / (d), (n) - 1), q = min(p + 1, (n) - 1);             \
    const float f = linear ? (float)(p##_top % (d)) / (float)(d) : 0.0f

/* The part of place j of x in place i of y. */
static float upsample_weight(int i, int j, int n, int a, int b, int d, int linear)
{
    UPSAMPLE_AT(i, n, a, b, d, p, q, f);
    return (p == j ? 1.0f - f : 0.0f) + (q == j ? f : 0.0f);
}

/* The first and last place of y, of `count`, that can hold a part of place j: those between its neighbours. */
static int upsample_first(int j, int a, int b, int d)
{
    return a > 0 ? max(((j - 1) * d - b) / a, 0) : 0;
}

static int upsample_last(int j, int a, int b, int d, int count)
{
    return a > 0 ? min(max(((j + 1) * d - b) / a, 0), count - 1) : count - 1;
}

/* Work-items: (C / 16 rounded up, OW, N OH). */
__kernel void upsample_forward(__global float *y, __global const float *x, int N, int H, int W, int C, int OH, int OW,
                               int ha, int hb, int hd, int wa, int wb, int wd, int linear)
{
    const int begin = get_global_id(0) * 16, ow = get_global_id(1);
    const long row = get_global_id(2);
    if (begin >= C || ow >= OW || row >= (long)N * OH) {
        return;
    }
    const int oh = row % OH, count = min(16, C - begin);
    UPSAMPLE_AT(oh, H, ha, hb, hd, h0, h1, hf);
    UPSAMPLE_AT(ow, W, wa, wb, wd, w0, w1, wf);
    const long n = row / OH * H;
    __global const float *x00 = x + ((n + h0) * W + w0) * C + begin, *x01 = x + ((n + h0) * W + w1) * C + begin;
    __global const float *x10 = x + ((n + h1) * W + w0) * C + begin, *x11 = x + ((n + h1) * W + w1) * C + begin;
    __global float *to = y + (row * OW + ow) * C + begin;
    for (int c = 0; c < count && !linear; c++) {
        to[c] = x00[c];
    }
    for (int c = 0; c < count && linear; c++) {
        const float above = (1.0f - wf) * x00[c] + wf * x01[c], below = (1.0f - wf) * x10[c] + wf * x11[c];
        to[c] = (1.0f - hf) * above + hf * below;
    }
}

/* Work-items: (C / 16 rounded up, W, N H). */
__kernel void upsample_dx(__global float *dx, __global const float *dy, int N, int H, int W, int C, int OH, int OW,
                          int ha, int hb, int hd, int wa, int wb, int wd, int linear, int accumulate)
{
    const int begin = get_global_id(0) * 16, w = get_global_id(1);
    const long row = get_global_id(2);
    if (begin >= C || w >= W || row >= (long)N * H) {
        return;
    }
    const int h = row % H, count = min(16, C - begin);
    const int h_last = upsample_last(h, ha, hb, hd, OH), w_last = upsample_last(w, wa, wb, wd, OW);
    float sum[16];
    for (int c = 0; c < 16; c++) {
        sum[c] = 0.0f;
    }
    for (int oh = upsample_first(h, ha, hb, hd); oh <= h_last; oh++) {
        const float down = upsample_weight(oh, h, H, ha, hb, hd, linear);
        for (int ow = upsample_first(w, wa, wb, wd); ow <= w_last && down > 0.0f; ow++) {
            const float part = down * upsample_weight(ow, w, W, wa, wb, wd, linear);
            __global const float *from = dy + ((row / H * OH + oh) * OW + ow) * C + begin;
            for (int c = 0; c < count && part > 0.0f; c++) {
                sum[c] += part * from[c];
            }
        }
    }
    __global float *to = dx + (row * W + w) * C + begin;
    for (int c = 0; c < count; c++) {
        to[c] = accumulate ? to[c] + sum[c] : sum[c];
    }
}
