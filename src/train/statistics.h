/* statistics.h: what may be said of a small test: intervals, paired comparisons, corrections for several of them.
 *
 * Probabilities are in [0,1]; `confidence` is 0.95 for a 95% interval. All functions are pure; random ones are keyed by a
 * seed. Sources stand beside each. */
#ifndef CAMBIUM_TRAIN_STATISTICS_H
#define CAMBIUM_TRAIN_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

#include <cambium/status.h>

struct cb_interval {
    double low, high;
};

double cb_mean(const double *values, size_t count); /* 0 for none */
double cb_std(const double *values, size_t count);  /* of a sample (count - 1); 0 for fewer than two */

/* The value below which a share `p` of the distribution lies; 0 < p < 1. Relative error below 1e-9. */
double cb_normal_quantile(double p);
double cb_student_t_quantile(double p, double degrees); /* degrees > 0 */
/* The share of Student's t distribution below t. */
double cb_student_t_cdf(double t, double degrees);

/* Interval of a proportion from `correct` of `count` (Wilson 1927). count = 0 gives [0,1]. */
struct cb_interval cb_wilson_interval(uint64_t correct, uint64_t count, double confidence);

/* Interval of the mean score over `splits` random splits of one pool, each with n_train and n_test samples. The splits
 * share samples, so the variance of the mean is (1/J + n_test/n_train) s^2 instead of s^2/J (Nadeau and Bengio 2003,
 * "Inference for the generalization error"; J - 1 degrees of freedom). Fewer than two splits give [-inf, inf]. */
struct cb_interval cb_nadeau_bengio_interval(const double *scores, size_t splits, double n_test, double n_train,
                                             double confidence);
/* The same correction as a two-sided test that the mean of `differences` (one a split) is zero; p value. 1 for fewer
 * than two splits. */
double cb_nadeau_bengio_test(const double *differences, size_t splits, double n_test, double n_train);

/* Two classifiers on the same samples: `only_a` were right in A alone, `only_b` in B alone. The probability of a split at
 * least as uneven if both were equally good: the exact two-sided binomial test (McNemar 1947), at most 1. */
double cb_mcnemar_exact(uint64_t only_a, uint64_t only_b);

struct cb_comparison {
    double difference;           /* mean score of A minus that of B */
    struct cb_interval interval; /* of the difference, percentiles of the resamples */
    double p;                    /* two-sided: twice the smaller share of resamples on one side of zero, the sample counted too */
};
/* Two ways of training, `seeds` runs each, on the same `count` samples: a and b are scores [seeds, count] (1 right, 0
 * wrong, or any value of a sample). Resamples samples and seeds together, keeping A and B paired in both (Efron and
 * Tibshirani 1993), `resamples` times (2000 are usual). MEMORY when there is none; INVALID for zero sizes. */
enum cb_status cb_paired_bootstrap(const double *a, const double *b, size_t seeds, size_t count, uint32_t resamples,
                                   double confidence, uint64_t seed, struct cb_comparison *out);
/* Interval of the mean of `values` (absolute errors, for instance): percentiles of `resamples` bootstrap means. */
enum cb_status cb_bootstrap_mean(const double *values, size_t count, uint32_t resamples, double confidence,
                                 uint64_t seed, struct cb_interval *out);

/* Holm's correction (1979) of `count` p values for having looked at all of them: out[i] <= alpha may be called
 * significant. `out` may be `p`. MEMORY when there is none. */
enum cb_status cb_holm(const double *p, size_t count, double *out);

#endif
