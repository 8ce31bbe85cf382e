/* conv2d_depthwise.cl: a filter for each channel, K = C = groups, sixteen channels at a time; C is a multiple of 16.
 *
 *   y[n,oh,ow,c] = b[c] + sum over kh, kw of x[n, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL, c] * w[kh,kw,0,c]
 *
 * A work-item makes one row of pixels for its sixteen channels: the KH rows of x that it reads stay in the nearest cache.
 * All sums run over (kh, kw), or over pixels row by row, in order. */
#include "cambium.clh"
#include "epilogue.clh"

#define SIZES                                                                                                          \
    int N, int H, int W, int C, int OH, int OW, int KH, int KW, int SH, int SW, int PT, int PL, int DH, int DW

/* Work-items: (C / 16, N * OH). */
__kernel void conv2d_depthwise_forward(__global float *y, __global const float *x, __global const float *w,
                                       __global const float *b, SIZES CB_EPILOGUE_PARAMS)
{
    const int c = get_global_id(0) * 16, r = get_global_id(1);
    if (c >= C || r >= N * OH) {
        return;
    }
    const int n = r / OH, h0 = (r % OH) * SH - PT;
    const float16 start = b ? vload16(0, b + c) : (float16)(0.0f);
    const int kh_from = h0 < 0 ? (-h0 + DH - 1) / DH : 0;
    const int kh_to = min(KH, (H - h0 + DH - 1) / DH);
    for (int ow = 0; ow < OW; ow++) {
        const int w0 = ow * SW - PL;
        float16 sum = start;
        for (int kh = kh_from; kh < kh_to; kh++) {
            __global const float *row = x + (((size_t)n * H + h0 + kh * DH) * W) * C + c;
            for (int kw = 0; kw < KW; kw++) {
                const int iw = w0 + kw * DW;
                if (iw >= 0 && iw < W) {
                    sum += vload16(0, row + (size_t)iw * C) * vload16(0, w + (size_t)(kh * KW + kw) * C + c);
                }
            }
        }
        const size_t index = ((size_t)r * OW + ow) * C + c;
        CB_STORE16(y, index, sum, c);
    }
}

/* Work-items: (C / 16, N * H). */
__kernel void conv2d_depthwise_dx(__global float *dx, __global const float *dy, __global const float *w, int accumulate,
                                  SIZES)
{
    const int c = get_global_id(0) * 16, r = get_global_id(1);
    if (c >= C || r >= N * H) {
        return;
    }
    const int n = r / H, ih = r % H;
    for (int iw = 0; iw < W; iw++) {
        float16 sum = 0.0f;
        for (int kh = 0; kh < KH; kh++) {
            const int th = ih + PT - kh * DH, oh = th / SH;
            if (th < 0 || th % SH != 0 || oh >= OH) {
                continue;
            }
            for (int kw = 0; kw < KW; kw++) {
                const int tw = iw + PL - kw * DW, ow = tw / SW;
                if (tw >= 0 && tw % SW == 0 && ow < OW) {
                    sum += vload16(0, dy + (((size_t)n * OH + oh) * OW + ow) * C + c) *
                           vload16(0, w + (size_t)(kh * KW + kw) * C + c);
                }
            }
        }
        __global float *to = dx + ((size_t)r * W + iw) * C + c;
        vstore16(accumulate ? vload16(0, to) + sum : sum, 0, to);
    }
}

/* dw[kh,kw,0,c] (+)= sum over pixels of x * dy; sums of a row first, so that rounding stays small. Work-items:
 * (C / 16, KH * KW). */
__kernel void conv2d_depthwise_dw(__global float *dw, __global const float *x, __global const float *dy, int accumulate,
                                  SIZES)
{
    const int c = get_global_id(0) * 16, tap = get_global_id(1);
    if (c >= C || tap >= KH * KW) {
        return;
    }
    const int kh = tap / KW, kw = tap % KW;
    float16 total = 0.0f;
    for (int n = 0; n < N; n++) {
        float16 picture = 0.0f;
        for (int oh = 0; oh < OH; oh++) {
            const int ih = oh * SH + kh * DH - PT;
            float16 row = 0.0f;
            if (ih < 0 || ih >= H) {
                continue;
            }
            for (int ow = 0; ow < OW; ow++) {
                const int iw = ow * SW + kw * DW - PL;
                if (iw >= 0 && iw < W) {
                    row += vload16(0, x + (((size_t)n * H + ih) * W + iw) * C + c) *
                           vload16(0, dy + (((size_t)n * OH + oh) * OW + ow) * C + c);
                }
            }
            picture += row;
        }
        total += picture;
    }
    __global float *to = dw + (size_t)tap * C + c;
    vstore16(accumulate ? vload16(0, to) + total : total, 0, to);
}
