/* my_pool.cl: y[n,c] = w[c] mean over p of x[n,p,c]. x, dx (N,P,C); y, dy, mean (N,C); w, dw (C).
 * Global sizes may be larger than asked for, so each kernel begins with its bounds. Sums run in one order always. */

/* One work-item for each (c, n). `mean` is NULL where no gradient will be asked for. */
__kernel void my_pool_forward(__global float *y, __global float *mean, __global const float *x, __global const float *w,
                              long N, long P, long C)
{
    const long c = get_global_id(0), n = get_global_id(1);
    if (c >= C || n >= N) {
        return;
    }
    float sum = 0.0f;
    for (long p = 0; p < P; p++) {
        sum += x[(n * P + p) * C + c];
    }
    const float m = sum / (float)P;
    if (mean) {
        mean[n * C + c] = m;
    }
    y[n * C + c] = w[c] * m;
}

/* One work-item for each (c, p, n). */
__kernel void my_pool_dx(__global float *dx, __global const float *dy, __global const float *w, long N, long P, long C,
                         int accumulate)
{
    const long c = get_global_id(0), p = get_global_id(1), n = get_global_id(2);
    if (c >= C || p >= P || n >= N) {
        return;
    }
    const long i = (n * P + p) * C + c;
    const float g = w[c] * dy[n * C + c] / (float)P;
    dx[i] = accumulate ? dx[i] + g : g;
}

/* One work-item for each c, which no other one writes: no atomics, and the same bits in every run. */
__kernel void my_pool_dw(__global float *dw, __global const float *dy, __global const float *mean, long N, long C,
                         int accumulate)
{
    const long c = get_global_id(0);
    if (c >= C) {
        return;
    }
    float sum = accumulate ? dw[c] : 0.0f;
    for (long n = 0; n < N; n++) {
        sum += dy[n * C + c] * mean[n * C + c];
    }
    dw[c] = sum;
}
