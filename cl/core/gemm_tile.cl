/* gemm_tile.cl: the matrix product in register tiles, for processors: y[m,n] = epilogue(op(a)[m,k] op(b)[k,n] + start),
 * start being y itself, bias[n], or zero.
 *
 * The order of every sum is the one of gemm.cl. A work-item (work-groups of one) makes tiles of CB_ROWS x PANEL outputs,
 * CB_PIECES float16 a row, all sums in registers: 12 x 32 takes 24 of AVX-512's 32 registers, 6 x 16 takes 12 of AVX2's 16
 * or 24 of Neon's 32; 1 x 128 serves products of few rows, which are bound by reading b. For each step of k a tile reads
 * PANEL neighbours of b, from the matrix itself or from packed panels, and CB_ROWS elements of a as broadcasts:
 *   CB_A 0   rows:    op(a)[i,p] = a[a0 + i * lda + p]
 *   CB_A 1   columns: op(a)[i,p] = a[a0 + p * lda + i]    (a is transposed)
 *   CB_COPY  the work-item first copies a chunk of its rows to local memory, [k][ROWS rounded up to 4], which all its panels
 *            then read: one stream in the first-level cache in place of CB_ROWS of them, which fall into one set of it
 *            where lda is a multiple of 4096 bytes. Pays from about four panels on. A chunk is CB_COPY steps at most.
 * b:  panel q (columns PANEL * q and on) begins at b0 + q * b_panel, its rows are ldb apart: the matrix itself is
 *     b_panel = PANEL, ldb = n; packed panels [ceil(n/PANEL)][k][PANEL] are b_panel = PANEL * k, ldb = PANEL.
 *
 * A last tile that does not fit is moved back inside and stores only what no other tile does (m >= CB_ROWS is required).
 * The last panel is made piece by piece where not all its pieces lie inside. Its last piece may read past its row into the
 * next one; from row `safe` of b on that would leave the matrix, so these few are read element by element.
 *
 * Order of work: a work-item makes `tiles` row tiles by `block` panels, chunk by chunk, so that a chunk of its panels stays
 * in the second-level cache; the next work-item has the next rows. global = ceil(panels / block) * ceil(row tiles / tiles),
 * x chunks with CB_SPLIT.
 *   CB_SPLIT   chunk first_chunk + c of k (dimension 1) stores its bare sum to y[y0 + c * m * n + ...]; gemm_reduce adds
 *              them up.
 */
#include "cambium.clh"
#include "epilogue.clh"

#ifndef CB_ROWS
#define CB_ROWS 12
#endif
#ifndef CB_PIECES
#define CB_PIECES 2
#endif
#ifndef CB_A
#define CB_A 0
#endif

#define PANEL (16 * CB_PIECES)
#define PITCH ((CB_ROWS + 3) / 4 * 4)

/* The tile's rows of a: element (r, p) of it. */
#ifdef CB_COPY
#define A_SPACE __local
#define A_AT(r, p) ap[(p)*PITCH + (r)]
#else
#define A_SPACE const __global
#define A_AT(r, p) (CB_A == 0 ? ap[(r)*lda + (p)] : ap[(p)*lda + (r)])
#endif

#ifdef CB_COPY
/* copy[p][r] = op(a)[r,p], four rows by four steps at a time in registers. Rows behind the last are copies of it. */
void copy_rows(__local float *copy, const __global float *ap, long lda, int count)
{
    for (int r = 0; r < CB_ROWS; r += 4) {
        __local float *to = copy + r;
        int p = 0;
#if CB_A == 0
        const __global float *l0 = ap + r * lda, *l1 = ap + min(r + 1, CB_ROWS - 1) * lda;
        const __global float *l2 = ap + min(r + 2, CB_ROWS - 1) * lda, *l3 = ap + min(r + 3, CB_ROWS - 1) * lda;
        for (; p + 4 <= count; p += 4, to += 4 * PITCH) {
            float4 v0 = vload4(0, l0 + p), v1 = vload4(0, l1 + p), v2 = vload4(0, l2 + p), v3 = vload4(0, l3 + p);
            vstore4((float4)(v0.x, v1.x, v2.x, v3.x), 0, to);
            vstore4((float4)(v0.y, v1.y, v2.y, v3.y), 0, to + PITCH);
            vstore4((float4)(v0.z, v1.z, v2.z, v3.z), 0, to + 2 * PITCH);
            vstore4((float4)(v0.w, v1.w, v2.w, v3.w), 0, to + 3 * PITCH);
        }
        for (; p < count; p++, to += PITCH) {
            vstore4((float4)(l0[p], l1[p], l2[p], l3[p]), 0, to);
        }
#else
        for (; p < count; p++, to += PITCH) {
            for (int i = 0; i < 4; i++) {
                to[i] = ap[p * lda + min(r + i, CB_ROWS - 1)];
            }
        }
#endif
    }
}
#endif

