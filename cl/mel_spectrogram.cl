/* mel_spectrogram.cl: from sound x [N,T] to bands y [N,F,M]; see plugins/mel_spectrogram.c.
 *
 * A row is a frame: row r of all N F is frame r % F of sample r / F. The kernels work on `rows` rows from `row` on:
 * means [rows], frames [rows,L], spectra [rows,K,2] (real and imaginary part, which a matrix product makes from the frames
 * and basis [L,K,2]), filters [M,K] with bounds [M,2] of what is not zero. */
#include "cambium.clh"

#define MEL_PAD_REFLECT 0
#define MEL_PAD_ZEROS 1
#define MEL_LOG_NONE 0
#define MEL_LOG_NATURAL 1

/* Sample `at` of T, which may lie beyond the ends. */
static float mel_sample(__global const float *x, int at, int T, int padding)
{
    if (at >= 0 && at < T) {
        return x[at];
    }
    if (padding == MEL_PAD_ZEROS) {
        return 0.0f;
    }
    /* mirrored to and fro, for sound that is shorter than a frame */
    const int period = padding == MEL_PAD_REFLECT ? max(2 * (T - 1), 1) : 2 * T;
    int i = at % period;
    i = i < 0 ? i + period : i;
    return x[i < T ? i : padding == MEL_PAD_REFLECT ? period - i : period - 1 - i];
}

/* The mean of each frame. Work-items: (rows). */
__kernel void mel_spectrogram_mean(__global float *means, __global const float *x, long row, long rows, int T, int F,
                                   int L, int hop, int first, int padding)
{
    const long r = get_global_id(0);
    CB_GUARD(r, rows);
    const int start = first + (int)((row + r) % F) * hop;
    x += (row + r) / F * T;
    float sum = 0.0f;
    CB_IN_ORDER
    for (int l = 0; l < L; l++) {
        sum += mel_sample(x, start + l, T, padding);
    }
    means[r] = sum / L;
}

/* The frames. `means` may be NULL. Work-items: (L, rows). */
__kernel void mel_spectrogram_frames(__global float *frames, __global const float *x, __global const float *means,
                                     long row, long rows, int T, int F, int L, int hop, int first, int padding,
                                     float preemphasis)
{
    const int l = get_global_id(0);
    const long r = get_global_id(1);
    if (l >= L || r >= rows) {
        return;
    }
    const int start = first + (int)((row + r) % F) * hop;
    x += (row + r) / F * T;
    const float mean = means ? means[r] : 0.0f;
    float v = mel_sample(x, start + l, T, padding) - mean;
    if (preemphasis != 0.0f) {
        v = CB_FMA(-preemphasis, mel_sample(x, start + max(l - 1, 0), T, padding) - mean, v);
    }
    frames[r * L + l] = v;
}

/* The bands' values, with logarithm, factor and shift. Work-items: (M, rows). */
__kernel void mel_spectrogram_bands(__global float *y, __global const float *spectra, __global const float *filters,
                                    __global const float *bounds, long row, long rows, int K, int M, int every_bin,
                                    int power, int log_kind, float floor_, float offset, float factor, float shift)
{
    const int m = get_global_id(0);
    const long r = get_global_id(1);
    if (m >= M || r >= rows) {
        return;
    }
    const int begin = every_bin ? m : (int)bounds[2 * m], end = every_bin ? m + 1 : (int)bounds[2 * m + 1];
    spectra += r * 2 * K;
    filters += (long)m * K;
    float sum = 0.0f;
    CB_IN_ORDER
    for (int k = begin; k < end; k++) {
        const float re = spectra[2 * k], im = spectra[2 * k + 1];
        const float square = CB_FMA(re, re, im * im);
        sum = CB_FMA(every_bin ? 1.0f : filters[k], power == 2 ? square : sqrt(square), sum);
    }
    if (log_kind != MEL_LOG_NONE) {
        const float v = fmax(sum, floor_) + offset;
        sum = log_kind == MEL_LOG_NATURAL ? log(v) : log10(v);
    }
    y[(row + r) * M + m] = CB_FMA(sum, factor, shift);
}

/* largest [N,65]: 64 parts of each sample, and, behind the parts of all, its largest value. Work-items: (64, N). */
__kernel void mel_spectrogram_partial(__global float *largest, __global const float *y, int N, int count)
{
    const int p = get_global_id(0), n = get_global_id(1);
    if (p >= 64 || n >= N) {
        return;
    }
    y += (long)n * count;
    float m = -INFINITY;
    for (int i = p; i < count; i += 64) {
        m = y[i] > m ? y[i] : m;
    }
    largest[(long)n * 64 + p] = m;
}

/* Work-items: (N). */
__kernel void mel_spectrogram_largest(__global float *largest, int N)
{
    const int n = get_global_id(0);
    CB_GUARD(n, N);
    float m = -INFINITY;
    for (int p = 0; p < 64; p++) {
        const float v = largest[(long)n * 64 + p];
        m = v > m ? v : m;
    }
    largest[(long)N * 64 + n] = m;
}

/* Work-items: (count, N). */
__kernel void mel_spectrogram_finish(__global float *y, __global const float *largest, int N, int count, float range,
                                     int relative, float scale, float shift)
{
    const int i = get_global_id(0), n = get_global_id(1);
    if (i >= count || n >= N) {
        return;
    }
    const float m = largest[(long)N * 64 + n];
    float v = y[(long)n * count + i];
    v = range > 0.0f ? fmax(v, m - range) : v;
    v = relative ? v - m : v;
    y[(long)n * count + i] = CB_FMA(v, scale, shift);
}

/* basis[l,k] = window[l] (cos, -sin)(2 pi k l / size). Work-items: (K, L). */
__kernel void mel_spectrogram_basis(__global float *basis, __global const float *window, int L, int K, int size)
{
    const int k = get_global_id(0), l = get_global_id(1);
    if (k >= K || l >= L) {
        return;
    }
    const float turn = 2.0f * (float)(int)((long)k * l % size) / (float)size; /* in half turns: exact but for the last bit */
    const long at = 2 * ((long)l * K + k);
    basis[at] = window[l] * cospi(turn);
    basis[at + 1] = -window[l] * sinpi(turn);
}

/* Sixteen numbers from the host into table[at], ... Work-items: (16). */
__kernel void mel_spectrogram_store(__global float *table, long at, int count, float v0, float v1, float v2, float v3,
                                    float v4, float v5, float v6, float v7, float v8, float v9, float v10, float v11,
                                    float v12, float v13, float v14, float v15)
{
    const int i = get_global_id(0);
    CB_GUARD(i, min(count, 16));
    const float v[16] = {v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15};
    table[at + i] = v[i];
}
