/* show.c: jobs and results in words. See show.h. */
#include "cli/show.h"

#include <inttypes.h>
#include <string.h>

void cb_cli_show_job(struct cb_cli *cli, const struct cb_job *job)
{
    const struct cb_dataset *d = job->dataset;
    const struct cb_split *s = &job->split;
    if (cli->json || cli->quiet) {
        return;
    }
    fprintf(stderr, "data: %u samples", d->count);
    if (d->target == CB_TARGET_CLASSES) {
        fprintf(stderr, ", %u classes", d->class_count);
    }
    if (cb_dataset_bad_count(d) > 0) {
        fprintf(stderr, ", %u unreadable", cb_dataset_bad_count(d));
    }
    fprintf(stderr, "; %u to train", s->train.count);
    if (s->has_validation) {
        fprintf(stderr, ", %u to validate", s->validation.count);
    }
    if (s->has_test) {
        fprintf(stderr, ", %u to test", s->test.count);
    } else if (s->fold_count > 0) {
        fprintf(stderr, ", cross-validated in %u folds", s->fold_count);
    } else {
        fprintf(stderr, ", no test");
    }
    fprintf(stderr, "\n");
}

void cb_cli_accuracy_text(const struct cb_result *r, struct cb_text *out)
{
    if (!r->is_classes) {
        cb_text_addf(out, "%.4g (95%% interval %.4g to %.4g)", r->values.mae, r->interval.low, r->interval.high);
        return;
    }
    cb_text_addf(out, "%.3f (%" PRIu64 " of %" PRIu64 ", 95%% interval %.2f to %.2f)", r->classes.accuracy,
                 r->classes.correct, r->n, r->interval.low, r->interval.high);
}

static void show_classes(const struct cb_task *task, const struct cb_result *r)
{
    struct cb_text text = {0};
    cb_cli_accuracy_text(r, &text);
    printf("%s: %s%s\n", r->folds > 0 ? "cross-validated accuracy" : "test accuracy", text.data != NULL ? text.data : "",
           r->folds > 0 ? ", over all folds" : "");
    printf("balanced accuracy: %.3f; always guessing `%s` would give %.3f\n", r->classes.balanced_accuracy,
           r->model->classes != NULL ? r->model->classes[r->classes.commonest] : "?", r->classes.baseline);
    cb_text_free(&text);
    (void)task;
}

void cb_cli_show_result(struct cb_cli *cli, const struct cb_task *task, const struct cb_result *r, const char *folder,
                        int64_t seen)
{
    char frozen[32], trainable[32], seconds[32];
    (void)cli;
    if (r->model->report != NULL) {
        struct cb_text text = {0};
        cb_load_report_print(r->model->report, false, &text);
        printf("weights: %s", text.data != NULL ? text.data : "");
        cb_text_free(&text);
    } else {
        printf("weights: random values, nothing was loaded\n");
    }
    printf("params: %s frozen, %s trained\n", cb_format_count((uint64_t)r->frozen_params, frozen),
           cb_format_count((uint64_t)r->trainable_params, trainable));
    if (r->frozen_before[0] != '\0') {
        printf("frozen layers unchanged: SHA-256 %.16s... as loaded, on the device after training, and in the file\n",
               r->frozen_before);
    }
    if (r->fit.is_exact) {
        printf("head: solved exactly, L2 %.3g%s\n", r->fit.l2, r->fit.l2_was_chosen ? " chosen by cross-validation" : "");
    } else {
        printf("trained for %" PRId64 " epochs, %" PRIu64 " steps; last loss %.4f\n", r->fit.epochs, r->fit.steps,
               r->fit.loss);
        if (r->fit.best_epoch > 0) {
            printf("early stopping kept epoch %" PRId64 "\n", r->fit.best_epoch);
        }
    }
    if (!r->has_test && r->folds == 0) {
        printf("not tested: the task says `test: none`\n");
    } else if (r->is_classes) {
        show_classes(task, r);
    } else {
        printf("mean absolute error: %.4g (95%% interval %.4g to %.4g, n = %" PRIu64 "); always guessing the mean would "
               "give %.4g; R2 %.3f\n", r->values.mae, r->interval.low, r->interval.high, r->n, r->values.baseline,
               r->values.r2);
    }
    if (seen > 1) {
        printf("%" PRId64 " runs have seen this test set; the best of them is optimistic\n", seen);
    }
    printf("saved: %s (%s)\n", folder, cb_format_seconds(r->seconds, seconds));
}
