/* liar.cl: y = factor x, after `rounds` turns that change nothing. */
__kernel void liar_forward(__global float *y, __global const float *x, long n, float factor, long rounds)
{
    const long i = get_global_id(0);
    if (i >= n) {
        return;
    }
    float v = x[i];
    for (long r = 0; r < rounds; r++) {
        v = v * -1.0f + (float)(r & 1) * 0.0f;
    }
    y[i] = factor * v;
}
