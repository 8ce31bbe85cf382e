/* cross_entropy.cl: with logp = x - max - log(sum(exp(x - max))) over the K scores of a sample, target t, class weights
 * w (all 1 when NULL) and label smoothing s:
 *     loss = (1 - s) w[t] (-logp[t]) + s/K sum_k w[k] (-logp[k])
 *     dx[k] = dy ((1 - s) w[t] (p[k] - [k = t]) + s/K (p[k] sum_j w[j] - w[k]))
 * x, dx: [N,K]; targets: [N]; loss, weight, dy: [N]; w: [K]. One work-item a sample. Target -1: loss, weight and
 * gradient are 0; any other target outside 0 to K-1: NaN. */

/* The largest score and log(sum(exp(score - largest))). */
static float2 cross_entropy_normaliser(__global const float *x, int K)
{
    float largest = x[0];
    for (int k = 1; k < K; k++) {
        largest = fmax(largest, x[k]);
    }
    float16 total = (float16)(0.0f);
    int k = 0;
    for (; k + 16 <= K; k += 16) {
        total += exp(vload16(0, x + k) - largest);
    }
    const float8 eight = total.lo + total.hi;
    const float4 four = eight.lo + eight.hi;
    float sum = (four.x + four.z) + (four.y + four.w);
    for (; k < K; k++) {
        sum += exp(x[k] - largest);
    }
    return (float2)(largest, log(sum));
}

__kernel void cross_entropy_forward(__global float *loss, __global float *weight, __global const float *x,
                                    __global const int *targets, __global const float *w, int N, int K, float smoothing)
{
    const int n = get_global_id(0);
    if (n >= N) {
        return;
    }
    const int t = targets[n];
    if (t < 0 || t >= K) {
        loss[n] = t == -1 ? 0.0f : NAN;
        weight[n] = t == -1 ? 0.0f : 1.0f;
        return;
    }
    x += (long)n * K;
    const float2 normaliser = cross_entropy_normaliser(x, K);
    const float own = w ? w[t] : 1.0f;
    float value = (1.0f - smoothing) * own * (normaliser.y - (x[t] - normaliser.x));
    if (smoothing > 0.0f) {
        float all = 0.0f;
        for (int k = 0; k < K; k++) {
            all += (w ? w[k] : 1.0f) * (normaliser.y - (x[k] - normaliser.x));
        }
        value += smoothing / (float)K * all;
    }
    loss[n] = value;
    weight[n] = own;
}

__kernel void cross_entropy_dx(__global float *dx, __global const float *dy, __global const float *x,
                               __global const int *targets, __global const float *w, int N, int K, float smoothing,
                               int accumulate)
{
    const int n = get_global_id(0);
    if (n >= N) {
        return;
    }
    const int t = targets[n];
    const bool counts = t >= 0 && t < K;
    x += (long)n * K;
    dx += (long)n * K;
    const float2 normaliser = cross_entropy_normaliser(x, K);
    const float own = counts ? (1.0f - smoothing) * (w ? w[t] : 1.0f) : 0.0f;
    const float each = counts ? smoothing / (float)K : 0.0f;
    float sum_w = (float)K;
    if (w) {
        sum_w = 0.0f;
        for (int k = 0; k < K; k++) {
            sum_w += w[k];
        }
    }
    const float g = counts ? dy[n] : t == -1 ? 0.0f : NAN;
    for (int k = 0; k < K; k++) {
        const float p = exp(x[k] - normaliser.x - normaliser.y);
        const float value = g * (own * (p - (k == t ? 1.0f : 0.0f)) + each * (p * sum_w - (w ? w[k] : 1.0f)));
        dx[k] = accumulate ? dx[k] + value : value;
    }
}

__kernel void cross_entropy_set_weight(__global float *w, int k, float value)
{
    if (get_global_id(0) > 0) {
        return;
    }
    w[k] = value;
}
