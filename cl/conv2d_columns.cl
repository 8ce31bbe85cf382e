/* conv2d_columns.cl: convolution as a matrix product: each output pixel's taps are gathered into a row ("im2col"),
 *
 *   columns[(n,oh,ow), (kh,kw,c)] = x[n, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL, c], zero outside the picture,
 *
 * so that y = columns w, dw = columns^T dy, and dx gathers what dy w^T put into the columns. A 1x1 convolution of
 * stride 1 needs no columns: x is the matrix. Groups = 1. `first`: the picture at which this part of the batch
 * begins. */
#include "cambium.clh"
#include "epilogue.clh"

#define SIZES                                                                                                          \
    int N, int H, int W, int C, int OH, int OW, int KH, int KW, int SH, int SW, int PT, int PL, int DH, int DW,        \
        int first

static void copy_channels(__global float *to, __global const float *from, int C)
{
    int c = 0;
    for (; c + 16 <= C; c += 16) {
        vstore16(vload16(0, from + c), 0, to + c);
    }
    if (c < C && C >= 16) { /* the last sixteen once more instead of a tail */
        vstore16(vload16(0, from + C - 16), 0, to + C - 16);
        c = C;
    }
    for (; c < C; c++) {
        to[c] = from[c];
    }
}

static void zero_channels(__global float *to, int C)
{
    int c = 0;
    for (; c + 16 <= C; c += 16) {
        vstore16((float16)(0.0f), 0, to + c);
    }
    for (; c < C; c++) {
        to[c] = 0.0f;
    }
}

/* Work-items: (N * OH), a row of output pixels each. */
__kernel void conv2d_columns(__global float *columns, __global const float *x, SIZES)
{
    const int r = get_global_id(0);
    if (r >= N * OH) {
        return;
    }
    const int n = r / OH, oh = r % OH;
    for (int ow = 0; ow < OW; ow++) {
        __global float *to = columns + ((size_t)r * OW + ow) * KH * KW * C;
        for (int kh = 0; kh < KH; kh++) {
            const int ih = oh * SH + kh * DH - PT, first_w = ow * SW - PL;
            if (DW == 1 && ih >= 0 && ih < H && first_w >= 0 && first_w + KW <= W) { /* neighbours in x too */
                copy_channels(to, x + (((size_t)(first + n) * H + ih) * W + first_w) * C, KW * C);
                to += KW * C;
                continue;
            }
            for (int kw = 0; kw < KW; kw++, to += C) {
                const int iw = first_w + kw * DW;
                if (ih < 0 || ih >= H || iw < 0 || iw >= W) {
                    zero_channels(to, C);
                } else {
                    copy_channels(to, x + (((size_t)(first + n) * H + ih) * W + iw) * C, C);
                }
            }
        }
    }
}

/* What follows a transposed convolution (forward), once a pixel has its sum: y[index, index + C) in place. */
#ifdef CB_EPILOGUE
static void finish_channels(__global float *y, size_t index, int C CB_EPILOGUE_PARAMS)
{
    int c = 0;
    for (; c + 16 <= C; c += 16) {
        const float16 value = vload16(0, y + index + c);
        CB_STORE16(y, index + c, value, c);
    }
    for (; c < C; c++) {
        const float value = y[index + c];
        CB_STORE(y, index + c, value, c);
    }
}
#endif

/* dx[n,ih,iw,c] (+)= sum over the taps that meet the pixel, in the order (kh, kw). Work-items: (N * H). */
__kernel void conv2d_from_columns(__global float *dx, __global const float *columns, int accumulate,
                                  SIZES CB_EPILOGUE_PARAMS)
{
    const int r = get_global_id(0);
    if (r >= N * H) {
        return;
    }
    const int n = r / H, ih = r % H;
    for (int iw = 0; iw < W; iw++) {
        __global float *to = dx + (((size_t)(first + n) * H + ih) * W + iw) * C;
        if (!accumulate) {
            zero_channels(to, C);
        }
        for (int kh = 0; kh < KH; kh++) {
            const int th = ih + PT - kh * DH;
            if (th < 0 || th % SH != 0 || th / SH >= OH) {
                continue;
            }
            for (int kw = 0; kw < KW; kw++) {
                const int tw = iw + PL - kw * DW;
                if (tw < 0 || tw % SW != 0 || tw / SW >= OW) {
                    continue;
                }
                __global const float *from =
                    columns + ((((size_t)n * OH + th / SH) * OW + tw / SW) * KH * KW + kh * KW + kw) * C;
                int c = 0;
                for (; c + 16 <= C; c += 16) {
                    vstore16(vload16(0, to + c) + vload16(0, from + c), 0, to + c);
                }
                for (; c < C; c++) {
                    to[c] += from[c];
                }
            }
        }
#ifdef CB_EPILOGUE
        finish_channels(dx, to - dx, C CB_EPILOGUE_ARGS);
#endif
    }
}

/* y[rows,K] = b[K]: the product then adds to it. Work-items: (rows). */
__kernel void conv2d_fill_bias(__global float *y, __global const float *b, long rows, int K)
{
    const long r = get_global_id(0);
    if (r < rows) {
        copy_channels(y + r * K, b, K);
    }
}

/* db[k] (+)= sum over n, oh, ow of dy[n,oh,ow,k]: by row of pixels, picture, batch, as conv2d_db. Work-items: (K / 16,
 * rounded up), sixteen channels each: K of them would each read every line of dy for four bytes. */
__kernel void conv2d_db_tile(__global float *db, __global const float *dy, int accumulate, int N, int OH, int OW, int K)
{
    const int k = get_global_id(0) * 16, count = min(16, K - k);
    if (k >= K) {
        return;
    }
    float16 total = 0.0f;
    float lanes[16];
    for (int n = 0; n < N; n++) {
        float16 picture = 0.0f;
        for (int oh = 0; oh < OH; oh++) {
            __global const float *dyr = dy + ((size_t)n * OH + oh) * OW * K + k;
            float16 line = 0.0f;
            for (int ow = 0; ow < OW; ow++, dyr += K) {
                if (count == 16) {
                    line += vload16(0, dyr);
                } else {
                    for (int i = 0; i < 16; i++) {
                        lanes[i] = i < count ? dyr[i] : 0.0f;
                    }
                    line += vload16(0, lanes);
                }
            }
            picture += line;
        }
        total += picture;
    }
    vstore16(total, 0, lanes);
    for (int i = 0; i < count; i++) {
        db[k + i] = accumulate ? db[k + i] + lanes[i] : lanes[i];
    }
}
