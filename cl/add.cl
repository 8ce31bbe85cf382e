/* add.cl: y = a + b over `count` elements of any shape, and its gradient dx = dy (or dx += dy). The tile forms give
 * each work-item ADD_TILE neighbours in vectors of 16. y may be a or b; dx may be dy. */

#ifndef ADD_TILE
#define ADD_TILE 16384
#endif

__kernel void add_forward(__global float *y, __global const float *a, __global const float *b, long count)
{
    const long i = get_global_id(0);
    if (i >= count) {
        return;
    }
    y[i] = a[i] + b[i];
}

__kernel void add_forward_tile(__global float *y, __global const float *a, __global const float *b, long count)
{
    const long begin = (long)get_global_id(0) * ADD_TILE;
    if (begin >= count) {
        return;
    }
    const long end = min(begin + ADD_TILE, count);
    long i = begin;
    for (; i + 16 <= end; i += 16) {
        vstore16(vload16(0, a + i) + vload16(0, b + i), 0, y + i);
    }
    for (; i < end; i++) {
        y[i] = a[i] + b[i];
    }
}

__kernel void add_dx(__global float *dx, __global const float *dy, long count, int accumulate)
{
    const long i = get_global_id(0);
    if (i >= count) {
        return;
    }
    dx[i] = accumulate ? dx[i] + dy[i] : dy[i];
}

__kernel void add_dx_tile(__global float *dx, __global const float *dy, long count, int accumulate)
{
    const long begin = (long)get_global_id(0) * ADD_TILE;
    if (begin >= count) {
        return;
    }
    const long end = min(begin + ADD_TILE, count);
    long i = begin;
    for (; i + 16 <= end; i += 16) {
        const float16 g = vload16(0, dy + i);
        vstore16(accumulate ? vload16(0, dx + i) + g : g, 0, dx + i);
    }
    for (; i < end; i++) {
        dx[i] = accumulate ? dx[i] + dy[i] : dy[i];
    }
}
