/* l1.cl: loss[n] = mean over the K values of |x - t|; dx = dy sign(x - t) / K, 0 where x is t.
 * x, t, dx: [N,K]; loss, weight, dy: [N]. */
#include "cambium.clh"

__kernel void l1_forward(__global float *loss, __global float *weight, __global const float *x, __global const float *t,
                         long N, long K)
{
    const long n = get_global_id(0);
    if (n >= N) {
        return;
    }
    x += n * K;
    t += n * K;
    float sum = 0.0f;
    CB_IN_ORDER
    for (long k = 0; k < K; k++) {
        sum += fabs(x[k] - t[k]);
    }
    loss[n] = sum / (float)K;
    weight[n] = 1.0f;
}

__kernel void l1_dx(__global float *dx, __global const float *dy, __global const float *x, __global const float *t,
                    long N, long K, int accumulate)
{
    const long k = get_global_id(0), n = get_global_id(1);
    if (k >= K || n >= N) {
        return;
    }
    const long i = n * K + k;
    const float e = x[i] - t[i];
    const float side = e > 0.0f ? 1.0f : e < 0.0f ? -1.0f : e; /* keeps NaN, unlike sign */
    const float g = dy[n] * side / (float)K;
    dx[i] = accumulate ? dx[i] + g : g;
}
