/* conv2d_winograd.cl: 3x3 convolutions of stride 1 with a quarter of the multiplications: F(4x4,3x3) of Lavin and Gray,
 * "Fast Algorithms for Convolutional Neural Networks" (2015). Groups = 1; C and K are multiples of 16.
 *
 *   y tile (4x4) = A^T [ sum over c of (G w G^T) * (B^T x B) ] A     x tile: the 6x6 pixels that it reads
 *   dw (3x3)     = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G
 *
 * * is element by element: 36 matrix products, one per element e of the 6x6. dx is the forward pass of dy with filters
 * turned by 180 degrees. Tiles are counted over the batch, row by row; what lies outside the picture is zero.
 *
 *   u [36][K/PANEL][C][PANEL]  filters, transformed; the last panel is filled up with zeros
 *   v [36][tiles][C]           input tiles           m [36][tiles][K]  products, or gradient tiles
 *
 * Rounding: at the points 0, +-sqrt(1/2), +-sqrt(2) errors are 2 times those of the plain kernel in the mean square; at
 * the usual 0, +-1, +-2 they were 4 times (1.7e-6 against 8.1e-7 of the norm at C = 64, 4.5e-6 against 2.1e-6 at 512).
 * Sums over more than CHUNK channels are added up by chunks. A tile's sums do not depend on the others.
 */
#include "cambium.clh"
#include "epilogue.clh"

#ifndef CB_ROWS
#define CB_ROWS 12 /* register tile: 12 x 32 takes 24 of AVX-512's 32 registers, 6 x 16 takes 12 of AVX2's 16 */
#endif
#ifndef CB_PIECES
#define CB_PIECES 2
#endif
#define PANEL (16 * CB_PIECES)
#define CHUNK 256

/* ---- transforms, sixteen channels at a time; `step` is the distance of the results ------------------------------- */

#define ROOT2 1.41421356237309505f

/* B^T d: 6 -> 6 */
static void input_line(float16 *o, int step, float16 d0, float16 d1, float16 d2, float16 d3, float16 d4, float16 d5)
{
    const float16 even = d4 - 2.0f * d2, odd = (0.5f * ROOT2) * (d3 - 2.0f * d1);
    const float16 wide_even = d4 - 0.5f * d2, wide_odd = ROOT2 * (d3 - 0.5f * d1);
    o[0] = d0 - 2.5f * d2 + d4;
    o[step] = even + odd;
    o[2 * step] = even - odd;
    o[3 * step] = wide_even + wide_odd;
    o[4 * step] = wide_even - wide_odd;
    o[5 * step] = d1 - 2.5f * d3 + d5;
}

/* G g: 3 -> 6 */
static void filter_line(float16 *o, int step, float16 g0, float16 g1, float16 g2)
{
    const float16 even = g0 * (-2.0f / 3.0f) - g2 * (1.0f / 3.0f), odd = g1 * (ROOT2 / 3.0f);
    const float16 wide_even = g0 * (1.0f / 6.0f) + g2 * (1.0f / 3.0f), wide_odd = g1 * (ROOT2 / 6.0f);
    o[0] = g0;
    o[step] = even - odd;
    o[2 * step] = even + odd;
    o[3 * step] = wide_even + wide_odd;
    o[4 * step] = wide_even - wide_odd;
    o[5 * step] = g2;
}

/* A^T m: 6 -> 4 */
static void output_line(float16 *o, int step, float16 m0, float16 m1, float16 m2, float16 m3, float16 m4, float16 m5)
{
    const float16 even = m1 + m2, odd = m1 - m2, wide_even = m3 + m4, wide_odd = m3 - m4;
    o[0] = m0 + even + wide_even;
    o[step] = (0.5f * ROOT2) * odd + ROOT2 * wide_odd;
    o[2 * step] = 0.5f * even + 2.0f * wide_even;
    o[3 * step] = (0.25f * ROOT2) * odd + (2.0f * ROOT2) * wide_odd + m5;
}

/* A y: 4 -> 6 */
static void gradient_line(float16 *o, int step, float16 y0, float16 y1, float16 y2, float16 y3)
{
    const float16 even = y0 + 0.5f * y2, odd = (0.5f * ROOT2) * (y1 + 0.5f * y3);
    const float16 wide_even = y0 + 2.0f * y2, wide_odd = ROOT2 * (y1 + 2.0f * y3);
    o[0] = y0;
    o[step] = even + odd;
    o[2 * step] = even - odd;
    o[3 * step] = wide_even + wide_odd;
    o[4 * step] = wide_even - wide_odd;
    o[5 * step] = y3;
}

