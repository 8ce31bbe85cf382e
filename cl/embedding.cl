/* embedding.cl: y[m,c] = w[ids[m],c], and the gradient of w. ids [M], y and dy [M,C], w and dw [R,C]. One work-item
 * makes up to 16 channels of one place m. */

/* Work-items: (C / 16 rounded up, M). */
__kernel void embedding_forward(__global float *y, __global const int *ids, __global const float *w, long M, int R,
                                int C)
{
    const int begin = get_global_id(0) * 16;
    const long m = get_global_id(1);
    if (begin >= C || m >= M) {
        return;
    }
    const int row = ids[m], end = min(begin + 16, C);
    const bool is_known = row >= 0 && row < R;
    for (int c = begin; c < end; c++) {
        y[m * C + c] = is_known ? w[(size_t)row * C + c] : NAN;
    }
}

/* links [2,M]: the next place with the same id (M: there is none), and whether this is the first. Work-items: (M). */
__kernel void embedding_links(__global int *links, __global const int *ids, long M)
{
    const long m = get_global_id(0);
    if (m >= M) {
        return;
    }
    const int row = ids[m];
    long next = m + 1, earlier = m - 1;
    while (next < M && ids[next] != row) {
        next++;
    }
    while (earlier >= 0 && ids[earlier] != row) {
        earlier--;
    }
    links[m] = next;
    links[M + m] = earlier < 0;
}

/* dw[ids[m],c] += sum over j with ids[j] = ids[m] of dy[j,c], in the order of j, made where m is the first such place;
 * dw is zero, or what is added to. The row `padding` gets nothing. Work-items: (C / 16 rounded up, M). */
__kernel void embedding_dw(__global float *dw, __global const int *ids, __global const int *links,
                           __global const float *dy, long M, int R, int C, int padding)
{
    const int begin = get_global_id(0) * 16;
    const long m = get_global_id(1);
    if (begin >= C || m >= M) {
        return;
    }
    const int row = ids[m], count = min(16, C - begin);
    if (row < 0 || row >= R || row == padding || !links[M + m]) {
        return;
    }
    float sum[16];
    for (int c = 0; c < 16; c++) {
        sum[c] = 0.0f;
    }
    for (long j = m; j < M; j = links[j]) {
        for (int c = 0; c < count; c++) {
            sum[c] += dy[j * C + begin + c];
        }
    }
    __global float *to = dw + (size_t)row * C + begin;
    for (int c = 0; c < count; c++) {
        to[c] += sum[c];
    }
}
