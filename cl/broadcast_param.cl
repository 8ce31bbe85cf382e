/* broadcast_param.cl: y = x + w, x w or w (USE 0, 1, 2). x, y, dy, dx [N,row], a row of the dims D0 to D6; element [d0, ..., d6] of
 * a row meets w[d0 S0 + ... + d6 S6]: a step of 0 where one number serves all places. w, dw: `count` numbers. */
#include "cambium.clh"

#define BROADCAST_PARAM_SIZES long D0, long D1, long D2, long D3, long D4, long D5, long D6, long S0, long S1, long S2, long S3, \
    long S4, long S5, long S6
#define BROADCAST_PARAM_PASSED D0, D1, D2, D3, D4, D5, D6, S0, S1, S2, S3, S4, S5, S6

static long broadcast_param_place(long i, BROADCAST_PARAM_SIZES)
{
    long at = (i % D6) * S6;
    i /= D6;
    at += (i % D5) * S5;
    i /= D5;
    at += (i % D4) * S4;
    i /= D4;
    at += (i % D3) * S3;
    i /= D3;
    at += (i % D2) * S2;
    i /= D2;
    at += (i % D1) * S1;
    return at + i / D1 * S0;
}

/* Work-items: (row, N). */
__kernel void broadcast_param_forward(__global float *y, __global const float *x, __global const float *w, long N, long row, int use,
                               BROADCAST_PARAM_SIZES)
{
    const long i = get_global_id(0), n = get_global_id(1);
    if (i >= row || n >= N) {
        return;
    }
    const float a = w[broadcast_param_place(i, BROADCAST_PARAM_PASSED)];
    y[n * row + i] = use == 2 ? a : use == 1 ? x[n * row + i] * a : x[n * row + i] + a;
}

/* Work-items: (row, N). */
__kernel void broadcast_param_dx(__global float *dx, __global const float *dy, __global const float *w, long N, long row, int use,
                          BROADCAST_PARAM_SIZES, int accumulate)
{
    const long i = get_global_id(0), n = get_global_id(1);
    if (i >= row || n >= N) {
        return;
    }
    const float g = use == 1 ? w[broadcast_param_place(i, BROADCAST_PARAM_PASSED)] * dy[n * row + i] : dy[n * row + i];
    dx[n * row + i] = accumulate ? dx[n * row + i] + g : g;
}

/* A place k among those of a row that one element of w serves, as an offset in the row: only the dims of step 0 count. */
static long broadcast_param_served(long k, BROADCAST_PARAM_SIZES)
{
    const long dims[7] = {D0, D1, D2, D3, D4, D5, D6}, steps[7] = {S0, S1, S2, S3, S4, S5, S6};
    long at = 0, step = 1;
    for (int d = 6; d >= 0; d--) {
        if (steps[d] == 0) {
            at += (k % dims[d]) * step;
            k /= dims[d];
        }
        step *= dims[d];
    }
    return at;
}

/* Work-items: (count). Sums over samples, then over the places served, in this order. */
__kernel void broadcast_param_dw(__global float *dw, __global const float *dy, __global const float *x, long N, long row, long count,
                          int use, BROADCAST_PARAM_SIZES, int accumulate)
{
    const long j = get_global_id(0);
    if (j >= count) {
        return;
    }
    const long dims[7] = {D0, D1, D2, D3, D4, D5, D6}, steps[7] = {S0, S1, S2, S3, S4, S5, S6};
    long base = 0, step = 1;
    for (int d = 6; d >= 0; d--) {
        base += steps[d] != 0 ? (j / steps[d]) % dims[d] * step : 0;
        step *= dims[d];
    }
    const long served = row / count;
    float sum = 0.0f;
    for (long n = 0; n < N; n++) {
        float run = 0.0f;
        CB_IN_ORDER
        for (long k = 0; k < served; k++) {
            const long i = n * row + base + broadcast_param_served(k, BROADCAST_PARAM_PASSED);
            run += use == 1 ? dy[i] * x[i] : dy[i];
        }
        sum += run;
    }
    dw[j] = accumulate ? dw[j] + sum : sum;
}