/* G^T u: 6 -> 3 */
static void filter_gradient_line(float16 *o, int step, float16 u0, float16 u1, float16 u2, float16 u3, float16 u4,
                                 float16 u5)
{
    const float16 even = u1 + u2, wide_even = u3 + u4;
    o[0] = u0 - (2.0f / 3.0f) * even + (1.0f / 6.0f) * wide_even;
    o[step] = (ROOT2 / 3.0f) * (u2 - u1) + (ROOT2 / 6.0f) * (u3 - u4);
    o[2 * step] = (1.0f / 3.0f) * (wide_even - even) + u5;
}

/* Six pixels, one below the other, from row h on in column w; p points to channel c of the picture. */
static void load_column(float16 *d, int count, __global const float *p, int h, int w, int H, int W, int C)
{
    for (int i = 0; i < count; i++) {
        const int inside = w >= 0 && w < W && h + i >= 0 && h + i < H;
        d[i] = inside ? vload16(0, p + ((long)(h + i) * W + w) * C) : (float16)(0.0f);
    }
}

/* v[e * plane + 0..15] = B^T x B of the tile whose first pixel is (h, w). */
static void transform_input(__global float *v, long plane, __global const float *x, int h, int w, int H, int W, int C)
{
    float16 half_done[36];
#pragma unroll
    for (int j = 0; j < 6; j++) {
        float16 d[6];
        load_column(d, 6, x, h, w + j, H, W, C);
        input_line(half_done + j, 6, d[0], d[1], d[2], d[3], d[4], d[5]);
    }
#pragma unroll
    for (int i = 0; i < 6; i++) {
        const float16 *t = half_done + 6 * i;
        float16 o[6];
        input_line(o, 1, t[0], t[1], t[2], t[3], t[4], t[5]);
#pragma unroll
        for (int j = 0; j < 6; j++) {
            vstore16(o[j], 0, v + (6 * i + j) * plane);
        }
    }
}

/* ---- the register tile ------------------------------------------------------------------------------------------- */

/* to[r * to_step + 0..PANEL-1] (+)= sum over p of a[r * row_step + p * step] * b[p * b_step + 0..PANEL-1] for the rows
 * from first_row on, and the first `columns` columns: 16 or PANEL. */
static inline void multiply_tile(__global float *to, int to_step, __global const float *a, int row_step, int step,
                                 __global const float *b, int b_step, int depth, int first_row, int columns, int add)
{
    float16 sum[CB_ROWS][CB_PIECES];
#pragma unroll
    for (int r = 0; r < CB_ROWS; r++) {
        for (int q = 0; q < CB_PIECES; q++) {
            sum[r][q] = 0.0f;
        }
    }
    for (int p = 0; p < depth; p++) {
        float16 bv[CB_PIECES];
#pragma unroll
        for (int q = 0; q < CB_PIECES; q++) {
            bv[q] = vload16(q, b + (long)p * b_step);
        }
#pragma unroll
        for (int r = 0; r < CB_ROWS; r++) {
            const float16 av = (float16)(a[r * row_step + p * step]);
            for (int q = 0; q < CB_PIECES; q++) {
                sum[r][q] = CB_FMA(av, bv[q], sum[r][q]);
            }
        }
    }
#pragma unroll
    for (int r = 0; r < CB_ROWS; r++) {
        for (int q = 0; q < CB_PIECES; q++) {
            if (r >= first_row && q * 16 < columns) {
                __global float *p = to + (long)r * to_step;
                vstore16(add ? vload16(q, p) + sum[r][q] : sum[r][q], q, p);
            }
        }
    }
}

/* ---- filters ----------------------------------------------------------------------------------------------------- */

/* u from w [3,3,C,K]. For dx (`turned`) the filters go from K to C and are turned: u [36][C/PANEL][K][PANEL].
 * Work-items: (OUT rounded up to PANEL / 16, IN / 16), where IN, OUT are C, K, or K, C when turned. */
