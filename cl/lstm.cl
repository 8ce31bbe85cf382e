/* lstm.cl: one step of one direction, forward and backward. One work-item takes one number of one sequence's state.
 *
 *   i, f, o = s(input + b_ih + h w_hh + b_hh), g = tanh(likewise), c' = f c + i g, h' = o tanh(c')
 *
 * input [N,T,4H] = x w_ih; y [N,T,directions,H]; w [H,4H] = w_hh; kept: gates [N,T,directions,4H] and cells
 * [N,T,directions,H]. The gates' order is i, f, g, o. Behind a sequence's length all is zero. */
#include "cambium.clh"
#include "recurrent.clh"

/* gates and cells NULL: are not kept. cell [N,H] holds c from step to step. Work-items: (H, N). */
__kernel void lstm_step(__global float *y, __global float *gates, __global float *cells, __global float *cell,
                        __global const float *input, __global const float *w, __global const float *b_ih,
                        __global const float *b_hh, RECURRENT_SIZES)
{
    const int j = get_global_id(0), n = get_global_id(1);
    if (j >= H || n >= N) {
        return;
    }
    const int length = recurrent_length(lengths, n, T), t = recurrent_time(step, length, direction);
    const long place = ((long)n * T + t) * directions + direction;
    float gate[4] = {0.0f, 0.0f, 0.0f, 0.0f}, h = 0.0f, c = 0.0f;
    if (step < length) {
        __global const float *from = input + ((long)n * T + t) * 4 * H + j;
        if (step > 0) {
            const int earlier = recurrent_time(step - 1, length, direction);
            __global const float *state = y + (((long)n * T + earlier) * directions + direction) * H;
            CB_IN_ORDER
            for (int k = 0; k < H; k++) {
                for (int g = 0; g < 4; g++) {
                    gate[g] = CB_FMA(state[k], w[((long)k * 4 + g) * H + j], gate[g]);
                }
            }
            c = cell[(long)n * H + j];
        }
        for (int g = 0; g < 4; g++) {
            gate[g] += from[g * H] + (b_ih ? b_ih[g * H + j] + b_hh[g * H + j] : 0.0f);
            gate[g] = g == 2 ? tanh(gate[g]) : recurrent_sigmoid(gate[g]);
        }
        c = gate[1] * c + gate[0] * gate[2];
        h = gate[3] * tanh(c);
    }
    cell[(long)n * H + j] = c;
    y[place * H + j] = h;
    for (int g = 0; g < 4 && gates; g++) {
        gates[(place * 4 + g) * H + j] = gate[g];
    }
    if (cells) {
        cells[place * H + j] = c;
    }
}

/* Steps run from the last to the first. dgates [N,T,4H]: before the nonlinearities; `same` is dgates again; carry
 * [N,H]: dc of the step after. dh = dy + dgates of the step after times w^T. Work-items: (H, N). */
__kernel void lstm_step_back(__global float *dgates, __global const float *same, __global float *carry,
                             __global const float *dy, __global const float *gates, __global const float *cells,
                             __global const float *w, RECURRENT_SIZES)
{
    const int j = get_global_id(0), n = get_global_id(1);
    if (j >= H || n >= N) {
        return;
    }
    const int length = recurrent_length(lengths, n, T), t = recurrent_time(step, length, direction);
    const long row = (long)n * T, place = (row + t) * directions + direction;
    __global float *to = dgates + (row + t) * 4 * H + j;
    if (step >= length) {
        for (int g = 0; g < 4; g++) {
            to[g * H] = 0.0f;
        }
        return;
    }
    float dh = 0.0f, dc = 0.0f, earlier = 0.0f;
    if (step + 1 < length) {
        __global const float *after = same + (row + recurrent_time(step + 1, length, direction)) * 4 * H;
        CB_IN_ORDER
        for (int g = 0; g < 4 * H; g++) {
            dh = CB_FMA(after[g], w[(long)j * 4 * H + g], dh);
        }
        dc = carry[(long)n * H + j];
    }
    if (step > 0) {
        earlier = cells[((row + recurrent_time(step - 1, length, direction)) * directions + direction) * H + j];
    }
    dh += dy[place * H + j];
    __global const float *gate = gates + place * 4 * H + j;
    const float i = gate[0], f = gate[H], g = gate[2 * H], o = gate[3 * H], c = tanh(cells[place * H + j]);
    dc += dh * o * (1.0f - c * c);
    to[0] = dc * g * i * (1.0f - i);
    to[H] = dc * earlier * f * (1.0f - f);
    to[2 * H] = dc * i * (1.0f - g * g);
    to[3 * H] = dh * c * o * (1.0f - o);
    carry[(long)n * H + j] = dc * f;
}
