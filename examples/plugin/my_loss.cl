/* my_loss.cl: log cosh of the errors e = s - t. s, t, ds (N,K); value, weight, dy (N).
 * log(cosh(e)) = |e| + log(1 + exp(-2 |e|)) - log(2), which cannot overflow. */

/* One work-item for each n. */
__kernel void my_loss_forward(__global float *value, __global float *weight, __global const float *s,
                              __global const float *t, long N, long K)
{
    const long n = get_global_id(0);
    if (n >= N) {
        return;
    }
    float sum = 0.0f;
    for (long k = 0; k < K; k++) {
        const float e = fabs(s[n * K + k] - t[n * K + k]);
        sum += e + log1p(exp(-2.0f * e)) - M_LN2_F;
    }
    value[n] = sum / (float)K;
    weight[n] = 1.0f;
}

/* One work-item for each (k, n). */
__kernel void my_loss_dx(__global float *ds, __global const float *dy, __global const float *s, __global const float *t,
                         long N, long K, int accumulate)
{
    const long k = get_global_id(0), n = get_global_id(1);
    if (k >= K || n >= N) {
        return;
    }
    const long i = n * K + k;
    const float g = dy[n] * tanh(s[i] - t[i]) / (float)K;
    ds[i] = accumulate ? ds[i] + g : g;
}
