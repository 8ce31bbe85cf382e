/* batchnorm.cl: y = (x - mean) scale + shift per channel, scale = w / sqrt(var + epsilon), and its gradients. A tensor
 * is [rows, C], rows = N H W; w and b are NULL when the layer has none (1 and 0).
 *
 * Statistics are taken in two stages, in an order that depends on the shape alone. `stats`: each part (part_rows
 * neighbouring rows) yields mean and m2 = sum((x - mean)^2), in chunks of 64 rows that are shifted by their first row,
 * so that squares of the mean never cancel, and merged by Chan's formula (Chan, Golub, LeVeque 1979). `merge`: the
 * parts are merged in order by the same formula. Backward likewise: `sums` per part, then in order.
 *
 * The tile forms give a work-item up to TILE_CHANNELS channels of a part, in vectors of 16 that it goes through row by row:
 * memory is read in order, and what a chunk has so far lies in local memory, in the first-level cache. Channels beyond a
 * multiple of 16 are covered by a vector that ends at the last channel and repeats some: same values, same work-item. Below
 * 16 channels they go one at a time.
 *
 *   parts [2, parts, C]    mean and m2; in backward sum(dy) and sum(dy xhat)
 *   moments [4, C]         mean, rstd = 1 / sqrt(var + epsilon), scale = w rstd, shift = b; kept for backward
 *   factors [2, C]         backward: mean(dy), rstd mean(dy xhat) (0 in inference)
 *
 * Backward reads dy through CB_GRADIENT, the derivative of an activation that follows: both its kernels have x and moments
 * at hand, from which the output is soon made again.
 */
#include "epilogue.clh"
#include "prologue.clh"

#define CHUNK 64
#define APPLY_ELEMENTS 16384 /* about so many per work-item of the tile forms that go element by element */

/* The output, of any width. */
#define BATCHNORM(x, mean, scale, shift) (((x) - (mean)) * (scale) + (shift))

#define TILE_CHANNELS 512
#define VECTORS (TILE_CHANNELS / 16)
#define UNROLL 2 /* rows that a vector takes before its sums go back to local memory */

/* Where vector v of channels [first, end) begins. */
static int vector_at(int v, int first, int end)
{
    return min(first + v * 16, end - 16);
}

/* ---- statistics ---- */

static float2 stats_one(__global const float *x, long rows, int C)
{
    float mean = 0.0f, m2 = 0.0f;
    for (long done = 0; done < rows; done += CHUNK) {
        const int n = (int)min((long)CHUNK, rows - done);
        const float first = x[done * C];
        float sum = 0.0f, squares = 0.0f;
        for (int i = 1; i < n; i++) {
            const float d = x[(done + i) * C] - first;
            sum += d;
            squares += d * d;
        }
        const float total = (float)(done + n);
        const float delta = first + sum / (float)n - mean;
        mean += delta * ((float)n / total);
        m2 += fmax(squares - sum * sum / (float)n, 0.0f) + delta * delta * ((float)done * ((float)n / total));
    }
    return (float2)(mean, m2);
}

__kernel void batchnorm_stats(__global float *parts, __global const float *x, long rows, int C, int part_count,
                              long part_rows)
{
    const int c = get_global_id(0), part = get_global_id(1);
    if (c >= C || part >= part_count) {
        return;
    }
    const long begin = part * part_rows;
    const float2 s = stats_one(x + begin * C + c, min(part_rows, rows - begin), C);
    parts[(long)part * C + c] = s.x;
    parts[((long)part_count + part) * C + c] = s.y;
}

