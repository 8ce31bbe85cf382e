/* class_token.cl: y = w, then x, for each sample; dx and dw are the parts of dy, dw summed over the samples in order.
 * y, dy [N,front+behind], x, dx [N,behind], w, dw [front], in numbers: front = K C, behind = T C. */

/* Work-items: (front + behind, N). */
__kernel void class_token_forward(__global float *y, __global const float *x, __global const float *w, long N,
                                  long front, long behind)
{
    const long i = get_global_id(0), n = get_global_id(1);
    if (i < front + behind && n < N) {
        y[n * (front + behind) + i] = i < front ? w[i] : x[n * behind + i - front];
    }
}

/* Work-items: (behind, N). */
__kernel void class_token_dx(__global float *dx, __global const float *dy, long N, long front, long behind,
                             int accumulate)
{
    const long i = get_global_id(0), n = get_global_id(1);
    if (i < behind && n < N) {
        const float g = dy[n * (front + behind) + front + i];
        dx[n * behind + i] = accumulate ? dx[n * behind + i] + g : g;
    }
}

/* Work-items: (front). */
__kernel void class_token_dw(__global float *dw, __global const float *dy, long N, long front, long behind,
                             int accumulate)
{
    const long i = get_global_id(0);
    if (i >= front) {
        return;
    }
    float sum = 0.0f;
    for (long n = 0; n < N; n++) {
        sum += dy[n * (front + behind) + i];
    }
    dw[i] = accumulate ? dw[i] + sum : sum;
}
