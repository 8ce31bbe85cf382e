/* kl.cl: with logp = x - max - log(sum(exp(x - max))) over the K scores of a sample and target probabilities t:
 *     loss[n] = sum over k of t (log(t) - logp)
 *     dx[k] = dy (exp(logp[k]) sum_j t[j] - t[k])
 * x, t, dx: [N,K]; loss, weight, dy: [N]. One work-item a sample. */
#include "cambium.clh"

/* The largest score and log(sum(exp(score - largest))). */
static float2 kl_normaliser(__global const float *x, long K)
{
    float largest = x[0], sum = 0.0f;
    for (long k = 1; k < K; k++) {
        largest = fmax(largest, x[k]);
    }
    CB_IN_ORDER
    for (long k = 0; k < K; k++) {
        sum += exp(x[k] - largest);
    }
    return (float2)(largest, log(sum));
}

__kernel void kl_forward(__global float *loss, __global float *weight, __global const float *x, __global const float *t,
                         long N, long K)
{
    const long n = get_global_id(0);
    if (n >= N) {
        return;
    }
    x += n * K;
    t += n * K;
    const float2 normaliser = kl_normaliser(x, K);
    float sum = 0.0f;
    CB_IN_ORDER
    for (long k = 0; k < K; k++) {
        sum += t[k] == 0.0f ? 0.0f : t[k] * (log(t[k]) - (x[k] - normaliser.x - normaliser.y));
    }
    loss[n] = sum;
    weight[n] = 1.0f;
}

__kernel void kl_dx(__global float *dx, __global const float *dy, __global const float *x, __global const float *t,
                    long N, long K, int accumulate)
{
    const long n = get_global_id(0);
    if (n >= N) {
        return;
    }
    x += n * K;
    t += n * K;
    dx += n * K;
    const float2 normaliser = kl_normaliser(x, K);
    float total = 0.0f;
    CB_IN_ORDER
    for (long k = 0; k < K; k++) {
        total += t[k];
    }
    for (long k = 0; k < K; k++) {
        const float g = dy[n] * (exp(x[k] - normaliser.x - normaliser.y) * total - t[k]);
        dx[k] = accumulate ? dx[k] + g : g;
    }
}
