/* attention_tile.cl: attention for processors: a few rows at a time (queries, or keys in attention_dkv_tile) against
 * blocks of sixteen of the others, whose channels stand turned, [D,SP], so that sixteen products are one vector. Letters
 * and formulas: cl/attention.cl; here E = D = 16 ATTENTION_PIECES. SP and TP are S and T rounded up to 16; what is behind
 * the end is zero there. Whatever the batch, a row goes through the same blocks; one that sees nothing of a block gets
 * zeros from it.
 *
 * Sums of values and gradients stay in registers: ROWS (ATTENTION_PIECES + 1) of them, twice as many for keys and values.
 * That takes loops over ROWS and ATTENTION_PIECES that are unrolled: left to PoCL's compiler they are not, the sums lie in
 * memory, and forward takes 2.7 times as long. */
#include "exp.clh"
#include "attention.clh"
#include "epilogue.clh"

#ifndef ATTENTION_PIECES
#define ATTENTION_PIECES 4
#endif
#ifndef ATTENTION_ROWS
#define ATTENTION_ROWS 4
#endif
#define ROWS ATTENTION_ROWS
#define WIDTH (16 * ATTENTION_PIECES) /* D and E, known to the compiler */

CB_INLINE float attention_sum16(float16 v)
{
    const float8 a = v.lo + v.hi;
    const float4 b = a.lo + a.hi;
    return (b.x + b.z) + (b.y + b.w);
}

CB_INLINE float attention_max16(float16 v)
{
    const float8 a = v.lo > v.hi ? v.lo : v.hi;
    const float4 b = a.lo > a.hi ? a.lo : a.hi;
    const float x = b.x > b.z ? b.x : b.z, y = b.y > b.w ? b.y : b.w;
    return x > y ? x : y;
}

CB_INLINE int16 attention_lanes(int first)
{
    return first + (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

/* z[r] = row r times the block of `turned`, whose channels are `step` apart. */
CB_INLINE void attention_dots(float16 *z, __global const float *rows, const long *at,
                              __global const float *turned, long step)
{
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        z[r] = (float16)(0.0f);
    }
    for (int d = 0; d < WIDTH; d++) {
        const float16 block = vload16(0, turned + d * step);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            z[r] = CB_FMA((float16)(rows[at[r] + d]), block, z[r]);
        }
    }
}

/* sum[r] += over j < count of p[r][j] times row j of `from`. */
CB_INLINE void attention_add(float16 *sum, const float16 *p, __global const float *from, long step, int count)
{
    float lanes[ROWS * 16];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        vstore16(p[r], r, lanes);
    }
    for (int j = 0; j < count; j++) {
#pragma unroll
        for (int c = 0; c < ATTENTION_PIECES; c++) {
            const float16 piece = vload16(c, from + j * step);
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const int to = r * ATTENTION_PIECES + c;
                sum[to] = CB_FMA((float16)(lanes[r * 16 + j]), piece, sum[to]);
            }
        }
    }
}

CB_INLINE void attention_store(__global float *to, const float16 *sum, int accumulate)
{
#pragma unroll
    for (int c = 0; c < ATTENTION_PIECES; c++) {
        vstore16(accumulate ? vload16(c, to) + sum[c] : sum[c], c, to);
    }
}

/* to [N,H,D,TP] from [N,T,H,D]. Work-items: (TP / 16, H, N). */
__kernel void attention_turn(__global float *to, __global const float *from, int N, int T, int H)
{
    const int t0 = get_global_id(0) * 16, h = get_global_id(1), n = get_global_id(2), TP = (T + 15) / 16 * 16;
    if (t0 >= TP || h >= H || n >= N) {
        return;
    }
    to += ((long)n * H + h) * WIDTH * TP + t0;
    from += (((long)n * T + t0) * H + h) * WIDTH;
    for (int d = 0; d < WIDTH; d++) {
        for (int i = 0; i < 16; i++) {
            to[(long)d * TP + i] = t0 + i < T ? from[(long)i * H * WIDTH + d] : 0.0f;
        }
    }
}

