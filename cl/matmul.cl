/* matmul.cl: `count` products y[m,n] (+)= sum over k of a[m,k] * b[k,n] of matrices that lie one behind the other; a is
 * [M,K], or [K,M] when a_transposed, b [K,N], or [N,K] when b_transposed. One work-item makes one number, its sum runs
 * over k in order. */
#include "cambium.clh"

/* Work-items: (N, M, count). */
__kernel void matmul(__global float *y, __global const float *a, __global const float *b, long count, int M, int N,
                     int K, int a_transposed, int b_transposed, int accumulate)
{
    const int n = get_global_id(0), m = get_global_id(1);
    const long i = get_global_id(2);
    if (n >= N || m >= M || i >= count) {
        return;
    }
    a += i * M * K + (a_transposed ? m : (long)m * K);
    b += i * K * N + (b_transposed ? (long)n * K : n);
    const long a_step = a_transposed ? M : 1, b_step = b_transposed ? 1 : N;
    float sum = 0.0f;
    CB_IN_ORDER
    for (int k = 0; k < K; k++) {
        sum = CB_FMA(a[k * a_step], b[k * b_step], sum);
    }
    const long at = (i * M + m) * N + n;
    y[at] = accumulate ? y[at] + sum : sum;
}
