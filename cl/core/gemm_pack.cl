/* gemm_pack.cl: operands of the matrix product copied into the panels that gemm_tile.cl reads: [panel][k][width], the
 * part past the matrix filled with zeros. CB_WIDTH is 12 for rows of a, 32 for columns of b.
 *
 *   gemm_pack_rows      the source holds one panel line after the other: source[s0 + (panel * W + w) * ld + p]
 *                       (a as it is, b transposed)
 *   gemm_pack_columns   the source holds them side by side: source[s0 + p * ld + panel * W + w]
 *                       (a transposed, b as it is)
 * count: lines in all (m or n). global (ceil(k / 16), panels): a work-item copies 16 steps of k of one panel.
 */
#include "cambium.clh"

#ifndef CB_WIDTH
#define CB_WIDTH 32
#endif
#define STEPS 16

__kernel void gemm_pack_rows(__global float *panels, const __global float *source, long p0, long s0, int count, int k,
                             long ld)
{
    int begin = get_global_id(0) * STEPS, first = get_global_id(1) * CB_WIDTH;
    CB_GUARD(begin, k);
    CB_GUARD(first, count);
    int end = min(k, begin + STEPS);
    __global float *to = panels + p0 + (long)first * k;
    for (int w = 0; w < CB_WIDTH; w++) {
        const __global float *line = source + s0 + min(first + w, count - 1) * ld;
        int is_real = first + w < count;
        for (int p = begin; p < end; p++) {
            to[(long)p * CB_WIDTH + w] = is_real ? line[p] : 0.0f;
        }
    }
}

__kernel void gemm_pack_columns(__global float *panels, const __global float *source, long p0, long s0, int count,
                                int k, long ld)
{
    int begin = get_global_id(0) * STEPS, first = get_global_id(1) * CB_WIDTH;
    CB_GUARD(begin, k);
    CB_GUARD(first, count);
    int end = min(k, begin + STEPS), width = min(CB_WIDTH, count - first);
    __global float *to = panels + p0 + (long)first * k + (long)begin * CB_WIDTH;
    const __global float *from = source + s0 + begin * ld + first;
    for (int p = begin; p < end; p++, to += CB_WIDTH, from += ld) {
        if (width == CB_WIDTH) {
            for (int w = 0; w < CB_WIDTH; w += 4) {
                vstore4(vload4(0, from + w), 0, to + w);
            }
        } else {
            for (int w = 0; w < CB_WIDTH; w++) {
                to[w] = w < width ? from[w] : 0.0f;
            }
        }
    }
}
