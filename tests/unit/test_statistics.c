/* test_statistics.c: intervals, paired tests and corrections against SciPy 1.x (scipy.stats: norm, t, binomtest), and the
 * coverage of the intervals on simulated data whose truth is known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/random.h"
#include "train/statistics.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void close_to(double got, double wanted, double relative)
{
    if (!(fabs(got - wanted) <= relative * fmax(1.0, fabs(wanted)))) {
        fail_msg("%.17g is not %.17g", got, wanted);
    }
}

static void quantiles(void **state)
{
    (void)state;
    close_to(cb_normal_quantile(0.975), 1.959963984540054, 1e-12);
    close_to(cb_normal_quantile(1e-6), -4.753424308822899, 1e-12);
    close_to(cb_normal_quantile(0.999), 3.090232306167813, 1e-12);
    assert_true(cb_normal_quantile(0.5) == 0.0);
    close_to(cb_student_t_quantile(0.975, 1), 12.706204736174694, 1e-11);
    close_to(cb_student_t_quantile(0.975, 4), 2.7764451051977934, 1e-11);
    close_to(cb_student_t_quantile(0.9, 2.5), 1.7302509288071766, 1e-11);
    close_to(cb_student_t_quantile(0.05, 9), -1.8331129326562376, 1e-11);
    close_to(cb_student_t_cdf(2.0, 4), 0.9419417382415922, 1e-12);
    close_to(cb_student_t_cdf(-1.3, 1), 0.20871440016015272, 1e-12);
    close_to(cb_student_t_cdf(12.0, 2), 0.9965635331614208, 1e-12);
    assert_true(isinf(cb_normal_quantile(1.0)) && isnan(cb_normal_quantile(1.5)));
}

static void wilson(void **state)
{
    (void)state;
    static const struct {
        uint64_t correct, count;
        double confidence, low, high;
    } cases[] = {
        {18, 20, 0.95, 0.6989663547715128, 0.9721335187862319},
        {0, 7, 0.95, 0.0, 0.35433043506668743},
        {7, 7, 0.95, 0.6456695649333126, 1.0},
        {50, 145, 0.99, 0.2519605465912332, 0.4512739923658307},
        {0, 0, 0.95, 0.0, 1.0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct cb_interval got = cb_wilson_interval(cases[i].correct, cases[i].count, cases[i].confidence);
        close_to(got.low, cases[i].low, 1e-12);
        close_to(got.high, cases[i].high, 1e-12);
    }
}

/* The true coverage of Wilson's 95% interval at n = 145, averaged over shares: a sum over all outcomes, no simulation. */
static void wilson_covers(void **state)
{
    (void)state;
    const int n = 145;
    double mean = 0.0;
    for (int s = 1; s < 100; s++) {
        const double p = s / 100.0;
        for (int k = 0; k <= n; k++) {
            struct cb_interval interval = cb_wilson_interval((uint64_t)k, (uint64_t)n, 0.95);
            if (interval.low <= p && p <= interval.high) {
                mean += exp(lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0) + k * log(p) + (n - k) * log1p(-p)) / 99.0;
            }
        }
    }
    assert_true(mean > 0.94 && mean < 0.96);
}

static void several_splits(void **state)
{
    (void)state;
    const double scores[] = {0.90, 0.88, 0.93, 0.91, 0.86}, differences[] = {0.02, 0.01, 0.03, -0.01, 0.02};
    struct cb_interval got = cb_nadeau_bengio_interval(scores, 5, 145, 80, 0.95);
    close_to(got.low, 0.7895811734508152, 1e-11);
    close_to(got.high, 1.002418826549185, 1e-11);
    close_to(cb_nadeau_bengio_test(differences, 5, 145, 80), 0.5507132637971826, 1e-11);
    assert_true(isinf(cb_nadeau_bengio_interval(scores, 1, 145, 80, 0.95).low));
    assert_true(cb_nadeau_bengio_test(differences, 1, 145, 80) == 1.0);
}

static void mcnemar(void **state)
{
    (void)state;
    close_to(cb_mcnemar_exact(1, 8), 0.0390625, 1e-12);
    close_to(cb_mcnemar_exact(6, 0), 0.03125, 1e-12);
    close_to(cb_mcnemar_exact(12, 30), 0.007915897334896727, 1e-11);
    close_to(cb_mcnemar_exact(5, 5), 1.0, 1e-12);
    close_to(cb_mcnemar_exact(0, 0), 1.0, 1e-12);
}

static void holm(void **state)
{
    (void)state;
    double p[] = {0.01, 0.04, 0.03, 0.005};
    const double wanted[] = {0.03, 0.06, 0.06, 0.02};
    assert_int_equal(cb_holm(p, 4, p), CB_OK);
    for (size_t i = 0; i < 4; i++) {
        close_to(p[i], wanted[i], 1e-12);
    }
}

/* Of 400 simulated sets of 60 values with a known mean, the 95% bootstrap interval covers the mean in about 95%. */
static void bootstrap_covers(void **state)
{
    (void)state;
    struct cb_random random;
    cb_random_start(&random, 7, "coverage", 0);
    int covered = 0;
    for (uint64_t trial = 0; trial < 400; trial++) {
        double values[60];
        struct cb_interval interval;
        for (size_t i = 0; i < 60; i++) {
            values[i] = 3.0 + cb_random_normal(&random);
        }
        assert_int_equal(cb_bootstrap_mean(values, 60, 500, 0.95, trial, &interval), CB_OK);
        covered += interval.low <= 3.0 && 3.0 <= interval.high;
    }
    assert_in_range(covered, 365, 394); /* 0.91 to 0.985: four standard errors around 0.945 */
}

static void paired_bootstrap(void **state)
{
    (void)state;
    double a[100], b[100];
    struct cb_comparison got;
    for (size_t i = 0; i < 100; i++) {
        a[i] = i % 10 != 0;  /* 90 right */
        b[i] = i % 10 > 2;   /* 70 right, all of them right in a too */
    }
    assert_int_equal(cb_paired_bootstrap(a, b, 1, 100, 2000, 0.95, 1, &got), CB_OK);
    close_to(got.difference, 0.2, 1e-12);
    /* the difference is 1 in 20 of 100: its binomial 95% interval is about 0.12 to 0.28 */
    assert_true(got.interval.low > 0.10 && got.interval.low < 0.15);
    assert_true(got.interval.high > 0.25 && got.interval.high < 0.30);
    assert_true(got.p < 0.01);
    assert_int_equal(cb_paired_bootstrap(a, a, 1, 100, 2000, 0.95, 1, &got), CB_OK);
    assert_true(got.difference == 0.0 && got.p == 1.0);
    assert_int_equal(cb_paired_bootstrap(a, b, 1, 0, 2000, 0.95, 1, &got), CB_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles),        cmocka_unit_test(wilson), cmocka_unit_test(wilson_covers),
        cmocka_unit_test(several_splits),   cmocka_unit_test(mcnemar), cmocka_unit_test(holm),
        cmocka_unit_test(bootstrap_covers), cmocka_unit_test(paired_bootstrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
