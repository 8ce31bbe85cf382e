/* fit.c: the training loop. See fit.h.
 *
 * A step sums the gradients of its parts (accumulation), and the optimizer divides by the sum of the samples' weights, so
 * that the result does not depend on how a batch is cut. Order, augmentation and dropout are functions of seed, epoch and
 * step alone: a resumed run needs no generator state. */
#include "train/fit_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "train/metrics.h"
#include "train/random.h"

static double base_rate(const struct cb__fit *fit)
{
    double rate = fit->task->config.optimizer.rate;
    return fit->task->config.optimizer.kind == CB_OPTIMIZER_AUTO || rate == 0 ? 1e-3 : rate;
}

/* ---- steps ----------------------------------------------------------------------------------------------------------- */

struct part {
    double loss, weight;
};

static enum cb_status run_part(struct cb__fit *fit, const struct cb_batch *batch, bool first, struct part *out)
{
    struct cb_engine *e = fit->engine;
    uint64_t draw = (uint64_t)fit->progress.epoch + 1;
    uint32_t view = e->is_cached && e->features.views > 1 ? 1 + (uint32_t)(fit->progress.epoch % (e->features.views - 1))
                                                         : 0;
    struct cb_plan_run run = {.n = batch->count, .seed = e->seed, .step = fit->progress.step + 1, .accumulate = !first};
    CB_TRY(cb_engine_feed(e, fit->plan, batch, true, draw, view, fit->diag));
    CB_TRY(cb_plan_forward(fit->plan, &run, fit->diag));
    CB_TRY(cb_plan_backward(fit->plan, &run, fit->diag));
    float values[2][1024];
    const uint32_t wires[2] = {e->model->loss_value, e->model->loss_weight};
    for (uint32_t at = 0; at < batch->count; at += 1024) {
        uint32_t n = batch->count - at < 1024 ? batch->count - at : 1024;
        for (int w = 0; w < 2; w++) {
            CB_TRY(cb_buffer_read(e->device, cb_plan_tensor(fit->plan, wires[w])->buffer, at * sizeof(float), values[w],
                                  n * sizeof(float), fit->diag));
        }
        for (uint32_t i = 0; i < n; i++) {
            out->loss += values[0][i];
            out->weight += values[1][i];
        }
    }
    if (!isfinite(out->loss)) {
        struct cb_text where = {0};
        cb__find_nan(fit, batch, draw, view, &where);
        enum cb_status status = cb_fail(fit->diag, CB_NUMERIC, NULL, "the loss is not finite at step %llu%s%s",
                                        (unsigned long long)fit->progress.step + 1, where.length > 0 ? ": " : "",
                                        where.data != NULL ? where.data : "");
        cb_text_free(&where);
        return status;
    }
    return CB_OK;
}

static enum cb_status finish_step(struct cb__fit *fit, const struct part *sum)
{
    struct cb_engine *e = fit->engine;
    double rate = base_rate(fit) * cb_schedule_factor(&fit->task->config.schedule, fit->progress.step, fit->steps);
    double weight = sum->weight > 0 ? sum->weight : 1.0;
    CB_TRY(cb_optimizer_step(fit->optimizer, e->store->trainable, e->store->gradients, fit->progress.step + 1, rate,
                             1.0 / weight, fit->diag));
    cb_store_touch(e->store);
    fit->progress.step++;
    fit->progress.loss_sum += sum->loss;
    fit->progress.weight_sum += sum->weight;
    if (fit->log != NULL) {
        fprintf(fit->log, "{\"step\":%llu,\"loss\":%.9g,\"lr\":%.9g}\n", (unsigned long long)fit->progress.step,
                sum->loss / weight, rate);
    }
    if (e->watch != NULL && e->watch->step != NULL) {
        e->watch->step(e->watch->context, fit->progress.step, fit->steps, sum->loss / weight, rate);
    }
    return CB_OK;
}

static uint32_t *epoch_order(const struct cb__fit *fit)
{
    uint32_t *order = malloc((fit->request->train_count + 1u) * sizeof(*order));
    if (order != NULL) {
        memcpy(order, fit->request->train, fit->request->train_count * sizeof(*order));
        if (fit->engine->dataset->shuffle) {
            struct cb_random random;
            cb_random_start(&random, fit->task->config.seed, "order", (uint64_t)fit->progress.epoch);
            cb_random_shuffle(&random, order, fit->request->train_count);
        }
    }
    return order;
}

/* The next part of an epoch: kept features need no reading. */
struct source {
    struct cb_loader *loader;
    const uint32_t *order;
    int32_t *labels;
    float *values;
    uint32_t count, at;
};

