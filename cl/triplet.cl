/* triplet.cl: with v = a - b + 1e-6 and d(a, b) = (sum |v|^p)^(1/p):
 *     loss = max(0, d(a, q) - d(a, m) + margin)
 *     da = dy (g(a, q) - g(a, m)), dq = -dy g(a, q), dm = dy g(a, m) where loss > 0, else 0;
 *     g = sign(v) (|v| / d)^(p - 1), 0 where d is 0
 * anchor a, positive q, negative m and their gradients (NULL: not wanted): [N,C]; loss, weight, dy: [N].
 * One work-item a triplet.
 * Mined out of the batch: x, dx: [N,C]; labels: [N]; chosen (positive, negative; -1: no value; may be NULL in forward):
 * [N,2]. One work-item a sample. */
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

__kernel void triplet_mined_forward(__global float *loss, __global float *weight, __global int *chosen,
                                    __global const float *x, __global const int *labels, long N, long C, float margin,
                                    float p)
{
    const long i = get_global_id(0);
    if (i >= N) {
        return;
    }
    int q = -1, m = -1;
    float near = 0.0f, away = 0.0f; /* of the farthest of the class, of the nearest of others */
    for (long j = 0; j < N && labels[i] >= 0; j++) {
        if (j == i || labels[j] < 0) {
            continue;
        }
        const float d = triplet_distance(x + i * C, x + j * C, C, p);
        if (labels[j] == labels[i] && (q < 0 || d > near)) {
            q = (int)j;
            near = d;
        } else if (labels[j] != labels[i] && (m < 0 || d < away)) {
            m = (int)j;
            away = d;
        }
    }
    const bool counts = q >= 0 && m >= 0;
    const float far = near - away + margin;
    loss[i] = !counts || far < 0.0f ? 0.0f : far;
    weight[i] = counts ? 1.0f : 0.0f;
    if (chosen) {
        chosen[2 * i] = !counts || far < 0.0f ? -1 : q;
        chosen[2 * i + 1] = !counts || far < 0.0f ? -1 : m;
    }
}

/* dx += scale slope(a, b), the gradient of d(a, b) by a. */
static void triplet_pull(__global float *dx, __global const float *a, __global const float *b, float scale, long C,
                         float p)
{
    const float d = triplet_distance(a, b, C, p);
    for (long c = 0; c < C; c++) {
        dx[c] += scale * triplet_slope(a[c], b[c], d, p);
    }
}

__kernel void triplet_mined_dx(__global float *dx, __global const float *dy, __global const int *chosen,
                               __global const float *x, long N, long C, float p, int accumulate)
{
    const long i = get_global_id(0);
    if (i >= N) {
        return;
    }
    dx += i * C;
    for (long c = 0; c < C && !accumulate; c++) {
        dx[c] = 0.0f;
    }
    for (long a = 0; a < N; a++) { /* each anchor that chose this sample, and this sample as an anchor */
        const int q = chosen[2 * a], m = chosen[2 * a + 1];
        if (q < 0) {
            continue;
        }
        if (a == i) {
            triplet_pull(dx, x + i * C, x + q * C, dy[a], C, p);
            triplet_pull(dx, x + i * C, x + m * C, -dy[a], C, p);
        } else if (q == i) {
            triplet_pull(dx, x + a * C, x + i * C, -dy[a], C, p);
        } else if (m == i) {
            triplet_pull(dx, x + a * C, x + i * C, dy[a], C, p);
        }
    }
}
