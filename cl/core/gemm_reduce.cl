/* gemm_reduce.cl: adds up the sums that gemm_tile.cl made of chunks of k, in their order.
 *
 * y[i,j] = epilogue(start + parts[0][i,j] + parts[1][i,j] + ...), parts[count][m,n]; start: y when accumulate,
 * else bias[n] or, where there is none, zero.
 * global (ceil(n / 16), m) */
#include "cambium.clh"
#include "epilogue.clh"

__kernel void gemm_reduce(__global float *y, const __global float *parts, const __global float *bias, long y0, long parts0, int m, int n,
                          int count, int accumulate CB_EPILOGUE_PARAMS)
{
    int j = get_global_id(0) * 16, i = get_global_id(1);
    CB_GUARD(j, n);
    CB_GUARD(i, m);
    parts += parts0;
    long here = (long)i * n + j;
    long piece = (long)m * n;
    if (j + 16 <= n) {
        float16 total = accumulate ? vload16(0, y + y0 + here) : bias ? vload16(0, bias + j) : (float16)(0.0f);
        for (int c = 0; c < count; c++) {
            total += vload16(0, parts + c * piece + here);
        }
        CB_STORE16(y, y0 + here, total, j);
        return;
    }
    for (; j < n; j++, here++) {
        float total = accumulate ? y[y0 + here] : bias ? bias[j] : 0.0f;
        for (int c = 0; c < count; c++) {
            total += parts[c * piece + here];
        }
        CB_STORE(y, y0 + here, total, j);
    }
}
