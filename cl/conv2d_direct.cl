/* conv2d_direct.cl: convolution of any filter size and step in register tiles, for processors; groups = 1.
 *
 *   y[n,oh,ow,k] = b[k] + sum over kh, kw, c of x[n, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL, c] * w[kh,kw,c,k]
 *
 * A tile is CB_TILE_ROWS x CB_TILE_COLUMNS pixels by PANEL filters, all sums in registers: 14 x 32 takes 28 of AVX-512's
 * 32 registers, 6 x 16 takes 12 of AVX2's 16. The pixels of x that a tile reads are copied to a strip first, zeros where
 * they lie outside the picture, so that the inner loop tests nothing; in a strip the taps of a row of the filter are
 * neighbours, KW * C floats in one run. A group of tiles is made with each panel of filters while that is in the cache.
 *
 *   u     [ceil(K / PANEL)][KH * KW * C][PANEL]  filters, the last panel filled up with zeros
 *   space [work-items][group][rows of a strip][columns of a strip][C]
 *
 * A pixel's sum runs over (kh, kw, c), whatever tile it is in. */
#include "cambium.clh"
#include "epilogue.clh"

#ifndef CB_PIECES
#define CB_PIECES 2
#endif
#ifndef CB_TILE_ROWS
#define CB_TILE_ROWS 1
#endif
#ifndef CB_TILE_COLUMNS
#define CB_TILE_COLUMNS 14
#endif
#define PANEL (16 * CB_PIECES)
#define PIXELS (CB_TILE_ROWS * CB_TILE_COLUMNS)

/* Filters w [length,K] to panels u. Work-items: (ceil(K / PANEL), ceil(length / 64)). */
__kernel void conv2d_direct_filters(__global float *u, __global const float *w, int length, int K)
{
    const int panel = get_global_id(0), first = get_global_id(1) * 64, last = min(length, first + 64);
    if (panel * PANEL >= K || first >= length) {
        return;
    }
    const int count = min(PANEL, K - panel * PANEL);
    for (int i = first; i < last; i++) {
        __global float *to = u + ((size_t)panel * length + i) * PANEL;
        __global const float *from = w + (size_t)i * K + panel * PANEL;
        for (int k = 0; k < PANEL; k++) {
            to[k] = k < count ? from[k] : 0.0f;
        }
    }
}

static void copy_floats(__global float *to, __global const float *from, int count)
{
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        vstore16(vload16(0, from + i), 0, to + i);
    }
    for (; i < count; i++) {
        to[i] = from[i];
    }
}

static void zero_floats(__global float *to, int count)
{
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        vstore16((float16)(0.0f), 0, to + i);
    }
    for (; i < count; i++) {
        to[i] = 0.0f;
    }
}

/* rows x columns pixels of the picture x from (h0, w0) on. */
static void fill_strip(__global float *strip, __global const float *x, int h0, int w0, int rows, int columns, int H, int W,
                       int C)
{
    const int left = clamp(-w0, 0, columns), right = clamp(W - w0, left, columns);
    for (int r = 0; r < rows; r++, strip += (size_t)columns * C) {
        if (h0 + r < 0 || h0 + r >= H) {
            zero_floats(strip, columns * C);
            continue;
        }
        zero_floats(strip, left * C);
        copy_floats(strip + left * C, x + ((size_t)(h0 + r) * W + w0 + left) * C, (right - left) * C);
        zero_floats(strip + right * C, (columns - right) * C);
    }
}

/* A pixel's 16 filters from k on; `count` of them exist. */
static void store_pixel(__global float *y, size_t index, float16 value, __global const float *b, int k,
                        int count CB_EPILOGUE_PARAMS)
{
    if (count >= 16) {
        value += b ? vload16(0, b + k) : (float16)(0.0f);
        CB_STORE16(y, index, value, k);
        return;
    }
    float lanes[16];
    vstore16(value, 0, lanes);
    for (int i = 0; i < count; i++) {
        const float one = b ? lanes[i] + b[k + i] : lanes[i];
        CB_STORE(y, index + i, one, k + i);
    }
}

