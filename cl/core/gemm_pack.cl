/* gemm_pack.cl: the right operand of the matrix product, op(b) [k,n], copied into the panels that gemm_tile.cl reads:
 * [panel][k][CB_WIDTH], the part past the matrix filled with zeros.
 *
 *   gemm_pack_rows      b is transposed, its columns lie one after the other: source[s0 + (panel * WIDTH + w) * ld + p]
 *   gemm_pack_columns   b as it is, they lie side by side: source[s0 + p * ld + panel * WIDTH + w]
 * count: n. global (ceil(k / 64), panels): a work-item copies 64 steps of k of one panel.
 */
#include "cambium.clh"

#ifndef CB_WIDTH
#define CB_WIDTH 32
#endif
#define STEPS 64
#define ZERO ((float4)(0.0f))

__kernel void gemm_pack_rows(__global float *panels, const __global float *source, long s0, int count, int k, long ld)
{
    int begin = get_global_id(0) * STEPS, first = get_global_id(1) * CB_WIDTH;
    CB_GUARD(begin, k);
    CB_GUARD(first, count);
    int end = min(k, begin + STEPS);
    __global float *to = panels + (long)first * k;
    for (int w = 0; w < CB_WIDTH; w += 4) {
        /* 4 lines at a time, 4 x 4 elements in registers; a line past the end is read as the last one, then zeroed */
        int line = first + w;
        const __global float *from = source + s0;
        const __global float *l0 = from + min(line, count - 1) * ld, *l1 = from + min(line + 1, count - 1) * ld;
        const __global float *l2 = from + min(line + 2, count - 1) * ld, *l3 = from + min(line + 3, count - 1) * ld;
        float4 mask = (float4)(line < count, line + 1 < count, line + 2 < count, line + 3 < count);
        int p = begin;
        for (; p + 4 <= end; p += 4) {
            float4 v0 = vload4(0, l0 + p), v1 = vload4(0, l1 + p), v2 = vload4(0, l2 + p), v3 = vload4(0, l3 + p);
            float4 r0 = (float4)(v0.x, v1.x, v2.x, v3.x), r1 = (float4)(v0.y, v1.y, v2.y, v3.y);
            float4 r2 = (float4)(v0.z, v1.z, v2.z, v3.z), r3 = (float4)(v0.w, v1.w, v2.w, v3.w);
            __global float *out = to + (long)p * CB_WIDTH + w;
            vstore4(select(ZERO, r0, mask > 0.0f), 0, out);
            vstore4(select(ZERO, r1, mask > 0.0f), 0, out + CB_WIDTH);
            vstore4(select(ZERO, r2, mask > 0.0f), 0, out + 2 * CB_WIDTH);
            vstore4(select(ZERO, r3, mask > 0.0f), 0, out + 3 * CB_WIDTH);
        }
        for (; p < end; p++) {
            vstore4(select(ZERO, (float4)(l0[p], l1[p], l2[p], l3[p]), mask > 0.0f), 0, to + (long)p * CB_WIDTH + w);
        }
    }
}

__kernel void gemm_pack_columns(__global float *panels, const __global float *source, long s0, int count, int k,
                                long ld)
{
    int begin = get_global_id(0) * STEPS, first = get_global_id(1) * CB_WIDTH;
    CB_GUARD(begin, k);
    CB_GUARD(first, count);
    int end = min(k, begin + STEPS), width = min(CB_WIDTH, count - first);
    __global float *to = panels + (long)first * k + (long)begin * CB_WIDTH;
    const __global float *from = source + s0 + begin * ld + first;
    for (int p = begin; p < end; p++, to += CB_WIDTH, from += ld) {
        if (width == CB_WIDTH) {
            for (int w = 0; w < CB_WIDTH; w += 16) {
                vstore16(vload16(0, from + w), 0, to + w);
            }
        } else {
            for (int w = 0; w < CB_WIDTH; w++) {
                to[w] = w < width ? from[w] : 0.0f;
            }
        }
    }
}
