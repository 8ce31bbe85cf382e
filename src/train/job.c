/* job.c: opening and running a task. See job.h. */
#include "train/job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "train/augment.h"

/* ---- opening ---------------------------------------------------------------------------------------------------------- */

static enum cb_status add_plugin_folders(struct cb_job *job, struct cb_diag *diag)
{
    const struct cb_value *plugins = job->task->plugins;
    if (plugins == NULL) {
        return CB_OK;
    }
    struct cb_value *single[1] = {(struct cb_value *)(uintptr_t)plugins};
    struct cb_value *const *items = plugins->kind == CB_KIND_LIST ? plugins->as.list.items : single;
    size_t count = plugins->kind == CB_KIND_LIST ? plugins->as.list.count : 1;
    for (size_t i = count; i-- > 0;) { /* the first of the list is searched first */
        if (items[i]->kind != CB_KIND_TEXT) {
            return cb_fail(diag, CB_INVALID, &items[i]->at, "`plugins` must be a list of folders");
        }
        char *folder = cb_path_join(job->arena, job->task->folder, items[i]->text);
        CB_TRY(cb_registry_add_folder(job->registry, folder, &items[i]->at, diag));
    }
    return CB_OK;
}

/* What can be said of the network without weights or a device: shapes, patterns, the head against the labels. */
static enum cb_status check_network(struct cb_job *job, struct cb_diag *diag)
{
    struct cb_model *model;
    CB_TRY(cb_model_build(job->task, job->backbone, job->registry, job->dataset, job->dataset == NULL ? 10 : 0, false,
                          &model, diag));
    int64_t frozen, trainable;
    enum cb_status status = model->tokenizer != NULL
                                ? cb_tokenizer_check(model->tokenizer, model->net, &job->task->model->at, diag)
                                : CB_OK;
    cb_network_count(model->net, &frozen, &trainable);
    cb_model_destroy(model);
    CB_TRY(status);
    if (trainable == 0) {
        const struct cb_value *at = job->task->frozen != NULL ? job->task->frozen : job->task->model;
        return cb_fail(diag, CB_INVALID, &at->at, "everything is frozen: there is nothing to train");
    }
    return CB_OK;
}

