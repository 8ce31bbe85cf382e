/* metrics.h: how good predictions are: what `eval`, `train` and the report say. Host only. */
#ifndef CAMBIUM_TRAIN_METRICS_H
#define CAMBIUM_TRAIN_METRICS_H

#include <cambium/status.h>

#include "base/arena.h"

struct cb_class_metrics {
    uint64_t support;   /* samples of this class */
    uint64_t predicted; /* samples that were called this class */
    uint64_t correct;
    double precision, recall, f1; /* 0 where the division has no samples */
};

struct cb_classification {
    uint64_t count, correct;
    uint32_t classes;
    double accuracy;
    double balanced_accuracy; /* mean recall of the classes that have samples */
    double loss;              /* mean of -ln(probability of the true class), probabilities kept above 1e-12 */
    double baseline;          /* accuracy of always guessing the commonest class */
    uint32_t commonest;       /* that class; the lowest number of several */
    struct cb_class_metrics *per_class; /* [classes] */
    uint64_t *confusion;                /* [classes, classes]: row the true class, column the predicted one */
};

/* From probabilities [count, classes] and labels [count] in 0 .. classes - 1. The prediction is the largest probability,
 * the lowest class of equals. Arrays live in `arena`. INVALID: a label outside; NUMERIC: a probability that is not finite
 * (both name the sample); count = 0 gives zeros. */
enum cb_status cb_metrics_classify(struct cb_arena *arena, const float *probabilities, const int32_t *labels,
                                   size_t count, uint32_t classes, struct cb_classification *out,
                                   struct cb_diag *diag);

/* Index of the largest of `count` values, the lowest of equals; 0 when all are NaN. */
uint32_t cb_argmax(const float *values, uint32_t count);
/* Scores to probabilities in place, row by row: [rows, classes]. Works for any finite scores. */
void cb_softmax_rows(float *scores, size_t rows, uint32_t classes);

struct cb_regression {
    uint64_t count;
    double mae, rmse;
    double r2;       /* mean over outputs of 1 - residual / total sum of squares; 0 where a target does not vary */
    double loss;     /* mean squared error */
    double baseline; /* mean absolute error of always guessing the mean target */
};
/* From predictions and targets [count, outputs]; means over samples and outputs. NUMERIC: a value that is not finite. */
enum cb_status cb_metrics_regress(const float *predictions, const float *targets, size_t count, uint32_t outputs,
                                  struct cb_regression *out, struct cb_diag *diag);

#endif
