/* cosine_embedding.cl: cos = sum(a b) / sqrt((sum(a^2) + e) (sum(b^2) + e)), e = 1e-12.
 *     loss = 1 - cos for label 1 (or no labels), max(0, cos - margin) for another
 *     da = dy s (b / sqrt(...) - cos a / (sum(a^2) + e)), s = -1 for label 1, 1 for another where cos > margin, else 0
 * a, b, da: [N,C]; labels, loss, weight, dy: [N]. One work-item a pair. */
#include "cambium.clh"

/* sum(a b), sum(a^2) + e, sum(b^2) + e */
static float3 cosine_embedding_sums(__global const float *a, __global const float *b, long C)
{
    float3 sums = (float3)(0.0f, 1e-12f, 1e-12f);
    CB_IN_ORDER
    for (long c = 0; c < C; c++) {
        sums += (float3)(a[c] * b[c], a[c] * a[c], b[c] * b[c]);
    }
    return sums;
}

__kernel void cosine_embedding_forward(__global float *loss, __global float *weight, __global const float *a,
                                       __global const float *b, __global const int *labels, long N, long C,
                                       float margin)
{
    const long n = get_global_id(0);
    if (n >= N) {
        return;
    }
    const int label = labels ? labels[n] : 1;
    const float3 sums = cosine_embedding_sums(a + n * C, b + n * C, C);
    const float cosine = sums.x / (sqrt(sums.y) * sqrt(sums.z));
    loss[n] = label == 1 ? 1.0f - cosine : cosine <= margin ? 0.0f : cosine - margin;
    weight[n] = 1.0f;
}

__kernel void cosine_embedding_dx(__global float *da, __global const float *dy, __global const float *a,
                                  __global const float *b, __global const int *labels, long N, long C, float margin,
                                  int accumulate)
{
    const long n = get_global_id(0);
    if (n >= N) {
        return;
    }
    a += n * C;
    b += n * C;
    da += n * C;
    const int label = labels ? labels[n] : 1;
    const float3 sums = cosine_embedding_sums(a, b, C);
    const float norm = sqrt(sums.y) * sqrt(sums.z), cosine = sums.x / norm;
    const float side = label == 1 ? -1.0f : cosine <= margin ? 0.0f : 1.0f;
    for (long c = 0; c < C; c++) {
        const float g = dy[n] * side * (b[c] / norm - cosine * a[c] / sums.y);
        da[c] = accumulate ? da[c] + g : g;
    }
}