/* lse NULL: is not kept. Work-items: (T / ROWS rounded up, H, N). */
__kernel void attention_forward_tile(__global float *y, __global float *lse, __global const float *q,
                                     __global const float *turned_k, __global const float *v, SIZES CB_EPILOGUE_PARAMS)
{
    const int t0 = get_global_id(0) * ROWS, h = get_global_id(1), n = get_global_id(2), SP = (S + 15) / 16 * 16;
    if (t0 >= T || h >= H || n >= N) {
        return;
    }
    const int g = h / (H / G), last = min(t0 + ROWS, T) - 1;
    const int seen = attention_visible(lengths, n, last, T, S, causal);
    turned_k += ((long)n * G + g) * WIDTH * SP;
    v += ((long)n * S * G + g) * WIDTH;
    long at[ROWS];
    int visible[ROWS];
    float largest[ROWS], total[ROWS];
    float16 z[ROWS], sum[ROWS * ATTENTION_PIECES];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        at[r] = (((long)n * T + min(t0 + r, last)) * H + h) * WIDTH;
        visible[r] = attention_visible(lengths, n, min(t0 + r, last), T, S, causal);
        largest[r] = -INFINITY;
        total[r] = 0.0f;
#pragma unroll
        for (int c = 0; c < ATTENTION_PIECES; c++) {
            sum[r * ATTENTION_PIECES + c] = (float16)(0.0f);
        }
    }
    for (int s = 0; s < seen; s += 16) {
        attention_dots(z, q, at, turned_k + s, SP);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            z[r] = select(scale * z[r], (float16)(-INFINITY), attention_lanes(s) >= visible[r]);
            const float here = attention_max16(z[r]), top = here > largest[r] ? here : largest[r];
            const float base = top == -INFINITY ? 0.0f : top;
            const float shrink = cb_exp(largest[r] - base);
            largest[r] = top;
            z[r] = cb_exp(z[r] - base);
            total[r] = total[r] * shrink + attention_sum16(z[r]);
#pragma unroll
            for (int c = 0; c < ATTENTION_PIECES; c++) {
                sum[r * ATTENTION_PIECES + c] *= shrink;
            }
        }
        attention_add(sum, z, v + (long)s * G * WIDTH, (long)G * WIDTH, min(16, seen - s));
    }
    for (int r = 0; r < ROWS && t0 + r < T; r++) {
        const float share = visible[r] > 0 ? 1.0f / total[r] : 0.0f;
#pragma unroll
        for (int c = 0; c < ATTENTION_PIECES; c++) {
            const float16 value = sum[r * ATTENTION_PIECES + c] * share;
            CB_STORE16(y, at[r] + c * 16, value, h * D + c * 16);
        }
        if (lse) {
            lse[((long)n * H + h) * T + t0 + r] = visible[r] > 0 ? largest[r] + log(total[r]) : 0.0f;
        }
    }
}

#define KEPT __global const float *lse, __global const float *delta, int accumulate

/* Work-items: (T / ROWS rounded up, H, N). */
__kernel void attention_dq_tile(__global float *dq, __global const float *q, __global const float *k,
                                __global const float *turned_k, __global const float *turned_v,
                                __global const float *dy, KEPT, SIZES)
{
    const int t0 = get_global_id(0) * ROWS, h = get_global_id(1), n = get_global_id(2), SP = (S + 15) / 16 * 16;
    if (t0 >= T || h >= H || n >= N) {
        return;
    }
    const int g = h / (H / G), last = min(t0 + ROWS, T) - 1;
    const int seen = attention_visible(lengths, n, last, T, S, causal);
    const long turned = ((long)n * G + g) * WIDTH * SP, kept = ((long)n * H + h) * T;
    k += ((long)n * S * G + g) * WIDTH;
    long at[ROWS];
    float16 z[ROWS], dp[ROWS], sum[ROWS * ATTENTION_PIECES];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        at[r] = (((long)n * T + min(t0 + r, last)) * H + h) * WIDTH;
#pragma unroll
        for (int c = 0; c < ATTENTION_PIECES; c++) {
            sum[r * ATTENTION_PIECES + c] = (float16)(0.0f);
        }
    }
    for (int s = 0; s < seen; s += 16) {
        attention_dots(z, q, at, turned_k + turned + s, SP);
        attention_dots(dp, dy, at, turned_v + turned + s, SP);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const int t = min(t0 + r, last), visible = attention_visible(lengths, n, t, T, S, causal);
            const float16 ds = scale * cb_exp(scale * z[r] - lse[kept + t]) * (dp[r] - delta[kept + t]);
            z[r] = select(ds, (float16)(0.0f), attention_lanes(s) >= visible);
        }
        attention_add(sum, z, k + (long)s * G * WIDTH, (long)G * WIDTH, min(16, seen - s));
    }
    for (int r = 0; r < ROWS && t0 + r < T; r++) {
        attention_store(dq + at[r], sum + r * ATTENTION_PIECES, accumulate & 1);
    }
}

