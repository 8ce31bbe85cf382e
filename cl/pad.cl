/* pad.cl: places around a picture x [N,H,W,C] -> y [N,OH,OW,C]; `top` rows above, `left` columns before. One work-item
 * makes up to 16 channels of one place; a gradient gathers, from above to below and from left to right. */

enum { PAD_CONSTANT, PAD_REFLECT, PAD_REPLICATE };

/* The place of x, among n, that place i of y shows, or -1 outside with CONSTANT. */
static int pad_source(int i, int n, int before, int mode)
{
    const int j = i - before;
    if (mode == PAD_REFLECT) {
        return j < 0 ? -j : j >= n ? 2 * (n - 1) - j : j;
    }
    return mode == PAD_REPLICATE ? clamp(j, 0, n - 1) : j < 0 || j >= n ? -1 : j;
}

/* How many places of y may show place j of x, and the k-th of them in rising order, or -1. `total`: places of y. */
static int pad_reader_count(int j, int n, int before, int total, int mode)
{
    if (mode == PAD_REFLECT) {
        return 3;
    }
    const bool is_edge = mode == PAD_REPLICATE;
    const int first = is_edge && j == 0 ? 0 : before + j, last = is_edge && j == n - 1 ? total - 1 : before + j;
    return last - first + 1;
}

static int pad_reader(int k, int j, int n, int before, int total, int mode)
{
    if (mode != PAD_REFLECT) {
        return (mode == PAD_REPLICATE && j == 0 ? 0 : before + j) + k;
    }
    const int mirrored = before + 2 * (n - 1) - j;
    if (k == 0) {
        return j >= 1 && j <= before ? before - j : -1;
    }
    return k == 1 ? before + j : j < n - 1 && mirrored < total ? mirrored : -1;
}

/* Work-items: (C / 16 rounded up, OW, N OH). */
__kernel void pad_forward(__global float *y, __global const float *x, int N, int H, int W, int C, int OH, int OW,
                          int top, int left, int mode, float value)
{
    const int begin = get_global_id(0) * 16, ow = get_global_id(1);
    const long row = get_global_id(2);
    if (begin >= C || ow >= OW || row >= (long)N * OH) {
        return;
    }
    const int h = pad_source(row % OH, H, top, mode), w = pad_source(ow, W, left, mode);
    const int count = min(16, C - begin);
    __global float *to = y + (row * OW + ow) * C + begin;
    if (h < 0 || w < 0) {
        for (int c = 0; c < count; c++) {
            to[c] = value;
        }
        return;
    }
    __global const float *from = x + ((row / OH * H + h) * W + w) * C + begin;
    for (int c = 0; c < count; c++) {
        to[c] = from[c];
    }
}

/* Work-items: (C / 16 rounded up, W, N H). */
__kernel void pad_dx(__global float *dx, __global const float *dy, int N, int H, int W, int C, int OH, int OW, int top,
                     int left, int mode, int accumulate)
{
    const int begin = get_global_id(0) * 16, w = get_global_id(1);
    const long row = get_global_id(2);
    if (begin >= C || w >= W || row >= (long)N * H) {
        return;
    }
    const int h = row % H, count = min(16, C - begin);
    const int down = pad_reader_count(h, H, top, OH, mode), along = pad_reader_count(w, W, left, OW, mode);
    float sum[16];
    for (int c = 0; c < 16; c++) {
        sum[c] = 0.0f;
    }
    for (int a = 0; a < down; a++) {
        const int oh = pad_reader(a, h, H, top, OH, mode);
        for (int b = 0; b < along && oh >= 0; b++) {
            const int ow = pad_reader(b, w, W, left, OW, mode);
            for (int c = 0; c < count && ow >= 0; c++) {
                sum[c] += dy[((row / H * OH + oh) * OW + ow) * C + begin + c];
            }
        }
    }
    __global float *to = dx + (row * W + w) * C + begin;
    for (int c = 0; c < count; c++) {
        to[c] = accumulate ? to[c] + sum[c] : sum[c];
    }
}