/* sum and squares of x - first over `rows` (a constant) more rows. */
CB_INLINE void add_rows(__local float16 *sum, __local float16 *squares, __global const float *x, const float16 first, int C,
                        const int rows)
{
    float16 s = *sum, q = *squares;
#pragma unroll
    for (int i = 0; i < rows; i++) {
        const float16 d = vload16(0, x + i * (long)C) - first;
        s += d;
        q += d * d;
    }
    *sum = s;
    *squares = q;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
batchnorm_stats_tile(__global float *parts, __global const float *x, long rows, int C, int part_count, long part_rows)
{
    __local float16 mean[VECTORS], m2[VECTORS], sum[VECTORS], squares[VECTORS];
    const int part = get_global_id(1), begin = get_global_id(0) * TILE_CHANNELS, end = min(C, begin + TILE_CHANNELS);
    const int c0 = C < 16 ? begin : min(begin, C - 16), vectors = C < 16 ? 0 : (end - c0 + 15) / 16;
    const long n_rows = min(part_rows, rows - part * part_rows);
    __global float *out_mean = parts + (long)part * C, *out_m2 = parts + ((long)part_count + part) * C;
    x += part * part_rows * C;
    for (int v = 0; v < vectors; v++) {
        mean[v] = m2[v] = (float16)(0.0f);
    }
    for (long done = 0; done < n_rows; done += CHUNK) {
        const int n = (int)min((long)CHUNK, n_rows - done);
        __global const float *row = x + done * C;
        for (int v = 0; v < vectors; v++) {
            sum[v] = squares[v] = (float16)(0.0f);
        }
        int i = 0;
        for (; i + UNROLL <= n; i += UNROLL) {
            for (int v = 0; v < vectors; v++) {
                const int c = vector_at(v, c0, end);
                add_rows(&sum[v], &squares[v], row + i * (long)C + c, vload16(0, row + c), C, UNROLL);
            }
        }
        for (; i < n; i++) {
            for (int v = 0; v < vectors; v++) {
                const int c = vector_at(v, c0, end);
                add_rows(&sum[v], &squares[v], row + i * (long)C + c, vload16(0, row + c), C, 1);
            }
        }
        const float total = (float)(done + n), share = (float)n / total;
        for (int v = 0; v < vectors; v++) {
            const float16 delta = vload16(0, row + vector_at(v, c0, end)) + sum[v] / (float)n - mean[v];
            mean[v] += delta * share;
            m2[v] += fmax(squares[v] - sum[v] * sum[v] / (float)n, 0.0f) + delta * delta * ((float)done * share);
        }
    }
    for (int v = 0; v < vectors; v++) {
        vstore16(mean[v], 0, out_mean + vector_at(v, c0, end));
        vstore16(m2[v], 0, out_m2 + vector_at(v, c0, end));
    }
    for (int c = begin; c < end && C < 16; c++) {
        const float2 s = stats_one(x + c, n_rows, C);
        out_mean[c] = s.x;
        out_m2[c] = s.y;
    }
}

/* Training: merges the parts, moves the running statistics (the running variance is the unbiased one; a single row has
 * none and leaves it) and yields the moments. One work-item a channel. */
__kernel void batchnorm_merge(__global float *moments, __global float *running_mean, __global float *running_var,
                              __global const float *parts, __global const float *w,
                              __global const float *b, long rows, int C, int part_count, long part_rows, float epsilon,
                              float momentum)
{
    const int c = get_global_id(0);
    if (c >= C) {
        return;
    }
    float mean = 0.0f, m2 = 0.0f;
    for (int part = 0; part < part_count; part++) {
        const long before = part * part_rows, n = min(part_rows, rows - before);
        const float share = (float)n / (float)(before + n);
        const float delta = parts[(long)part * C + c] - mean;
        mean += delta * share;
        m2 += parts[((long)part_count + part) * C + c] + delta * delta * ((float)before * share);
    }
    const float rstd = 1.0f / sqrt(m2 / (float)rows + epsilon);
    running_mean[c] += momentum * (mean - running_mean[c]);
    if (rows > 1) {
        running_var[c] += momentum * (m2 / (float)(rows - 1) - running_var[c]);
    }
    moments[c] = mean;
    moments[C + c] = rstd;
    moments[2 * C + c] = w ? w[c] * rstd : rstd;
    moments[3 * C + c] = b ? b[c] : 0.0f;
}

/* Inference: the same from the running statistics. */
__kernel void batchnorm_running(__global float *moments, __global const float *running_mean, __global const float *running_var,
                                __global const float *w, __global const float *b,
                                int C, float epsilon)
{
    const int c = get_global_id(0);
    if (c >= C) {
        return;
    }
    const float rstd = 1.0f / sqrt(running_var[c] + epsilon);
    moments[c] = running_mean[c];
    moments[C + c] = rstd;
    moments[2 * C + c] = w ? w[c] * rstd : rstd;
    moments[3 * C + c] = b ? b[c] : 0.0f;
}

/* ---- forward ---- */

__kernel void batchnorm_forward(__global float *y, __global const float *x, __global const float *moments, long rows,
                                int C CB_EPILOGUE_PARAMS)
{
    const int c = get_global_id(0);
    const long row = get_global_id(1);
    if (c >= C || row >= rows) {
        return;
    }
    const long i = row * C + c;
    const float v = BATCHNORM(x[i], moments[c], moments[2 * C + c], moments[3 * C + c]);
    CB_STORE(y, i, v, c);
}

__kernel void batchnorm_forward_tile(__global float *y, __global const float *x, __global const float *moments,
                                     long rows, int C CB_EPILOGUE_PARAMS)
{
    const long item_rows = max(APPLY_ELEMENTS / C, 1);
    const long begin = get_global_id(0) * item_rows;
    if (begin >= rows) {
        return;
    }
    const long end = min(begin + item_rows, rows);
    for (long row = begin; row < end; row++) {
        const long at = row * C;
        int c = 0;
        for (; c + 16 <= C; c += 16) {
            const float16 v = BATCHNORM(vload16(0, x + at + c), vload16(0, moments + c),
                                        vload16(0, moments + 2 * C + c), vload16(0, moments + 3 * C + c));
            CB_STORE16(y, at + c, v, c);
        }
        for (; c < C; c++) {
            const float v = BATCHNORM(x[at + c], moments[c], moments[2 * C + c], moments[3 * C + c]);
            CB_STORE(y, at + c, v, c);
        }
    }
}

/* ---- backward ---- */

static float2 sums_one(__global const float *dy, __global const float *x, __global const float *moments, long rows,
                       int C CB_PROLOGUE_PARAMS)
{
    float sum_g = 0.0f, sum_gx = 0.0f;
    for (long done = 0; done < rows; done += CHUNK) {
        const int n = (int)min((long)CHUNK, rows - done);
        float chunk_g = 0.0f, chunk_gx = 0.0f;
        for (int i = 0; i < n; i++) {
            const long at = (done + i) * C;
            const float g = CB_GRADIENT(dy, at, BATCHNORM(x[at], moments[0], moments[2 * C], moments[3 * C]));
            chunk_g += g;
            chunk_gx += g * (x[at] - moments[0]);
        }
        sum_g += chunk_g;
        sum_gx += chunk_gx;
    }
    return (float2)(sum_g, sum_gx * moments[C]);
}

__kernel void batchnorm_sums(__global float *parts, __global const float *dy, __global const float *x,
                             __global const float *moments, long rows, int C, int part_count,
                             long part_rows CB_PROLOGUE_PARAMS)
{
    const int c = get_global_id(0), part = get_global_id(1);
    if (c >= C || part >= part_count) {
        return;
    }
    const long begin = part * part_rows;
    const float2 s = sums_one(dy + begin * C + c, x + begin * C + c, moments + c, min(part_rows, rows - begin),
                              C CB_PROLOGUE_ARGS);
    parts[(long)part * C + c] = s.x;
    parts[((long)part_count + part) * C + c] = s.y;
}

/* sum(dy) and sum(dy (x - mean)) over `rows` (a constant) more rows. */
CB_INLINE void add_gradients(__local float16 *sum_g, __local float16 *sum_gx, __global const float *dy,
                             __global const float *x, __global const float *moments, int C,
                             const int rows CB_PROLOGUE_PARAMS)
{
    const float16 mean = vload16(0, moments);
    float16 s = *sum_g, q = *sum_gx;
#pragma unroll
    for (int i = 0; i < rows; i++) {
        const float16 v = vload16(0, x + i * (long)C);
        const float16 d = CB_GRADIENT16(dy, i * (long)C, BATCHNORM(v, mean, vload16(0, moments + 2 * C),
                                                                   vload16(0, moments + 3 * C)));
        s += d;
        q += d * (v - mean);
    }
    *sum_g = s;
    *sum_gx = q;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
batchnorm_sums_tile(__global float *parts, __global const float *dy, __global const float *x,
                    __global const float *moments, long rows, int C, int part_count, long part_rows CB_PROLOGUE_PARAMS)
{
    __local float16 sum_g[VECTORS], sum_gx[VECTORS], chunk_g[VECTORS], chunk_gx[VECTORS];
    const int part = get_global_id(1), begin = get_global_id(0) * TILE_CHANNELS, end = min(C, begin + TILE_CHANNELS);
    const int c0 = C < 16 ? begin : min(begin, C - 16), vectors = C < 16 ? 0 : (end - c0 + 15) / 16;
    const long n_rows = min(part_rows, rows - part * part_rows);
    __global float *out_g = parts + (long)part * C, *out_gx = parts + ((long)part_count + part) * C;
    __global const float *rstd = moments + C;
    dy += part * part_rows * C;
    x += part * part_rows * C;
    for (int v = 0; v < vectors; v++) {
        sum_g[v] = sum_gx[v] = (float16)(0.0f);
    }
    for (long done = 0; done < n_rows; done += CHUNK) {
        const long chunk_end = min(done + CHUNK, n_rows);
        for (int v = 0; v < vectors; v++) {
            chunk_g[v] = chunk_gx[v] = (float16)(0.0f);
        }
        long r = done;
        for (; r + UNROLL <= chunk_end; r += UNROLL) {
            for (int v = 0; v < vectors; v++) {
                const int c = vector_at(v, c0, end);
                add_gradients(&chunk_g[v], &chunk_gx[v], dy + r * C + c, x + r * C + c, moments + c, C,
                              UNROLL CB_PROLOGUE_ARGS);
            }
        }
        for (; r < chunk_end; r++) {
            for (int v = 0; v < vectors; v++) {
                const int c = vector_at(v, c0, end);
                add_gradients(&chunk_g[v], &chunk_gx[v], dy + r * C + c, x + r * C + c, moments + c, C,
                              1 CB_PROLOGUE_ARGS);
            }
        }
        for (int v = 0; v < vectors; v++) {
            sum_g[v] += chunk_g[v];
            sum_gx[v] += chunk_gx[v];
        }
    }
    for (int v = 0; v < vectors; v++) {
        const int c = vector_at(v, c0, end);
        vstore16(sum_g[v], 0, out_g + c);
        vstore16(sum_gx[v] * vload16(0, rstd + c), 0, out_gx + c);
    }
    for (int c = begin; c < end && C < 16; c++) {
        const float2 s = sums_one(dy + c, x + c, moments + c, n_rows, C CB_PROLOGUE_ARGS);
        out_g[c] = s.x;
        out_gx[c] = s.y;
    }
}

/* db = sum(dy), dw = sum(dy xhat), and the factors of dx. */
__kernel void batchnorm_merge_sums(__global float *factors, __global float *dw, __global float *db,
                                   __global const float *parts, __global const float *moments, long rows, int C,
                                   int part_count, int training, int accumulate_w, int accumulate_b)
{
    const int c = get_global_id(0);
    if (c >= C) {
        return;
    }
    float sum_g = 0.0f, sum_gx = 0.0f;
    for (int part = 0; part < part_count; part++) {
        sum_g += parts[(long)part * C + c];
        sum_gx += parts[((long)part_count + part) * C + c];
    }
    if (dw) {
        dw[c] = accumulate_w ? dw[c] + sum_gx : sum_gx;
    }
    if (db) {
        db[c] = accumulate_b ? db[c] + sum_g : sum_g;
    }
    const float rstd = moments[C + c];
    factors[c] = training ? sum_g / (float)rows : 0.0f;
    factors[C + c] = training ? rstd * (sum_gx / (float)rows) : 0.0f;
}

/* Training: dx = scale (dy - mean(dy) - (x - mean) rstd mean(dy xhat)). */
__kernel void batchnorm_dx(__global float *dx, __global const float *dy, __global const float *x,
                           __global const float *moments, __global const float *factors, long rows, int C, int training,
                           int accumulate CB_PROLOGUE_PARAMS)
{
    const int c = get_global_id(0);
    const long row = get_global_id(1);
    if (c >= C || row >= rows) {
        return;
    }
    const long i = row * C + c;
    float g = CB_GRADIENT(dy, i, BATCHNORM(x[i], moments[c], moments[2 * C + c], moments[3 * C + c]));
    if (training) {
        g = (g - factors[c]) - (x[i] - moments[c]) * factors[C + c];
    }
    g *= moments[2 * C + c];
    dx[i] = accumulate ? dx[i] + g : g;
}

__kernel void batchnorm_dx_tile(__global float *dx, __global const float *dy, __global const float *x,
                                __global const float *moments, __global const float *factors, long rows, int C,
                                int training, int accumulate CB_PROLOGUE_PARAMS)
{
    const long item_rows = max(APPLY_ELEMENTS / C, 1);
    const long begin = get_global_id(0) * item_rows;
    if (begin >= rows) {
        return;
    }
    const long end = min(begin + item_rows, rows);
    for (long row = begin; row < end; row++) {
        const long at = row * C;
        int c = 0;
        for (; c + 16 <= C; c += 16) {
            const float16 mean = vload16(0, moments + c), scale = vload16(0, moments + 2 * C + c);
            float16 g = CB_GRADIENT16(dy, at + c, BATCHNORM(vload16(0, x + at + c), mean, scale,
                                                            vload16(0, moments + 3 * C + c)));
            if (training) {
                g = (g - vload16(0, factors + c)) - (vload16(0, x + at + c) - mean) * vload16(0, factors + C + c);
            }
            g *= scale;
            vstore16(accumulate ? vload16(0, dx + at + c) + g : g, 0, dx + at + c);
        }
        for (; c < C; c++) {
            float g = CB_GRADIENT(dy, at + c, BATCHNORM(x[at + c], moments[c], moments[2 * C + c], moments[3 * C + c]));
            if (training) {
                g = (g - factors[c]) - (x[at + c] - moments[c]) * factors[C + c];
            }
            g *= moments[2 * C + c];
            dx[at + c] = accumulate ? dx[at + c] + g : g;
        }
    }
}
