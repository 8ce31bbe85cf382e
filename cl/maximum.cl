/* maximum.cl: y = the largest of the x that each y stands for, NaN where there is one; dx = dy / count at the count
 * places that hold it, 0 elsewhere. One work-item an element of y. */
#include "reduce.clh"

__kernel void maximum_forward(__global float *y, __global const float *x, REDUCTION)
{
    const long i = get_global_id(0);
    if (i >= outputs) {
        return;
    }
    x += REDUCE_BASE(i);
    float best = -INFINITY;
    REDUCE_LINES(line) {
        for (int d = 0; d < r3; d++) {
            const float v = x[line + d * t3];
            best = v > best || isnan(v) ? v : best;
        }
    }
    y[i] = best;
}

__kernel void maximum_dx(__global float *dx, __global const float *dy, __global const float *x, __global const float *y,
                         REDUCTION, int accumulate)
{
    const long i = get_global_id(0);
    if (i >= outputs) {
        return;
    }
    const float best = y[i];
    x += REDUCE_BASE(i);
    dx += REDUCE_BASE(i);
    int count = 0;
    REDUCE_LINES(line) {
        for (int d = 0; d < r3; d++) {
            count += x[line + d * t3] == best;
        }
    }
    const float share = dy[i] / (float)max(count, 1);
    REDUCE_LINES(line) {
        for (int d = 0; d < r3; d++) {
            const long at = line + d * t3;
            const float g = x[at] == best ? share : 0.0f;
            dx[at] = accumulate ? dx[at] + g : g;
        }
    }
}
