/* engine.c: a model on a device with its data. See engine.h. */
#include "train/engine.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "train/engine_internal.h"
#include "train/feature_file.h"
#include "train/metrics.h"

#define INFERENCE_BATCH 16
#define CACHE_LIMIT ((uint64_t)2 << 30) /* bytes of kept features on the host */

/* ---- watching ------------------------------------------------------------------------------------------------------- */

void cb_watch_progress(const struct cb_watch *watch, const char *what, uint64_t done, uint64_t total)
{
    if (watch != NULL && watch->progress != NULL) {
        watch->progress(watch->context, what, done, total);
    }
}

bool cb_watch_cancelled(const struct cb_watch *watch)
{
    return watch != NULL && watch->cancelled != NULL && watch->cancelled(watch->context);
}

void cb_watch_say(const struct cb_watch *watch, const char *fmt, ...)
{
    if (watch == NULL || watch->say == NULL) {
        return;
    }
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    watch->say(watch->context, text);
}

/* ---- creating -------------------------------------------------------------------------------------------------------- */

static int64_t row_of(const struct cb_network *net, uint32_t wire)
{
    return cb_tensor_count(&net->wires[wire].shape) / net->wires[wire].shape.dims[0];
}

/* The wires that cross from the prefix to the rest. */
static void find_boundary(struct cb_engine *e)
{
    const struct cb_network *net = e->model->net;
    struct cb_features *f = &e->features;
    for (uint32_t i = 0; i < net->node_count; i++) {
        for (uint32_t k = 0; e->rest[i] && k < net->nodes[i].x_count; k++) {
            uint32_t wire = net->nodes[i].x[k], source = net->wires[wire].node;
            bool known = source == CB_NONE || !e->prefix[source];
            for (uint32_t n = 0; n < f->wire_count; n++) {
                known = known || f->wires[n] == wire;
            }
            if (!known && f->wire_count < 8) {
                f->wires[f->wire_count] = wire;
                f->row[f->wire_count++] = row_of(net, wire);
            }
        }
    }
    uint64_t bytes = 0;
    for (uint32_t n = 0; n < f->wire_count; n++) {
        bytes += (uint64_t)f->row[n] * sizeof(float) * f->samples * f->views;
    }
    e->is_cached = f->wire_count > 0 && bytes <= CACHE_LIMIT;
    if (f->wire_count > 0 && !e->is_cached) {
        char size[32];
        cb_watch_say(e->watch, "the features of the frozen layers would take %s: they are computed again in each epoch",
                     cb_format_bytes(bytes, size));
    }
}

static enum cb_status create_augmenters(struct cb_engine *e, struct cb_diag *diag)
{
    const struct cb_contract *contract = &e->model->contract;
    if (contract->modality != CB_IMAGE) {
        return CB_OK;
    }
    float background[CB_MAX_CHANNELS] = {e->model->background.r, e->model->background.g, e->model->background.b};
    if (contract->shape[2] == 1) { /* ITU-R 601-2 luma, as pictures are converted */
        background[0] = roundf(0.299f * background[0] + 0.587f * background[1] + 0.114f * background[2]);
    }
    CB_TRY(cb_augmenter_create(e->device, contract, NULL, background, e->seed, &e->plain, diag));
    if (!cb_augment_is_none(&e->augment)) {
        CB_TRY(cb_augmenter_create(e->device, contract, &e->augment, background, e->seed, &e->augmented, diag));
    }
    return CB_OK;
}

static void say_tuning(void *context, const char *sentence)
{
    const struct cb_engine *e = context;
    cb_watch_say(e->watch, "%s", sentence);
}

