/* log_softmax.cl: over rows of `classes` neighbours, y = x - max - log(sum(exp(x - max))); dx = dy - exp(y) sum(dy).
 * x, y, dy, dx: [rows, classes]. One work-item a row; 16 neighbours at a time, the lanes are summed in a fixed order.
 * y may be x; dx may be dy. */
#include "exp.clh"
#include "softmax.clh"

__kernel void log_softmax_forward(__global float *y, __global const float *x, long rows, long classes)
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
        total += cb_exp(vload16(0, x + k) - largest);
    }
    float sum = softmax_sum16(total);
    CB_IN_ORDER
    for (; k < classes; k++) {
        sum += cb_exp(x[k] - largest);
    }

    /* not x - (largest + log(sum)): that sum would lose the logarithm's digits beside large scores */
    const float less = log(sum);
    for (k = 0; k + 16 <= classes; k += 16) {
        vstore16(vload16(0, x + k) - largest - less, 0, y + k);
    }
    for (; k < classes; k++) {
        y[k] = x[k] - largest - less;
    }
}

__kernel void log_softmax_dx(__global float *dx, __global const float *dy, __global const float *y, long rows,
                             long classes, int accumulate)
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
        total += vload16(0, dy + k);
    }
    float sum = softmax_sum16(total);
    CB_IN_ORDER
    for (; k < classes; k++) {
        sum += dy[k];
    }

    for (k = 0; k + 16 <= classes; k += 16) {
        const float16 g = vload16(0, dy + k) - cb_exp(vload16(0, y + k)) * sum;
        vstore16(accumulate ? vload16(0, dx + k) + g : g, 0, dx + k);
    }
    for (; k < classes; k++) {
        const float g = dy[k] - cb_exp(y[k]) * sum;
        dx[k] = accumulate ? dx[k] + g : g;
    }
}
