/* pointwise.cl: layers that map each element on its own, where they could not be fused into the layer above; and the
 * backward of what is fused.
 *
 * The core puts a generated header in front: for forward the chain as an epilogue (cl/include/epilogue.clh), for
 * pointwise_backward CB_DF1, CB_DF16 (the derivative) and CB_DF_PARAMS. One work-item handles 16 neighbours. */
#include "epilogue.clh"

#ifndef CB_DF1
#define CB_DF_PARAMS
#define CB_DF1(v) (1.0f)
#define CB_DF16(v) ((float16)(1.0f))
#endif

/* y[rows,C] = chain(x[rows,C]). A chain without an affine runs with rows = 1. */
__kernel void pointwise_forward(__global float *y, __global const float *x, long rows, long C CB_EPILOGUE_PARAMS)
{
    const long c = (long)get_global_id(0) * 16, r = get_global_id(1);
    if (c >= C || r >= rows) {
        return;
    }
    const long i = r * C + c;
    if (c + 16 <= C) {
        const float16 v = vload16(0, x + i);
        CB_STORE16(y, i, v, c);
    } else {
        for (long k = 0; c + k < C; k++) {
            const float v = x[i + k];
            CB_STORE(y, i + k, v, c + k);
        }
    }
}

/* dx[n] (+)= dy[n] * df(xy[n]). dx may be dy. */
__kernel void pointwise_backward(__global float *dx, __global const float *dy, __global const float *xy, long n,
                                 int accumulate CB_DF_PARAMS)
{
    const long i = (long)get_global_id(0) * 16;
    if (i >= n) {
        return;
    }
    if (i + 16 <= n) {
        const float16 v = vload16(0, xy + i);
        const float16 d = vload16(0, dy + i) * CB_DF16(v);
        vstore16(accumulate ? vload16(0, dx + i) + d : d, 0, dx + i);
    } else {
        for (long k = i; k < n; k++) {
            const float v = xy[k];
            const float d = dy[k] * CB_DF1(v);
            dx[k] = accumulate ? dx[k] + d : d;
        }
    }
}

/* dx[rows,C] (+)= dy[rows,C] * scale[C]. dx may be dy. */
__kernel void affine_backward(__global float *dx, __global const float *dy, __global const float *scale, long rows,
                              long C, int accumulate)
{
    const long c = (long)get_global_id(0) * 16, r = get_global_id(1);
    if (c >= C || r >= rows) {
        return;
    }
    const long i = r * C + c;
    if (c + 16 <= C) {
        const float16 d = vload16(0, dy + i) * vload16(0, scale + c);
        vstore16(accumulate ? vload16(0, dx + i) + d : d, 0, dx + i);
    } else {
        for (long k = 0; c + k < C; k++) {
            const float d = dy[i + k] * scale[c + k];
            dx[i + k] = accumulate ? dx[i + k] + d : d;
        }
    }
}

/* dx[n] (+)= dy[n]. */
__kernel void sum_backward(__global float *dx, __global const float *dy, long n, int accumulate)
{
    const long i = (long)get_global_id(0) * 16;
    if (i >= n) {
        return;
    }
    if (i + 16 <= n) {
        const float16 d = vload16(0, dy + i);
        vstore16(accumulate ? vload16(0, dx + i) + d : d, 0, dx + i);
    } else {
        for (long k = i; k < n; k++) {
            dx[k] = accumulate ? dx[k] + dy[k] : dy[k];
        }
    }
}
