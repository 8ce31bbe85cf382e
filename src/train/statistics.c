/* statistics.c: see statistics.h. */
#include "train/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/random.h"

double cb_mean(const double *values, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
    }
    return count ? sum / (double)count : 0.0;
}

double cb_std(const double *values, size_t count)
{
    if (count < 2) {
        return 0.0;
    }
    const double mean = cb_mean(values, count);
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += (values[i] - mean) * (values[i] - mean);
    }
    return sqrt(sum / (double)(count - 1));
}

/* ---- distributions ---- */

/* The continued fraction of the regularised incomplete beta function by Lentz's method (Numerical Recipes,
 * 6.4; DLMF 8.17.22); converges fast for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1.0;
    double d = 1.0 - (a + b) * x / (a + 1.0);
    d = 1.0 / (fabs(d) < tiny ? tiny : d);
    double value = d;
    for (int m = 1; m <= 10000; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        const double terms[2] = {even, odd};
        double change = 1.0;
        for (int i = 0; i < 2; i++) {
            d = 1.0 + terms[i] * d;
            d = 1.0 / (fabs(d) < tiny ? tiny : d);
            c = 1.0 + terms[i] / c;
            c = fabs(c) < tiny ? tiny : c;
            change = c * d;
            value *= change;
        }
        if (fabs(change - 1.0) < 1e-16) {
            break;
        }
    }
    return value;
}

/* Regularised incomplete beta function I_x(a, b). `y` is 1 - x, given apart so that it keeps its digits. */
static double incomplete_beta(double a, double b, double x, double y)
{
    if (x <= 0.0) {
        return 0.0;
    }
    if (y <= 0.0) {
        return 1.0;
    }
    const double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y));
    if (x < (a + 1.0) / (a + b + 2.0)) {
        return front * beta_fraction(a, b, x) / a;
    }
    return 1.0 - front * beta_fraction(b, a, y) / b;
}

/* The share of the t distribution above |t|. */
static double student_t_tail(double t, double degrees)
{
    if (isinf(t)) {
        return 0.0;
    }
    const double square = t * t;
    return 0.5 * incomplete_beta(0.5 * degrees, 0.5, degrees / (degrees + square), square / (degrees + square));
}

double cb_student_t_cdf(double t, double degrees)
{
    return t > 0.0 ? 1.0 - student_t_tail(t, degrees) : student_t_tail(t, degrees);
}

/* The t > 0 whose tail is `tail` (below 1/2), by bisection: 200 halvings leave no more bits to gain. */
static double tail_quantile(double tail, double (*tail_of)(double, double), double degrees)
{
    double low = 0.0, high = 1.0;
    while (tail_of(high, degrees) > tail && high < 1e300) {
        low = high;
        high *= 2.0;
    }
    for (int i = 0; i < 200; i++) {
        const double middle = 0.5 * (low + high);
        if (middle <= low || middle >= high) {
            break;
        }
        if (tail_of(middle, degrees) > tail) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return 0.5 * (low + high);
}

static double normal_tail(double z, double unused)
{
    (void)unused;
    return 0.5 * erfc(z * 0.70710678118654752440);
}

static double quantile(double p, double (*tail_of)(double, double), double degrees)
{
    if (!(p > 0.0 && p < 1.0)) {
        return p == 0.0 ? -INFINITY : p == 1.0 ? INFINITY : NAN;
    }
    if (p == 0.5) {
        return 0.0;
    }
    return p < 0.5 ? -tail_quantile(p, tail_of, degrees) : tail_quantile(1.0 - p, tail_of, degrees);
}

double cb_normal_quantile(double p)
{
    return quantile(p, normal_tail, 0.0);
}

double cb_student_t_quantile(double p, double degrees)
{
    return quantile(p, student_t_tail, degrees);
}

/* ---- one test set, several splits ---- */

struct cb_interval cb_wilson_interval(uint64_t correct, uint64_t count, double confidence)
{
    if (count == 0) {
        return (struct cb_interval){0.0, 1.0};
    }
    const double n = (double)count, share = (double)correct / n;
    const double z = cb_normal_quantile(0.5 + 0.5 * confidence), zz = z * z;
    const double middle = (share + zz / (2.0 * n)) / (1.0 + zz / n);
    const double half = z / (1.0 + zz / n) * sqrt(share * (1.0 - share) / n + zz / (4.0 * n * n));
    return (struct cb_interval){correct == 0 ? 0.0 : middle - half, correct == count ? 1.0 : middle + half};
}

/* The corrected standard error of the mean over splits. */
static double corrected_error(const double *values, size_t splits, double n_test, double n_train)
{
    return sqrt(1.0 / (double)splits + n_test / n_train) * cb_std(values, splits);
}

struct cb_interval cb_nadeau_bengio_interval(const double *scores, size_t splits, double n_test, double n_train,
                                             double confidence)
{
    if (splits < 2) {
        return (struct cb_interval){-INFINITY, INFINITY};
    }
    const double t = cb_student_t_quantile(0.5 + 0.5 * confidence, (double)(splits - 1));
    const double half = t * corrected_error(scores, splits, n_test, n_train);
    const double mean = cb_mean(scores, splits);
    return (struct cb_interval){mean - half, mean + half};
}

double cb_nadeau_bengio_test(const double *differences, size_t splits, double n_test, double n_train)
{
    if (splits < 2) {
        return 1.0;
    }
    const double mean = cb_mean(differences, splits);
    const double error = corrected_error(differences, splits, n_test, n_train);
    if (mean == 0.0) {
        return 1.0;
    }
    return error > 0.0 ? 2.0 * student_t_tail(mean / error, (double)(splits - 1)) : 0.0;
}

/* ---- two ways on one test set ---- */

double cb_mcnemar_exact(uint64_t only_a, uint64_t only_b)
{
    const uint64_t smaller = only_a < only_b ? only_a : only_b;
    const double n = (double)(only_a + only_b);
    double sum = 0.0;
    for (uint64_t i = 0; i <= smaller; i++) {
        const double k = (double)i;
        sum += exp(lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0) - n * 0.69314718055994530942);
    }
    return fmin(1.0, 2.0 * sum);
}

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Linear between neighbours, as NumPy's default; `sorted` ascending, count >= 1. */
static double percentile(const double *sorted, size_t count, double share)
{
    const double position = share * (double)(count - 1);
    const size_t below = (size_t)position;
    const size_t above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (position - (double)below) * (sorted[above] - sorted[below]);
}

