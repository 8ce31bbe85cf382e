/* add.cl: y = a + b over `count` elements of C channels, and its gradient dx = dy (or dx += dy). The tile forms give
 * each work-item ADD_TILE neighbours in vectors of 16. y may be a or b; dx may be dy. `partial`: the same where more is
 * to be added, so that nothing fused may act on it yet. */
#include "epilogue.clh"

#ifndef ADD_TILE
#define ADD_TILE 16384
#endif

__kernel void add_forward(__global float *y, __global const float *a, __global const float *b, long count,
                          int C CB_EPILOGUE_PARAMS)
{
    const long i = get_global_id(0);
    if (i >= count) {
        return;
    }
    CB_STORE(y, i, a[i] + b[i], i % C);
}

__kernel void add_partial(__global float *y, __global const float *a, __global const float *b, long count, int C)
{
    const long i = get_global_id(0);
    if (i >= count) {
        return;
    }
    y[i] = a[i] + b[i];
}

static void add_range(__global float *y, __global const float *a, __global const float *b, long i, long end)
{
    for (; i + 16 <= end; i += 16) {
        vstore16(vload16(0, a + i) + vload16(0, b + i), 0, y + i);
    }
    for (; i < end; i++) {
        y[i] = a[i] + b[i];
    }
}

__kernel void add_forward_tile(__global float *y, __global const float *a, __global const float *b, long count,
                               int C CB_EPILOGUE_PARAMS)
{
    const long begin = (long)get_global_id(0) * ADD_TILE;
    if (begin >= count) {
        return;
    }
    const long end = min(begin + ADD_TILE, count);
#ifdef CB_EPILOGUE
    /* what is fused may differ by channel, so that a vector must end within its row */
    int c = (int)(begin % C);
    for (long i = begin; i < end;) {
        if (i + 16 <= end && c + 16 <= C) {
            CB_STORE16(y, i, vload16(0, a + i) + vload16(0, b + i), c);
            i += 16;
            c += 16;
        } else {
            CB_STORE(y, i, a[i] + b[i], c);
            i++;
            c++;
        }
        c = c == C ? 0 : c;
    }
#else
    add_range(y, a, b, begin, end);
#endif
}

__kernel void add_partial_tile(__global float *y, __global const float *a, __global const float *b, long count, int C)
{
    const long begin = (long)get_global_id(0) * ADD_TILE;
    if (begin >= count) {
        return;
    }
    add_range(y, a, b, begin, min(begin + ADD_TILE, count));
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
