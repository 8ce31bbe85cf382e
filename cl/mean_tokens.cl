/* mean_tokens.cl: y[n,c] = mean over t < lengths[n] of x[n,t,c]; dx[n,t,c] = dy[n,c] / lengths[n] there, 0 elsewhere.
 * x, dx: [N,T,C]; y, dy: [N,C]; lengths: [N], NULL: all are T. One work-item an element; sums go in chunks of 64 tokens
 * from the first on, so that a sequence's result does not depend on how long the others are. */
#include "cambium.clh"

#define CHUNK 64

static int mean_tokens_length(__global const int *lengths, int n, int T)
{
    return lengths ? clamp(lengths[n], 0, T) : T;
}

__kernel void mean_tokens_forward(__global float *y, __global const float *x, __global const int *lengths, int N, int T,
                                  int C)
{
    const int c = get_global_id(0), n = get_global_id(1);
    if (c >= C || n >= N) {
        return;
    }
    const int length = mean_tokens_length(lengths, n, T);
    x += (long)n * T * C + c;
    float sum = 0.0f;
    for (int done = 0; done < length; done += CHUNK) {
        const int end = min(done + CHUNK, length);
        float part = 0.0f;
        CB_IN_ORDER
        for (int t = done; t < end; t++) {
            part += x[(long)t * C];
        }
        sum += part;
    }
    y[(long)n * C + c] = sum / (float)max(length, 1);
}

__kernel void mean_tokens_dx(__global float *dx, __global const float *dy, __global const int *lengths, int N, int T,
                             int C, int accumulate)
{
    const int c = get_global_id(0), t = get_global_id(1), n = get_global_id(2);
    if (c >= C || t >= T || n >= N) {
        return;
    }
    const int length = mean_tokens_length(lengths, n, T);
    const long i = ((long)n * T + t) * C + c;
    const float g = t < length ? dy[(long)n * C + c] / (float)length : 0.0f;
    dx[i] = accumulate ? dx[i] + g : g;
}