__kernel void conv2d_winograd_filter(__global float *u, __global const float *w, int IN, int OUT, int turned)
{
    const int out = get_global_id(0) * 16, in0 = get_global_id(1) * 16;
    const int panels = (OUT + PANEL - 1) / PANEL;
    if (out >= panels * PANEL || in0 >= IN) {
        return;
    }
    const int C = turned ? OUT : IN, K = turned ? IN : OUT;
    const long plane = (long)panels * IN * PANEL;
    for (int i = 0; i < 16; i++) {
        __global float *to = u + ((long)(out / PANEL) * IN + in0 + i) * PANEL + out % PANEL;
        float16 half_done[18], taps[9];
#pragma unroll
        for (int t = 0; t < 9; t++) {
            if (out >= OUT) {
                taps[t] = (float16)(0.0f);
            } else if (!turned) {
                taps[t] = vload16(0, w + ((long)t * C + in0 + i) * K + out);
            } else {
                __global const float *p = w + ((long)(8 - t) * C + out) * K + in0 + i;
                taps[t] = (float16)(p[0], p[K], p[2 * K], p[3 * K], p[4 * K], p[5 * K], p[6 * K], p[7 * K], p[8 * K],
                                    p[9 * K], p[10 * K], p[11 * K], p[12 * K], p[13 * K], p[14 * K], p[15 * K]);
            }
        }
#pragma unroll
        for (int j = 0; j < 3; j++) {
            filter_line(half_done + j, 3, taps[j], taps[3 + j], taps[6 + j]);
        }
#pragma unroll
        for (int e = 0; e < 6; e++) {
            float16 o[6];
            filter_line(o, 1, half_done[3 * e], half_done[3 * e + 1], half_done[3 * e + 2]);
#pragma unroll
            for (int j = 0; j < 6; j++) {
                vstore16(o[j], 0, to + (6 * e + j) * plane);
            }
        }
    }
}

/* ---- forward, dx ------------------------------------------------------------------------------------------------- */

/* A tile's 4x4 outputs for sixteen channels; m: its products, `plane` apart. */
static void store_outputs(__global float *y, __global const float *m, int plane, float16 bias, int n, int h, int w,
                          int OH, int OW, int K, int k, int accumulate CB_EPILOGUE_PARAMS)
{
    float16 half_done[24];
#pragma unroll
    for (int j = 0; j < 6; j++) {
        __global const float *p = m + j * plane;
        output_line(half_done + j, 6, vload16(0, p), vload16(0, p + 6 * plane), vload16(0, p + 12 * plane),
                    vload16(0, p + 18 * plane), vload16(0, p + 24 * plane), vload16(0, p + 30 * plane));
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float16 *t = half_done + 6 * i;
        float16 o[4];
        output_line(o, 1, t[0], t[1], t[2], t[3], t[4], t[5]);
        for (int j = 0; j < 4; j++) {
            if (h + i < OH && w + j < OW) {
                const size_t index = (((size_t)n * OH + h + i) * OW + w + j) * K + k;
                const float16 value = accumulate ? vload16(0, y + index) + o[j] : o[j] + bias;
                CB_STORE16(y, index, value, k);
            }
        }
    }
}

/* Each work-item takes every get_global_size(0)th job: `block` tiles (a multiple of CB_ROWS) for one of `parts` parts
 * of the panels. Its own part of `scratch` holds their v, and m of one panel, both in the second-level cache. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv2d_winograd(__global float *y, __global const float *x, __global const float *u, __global const float *b,
                __global float *scratch, int N, int H, int W, int C, int OH, int OW, int K, int PT, int PL, int block,
                int parts, int accumulate CB_EPILOGUE_PARAMS)
{
    const int across = (OW + 3) / 4, per_picture = (OH + 3) / 4 * across, tiles = N * per_picture;
    const int blocks = (tiles + block - 1) / block, panels = (K + PANEL - 1) / PANEL;
    const int row = C + 16; /* rows of v lie so that they do not fall into one set of the cache */
    const long v_plane = (long)block * row;
    const int m_plane = block * PANEL;
    __global float *v = scratch + (long)get_global_id(0) * 36 * (v_plane + m_plane), *m = v + 36 * v_plane;
    for (int job = get_global_id(0); job < blocks * parts; job += get_global_size(0)) {
        const int first = job / parts * block, count = min(block, tiles - first);
        const int from = panels * (job % parts) / parts, to = panels * (job % parts + 1) / parts;
        const int rows = (count + CB_ROWS - 1) / CB_ROWS * CB_ROWS;
        for (int t = 0; t < rows; t++) {
            /* rows that only fill up the last register tile repeat the last tile; they are not stored */
            const int tile = min(first + t, tiles - 1), in_picture = tile % per_picture;
            const int h = in_picture / across * 4 - PT, w = in_picture % across * 4 - PL;
            __global const float *picture = x + (long)(tile / per_picture) * H * W * C;
            for (int c = 0; c < C; c += 16) {
                transform_input(v + (long)t * row + c, v_plane, picture + c, h, w, H, W, C);
            }
        }
        for (int panel = from; panel < to; panel++) {
            for (int e = 0; e < 36; e++) {
                __global const float *ue = u + ((long)e * panels + panel) * C * PANEL;
                for (int t = 0; t < rows; t += CB_ROWS) {
                    for (int c = 0; c < C; c += CHUNK) {
                        multiply_tile(m + e * m_plane + t * PANEL, PANEL, v + e * v_plane + (long)t * row + c, row, 1,
                                      ue + (long)c * PANEL, PANEL, min(CHUNK, C - c), 0, PANEL, c > 0);
                    }
                }
            }
            for (int t = 0; t < count; t++) {
                const int in_picture = (first + t) % per_picture, n = (first + t) / per_picture;
                for (int k = panel * PANEL; k < min(K, (panel + 1) * PANEL); k += 16) {
                    const float16 bias = b ? vload16(0, b + k) : (float16)(0.0f);
                    store_outputs(y, m + t * PANEL + k % PANEL, m_plane, bias, n, in_picture / across * 4,
                                  in_picture % across * 4, OH, OW, K, k, accumulate CB_EPILOGUE_ARGS);
                }
            }
        }
    }
}

