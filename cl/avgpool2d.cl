/* avgpool2d.cl: y = sum of the x of each window of kh x kw places (step sh, sw; pt rows of padding above, pl columns to
 * the left) / count; dx gathers dy / count of the windows that cover it. `count` is the places of the window that lie
 * in the picture or not further outside than top, bottom, left, right.
 * x, dx: [N,H,W,C]; y, dy: [N,OH,OW,C].
 * Plain: a work-item an element; tile: a work-item a row, 16 channels at a time. */

#define WINDOWS                                                                                                        \
    int N, int H, int W, int C, int OH, int OW, int kh, int kw, int sh, int sw, int pt, int pl, int top, int bottom,   \
        int left, int right

/* Places of one direction that count: output o, input of `size` places. */
static int places(int o, int stride, int padding, int kernel_size, int size, int before, int after)
{
    const int begin = o * stride - padding;
    return min(begin + kernel_size, size + after) - max(begin, -before);
}

__kernel void avgpool2d_forward(__global float *y, __global const float *x, WINDOWS)
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
        for (int w = max(ow * sw - pl, 0); w < w1; w++) {
            sum += x[((long)h * W + w) * C];
        }
    }
    const int count = places(oh, sh, pt, kh, H, top, bottom) * places(ow, sw, pl, kw, W, left, right);
    y[(row * OW + ow) * C + c] = sum / (float)count;
}

__kernel void avgpool2d_forward_tile(__global float *y, __global const float *x, WINDOWS)
{
    const long row = get_global_id(0); /* n OH + oh */
    if (row >= (long)N * OH) {
        return;
    }
    const int oh = row % OH;
    const int h0 = max(oh * sh - pt, 0), h1 = min(oh * sh - pt + kh, H);
    x += row / OH * H * W * C;
    for (int ow = 0; ow < OW; ow++) {
        const int w0 = max(ow * sw - pl, 0), w1 = min(ow * sw - pl + kw, W);
        const float count = (float)(places(oh, sh, pt, kh, H, top, bottom) * places(ow, sw, pl, kw, W, left, right));
        __global float *out = y + (row * OW + ow) * C;
        int c = 0;
        for (; c + 16 <= C; c += 16) {
            float16 sum = (float16)(0.0f);
            for (int h = h0; h < h1; h++) {
                for (int w = w0; w < w1; w++) {
                    sum += vload16(0, x + ((long)h * W + w) * C + c);
                }
            }
            vstore16(sum / count, 0, out + c);
        }
        for (; c < C; c++) {
            float sum = 0.0f;
            for (int h = h0; h < h1; h++) {
                for (int w = w0; w < w1; w++) {
                    sum += x[((long)h * W + w) * C + c];
                }
            }
            out[c] = sum / count;
        }
    }
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

__kernel void avgpool2d_dx(__global float *dx, __global const float *dy, WINDOWS, int accumulate)
{
    const int c = get_global_id(0), w = get_global_id(1);
    const long row = get_global_id(2); /* n H + h */
    if (c >= C || w >= W || row >= (long)N * H) {
        return;
    }
    const int h = row % H;
    dy += row / H * OH * OW * C + c;
    const int oh1 = last_window(h, sh, pt, OH), ow1 = last_window(w, sw, pl, OW);
    float g = 0.0f;
    for (int oh = first_window(h, kh, sh, pt); oh <= oh1; oh++) {
        const int rows = places(oh, sh, pt, kh, H, top, bottom);
        for (int ow = first_window(w, kw, sw, pl); ow <= ow1; ow++) {
            const int count = rows * places(ow, sw, pl, kw, W, left, right);
            g += dy[((long)oh * OW + ow) * C] / (float)count;
        }
    }
    const long i = (row * W + w) * C + c;
    dx[i] = accumulate ? dx[i] + g : g;
}

__kernel void avgpool2d_dx_tile(__global float *dx, __global const float *dy, WINDOWS, int accumulate)
{
    const long row = get_global_id(0); /* n H + h */
    if (row >= (long)N * H) {
        return;
    }
    const int h = row % H;
    dy += row / H * OH * OW * C;
    const int oh0 = first_window(h, kh, sh, pt), oh1 = last_window(h, sh, pt, OH);
    for (int w = 0; w < W; w++) {
        const int ow0 = first_window(w, kw, sw, pl), ow1 = last_window(w, sw, pl, OW);
        __global float *out = dx + (row * W + w) * C;
        int c = 0;
        for (; c + 16 <= C; c += 16) {
            float16 g = (float16)(0.0f);
            for (int oh = oh0; oh <= oh1; oh++) {
                const int rows = places(oh, sh, pt, kh, H, top, bottom);
                for (int ow = ow0; ow <= ow1; ow++) {
                    const int count = rows * places(ow, sw, pl, kw, W, left, right);
                    g += vload16(0, dy + ((long)oh * OW + ow) * C + c) / (float)count;
                }
            }
            vstore16(accumulate ? vload16(0, out + c) + g : g, 0, out + c);
        }
        for (; c < C; c++) {
            float g = 0.0f;
            for (int oh = oh0; oh <= oh1; oh++) {
                const int rows = places(oh, sh, pt, kh, H, top, bottom);
                for (int ow = ow0; ow <= ow1; ow++) {
                    const int count = rows * places(ow, sw, pl, kw, W, left, right);
                    g += dy[((long)oh * OW + ow) * C + c] / (float)count;
                }
            }
            out[c] = accumulate ? out[c] + g : g;
        }
    }
}
