/* linear.h: the parts of the exact linear head (lbfgs.h): its features (span.c), its objective (linear.c), the search for
 * its penalty (search.c). Private to src/train. */
#ifndef CAMBIUM_TRAIN_LINEAR_H
#define CAMBIUM_TRAIN_LINEAR_H

#include "train/lbfgs.h"
#include "train/minimise.h"

/* ---- features: span.c ---- */

/* Samples as a linear model sees them: row i is (x[i] - mean) / scale, with mean square 1 over all elements. When there
 * are fewer samples than features, `x` holds instead each row's coordinates in an orthonormal basis of the span of the
 * centred and scaled rows, mean is zero and scale 1: inner products are the same, and the minimum of a penalised linear
 * model lies in that span. */
struct cb__features {
    const float *x; /* [n, c] */
    size_t n, c;
    double *mean;   /* [c] */
    double scale;
    double spread;  /* mean squared length of a centred row, as given */
    /* the basis; rank 0: none, x is the caller's */
    const float *given; /* [n, given_c] */
    size_t given_c;
    double *given_mean, given_scale;
    float *coordinates; /* what x points to */
    uint32_t *pivots;   /* [c]: basis vector k lies in the span of rows pivots[0..k] */
    double *lower;      /* [n, n] row-major: row i in the basis, in full digits */
};

/* NUMERIC: a feature is not finite (the message names the sample); MEMORY. */
enum cb_status cb__features_create(const float *x, size_t n, size_t c, struct cb__features *out, struct cb_diag *diag);
void cb__features_destroy(struct cb__features *features);
/* From v [c, outputs], bias [outputs] for the rows above to w [given_c, outputs], b [outputs] for the features as given. */
enum cb_status cb__features_fold(const struct cb__features *features, const double *v, const double *bias,
                                 uint32_t outputs, float *w, float *b);

/* ---- objective: linear.c ---- */

/* Some of the samples, and the loss on them:  (sum of weighted losses + penalty/2 * |v|^2) / sum of weights. */
struct cb__linear {
    const struct cb__features *features;
    const int32_t *labels;       /* [n]: softmax regression; or */
    const float *targets;        /* [n, outputs]: half the squared error */
    const float *class_weights;  /* [outputs]; NULL: all 1 */
    uint32_t outputs;
    const uint32_t *rows;        /* which samples */
    size_t row_count;
    double penalty;
    uint32_t threads;
    bool (*cancelled)(void *context);
    void *cancel_context;
};

/* Minimises from v = params[0 .. c*outputs), bias = params[c*outputs ..), where it leaves the result. */
enum cb_status cb__linear_fit(const struct cb__linear *problem, double *params, double tolerance,
                              uint32_t max_iterations, struct cb__minimum *out);

struct cb__linear_score {
    double loss;      /* sum over the rows, unweighted: -ln p, or squared errors summed over outputs */
    size_t correct;   /* of labels */
};
/* How well `params` does on the problem's rows. */
enum cb_status cb__linear_measure(const struct cb__linear *problem, const double *params,
                                  struct cb__linear_score *out);

/* ---- search: search.c ---- */

/* Chooses problem->penalty by cross-validation over all samples and fills the grid of `info` (l2 in units of the features
 * as given). info->cross_validated is false when no sample can be held out; then the penalty is a middling one. */
enum cb_status cb__linear_search(struct cb__linear *problem, const struct cb_softmax_options *options,
                                 struct cb_softmax_info *info);

#endif
