/* position_sinusoidal.cl: adds sin and cos of t base^(-2i/C) to channels 2i and 2i+1 of x [N,T,C], or to i and C/2 + i
 * with `halves`. y may be x; dx may be dy. */
#include "positions.clh"

/* Work-items: (C / 2, N * T). */
__kernel void position_sinusoidal_forward(__global float *y, __global const float *x, long rows, int T, int C,
                                          int halves, float log_base, float log_base_rest)
{
    const int i = get_global_id(0);
    const long row = get_global_id(1);
    if (i >= C / 2 || row >= rows) {
        return;
    }
    const float2 turn = cb_position_angle(row % T, i, C, log_base, log_base_rest);
    const long sine = row * C + (halves ? i : 2 * i), cosine = halves ? sine + C / 2 : sine + 1;
    y[sine] = x[sine] + turn.y;
    y[cosine] = x[cosine] + turn.x;
}

/* Work-items: (count). */
__kernel void position_sinusoidal_dx(__global float *dx, __global const float *dy, long count, int accumulate)
{
    const long i = get_global_id(0);
    if (i < count) {
        dx[i] = accumulate ? dx[i] + dy[i] : dy[i];
    }
}
