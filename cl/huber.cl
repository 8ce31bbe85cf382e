/* huber.cl: e = x - t; loss[n] = mean over the K values of e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2);
 * dx = dy clamp(e, -delta, delta) / K. x, t, dx: [N,K]; loss, weight, dy: [N]. */

__kernel void huber_forward(__global float *loss, __global float *weight, __global const float *x,
                            __global const float *t, long N, long K, float delta)
{
    const long n = get_global_id(0);
    if (n >= N) {
        return;
    }
    x += n * K;
    t += n * K;
    float sum = 0.0f;
    for (long k = 0; k < K; k++) {
        const float e = fabs(x[k] - t[k]);
        sum += e <= delta ? 0.5f * e * e : delta * (e - 0.5f * delta);
    }
    loss[n] = sum / (float)K;
    weight[n] = 1.0f;
}

__kernel void huber_dx(__global float *dx, __global const float *dy, __global const float *x, __global const float *t,
                       long N, long K, float delta, int accumulate)
{
    const long k = get_global_id(0), n = get_global_id(1);
    if (k >= K || n >= N) {
        return;
    }
    const long i = n * K + k;
    const float e = x[i] - t[i];
    const float bounded = e > delta ? delta : e < -delta ? -delta : e; /* keeps NaN, unlike clamp */
    const float g = dy[n] * bounded / (float)K;
    dx[i] = accumulate ? dx[i] + g : g;
}
