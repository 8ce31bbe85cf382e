/* abi_sample.cl: y = gain x + w[c], for the ABI test. x, y [n / C, C]; w [C]. */
__kernel void abi_sample_forward(__global float *y, __global const float *x, __global const float *w, long n, long C, float gain)
{
    const long i = get_global_id(0);
    if (i < n) {
        y[i] = gain * x[i] + w[i % C];
    }
}

__kernel void abi_sample_dx(__global float *dx, __global const float *dy, long n, float gain, int accumulate)
{
    const long i = get_global_id(0);
    if (i < n) {
        dx[i] = accumulate ? dx[i] + gain * dy[i] : gain * dy[i];
    }
}

__kernel void abi_sample_dw(__global float *dw, __global const float *dy, long n, long C, int accumulate)
{
    const long c = get_global_id(0);
    if (c >= C) {
        return;
    }
    float sum = accumulate ? dw[c] : 0.0f;
    for (long i = c; i < n; i += C) {
        sum += dy[i];
    }
    dw[c] = sum;
}
