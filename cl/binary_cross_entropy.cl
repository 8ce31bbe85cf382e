/* binary_cross_entropy.cl: with targets t (yes_no.clh) moved towards one half by the smoothing s, weights w and pos:
 *     loss[n] = mean over k of w[k] (pos[k] t softplus(-x) + (1 - t) softplus(x))
 *     dx[n,k] = dy[n] w[k] ((1 - t) sigmoid(x) - pos[k] t sigmoid(-x)) / K
 * x, t, dx: [N,K]; labels, loss, weight, dy: [N]; w, pos: [K]. */
#include "cambium.clh"
#include "yes_no.clh"

__kernel void binary_cross_entropy_forward(__global float *loss, __global float *weight, __global const float *x,
                                           __global const float *t, __global const int *labels, __global const float *w,
                                           __global const float *pos, long N, long K, float smoothing)
{
    const long n = get_global_id(0);
    if (n >= N) {
        return;
    }
    float sum = 0.0f;
    CB_IN_ORDER
    for (long k = 0; k < K; k++) {
        const float yes = (1.0f - smoothing) * cb_yes_no(t, labels, n, k, K) + 0.5f * smoothing;
        const float v = x[n * K + k];
        sum += w[k] * (pos[k] * yes * cb_softplus(-v) + (1.0f - yes) * cb_softplus(v));
    }
    loss[n] = cb_is_left_out(labels, n) ? 0.0f : sum / (float)K;
    weight[n] = cb_is_left_out(labels, n) ? 0.0f : 1.0f;
}

__kernel void binary_cross_entropy_dx(__global float *dx, __global const float *dy, __global const float *x,
                                      __global const float *t, __global const int *labels, __global const float *w,
                                      __global const float *pos, long N, long K, float smoothing, int accumulate)
{
    const long k = get_global_id(0), n = get_global_id(1);
    if (k >= K || n >= N) {
        return;
    }
    const long i = n * K + k;
    const float yes = (1.0f - smoothing) * cb_yes_no(t, labels, n, k, K) + 0.5f * smoothing;
    const float slope = w[k] * ((1.0f - yes) * cb_sigmoid(x[i]) - pos[k] * yes * cb_sigmoid(-x[i]));
    const float g = cb_is_left_out(labels, n) ? 0.0f : dy[n] * slope / (float)K;
    dx[i] = accumulate ? dx[i] + g : g;
}

__kernel void binary_cross_entropy_set_weight(__global float *w, int k, float value)
{
    if (get_global_id(0) > 0) {
        return;
    }
    w[k] = value;
}
