/* triplet.cl: with v = a - b + 1e-6 and d(a, b) = (sum |v|^p)^(1/p):
 *     loss = max(0, d(a, q) - d(a, m) + margin)
 *     da = dy (g(a, q) - g(a, m)), dq = -dy g(a, q), dm = dy g(a, m) where loss > 0, else 0;
 *     g = sign(v) (|v| / d)^(p - 1), 0 where d is 0
 * anchor a, positive q, negative m and their gradients (NULL: not wanted): [N,C]; loss, weight, dy: [N].
 * One work-item a triplet. */
#include "cambium.clh"

static float triplet_distance(__global const float *a, __global const float *b, long C, float p)
{
    float sum = 0.0f;
    CB_IN_ORDER
    for (long c = 0; c < C; c++) {
        const float v = fabs(a[c] - b[c] + 1e-6f);
        sum += p == 2.0f ? v * v : p == 1.0f ? v : pow(v, p);
    }
    return p == 2.0f ? sqrt(sum) : p == 1.0f ? sum : pow(sum, 1.0f / p);
}

static float triplet_slope(float a, float b, float d, float p)
{
    const float v = a - b + 1e-6f, size = p == 1.0f ? 1.0f : p == 2.0f ? fabs(v) / d : pow(fabs(v) / d, p - 1.0f);
    return d == 0.0f || v == 0.0f ? 0.0f : v > 0.0f ? size : -size;
}

__kernel void triplet_forward(__global float *loss, __global float *weight, __global const float *a,
                              __global const float *q, __global const float *m, long N, long C, float margin, float p)
{
    const long n = get_global_id(0);
    if (n >= N) {
        return;
    }
    const long row = n * C;
    const float far = triplet_distance(a + row, q + row, C, p) - triplet_distance(a + row, m + row, C, p) + margin;
    loss[n] = far < 0.0f ? 0.0f : far;
    weight[n] = 1.0f;
}

__kernel void triplet_dx(__global float *da, __global float *dq, __global float *dm, __global const float *dy,
                         __global const float *a, __global const float *q, __global const float *m, long N, long C,
                         float margin, float p, int accumulate)
{
    const long n = get_global_id(0);
    if (n >= N) {
        return;
    }
    const long row = n * C;
    const float near = triplet_distance(a + row, q + row, C, p), away = triplet_distance(a + row, m + row, C, p);
    const float g = near - away + margin < 0.0f ? 0.0f : dy[n];
    for (long i = row; i < row + C; i++) {
        const float to_q = g * triplet_slope(a[i], q[i], near, p), to_m = g * triplet_slope(a[i], m[i], away, p);
        if (da) {
            da[i] = accumulate & 1 ? da[i] + (to_q - to_m) : to_q - to_m;
        }
        if (dq) {
            dq[i] = accumulate & 2 ? dq[i] - to_q : -to_q;
        }
        if (dm) {
            dm[i] = accumulate & 4 ? dm[i] + to_m : to_m;
        }
    }
}