static enum cb_status next_part(struct cb__fit *fit, struct source *s, uint32_t limit, struct cb_batch *out)
{
    const struct cb_dataset *dataset = fit->engine->dataset;
    if (s->loader != NULL) {
        const struct cb_batch *batch;
        CB_TRY(cb_loader_next(s->loader, &batch, fit->diag));
        *out = batch != NULL ? *batch : (struct cb_batch){0};
        return CB_OK;
    }
    uint32_t n = s->count - s->at < limit ? s->count - s->at : limit;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t sample = s->order[s->at + i];
        if (dataset->labels != NULL) {
            s->labels[i] = dataset->labels[sample];
        }
        for (uint32_t k = 0; dataset->values != NULL && k < dataset->value_count; k++) {
            s->values[i * dataset->value_count + k] = dataset->values[(size_t)sample * dataset->value_count + k];
        }
    }
    *out = (struct cb_batch){.count = n, .taken = n, .samples = s->order + s->at,
                             .labels = dataset->labels != NULL ? s->labels : NULL,
                             .values = dataset->values != NULL ? s->values : NULL};
    s->at += n;
    return CB_OK;
}

static bool only_kept_inputs(const struct cb__fit *fit)
{
    uint32_t count;
    const uint32_t *inputs = cb_plan_inputs(fit->plan, &count);
    for (uint32_t i = 0; i < count; i++) {
        bool kept = inputs[i] == fit->engine->model->target;
        for (uint32_t n = 0; fit->engine->is_cached && n < fit->engine->features.wire_count; n++) {
            kept = kept || fit->engine->features.wires[n] == inputs[i];
        }
        if (!kept) {
            return false;
        }
    }
    return true;
}

/* Runs the steps of one epoch from progress.position on. Parts never cross a step's border. */
static enum cb_status run_epoch(struct cb__fit *fit, struct source *s)
{
    int64_t batch = fit->task->config.batch;
    uint64_t total = fit->request->train_count;
    while (fit->progress.position < total && fit->progress.step < fit->steps) {
        uint64_t left = total - fit->progress.position;
        uint64_t in_step = left < (uint64_t)batch ? left : (uint64_t)batch, done = 0;
        struct part sum = {0};
        bool any = false;
        while (done < in_step) {
            uint64_t limit = in_step - done < (uint64_t)fit->micro ? in_step - done : (uint64_t)fit->micro;
            struct cb_batch part;
            CB_TRY(next_part(fit, s, (uint32_t)limit, &part));
            if (part.taken == 0) {
                break;
            }
            if (part.count > 0) {
                CB_TRY(run_part(fit, &part, !any, &sum));
                any = true;
            }
            done += part.taken; /* unreadable samples too */
        }
        if (any) {
            CB_TRY(finish_step(fit, &sum));
        }
        fit->progress.position = done > 0 ? fit->progress.position + done : total;
        if (cb_watch_cancelled(fit->engine->watch)) {
            return CB_INTERRUPTED;
        }
    }
    return CB_OK;
}

static enum cb_status open_source(struct cb__fit *fit, const uint32_t *order, struct source *s)
{
    const struct cb_dataset *dataset = fit->engine->dataset;
    uint32_t from = (uint32_t)fit->progress.position;
    *s = (struct source){.order = order + from, .count = fit->request->train_count - from};
    if (only_kept_inputs(fit)) {
        s->labels = calloc((size_t)fit->micro + 1, sizeof(*s->labels));
        s->values = calloc((size_t)fit->micro * (dataset->value_count + 1) + 1, sizeof(*s->values));
        return s->labels != NULL && s->values != NULL ? CB_OK : cb_fail(fit->diag, CB_MEMORY, NULL, "out of memory");
    }
    struct cb_loader_options options = {.batch = (uint32_t)fit->micro, .step = (uint32_t)fit->task->config.batch};
    return s->count > 0 ? cb_loader_create(fit->engine->dataset, s->order, s->count, &options, &s->loader, fit->diag)
                        : CB_OK;
}

static void close_source(struct source *s)
{
    cb_loader_destroy(s->loader);
    free(s->labels);
    free(s->values);
}

/* ---- validation ------------------------------------------------------------------------------------------------------ */

