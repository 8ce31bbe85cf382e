/* window_attention_tile.cl: window_attention for processors: one work-item makes all queries of a window and head, whose
 * keys it turns first, [D,64], so that sixteen products are one vector. Letters and formulas: cl/window_attention.cl; here
 * D = 16 WINDOW_ATTENTION_PIECES and S is at most 8. Whatever the batch, a row goes through the same blocks. */
#include "exp.clh"
#include "window_attention.clh"
#include "epilogue.clh"

#ifndef WINDOW_ATTENTION_PIECES
#define WINDOW_ATTENTION_PIECES 2
#endif
#define WIDTH (16 * WINDOW_ATTENTION_PIECES) /* D, known to the compiler */
#define BLOCKS 4                              /* of sixteen keys */

CB_INLINE float window_attention_sum16(float16 v)
{
    const float8 a = v.lo + v.hi;
    const float4 b = a.lo + a.hi;
    return (b.x + b.z) + (b.y + b.w);
}

CB_INLINE float window_attention_max16(float16 v)
{
    const float8 a = fmax(v.lo, v.hi);
    const float4 b = fmax(a.lo, a.hi);
    return fmax(fmax(b.x, b.z), fmax(b.y, b.w));
}

/* lse NULL: is not kept. Work-items: (windows, heads, N). */
__kernel void window_attention_forward_tile(__global float *y, __global float *lse, __global const float *x,
                                            __global const float *w, SIZES CB_EPILOGUE_PARAMS)
{
    const int window = get_global_id(0), h = get_global_id(1), n = get_global_id(2), C = heads * D, count = S * S;
    if (window >= (H / S) * (W / S) || h >= heads || n >= N) {
        return;
    }
    const int i0 = window / (W / S) * S, j0 = window % (W / S) * S;
    const long sample = (long)n * H * W;
    float turned[WIDTH * 16 * BLOCKS], scores[16 * BLOCKS];
    int pixels[16 * BLOCKS], sides[16 * BLOCKS]; /* of the picture's end: those on other sides do not meet */
    x += sample * 3 * C + h * D;
    for (int k = 0; k < 16 * BLOCKS; k++) {
        const int i = i0 + k / S, j = j0 + k % S, is_there = k < count;
        pixels[k] = is_there ? window_attention_pixel(i, shift_h, H) * W + window_attention_pixel(j, shift_w, W) : 0;
        sides[k] = is_there ? (i < H - shift_h ? 0 : 1) + (j < W - shift_w ? 0 : 2) : 4;
        for (int d = 0; d < WIDTH; d++) {
            turned[d * 16 * BLOCKS + k] = is_there ? x[(long)pixels[k] * 3 * C + C + d] : 0.0f;
        }
    }
    for (int q = 0; q < count; q++) {
        __global const float *query = x + (long)pixels[q] * 3 * C;
        float16 z[BLOCKS], sum[2 * WINDOW_ATTENTION_PIECES];
        for (int k = 0; k < 16 * BLOCKS; k++) {
            scores[k] = sides[k] == sides[q]
                            ? w[(long)window_attention_distance(q / S - k / S, q % S - k % S, S) * heads + h] : -INFINITY;
        }
        for (int b = 0; b < BLOCKS; b++) {
            z[b] = (float16)(0.0f);
        }
        for (int d = 0; d < WIDTH; d++) {
            const float16 value = (float16)(query[d]);
            for (int b = 0; b < BLOCKS; b++) {
                z[b] = CB_FMA(value, vload16(d * BLOCKS + b, turned), z[b]);
            }
        }
        float16 top = (float16)(-INFINITY);
        for (int b = 0; b < BLOCKS; b++) {
            z[b] = scale * z[b] + vload16(b, scores);
            top = fmax(top, z[b]);
        }
        const float largest = window_attention_max16(top);
        float16 total = (float16)(0.0f);
        for (int b = 0; b < BLOCKS; b++) {
            z[b] = cb_exp(z[b] - largest);
            total += z[b];
            vstore16(z[b], b, scores);
        }
        const float all = window_attention_sum16(total);
        for (int c = 0; c < 2 * WINDOW_ATTENTION_PIECES; c++) {
            sum[c] = (float16)(0.0f);
        }
        for (int k = 0; k < count; k++) { /* two sums each, of even and of odd keys */
            __global const float *value = x + (long)pixels[k] * 3 * C + 2 * C;
            for (int c = 0; c < WINDOW_ATTENTION_PIECES; c++) {
                const int to = (k & 1) * WINDOW_ATTENTION_PIECES + c;
                sum[to] = CB_FMA((float16)(scores[k]), vload16(c, value), sum[to]);
            }
        }
        const long row = sample + pixels[q];
        for (int c = 0; c < WINDOW_ATTENTION_PIECES; c++) {
            const long index = row * C + h * D + c * 16;
            const float16 value = (sum[c] + sum[WINDOW_ATTENTION_PIECES + c]) * (1.0f / all);
            CB_STORE16(y, index, value, h * D + c * 16);
        }
        if (lse) {
            lse[((long)n * heads + h) * H * W + pixels[q]] = largest + log(all);
        }
    }
}
