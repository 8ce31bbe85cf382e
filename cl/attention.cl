/* attention.cl: the plain kernels of attention, for any device. One work-item makes one query's output, or one key's
 * gradients; scores are made again wherever they are needed, none is stored. Sums run over s, or over (h, t), in order.
 *
 *   z[s] = scale q[n,t,h,:].k[n,s,g,:] + mask[n,h,t,s],  lse = log(sum over s of exp(z[s])),
 *   y[n,t,h,:] = sum over s of exp(z[s] - lse) v[n,s,g,:]
 *
 * q [N,T,H,D], k [N,S,G,D], v [N,S,G,E], y [N,T,H,E], lse and delta [N,H,T]; g = h / (H / G). A key whose mask is
 * -infinity is not seen. */
#include "attention.clh"
#include "epilogue.clh"

static float attention_dot(__global const float *a, __global const float *b, int count)
{
    float sum = 0.0f;
    CB_IN_ORDER
    for (int i = 0; i < count; i++) {
        sum = CB_FMA(a[i], b[i], sum);
    }
    return sum;
}

/* mask [N,mask_heads,T,S], mask_heads 1 (for all heads) or H; NULL: there is none. */
#define MASK __global const float *mask, int mask_heads
/* Key 0's number in the row of query t. */
static __global const float *attention_mask_row(MASK, int n, int h, int t, int T, int S)
{
    return mask ? mask + (((long)n * mask_heads + min(h, mask_heads - 1)) * T + t) * S : mask;
}

/* lse NULL: is not kept. Work-items: (T, H, N). */
__kernel void attention_forward(__global float *y, __global float *lse, __global const float *q,
                                __global const float *k, __global const float *v, MASK, SIZES CB_EPILOGUE_PARAMS)
{
    const int t = get_global_id(0), h = get_global_id(1), n = get_global_id(2);
    if (t >= T || h >= H || n >= N) {
        return;
    }
    const int g = h / (H / G), visible = attention_visible(lengths, n, t, T, S, causal);
    const long key_step = (long)G * D, value_step = (long)G * E, index = (((long)n * T + t) * H + h) * E;
    q += (((long)n * T + t) * H + h) * D;
    k += ((long)n * S * G + g) * D;
    v += ((long)n * S * G + g) * E;
    mask = attention_mask_row(mask, mask_heads, n, h, t, T, S);

    float largest = -INFINITY, sum = 0.0f;
    CB_IN_ORDER
    for (int s = 0; s < visible; s++) {
        if (mask && mask[s] == -INFINITY) {
            continue;
        }
        const float z = scale * attention_dot(q, k + s * key_step, D) + (mask ? mask[s] : 0.0f);
        const float top = fmax(largest, z);
        sum = sum * exp(largest - top) + exp(z - top);
        largest = top;
    }
    for (int e = 0; e < E; e++) {
        y[index + e] = 0.0f;
    }
    CB_IN_ORDER
    for (int s = 0; s < visible; s++) {
        if (mask && mask[s] == -INFINITY) {
            continue;
        }
        const float z = scale * attention_dot(q, k + s * key_step, D) + (mask ? mask[s] : 0.0f);
        const float p = exp(z - largest) / sum;
        for (int e = 0; e < E; e++) {
            y[index + e] = CB_FMA(p, v[s * value_step + e], y[index + e]);
        }
    }
    for (int e = 0; e < E; e++) {
        const float value = y[index + e];
        CB_STORE(y, index + e, value, h * E + e);
    }
    if (lse) {
        lse[((long)n * H + h) * T + t] = sum > 0.0f ? largest + log(sum) : 0.0f;
    }
}

/* delta[n,h,t] = dy.y of the row. Work-items: (N * T * H), in the order of y. */
__kernel void attention_delta(__global float *delta, __global const float *dy, __global const float *y, long rows,
                              int T, int H, int E)
{
    const long row = get_global_id(0);
    if (row >= rows) {
        return;
    }
    const long h = row % H, t = row / H % T, n = row / H / T;
    delta[(n * H + h) * T + t] = attention_dot(dy + row * E, y + row * E, E);
}

#define BACKWARD                                                                                                       \
    __global const float *q, __global const float *k, __global const float *v, __global const float *dy,              \
        __global const float *lse, __global const float *delta, int accumulate

