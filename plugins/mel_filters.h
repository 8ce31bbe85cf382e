/* mel_filters.h: the tables of mel_spectrogram, in double precision on the host: windows, and triangular filters over the
 * bins of a spectrum.
 *
 * Scales: htk, 2595 log10(1 + f / 700) (Young 2006); slaney, linear up to 1 kHz, above it 27 steps for each factor of 6.4
 * (Slaney 1998). Filter m of M rises from edge m to edge m + 1 and falls to edge m + 2; the M + 2 edges are equally far
 * apart on the scale. The sides are straight over frequency (librosa, torchaudio), or over mel (Kaldi, TensorFlow). */
#ifndef CAMBIUM_MEL_FILTERS_H
#define CAMBIUM_MEL_FILTERS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define MEL_PI 3.14159265358979323846

enum mel_window { MEL_HANN, MEL_HANN_SYMMETRIC, MEL_HAMMING, MEL_HAMMING_SYMMETRIC, MEL_POVEY, MEL_RECTANGULAR };
enum mel_scale { MEL_HTK, MEL_SLANEY };
enum mel_sides { MEL_SIDES_HZ, MEL_SIDES_MEL };
enum mel_norm { MEL_NORM_NONE, MEL_NORM_SLANEY };

static double mel_window_value(enum mel_window window, int64_t length, int64_t i)
{
    const bool symmetric = window == MEL_HANN_SYMMETRIC || window == MEL_HAMMING_SYMMETRIC || window == MEL_POVEY;
    const int64_t period = symmetric ? length - 1 : length;
    const double wave = period > 0 ? cos(2.0 * MEL_PI * (double)i / (double)period) : -1.0; /* one sample: the peak */
    switch (window) {
    case MEL_HANN:
    case MEL_HANN_SYMMETRIC:
        return 0.5 - 0.5 * wave;
    case MEL_HAMMING:
    case MEL_HAMMING_SYMMETRIC:
        return 0.54 - 0.46 * wave;
    case MEL_POVEY: /* Kaldi's: nearly Hamming, but zero at the ends */
        return pow(0.5 - 0.5 * wave, 0.85);
    case MEL_RECTANGULAR:
        break;
    }
    return 1.0;
}

static double mel_of_hz(enum mel_scale scale, double hz)
{
    if (scale == MEL_HTK) {
        return 2595.0 * log10(1.0 + hz / 700.0);
    }
    return hz < 1000.0 ? hz * 3.0 / 200.0 : 15.0 + log(hz / 1000.0) * 27.0 / log(6.4);
}

static double mel_to_hz(enum mel_scale scale, double mel)
{
    if (scale == MEL_HTK) {
        return 700.0 * (pow(10.0, mel / 2595.0) - 1.0);
    }
    return mel < 15.0 ? mel * 200.0 / 3.0 : 1000.0 * exp((mel - 15.0) * log(6.4) / 27.0);
}

/* M filters from fmin to fmax Hz over bins of `bin_hz`. */
struct mel_bank {
    enum mel_scale scale;
    enum mel_sides sides;
    enum mel_norm norm;
    int64_t mels;
    double fmin, fmax, bin_hz;
};

/* The three corners of a filter, in Hz and on the scale. */
struct mel_filter {
    double hz[3], mel[3];
};

static struct mel_filter mel_filter_at(const struct mel_bank *bank, int64_t m)
{
    struct mel_filter f;
    const double low = mel_of_hz(bank->scale, bank->fmin), high = mel_of_hz(bank->scale, bank->fmax);
    for (int i = 0; i < 3; i++) {
        f.mel[i] = low + (high - low) * (double)(m + i) / (double)(bank->mels + 1);
        f.hz[i] = mel_to_hz(bank->scale, f.mel[i]);
    }
    return f;
}

/* The filter's weight for a bin; 0 outside it. */
static double mel_weight(const struct mel_bank *bank, const struct mel_filter *f, int64_t bin)
{
    const double hz = (double)bin * bank->bin_hz;
    const double *corner = bank->sides == MEL_SIDES_HZ ? f->hz : f->mel;
    const double at = bank->sides == MEL_SIDES_HZ ? hz : mel_of_hz(bank->scale, hz);
    const double up = (at - corner[0]) / (corner[1] - corner[0]), down = (corner[2] - at) / (corner[2] - corner[1]);
    const double weight = up < down ? up : down;
    if (!(weight > 0.0)) {
        return 0.0;
    }
    return bank->norm == MEL_NORM_SLANEY ? weight * 2.0 / (f->hz[2] - f->hz[0]) : weight;
}

#endif