/* Asked for in step p. Rows: the lines of a that the next tile reads, whose rows lie behind this one's. Columns: those of a
 * and b sixteen steps ahead, which lie too far apart for the processor to see a pattern. */
#ifdef CB_COPY
#define PREFETCH(p)
#elif CB_A == 0
#define PREFETCH(p) CB_PREFETCH(ap + CB_ROWS * lda + (p)*16)
#else
#define PREFETCH(p)                                                                                                    \
    CB_PREFETCH(ap + ((p) + 16) * lda), CB_PREFETCH(bp + ((p) + 16) * ldb), CB_PREFETCH(bp + ((p) + 16) * ldb + 16)
#endif

/* Up to 16 elements; lanes from `count` on are zero. */
float16 load_some(const __global float *p, int count)
{
    if (count >= 16) {
        return vload16(0, p);
    }
    float lanes[16];
    for (int i = 0; i < 16; i++) {
        lanes[i] = i < count ? p[i] : 0.0f;
    }
    return vload16(0, lanes);
}

/* out = the tile's rows times b's panel, over `count` steps. */
CB_INLINE void multiply(float16 out[CB_ROWS][CB_PIECES], A_SPACE float *ap, long lda, const __global float *bp, long ldb,
                        int count)
{
    float16 sum[CB_ROWS][CB_PIECES];
#pragma unroll
    for (int r = 0; r < CB_ROWS; r++) {
#pragma unroll
        for (int c = 0; c < CB_PIECES; c++) {
            sum[r][c] = 0.0f;
        }
    }
    for (int p = 0; p < count; p++) {
        float16 bv[CB_PIECES];
        PREFETCH(p);
#pragma unroll
        for (int c = 0; c < CB_PIECES; c++) {
            bv[c] = vload16(c, bp + p * ldb);
        }
#pragma unroll
        for (int r = 0; r < CB_ROWS; r++) {
            float16 av = (float16)(A_AT(r, p));
#pragma unroll
            for (int c = 0; c < CB_PIECES; c++) {
                sum[r][c] = CB_FMA(av, bv[c], sum[r][c]);
            }
        }
    }
#pragma unroll
    for (int r = 0; r < CB_ROWS; r++) {
#pragma unroll
        for (int c = 0; c < CB_PIECES; c++) {
            out[r][c] = sum[r][c];
        }
    }
}

/* The same for one piece of b's panel. */
CB_INLINE void multiply_piece(float16 out[CB_ROWS][1], A_SPACE float *ap, long lda, const __global float *bp, long ldb,
                              int count)
{
    float16 sum[CB_ROWS];
#pragma unroll
    for (int r = 0; r < CB_ROWS; r++) {
        sum[r] = 0.0f;
    }
    for (int p = 0; p < count; p++) {
        float16 bv = vload16(0, bp + p * ldb);
        PREFETCH(p);
#pragma unroll
        for (int r = 0; r < CB_ROWS; r++) {
            sum[r] = CB_FMA((float16)(A_AT(r, p)), bv, sum[r]);
        }
    }
#pragma unroll
    for (int r = 0; r < CB_ROWS; r++) {
        out[r][0] = sum[r];
    }
}

/* The steps from `begin` on, in which a piece of b is read element by element. */
void add_steps(float16 *out, int pieces, A_SPACE float *ap, long lda, const __global float *bp, long ldb, int begin, int end,
               int columns)
{
    for (int p = begin; p < end; p++) {
        for (int c = 0; c < pieces; c++) {
            float16 bv = load_some(bp + p * ldb + c * 16, columns - c * 16);
            for (int r = 0; r < CB_ROWS; r++) {
                out[r * pieces + c] = CB_FMA((float16)(A_AT(r, p)), bv, out[r * pieces + c]);
            }
        }
    }
}

/* What a tile is added to: rows `pitch` apart. NULL: to nothing. */
struct start {
    const __global float *at;
    long pitch;
};

/* Stores a whole tile: y[index] and on = out + start, through the epilogue when it is the `last`. */
CB_INLINE void store(__global float *y, long index, int n, float16 out[CB_ROWS][CB_PIECES], int channel,
                     struct start start, int last CB_EPILOGUE_PARAMS)
{
    if (start.at) {
#pragma unroll
        for (int r = 0; r < CB_ROWS; r++) {
#pragma unroll
            for (int c = 0; c < CB_PIECES; c++) {
                out[r][c] = vload16(c, start.at + r * start.pitch) + out[r][c];
            }
        }
    }
    if (last) {
#pragma unroll
        for (int r = 0; r < CB_ROWS; r++) {
#pragma unroll
            for (int c = 0; c < CB_PIECES; c++) {
                CB_STORE16(y, index + r * (long)n + c * 16, out[r][c], channel + c * 16);
            }
        }
    } else {
#pragma unroll
        for (int r = 0; r < CB_ROWS; r++) {
#pragma unroll
            for (int c = 0; c < CB_PIECES; c++) {
                vstore16(out[r][c], c, y + index + r * (long)n);
            }
        }
    }
}

