/* eval.c: `cambium eval RUN`: the metrics of a run again, from its saved model, on its own test data or on others. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/open_model.h"
#include "cli/run_data.h"
#include "train/metrics.h"
#include "train/run.h"

static const struct cb_flag flags[] = {
    {"--data", "FOLDER", "a folder per class instead of the task's test data"},
    {NULL, NULL, NULL},
};

struct evaluation {
    struct cb_cli *cli;
    struct cb_model *model;
    struct cb_dataset *dataset;
    const uint32_t *samples;
    uint32_t count;
};

static struct cb_value *class_value(struct cb_arena *arena, const struct cb_class_metrics *m)
{
    struct cb_value *map = cb_value_map(arena, NULL);
    (void)cb_map_set(arena, map, "n", cb_value_int(arena, (int64_t)m->support, NULL));
    (void)cb_map_set(arena, map, "precision", cb_value_real(arena, m->precision, NULL));
    (void)cb_map_set(arena, map, "recall", cb_value_real(arena, m->recall, NULL));
    (void)cb_map_set(arena, map, "f1", cb_value_real(arena, m->f1, NULL));
    return map;
}

static void print_classes_json(const struct evaluation *e, const struct cb_classification *c, struct cb_interval interval)
{
    struct cb_arena *arena = e->cli->arena;
    struct cb_value *map = cb_value_map(arena, NULL), *range = cb_value_list(arena, NULL);
    struct cb_value *per_class = cb_value_map(arena, NULL), *confusion = cb_value_list(arena, NULL);
    (void)cb_list_append(arena, range, cb_value_real(arena, interval.low, NULL));
    (void)cb_list_append(arena, range, cb_value_real(arena, interval.high, NULL));
    for (uint32_t i = 0; i < c->classes; i++) {
        struct cb_value *row = cb_value_list(arena, NULL);
        (void)cb_map_set(arena, per_class, e->dataset->classes[i], class_value(arena, &c->per_class[i]));
        for (uint32_t k = 0; k < c->classes; k++) {
            (void)cb_list_append(arena, row, cb_value_int(arena, (int64_t)c->confusion[i * c->classes + k], NULL));
        }
        (void)cb_list_append(arena, confusion, row);
    }
    (void)cb_map_set(arena, map, "accuracy", cb_value_real(arena, c->accuracy, NULL));
    (void)cb_map_set(arena, map, "interval", range);
    (void)cb_map_set(arena, map, "n", cb_value_int(arena, (int64_t)c->count, NULL));
    (void)cb_map_set(arena, map, "correct", cb_value_int(arena, (int64_t)c->correct, NULL));
    (void)cb_map_set(arena, map, "balanced_accuracy", cb_value_real(arena, c->balanced_accuracy, NULL));
    (void)cb_map_set(arena, map, "baseline", cb_value_real(arena, c->baseline, NULL));
    (void)cb_map_set(arena, map, "loss", cb_value_real(arena, c->loss, NULL));
    (void)cb_map_set(arena, map, "per_class", per_class);
    (void)cb_map_set(arena, map, "confusion", confusion);
    cb_cli_print_json(map);
}

static void print_classes(const struct evaluation *e, const struct cb_classification *c, struct cb_interval interval)
{
    printf("accuracy: %.3f (%" PRIu64 " of %" PRIu64 ", 95%% interval %.2f to %.2f); balanced %.3f; always `%s`: %.3f\n",
           c->accuracy, c->correct, c->count, interval.low, interval.high, c->balanced_accuracy,
           e->dataset->classes[c->commonest], c->baseline);
    printf("%-20s %6s %9s %9s %9s\n", "class", "n", "precision", "recall", "f1");
    for (uint32_t i = 0; i < c->classes; i++) {
        const struct cb_class_metrics *m = &c->per_class[i];
        printf("%-20s %6" PRIu64 " %9.3f %9.3f %9.3f\n", e->dataset->classes[i], m->support, m->precision, m->recall,
               m->f1);
    }
    if (c->classes > 20) {
        return;
    }
    printf("confusion (rows: true, columns: predicted)\n");
    for (uint32_t i = 0; i < c->classes; i++) {
        printf("%-20s", e->dataset->classes[i]);
        for (uint32_t k = 0; k < c->classes; k++) {
            printf(" %5" PRIu64, c->confusion[i * c->classes + k]);
        }
        printf("\n");
    }
}

static enum cb_status judge_classes(const struct evaluation *e, float *rows)
{
    struct cb_classification c;
    int32_t *labels = CB_NEW_ARRAY(e->cli->arena, int32_t, e->count + 1);
    for (uint32_t i = 0; labels != NULL && i < e->count; i++) {
        labels[i] = e->dataset->labels[e->samples[i]];
    }
    if (labels == NULL) {
        return cb_fail(e->cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(cb_metrics_classify(e->cli->arena, rows, labels, e->count, e->model->outputs, &c, e->cli->diag));
    struct cb_interval interval = cb_wilson_interval(c.correct, c.count, 0.95);
    (e->cli->json ? print_classes_json : print_classes)(e, &c, interval);
    return CB_OK;
}

static enum cb_status judge_values(const struct evaluation *e, const float *rows)
{
    struct cb_regression r;
    uint32_t outputs = e->model->outputs;
    float *targets = CB_NEW_ARRAY(e->cli->arena, float, (size_t)e->count * outputs + 1);
    for (uint32_t i = 0; targets != NULL && i < e->count; i++) {
        memcpy(targets + (size_t)i * outputs, e->dataset->values + (size_t)e->samples[i] * outputs,
               outputs * sizeof(float));
    }
    if (targets == NULL) {
        return cb_fail(e->cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(cb_metrics_regress(rows, targets, e->count, outputs, &r, e->cli->diag));
    if (e->cli->json) {
        printf("{\"mean_absolute_error\":%.9g,\"rmse\":%.9g,\"r2\":%.9g,\"n\":%u}\n", r.mae, r.rmse, r.r2, e->count);
    } else {
        printf("mean absolute error %.4g, root mean square %.4g, R2 %.3f, n = %u; always the mean: %.4g\n", r.mae, r.rmse,
               r.r2, e->count, r.baseline);
    }
    return CB_OK;
}

static enum cb_status find_data(struct evaluation *e, const char *run)
{
    struct cb_cli *cli = e->cli;
    struct cb_run_data data = {0};
    char *folder;
    CB_TRY(cb_run_find(cli->arena, run, &folder, cli->diag));
    const char *other = cb_cli_value(cli, "--data");
    CB_TRY(other != NULL ? cb_cli_other_data(cli, other, e->model, &data) : cb_cli_own_data(cli, folder, e->model, &data));
    if (data.is_training) {
        return cb_fail(cli->diag, CB_INVALID, NULL,
                       "the run `%s` has no test data (it was cross-validated, or said `test: none`): say --data FOLDER",
                       folder);
    }
    e->dataset = data.dataset;
    e->samples = data.samples;
    e->count = data.count;
    return cb_cli_check_labels(cli, run, e->model, &data);
}

static enum cb_status evaluate(struct evaluation *e, const char *run)
{
    struct cb_cli *cli = e->cli;
    struct cb_device *device = NULL;
    struct cb_engine *engine = NULL;
    struct cb_watch watch = cb_cli_watch(cli);
    CB_TRY(find_data(e, run));
    cb_cli_flush(cli);
    float *rows = malloc((size_t)e->count * e->model->outputs * sizeof(float) + 1);
    enum cb_status status = rows != NULL ? cb_cli_open_device(cli, &device) : CB_MEMORY;
    if (status == CB_OK) {
        status = cb_engine_create(e->model, e->dataset, device, false, 0, &watch, &engine, cli->diag);
    }
    if (status == CB_OK) {
        status = cb_engine_scores(engine, e->samples, e->count, rows, cli->diag);
    }
    cb_cli_clear_progress(cli);
    uint32_t *readable = cb_arena_copy(cli->arena, e->samples, (e->count + 1) * sizeof(*readable));
    if (status == CB_OK && readable == NULL) {
        status = CB_MEMORY;
    }
    if (status == CB_OK) {
        e->count = cb_dataset_keep_readable(e->dataset, readable, e->count, rows, e->model->outputs * sizeof(float));
        e->samples = readable;
        status = cb_engine_link(engine, rows, e->count, cli->diag);
    }
    if (status == CB_OK) {
        status = e->dataset->target == CB_TARGET_VALUES ? judge_values(e, rows) : judge_classes(e, rows);
    }
    cb_engine_destroy(engine);
    cb_cli_close_device(device);
    free(rows);
    return status;
}

static int run(struct cb_cli *cli)
{
    struct cb_opened opened = {0};
    if (cli->argument_count != 1) {
        return cb_cli_misuse(cli, "one run is needed");
    }
    enum cb_status status = cb_cli_open_model(cli, cli->arguments[0], NULL, &opened);
    if (status == CB_OK) {
        struct evaluation e = {.cli = cli, .model = opened.model};
        status = evaluate(&e, cli->arguments[0]);
    }
    cb_cli_close_model(&opened);
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_eval = {
    .name = "eval",
    .usage = "eval RUN [--data FOLDER]",
    .summary = "metrics of a run on its test data, or on another folder",
    .flags = flags,
    .run = run,
};
