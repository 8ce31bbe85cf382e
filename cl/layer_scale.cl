/* layer_scale.cl: y = w x; dx = w dy; dw = sum of dy x. x, y, dy, dx: [rows, C]; w, dw: [C]. y may be x; dx may be dy.
 * dw is taken in two stages, in an order that depends on the shape alone: each part (part_rows neighbouring rows) sums
 * its rows in runs of LAYER_SCALE_RUN, then one work-item a channel adds the parts in order.
 *   parts: [part_count, C] */
#include "cambium.clh"
#include "epilogue.clh"

#define LAYER_SCALE_RUN 64

/* Work-items: (C, rows). */
__kernel void layer_scale_forward(__global float *y, __global const float *x, __global const float *w, long rows,
                                  int C CB_EPILOGUE_PARAMS)
{
    const int c = get_global_id(0);
    const long row = get_global_id(1);
    if (c < C && row < rows) {
        CB_STORE(y, row * C + c, w[c] * x[row * C + c], c);
    }
}

/* Work-items: (C, rows). */
__kernel void layer_scale_dx(__global float *dx, __global const float *dy, __global const float *w, long rows, int C,
                             int accumulate)
{
    const int c = get_global_id(0);
    const long row = get_global_id(1);
    if (c < C && row < rows) {
        const float g = w[c] * dy[row * C + c];
        dx[row * C + c] = accumulate ? dx[row * C + c] + g : g;
    }
}

/* Work-items: (C, part_count). */
__kernel void layer_scale_parts(__global float *parts, __global const float *dy, __global const float *x, long rows,
                                int C, int part_count, long part_rows)
{
    const int c = get_global_id(0), part = get_global_id(1);
    if (c >= C || part >= part_count) {
        return;
    }
    const long last = min((part + 1) * part_rows, rows);
    float sum = 0.0f;
    for (long begin = part * part_rows; begin < last; begin += LAYER_SCALE_RUN) {
        const long end = min(begin + LAYER_SCALE_RUN, last);
        float run = 0.0f;
        CB_IN_ORDER
        for (long row = begin; row < end; row++) {
            run = CB_FMA(dy[row * C + c], x[row * C + c], run);
        }
        sum += run;
    }
    parts[(long)part * C + c] = sum;
}

/* Work-items: (C). */
__kernel void layer_scale_dw(__global float *dw, __global const float *parts, int C, int part_count, int accumulate)
{
    const int c = get_global_id(0);
    if (c >= C) {
        return;
    }
    float sum = 0.0f;
    CB_IN_ORDER
    for (int part = 0; part < part_count; part++) {
        sum += parts[(long)part * C + c];
    }
    dw[c] = accumulate ? dw[c] + sum : sum;
}