/* ---- dw ---------------------------------------------------------------------------------------------------------- */

/* v of `tiles` tiles from `first` on. Work-items: (tiles). */
__kernel void conv2d_winograd_input(__global float *v, __global const float *x, int tiles, int first, int H, int W,
                                    int C, int OH, int OW, int PT, int PL)
{
    const int t = get_global_id(0);
    if (t >= tiles) {
        return;
    }
    const int across = (OW + 3) / 4, per_picture = (OH + 3) / 4 * across, in_picture = (first + t) % per_picture;
    __global const float *picture = x + (long)((first + t) / per_picture) * H * W * C;
    for (int c = 0; c < C; c += 16) {
        transform_input(v + (long)t * C + c, (long)tiles * C, picture + c, in_picture / across * 4 - PT,
                        in_picture % across * 4 - PL, H, W, C);
    }
}

/* m = A dy A^T of the same tiles. Work-items: (tiles). */
__kernel void conv2d_winograd_gradient(__global float *m, __global const float *dy, int tiles, int first, int OH,
                                       int OW, int K)
{
    const int t = get_global_id(0);
    if (t >= tiles) {
        return;
    }
    const int across = (OW + 3) / 4, per_picture = (OH + 3) / 4 * across, in_picture = (first + t) % per_picture;
    const int h = in_picture / across * 4, w = in_picture % across * 4;
    __global const float *picture = dy + (long)((first + t) / per_picture) * OH * OW * K;
    for (int k = 0; k < K; k += 16) {
        __global float *to = m + (long)t * K + k;
        float16 half_done[24];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            float16 d[4];
            load_column(d, 4, picture + k, h, w + j, OH, OW, K);
            gradient_line(half_done + j, 4, d[0], d[1], d[2], d[3]);
        }
#pragma unroll
        for (int i = 0; i < 6; i++) {
            const float16 *s = half_done + 4 * i;
            float16 o[6];
            gradient_line(o, 1, s[0], s[1], s[2], s[3]);
#pragma unroll
            for (int j = 0; j < 6; j++) {
                vstore16(o[j], 0, to + (long)(6 * i + j) * tiles * K);
            }
        }
    }
}

/* du[e][c][k] (+)= sum over tiles of v[e][tile][c] * m[e][tile][k]. m has room for PANEL elements behind its end.
 * Work-items: (ceil(C / CB_ROWS), 36). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv2d_winograd_product(__global float *du, __global const float *v, __global const float *m, int tiles, int C, int K,
                        int add)
{
    /* the last tile is moved back inside */
    const int wanted = get_global_id(0) * CB_ROWS, c = min(wanted, C - CB_ROWS);
    const long e = get_global_id(1);
    for (int k = 0; k < K; k += PANEL) {
        multiply_tile(du + (e * C + c) * K + k, K, v + e * tiles * C + c, 1, C, m + e * tiles * K + k, K, tiles,
                      wanted - c, min(PANEL, K - k), add);
    }
}

/* dw[3,3,C,K] (+)= G^T du G. Work-items: (K / 16, C). */
__kernel void conv2d_winograd_dw(__global float *dw, __global const float *du, int C, int K, int accumulate)
{
    const int k = get_global_id(0) * 16, c = get_global_id(1);
    if (k >= K || c >= C) {
        return;
    }
    const long plane = (long)C * K, at = (long)c * K + k;
    float16 half_done[18];
    for (int j = 0; j < 6; j++) {
        __global const float *p = du + at + j * plane;
        filter_gradient_line(half_done + j, 6, vload16(0, p), vload16(0, p + 6 * plane), vload16(0, p + 12 * plane),
                             vload16(0, p + 18 * plane), vload16(0, p + 24 * plane), vload16(0, p + 30 * plane));
    }
    for (int i = 0; i < 3; i++) {
        const float16 *t = half_done + 6 * i;
        float16 o[3];
        filter_gradient_line(o, 1, t[0], t[1], t[2], t[3], t[4], t[5]);
        for (int j = 0; j < 3; j++) {
            __global float *to = dw + (3 * i + j) * plane + at;
            vstore16(accumulate ? vload16(0, to) + o[j] : o[j], 0, to);
        }
    }
}
