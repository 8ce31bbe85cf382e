/* gemm_tile.cl: the matrix product in register tiles, for processors: y[m,n] = epilogue(op(a)[m,k] op(b)[k,n] (+ y)).
 *
 * The order of every sum is the one of gemm.cl. A work-item (work-groups of one) makes tiles of CB_ROWS x PANEL outputs,
 * CB_PIECES float16 a row, all sums in registers: 12 x 32 takes 24 of AVX-512's 32 registers, 6 x 16 takes 12 of AVX2's 16
 * or 24 of Neon's 32. b is read PANEL neighbours at a time, from the matrix itself or from packed panels; a one element at
 * a time, as a broadcast, in one of three layouts:
 *   CB_A 0   rows:    op(a)[i,p] = a[a0 + i * lda + p]
 *   CB_A 1   columns: op(a)[i,p] = a[a0 + p * lda + i]    (a is transposed)
 *   CB_A 2   packed:  panels of CB_ROWS rows, [ceil(m/ROWS)][k][ROWS], by gemm_pack_a
 * b:  panel q (columns PANEL * q and on) begins at b0 + q * b_panel, its rows are ldb apart: the matrix itself is
 *     b_panel = PANEL, ldb = n; packed panels [ceil(n/PANEL)][k][PANEL] are b_panel = PANEL * k, ldb = PANEL.
 *
 * A last tile that does not fit is moved back inside and stores only what no other tile does (m >= CB_ROWS is required
 * unless a is packed). The last panel may read past its row into the next one; from row `safe` of b on that would leave
 * the matrix, so these few are read element by element.
 *
 * Order of work: panels in blocks of `block` that stay in the second-level cache; within a block row tiles one after the
 * other. global = ceil(panels / block) * row tiles, x chunks with CB_SPLIT.
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

/* While a tile is made, the lines of a that the next one reads come from memory: its rows lie behind this one's. */
#if CB_A == 1
#define PREFETCH_NEXT(p)
#else
#define PREFETCH_NEXT(p) CB_PREFETCH(ap + CB_ROWS * lda + (p)*16)
#endif

#if CB_A == 0
#define A_AT(r, p) ap[(r)*lda + (p)]
#elif CB_A == 1
#define A_AT(r, p) ap[(p)*lda + (r)]
#else
#define A_AT(r, p) ap[(p)*CB_ROWS + (r)]
#endif

/* Up to 16 elements; lanes from `count` on are zero. */
float16 load_some(const __global float *p, int count)
{
    float lanes[16];
    for (int i = 0; i < 16; i++) {
        lanes[i] = i < count ? p[i] : 0.0f;
    }
    return vload16(0, lanes);
}

/* One 16-wide piece of a row: y = value (+ y), through the epilogue when it is the last. */
void store_piece(__global float *y, long index, float16 value, int channel, int count, int add,
                 int last CB_EPILOGUE_PARAMS)
{
    if (count >= 16) {
        if (add) {
            value = vload16(0, y + index) + value;
        }
        if (last) {
            CB_STORE16(y, index, value, channel);
        } else {
            vstore16(value, 0, y + index);
        }
        return;
    }
    float lanes[16];
    vstore16(value, 0, lanes);
    for (int i = 0; i < count; i++) {
        float one = add ? y[index + i] + lanes[i] : lanes[i];
        if (last) {
            CB_STORE(y, index + i, one, channel + i);
        } else {
            y[index + i] = one;
        }
    }
}

