/* mse.cl: loss[n] = mean over the K values of (x - t)^2; dx = dy 2 (x - t) / K.
 * x, t, dx: [N,K]; loss, weight, dy: [N]. */

__kernel void mse_forward(__global float *loss, __global float *weight, __global const float *x,
                          __global const float *t, long N, long K)
{
    const long n = get_global_id(0);
    if (n >= N) {
        return;
    }
    x += n * K;
    t += n * K;
    float sum = 0.0f;
    for (long k = 0; k < K; k++) {
        const float e = x[k] - t[k];
        sum += e * e;
    }
    loss[n] = sum / (float)K;
    weight[n] = 1.0f;
}

__kernel void mse_dx(__global float *dx, __global const float *dy, __global const float *x, __global const float *t,
                     long N, long K, int accumulate)
{
    const long k = get_global_id(0), n = get_global_id(1);
    if (k >= K || n >= N) {
        return;
    }
    const long i = n * K + k;
    const float g = dy[n] * 2.0f * (x[i] - t[i]) / (float)K;
    dx[i] = accumulate ? dx[i] + g : g;
}