enum cb_status cb_job_open(const struct cb_task *task, bool with_data, struct cb_job **out, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_job *job = arena != NULL ? CB_NEW(arena, struct cb_job) : NULL;
    if (job == NULL) {
        cb_arena_destroy(arena);
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    job->arena = arena;
    job->task = task;
    job->registry = cb_registry_create(&cb__host);
    enum cb_status status = job->registry != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    if (status == CB_OK) {
        status = add_plugin_folders(job, diag);
    }
    if (status == CB_OK) {
        status = cb_backbone_open(task->backbone, task->folder, &task->backbone_at->at, &job->backbone, diag);
    }
    if (status == CB_OK && with_data) {
        status = cb_dataset_open(arena, task->data, task->folder, &job->backbone->contract, &job->dataset, diag);
    }
    if (status == CB_OK && with_data && cb_dataset_wants_tokenizer(job->dataset)) {
        struct cb_tokenizer *tokenizer;
        status = cb_backbone_tokenizer(job->backbone, &tokenizer, diag);
        if (status == CB_OK) {
            cb_dataset_set_tokenizer(job->dataset, tokenizer);
        }
    }
    if (status == CB_OK && with_data && job->dataset->target == CB_TARGET_NONE) {
        status = cb_fail(diag, CB_MISMATCH, &task->data->at, "the data has no labels: there is nothing to learn");
    }
    if (status == CB_OK && with_data && job->dataset->target == CB_TARGET_CLASSES && job->dataset->class_count < 2) {
        status = cb_fail(diag, CB_MISMATCH, &task->data->at, "the data have one class, `%s`: there is nothing to tell apart",
                         job->dataset->classes[0]);
    }
    if (status == CB_OK && with_data) {
        struct cb_augment augment;
        status = cb_augment_read(job->dataset->augment, &augment, diag);
    }
    if (status == CB_OK) {
        status = check_network(job, diag);
    }
    if (status != CB_OK) {
        cb_job_close(job);
        return status;
    }
    *out = job;
    return CB_OK;
}

void cb_job_close(struct cb_job *job)
{
    if (job == NULL) {
        return;
    }
    cb_backbone_close(job->backbone);
    cb_registry_destroy(job->registry);
    cb_arena_destroy(job->arena);
}

static bool reading(void *context, uint64_t done, uint64_t total)
{
    const struct cb_watch *watch = context;
    cb_watch_progress(watch, "reading the data", done, total);
    return !cb_watch_cancelled(watch);
}

enum cb_status cb_job_prepare(struct cb_job *job, const struct cb_watch *watch, struct cb_diag *diag)
{
    CB_TRY(cb_dataset_prepare(job->dataset, reading, (void *)(uintptr_t)watch, diag));
    CB_TRY(cb_split_make(job->arena, job->dataset, &job->split, diag));
    job->is_split = true;
    return CB_OK;
}

/* ---- running ---------------------------------------------------------------------------------------------------------- */

/* The values that every fold begins with. */
struct start {
    float **values; /* per param; NULL where it is frozen */
};

static bool remember(const struct cb_network *net, struct cb_arena *arena, struct start *out)
{
    out->values = CB_NEW_ARRAY(arena, float *, net->param_count + 1);
    bool ok = out->values != NULL;
    for (uint32_t i = 0; ok && i < net->param_count; i++) {
        const struct cb_param *param = &net->params[i];
        if (!net->nodes[param->node].frozen) {
            out->values[i] = cb_arena_copy(arena, param->host, (size_t)param->count * sizeof(float));
            ok = out->values[i] != NULL;
        }
    }
    return ok;
}

static enum cb_status start_again(struct cb_engine *engine, const struct start *start, struct cb_diag *diag)
{
    struct cb_network *net = engine->model->net;
    for (uint32_t i = 0; i < net->param_count; i++) {
        if (start->values[i] != NULL) {
            memcpy(net->params[i].host, start->values[i], (size_t)net->params[i].count * sizeof(float));
        }
    }
    return cb_store_upload(engine->store, diag);
}

struct running {
    struct cb_job *job;
    struct cb_engine *engine;
    struct cb_arena *arena;
    struct cb_result *result;
    const struct cb_run_options *options;
    uint32_t *samples;
    float *predictions;
    struct cb_diag *diag;
};

/* Tests on what can be read of `test`; *out_count of it. */
static enum cb_status test_on(struct running *r, const struct cb_indices *test, uint64_t at, uint32_t *out_count)
{
    struct cb_model *model = r->engine->model;
    float *to = r->predictions + at * model->outputs;
    CB_TRY(cb_engine_scores(r->engine, test->items, test->count, to, r->diag));
    memcpy(r->samples + at, test->items, test->count * sizeof(*test->items));
    *out_count = cb_dataset_keep_readable(r->job->dataset, r->samples + at, test->count, to,
                                          model->outputs * sizeof(float));
    CB_TRY(cb_engine_link(r->engine, to, *out_count, r->diag));
    return *out_count > 0 ? CB_OK : cb_fail(r->diag, CB_FORMAT, NULL, "none of the samples to test on can be read");
}

static uint32_t correct_of(const struct running *r, uint64_t from, uint64_t count)
{
    const struct cb_dataset *d = r->job->dataset;
    uint32_t outputs = r->engine->model->outputs, correct = 0;
    for (uint64_t i = from; i < from + count && d->labels != NULL; i++) {
        correct += cb_argmax(r->predictions + i * outputs, outputs) == (uint32_t)d->labels[r->samples[i]];
    }
    return correct;
}

static enum cb_status cross_validate(struct running *r)
{
    const struct cb_split *split = &r->job->split;
    struct cb_result *result = r->result;
    struct start start;
    uint64_t done = 0;
    if (!remember(r->engine->model->net, r->arena, &start)) {
        return cb_fail(r->diag, CB_MEMORY, NULL, "out of memory");
    }
    result->folds = split->fold_count;
    for (uint32_t fold = 0; fold < split->fold_count; fold++) {
        struct cb_indices train, test;
        CB_TRY(cb_split_fold(r->arena, r->job->dataset, &split->train, split->fold_count, fold, r->job->dataset->seed,
                             &train, &test, r->diag));
        struct cb_fit_request request = {.train = train.items, .train_count = train.count,
                                         .stage = cb_arena_printf(r->arena, "fold %u of %u", fold + 1, split->fold_count)};
        CB_TRY(start_again(r->engine, &start, r->diag));
        CB_TRY(cb_fit(r->job->task, r->engine, &request, &result->fit, r->diag));
        uint32_t tested;
        CB_TRY(test_on(r, &test, done, &tested));
        if (fold < 64) {
            result->fold_accuracy[fold] = (double)correct_of(r, done, tested) / tested;
        }
        done += tested;
    }
    result->n = done;
    return start_again(r->engine, &start, r->diag);
}

static enum cb_status fit_final(struct running *r)
{
    const struct cb_split *split = &r->job->split;
    struct cb_fit_request request = {.train = split->train.items, .train_count = split->train.count,
                                     .validation = split->validation.items,
                                     .validation_count = split->has_validation ? split->validation.count : 0};
    if (r->options->folder != NULL) {
        char *checkpoint = cb_path_join(r->arena, r->options->folder, "checkpoint");
        CB_TRY(cb_make_folders(checkpoint, r->diag));
        request.checkpoint = cb_path_join(r->arena, checkpoint, "state.safetensors");
        request.log = cb_path_join(r->arena, r->options->folder, "metrics.jsonl");
        request.resume = r->options->resume && cb_path_exists(request.checkpoint);
    }
    if (r->result->folds > 0) {
        request.stage = "on everything";
    }
    return cb_fit(r->job->task, r->engine, &request, &r->result->fit, r->diag);
}

/* ---- what may be said of it ------------------------------------------------------------------------------------------- */

static enum cb_status judge(struct running *r)
{
    struct cb_result *result = r->result;
    const struct cb_dataset *d = r->job->dataset;
    uint32_t outputs = r->engine->model->outputs;
    result->samples = r->samples;
    result->predictions = r->predictions;
    result->is_classes = d->target == CB_TARGET_CLASSES;
    if (!result->has_test && result->folds == 0) {
        return CB_OK;
    }
    if (!result->is_classes) {
        float *targets = CB_NEW_ARRAY(r->arena, float, result->n * outputs + 1);
        double *errors = CB_NEW_ARRAY(r->arena, double, result->n + 1);
        if (targets == NULL || errors == NULL) {
            return cb_fail(r->diag, CB_MEMORY, NULL, "out of memory");
        }
        for (uint64_t i = 0; i < result->n; i++) {
            for (uint32_t k = 0; k < outputs; k++) {
                targets[i * outputs + k] = d->values[(size_t)r->samples[i] * outputs + k];
                errors[i] += fabs((double)r->predictions[i * outputs + k] - targets[i * outputs + k]) / outputs;
            }
        }
        CB_TRY(cb_metrics_regress(r->predictions, targets, (size_t)result->n, outputs, &result->values, r->diag));
        return cb_bootstrap_mean(errors, (size_t)result->n, 2000, 0.95, 1, &result->interval);
    }
    int32_t *labels = CB_NEW_ARRAY(r->arena, int32_t, result->n + 1);
    uint8_t *correct = CB_NEW_ARRAY(r->arena, uint8_t, result->n + 1);
    if (labels == NULL || correct == NULL) {
        return cb_fail(r->diag, CB_MEMORY, NULL, "out of memory");
    }
    for (uint64_t i = 0; i < result->n; i++) {
        labels[i] = d->labels[r->samples[i]];
        correct[i] = cb_argmax(r->predictions + i * outputs, outputs) == (uint32_t)labels[i];
    }
    result->correct = correct;
    CB_TRY(cb_metrics_classify(r->arena, r->predictions, labels, (size_t)result->n, outputs, &result->classes, r->diag));
    if (result->folds > 1) {
        double n_test = (double)result->n / result->folds;
        result->interval = cb_nadeau_bengio_interval(result->fold_accuracy, result->folds < 64 ? result->folds : 64,
                                                     n_test, (double)result->n - n_test, 0.95);
        result->interval.low = result->interval.low < 0 ? 0 : result->interval.low;
        result->interval.high = result->interval.high > 1 ? 1 : result->interval.high;
    } else {
        result->interval = cb_wilson_interval(result->classes.correct, result->n, 0.95);
    }
    return CB_OK;
}

static enum cb_status run_with(struct running *r)
{
    const struct cb_split *split = &r->job->split;
    struct cb_result *result = r->result;
    uint64_t most = split->fold_count > 0 ? split->train.count : split->test.count;
    r->samples = CB_NEW_ARRAY(r->arena, uint32_t, most + 1);
    r->predictions = CB_NEW_ARRAY(r->arena, float, most * r->engine->model->outputs + 1);
    if (r->samples == NULL || r->predictions == NULL) {
        return cb_fail(r->diag, CB_MEMORY, NULL, "out of memory");
    }
    if (split->fold_count > 0) { /* folds leave no checkpoint: a resumed run does them again, to the same bits */
        CB_TRY(cross_validate(r));
    }
    CB_TRY(fit_final(r));
    if (split->has_test) {
        uint32_t tested;
        CB_TRY(test_on(r, &split->test, 0, &tested));
        result->n = tested;
        result->has_test = true;
        CB_TRY(cb_dataset_hash(r->job->dataset, r->samples, tested, result->test_sha256, r->diag));
    }
    cb_network_hash_frozen(r->engine->model->net, result->frozen_after);
    return judge(r);
}

/* After an error of too little memory: what of it the network itself takes, and what would help. */
static void note_memory(const struct cb_result *result, struct cb_diag *diag)
{
    char params[32], gradients[32];
    uint64_t trainable = (uint64_t)result->trainable_params * sizeof(float);
    uint64_t frozen = (uint64_t)result->frozen_params * sizeof(float);
    cb_note(diag, NULL, "the params take %s, and %s go to gradients, as much again to each value that the optimizer keeps; "
                        "smaller pictures (`data: {size: ...}`) and more frozen layers need less",
            cb_format_bytes(trainable + frozen, params), cb_format_bytes(trainable, gradients));
}

static enum cb_status pin_variants(const struct cb_run_options *options, struct cb_engine *engine, struct cb_arena *arena,
                                   struct cb_diag *diag)
{
    const char *path = cb_arena_printf(arena, "%s/checkpoint/state.safetensors", options->folder);
    return path != NULL && cb_path_exists(path) ? cb_fit_pin_variants(path, engine, diag) : CB_OK;
}

enum cb_status cb_job_run(struct cb_job *job, struct cb_device *device, const struct cb_run_options *options,
                          const struct cb_watch *watch, struct cb_arena *arena, struct cb_result *out,
                          struct cb_diag *diag)
{
    struct cb_result result = {.strategy = job->task->strategy};
    double started = cb_clock_seconds();
    struct cb_engine *engine = NULL;
    if (!job->is_split) {
        CB_TRY(cb_job_prepare(job, watch, diag));
    }
    job->backbone->watch = watch;
    CB_TRY(cb_model_build(job->task, job->backbone, job->registry, job->dataset, 0, true, &result.model, diag));
    cb_network_count(result.model->net, &result.frozen_params, &result.trainable_params);
    enum cb_status status = cb_engine_create(result.model, job->dataset, device, true, job->task->config.seed, watch,
                                             &engine, diag);
    if (status == CB_OK) {
        cb_tuning_measure(engine->tuning, options->tune_seconds);
        status = options->resume ? pin_variants(options, engine, arena, diag) : CB_OK;
    }
    if (status == CB_OK) {
        struct running r = {.job = job, .engine = engine, .arena = arena, .result = &result, .options = options,
                            .diag = diag};
        memcpy(result.frozen_before, result.model->frozen_before, sizeof(result.frozen_before));
        status = run_with(&r);
    }
    cb_engine_destroy(engine);
    if (status == CB_MEMORY) {
        note_memory(&result, diag);
    }
    if (status == CB_OK && strcmp(result.frozen_before, result.frozen_after) != 0) {
        status = cb_fail(diag, CB_INTERNAL, NULL, "frozen layers changed during training: SHA-256 %s before, %s after",
                         result.frozen_before, result.frozen_after);
    }
    if (status != CB_OK) {
        cb_model_destroy(result.model);
        return status;
    }
    result.seconds = cb_clock_seconds() - started;
    *out = result;
    return CB_OK;
}

/* ---- as a value --------------------------------------------------------------------------------------------------------- */

static void put_real(struct cb_arena *arena, struct cb_value *map, const char *key, double value)
{
    (void)cb_map_set(arena, map, key, cb_value_real(arena, value, NULL));
}

static struct cb_value *interval_value(struct cb_arena *arena, struct cb_interval interval)
{
    struct cb_value *list = cb_value_list(arena, NULL);
    (void)cb_list_append(arena, list, cb_value_real(arena, interval.low, NULL));
    (void)cb_list_append(arena, list, cb_value_real(arena, interval.high, NULL));
    return list;
}

struct cb_value *cb_result_to_value(struct cb_arena *arena, const struct cb_result *r, const char *run)
{
    struct cb_value *map = cb_value_map(arena, NULL), *metric = cb_value_map(arena, NULL);
    struct cb_value *hashes = cb_value_map(arena, NULL), *params = cb_value_map(arena, NULL);
    if (map == NULL || metric == NULL || hashes == NULL || params == NULL) {
        return NULL;
    }
    bool tested = r->has_test || r->folds > 0;
    if (run != NULL) {
        (void)cb_map_set(arena, map, "run", cb_value_text(arena, run, NULL));
    }
    (void)cb_map_set(arena, map, "strategy", cb_value_text(arena, cb_strategy_name(r->strategy), NULL));
    if (tested) {
        (void)cb_map_set(arena, metric, "name",
                         cb_value_text(arena, r->is_classes ? "accuracy" : "mean_absolute_error", NULL));
        put_real(arena, metric, "value", r->is_classes ? r->classes.accuracy : r->values.mae);
        (void)cb_map_set(arena, metric, "interval", interval_value(arena, r->interval));
        (void)cb_map_set(arena, map, "metric", metric);
        (void)cb_map_set(arena, map, "n", cb_value_int(arena, (int64_t)r->n, NULL));
    }
    if (tested && r->is_classes) {
        put_real(arena, map, "accuracy", r->classes.accuracy);
        (void)cb_map_set(arena, map, "correct", cb_value_int(arena, (int64_t)r->classes.correct, NULL));
        put_real(arena, map, "balanced_accuracy", r->classes.balanced_accuracy);
        put_real(arena, map, "baseline", r->classes.baseline);
        put_real(arena, map, "test_loss", r->classes.loss);
    } else if (tested) {
        put_real(arena, map, "rmse", r->values.rmse);
        put_real(arena, map, "r2", r->values.r2);
    }
    if (r->folds > 0) {
        (void)cb_map_set(arena, map, "folds", cb_value_int(arena, r->folds, NULL));
    }
    put_real(arena, map, "loss", r->fit.loss);
    (void)cb_map_set(arena, map, "epochs", cb_value_int(arena, r->fit.epochs, NULL));
    (void)cb_map_set(arena, map, "steps", cb_value_int(arena, (int64_t)r->fit.steps, NULL));
    if (r->fit.is_exact) {
        put_real(arena, map, "l2", r->fit.l2);
    }
    put_real(arena, map, "seconds", r->seconds);
    (void)cb_map_set(arena, hashes, "before", cb_value_text(arena, r->frozen_before, NULL));
    (void)cb_map_set(arena, hashes, "after", cb_value_text(arena, r->frozen_after, NULL));
    if (r->frozen_file[0] != '\0') {
        (void)cb_map_set(arena, hashes, "file", cb_value_text(arena, r->frozen_file, NULL));
    }
    (void)cb_map_set(arena, map, "frozen_sha256", hashes);
    (void)cb_map_set(arena, params, "frozen", cb_value_int(arena, r->frozen_params, NULL));
    (void)cb_map_set(arena, params, "trainable", cb_value_int(arena, r->trainable_params, NULL));
    (void)cb_map_set(arena, map, "params", params);
    if (r->test_sha256[0] != '\0') {
        (void)cb_map_set(arena, map, "test_sha256", cb_value_text(arena, r->test_sha256, NULL));
    }
    return map;
}