/* Either of dk, dv may be NULL. Work-items: (S / ROWS rounded up, G, N). */
__kernel void attention_dkv_tile(__global float *dk, __global float *dv, __global const float *q,
                                 __global const float *k, __global const float *v, __global const float *dy,
                                 __global const float *turned_q, __global const float *turned_dy, KEPT, SIZES)
{
    const int s0 = get_global_id(0) * ROWS, g = get_global_id(1), n = get_global_id(2), TP = (T + 15) / 16 * 16;
    if (s0 >= S || g >= G || n >= N) {
        return;
    }
    const int last = min(s0 + ROWS, S) - 1, real = lengths ? min(max(lengths[n], 0), S) : S;
    long at[ROWS];
    float16 z[ROWS], dp[ROWS], sum_k[ROWS * ATTENTION_PIECES], sum_v[ROWS * ATTENTION_PIECES];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        at[r] = (((long)n * S + min(s0 + r, last)) * G + g) * WIDTH;
#pragma unroll
        for (int c = 0; c < ATTENTION_PIECES; c++) {
            sum_k[r * ATTENTION_PIECES + c] = (float16)(0.0f);
            sum_v[r * ATTENTION_PIECES + c] = (float16)(0.0f);
        }
    }
    /* the first query that sees the first of these keys */
    const int begin = causal ? max(s0 - (S - T), 0) / 16 * 16 : 0;
    for (int h = g * (H / G); h < (g + 1) * (H / G) && s0 < real; h++) {
        const long turned = ((long)n * H + h) * WIDTH * TP, kept = ((long)n * H + h) * T;
        for (int t = begin; t < T; t += 16) {
            const int count = min(16, T - t);
            float lanes[32];
            for (int i = 0; i < 16; i++) {
                lanes[i] = i < count ? lse[kept + t + i] : 0.0f;
                lanes[16 + i] = i < count ? delta[kept + t + i] : 0.0f;
            }
            const float16 row_lse = vload16(0, lanes), row_delta = vload16(1, lanes);
            const long rows = (((long)n * T + t) * H + h) * WIDTH;
            attention_dots(z, k, at, turned_q + turned + t, TP);
            attention_dots(dp, v, at, turned_dy + turned + t, TP);
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const int s = min(s0 + r, last);
                const int16 query = attention_lanes(t);
                int16 hidden = query >= T;
                if (causal) {
                    hidden |= s > query + (S - T);
                }
                if (s >= real) {
                    hidden = (int16)(-1);
                }
                z[r] = select(cb_exp(scale * z[r] - row_lse), (float16)(0.0f), hidden);
                dp[r] = select(scale * z[r] * (dp[r] - row_delta), (float16)(0.0f), hidden);
            }
            attention_add(sum_v, z, dy + rows, (long)H * WIDTH, count);
            attention_add(sum_k, dp, q + rows, (long)H * WIDTH, count);
        }
    }
    for (int r = 0; r < ROWS && s0 + r < S; r++) {
        if (dk) {
            attention_store(dk + at[r], sum_k + r * ATTENTION_PIECES, accumulate & 2);
        }
        if (dv) {
            attention_store(dv + at[r], sum_v + r * ATTENTION_PIECES, accumulate & 4);
        }
    }
}
