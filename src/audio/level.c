/* level.c: how loud a sound is: silence at its ends, loudness as it is heard. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audio/sound.h"

/* ---- silence ---- */

#define TRIM_FRAME 2048
#define TRIM_HOP 512

/* The root mean square of the frame around sample `at`; what lies beyond the ends is zero. */
static double frame_level(const struct cb_sound *sound, uint64_t at)
{
    const uint64_t begin = at > TRIM_FRAME / 2 ? at - TRIM_FRAME / 2 : 0;
    const uint64_t end = at + TRIM_FRAME / 2 < sound->count ? at + TRIM_FRAME / 2 : sound->count;
    double sum = 0.0;
    for (uint64_t i = begin; i < end; i++) {
        sum += (double)sound->samples[i] * sound->samples[i];
    }
    const double level = sqrt(sum / TRIM_FRAME), least = 1e-5;
    return level > least ? level : least;
}

void cb_sound_trim(struct cb_sound *sound, double db)
{
    const uint64_t frames = 1 + sound->count / TRIM_HOP;
    double loudest = 0.0;
    for (uint64_t f = 0; f < frames; f++) {
        const double level = frame_level(sound, f * TRIM_HOP);
        loudest = level > loudest ? level : loudest;
    }
    const double least = loudest * pow(10.0, -db / 20.0);
    uint64_t first = 0, last = frames;
    while (first < frames && frame_level(sound, first * TRIM_HOP) <= least) {
        first++;
    }
    while (last > first && frame_level(sound, (last - 1) * TRIM_HOP) <= least) {
        last--;
    }
    const uint64_t begin = first * TRIM_HOP, end = last * TRIM_HOP < sound->count ? last * TRIM_HOP : sound->count;
    if (begin < end) {
        memmove(sound->samples, sound->samples + begin, (end - begin) * sizeof(float));
        sound->count = end - begin;
    }
}

/* ---- loudness: ITU-R BS.1770-4 ---- */

/* A second-order filter, direct form 1, in double. */
struct filter {
    double b[3], a[3];
    double x[2], y[2];
};

static double filter_next(struct filter *f, double x)
{
    const double y = f->b[0] * x + f->b[1] * f->x[0] + f->b[2] * f->x[1] - f->a[1] * f->y[0] - f->a[2] * f->y[1];
    f->x[1] = f->x[0];
    f->x[0] = x;
    f->y[1] = f->y[0];
    f->y[0] = y;
    return y;
}

/* The standard gives both filters for 48 kHz; these are the analogue ones behind them, for any rate (Mansbridge 2012, De
 * Man 2014). */
static struct filter shelf(double rate)
{
    const double gain = 3.99984385397, q = 0.7071752369554193, hz = 1681.9744509555319;
    const double k = tan(3.14159265358979323846 * hz / rate), high = pow(10.0, gain / 20.0);
    const double band = pow(high, 0.499666774155), norm = 1.0 + k / q + k * k;
    return (struct filter){{(high + band * k / q + k * k) / norm, 2.0 * (k * k - high) / norm,
                            (high - band * k / q + k * k) / norm},
                           {1.0, 2.0 * (k * k - 1.0) / norm, (1.0 - k / q + k * k) / norm}, {0}, {0}};
}

static struct filter high_pass(double rate)
{
    const double q = 0.5003270373253953, hz = 38.13547087613982;
    const double k = tan(3.14159265358979323846 * hz / rate), norm = 1.0 + k / q + k * k;
    return (struct filter){{1.0, -2.0, 1.0}, {1.0, 2.0 * (k * k - 1.0) / norm, (1.0 - k / q + k * k) / norm}, {0}, {0}};
}

static double lufs(double power)
{
    return power > 0.0 ? -0.691 + 10.0 * log10(power) : -INFINITY;
}

/* The mean power of the blocks of four quarters that are louder than `gate`. */
static double gated(const double *quarters, uint64_t count, double quarter_samples, double gate)
{
    double sum = 0.0;
    uint64_t louder = 0;
    for (uint64_t i = 0; i + 4 <= count; i++) {
        const double power = (quarters[i] + quarters[i + 1] + quarters[i + 2] + quarters[i + 3]) / (4.0 * quarter_samples);
        if (lufs(power) > gate) {
            sum += power;
            louder++;
        }
    }
    return louder ? sum / (double)louder : 0.0;
}

double cb_sound_loudness(const struct cb_sound *sound)
{
    const uint64_t quarter = sound->rate / 10 > 0 ? sound->rate / 10 : 1, count = sound->count / quarter;
    double *quarters = calloc(count + 1, sizeof(double));
    if (!quarters || 2.0 * 1681.9744509555319 >= sound->rate) {
        free(quarters);
        return -INFINITY;
    }
    struct filter first = shelf(sound->rate), second = high_pass(sound->rate);
    double all = 0.0;
    for (uint64_t i = 0; i < sound->count; i++) {
        const double v = filter_next(&second, filter_next(&first, sound->samples[i]));
        all += v * v;
        quarters[i / quarter] += v * v;
    }
    double power = all / (double)(sound->count > 0 ? sound->count : 1);
    if (count >= 4) {
        const double ungated = gated(quarters, count, (double)quarter, -70.0);
        power = gated(quarters, count, (double)quarter, fmax(lufs(ungated) - 10.0, -70.0));
    }
    free(quarters);
    return lufs(power);
}
