/* conv2d_depthwise.cl: a filter for each channel, K = C = groups, sixteen channels at a time; C is a multiple of 16.
 *
 *   y[n,oh,ow,c] = b[c] + sum over kh, kw of x[n, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL, c] * w[kh,kw,0,c]
 *
 * First for filters, steps and dilations of any size; then in blocks of pixels for one filter size and step, which the
 * core gives as CB_KERNEL and CB_STRIDE. All sums run over (kh, kw), or over pixels row by row, in order. */
#include "cambium.clh"
#include "epilogue.clh"

#define SIZES                                                                                                          \
    int N, int H, int W, int C, int OH, int OW, int KH, int KW, int SH, int SW, int PT, int PL, int DH, int DW

#ifndef CB_KERNEL

/* Work-items: (C / 16, N * OH); one makes a row of pixels: the KH rows of x that it reads stay in the nearest cache. */
__kernel void conv2d_depthwise_forward(__global float *y, __global const float *x, __global const float *w,
                                       __global const float *b, SIZES CB_EPILOGUE_PARAMS)
{
    const int c = get_global_id(0) * 16, r = get_global_id(1);
    if (c >= C || r >= N * OH) {
        return;
    }
    const int n = r / OH, h0 = (r % OH) * SH - PT;
    const float16 start = b ? vload16(0, b + c) : (float16)(0.0f);
    const int kh_from = h0 < 0 ? (-h0 + DH - 1) / DH : 0;
    const int kh_to = min(KH, (H - h0 + DH - 1) / DH);
    for (int ow = 0; ow < OW; ow++) {
        const int w0 = ow * SW - PL;
        float16 sum = start;
        for (int kh = kh_from; kh < kh_to; kh++) {
            __global const float *row = x + (((size_t)n * H + h0 + kh * DH) * W) * C + c;
            for (int kw = 0; kw < KW; kw++) {
                const int iw = w0 + kw * DW;
                if (iw >= 0 && iw < W) {
                    sum = CB_FMA(vload16(0, row + (size_t)iw * C), vload16(0, w + (size_t)(kh * KW + kw) * C + c), sum);
                }
            }
        }
        const size_t index = ((size_t)r * OW + ow) * C + c;
        CB_STORE16(y, index, sum, c);
    }
}

/* Work-items: (C / 16, N * H). */
__kernel void conv2d_depthwise_dx(__global float *dx, __global const float *dy, __global const float *w, int accumulate,
                                  SIZES)
{
    const int c = get_global_id(0) * 16, r = get_global_id(1);
    if (c >= C || r >= N * H) {
        return;
    }
    const int n = r / H, ih = r % H;
    for (int iw = 0; iw < W; iw++) {
        float16 sum = 0.0f;
        for (int kh = 0; kh < KH; kh++) {
            const int th = ih + PT - kh * DH, oh = th / SH;
            if (th < 0 || th % SH != 0 || oh >= OH) {
                continue;
            }
            for (int kw = 0; kw < KW; kw++) {
                const int tw = iw + PL - kw * DW, ow = tw / SW;
                if (tw >= 0 && tw % SW == 0 && ow < OW) {
                    sum += vload16(0, dy + (((size_t)n * OH + oh) * OW + ow) * C + c) *
                           vload16(0, w + (size_t)(kh * KW + kw) * C + c);
                }
            }
        }
        __global float *to = dx + ((size_t)r * W + iw) * C + c;
        vstore16(accumulate ? vload16(0, to) + sum : sum, 0, to);
    }
}

/* dw[kh,kw,0,c] (+)= sum over pixels of x * dy; sums of a row first, so that rounding stays small. Work-items:
 * (C / 16, KH * KW). */
__kernel void conv2d_depthwise_dw(__global float *dw, __global const float *x, __global const float *dy, int accumulate,
                                  SIZES)
{
    const int c = get_global_id(0) * 16, tap = get_global_id(1);
    if (c >= C || tap >= KH * KW) {
        return;
    }
    const int kh = tap / KW, kw = tap % KW;
    float16 total = 0.0f;
    for (int n = 0; n < N; n++) {
        float16 picture = 0.0f;
        for (int oh = 0; oh < OH; oh++) {
            const int ih = oh * SH + kh * DH - PT;
            float16 row = 0.0f;
            if (ih < 0 || ih >= H) {
                continue;
            }
            for (int ow = 0; ow < OW; ow++) {
                const int iw = ow * SW + kw * DW - PL;
                if (iw >= 0 && iw < W) {
                    row += vload16(0, x + (((size_t)n * H + ih) * W + iw) * C + c) *
                           vload16(0, dy + (((size_t)n * OH + oh) * OW + ow) * C + c);
                }
            }
            picture += row;
        }
        total += picture;
    }
    __global float *to = dw + (size_t)tap * C + c;
    vstore16(accumulate ? vload16(0, to) + total : total, 0, to);
}