/* dq[n,t,h,:] = sum over s of ds[s] k[n,s,g,:]; bit 0 of accumulate: is added. Work-items: (T, H, N). */
__kernel void attention_dq(__global float *dq, BACKWARD, MASK, SIZES)
{
    const int t = get_global_id(0), h = get_global_id(1), n = get_global_id(2);
    if (t >= T || h >= H || n >= N) {
        return;
    }
    const int g = h / (H / G), visible = attention_visible(lengths, n, t, T, S, causal);
    const long key_step = (long)G * D, value_step = (long)G * E, row = ((long)n * T + t) * H + h;
    const float row_lse = lse[((long)n * H + h) * T + t], row_delta = delta[((long)n * H + h) * T + t];
    k += ((long)n * S * G + g) * D;
    v += ((long)n * S * G + g) * E;
    dq += row * D;
    mask = attention_mask_row(mask, mask_heads, n, h, t, T, S);
    for (int d = 0; d < D && !(accumulate & 1); d++) {
        dq[d] = 0.0f;
    }
    CB_IN_ORDER
    for (int s = 0; s < visible; s++) {
        if (mask && mask[s] == -INFINITY) {
            continue;
        }
        const float z = scale * attention_dot(q + row * D, k + s * key_step, D) + (mask ? mask[s] : 0.0f);
        const float p = exp(z - row_lse);
        const float ds = scale * p * (attention_dot(dy + row * E, v + s * value_step, E) - row_delta);
        for (int d = 0; d < D; d++) {
            dq[d] = CB_FMA(ds, k[s * key_step + d], dq[d]);
        }
    }
}

/* dk[n,s,g,:] = sum over the group's heads h and over t of ds q[n,t,h,:], dv[n,s,g,:] likewise of p dy[n,t,h,:]; either
 * may be NULL; bits 1 and 2 of accumulate: is added. Work-items: (S, G, N). */
__kernel void attention_dkv(__global float *dk, __global float *dv, BACKWARD, MASK, SIZES)
{
    const int s = get_global_id(0), g = get_global_id(1), n = get_global_id(2);
    if (s >= S || g >= G || n >= N) {
        return;
    }
    const long key = ((long)n * S + s) * G + g;
    for (int d = 0; d < D && dk && !(accumulate & 2); d++) {
        dk[key * D + d] = 0.0f;
    }
    for (int e = 0; e < E && dv && !(accumulate & 4); e++) {
        dv[key * E + e] = 0.0f;
    }
    for (int h = g * (H / G); h < (g + 1) * (H / G); h++) {
        CB_IN_ORDER
        for (int t = 0; t < T; t++) {
            __global const float *added = attention_mask_row(mask, mask_heads, n, h, t, T, S);
            if (s >= attention_visible(lengths, n, t, T, S, causal) || (added && added[s] == -INFINITY)) {
                continue;
            }
            const long row = ((long)n * T + t) * H + h, kept = ((long)n * H + h) * T + t;
            const float z = scale * attention_dot(q + row * D, k + key * D, D) + (added ? added[s] : 0.0f);
            const float p = exp(z - lse[kept]);
            for (int e = 0; e < E && dv; e++) {
                dv[key * E + e] = CB_FMA(p, dy[row * E + e], dv[key * E + e]);
            }
            if (dk) {
                const float ds = scale * p * (attention_dot(dy + row * E, v + key * E, E) - delta[kept]);
                for (int d = 0; d < D; d++) {
                    dk[key * D + d] = CB_FMA(ds, q[row * D + d], dk[key * D + d]);
                }
            }
        }
    }
}

/* dmask[n,m,t,s] = sum over the heads of row m of p[s] (dy.v - delta), zero where the key is not seen; bit 3 of
 * accumulate: is added. Work-items: (S, T, N * mask_heads). */
__kernel void attention_dmask(__global float *dmask, BACKWARD, MASK, SIZES)
{
    const int s = get_global_id(0), t = get_global_id(1), n = get_global_id(2) / mask_heads;
    const int m = get_global_id(2) % mask_heads, last = mask_heads == 1 ? H - 1 : m;
    if (s >= S || t >= T || n >= N) {
        return;
    }
    const long at = (((long)n * mask_heads + m) * T + t) * S + s;
    float sum = 0.0f;
    CB_IN_ORDER
    for (int h = m; h <= last && mask[at] != -INFINITY && s < attention_visible(lengths, n, t, T, S, causal); h++) {
        const long row = ((long)n * T + t) * H + h, kept = ((long)n * H + h) * T + t;
        const long key = ((long)n * S + s) * G + h / (H / G);
        const float z = scale * attention_dot(q + row * D, k + key * D, D) + mask[at];
        sum += exp(z - lse[kept]) * (attention_dot(dy + row * E, v + key * E, E) - delta[kept]);
    }
    dmask[at] = accumulate & 8 ? dmask[at] + sum : sum;
}