enum cb_status cb_engine_create(struct cb_model *model, struct cb_dataset *dataset, struct cb_device *device, bool training,
                                uint64_t seed, const struct cb_watch *watch, struct cb_engine **out,
                                struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_engine *e = arena != NULL ? CB_NEW(arena, struct cb_engine) : NULL;
    if (e == NULL) {
        cb_arena_destroy(arena);
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    *e = (struct cb_engine){.arena = arena, .model = model, .dataset = dataset, .device = device, .watch = watch,
                            .batch = INFERENCE_BATCH, .seed = seed};
    e->prefix = cb_network_frozen_prefix(model->net, arena);
    e->rest = CB_NEW_ARRAY(arena, bool, model->net->node_count + 1);
    enum cb_status status = e->prefix != NULL && e->rest != NULL ? CB_OK : CB_MEMORY;
    if (status == CB_OK && dataset != NULL) {
        status = cb_augment_read(dataset->augment, &e->augment, diag);
    }
    if (status == CB_OK) {
        for (uint32_t i = 0; i < model->net->node_count; i++) {
            e->rest[i] = !e->prefix[i];
        }
        if (dataset != NULL && cb_dataset_wants_tokenizer(dataset) && model->tokenizer != NULL) {
            cb_dataset_set_tokenizer(dataset, model->tokenizer);
        }
        e->features.samples = dataset != NULL ? dataset->count : 0;
        /* View 0 is the picture as it is: evaluation reads it; training with augmentation takes the others in turn. */
        e->features.views = dataset != NULL && !cb_augment_is_none(&e->augment) ? 1 + dataset->views : 1;
        if (dataset != NULL && training) {
            find_boundary(e);
        }
        status = cb_store_create(model->net, device, training, &e->store, diag);
    }
    if (status == CB_OK) {
        e->store->tuning = e->tuning = cb_tuning_open(device, NULL, diag);
        cb_tuning_listen(e->tuning, say_tuning, e);
    }
    if (status == CB_OK) {
        status = create_augmenters(e, diag);
    }
    if (status != CB_OK) {
        cb_engine_destroy(e);
        return status;
    }
    *out = e;
    return CB_OK;
}

void cb_engine_destroy(struct cb_engine *e)
{
    if (e == NULL) {
        return;
    }
    cb_plan_destroy(e->prefix_plan);
    cb_plan_destroy(e->scores_plan);
    cb__link_destroy(e->link);
    cb_feature_file_close(e->file);
    cb_augmenter_destroy(e->plain);
    cb_augmenter_destroy(e->augmented);
    cb_buffer_destroy(e->staging);
    cb_store_destroy(e->store);
    for (uint32_t n = 0; n < e->features.wire_count; n++) {
        free(e->features.data[n]);
    }
    free(e->features.has);
    cb_tuning_close(e->tuning);
    cb_arena_destroy(e->arena);
}

/* ---- features, scores ------------------------------------------------------------------------------------------------ */

enum cb_status cb__engine_plan(struct cb_engine *e, struct cb_plan_request *request, struct cb_plan **out,
                               struct cb_diag *diag)
{
    request->batch = e->batch;
    for (;;) {
        struct cb_diag *attempt = cb_diag_create();
        enum cb_status status = cb_plan_create(e->store, request, out, attempt);
        bool again = status == CB_MEMORY && request->batch > 1;
        cb_diag_destroy(attempt);
        if (status == CB_OK) {
            e->batch = request->batch;
            return CB_OK;
        }
        if (!again) {
            return cb_plan_create(e->store, request, out, diag); /* once more, for its words */
        }
        request->batch /= 2;
    }
}

/* A batch over kept features needs no reading: only numbers and labels. */
static void kept_batch(const struct cb_engine *e, const uint32_t *samples, uint32_t count, struct cb_batch *out)
{
    *out = (struct cb_batch){.count = count, .samples = samples};
    (void)e;
}

enum cb_status cb__engine_rows(struct cb_engine *e, const struct cb_plan *plan, uint32_t wire, uint32_t count, float *out,
                               struct cb_diag *diag)
{
    const struct cb_tensor *t = cb_plan_tensor(plan, wire);
    const size_t row = (size_t)row_of(e->model->net, wire), now = cb__row_now(t);
    CB_TRY(cb_buffer_read(e->device, t->buffer, 0, out, now * count * sizeof(float), diag));
    for (uint32_t i = count; now < row && i-- > 0;) { /* short sequences: each at the beginning of its row */
        memmove(out + i * row, out + i * now, now * sizeof(float));
        memset(out + i * row + now, 0, (row - now) * sizeof(float));
    }
    return CB_OK;
}

void cb__engine_pace(const struct cb_engine *e, struct cb_pace *pace)
{
    cb_pace_start(pace, (uint32_t)e->batch, cb_device_get_facts(e->device)->is_cpu);
}

/* `count` rows of a batch from `first` on; `fields` has room for its fields. */
static struct cb_batch rows_of(const struct cb_engine *e, const struct cb_batch *batch, uint32_t first, uint32_t count,
                               void **fields)
{
    struct cb_batch part = *batch;
    for (uint32_t i = 0; i < batch->field_count; i++) {
        fields[i] = (char *)batch->fields[i] + (size_t)first * e->dataset->fields[i].bytes;
    }
    part.count = part.taken = count;
    part.fields = fields;
    part.samples += first;
    part.labels += part.labels != NULL ? first : 0;
    part.values += part.values != NULL ? (size_t)first * e->dataset->value_count : 0;
    return part;
}

enum cb_status cb__engine_infer(struct cb_engine *e, const struct cb__inference *inference, const struct cb_batch *batch,
                                float *const *out, struct cb_diag *diag)
{
    void **fields = calloc(batch->field_count + 1u, sizeof(*fields));
    enum cb_status status = fields != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    for (uint32_t at = 0, n; status == CB_OK && at < batch->count; at += n) {
        n = cb__engine_equally_long(e, batch, at, cb_pace_rows(inference->pace, batch->count - at));
        const double start = cb_clock_seconds();
        const struct cb_batch part = rows_of(e, batch, at, n, fields);
        const struct cb_plan_run run = {.n = n, .seed = e->seed};
        status = cb_engine_feed(e, inference->plan, &part, inference->augmented, inference->draw, 0, diag);
        status = status == CB_OK ? cb_plan_forward(inference->plan, &run, diag) : status;
        for (uint32_t w = 0; status == CB_OK && w < inference->wire_count; w++) {
            float *to = out[w] + (size_t)at * (size_t)row_of(e->model->net, inference->wires[w]);
            status = cb__engine_rows(e, inference->plan, inference->wires[w], n, to, diag);
        }
        cb_pace_took(inference->pace, n, cb_clock_seconds() - start);
    }
    free(fields);
    return status;
}

static enum cb_status scores_from_features(struct cb_engine *e, const uint32_t *samples, uint32_t count, float *out,
                                           struct cb_diag *diag)
{
    CB_TRY(cb_engine_cache(e, samples, count, false, diag));
    const bool is_sequence = cb__engine_has_lengths(e) && cb_plan_tensor(e->scores_plan, e->model->net->lengths) != NULL;
    for (uint32_t at = 0, n; at < count; at += n) {
        struct cb_batch batch;
        n = count - at < (uint32_t)e->batch ? count - at : (uint32_t)e->batch;
        kept_batch(e, samples + at, n, &batch);
        n = batch.count = is_sequence ? cb__engine_equally_long(e, &batch, 0, n) : n;
        struct cb_plan_run run = {.n = n, .seed = e->seed};
        CB_TRY(cb_engine_feed(e, e->scores_plan, &batch, false, 0, 0, diag));
        CB_TRY(cb_plan_forward(e->scores_plan, &run, diag));
        CB_TRY(cb__engine_rows(e, e->scores_plan, e->model->scores, n, out + (size_t)at * e->model->outputs, diag));
    }
    return CB_OK;
}

/* A sample and its place in what is asked for. */
struct place {
    int64_t length; /* padded; 0: samples have none */
    uint32_t at, sample;
};

static int by_length(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->length != y->length ? (x->length < y->length ? -1 : 1) : (x->at > y->at) - (x->at < y->at);
}

/* The samples with those of one length together; `*out_places` (may be NULL) [count] says where each stood. */
enum cb_status cb__engine_sort(const struct cb_engine *e, const uint32_t *samples, uint32_t count, uint32_t **out_samples,
                               uint32_t **out_places, struct cb_diag *diag)
{
    struct place *places = malloc((count + 1u) * sizeof(*places));
    uint32_t *sorted = malloc((count + 1u) * sizeof(*sorted)), *at = malloc((count + 1u) * sizeof(*at));
    if (places == NULL || sorted == NULL || at == NULL) {
        free(places);
        free(sorted);
        free(at);
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        places[i] = (struct place){cb__engine_length(e, samples[i]), i, samples[i]};
    }
    if (cb__engine_has_lengths(e)) {
        qsort(places, count, sizeof(*places), by_length);
    }
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = places[i].sample;
        at[i] = places[i].at;
    }
    free(places);
    *out_samples = sorted;
    if (out_places != NULL) {
        *out_places = at;
    } else {
        free(at);
    }
    return CB_OK;
}