#else /* CB_KERNEL */

/* ---- blocks of pixels: CB_KERNEL x CB_KERNEL filters, steps of CB_STRIDE, no dilation ----------------------------
 *
 * A work-item makes ROWS rows of pixels for `channels` channels, a block of ROWS x COLUMNS pixels of sixteen channels
 * at a time: the sums stay in registers (14 of AVX-512's 32), each number of x is read once for the block, and
 * neighbours in memory are read one after the other. Blocks at the border test each place; those inside do not. */

#define KERNEL CB_KERNEL
#define STRIDE CB_STRIDE
#ifndef CB_ROWS
#define CB_ROWS 2
#endif
#ifndef CB_COLUMNS
#define CB_COLUMNS 7
#endif
#define ROWS CB_ROWS
#define COLUMNS CB_COLUMNS
#define SPAN(count) (((count)-1) * STRIDE + KERNEL) /* places of x that so many neighbours of y read */

#define BLOCK_SIZES int N, int H, int W, int C, int OH, int OW, int PT, int PL, int channels

/* The taps of row kh of the filter; zero, and never used, where there is no such row. */
CB_INLINE void load_taps(float16 tap[KERNEL], __global const float *w, int kh, int C)
{
#pragma unroll
    for (int kw = 0; kw < KERNEL; kw++) {
        tap[kw] = kh >= 0 && kh < KERNEL ? vload16(0, w + (kh * KERNEL + kw) * C) : (float16)(0.0f);
    }
}

/* Adds to the sums of a block whose first filter lies at (h0, w0) of the picture x; x and w begin at the channel. */
CB_INLINE void forward_block(float16 sum[ROWS][COLUMNS], __global const float *x, __global const float *w, int h0,
                             int w0, int H, int W, int C, bool inside)
{
#pragma unroll
    for (int p = 0; p < SPAN(ROWS); p++) {
        if (inside || (h0 + p >= 0 && h0 + p < H)) {
            __global const float *row = x + ((long)(h0 + p) * W + w0) * C;
            float16 tap[ROWS][KERNEL];
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                load_taps(tap[r], w, p - r * STRIDE, C);
            }
#pragma unroll
            for (int q = 0; q < SPAN(COLUMNS); q++) {
                if (inside || (w0 + q >= 0 && w0 + q < W)) {
                    const float16 v = vload16(0, row + q * C);
#pragma unroll
                    for (int r = 0; r < ROWS; r++) {
#pragma unroll
                        for (int t = 0; t < COLUMNS; t++) {
                            const int kh = p - r * STRIDE, kw = q - t * STRIDE;
                            if (kh >= 0 && kh < KERNEL && kw >= 0 && kw < KERNEL) {
                                sum[r][t] = CB_FMA(v, tap[r][kw], sum[r][t]);
                            }
                        }
                    }
                }
            }
        }
    }
}

/* Work-items: (C / channels, N * OH / ROWS), both rounded up. */
__kernel void conv2d_depthwise_forward_block(__global float *y, __global const float *x, __global const float *w,
                                             __global const float *b, BLOCK_SIZES CB_EPILOGUE_PARAMS)
{
    const int first = get_global_id(0) * channels, id = get_global_id(1), row_blocks = (OH + ROWS - 1) / ROWS;
    if (first >= C || id >= N * row_blocks) {
        return;
    }
    const int n = id / row_blocks, oh = id % row_blocks * ROWS, h0 = oh * STRIDE - PT;
    const int last = min(C, first + channels);
    for (int ow = 0; ow < OW; ow += COLUMNS) {
        const int w0 = ow * STRIDE - PL;
        const bool inside = h0 >= 0 && h0 + SPAN(ROWS) <= H && w0 >= 0 && w0 + SPAN(COLUMNS) <= W;
        for (int c = first; c < last; c += 16) {
            const float16 start = b ? vload16(0, b + c) : (float16)(0.0f);
            float16 sum[ROWS][COLUMNS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
#pragma unroll
                for (int t = 0; t < COLUMNS; t++) {
                    sum[r][t] = start;
                }
            }
            if (inside) {
                forward_block(sum, x + (size_t)n * H * W * C + c, w + c, h0, w0, H, W, C, true);
            } else {
                forward_block(sum, x + (size_t)n * H * W * C + c, w + c, h0, w0, H, W, C, false);
            }
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
#pragma unroll
                for (int t = 0; t < COLUMNS; t++) {
                    if (inside || (oh + r < OH && ow + t < OW)) {
                        const size_t index = (((size_t)n * OH + oh + r) * OW + ow + t) * C + c;
                        CB_STORE16(y, index, sum[r][t], c);
                    }
                }
            }
        }
    }
}

