/* focal.cl: with targets t (yes_no.clh), p = sigmoid(x), ce = t softplus(-x) + (1 - t) softplus(x),
 * q = p (1 - t) + (1 - p) t and a = alpha t + (1 - alpha) (1 - t), or 1 when alpha is negative:
 *     loss[n] = mean over k of a q^gamma ce
 *     dx[n,k] = dy[n] a (q^gamma (p - t) + gamma q^(gamma - 1) (1 - 2 t) p (1 - p) ce) / K
 * x, t, dx: [N,K]; labels, loss, weight, dy: [N]. */
#include "cambium.clh"
#include "yes_no.clh"

__kernel void focal_forward(__global float *loss, __global float *weight, __global const float *x,
                            __global const float *t, __global const int *labels, long N, long K, float alpha,
                            float gamma)
{
    const long n = get_global_id(0);
    if (n >= N) {
        return;
    }
    float sum = 0.0f;
    CB_IN_ORDER
    for (long k = 0; k < K; k++) {
        const float v = x[n * K + k], yes = cb_yes_no(t, labels, n, k, K);
        const float share = alpha >= 0.0f ? alpha * yes + (1.0f - alpha) * (1.0f - yes) : 1.0f;
        const float wrong = cb_sigmoid(v) * (1.0f - yes) + cb_sigmoid(-v) * yes;
        sum += share * pow(wrong, gamma) * (yes * cb_softplus(-v) + (1.0f - yes) * cb_softplus(v));
    }
    loss[n] = cb_is_left_out(labels, n) ? 0.0f : sum / (float)K;
    weight[n] = cb_is_left_out(labels, n) ? 0.0f : 1.0f;
}

__kernel void focal_dx(__global float *dx, __global const float *dy, __global const float *x, __global const float *t,
                       __global const int *labels, long N, long K, float alpha, float gamma, int accumulate)
{
    const long k = get_global_id(0), n = get_global_id(1);
    if (k >= K || n >= N) {
        return;
    }
    const long i = n * K + k;
    const float v = x[i], yes = cb_yes_no(t, labels, n, k, K), p = cb_sigmoid(v), p_not = cb_sigmoid(-v);
    const float share = alpha >= 0.0f ? alpha * yes + (1.0f - alpha) * (1.0f - yes) : 1.0f;
    const float wrong = p * (1.0f - yes) + p_not * yes;
    const float ce = yes * cb_softplus(-v) + (1.0f - yes) * cb_softplus(v);
    /* where nothing is wrong any more, 0 to a negative power meets a factor that is 0 too */
    const float bend = wrong > 0.0f ? gamma * pow(wrong, gamma - 1.0f) * (1.0f - 2.0f * yes) * p * p_not * ce : 0.0f;
    const float slope = share * (pow(wrong, gamma) * (p * (1.0f - yes) - p_not * yes) + bend);
    const float g = cb_is_left_out(labels, n) ? 0.0f : dy[n] * slope / (float)K;
    dx[i] = accumulate ? dx[i] + g : g;
}
