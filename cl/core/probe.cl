/* probe.cl: small kernels of `cambium doctor`. Each does one thing whose right result the host knows (src/device/doctor.c).
 *
 *   probe_functions  y[8 i ..] = x sqrt, exp, log(|x| + 1), tanh, 1 / (x + 3), x * 2 + 1, floor, fma: ordinary arithmetic
 *   probe_integers   32-bit and 64-bit: mul_hi, rotate, shifts, division, the sum of products in long
 *   probe_vectors    y[16 i ..] = float16 work: load, select, max, a scalar factor, store
 *   probe_half       y[i] = half(x[i]) through vstore_half and vload_half
 *   probe_local      y = x with every work-group's part in reverse order, through local memory
 *   probe_sum        parts[group] = sum of x over the group's part, a tree in local memory
 *   probe_group      y[i] = local id + 1000 * group id
 */
#include "cambium.clh"

__kernel void probe_functions(__global float *y, const __global float *x, int count)
{
    int i = get_global_id(0);
    CB_GUARD(i, count);
    float v = x[i];
    float8 results = (float8)(sqrt(fabs(v)), exp(v), log(fabs(v) + 1.0f), tanh(v), 1.0f / (v + 30.0f), v * 2.0f + 1.0f,
                              floor(v), fma(v, v, 1.0f));
    vstore8(results, i, y);
}

__kernel void probe_integers(__global uint *y, const __global uint *x, int count)
{
    int i = get_global_id(0);
    CB_GUARD(i, count);
    uint v = x[i];
    ulong wide = (ulong)v * 0xD2511F53u;
    vstore4((uint4)(mul_hi(v, 0xD2511F53u), rotate(v, 13u) ^ (v >> 7), (uint)(wide >> 17), v / 7u + v % 1000u), i, y);
}

__kernel void probe_vectors(__global float *y, const __global float *x, int count)
{
    int i = get_global_id(0);
    CB_GUARD(i, count);
    float16 v = vload16(i, x);
    float16 w = select(v * 0.5f, v, v > 0.0f);
    vstore16(max(w, -1.0f) + v.s0, i, y);
}

__kernel void probe_half(__global float *y, __global half *scratch, const __global float *x, int count)
{
    int i = get_global_id(0);
    CB_GUARD(i, count);
    vstore_half(x[i], i, scratch);
    y[i] = vload_half(i, scratch);
}

__kernel void probe_local(__global float *y, const __global float *x, __local float *space)
{
    int l = get_local_id(0), size = get_local_size(0), first = get_group_id(0) * size;
    space[l] = x[first + l];
    barrier(CLK_LOCAL_MEM_FENCE);
    y[first + l] = space[size - 1 - l];
}

__kernel void probe_sum(__global float *parts, const __global float *x, __local float *space)
{
    int l = get_local_id(0), size = get_local_size(0);
    space[l] = x[get_global_id(0)];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int half_size = size / 2; half_size > 0; half_size /= 2) {
        if (l < half_size) {
            space[l] += space[l + half_size];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (l == 0) {
        parts[get_group_id(0)] = space[0];
    }
}

__kernel void probe_group(__global int *y)
{
    y[get_global_id(0)] = get_local_id(0) + 1000 * get_group_id(0);
}
