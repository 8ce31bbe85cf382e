/* lbfgs.c: the exact linear heads: what span.c, linear.c and search.c make together. See lbfgs.h. */
#include "train/lbfgs.h"

#include <math.h>
#include <stdlib.h>

#include "train/linear.h"

#define DEFAULT_ITERATIONS 1000
#define DEFAULT_TOLERANCE 1e-7

static enum cb_status check_labels(const int32_t *y, size_t n, uint32_t classes, const float *class_weights,
                                   struct cb_diag *diag)
{
    if (classes < 2) {
        return cb_fail(diag, CB_INVALID, NULL, "a classifier needs at least 2 classes, not %u", (unsigned)classes);
    }
    for (size_t i = 0; i < n; i++) {
        if (y[i] < 0 || (uint32_t)y[i] >= classes) {
            return cb_fail(diag, CB_INVALID, NULL, "training sample %zu has the label %d, but there are %u classes", i,
                           (int)y[i], (unsigned)classes);
        }
    }
    for (uint32_t k = 0; class_weights && k < classes; k++) {
        if (!(class_weights[k] > 0.0f) || !isfinite(class_weights[k])) {
            return cb_fail(diag, CB_INVALID, NULL, "the weight of class %u must be above 0, not %g", (unsigned)k,
                           (double)class_weights[k]);
        }
    }
    return CB_OK;
}

static enum cb_status check_targets(const float *y, size_t n, uint32_t outputs, struct cb_diag *diag)
{
    if (outputs == 0) {
        return cb_fail(diag, CB_INVALID, NULL, "a regression needs at least 1 output");
    }
    for (size_t i = 0; i < n * outputs; i++) {
        if (!isfinite(y[i])) {
            return cb_fail(diag, CB_NUMERIC, NULL, "the target of training sample %zu is not a finite number",
                           i / outputs);
        }
    }
    return CB_OK;
}

/* The mean target as the first bias: what is left to fit does not depend on where zero lies. */
static void start_at_mean(const struct cb__linear *problem, double *bias)
{
    for (size_t i = 0; i < problem->row_count; i++) {
        for (uint32_t o = 0; o < problem->outputs; o++) {
            bias[o] += problem->targets[i * problem->outputs + o] / (double)problem->row_count;
        }
    }
}

/* The final fit over all samples; `rows` [n], `params` [(c + 1) * outputs] zero. */
static enum cb_status fit_all(struct cb__linear *problem, const struct cb_softmax_options *options, double *params,
                              struct cb_softmax_info *info)
{
    const struct cb__features *f = problem->features;
    const double scale = f->given ? f->given_scale : f->scale;
    const double tolerance = options->tolerance > 0.0 ? options->tolerance : DEFAULT_TOLERANCE;
    const uint32_t iterations = options->max_iterations ? options->max_iterations : DEFAULT_ITERATIONS;
    struct cb__minimum minimum;
    CB_TRY(cb__linear_fit(problem, params, tolerance, iterations, &minimum));
    info->l2 = problem->penalty * scale * scale;
    info->iterations = minimum.iterations;
    info->converged = minimum.converged;

    double weights = 0.0;
    for (size_t i = 0; i < f->n; i++) {
        weights += problem->class_weights ? (double)problem->class_weights[problem->labels[i]] : 1.0;
    }
    info->objective = minimum.value * weights;
    struct cb__linear_score score;
    CB_TRY(cb__linear_measure(problem, params, &score));
    info->loss = score.loss / ((double)f->n * (problem->labels ? 1.0 : problem->outputs));
    return CB_OK;
}

static enum cb_status fit(struct cb__linear *problem, const float *x, size_t n, size_t c,
                          const struct cb_softmax_options *options, float *w, float *b,
                          struct cb_softmax_info *out_info, struct cb_diag *diag)
{
    struct cb_softmax_info info = {.l2 = 0.0};
    struct cb__features features = {.x = NULL};
    double *params = NULL;
    enum cb_status status = CB_MEMORY;
    uint32_t *rows = calloc(n, sizeof *rows);
    if (!rows) {
        goto free_rows;
    }
    for (size_t i = 0; i < n; i++) {
        rows[i] = (uint32_t)i;
    }
    status = cb__features_create(x, n, c, &features, diag);
    if (status != CB_OK) {
        goto free_rows;
    }
    problem->features = &features;
    problem->rows = rows;
    problem->row_count = n;
    problem->threads = options->threads;
    problem->cancelled = options->cancelled;
    problem->cancel_context = options->context;
    params = calloc((features.c + 1) * problem->outputs, sizeof *params);
    status = params ? CB_OK : CB_MEMORY;
    if (status == CB_OK && options->l2 < 0.0) {
        status = cb__linear_search(problem, options, &info);
    } else if (status == CB_OK) {
        const double scale = features.given ? features.given_scale : features.scale;
        problem->penalty = options->l2 / (scale * scale);
    }
    if (status == CB_OK && problem->targets) {
        start_at_mean(problem, params + features.c * problem->outputs);
    }
    if (status == CB_OK) {
        status = fit_all(problem, options, params, &info);
    }
    if (status == CB_OK) {
        status = cb__features_fold(&features, params, params + features.c * problem->outputs, problem->outputs, w, b);
    }
    if (status == CB_OK && out_info) {
        *out_info = info;
    }
    cb__features_destroy(&features);
free_rows:
    free(params);
    free(rows);
    return status == CB_MEMORY
               ? cb_fail(diag, status, NULL, "out of memory for a head on %zu samples of %zu features", n, c)
               : status;
}

static enum cb_status check_size(size_t n, size_t c, struct cb_diag *diag)
{
    if (n == 0 || c == 0) {
        return cb_fail(diag, CB_INVALID, NULL, "a head cannot be fitted to %zu samples of %zu features", n, c);
    }
    if (n > UINT32_MAX) {
        return cb_fail(diag, CB_UNSUPPORTED, NULL, "%zu samples are too many for an exact head", n);
    }
    return CB_OK;
}

enum cb_status cb_softmax_regression_fit(const float *x, const int32_t *y, size_t n, size_t c, uint32_t classes,
                                         const struct cb_softmax_options *options, float *w, float *b,
                                         struct cb_softmax_info *out_info, struct cb_diag *diag)
{
    CB_TRY(check_size(n, c, diag));
    CB_TRY(check_labels(y, n, classes, options->class_weights, diag));
    struct cb__linear problem = {.labels = y, .class_weights = options->class_weights, .outputs = classes};
    return fit(&problem, x, n, c, options, w, b, out_info, diag);
}

enum cb_status cb_ridge_fit(const float *x, const float *y, size_t n, size_t c, uint32_t outputs,
                            const struct cb_softmax_options *options, float *w, float *b,
                            struct cb_softmax_info *out_info, struct cb_diag *diag)
{
    CB_TRY(check_size(n, c, diag));
    CB_TRY(check_targets(y, n, outputs, diag));
    struct cb__linear problem = {.targets = y, .outputs = outputs};
    return fit(&problem, x, n, c, options, w, b, out_info, diag);
}
