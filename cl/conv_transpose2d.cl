/* conv_transpose2d.cl: the plain kernels of conv_transpose2d, for any device. One work-item makes one number. The
 * letters are those of the convolution whose gradient it is (cl/conv2d.cl): from y [N,H,W,C] to x [N,OH,OW,K], with w
 * [KH,KW,CG,K]; b [C] or NULL.
 *
 *   y[n,h,w,c] = b[c] + sum over kh, kw, k of x[n,oh,ow,k] * w[kh,kw,c,k] where oh*SH + kh*DH - PT = h, likewise ow
 *
 * CG = C / groups and KG = K / groups. Sums run in the order written. Its dw is the convolution's, conv2d_dw. */
#include "cambium.clh"
#include "epilogue.clh"

#define SIZES                                                                                                          \
    int N, int H, int W, int C, int OH, int OW, int K, int KH, int KW, int SH, int SW, int PT, int PL, int DH, int DW, \
        int CG, int KG

/* Work-items: (C, N * H * W). */
__kernel void conv_transpose2d_forward(__global float *y, __global const float *x, __global const float *w,
                                       __global const float *b, SIZES CB_EPILOGUE_PARAMS)
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
            __global const float *xk = x + (((size_t)n * OH + oh) * OW + ow) * K + k0;
            __global const float *wk = w + ((size_t)(kh * KW + kw) * CG + c % CG) * K + k0;
            for (int k = 0; k < KG; k++) {
                sum = CB_FMA(xk[k], wk[k], sum);
            }
        }
    }
    if (b) {
        sum += b[c];
    }
    const size_t index = pixel * C + c;
    CB_STORE(y, index, sum, c);
}

/* dx[n,oh,ow,k] = sum over kh, kw, c of dy[n, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL, g*CG + c] * w[kh,kw,c,k];
 * accumulate: is added. Work-items: (K, N * OH * OW). */
__kernel void conv_transpose2d_dx(__global float *dx, __global const float *dy, __global const float *w, int accumulate,
                                  SIZES)
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
            __global const float *dyc = dy + (((size_t)n * H + ih) * W + iw) * C + c0;
            __global const float *wc = w + (size_t)(kh * KW + kw) * CG * K + k;
            for (int c = 0; c < CG; c++) {
                sum = CB_FMA(dyc[c], wc[(size_t)c * K], sum);
            }
        }
    }
    const size_t index = pixel * K + k;
    dx[index] = accumulate ? dx[index] + sum : sum;
}
