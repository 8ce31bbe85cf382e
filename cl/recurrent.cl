/* recurrent.cl: what the params' gradients of lstm and gru need besides matrix products. */
#include "cambium.clh"
#include "recurrent.clh"

/* before [N,T,H]: the state of this direction before each place, zero before its first step and behind the sequence;
 * from y [N,T,directions,H]. Work-items: (H, T, N). */
__kernel void recurrent_previous(__global float *before, __global const float *y, RECURRENT_SIZES)
{
    const int j = get_global_id(0), t = get_global_id(1), n = get_global_id(2);
    if (j >= H || t >= T || n >= N) {
        return;
    }
    const int length = recurrent_length(lengths, n, T), from = direction == 1 ? t + 1 : t - 1;
    const bool is_there = t < length && from >= 0 && from < length;
    const long row = (long)n * T;
    before[(row + t) * H + j] = is_there ? y[((row + from) * directions + direction) * H + j] : 0.0f;
}

/* db[g] = sum over n, t of gates[n,t,g], by sequence, then over the batch. Work-items: (G). */
__kernel void recurrent_db(__global float *db, __global const float *gates, int N, int T, int G, int accumulate)
{
    const int g = get_global_id(0);
    if (g >= G) {
        return;
    }
    float total = 0.0f;
    CB_IN_ORDER
    for (int n = 0; n < N; n++) {
        float sum = 0.0f;
        CB_IN_ORDER
        for (int t = 0; t < T; t++) {
            sum += gates[((long)n * T + t) * G + g];
        }
        total += sum;
    }
    db[g] = accumulate ? db[g] + total : total;
}
