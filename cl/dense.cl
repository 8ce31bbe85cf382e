/* dense.cl: the plain kernels of dense, for any device. One work-item makes one number; sums run over the inner index
 * in order.
 *
 *   y[m,k] = b[k] + sum over c of x[m,c] * w[c,k]
 *
 * x [M,C], y [M,K], w [C,K], b [K] or NULL; M counts all but the last dimension. */
#include "cambium.clh"
#include "epilogue.clh"

/* Work-items: (K, M). */
__kernel void dense_forward(__global float *y, __global const float *x, __global const float *w,
                            __global const float *b, long M, int C, int K CB_EPILOGUE_PARAMS)
{
    const int k = get_global_id(0);
    const long m = get_global_id(1);
    if (k >= K || m >= M) {
        return;
    }
    __global const float *xm = x + m * C;
    float sum = 0.0f;
    for (int c = 0; c < C; c++) {
        sum = CB_FMA(xm[c], w[(size_t)c * K + k], sum);
    }
    if (b) {
        sum += b[k];
    }
    const size_t index = m * K + k;
    CB_STORE(y, index, sum, k);
}

/* dx[m,c] = sum over k of dy[m,k] * w[c,k]; accumulate: is added. Work-items: (C, M). */
__kernel void dense_dx(__global float *dx, __global const float *dy, __global const float *w, int accumulate, long M,
                       int C, int K)
{
    const int c = get_global_id(0);
    const long m = get_global_id(1);
    if (c >= C || m >= M) {
        return;
    }
    __global const float *dym = dy + m * K;
    __global const float *wc = w + (size_t)c * K;
    float sum = 0.0f;
    for (int k = 0; k < K; k++) {
        sum = CB_FMA(dym[k], wc[k], sum);
    }
    const size_t index = m * C + c;
    dx[index] = accumulate ? dx[index] + sum : sum;
}

/* Rows are summed in runs of this many, then the runs, so that rounding stays small. */
#ifndef DENSE_RUN
#define DENSE_RUN 64
#endif

/* dw[c,k] = sum over m of x[m,c] * dy[m,k]; accumulate: is added. Work-items: (K, C). */
__kernel void dense_dw(__global float *dw, __global const float *x, __global const float *dy, int accumulate, long M,
                       int C, int K)
{
    const int k = get_global_id(0);
    const int c = get_global_id(1);
    if (k >= K || c >= C) {
        return;
    }
    float total = 0.0f;
    for (long begin = 0; begin < M; begin += DENSE_RUN) {
        const long end = min(begin + DENSE_RUN, M);
        float run = 0.0f;
        for (long m = begin; m < end; m++) {
            run = CB_FMA(x[m * C + c], dy[m * K + k], run);
        }
        total += run;
    }
    const size_t index = (size_t)c * K + k;
    dw[index] = accumulate ? dw[index] + total : total;
}

/* db[k] = sum over m of dy[m,k], in the same order; accumulate: is added. Work-items: (K). */
__kernel void dense_db(__global float *db, __global const float *dy, int accumulate, long M, int K)
{
    const int k = get_global_id(0);
    if (k >= K) {
        return;
    }
    float total = 0.0f;
    for (long begin = 0; begin < M; begin += DENSE_RUN) {
        const long end = min(begin + DENSE_RUN, M);
        float run = 0.0f;
        for (long m = begin; m < end; m++) {
            run += dy[m * K + k];
        }
        total += run;
    }
    db[k] = accumulate ? db[k] + total : total;
}
