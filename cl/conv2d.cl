/* conv2d.cl: the plain kernels of conv2d, for any device; they define what the layer computes. One work-item makes one
 * number.
 *
 *   y[n,oh,ow,k] = b[k] + sum over kh, kw, c of x[n, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL, g*CG + c] * w[kh,kw,c,k]
 *
 * x [N,H,W,C], y [N,OH,OW,K], w [KH,KW,CG,K], b [K] or NULL; x is zero outside the picture. g = k / KG is the group:
 * CG = C / groups channels in, KG = K / groups channels out. Sums run in the order written: (kh, kw, c). */
#include "cambium.clh"
#include "epilogue.clh"

#define SIZES                                                                                                          \
    int N, int H, int W, int C, int OH, int OW, int K, int KH, int KW, int SH, int SW, int PT, int PL, int DH, int DW, \
        int CG, int KG

/* Work-items: (K, N * OH * OW). */
__kernel void conv2d_forward(__global float *y, __global const float *x, __global const float *w,
                             __global const float *b, SIZES CB_EPILOGUE_PARAMS)
{
    const int k = get_global_id(0);
    const size_t pixel = get_global_id(1);
    if (k >= K || pixel >= (size_t)N * OH * OW) {
        return;
    }
    const int ow = pixel % OW, oh = pixel / OW % OH, n = pixel / OW / OH;
    const int h0 = oh * SH - PT, w0 = ow * SW - PL;
    const int c0 = k / KG * CG;
    float sum = 0.0f;
    for (int kh = 0; kh < KH; kh++) {
        const int ih = h0 + kh * DH;
        if (ih < 0 || ih >= H) {
            continue;
        }
        for (int kw = 0; kw < KW; kw++) {
            const int iw = w0 + kw * DW;
            if (iw < 0 || iw >= W) {
                continue;
            }
            __global const float *xc = x + (((size_t)n * H + ih) * W + iw) * C + c0;
            __global const float *wc = w + (size_t)(kh * KW + kw) * CG * K + k;
            for (int c = 0; c < CG; c++) {
                sum = CB_FMA(xc[c], wc[(size_t)c * K], sum);
            }
        }
    }
    if (b) {
        sum += b[k];
    }
    const size_t index = pixel * K + k;
    CB_STORE(y, index, sum, k);
}

/* dx[n,ih,iw,c] = sum over kh, kw, k of dy[n,oh,ow,k] * w[kh,kw,c,k] where oh*SH + kh*DH - PT = ih, likewise ow.
 * accumulate: is added to dx. Work-items: (C, N * H * W). */
__kernel void conv2d_dx(__global float *dx, __global const float *dy, __global const float *w, int accumulate, SIZES)
{
    const int c = get_global_id(0);
    const size_t pixel = get_global_id(1);
    if (c >= C || pixel >= (size_t)N * H * W) {
        return;
    }
    const int iw = pixel % W, ih = pixel / W % H, n = pixel / W / H;
    const int k0 = c / CG * KG;
    float sum = 0.0f;
    for (int kh = 0; kh < KH; kh++) {
        const int oh = (ih + PT - kh * DH) / SH;
        if (ih + PT - kh * DH < 0 || oh >= OH || oh * SH != ih + PT - kh * DH) {
            continue;
        }
        for (int kw = 0; kw < KW; kw++) {
            const int ow = (iw + PL - kw * DW) / SW;
            if (iw + PL - kw * DW < 0 || ow >= OW || ow * SW != iw + PL - kw * DW) {
                continue;
            }
            __global const float *dyk = dy + (((size_t)n * OH + oh) * OW + ow) * K + k0;
            __global const float *wk = w + ((size_t)(kh * KW + kw) * CG + c % CG) * K + k0;
            for (int k = 0; k < KG; k++) {
                sum = CB_FMA(dyk[k], wk[k], sum);
            }
        }
    }
    const size_t index = pixel * C + c;
    dx[index] = accumulate ? dx[index] + sum : sum;
}

/* dw[kh,kw,c,k] = sum over n, oh, ow of x[...] * dy[n,oh,ow,k], summed by row, then by picture, then over the batch, so
 * that rounding stays small. Work-items: (K, KH * KW * CG). */
__kernel void conv2d_dw(__global float *dw, __global const float *x, __global const float *dy, int accumulate, SIZES)
{
    const int k = get_global_id(0);
    const int row = get_global_id(1);
    if (k >= K || row >= KH * KW * CG) {
        return;
    }
    const int c = row % CG + k / KG * CG, kw = row / CG % KW, kh = row / CG / KW;
    float total = 0.0f;
    for (int n = 0; n < N; n++) {
        float picture = 0.0f;
        for (int oh = 0; oh < OH; oh++) {
            const int ih = oh * SH + kh * DH - PT;
            if (ih < 0 || ih >= H) {
                continue;
            }
            __global const float *xr = x + ((size_t)n * H + ih) * W * C + c;
            __global const float *dyr = dy + ((size_t)n * OH + oh) * OW * K + k;
            float line = 0.0f;
            for (int ow = 0; ow < OW; ow++) {
                const int iw = ow * SW + kw * DW - PL;
                if (iw >= 0 && iw < W) {
                    line = CB_FMA(xr[(size_t)iw * C], dyr[(size_t)ow * K], line);
                }
            }
            picture += line;
        }
        total += picture;
    }
    const size_t index = (size_t)row * K + k;
    dw[index] = accumulate ? dw[index] + total : total;
}

/* db[k] = sum over n, oh, ow of dy[n,oh,ow,k], in the same order. Work-items: (K). */
__kernel void conv2d_db(__global float *db, __global const float *dy, int accumulate, int N, int OH, int OW, int K)
{
    const int k = get_global_id(0);
    if (k >= K) {
        return;
    }
    float total = 0.0f;
    for (int n = 0; n < N; n++) {
        float picture = 0.0f;
        for (int oh = 0; oh < OH; oh++) {
            __global const float *dyr = dy + ((size_t)n * OH + oh) * OW * K + k;
            float line = 0.0f;
            for (int ow = 0; ow < OW; ow++) {
                line += dyr[(size_t)ow * K];
            }
            picture += line;
        }
        total += picture;
    }
    db[k] = accumulate ? db[k] + total : total;
}