static enum cb_status validate(struct cb__fit *fit, double *out_loss, double *out_accuracy)
{
    struct cb_engine *e = fit->engine;
    const struct cb_dataset *dataset = e->dataset;
    uint32_t count = fit->request->validation_count, outputs = e->model->outputs;
    float *scores = malloc((size_t)count * outputs * sizeof(float) + 1);
    if (scores == NULL) {
        return cb_fail(fit->diag, CB_MEMORY, NULL, "out of memory");
    }
    enum cb_status status = cb_engine_scores(e, fit->request->validation, count, scores, fit->diag);
    double loss = 0, correct = 0, seen = 0;
    status = status == CB_OK ? cb_engine_link(e, scores, count, fit->diag) : status;
    for (uint32_t i = 0; status == CB_OK && i < count; i++) {
        const float *row = scores + (size_t)i * outputs;
        uint32_t sample = fit->request->validation[i];
        if (cb_dataset_is_bad(dataset, sample)) {
            continue;
        }
        seen++;
        if (dataset->labels != NULL) {
            double p = row[dataset->labels[sample]];
            loss -= log(p > 1e-12 ? p : 1e-12);
            correct += cb_argmax(row, outputs) == (uint32_t)dataset->labels[sample];
        } else {
            for (uint32_t k = 0; k < outputs; k++) {
                double d = row[k] - dataset->values[(size_t)sample * outputs + k];
                loss += d * d / outputs;
            }
        }
    }
    free(scores);
    *out_loss = loss / (seen > 0 ? seen : 1);
    *out_accuracy = dataset->labels != NULL ? correct / (seen > 0 ? seen : 1) : NAN;
    return status;
}

/* ---- the loop -------------------------------------------------------------------------------------------------------- */

static enum cb_status end_epoch(struct cb__fit *fit, double epoch_seconds, double *out_loss, bool *out_stop)
{
    struct cb__progress *p = &fit->progress;
    *out_loss = p->weight_sum > 0 ? p->loss_sum / p->weight_sum : 0;
    *out_stop = false;
    p->epoch++;
    p->position = 0;
    p->loss_sum = p->weight_sum = 0;
    struct cb_epoch info = {.epoch = p->epoch, .epochs = fit->epochs, .step = p->step, .steps = fit->steps,
                            .loss = *out_loss, .seconds = epoch_seconds, .stage = fit->request->stage,
                            .rate = base_rate(fit) * cb_schedule_factor(&fit->task->config.schedule, p->step - 1,
                                                                        fit->steps)};
    info.samples_per_second = epoch_seconds > 0 ? fit->request->train_count / epoch_seconds : 0;
    if (fit->request->validation_count > 0) {
        info.has_validation = true;
        CB_TRY(validate(fit, &info.validation_loss, &info.validation_accuracy));
        CB_TRY(cb__best_consider(fit, info.validation_loss, out_stop));
    }
    if (fit->engine->watch != NULL && fit->engine->watch->epoch != NULL) {
        fit->engine->watch->epoch(fit->engine->watch->context, &info);
    }
    return CB_OK;
}

static enum cb_status loop(struct cb__fit *fit, struct cb_fit_result *out)
{
    double before = fit->progress.seconds;
    bool stop = false;
    while (!stop && fit->progress.step < fit->steps) {
        double epoch_started = cb_clock_seconds();
        uint32_t *order = epoch_order(fit);
        struct source source = {0};
        enum cb_status status = order != NULL ? open_source(fit, order, &source)
                                              : cb_fail(fit->diag, CB_MEMORY, NULL, "out of memory");
        if (status == CB_OK) {
            status = run_epoch(fit, &source);
        }
        close_source(&source);
        free(order);
        fit->progress.seconds = before + cb_clock_seconds() - fit->started;
        if (status == CB_INTERRUPTED && fit->request->checkpoint != NULL) {
            CB_TRY(cb__checkpoint_write(fit));
        }
        CB_TRY(status);
        CB_TRY(end_epoch(fit, cb_clock_seconds() - epoch_started, &out->loss, &stop));
        fit->progress.seconds = before + cb_clock_seconds() - fit->started;
        bool due = fit->progress.epoch % fit->task->config.checkpoint_every == 0;
        if (fit->request->checkpoint != NULL && due && !stop && fit->progress.step < fit->steps) {
            CB_TRY(cb__checkpoint_write(fit));
        }
    }
    if (fit->best_values != NULL) {
        CB_TRY(cb__best_restore(fit));
        out->best_epoch = fit->progress.best_epoch;
    }
    out->epochs = fit->progress.epoch;
    out->steps = fit->progress.step;
    out->seconds = fit->progress.seconds;
    return CB_OK;
}

