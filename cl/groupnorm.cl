/* groupnorm.cl: y = (x - mean) rstd w + b, mean and rstd = 1 / sqrt(var + epsilon) of each sample's group of C / groups
 * channels over P places; instancenorm is that with groups = C.
 *   x, y, dx, dy [N, P, C]   w, b, dw, db [C], NULL: none
 *   moments [N, groups, 2]   mean, rstd
 *   sums [N, C, 2]           sum(dy), sum(dy xhat) over the places
 *   factors [N, groups, 2]   mean(dy w), mean(dy w xhat) over a group
 * A work-item makes one of those, or one element. Long sums go in chunks of places, in order. y may be x, dx may be dy. */
#include "cambium.clh"
#include "epilogue.clh"

/* A value is rounded before the difference to its own mean is taken, which then is exactly 0 for a single one. */
#pragma OPENCL FP_CONTRACT OFF

#define CHUNK 64
#define SIZES int N, long P, int C, int groups

__kernel void groupnorm_moments(__global float *moments, __global const float *x, SIZES, float epsilon)
{
    const int g = get_global_id(0), n = get_global_id(1);
    if (g >= groups || n >= N) {
        return;
    }
    const int width = C / groups;
    const float count = (float)P * (float)width;
    x += n * P * C + (long)g * width;
    /* differences to the first value stay small in a group far from zero */
    const float first = x[0];
    float sum = 0.0f, squares = 0.0f;
    for (long done = 0; done < P; done += CHUNK) {
        const long end = min(done + CHUNK, P);
        float part = 0.0f;
        for (long p = done; p < end; p++) {
            CB_IN_ORDER
            for (int c = 0; c < width; c++) {
                part += x[p * C + c] - first;
            }
        }
        sum += part;
    }
    const float mean = first + sum / count;
    for (long done = 0; done < P; done += CHUNK) {
        const long end = min(done + CHUNK, P);
        float part = 0.0f;
        for (long p = done; p < end; p++) {
            CB_IN_ORDER
            for (int c = 0; c < width; c++) {
                const float d = x[p * C + c] - mean;
                part += d * d;
            }
        }
        squares += part;
    }
    moments[2 * ((long)n * groups + g)] = mean;
    moments[2 * ((long)n * groups + g) + 1] = 1.0f / sqrt(squares / count + epsilon);
}

__kernel void groupnorm_forward(__global float *y, __global const float *x, __global const float *moments,
                                __global const float *w, __global const float *b, SIZES CB_EPILOGUE_PARAMS)
{
    const int c = get_global_id(0), n = get_global_id(2);
    const long p = get_global_id(1);
    if (c >= C || p >= P || n >= N) {
        return;
    }
    const long i = (n * P + p) * C + c, at = 2 * ((long)n * groups + c / (C / groups));
    const float v = (x[i] - moments[at]) * moments[at + 1] * (w ? w[c] : 1.0f) + (b ? b[c] : 0.0f);
    CB_STORE(y, i, v, c);
}

/* ---- backward ---- */

__kernel void groupnorm_sums(__global float *sums, __global const float *dy, __global const float *x,
                             __global const float *moments, SIZES)
{
    const int c = get_global_id(0), n = get_global_id(1);
    if (c >= C || n >= N) {
        return;
    }
    const long at = 2 * ((long)n * groups + c / (C / groups));
    const float mean = moments[at], rstd = moments[at + 1];
    float sum_g = 0.0f, sum_gx = 0.0f;
    x += n * P * C + c;
    dy += n * P * C + c;
    for (long done = 0; done < P; done += CHUNK) {
        const long end = min(done + CHUNK, P);
        float part_g = 0.0f, part_gx = 0.0f;
        CB_IN_ORDER
        for (long p = done; p < end; p++) {
            part_g += dy[p * C];
            part_gx += dy[p * C] * (x[p * C] - mean);
        }
        sum_g += part_g;
        sum_gx += part_gx;
    }
    sums[2 * ((long)n * C + c)] = sum_g;
    sums[2 * ((long)n * C + c) + 1] = sum_gx * rstd;
}

__kernel void groupnorm_merge(__global float *dw, __global float *db, __global const float *sums, SIZES,
                              int accumulate_w, int accumulate_b)
{
    const int c = get_global_id(0);
    if (c >= C) {
        return;
    }
    float sum_g = 0.0f, sum_gx = 0.0f;
    CB_IN_ORDER
    for (int n = 0; n < N; n++) {
        sum_g += sums[2 * ((long)n * C + c)];
        sum_gx += sums[2 * ((long)n * C + c) + 1];
    }
    if (dw) {
        dw[c] = accumulate_w ? dw[c] + sum_gx : sum_gx;
    }
    if (db) {
        db[c] = accumulate_b ? db[c] + sum_g : sum_g;
    }
}

__kernel void groupnorm_factors(__global float *factors, __global const float *sums, __global const float *moments,
                                __global const float *w, SIZES)
{
    const int g = get_global_id(0), n = get_global_id(1);
    if (g >= groups || n >= N) {
        return;
    }
    const int width = C / groups;
    const float count = (float)P * (float)width;
    float sum_g = 0.0f, sum_gx = 0.0f;
    CB_IN_ORDER
    for (int c = g * width; c < (g + 1) * width; c++) {
        sum_g += sums[2 * ((long)n * C + c)] * (w ? w[c] : 1.0f);
        sum_gx += sums[2 * ((long)n * C + c) + 1] * (w ? w[c] : 1.0f);
    }
    factors[2 * ((long)n * groups + g)] = sum_g / count;
    factors[2 * ((long)n * groups + g) + 1] = sum_gx / count;
}

__kernel void groupnorm_dx(__global float *dx, __global const float *dy, __global const float *x,
                           __global const float *moments, __global const float *factors, __global const float *w, SIZES,
                           int accumulate)
{
    const int c = get_global_id(0), n = get_global_id(2);
    const long p = get_global_id(1);
    if (c >= C || p >= P || n >= N) {
        return;
    }
    const long i = (n * P + p) * C + c, at = 2 * ((long)n * groups + c / (C / groups));
    const float mean = moments[at], rstd = moments[at + 1];
    const float xhat = (x[i] - mean) * rstd;
    const float g = rstd * (dy[i] * (w ? w[c] : 1.0f) - factors[at] - xhat * factors[at + 1]);
    dx[i] = accumulate ? dx[i] + g : g;
}
