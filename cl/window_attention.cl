/* window_attention.cl: attention within windows of a picture, for any device. One work-item makes one head of one pixel's
 * output, or of its gradients, or one number of the table's; scores are made again wherever they are needed. Sums run over
 * the pixels of a window in order.
 *
 *   z[k] = scale q.k + w[distance], lse = log(sum over k of exp(z[k])), y = sum over k of exp(z[k] - lse) v[k]
 *
 * x and dx [N,H,W,3,heads,D] (queries, keys, values), y and dy [N,H,W,heads,D], w [(2 S - 1)^2, heads], lse and delta
 * [N,heads,H,W]. Windows of S x S pixels: place (i, j) of the moved picture is pixel ((i + shift_h) % H,
 * (j + shift_w) % W). */
#include "window_attention.clh"
#include "epilogue.clh"

static float window_attention_dot(__global const float *a, __global const float *b, int count)
{
    float sum = 0.0f;
    CB_IN_ORDER
    for (int i = 0; i < count; i++) {
        sum = CB_FMA(a[i], b[i], sum);
    }
    return sum;
}

/* lse NULL: is not kept. Work-items: (H W, heads, N). */
__kernel void window_attention_forward(__global float *y, __global float *lse, __global const float *x,
                                       __global const float *w, SIZES CB_EPILOGUE_PARAMS)
{
    const int pixel = get_global_id(0), h = get_global_id(1), n = get_global_id(2), C = heads * D;
    if (pixel >= H * W || h >= heads || n >= N) {
        return;
    }
    const int i = window_attention_place(pixel / W, shift_h, H), j = window_attention_place(pixel % W, shift_w, W);
    const int i0 = i / S * S, j0 = j / S * S;
    const long row = (long)n * H * W + pixel;
    __global const float *q = x + row * 3 * C + h * D;
    x += (long)n * H * W * 3 * C + h * D;
    y += row * C + h * D;

    float largest = -INFINITY, sum = 0.0f;
    for (int d = 0; d < D; d++) {
        y[d] = 0.0f;
    }
    for (int pass = 0; pass < 2; pass++) { /* the largest and the sum of exponentials; then the values */
        CB_IN_ORDER
        for (int k = 0; k < S * S; k++) {
            const int ki = i0 + k / S, kj = j0 + k % S;
            if (!window_attention_meet(i, ki, shift_h, H) || !window_attention_meet(j, kj, shift_w, W)) {
                continue;
            }
            __global const float *key = x + ((long)window_attention_pixel(ki, shift_h, H) * W +
                                             window_attention_pixel(kj, shift_w, W)) * 3 * C + C;
            const float z = scale * window_attention_dot(q, key, D) +
                            w[(long)window_attention_distance(i - ki, j - kj, S) * heads + h];
            if (pass == 0) {
                const float top = fmax(largest, z);
                sum = sum * exp(largest - top) + exp(z - top);
                largest = top;
            } else {
                const float p = exp(z - largest) / sum;
                for (int d = 0; d < D; d++) {
                    y[d] = CB_FMA(p, key[C + d], y[d]);
                }
            }
        }
    }
    y -= row * C + h * D;
    for (int d = 0; d < D; d++) {
        const long index = row * C + h * D + d;
        const float value = y[index];
        CB_STORE(y, index, value, h * D + d);
    }
    if (lse) {
        lse[((long)n * heads + h) * H * W + pixel] = largest + log(sum);
    }
}

/* delta = dy.y of the row. Work-items: (H W, heads, N). */
__kernel void window_attention_delta(__global float *delta, __global const float *dy, __global const float *y, int N,
                                     int HW, int heads, int D)
{
    const int pixel = get_global_id(0), h = get_global_id(1), n = get_global_id(2);
    if (pixel >= HW || h >= heads || n >= N) {
        return;
    }
    const long at = (((long)n * HW + pixel) * heads + h) * D;
    delta[((long)n * heads + h) * HW + pixel] = window_attention_dot(dy + at, y + at, D);
}

#define BACKWARD                                                                                                       \
    __global const float *x, __global const float *w, __global const float *dy, __global const float *lse,             \
        __global const float *delta, int accumulate

/* What both gradients make of query and key, given as places and as pixels: p, and dz at *out_dz. The pointers are at head
 * h of sample n. */