/* The same for the rows from `first` on of `columns` columns, in `pieces` pieces. */
void store_part(__global float *y, long index, int n, const float16 *out, int pieces, int first, int channel, int columns,
                struct start start, int last CB_EPILOGUE_PARAMS)
{
    float lanes[16];
    for (int r = first; r < CB_ROWS; r++) {
        for (int c = 0; c < columns; c += 16) {
            const __global float *from = start.at + r * start.pitch + c;
            long here = index + r * (long)n + c;
            int count = min(16, columns - c);
            float16 value = out[r * pieces + c / 16];
            if (start.at) {
                value = load_some(from, count) + value;
            }
            if (count == 16 && last) {
                CB_STORE16(y, here, value, channel + c);
                continue;
            }
            vstore16(value, 0, lanes);
            for (int i = 0; i < count; i++) {
                if (last) {
                    CB_STORE(y, here + i, lanes[i], channel + c + i);
                } else {
                    y[here + i] = lanes[i];
                }
            }
        }
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_tile(__global float *y, const __global float *a, const __global float *b, const __global float *bias, long y0,
          long a0, long b0, int m, int n, int k, long lda, long ldb, long b_panel, int safe, int tiles, int block,
          int chunk, int first_chunk, int accumulate CB_EPILOGUE_PARAMS)
{
    int row_tiles = (m + CB_ROWS - 1) / CB_ROWS, groups = (row_tiles + tiles - 1) / tiles;
    int first_tile = get_global_id(0) % groups * tiles, last_tile = min(row_tiles, first_tile + tiles);
    int panels = (n + PANEL - 1) / PANEL;
    int first_panel = get_global_id(0) / groups * block, last_panel = min(panels, first_panel + block);
#ifdef CB_COPY
    __local float copy[CB_COPY * PITCH];
#endif
#ifdef CB_SPLIT
    int k_begin = (first_chunk + get_global_id(1)) * chunk, k_end = min(k, k_begin + chunk);
    y0 += get_global_id(1) * (long)m * n;
#else
    int k_begin = 0, k_end = k;
#endif
    for (int begin = k_begin; begin < k_end; begin += chunk) {
        int count = min(k_end - begin, chunk), last = begin + count == k_end;
        for (int tile = first_tile; tile < last_tile; tile++) {
            int new_row = tile * CB_ROWS, row = min(new_row, m - CB_ROWS);
            const __global float *rows = a + a0 + (CB_A == 0 ? row * lda + begin : begin * lda + row);
#ifdef CB_COPY
            __local float *ap = copy;
            copy_rows(copy, rows, lda, count);
#else
            const __global float *ap = rows;
#endif
            for (int q = first_panel; q < last_panel; q++) {
                const __global float *bp = b + b0 + q * b_panel + begin * ldb;
                int column = q * PANEL, columns = min(PANEL, n - column);
                int wide = q == panels - 1 ? clamp(safe - begin, 0, count) : count;
                long index = y0 + (long)row * n + column;
                struct start start = {0, n};
#ifdef CB_SPLIT
                last = 0;
#else
                if (begin > 0 || accumulate) {
                    start.at = y + index;
                } else if (bias) {
                    start = (struct start){bias + column, 0};
                }
#endif
                if (columns == PANEL && new_row == row && wide == count) { /* most: no branches, all in registers */
                    float16 out[CB_ROWS][CB_PIECES];
                    multiply(out, ap, lda, bp, ldb, count);
                    store(y, index, n, out, column, start, last CB_EPILOGUE_ARGS);
                    continue;
                }
                for (int c = 0; c < columns; c += columns > PANEL - 16 ? PANEL : 16) {
                    int pieces = columns > PANEL - 16 ? CB_PIECES : 1;
                    struct start here = {start.at ? start.at + c : start.at, start.pitch};
                    float16 out[CB_ROWS][CB_PIECES], piece[CB_ROWS][1];
                    if (pieces > 1) {
                        multiply(out, ap, lda, bp, ldb, wide);
                    } else {
                        multiply_piece(piece, ap, lda, bp + c, ldb, wide);
                    }
                    add_steps(pieces > 1 ? &out[0][0] : &piece[0][0], pieces, ap, lda, bp + c, ldb, wide, count, columns - c);
                    store_part(y, index + c, n, pieces > 1 ? &out[0][0] : &piece[0][0], pieces, new_row - row, column + c,
                               pieces > 1 ? columns : min(16, columns - c), here, last CB_EPILOGUE_ARGS);
                }
            }
        }
    }
}