/* A block of dx begins where ih + PT is a multiple of the step, so that which taps meet is known when this is compiled:
 * dx[ih0 + a] reads dy[(ih0 + PT) / STRIDE + j] by tap a - STRIDE * j, if there is one; likewise across. */
#define DX_ROWS (STRIDE == 1 ? ROWS : STRIDE)
#define DX_COLUMNS (STRIDE == 1 ? COLUMNS : (ROWS * COLUMNS + STRIDE) / (STRIDE * STRIDE) * STRIDE)
#define BEFORE ((KERNEL - 1) / STRIDE) /* rows of dy above (columns to the left) that still reach the block's first */
#define DX_SPAN(count) (BEFORE + ((count)-1) / STRIDE + 1)

/* u0, v0: where the first row and column of dy lie that the block may read. */
CB_INLINE void dx_block(float16 sum[DX_ROWS][DX_COLUMNS], __global const float *dy, __global const float *w, int u0,
                        int v0, int OH, int OW, int C, bool inside)
{
#pragma unroll
    for (int p = 0; p < DX_SPAN(DX_ROWS); p++) {
        if (inside || (u0 + p >= 0 && u0 + p < OH)) {
            __global const float *row = dy + ((long)(u0 + p) * OW + v0) * C;
            float16 tap[DX_ROWS][KERNEL];
#pragma unroll
            for (int a = 0; a < DX_ROWS; a++) {
                load_taps(tap[a], w, a - STRIDE * (p - BEFORE), C);
            }
#pragma unroll
            for (int q = 0; q < DX_SPAN(DX_COLUMNS); q++) {
                if (inside || (v0 + q >= 0 && v0 + q < OW)) {
                    const float16 v = vload16(0, row + q * C);
#pragma unroll
                    for (int a = 0; a < DX_ROWS; a++) {
#pragma unroll
                        for (int e = 0; e < DX_COLUMNS; e++) {
                            const int kh = a - STRIDE * (p - BEFORE), kw = e - STRIDE * (q - BEFORE);
                            if (kh >= 0 && kh < KERNEL && kw >= 0 && kw < KERNEL) {
                                sum[a][e] = CB_FMA(v, tap[a][kw], sum[a][e]);
                            }
                        }
                    }
                }
            }
        }
    }
}

/* Work-items: (C / channels, N * (H + PT % STRIDE) / DX_ROWS), both rounded up. */
__kernel void conv2d_depthwise_dx_block(__global float *dx, __global const float *dy, __global const float *w,
                                        int accumulate, BLOCK_SIZES)
{
    const int above = PT % STRIDE, left = PL % STRIDE; /* the first block begins outside the picture */
    const int first = get_global_id(0) * channels, id = get_global_id(1);
    const int row_blocks = (H + above + DX_ROWS - 1) / DX_ROWS;
    if (first >= C || id >= N * row_blocks) {
        return;
    }
    const int n = id / row_blocks, ih = id % row_blocks * DX_ROWS - above, u0 = (ih + PT) / STRIDE - BEFORE;
    const int last = min(C, first + channels);
    for (int iw = -left; iw < W; iw += DX_COLUMNS) {
        const int v0 = (iw + PL) / STRIDE - BEFORE;
        const bool inside = ih >= 0 && ih + DX_ROWS <= H && iw >= 0 && iw + DX_COLUMNS <= W && u0 >= 0 &&
                            u0 + DX_SPAN(DX_ROWS) <= OH && v0 >= 0 && v0 + DX_SPAN(DX_COLUMNS) <= OW;
        for (int c = first; c < last; c += 16) {
            float16 sum[DX_ROWS][DX_COLUMNS];
#pragma unroll
            for (int a = 0; a < DX_ROWS; a++) {
#pragma unroll
                for (int e = 0; e < DX_COLUMNS; e++) {
                    sum[a][e] = 0.0f;
                }
            }
            if (inside) {
                dx_block(sum, dy + (size_t)n * OH * OW * C + c, w + c, u0, v0, OH, OW, C, true);
            } else {
                dx_block(sum, dy + (size_t)n * OH * OW * C + c, w + c, u0, v0, OH, OW, C, false);
            }
#pragma unroll
            for (int a = 0; a < DX_ROWS; a++) {
#pragma unroll
                for (int e = 0; e < DX_COLUMNS; e++) {
                    if (inside || (ih + a >= 0 && ih + a < H && iw + e >= 0 && iw + e < W)) {
                        __global float *to = dx + (((long)n * H + ih + a) * W + iw + e) * C + c;
                        vstore16(accumulate ? vload16(0, to) + sum[a][e] : sum[a][e], 0, to);
                    }
                }
            }
        }
    }
}