/* A whole tile of CB_ROWS x PANEL: most are, so this has no branches inside. */
void store_tile(__global float *y, long index, int n, float16 out[CB_ROWS][CB_PIECES], int channel, int add,
                int last CB_EPILOGUE_PARAMS)
{
    if (add) {
        for (int r = 0; r < CB_ROWS; r++) {
            for (int c = 0; c < CB_PIECES; c++) {
                out[r][c] = vload16(c, y + index + r * (long)n) + out[r][c];
            }
        }
    }
    if (last) {
        for (int r = 0; r < CB_ROWS; r++) {
            for (int c = 0; c < CB_PIECES; c++) {
                CB_STORE16(y, index + r * (long)n + c * 16, out[r][c], channel + c * 16);
            }
        }
    } else {
        for (int r = 0; r < CB_ROWS; r++) {
            for (int c = 0; c < CB_PIECES; c++) {
                vstore16(out[r][c], c, y + index + r * (long)n);
            }
        }
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_tile(__global float *y, const __global float *a, const __global float *b, long y0, long a0, long b0, int m, int n,
          int k, long lda, long ldb, long b_panel, int safe, int block, int chunk, int first_chunk,
          int accumulate CB_EPILOGUE_PARAMS)
{
    int row_tiles = (m + CB_ROWS - 1) / CB_ROWS, panels = (n + PANEL - 1) / PANEL;
    int id = get_global_id(0);
    int tile = id % row_tiles, first_panel = id / row_tiles * block;
    int last_panel = min(panels, first_panel + block);
    int new_row = tile * CB_ROWS;
#if CB_A == 2
    int row = new_row;
    const __global float *ap = a + a0 + (long)row * k;
#else
    int row = min(new_row, m - CB_ROWS);
    const __global float *ap = a + a0 + row * (CB_A == 0 ? lda : 1);
#endif
    int rows = min(CB_ROWS, m - row);
#ifdef CB_SPLIT
    int k_begin = (first_chunk + get_global_id(1)) * chunk, k_end = min(k, k_begin + chunk);
    y0 += get_global_id(1) * (long)m * n;
#else
    int k_begin = 0, k_end = k;
#endif
    for (int q = first_panel; q < last_panel; q++) {
        const __global float *bp = b + b0 + q * b_panel;
        int column = q * PANEL, columns = min(PANEL, n - column);
        int limit = q == panels - 1 ? safe : k;
        for (int begin = k_begin; begin < k_end; begin += chunk) {
            int end = min(k_end, begin + chunk), wide_end = min(end, max(begin, limit));
            float16 out[CB_ROWS][CB_PIECES];
#if CB_PIECES > 1
            if (columns > 16) {
                float16 sum[CB_ROWS][CB_PIECES];
#pragma unroll
                for (int r = 0; r < CB_ROWS; r++) {
                    sum[r][0] = sum[r][1] = 0.0f;
                }
                for (int p = begin; p < wide_end; p++) {
                    PREFETCH_NEXT(p);
                    float16 b_low = vload16(0, bp + p * ldb), b_high = vload16(1, bp + p * ldb);
#pragma unroll
                    for (int r = 0; r < CB_ROWS; r++) {
                        float16 av = (float16)(A_AT(r, p));
                        sum[r][0] = CB_FMA(av, b_low, sum[r][0]);
                        sum[r][1] = CB_FMA(av, b_high, sum[r][1]);
                    }
                }
#pragma unroll
                for (int r = 0; r < CB_ROWS; r++) {
                    out[r][0] = sum[r][0];
                    out[r][1] = sum[r][1];
                }
            } else
#endif
            {
                float16 sum[CB_ROWS];
#pragma unroll
                for (int r = 0; r < CB_ROWS; r++) {
                    sum[r] = 0.0f;
                }
                for (int p = begin; p < wide_end; p++) {
                    PREFETCH_NEXT(p);
                    float16 b_low = vload16(0, bp + p * ldb);
#pragma unroll
                    for (int r = 0; r < CB_ROWS; r++) {
                        sum[r] = CB_FMA((float16)(A_AT(r, p)), b_low, sum[r]);
                    }
                }
#pragma unroll
                for (int r = 0; r < CB_ROWS; r++) {
                    out[r][0] = sum[r];
                    for (int c = 1; c < CB_PIECES; c++) {
                        out[r][c] = 0.0f;
                    }
                }
            }
            for (int p = wide_end; p < end; p++) {
                for (int c = 0; c < CB_PIECES; c++) {
                    float16 piece = load_some(bp + p * ldb + c * 16, columns - c * 16);
                    for (int r = 0; r < CB_ROWS; r++) {
                        out[r][c] = CB_FMA((float16)(A_AT(r, p)), piece, out[r][c]);
                    }
                }
            }
#ifdef CB_SPLIT
            int add = 0, last = 0;
#else
            int add = begin > 0 || accumulate, last = end == k_end;
#endif
            if (columns == PANEL && new_row == row && rows == CB_ROWS) {
                store_tile(y, y0 + (long)row * n + column, n, out, column, add, last CB_EPILOGUE_ARGS);
                continue;
            }
            for (int r = new_row - row; r < rows; r++) {
                long index = y0 + (long)(row + r) * n + column;
                for (int c = 0; c < CB_PIECES && columns > c * 16; c++) {
                    store_piece(y, index + c * 16, out[r][c], column + c * 16, columns - c * 16, add,
                                last CB_EPILOGUE_ARGS);
                }
            }
        }
    }
}