static enum cb_status values_from_inputs(struct cb_engine *e, struct cb_plan *plan, struct cb_pace *pace, uint32_t wire,
                                         const uint32_t *asked, uint32_t count, float *out, struct cb_diag *diag)
{
    const struct cb__inference inference = {.plan = plan, .pace = pace, .wires = &wire, .wire_count = 1};
    struct cb_loader *loader = NULL;
    struct cb_loader_options options = {.batch = (uint32_t)e->batch};
    size_t row = (size_t)row_of(e->model->net, wire), done = 0;
    float *rows = malloc(row * (size_t)e->batch * sizeof(float));
    uint32_t *samples = NULL, *places = NULL;
    if (rows == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    enum cb_status status = cb__engine_sort(e, asked, count, &samples, &places, diag);
    status = status == CB_OK ? cb_loader_create(e->dataset, samples, count, &options, &loader, diag) : status;
    while (status == CB_OK) {
        const struct cb_batch *batch;
        status = cb_loader_next(loader, &batch, diag);
        if (status != CB_OK || batch == NULL) {
            break;
        }
        status = cb__engine_infer(e, &inference, batch, &rows, diag);
        for (uint32_t i = 0; status == CB_OK && i < batch->count; i++, done++) {
            while (samples[done] != batch->samples[i]) { /* what could not be read has no row */
                memset(out + places[done++] * row, 0, row * sizeof(float));
            }
            memcpy(out + places[done] * row, rows + i * row, row * sizeof(float));
        }
        cb_watch_progress(e->watch, "predictions", done, count);
        if (status == CB_OK && cb_watch_cancelled(e->watch)) {
            status = CB_INTERRUPTED;
        }
    }
    for (; status == CB_OK && done < count; done++) {
        memset(out + places[done] * row, 0, row * sizeof(float));
    }
    free(rows);
    free(samples);
    free(places);
    cb_loader_destroy(loader);
    return status;
}

enum cb_status cb_engine_scores(struct cb_engine *e, const uint32_t *samples, uint32_t count, float *out_scores,
                                struct cb_diag *diag)
{
    if (e->scores_plan == NULL) {
        struct cb_plan_request request = {.outputs = &e->model->scores, .output_count = 1,
                                          .nodes = e->is_cached ? e->rest : NULL};
        CB_TRY(cb__engine_plan(e, &request, &e->scores_plan, diag));
        cb__engine_pace(e, &e->scores_pace);
    }
    return e->is_cached ? scores_from_features(e, samples, count, out_scores, diag)
                        : values_from_inputs(e, e->scores_plan, &e->scores_pace, e->model->scores, samples, count,
                                             out_scores, diag);
}

enum cb_status cb_engine_extract(struct cb_engine *e, uint32_t wire, const uint32_t *samples, uint32_t count, float *out,
                                 struct cb_diag *diag)
{
    struct cb_plan *plan;
    struct cb_plan_request request = {.outputs = &wire, .output_count = 1};
    struct cb_pace pace;
    CB_TRY(cb__engine_plan(e, &request, &plan, diag));
    cb__engine_pace(e, &pace);
    bool cached = e->is_cached;
    e->is_cached = false;
    enum cb_status status = values_from_inputs(e, plan, &pace, wire, samples, count, out, diag);
    e->is_cached = cached;
    cb_plan_destroy(plan);
    return status;
}

enum cb_status cb_engine_values(struct cb_engine *e, uint32_t wire, const void *rows, bool is_u8, uint32_t count,
                                float *out, struct cb_diag *diag)
{
    struct cb_plan *plan = wire == e->model->scores && !e->is_cached ? e->scores_plan : NULL;
    struct cb_plan_request request = {.outputs = &wire, .output_count = 1};
    struct cb_pace pace = e->scores_pace;
    if (plan == NULL) {
        e->batch = count < e->batch ? count : e->batch;
        CB_TRY(cb__engine_plan(e, &request, &plan, diag));
        cb__engine_pace(e, &pace);
    }
    const struct cb_tensor *to = cb_plan_tensor(plan, e->model->input);
    uint64_t row_bytes = (uint64_t)row_of(e->model->net, e->model->input) * (is_u8 ? 1 : sizeof(float));
    size_t out_row = (size_t)row_of(e->model->net, wire);
    enum cb_status status = CB_OK;
    for (uint32_t at = 0, n; status == CB_OK && at < count; at += n) {
        n = cb_pace_rows(&pace, count - at);
        const double start = cb_clock_seconds();
        const char *from = (const char *)rows + at * row_bytes;
        struct cb_plan_run run = {.n = n, .seed = e->seed};
        status = is_u8 ? cb__feed_pictures(e, to, from, NULL, n, false, 0, diag)
                       : cb_buffer_write(e->device, to->buffer, 0, from, row_bytes * n, diag);
        if (status == CB_OK) {
            status = cb__feed_whole_lengths(e, plan, n, diag);
        }
        if (status == CB_OK) {
            status = cb_plan_forward(plan, &run, diag);
        }
        if (status == CB_OK) {
            status = cb__engine_rows(e, plan, wire, n, out + at * out_row, diag);
        }
        cb_pace_took(&pace, n, cb_clock_seconds() - start);
    }
    if (plan == e->scores_plan) {
        e->scores_pace = pace;
    } else {
        if (wire == e->model->scores && !e->is_cached && e->scores_plan == NULL) {
            e->scores_plan = plan;
            e->scores_pace = pace;
        } else {
            cb_plan_destroy(plan);
        }
    }
    return status;
}
