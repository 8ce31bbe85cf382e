/* softmax.cl: over rows of `classes` neighbours, y = exp(x - max) / sum(exp(x - max)); dx = y (dy - sum(dy y)).
 * x, y, dy, dx: [rows, classes]. One work-item a row; 16 neighbours at a time, the lanes are summed in a fixed order.
 * y may be x; dx may be dy. */
#include "exp.clh"
#include "softmax.clh"

__kernel void softmax_forward(__global float *y, __global const float *x, long rows, long classes)
{
    const long row = get_global_id(0);
    if (row >= rows) {
        return;
    }
    x += row * classes;
    y += row * classes;
    const float largest = softmax_largest(x, classes);

    float16 total = (float16)(0.0f);
    long k = 0;
    for (; k + 16 <= classes; k += 16) {
        const float16 e = cb_exp(vload16(0, x + k) - largest);
        vstore16(e, 0, y + k);
        total += e;
    }
    float sum = softmax_sum16(total);
    CB_IN_ORDER
    for (; k < classes; k++) {
        const float e = cb_exp(x[k] - largest);
        y[k] = e;
        sum += e;
    }

    const float scale = 1.0f / sum;
    for (k = 0; k + 16 <= classes; k += 16) {
        vstore16(vload16(0, y + k) * scale, 0, y + k);
    }
    for (; k < classes; k++) {
        y[k] *= scale;
    }
}

__kernel void softmax_dx(__global float *dx, __global const float *dy, __global const float *y, long rows, long classes,
                         int accumulate)
{
    const long row = get_global_id(0);
    if (row >= rows) {
        return;
    }
    dx += row * classes;
    dy += row * classes;
    y += row * classes;

    float16 total = (float16)(0.0f);
    long k = 0;
    for (; k + 16 <= classes; k += 16) {
        total += vload16(0, dy + k) * vload16(0, y + k);
    }
    float dot_gy = softmax_sum16(total);
    CB_IN_ORDER
    for (; k < classes; k++) {
        dot_gy += dy[k] * y[k];
    }

    for (k = 0; k + 16 <= classes; k += 16) {
        const float16 g = vload16(0, y + k) * (vload16(0, dy + k) - dot_gy);
        vstore16(accumulate ? vload16(0, dx + k) + g : g, 0, dx + k);
    }
    for (; k < classes; k++) {
        const float g = y[k] * (dy[k] - dot_gy);
        dx[k] = accumulate ? dx[k] + g : g;
    }
}
