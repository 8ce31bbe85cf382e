/* gru.cl: one step of one direction, forward and backward. One work-item takes one number of one sequence's state.
 *
 *   r, z = s(input + b_ih + h w_hh + b_hh), n = tanh(input + b_in + r q) with q = h w_hn + b_hn, h' = (1 - z) n + z h
 *
 * input [N,T,3H] = x w_ih; y [N,T,directions,H]; w [H,3H] = w_hh; kept: gates [N,T,directions,4H] with r, z, n, q. The
 * params' order is r, z, n. Behind a sequence's length all is zero. */
#include "cambium.clh"
#include "recurrent.clh"

/* gates NULL: are not kept; `unused`: lstm's. Work-items: (H, N). */
__kernel void gru_step(__global float *y, __global float *gates, __global float *unused, __global float *unused_too,
                       __global const float *input, __global const float *w, __global const float *b_ih,
                       __global const float *b_hh, RECURRENT_SIZES)
{
    const int j = get_global_id(0), n = get_global_id(1);
    if (j >= H || n >= N) {
        return;
    }
    const int length = recurrent_length(lengths, n, T), t = recurrent_time(step, length, direction);
    const long place = ((long)n * T + t) * directions + direction;
    float hidden[3] = {0.0f, 0.0f, 0.0f}, r = 0.0f, z = 0.0f, fresh = 0.0f, h = 0.0f;
    if (step < length) {
        __global const float *from = input + ((long)n * T + t) * 3 * H + j;
        if (step > 0) {
            const int earlier = recurrent_time(step - 1, length, direction);
            __global const float *state = y + (((long)n * T + earlier) * directions + direction) * H;
            CB_IN_ORDER
            for (int k = 0; k < H; k++) {
                for (int g = 0; g < 3; g++) {
                    hidden[g] = CB_FMA(state[k], w[((long)k * 3 + g) * H + j], hidden[g]);
                }
            }
            h = state[j];
        }
        for (int g = 0; g < 3 && b_hh; g++) {
            hidden[g] += b_hh[g * H + j];
        }
        r = recurrent_sigmoid(from[0] + (b_ih ? b_ih[j] : 0.0f) + hidden[0]);
        z = recurrent_sigmoid(from[H] + (b_ih ? b_ih[H + j] : 0.0f) + hidden[1]);
        fresh = tanh(from[2 * H] + (b_ih ? b_ih[2 * H + j] : 0.0f) + r * hidden[2]);
        h = (1.0f - z) * fresh + z * h;
    }
    y[place * H + j] = h;
    if (gates) {
        __global float *to = gates + place * 4 * H + j;
        to[0] = r;
        to[H] = z;
        to[2 * H] = fresh;
        to[3 * H] = hidden[2];
    }
}

/* Steps run from the last to the first. dgates [N,T,3H]: of the input's part, before the nonlinearities; dhidden
 * [N,T,3H]: of the state's part, which differs in n; carry [N,H]: what goes past the gates to the step before.
 * dh = dy + carry + dhidden of the step after times w^T. Work-items: (H, N). */
__kernel void gru_step_back(__global float *dgates, __global float *dhidden, __global float *carry,
                            __global const float *dy, __global const float *gates, __global const float *y,
                            __global const float *w, RECURRENT_SIZES)
{
    const int j = get_global_id(0), n = get_global_id(1);
    if (j >= H || n >= N) {
        return;
    }
    const int length = recurrent_length(lengths, n, T), t = recurrent_time(step, length, direction);
    const long row = (long)n * T, place = (row + t) * directions + direction;
    __global float *outer = dgates + (row + t) * 3 * H + j, *inner = dhidden + (row + t) * 3 * H + j;
    if (step >= length) {
        for (int g = 0; g < 3; g++) {
            outer[g * H] = 0.0f;
            inner[g * H] = 0.0f;
        }
        return;
    }
    float dh = 0.0f, earlier = 0.0f;
    if (step + 1 < length) {
        __global const float *after = dhidden + (row + recurrent_time(step + 1, length, direction)) * 3 * H;
        CB_IN_ORDER
        for (int g = 0; g < 3 * H; g++) {
            dh = CB_FMA(after[g], w[(long)j * 3 * H + g], dh);
        }
        dh += carry[(long)n * H + j];
    }
    if (step > 0) {
        earlier = y[((row + recurrent_time(step - 1, length, direction)) * directions + direction) * H + j];
    }
    dh += dy[place * H + j];
    __global const float *gate = gates + place * 4 * H + j;
    const float r = gate[0], z = gate[H], fresh = gate[2 * H], hidden = gate[3 * H];
    const float dfresh = dh * (1.0f - z) * (1.0f - fresh * fresh);
    const float dr = dfresh * hidden * r * (1.0f - r), dz = dh * (earlier - fresh) * z * (1.0f - z);
    outer[0] = dr;
    outer[H] = dz;
    outer[2 * H] = dfresh;
    inner[0] = dr;
    inner[H] = dz;
    inner[2 * H] = dfresh * r;
    carry[(long)n * H + j] = dh * z;
}
