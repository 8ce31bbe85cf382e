/* rotary.cl: turns the first R of the D channels of each head of x [N,T,H,D]: plane i of R/2 by way t base^(-2i/R); the
 * others are copied. y may be x. Backward is the same with way = -1. Work-items: (D - R / 2, H, N * T): the planes,
 * then the channels that do not turn. */
#include "positions.clh"

__kernel void rotary(__global float *y, __global const float *x, long rows, int T, int H, int D, int R, int halves,
                     float log_base, float log_base_rest, float way, int accumulate)
{
    const int i = get_global_id(0), h = get_global_id(1);
    const long row = get_global_id(2);
    if (i >= D - R / 2 || h >= H || row >= rows) {
        return;
    }
    const long head = (row * H + h) * D;
    if (i >= R / 2) {
        const long at = head + R / 2 + i;
        y[at] = accumulate ? y[at] + x[at] : x[at];
        return;
    }
    const float2 turn = cb_position_angle(row % T, i, R, log_base, log_base_rest);
    const long first = head + (halves ? i : 2 * i), second = halves ? first + R / 2 : first + 1;
    const float a = x[first], b = x[second], sine = way * turn.y;
    const float u = a * turn.x - b * sine, v = b * turn.x + a * sine;
    y[first] = accumulate ? y[first] + u : u;
    y[second] = accumulate ? y[second] + v : v;
}