static float window_attention_pair(__global const float *x, __global const float *w, __global const float *dy,
                                   __global const float *lse, __global const float *delta, int query, int key,
                                   int distance, int heads, int D, float scale, float *out_dz)
{
    const int C = heads * D;
    __global const float *k = x + (long)key * 3 * C + C;
    const float z = scale * window_attention_dot(x + (long)query * 3 * C, k, D) + w[(long)distance * heads];
    const float p = exp(z - lse[query]);
    *out_dz = p * (window_attention_dot(dy + (long)query * C, k + C, D) - delta[query]);
    return p;
}

/* dx of a pixel: dq, as a query of all keys of its window; dk and dv, as a key of all queries. Work-items:
 * (H W, heads, N). */
__kernel void window_attention_dx(__global float *dx, BACKWARD, SIZES)
{
    const int pixel = get_global_id(0), h = get_global_id(1), n = get_global_id(2), C = heads * D;
    if (pixel >= H * W || h >= heads || n >= N) {
        return;
    }
    const int i = window_attention_place(pixel / W, shift_h, H), j = window_attention_place(pixel % W, shift_w, W);
    const int i0 = i / S * S, j0 = j / S * S;
    const long sample = (long)n * H * W;
    dx += (sample + pixel) * 3 * C + h * D;
    x += sample * 3 * C + h * D;
    dy += sample * C + h * D;
    w += h;
    lse += ((long)n * heads + h) * H * W;
    delta += ((long)n * heads + h) * H * W;
    for (int d = 0; d < D && !accumulate; d++) {
        dx[d] = dx[C + d] = dx[2 * C + d] = 0.0f;
    }
    CB_IN_ORDER
    for (int k = 0; k < S * S; k++) {
        const int ki = i0 + k / S, kj = j0 + k % S;
        if (!window_attention_meet(i, ki, shift_h, H) || !window_attention_meet(j, kj, shift_w, W)) {
            continue;
        }
        const int other = window_attention_pixel(ki, shift_h, H) * W + window_attention_pixel(kj, shift_w, W);
        float as_query, as_key;
        window_attention_pair(x, w, dy, lse, delta, pixel, other, window_attention_distance(i - ki, j - kj, S), heads, D,
                              scale, &as_query);
        const float p = window_attention_pair(x, w, dy, lse, delta, other, pixel,
                                              window_attention_distance(ki - i, kj - j, S), heads, D, scale, &as_key);
        for (int d = 0; d < D; d++) {
            dx[d] = CB_FMA(scale * as_query, x[(long)other * 3 * C + C + d], dx[d]);
            dx[C + d] = CB_FMA(scale * as_key, x[(long)other * 3 * C + d], dx[C + d]);
            dx[2 * C + d] = CB_FMA(p, dy[(long)other * C + d], dx[2 * C + d]);
        }
    }
}

/* dw of one distance and head: the sum of dz over all pairs so far apart, of each window first. Work-items:
 * ((2 S - 1)^2, heads). */
__kernel void window_attention_dw(__global float *dw, BACKWARD, SIZES)
{
    const int distance = get_global_id(0), h = get_global_id(1), C = heads * D;
    if (distance >= (2 * S - 1) * (2 * S - 1) || h >= heads) {
        return;
    }
    const int di = distance / (2 * S - 1) - S + 1, dj = distance % (2 * S - 1) - S + 1;
    float total = 0.0f;
    for (int n = 0; n < N; n++) {
        const long sample = (long)n * H * W, kept = ((long)n * heads + h) * H * W;
        float sum = 0.0f;
        for (int window = 0; window < (H / S) * (W / S); window++) {
            const int i0 = window / (W / S) * S, j0 = window % (W / S) * S;
            float part = 0.0f;
            CB_IN_ORDER
            for (int k = 0; k < S * S; k++) {
                const int ki = i0 + k / S, kj = j0 + k % S, i = ki + di, j = kj + dj;
                if (i < i0 || i >= i0 + S || j < j0 || j >= j0 + S || !window_attention_meet(i, ki, shift_h, H) ||
                    !window_attention_meet(j, kj, shift_w, W)) {
                    continue;
                }
                const int query = window_attention_pixel(i, shift_h, H) * W + window_attention_pixel(j, shift_w, W);
                const int key = window_attention_pixel(ki, shift_h, H) * W + window_attention_pixel(kj, shift_w, W);
                float dz;
                window_attention_pair(x + sample * 3 * C + h * D, w + h, dy + sample * C + h * D, lse + kept,
                                      delta + kept, query, key, distance, heads, D, scale, &dz);
                part += dz;
            }
            sum += part;
        }
        total += sum;
    }
    __global float *to = dw + (long)distance * heads + h;
    *to = accumulate ? *to + total : total;
}
