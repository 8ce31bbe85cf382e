/* last_token.cl: y[n,c] = x[n,last,c]; dx[n,last,c] = dy[n,c], dx 0 elsewhere; last = lengths[n] - 1.
 * x, dx: [N,T,C]; y, dy: [N,C]; lengths: [N], NULL: all are T. One work-item an element. */

static int last_token_of(__global const int *lengths, int n, int T)
{
    return lengths ? clamp(lengths[n] - 1, 0, T - 1) : T - 1;
}

__kernel void last_token_forward(__global float *y, __global const float *x, __global const int *lengths, int N, int T,
                                 int C)
{
    const int c = get_global_id(0), n = get_global_id(1);
    if (c >= C || n >= N) {
        return;
    }
    y[(long)n * C + c] = x[((long)n * T + last_token_of(lengths, n, T)) * C + c];
}

__kernel void last_token_dx(__global float *dx, __global const float *dy, __global const int *lengths, int N, int T,
                            int C, int accumulate)
{
    const int c = get_global_id(0), t = get_global_id(1), n = get_global_id(2);
    if (c >= C || t >= T || n >= N) {
        return;
    }
    const long i = ((long)n * T + t) * C + c;
    const float g = t == last_token_of(lengths, n, T) ? dy[(long)n * C + c] : 0.0f;
    dx[i] = accumulate ? dx[i] + g : g;
}
