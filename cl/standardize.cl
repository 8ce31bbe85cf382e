/* standardize.cl: y = (x - mean[c]) / divisor, dx = dy / divisor; and the fit of mean, scale and count to one more
 * batch. x, y, dy, dx: [rows, C]; mean, m2: [C]; scale: [C] when per_channel, else [1]; count: [1]. y may be x. */

/* What the features are divided by: a scale that is nothing but rounding counts as 1. */
static float divisor_of(float mean, float scale, int per_channel, float epsilon)
{
    return scale > epsilon * (per_channel ? 1.0f + fabs(mean) : 1.0f) ? scale : 1.0f;
}

__kernel void standardize_forward(__global float *y, __global const float *x, __global const float *mean,
                                  __global const float *scale, __global const float *count, long rows, int C,
                                  int per_channel, float epsilon)
{
    const int c = get_global_id(0);
    const long row = get_global_id(1);
    if (c >= C || row >= rows) {
        return;
    }
    const long i = row * C + c;
    const float divisor = divisor_of(mean[c], scale[per_channel ? c : 0], per_channel, epsilon);
    y[i] = count[0] > 0.0f ? (x[i] - mean[c]) / divisor : x[i];
}

__kernel void standardize_dx(__global float *dx, __global const float *dy, __global const float *mean,
                             __global const float *scale, __global const float *count, long rows, int C,
                             int per_channel, float epsilon, int accumulate)
{
    const int c = get_global_id(0);
    const long row = get_global_id(1);
    if (c >= C || row >= rows) {
        return;
    }
    const long i = row * C + c;
    const float divisor = divisor_of(mean[c], scale[per_channel ? c : 0], per_channel, epsilon);
    const float g = count[0] > 0.0f ? dy[i] / divisor : dy[i];
    dx[i] = accumulate ? dx[i] + g : g;
}

/* Merges the batch into the mean; m2 gets what the batch adds to the sum of squares: its own, and that of the distance
 * between its mean and the old one. One work-item a channel. */
__kernel void standardize_fit(__global float *mean, __global float *m2, __global const float *x,
                              __global const float *count, long rows, int C)
{
    const int c = get_global_id(0);
    if (c >= C) {
        return;
    }
    x += c;
    const float first = x[0];
    float sum = 0.0f;
    for (long row = 1; row < rows; row++) {
        sum += x[row * C] - first;
    }
    const float batch_mean = first + sum / (float)rows;
    float squares = 0.0f;
    for (long row = 0; row < rows; row++) {
        const float d = x[row * C] - batch_mean;
        squares += d * d;
    }
    const float before = count[0], share = (float)rows / (before + (float)rows);
    const float delta = batch_mean - (before > 0.0f ? mean[c] : 0.0f);
    mean[c] = (before > 0.0f ? mean[c] : 0.0f) + delta * share;
    m2[c] = squares + (before > 0.0f ? delta * delta * (before * share) : 0.0f);
}

/* scale = root of (what it stood for before + m2) / number of values. One work-item a divisor. */
__kernel void standardize_fit_scale(__global float *scale, __global const float *m2, __global const float *count,
                                    long rows, int C, int per_channel)
{
    const int c = get_global_id(0);
    if (c >= (per_channel ? C : 1)) {
        return;
    }
    float added = 0.0f;
    for (int k = per_channel ? c : 0; k < (per_channel ? c + 1 : C); k++) {
        added += m2[k];
    }
    const float width = per_channel ? 1.0f : (float)C;
    const float before = count[0];
    const float squares = before > 0.0f ? scale[c] * scale[c] * (before * width) : 0.0f;
    scale[c] = sqrt((squares + added) / ((before + (float)rows) * width));
}

__kernel void standardize_fit_count(__global float *count, long rows)
{
    if (get_global_id(0) > 0) {
        return;
    }
    count[0] += (float)rows;
}
