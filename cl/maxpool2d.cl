/* maxpool2d.cl: y = the largest x of each window of kh x kw places (step sh, sw; pt rows of padding above, pl columns
 * to the left), `places` = where it lies, h W + w (may be NULL); dx gathers the dy of the windows that chose it.
 * x, dx: [N,H,W,C]; y, dy, places: [N,OH,OW,C]. The first of equal values wins; a NaN wins over everything before it.
 * Plain: a work-item an element; tile: a work-item a row, 16 channels at a time. */

#define WINDOWS int N, int H, int W, int C, int OH, int OW, int kh, int kw, int sh, int sw, int pt, int pl

__kernel void maxpool2d_forward(__global float *y, __global int *places, __global const float *x, WINDOWS)
{
    const int c = get_global_id(0), ow = get_global_id(1);
    const long row = get_global_id(2); /* n OH + oh */
    if (c >= C || ow >= OW || row >= (long)N * OH) {
        return;
    }
    const int oh = row % OH;
    const int h0 = max(oh * sh - pt, 0), h1 = min(oh * sh - pt + kh, H);
    const int w0 = max(ow * sw - pl, 0), w1 = min(ow * sw - pl + kw, W);
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

__kernel void maxpool2d_forward_tile(__global float *y, __global int *places, __global const float *x, WINDOWS)
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
        const long at = (row * OW + ow) * C;
        int c = 0;
        for (; c + 16 <= C; c += 16) {
            float16 best = (float16)(-INFINITY);
            int16 place = (int16)(h0 * W + w0);
            for (int h = h0; h < h1; h++) {
                for (int w = w0; w < w1; w++) {
                    const float16 v = vload16(0, x + ((long)h * W + w) * C + c);
                    const int16 wins = (v > best) | isnan(v);
                    best = select(best, v, wins);
                    place = select(place, (int16)(h * W + w), wins);
                }
            }
            vstore16(best, 0, y + at + c);
            if (places) {
                vstore16(place, 0, places + at + c);
            }
        }
        for (; c < C; c++) {
            float best = -INFINITY;
            int place = h0 * W + w0;
            for (int h = h0; h < h1; h++) {
                for (int w = w0; w < w1; w++) {
                    const float v = x[((long)h * W + w) * C + c];
                    if (v > best || isnan(v)) {
                        best = v;
                        place = h * W + w;
                    }
                }
            }
            y[at + c] = best;
            if (places) {
                places[at + c] = place;
            }
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

__kernel void maxpool2d_dx(__global float *dx, __global const float *dy, __global const int *places, WINDOWS,
                           int accumulate)
{
    const int c = get_global_id(0), w = get_global_id(1);
    const long row = get_global_id(2); /* n H + h */
    if (c >= C || w >= W || row >= (long)N * H) {
        return;
    }
    const int h = row % H;
    const long image = row / H * OH * OW * C;
    const int oh1 = last_window(h, sh, pt, OH), ow1 = last_window(w, sw, pl, OW);
    float g = 0.0f;
    for (int oh = first_window(h, kh, sh, pt); oh <= oh1; oh++) {
        for (int ow = first_window(w, kw, sw, pl); ow <= ow1; ow++) {
            const long i = image + ((long)oh * OW + ow) * C + c;
            g += places[i] == h * W + w ? dy[i] : 0.0f;
        }
    }
    const long i = (row * W + w) * C + c;
    dx[i] = accumulate ? dx[i] + g : g;
}

__kernel void maxpool2d_dx_tile(__global float *dx, __global const float *dy, __global const int *places, WINDOWS,
                                int accumulate)
{
    const long row = get_global_id(0); /* n H + h */
    if (row >= (long)N * H) {
        return;
    }
    const int h = row % H;
    const long image = row / H * OH * OW * C;
    const int oh0 = first_window(h, kh, sh, pt), oh1 = last_window(h, sh, pt, OH);
    for (int w = 0; w < W; w++) {
        const int ow0 = first_window(w, kw, sw, pl), ow1 = last_window(w, sw, pl, OW), place = h * W + w;
        __global float *out = dx + (row * W + w) * C;
        int c = 0;
        for (; c + 16 <= C; c += 16) {
            float16 g = (float16)(0.0f);
            for (int oh = oh0; oh <= oh1; oh++) {
                for (int ow = ow0; ow <= ow1; ow++) {
                    const long i = image + ((long)oh * OW + ow) * C + c;
                    g += select((float16)(0.0f), vload16(0, dy + i), vload16(0, places + i) == (int16)(place));
                }
            }
            vstore16(accumulate ? vload16(0, out + c) + g : g, 0, out + c);
        }
        for (; c < C; c++) {
            float g = 0.0f;
            for (int oh = oh0; oh <= oh1; oh++) {
                for (int ow = ow0; ow <= ow1; ow++) {
                    const long i = image + ((long)oh * OW + ow) * C + c;
                    g += places[i] == place ? dy[i] : 0.0f;
                }
            }
            out[c] = accumulate ? out[c] + g : g;
        }
    }
}
