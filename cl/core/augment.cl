/* augment.cl: pictures become the network's input: u8 [N,H,W,C] to f32 [N,H,W,C], (v - mean[c]) / std[c]; with
 * augmentation each picture is warped and its colours changed before. Layout of a picture's 12 numbers in `draws`:
 *     0..5   a, b, c, d, e, f: output pixel (x, y) reads at (a x + b y + c, d x + e y + f), pixel centres at integers
 *     6..8   factors of brightness, contrast (about 127.5) and saturation (about the pixel's luma)
 *     9..11  unused
 * The numbers are drawn on the host (src/train/augment.c): the same bits on every device. */

/* One work-item per row of a picture. */
__kernel void augment_normalize(__global float *y, __global const uchar *x, __global const float *mean,
                                __global const float *std, int rows, int W, int C)
{
    const int r = get_global_id(0);
    if (r >= rows) {
        return;
    }
    const long base = (long)r * W * C;
    for (int i = 0; i < W; i++) {
        for (int c = 0; c < C; c++) {
            const long at = base + (long)i * C + c;
            y[at] = ((float)x[at] - mean[c]) / std[c];
        }
    }
}

static inline float augment_read(__global const uchar *x, int px, int py, int c, int H, int W, int C, float background)
{
    return px < 0 || py < 0 || px >= W || py >= H ? background : (float)x[((long)py * W + px) * C + c];
}

__kernel void augment_warp(__global float *y, __global const uchar *x, __global const float *draws,
                           __global const float *mean, __global const float *std, __global const float *background,
                           int rows, int H, int W, int C)
{
    const int r = get_global_id(0);
    if (r >= rows) {
        return;
    }
    const int n = r / H, row = r % H;
    __global const float *t = draws + (long)n * 12;
    __global const uchar *picture = x + (long)n * H * W * C;
    for (int i = 0; i < W; i++) {
        const float sx = t[0] * i + t[1] * row + t[2], sy = t[3] * i + t[4] * row + t[5];
        const float fx = floor(sx), fy = floor(sy), wx = sx - fx, wy = sy - fy;
        const int px = (int)clamp(fx, -2.0f, (float)W), py = (int)clamp(fy, -2.0f, (float)H);
        float value[16], luma = 0.0f;
        for (int c = 0; c < C; c++) {
            const float b = background[c];
            const float top = augment_read(picture, px, py, c, H, W, C, b) * (1.0f - wx) +
                              augment_read(picture, px + 1, py, c, H, W, C, b) * wx;
            const float bottom = augment_read(picture, px, py + 1, c, H, W, C, b) * (1.0f - wx) +
                                 augment_read(picture, px + 1, py + 1, c, H, W, C, b) * wx;
            value[c] = (top * (1.0f - wy) + bottom * wy) * t[6];
            value[c] = (value[c] - 127.5f) * t[7] + 127.5f;
        }
        luma = C == 3 ? 0.299f * value[0] + 0.587f * value[1] + 0.114f * value[2] : value[0];
        for (int c = 0; c < C; c++) {
            const float v = C == 3 ? luma + (value[c] - luma) * t[8] : value[c];
            const long at = (((long)n * H + row) * W + i) * C + c;
            y[at] = (clamp(v, 0.0f, 255.0f) - mean[c]) / std[c];
        }
    }
}
