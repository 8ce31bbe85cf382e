/* supervised_contrastive.cl: with s[i,a] = z[i] . z[a] sharpness (1 / temperature) over the samples that take part,
 * those whose label is not negative:
 *     loss[i] = log(sum over a != i of exp(s[i,a])) - mean over p of i's class, p != i, of s[i,p]
 *     dz[i] = sharpness sum over a != i of (h[i,a] + h[a,i]) z[a],
 *     h[i,a] = dy[i] (exp(s[i,a] - lse[i]) - [a is of i's class] / count[i]), 0 where i is alone in its class
 * z, dz: [N,C]; kept (lse, count; may be NULL in forward): [N,2]; labels, loss, weight, dy: [N].
 * One work-item a sample. */
#include "cambium.clh"

static float supervised_contrastive_score(__global const float *a, __global const float *b, long C, float sharpness)
{
    float sum = 0.0f;
    CB_IN_ORDER
    for (long c = 0; c < C; c++) {
        sum += a[c] * b[c];
    }
    return sum * sharpness;
}

__kernel void supervised_contrastive_forward(__global float *loss, __global float *weight, __global float *kept,
                                             __global const float *z, __global const int *labels, long N, long C,
                                             float sharpness)
{
    const long i = get_global_id(0);
    if (i >= N) {
        return;
    }
    float largest = -INFINITY, sum = 0.0f, own = 0.0f, count = 0.0f;
    CB_IN_ORDER
    for (long a = 0; a < N; a++) {
        if (a == i || labels[a] < 0) {
            continue;
        }
        const float s = supervised_contrastive_score(z + i * C, z + a * C, C, sharpness);
        const float top = s > largest ? s : largest;
        sum = sum * exp(largest - top) + exp(s - top);
        largest = top;
        own += labels[a] == labels[i] ? s : 0.0f;
        count += labels[a] == labels[i] ? 1.0f : 0.0f;
    }
    const bool counts = labels[i] >= 0 && count > 0.0f;
    const float lse = counts ? largest + log(sum) : 0.0f;
    loss[i] = counts ? lse - own / count : 0.0f;
    weight[i] = counts ? 1.0f : 0.0f;
    if (kept) {
        kept[2 * i] = lse;
        kept[2 * i + 1] = counts ? count : 0.0f;
    }
}

/* h of a sample with a score to another. */
static float supervised_contrastive_pull(float dy, float s, float lse, float count, bool is_own)
{
    return count > 0.0f ? dy * (exp(s - lse) - (is_own ? 1.0f / count : 0.0f)) : 0.0f;
}

__kernel void supervised_contrastive_dx(__global float *dz, __global const float *dy, __global const float *kept,
                                        __global const float *z, __global const int *labels, long N, long C,
                                        float sharpness, int accumulate)
{
    const long i = get_global_id(0);
    if (i >= N) {
        return;
    }
    dz += i * C;
    for (long c = 0; c < C && !accumulate; c++) {
        dz[c] = 0.0f;
    }
    CB_IN_ORDER
    for (long a = 0; a < N && labels[i] >= 0; a++) {
        if (a == i || labels[a] < 0) {
            continue;
        }
        const float s = supervised_contrastive_score(z + i * C, z + a * C, C, sharpness);
        const bool is_own = labels[a] == labels[i];
        const float h = supervised_contrastive_pull(dy[i], s, kept[2 * i], kept[2 * i + 1], is_own) +
                        supervised_contrastive_pull(dy[a], s, kept[2 * a], kept[2 * a + 1], is_own);
        for (long c = 0; c < C; c++) {
            dz[c] += sharpness * h * z[a * C + c];
        }
    }
}
