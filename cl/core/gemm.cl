/* gemm.cl: y[m,n] = epilogue(op(a)[m,k] op(b)[k,n] + start), row-major, float; the plain and the work-group form.
 *
 * The order of every sum, the same in all forms (gemm_tile.cl too): k is cut into chunks of `chunk`; within a chunk the
 * products are added one after the other by CB_FMA, beginning with zero; the chunks' sums are added one after the other
 * to the start: y (accumulate), else bias[n], or zero where there is none. So a row's result depends on k alone, not on m, the tile, or the number of cores.
 *
 * Strides in elements: op(a)[i,p] = a[a0 + i * a_row + p * a_col], op(b)[p,j] = b[b0 + p * b_row + j * b_col],
 * y[i,j] = y[y0 + i * n + j].
 *
 *   gemm_plain   one work-item an element: global (n, m); runs everywhere and defines the result
 *   gemm_group   work-groups of 16 x 16 make tiles of 64 x 64 through local memory: global (16 * ceil(n / 64),
 *                16 * ceil(m / 64)); for GPUs. CB_A_COLUMNS / CB_B_COLUMNS: the operand's neighbours in memory are
 *                neighbours in i / in p, so that loads are coalesced either way.
 */
#include "cambium.clh"
#include "epilogue.clh"

__kernel void gemm_plain(__global float *y, const __global float *a, const __global float *b,
                         const __global float *bias, long y0, long a0, long b0, int m, int n, int k, long a_row, long a_col, long b_row, long b_col, int chunk,
                         int accumulate CB_EPILOGUE_PARAMS)
{
    int j = get_global_id(0), i = get_global_id(1);
    CB_GUARD(j, n);
    CB_GUARD(i, m);
    const __global float *ap = a + a0 + i * a_row;
    const __global float *bp = b + b0 + j * b_col;
    long index = y0 + (long)i * n + j;
    acc total = accumulate ? y[index] : bias ? bias[j] : 0.0f;
    for (int begin = 0; begin < k; begin += chunk) {
        int end = min(k, begin + chunk);
        acc sum = 0.0f;
        CB_IN_ORDER
        for (int p = begin; p < end; p++) {
            sum = CB_FMA(ap[p * a_col], bp[p * b_row], sum);
        }
        total += sum;
    }
    CB_STORE(y, index, total, j);
}

#define STEP 16                /* of k between two barriers; divides every chunk */
#define SIDE 64                /* of a tile */
#define PITCH (SIDE + 1)       /* of a row in local memory: odd, so that both ways of filling avoid bank conflicts */
#define LOADS (SIDE * STEP / 256) /* of each operand by each work-item and step */

__kernel __attribute__((reqd_work_group_size(16, 16, 1))) void
gemm_group(__global float *y, const __global float *a, const __global float *b, const __global float *bias, long y0,
           long a0, long b0, int m, int n, int k, long a_row, long a_col, long b_row, long b_col, int chunk, int accumulate CB_EPILOGUE_PARAMS)
{
    __local float at[STEP][PITCH], bt[STEP][PITCH];
    int tx = get_local_id(0), ty = get_local_id(1), t = ty * 16 + tx;
    int i0 = get_group_id(1) * SIDE, j0 = get_group_id(0) * SIDE;
    acc sum[4][4], total[4][4];
    for (int r = 0; r < 4; r++) {
        for (int c = 0; c < 4; c++) {
            int i = i0 + ty * 4 + r, j = j0 + tx + 16 * c;
            bool is_inside = i < m && j < n;
            total[r][c] = is_inside && accumulate ? y[y0 + (long)i * n + j] : is_inside && bias ? bias[j] : 0.0f;
        }
    }
    for (int begin = 0; begin < k; begin += chunk) {
        int end = min(k, begin + chunk);
        for (int r = 0; r < 4; r++) {
            for (int c = 0; c < 4; c++) {
                sum[r][c] = 0.0f;
            }
        }
        for (int p0 = begin; p0 < end; p0 += STEP) {
            for (int s = 0; s < LOADS; s++) {
                int at_index = t + 256 * s;
#ifdef CB_A_COLUMNS
                int ai = at_index % SIDE, ap = at_index / SIDE;
#else
                int ai = at_index / STEP, ap = at_index % STEP;
#endif
#ifdef CB_B_COLUMNS
                int bj = at_index / STEP, bp = at_index % STEP;
#else
                int bj = at_index % SIDE, bp = at_index / SIDE;
#endif
                at[ap][ai] = i0 + ai < m && p0 + ap < end ? a[a0 + (i0 + ai) * a_row + (p0 + ap) * a_col] : 0.0f;
                bt[bp][bj] = j0 + bj < n && p0 + bp < end ? b[b0 + (p0 + bp) * b_row + (j0 + bj) * b_col] : 0.0f;
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            for (int p = 0; p < STEP; p++) {
                float av[4], bv[4];
                for (int r = 0; r < 4; r++) {
                    av[r] = at[p][ty * 4 + r];
                    bv[r] = bt[p][tx + 16 * r];
                }
                for (int r = 0; r < 4; r++) {
                    for (int c = 0; c < 4; c++) {
                        sum[r][c] = CB_FMA(av[r], bv[c], sum[r][c]);
                    }
                }
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        for (int r = 0; r < 4; r++) {
            for (int c = 0; c < 4; c++) {
                total[r][c] += sum[r][c];
            }
        }
    }
    for (int r = 0; r < 4; r++) {
        for (int c = 0; c < 4; c++) {
            int i = i0 + ty * 4 + r, j = j0 + tx + 16 * c;
            if (i < m && j < n) {
                CB_STORE(y, y0 + (long)i * n + j, total[r][c], j);
            }
        }
    }
}