/* Sums of one tile and one panel. `run`: floats in a row, `runs` of them for each row of the filter, `run_step` apart. */
CB_INLINE void tile_sums(float16 sum[PIXELS][CB_PIECES], __global const float *strip, __global const float *u, int KH,
                         int runs, int run, int run_step, long filter_row, long tile_row, int tile_column)
{
#pragma unroll
    for (int r = 0; r < PIXELS; r++) {
#pragma unroll
        for (int p = 0; p < CB_PIECES; p++) {
            sum[r][p] = 0.0f;
        }
    }
    for (int i = 0; i < KH * runs; i++) {
        __global const float *a = strip + i / runs * filter_row + i % runs * run_step;
        for (int q = 0; q < run; q++, u += PANEL) {
            float16 filter[CB_PIECES];
#pragma unroll
            for (int p = 0; p < CB_PIECES; p++) {
                filter[p] = vload16(p, u);
            }
#pragma unroll
            for (int r = 0; r < PIXELS; r++) {
                const float16 pixel = a[r / CB_TILE_COLUMNS * tile_row + r % CB_TILE_COLUMNS * tile_column + q];
#pragma unroll
                for (int p = 0; p < CB_PIECES; p++) {
                    sum[r][p] = CB_FMA(pixel, filter[p], sum[r][p]);
                }
            }
        }
    }
}

/* Work-items: as many as keep the cores busy; jobs are (group of tiles, part of the panels), one after the other. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv2d_direct(__global float *y, __global const float *x, __global const float *u, __global const float *b,
              __global float *space, int N, int H, int W, int C, int OH, int OW, int K, int KH, int KW, int SH, int SW,
              int PT, int PL, int DH, int DW, int group, int parts CB_EPILOGUE_PARAMS)
{
    const int across = (OW + CB_TILE_COLUMNS - 1) / CB_TILE_COLUMNS, down = (OH + CB_TILE_ROWS - 1) / CB_TILE_ROWS;
    const int tiles = N * down * across, panels = (K + PANEL - 1) / PANEL, length = KH * KW * C;
    const int rows = (CB_TILE_ROWS - 1) * SH + (KH - 1) * DH + 1, columns = (CB_TILE_COLUMNS - 1) * SW + (KW - 1) * DW + 1;
    const int runs = DW == 1 ? 1 : KW, run = DW == 1 ? KW * C : C, jobs = (tiles + group - 1) / group * parts;
    const long size = (long)rows * columns * C;
    __global float *strips = space + get_global_id(0) * group * size;
    for (int job = get_global_id(0); job < jobs; job += get_global_size(0)) {
        const int first = job / parts * group, count = min(group, tiles - first), part = job % parts;
        for (int t = 0; t < count; t++) {
            const int tile = first + t, n = tile / (down * across);
            fill_strip(strips + t * size, x + (size_t)n * H * W * C, tile / across % down * CB_TILE_ROWS * SH - PT,
                       tile % across * CB_TILE_COLUMNS * SW - PL, rows, columns, H, W, C);
        }
        for (int panel = panels * part / parts; panel < panels * (part + 1) / parts; panel++) {
            for (int t = 0; t < count; t++) {
                const int tile = first + t, n = tile / (down * across);
                const int oh = tile / across % down * CB_TILE_ROWS, ow = tile % across * CB_TILE_COLUMNS;
                float16 sum[PIXELS][CB_PIECES];
                tile_sums(sum, strips + t * size, u + (size_t)panel * length * PANEL, KH, runs, run, DW * C,
                          (long)DH * columns * C, (long)SH * columns * C, SW * C);
#pragma unroll
                for (int r = 0; r < PIXELS; r++) {
                    const int h = oh + r / CB_TILE_COLUMNS, w = ow + r % CB_TILE_COLUMNS;
                    if (h < OH && w < OW) {
                        const size_t index = (((size_t)n * OH + h) * OW + w) * K;
#pragma unroll
                        for (int p = 0; p < CB_PIECES; p++) {
                            const int k = panel * PANEL + p * 16;
                            if (k < K) {
                                store_pixel(y, index + k, sum[r][p], b, k, K - k CB_EPILOGUE_ARGS);
                            }
                        }
                    }
                }
            }
        }
    }
}
