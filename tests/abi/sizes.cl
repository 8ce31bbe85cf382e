/* sizes.cl: y = x, for the ABI test. */
__kernel void sizes_copy(__global float *y, __global const float *x, long n)
{
    const long i = get_global_id(0);
    if (i < n) {
        y[i] = x[i];
    }
}
