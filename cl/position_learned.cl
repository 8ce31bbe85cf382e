/* position_learned.cl: y[n,t,c] = x[n,t,c] + w[t,c]. x, y, dy, dx [N,row] with row = T C; w and dw have such a row behind
 * `before` numbers, and may go on. One work-item makes one number. y may be x; dx may be dy. */

/* Work-items: (row, N). */
__kernel void position_learned_forward(__global float *y, __global const float *x, __global const float *w, long N,
                                       long row, long before)
{
    const long i = get_global_id(0), n = get_global_id(1);
    if (i < row && n < N) {
        y[n * row + i] = x[n * row + i] + w[before + i];
    }
}

/* Work-items: (count). */
__kernel void position_learned_dx(__global float *dx, __global const float *dy, long count, int accumulate)
{
    const long i = get_global_id(0);
    if (i < count) {
        dx[i] = accumulate ? dx[i] + dy[i] : dy[i];
    }
}

/* dw[before + i] = sum over n of dy[n,i], zero before and behind the row. Work-items: (count), the numbers of w. */
__kernel void position_learned_dw(__global float *dw, __global const float *dy, long N, long row, long before,
                                  long count, int accumulate)
{
    const long i = get_global_id(0);
    if (i >= count) {
        return;
    }
    const long at = i - before;
    float sum = 0.0f;
    for (long n = 0; n < N && at >= 0 && at < row; n++) {
        sum += dy[n * row + at];
    }
    dw[i] = accumulate ? dw[i] + sum : sum;
}
