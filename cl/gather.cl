/* gather.cl: y[n,m,c] = x[n,indices[n,m],c] and its gradient. x and dx [N,T,C], indices [N,M], y and dy [N,M,C]. One
 * work-item makes up to 16 channels of one place. */

/* An index that x does not have gives NaN and reads nothing. Work-items: (C / 16 rounded up, N M). */
__kernel void gather_forward(__global float *y, __global const float *x, __global const int *indices, long places,
                             int M, int T, int C)
{
    const int begin = get_global_id(0) * 16;
    const long place = get_global_id(1);
    if (begin >= C || place >= places) {
        return;
    }
    const int t = indices[place], end = min(begin + 16, C);
    const bool is_known = t >= 0 && t < T;
    __global const float *row = x + (place / M * T + (is_known ? t : 0)) * C;
    for (int c = begin; c < end; c++) {
        y[place * C + c] = is_known ? row[c] : NAN;
    }
}

/* dx[n,t,c] = sum over m with indices[n,m] = t of dy[n,m,c], in the order of m. Work-items: (C / 16 rounded up,
 * N T). */
__kernel void gather_dx(__global float *dx, __global const float *dy, __global const int *indices, long rows, int M,
                        int T, int C, int accumulate)
{
    const int begin = get_global_id(0) * 16;
    const long row = get_global_id(1);
    if (begin >= C || row >= rows) {
        return;
    }
    const int count = min(16, C - begin), t = row % T;
    const long first = row / T * M;
    float sum[16];
    for (int c = 0; c < 16; c++) {
        sum[c] = 0.0f;
    }
    for (long m = first; m < first + M; m++) {
        for (int c = 0; c < count && indices[m] == t; c++) {
            sum[c] += dy[m * C + begin + c];
        }
    }
    for (int c = 0; c < count; c++) {
        const long at = row * C + begin + c;
        dx[at] = accumulate ? dx[at] + sum[c] : sum[c];
    }
}