/* part[p,kh,kw,c] = the share of dw that rows p * rows and on of all N * OH rows of dy have. A row of the filter at a
 * time for COLUMNS pixels: its sums and those pixels of dy stay in registers. Work-items: (C / channels rounded up,
 * parts); channels is at most 64. */
__kernel void conv2d_depthwise_dw_block(__global float *part, __global const float *x, __global const float *dy,
                                        int rows, BLOCK_SIZES)
{
    const int first = get_global_id(0) * channels, p = get_global_id(1), last = min(C, first + channels);
    const int to_row = min(N * OH, (p + 1) * rows);
    if (first >= C || p * rows >= N * OH) {
        return;
    }
    float16 total[4][KERNEL * KERNEL];
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < KERNEL * KERNEL; k++) {
            total[i][k] = 0.0f;
        }
    }
    for (int r = p * rows; r < to_row; r++) {
        const int n = r / OH, h0 = r % OH * STRIDE - PT;
        for (int ow = 0; ow < OW; ow += COLUMNS) {
            const int w0 = ow * STRIDE - PL;
            const bool inside = w0 >= 0 && w0 + SPAN(COLUMNS) <= W;
            for (int c = first; c < last; c += 16) {
                float16 d[COLUMNS];
#pragma unroll
                for (int t = 0; t < COLUMNS; t++) {
                    d[t] = ow + t < OW ? vload16(0, dy + ((size_t)r * OW + ow + t) * C + c) : (float16)(0.0f);
                }
                for (int kh = 0; kh < KERNEL; kh++) {
                    if (h0 + kh < 0 || h0 + kh >= H) {
                        continue;
                    }
                    __global const float *row = x + (((long)n * H + h0 + kh) * W + w0) * C + c;
                    float16 sum[KERNEL];
#pragma unroll
                    for (int kw = 0; kw < KERNEL; kw++) {
                        sum[kw] = 0.0f;
                    }
#pragma unroll
                    for (int q = 0; q < SPAN(COLUMNS); q++) {
                        if (inside || (w0 + q >= 0 && w0 + q < W)) {
                            const float16 v = vload16(0, row + q * C);
#pragma unroll
                            for (int t = 0; t < COLUMNS; t++) {
                                const int kw = q - t * STRIDE;
                                if (kw >= 0 && kw < KERNEL) {
                                    sum[kw] = CB_FMA(v, d[t], sum[kw]);
                                }
                            }
                        }
                    }
#pragma unroll
                    for (int kw = 0; kw < KERNEL; kw++) {
                        total[(c - first) / 16][kh * KERNEL + kw] += sum[kw];
                    }
                }
            }
        }
    }
    for (int c = first; c < last; c += 16) {
        for (int k = 0; k < KERNEL * KERNEL; k++) {
            vstore16(total[(c - first) / 16][k], 0, part + ((size_t)p * KERNEL * KERNEL + k) * C + c);
        }
    }
}

/* dw (+)= the sum of the parts. Work-items: (C / 16, KERNEL * KERNEL). */
__kernel void conv2d_depthwise_dw_merge(__global float *dw, __global const float *part, int parts, int accumulate,
                                        int C)
{
    const int c = get_global_id(0) * 16, tap = get_global_id(1);
    if (c >= C || tap >= KERNEL * KERNEL) {
        return;
    }
    float16 total = 0.0f;
    for (int p = 0; p < parts; p++) {
        total += vload16(0, part + ((size_t)p * KERNEL * KERNEL + tap) * C + c);
    }
    __global float *to = dw + (size_t)tap * C + c;
    vstore16(accumulate ? vload16(0, to) + total : total, 0, to);
}

#endif
