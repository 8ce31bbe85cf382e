/* tame.cl: q[r] = 1 / (1 + mean over c of x[r,c]^2); y[r,c] = w[c] x[r,c] q[r]. x, y (R,C); q (R); w (C). See tame.c. */

/* One work-item for each row. */
__kernel void tame_forward(__global float *y, __global float *q, __global const float *x, __global const float *w, long R,
                           long C)
{
    const long r = get_global_id(0);
    if (r >= R) {
        return;
    }
    float sum = 0.0f;
    for (long c = 0; c < C; c++) {
        sum += x[r * C + c] * x[r * C + c];
    }
    const float scale = 1.0f / (1.0f + sum / (float)C);
    q[r] = scale;
    for (long c = 0; c < C; c++) {
        y[r * C + c] = (w[c] * x[r * C + c]) * scale;
    }
}

/* One work-group of 16 for each row. */
__kernel void tame_forward_group(__global float *y, __global float *q, __global const float *x, __global const float *w,
                                 long R, long C, __local float *part)
{
    const long r = get_group_id(0), i = get_local_id(0);
    float sum = 0.0f;
    for (long c = i; c < C; c += 16) {
        sum += x[r * C + c] * x[r * C + c];
    }
    part[i] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    sum = 0.0f;
    for (int k = 0; k < 16; k++) {
        sum += part[k];
    }
    const float scale = 1.0f / (1.0f + sum / (float)C);
    if (i == 0) {
        q[r] = scale;
    }
    for (long c = i; c < C; c += 16) {
        y[r * C + c] = w[c] * x[r * C + c] * scale;
    }
}

/* One work-item. */
__kernel void tame_usual(__global float *usual, __global const float *q, long R, float follow)
{
    if (get_global_id(0) > 0) {
        return;
    }
    float sum = 0.0f;
    for (long r = 0; r < R; r++) {
        sum += q[r];
    }
    usual[0] += follow * (sum / (float)R - usual[0]);
}

/* One work-item for each row. dx may lie where dy does. */
__kernel void tame_dx(__global float *dx, __global const float *dy, __global const float *x, __global const float *w,
                      __global const float *q, long R, long C, int accumulate)
{
    const long r = get_global_id(0);
    if (r >= R) {
        return;
    }
    float sum = 0.0f;
    for (long c = 0; c < C; c++) {
        sum += w[c] * dy[r * C + c] * x[r * C + c];
    }
    for (long c = 0; c < C; c++) {
        const long i = r * C + c;
        const float g = w[c] * dy[i] * q[r] - 2.0f * x[i] * q[r] * q[r] / (float)C * sum;
        dx[i] = accumulate ? dx[i] + g : g;
    }
}

/* One work-item for each (c, part) of every PARTS-th row. */
__kernel void tame_dw_parts(__global float *part, __global const float *dy, __global const float *x, __global const float *q,
                            long R, long C, int parts)
{
    const long c = get_global_id(0), p = get_global_id(1);
    if (c >= C || p >= parts) {
        return;
    }
    float sum = 0.0f;
    for (long r = p; r < R; r += parts) {
        sum += dy[r * C + c] * x[r * C + c] * q[r];
    }
    part[p * C + c] = sum;
}

/* One work-item for each c. */
__kernel void tame_dw_sum(__global float *dw, __global const float *part, long C, int parts, int accumulate)
{
    const long c = get_global_id(0);
    if (c >= C) {
        return;
    }
    float sum = accumulate ? dw[c] : 0.0f;
    for (int p = 0; p < parts; p++) {
        sum += part[p * C + c];
    }
    dw[c] = sum;
}
