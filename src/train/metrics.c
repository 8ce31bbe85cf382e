/* metrics.c: see metrics.h. */
#include "train/metrics.h"

#include <math.h>

uint32_t cb_argmax(const float *values, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++) {
        if (values[i] > values[best] || (isnan(values[best]) && !isnan(values[i]))) {
            best = i;
        }
    }
    return best;
}

void cb_softmax_rows(float *scores, size_t rows, uint32_t classes)
{
    for (size_t i = 0; i < rows; i++) {
        float *row = scores + i * classes;
        const float largest = row[cb_argmax(row, classes)];
        double sum = 0.0;
        for (uint32_t k = 0; k < classes; k++) {
            row[k] = expf(row[k] - largest);
            sum += row[k];
        }
        for (uint32_t k = 0; k < classes; k++) {
            row[k] = (float)(row[k] / sum);
        }
    }
}

/* ---- classes ---- */

/* Fills counts, confusion, and the sum of losses. */
static enum cb_status count_predictions(const float *probabilities, const int32_t *labels, size_t count,
                                        struct cb_classification *result, double *out_loss_sum, struct cb_diag *diag)
{
    const uint32_t classes = result->classes;
    double loss_sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        const float *row = probabilities + i * classes;
        if (labels[i] < 0 || (uint32_t)labels[i] >= classes) {
            return cb_fail(diag, CB_INVALID, NULL, "sample %zu has the label %d, but there are %u classes", i,
                           (int)labels[i], (unsigned)classes);
        }
        for (uint32_t k = 0; k < classes; k++) {
            if (!isfinite(row[k])) {
                return cb_fail(diag, CB_NUMERIC, NULL, "the prediction for sample %zu is not a finite number", i);
            }
        }
        const uint32_t truth = (uint32_t)labels[i], guess = cb_argmax(row, classes);
        result->confusion[(size_t)truth * classes + guess]++;
        result->per_class[truth].support++;
        result->per_class[guess].predicted++;
        if (truth == guess) {
            result->per_class[truth].correct++;
            result->correct++;
        }
        loss_sum -= log(fmax(row[truth], 1e-12));
    }
    *out_loss_sum = loss_sum;
    return CB_OK;
}

static double ratio(double part, double whole)
{
    return whole > 0.0 ? part / whole : 0.0;
}

enum cb_status cb_metrics_classify(struct cb_arena *arena, const float *probabilities, const int32_t *labels,
                                   size_t count, uint32_t classes, struct cb_classification *out,
                                   struct cb_diag *diag)
{
    struct cb_classification result = {.count = count, .classes = classes};
    result.per_class = CB_NEW_ARRAY(arena, struct cb_class_metrics, classes ? classes : 1);
    result.confusion = CB_NEW_ARRAY(arena, uint64_t, (size_t)classes * classes + 1);
    if (!result.per_class || !result.confusion) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory for the confusion of %u classes", (unsigned)classes);
    }
    double loss_sum = 0.0;
    CB_TRY(count_predictions(probabilities, labels, count, &result, &loss_sum, diag));

    uint32_t present = 0;
    double recall_sum = 0.0;
    for (uint32_t k = 0; k < classes; k++) {
        struct cb_class_metrics *of = &result.per_class[k];
        of->precision = ratio((double)of->correct, (double)of->predicted);
        of->recall = ratio((double)of->correct, (double)of->support);
        of->f1 = ratio(2.0 * (double)of->correct, (double)(of->support + of->predicted));
        if (of->support > result.per_class[result.commonest].support) {
            result.commonest = k;
        }
        present += of->support > 0;
        recall_sum += of->recall;
    }
    result.accuracy = ratio((double)result.correct, (double)count);
    result.balanced_accuracy = ratio(recall_sum, present);
    result.loss = ratio(loss_sum, (double)count);
    result.baseline = classes ? ratio((double)result.per_class[result.commonest].support, (double)count) : 0.0;
    *out = result;
    return CB_OK;
}

/* ---- values ---- */

enum cb_status cb_metrics_regress(const float *predictions, const float *targets, size_t count, uint32_t outputs,
                                  struct cb_regression *out, struct cb_diag *diag)
{
    struct cb_regression result = {.count = count};
    for (size_t i = 0; i < count * outputs; i++) {
        if (!isfinite(predictions[i]) || !isfinite(targets[i])) {
            return cb_fail(diag, CB_NUMERIC, NULL, "the %s of sample %zu is not a finite number",
                           isfinite(targets[i]) ? "prediction" : "target", i / outputs);
        }
    }
    double absolute = 0.0, square = 0.0, baseline = 0.0, r2 = 0.0;
    for (uint32_t k = 0; k < outputs; k++) {
        double sum = 0.0;
        for (size_t i = 0; i < count; i++) {
            sum += targets[i * outputs + k];
        }
        const double mean = ratio(sum, (double)count);
        double residual = 0.0, total = 0.0;
        for (size_t i = 0; i < count; i++) {
            const double target = targets[i * outputs + k], error = predictions[i * outputs + k] - target;
            absolute += fabs(error);
            residual += error * error;
            baseline += fabs(target - mean);
            total += (target - mean) * (target - mean);
        }
        square += residual;
        r2 += total > 0.0 ? 1.0 - residual / total : 0.0;
    }
    const double values = (double)count * outputs;
    result.mae = ratio(absolute, values);
    result.loss = ratio(square, values);
    result.rmse = sqrt(result.loss);
    result.baseline = ratio(baseline, values);
    result.r2 = ratio(r2, outputs);
    *out = result;
    return CB_OK;
}