static struct cb_interval percentile_interval(double *values, size_t count, double confidence)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return (struct cb_interval){percentile(values, count, 0.5 - 0.5 * confidence),
                                percentile(values, count, 0.5 + 0.5 * confidence)};
}

enum cb_status cb_paired_bootstrap(const double *a, const double *b, size_t seeds, size_t count, uint32_t resamples,
                                   double confidence, uint64_t seed, struct cb_comparison *out)
{
    if (seeds == 0 || count == 0 || resamples == 0 || seeds > UINT32_MAX || count > UINT32_MAX) {
        return CB_INVALID;
    }
    double *means = calloc(resamples, sizeof *means);
    uint32_t *drawn = calloc(seeds, sizeof *drawn);
    if (!means || !drawn) {
        free(drawn);
        free(means);
        return CB_MEMORY;
    }
    struct cb_random random;
    cb_random_start(&random, seed, "paired bootstrap", 0);
    uint32_t below = 0, above = 0;
    for (uint32_t r = 0; r < resamples; r++) {
        for (size_t s = 0; s < seeds; s++) {
            drawn[s] = cb_random_below(&random, (uint32_t)seeds);
        }
        double sum = 0.0;
        for (size_t i = 0; i < count; i++) {
            const size_t sample = cb_random_below(&random, (uint32_t)count);
            for (size_t s = 0; s < seeds; s++) {
                sum += a[drawn[s] * count + sample] - b[drawn[s] * count + sample];
            }
        }
        means[r] = sum / ((double)seeds * (double)count);
        below += means[r] <= 0.0;
        above += means[r] >= 0.0;
    }
    double difference = 0.0;
    for (size_t i = 0; i < seeds * count; i++) {
        difference += a[i] - b[i];
    }
    out->difference = difference / ((double)seeds * (double)count);
    /* Counting the observed sample itself keeps p above zero (Davison and Hinkley 1997, 4.2). */
    out->p = fmin(1.0, 2.0 * ((below < above ? below : above) + 1.0) / (resamples + 1.0));
    out->interval = percentile_interval(means, resamples, confidence);
    free(drawn);
    free(means);
    return CB_OK;
}

enum cb_status cb_bootstrap_mean(const double *values, size_t count, uint32_t resamples, double confidence,
                                 uint64_t seed, struct cb_interval *out)
{
    if (count == 0 || resamples == 0 || count > UINT32_MAX) {
        return CB_INVALID;
    }
    double *means = calloc(resamples, sizeof *means);
    if (!means) {
        return CB_MEMORY;
    }
    struct cb_random random;
    cb_random_start(&random, seed, "bootstrap", 0);
    for (uint32_t r = 0; r < resamples; r++) {
        double sum = 0.0;
        for (size_t i = 0; i < count; i++) {
            sum += values[cb_random_below(&random, (uint32_t)count)];
        }
        means[r] = sum / (double)count;
    }
    *out = percentile_interval(means, resamples, confidence);
    free(means);
    return CB_OK;
}

/* ---- several comparisons ---- */

struct ranked {
    double p;
    size_t index;
};

static int compare_ranked(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    return a->p != b->p ? (a->p > b->p) - (a->p < b->p) : (a->index > b->index) - (a->index < b->index);
}

enum cb_status cb_holm(const double *p, size_t count, double *out)
{
    if (count == 0) {
        return CB_OK;
    }
    struct ranked *ranked = calloc(count, sizeof *ranked);
    if (!ranked) {
        return CB_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        ranked[i] = (struct ranked){p[i], i};
    }
    qsort(ranked, count, sizeof *ranked, compare_ranked);
    double largest = 0.0;
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, (double)(count - i) * ranked[i].p);
        out[ranked[i].index] = fmin(1.0, largest);
    }
    free(ranked);
    return CB_OK;
}
