/* prelu.cl: y = x where x > 0, else w x; dx = dy where x > 0, else w dy; dw = sum of dy x where x <= 0.
 * x, y, dy, dx: [rows, C]; w, dw: [C], or [1] when `shared`. y may be x; dx may be dy. dw is taken in two stages, in
 * an order that depends on the shape alone: each part (part_rows neighbouring rows) sums its rows in runs of PRELU_RUN,
 * then one work-item a param adds the parts in order.
 *   parts: [part_count, C] */
#include "cambium.clh"
#include "epilogue.clh"

#define PRELU_RUN 64

__kernel void prelu_forward(__global float *y, __global const float *x, __global const float *w, long rows, int C,
                            int shared CB_EPILOGUE_PARAMS)
{
    const int c = get_global_id(0);
    const long row = get_global_id(1);
    if (c >= C || row >= rows) {
        return;
    }
    const float v = x[row * C + c];
    CB_STORE(y, row * C + c, v > 0.0f ? v : w[shared ? 0 : c] * v, c);
}

__kernel void prelu_dx(__global float *dx, __global const float *dy, __global const float *x, __global const float *w,
                       long rows, int C, int shared, int accumulate)
{
    const int c = get_global_id(0);
    const long row = get_global_id(1);
    if (c >= C || row >= rows) {
        return;
    }
    const long i = row * C + c;
    const float g = x[i] > 0.0f ? dy[i] : w[shared ? 0 : c] * dy[i];
    dx[i] = accumulate ? dx[i] + g : g;
}

__kernel void prelu_parts(__global float *parts, __global const float *dy, __global const float *x, long rows, int C,
                          int part_count, long part_rows)
{
    const int c = get_global_id(0), part = get_global_id(1);
    if (c >= C || part >= part_count) {
        return;
    }
    const long last = min((part + 1) * part_rows, rows);
    float sum = 0.0f;
    for (long begin = part * part_rows; begin < last; begin += PRELU_RUN) {
        const long end = min(begin + PRELU_RUN, last);
        float run = 0.0f;
        CB_IN_ORDER
        for (long row = begin; row < end; row++) {
            const float v = x[row * C + c];
            run += v > 0.0f ? 0.0f : dy[row * C + c] * v;
        }
        sum += run;
    }
    parts[(long)part * C + c] = sum;
}

__kernel void prelu_dw(__global float *dw, __global const float *parts, int C, int part_count, int shared,
                       int accumulate)
{
    const int c = get_global_id(0);
    if (c >= (shared ? 1 : C)) {
        return;
    }
    float sum = 0.0f;
    for (int part = 0; part < part_count; part++) {
        float run = 0.0f;
        CB_IN_ORDER
        for (int k = c; k < (shared ? C : c + 1); k++) {
            run += parts[(long)part * C + k];
        }
        sum += run;
    }
    dw[c] = accumulate ? dw[c] + sum : sum;
}