static enum cb_status descend(struct cb__fit *fit, struct cb_fit_result *out)
{
    const struct cb_train_config *config = &fit->task->config;
    uint64_t per_epoch = (fit->request->train_count + (uint64_t)config->batch - 1) / (uint64_t)config->batch;
    fit->epochs = config->steps > 0 ? (int64_t)(((uint64_t)config->steps + per_epoch - 1) / per_epoch) : config->epochs;
    fit->steps = config->steps > 0 ? (uint64_t)config->steps : (uint64_t)config->epochs * per_epoch;
    CB_TRY(cb__fit_set_up(fit));
    if (fit->request->log != NULL) {
        fit->log = fopen(fit->request->log, fit->request->resume ? "a" : "w");
        if (fit->log == NULL) {
            return cb_fail(fit->diag, CB_IO, NULL, "cannot write `%s`", fit->request->log);
        }
    }
    return loop(fit, out);
}

/* Of the loss with its defaults. */
static bool has_exact_head(const struct cb_model *model)
{
    return (model->loss_flags & (CB_LAYER_SOFTMAX_REGRESSION | CB_LAYER_LEAST_SQUARES)) != 0;
}

bool cb_fit_is_exact(const struct cb_task *task, const struct cb_engine *engine)
{
    const struct cb_model *model = engine->model;
    enum cb_optimizer_kind kind = task->config.optimizer.kind;
    if (kind != CB_OPTIMIZER_LBFGS && kind != CB_OPTIMIZER_AUTO) {
        return false;
    }
    bool simple = model->head_dense != CB_NONE && engine->is_cached && engine->features.wire_count == 1 &&
                  engine->features.wires[0] == model->net->nodes[model->head_dense].x[0] && !model->net->nodes[model->head_dense].frozen &&
                  has_exact_head(model) && task->config.loss_options == NULL;
    bool asks_for_descent = task->config.epochs != 0 && cb_map_get(task->train, "epochs") != NULL;
    asks_for_descent = asks_for_descent || task->config.steps > 0;
    return simple && (kind == CB_OPTIMIZER_LBFGS || !asks_for_descent);
}

enum cb_status cb_fit(const struct cb_task *task, struct cb_engine *engine, const struct cb_fit_request *request,
                      struct cb_fit_result *out, struct cb_diag *diag)
{
    struct cb__fit fit = {.task = task, .engine = engine, .request = request, .diag = diag,
                          .started = cb_clock_seconds()};
    struct cb_fit_request readable = *request;
    uint32_t *kept = malloc(request->train_count * sizeof(*kept) + 1);
    *out = (struct cb_fit_result){0};
    enum cb_status status = kept != NULL ? cb_engine_cache(engine, request->train, request->train_count, true, diag)
                                         : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    if (status == CB_OK && engine->is_cached) { /* by now each was read; without a cache the loader passes over bad ones */
        memcpy(kept, request->train, request->train_count * sizeof(*kept));
        readable.train = kept;
        readable.train_count = cb_dataset_keep_readable(engine->dataset, kept, request->train_count, NULL, 0);
        fit.request = request = &readable;
    }
    if (status == CB_OK && request->train_count == 0) {
        status = cb_fail(diag, CB_FORMAT, NULL, "none of the samples to train on can be read");
    }
    if (status == CB_OK && cb_fit_is_exact(task, engine)) {
        status = cb__fit_head(task, engine, NULL, request->train, request->train_count,
                              task->config.optimizer.kind == CB_OPTIMIZER_LBFGS ? task->config.optimizer.l2 : -1, out,
                              diag);
        out->seconds = cb_clock_seconds() - fit.started;
    } else if (status == CB_OK && task->config.optimizer.kind == CB_OPTIMIZER_LBFGS) {
        status = cb_fail(diag, CB_INVALID, NULL,
                         "`lbfgs` solves one linear layer on frozen features; this head, the loss or what is frozen is "
                         "another matter: use `adamw`");
    } else if (status == CB_OK && engine->store->trainable_count == 0) {
        status = cb_fail(diag, CB_INVALID, NULL, "everything is frozen: there is nothing to train");
    } else if (status == CB_OK) {
        const bool is_of_features = (engine->model->loss_flags & CB_LAYER_EMBEDDING_LOSS) != 0;
        bool head_first = task->config.head_first && engine->model->head_dense != CB_NONE && !request->resume &&
                          !is_of_features && (has_exact_head(engine->model) || engine->model->link == NULL);
        if (head_first) {
            cb_watch_say(engine->watch, "the head is fitted first, on the pretrained features");
            status = cb__fit_head_first(task, engine, request->train, request->train_count, diag);
        }
        status = status == CB_OK ? descend(&fit, out) : status;
    }
    if (status == CB_OK) {
        status = cb_store_download(engine->store, diag);
    }
    if (fit.log != NULL) {
        fclose(fit.log);
    }
    cb_optimizer_destroy(fit.optimizer);
    cb_plan_destroy(fit.plan);
    free(fit.segments);
    free(fit.best_values);
    free(kept);
    return status;
}
