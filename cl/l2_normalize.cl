/* l2_normalize.cl: y = x / max(|x|, epsilon) over rows of C neighbours; dx = (dy - y sum(dy y)) / |x|, or dy / epsilon
 * where |x| is below epsilon. x, y, dx, dy: [rows, C]. One work-item a row. y may be x; dx may be dy. */
#include "cambium.clh"

/* dy - y sum(dy y) is exactly 0 for one channel only if the product is rounded before the difference. */
#pragma OPENCL FP_CONTRACT OFF

/* |x|. The row is divided by its largest value first: squares of large or small values would overflow or vanish. */
static float l2_normalize_length(__global const float *x, int C)
{
    float largest = 0.0f, squares = 0.0f;
    for (int c = 0; c < C; c++) {
        largest = fmax(largest, fabs(x[c]));
    }
    if (largest == 0.0f) {
        return 0.0f;
    }
    CB_IN_ORDER
    for (int c = 0; c < C; c++) {
        const float v = x[c] / largest;
        squares += v * v;
    }
    return largest * sqrt(squares);
}

__kernel void l2_normalize_forward(__global float *y, __global const float *x, long rows, int C, float epsilon)
{
    const long row = get_global_id(0);
    if (row >= rows) {
        return;
    }
    x += row * C;
    y += row * C;
    const float length = fmax(l2_normalize_length(x, C), epsilon);
    for (int c = 0; c < C; c++) {
        y[c] = x[c] / length;
    }
}

__kernel void l2_normalize_dx(__global float *dx, __global const float *dy, __global const float *x, long rows, int C,
                              float epsilon, int accumulate)
{
    const long row = get_global_id(0);
    if (row >= rows) {
        return;
    }
    x += row * C;
    dx += row * C;
    dy += row * C;
    const float length = l2_normalize_length(x, C), divisor = fmax(length, epsilon);
    float along = 0.0f; /* sum(dy y) */
    CB_IN_ORDER
    for (int c = 0; c < C && length >= epsilon; c++) {
        along += dy[c] * (x[c] / divisor);
    }
    for (int c = 0; c < C; c++) {
        const float g = (dy[c] - x[c] / divisor * along) / divisor;
        dx[c] = accumulate ? dx[c] + g : g;
    }
}
