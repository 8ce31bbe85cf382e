/* lbfgs.h: the exact linear head on cached features: softmax regression with an L2 penalty.
 *
 *     minimise over w [c, classes], b [classes]:
 *         sum over samples of weight(y) * -ln softmax(x w + b)[y]  +  l2/2 * sum of w^2
 *
 * (the bias is not penalised): what scikit-learn's LogisticRegression(C = 1 / l2) minimises. Features are centred and
 * divided by one scalar, their root mean square, inside (Kornblith et al. 2019, arXiv:1805.08974); as the bias is free
 * and the scale is one number, that changes the numbers met on the way and the unit of the search for l2, not the
 * minimum: w, b and l2 are those of the features as given. When there are fewer samples than features the problem is
 * solved in the span of the samples, where it has the same minimum. */
#ifndef CAMBIUM_TRAIN_LBFGS_H
#define CAMBIUM_TRAIN_LBFGS_H

#include <cambium/status.h>

struct cb_softmax_options {
    double l2;               /* >= 0; negative: chosen by stratified cross-validation */
    uint32_t folds;          /* of the cross-validation; 0: 5 */
    uint32_t max_iterations; /* 0: 1000 */
    double tolerance;        /* on the largest gradient of the mean loss, scaled features; 0: 1e-7 */
    const float *class_weights; /* [classes]; NULL: all 1 */
    const uint32_t *groups;  /* [n]: samples of one group are never parted by a fold; NULL: each its own */
    uint64_t seed;           /* of the folds */
    uint32_t threads;        /* 0: as many as there are processors; the result does not depend on it */
    bool (*cancelled)(void *context); /* asked now and then; true ends with INTERRUPTED; NULL: never */
    void *context;
};

#define CB_L2_GRID_MAX 24

struct cb_softmax_info {
    double l2;           /* that was used, for the features as given */
    double objective;    /* value of the sum above at the end */
    double loss;         /* mean loss on the training samples, without the penalty */
    uint32_t iterations; /* of the final fit */
    bool converged;
    bool cross_validated;  /* false: l2 was given, or a class has too few samples to hold one out */
    uint32_t grid_count;   /* of the search, from the largest l2 down */
    double grid_l2[CB_L2_GRID_MAX], grid_loss[CB_L2_GRID_MAX], grid_accuracy[CB_L2_GRID_MAX]; /* held-out means */
};

/* Fits to x [n, c] (row-major) and labels y [n] in 0 .. classes - 1; writes w [c, classes] and b [classes], untouched on
 * failure, and `*out_info` (may be NULL). With l2 = 0 on separable data there is no minimum: it stops where the slope is
 * below the tolerance. INVALID: no samples, one class, a label outside, a class weight not above 0; NUMERIC: a feature
 * that is not finite; MEMORY; INTERRUPTED. The same bits for the same input and processor. */
enum cb_status cb_softmax_regression_fit(const float *x, const int32_t *y, size_t n, size_t c, uint32_t classes,
                                         const struct cb_softmax_options *options, float *w, float *b,
                                         struct cb_softmax_info *out_info, struct cb_diag *diag);

/* The same for a mean-squared-error head: minimises 1/2 * sum of (x w + b - y)^2 + l2/2 * sum of w^2 with targets
 * y [n, outputs], as scikit-learn's Ridge(alpha = l2). In `info` losses are mean squared errors and accuracies 0.
 * class_weights are not used. */
enum cb_status cb_ridge_fit(const float *x, const float *y, size_t n, size_t c, uint32_t outputs,
                            const struct cb_softmax_options *options, float *w, float *b,
                            struct cb_softmax_info *out_info, struct cb_diag *diag);

#endif
