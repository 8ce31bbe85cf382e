/* measure.cl: what a device can do at most, for `cambium bench` (src/device/measure.c).
 *
 *   measure_arithmetic  CB_CHAINS independent chains of fused multiply-adds over CB_LANES floats, nothing else
 *   measure_copy        y = x, read and written once, each work-item `length` vectors of CB_LANES, in the device's own
 *                       order: a run of neighbours each on processors, one vector each elsewhere
 */
#include "cambium.clh"

#if CB_LANES == 16
typedef float16 vec;
#define LOAD(p, i) vload16((i), (p))
#define SAVE(p, i, value) vstore16((value), (i), (p))
#else
typedef float4 vec;
#define LOAD(p, i) vload4((i), (p))
#define SAVE(p, i, value) vstore4((value), (i), (p))
#endif

/* y[id] gets a number that depends on all of them, so that no compiler leaves them out. Work-items: any. */
__kernel void measure_arithmetic(__global float *y, int loops, float factor)
{
    const size_t id = get_global_id(0);
    const vec a = (vec)(factor), b = (vec)(1.0f - factor);
    vec sum[CB_CHAINS];
#pragma unroll
    for (int k = 0; k < CB_CHAINS; k++) {
        sum[k] = (vec)((float)(id + k));
    }
    for (int i = 0; i < loops; i++) {
#pragma unroll
        for (int k = 0; k < CB_CHAINS; k++) {
            sum[k] = fma(sum[k], a, b);
        }
    }
    vec total = sum[0];
#pragma unroll
    for (int k = 1; k < CB_CHAINS; k++) {
        total += sum[k];
    }
    y[id] = total.s0 + total.s1 + total.s2 + total.s3;
}

__kernel void measure_copy(__global float *y, __global const float *x, int length, long vectors)
{
    const long first = (long)get_global_id(0) * length, last = min(vectors, first + length);
    for (long i = first; i < last; i++) {
        SAVE(y, i, LOAD(x, i));
    }
}
