/* global_avgpool.cl: y[n,c] = mean over h, w of x[n,h,w,c]; dx[n,h,w,c] = dy[n,c] / (H W).
 * x, dx: [N,H,W,C]; y, dy: [N,C]. Each row of an image is summed on its own, then the rows: short sums round little. */

/* One work-item an (n, c); neighbours take neighbouring channels. */
__kernel void global_avgpool_forward(__global float *y, __global const float *x, int N, int H, int W, int C)
{
    const int c = get_global_id(0), n = get_global_id(1);
    if (c >= C || n >= N) {
        return;
    }
    x += (long)n * H * W * C + c;
    float sum = 0.0f;
    for (int h = 0; h < H; h++) {
        float row = 0.0f;
        for (int w = 0; w < W; w++) {
            row += x[((long)h * W + w) * C];
        }
        sum += row;
    }
    y[(long)n * C + c] = sum / (float)(H * W);
}

/* One work-item 64 channels of one n; what is left over one channel at a time. */
__kernel void global_avgpool_forward_tile(__global float *y, __global const float *x, int N, int H, int W, int C)
{
    const int first = get_global_id(0) * 64, n = get_global_id(1);
    if (first >= C || n >= N) {
        return;
    }
    const float places = (float)(H * W);
    x += (long)n * H * W * C;
    y += (long)n * C;
    int c = first;
    for (; c + 16 <= min(first + 64, C); c += 16) {
        float16 sum = (float16)(0.0f);
        for (int h = 0; h < H; h++) {
            float16 row = (float16)(0.0f);
            for (int w = 0; w < W; w++) {
                row += vload16(0, x + ((long)h * W + w) * C + c);
            }
            sum += row;
        }
        vstore16(sum / places, 0, y + c);
    }
    for (; c < min(first + 64, C); c++) {
        float sum = 0.0f;
        for (int h = 0; h < H; h++) {
            float row = 0.0f;
            for (int w = 0; w < W; w++) {
                row += x[((long)h * W + w) * C + c];
            }
            sum += row;
        }
        y[c] = sum / places;
    }
}

/* One work-item the W places of (n, h) in one channel. */
__kernel void global_avgpool_dx(__global float *dx, __global const float *dy, int N, int H, int W, int C,
                                int accumulate)
{
    const int c = get_global_id(0);
    const long row = get_global_id(1); /* n H + h */
    if (c >= C || row >= (long)N * H) {
        return;
    }
    const float g = dy[row / H * C + c] / (float)(H * W);
    dx += row * W * C + c;
    for (int w = 0; w < W; w++) {
        dx[(long)w * C] = accumulate ? dx[(long)w * C] + g : g;
    }
}
