/* sum.cl: y = scale * sum of the x that each y stands for; dx = scale * dy. One work-item an element of y; a line is
 * summed in chunks of 64, then the chunks and the lines: short sums round little. */
#include "reduce.clh"

#define CHUNK 64

__kernel void sum_forward(__global float *y, __global const float *x, REDUCTION, float scale)
{
    const long i = get_global_id(0);
    if (i >= outputs) {
        return;
    }
    x += REDUCE_BASE(i);
    float sum = 0.0f;
    REDUCE_LINES(line) {
        float line_sum = 0.0f;
        for (int done = 0; done < r3; done += CHUNK) {
            const int end = min(done + CHUNK, r3);
            float part = 0.0f;
            CB_IN_ORDER
            for (int d = done; d < end; d++) {
                part += x[line + d * t3];
            }
            line_sum += part;
        }
        sum += line_sum;
    }
    y[i] = sum * scale;
}

__kernel void sum_dx(__global float *dx, __global const float *dy, REDUCTION, float scale, int accumulate)
{
    const long i = get_global_id(0);
    if (i >= outputs) {
        return;
    }
    const float g = dy[i] * scale;
    dx += REDUCE_BASE(i);
    REDUCE_LINES(line) {
        for (int d = 0; d < r3; d++) {
            const long at = line + d * t3;
            dx[at] = accumulate ? dx[at] + g : g;
        }
    }
}
