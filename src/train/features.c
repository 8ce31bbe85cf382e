/* features.c: the features of the frozen prefix: taken from an earlier run's file, else computed once a sample and view. */
#include <stdlib.h>
#include <string.h>

#include "train/engine_internal.h"
#include "train/feature_file.h"

static enum cb_status allocate_features(struct cb_engine *e, struct cb_diag *diag)
{
    struct cb_features *f = &e->features;
    size_t rows = (size_t)f->views * f->samples;
    if (f->has != NULL) {
        return CB_OK;
    }
    f->has = calloc(rows + 1, 1);
    bool ok = f->has != NULL;
    for (uint32_t n = 0; n < f->wire_count; n++) {
        f->data[n] = calloc(rows * (size_t)f->row[n] + 1, sizeof(float));
        ok = ok && f->data[n] != NULL;
    }
    return ok ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory for features");
}

static enum cb_status cache_batch(struct cb_engine *e, const struct cb_batch *batch, uint32_t view, struct cb_diag *diag)
{
    struct cb_features *f = &e->features;
    const struct cb__inference inference = {.plan = e->prefix_plan, .pace = &e->prefix_pace, .wires = f->wires,
                                            .wire_count = f->wire_count, .augmented = e->augmented != NULL && view > 0,
                                            .draw = view};
    float *rows[8] = {NULL};
    enum cb_status status = CB_OK;
    for (uint32_t n = 0; n < f->wire_count; n++) {
        rows[n] = malloc((size_t)f->row[n] * batch->count * sizeof(float));
        status = rows[n] != NULL ? status : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    status = status == CB_OK ? cb__engine_infer(e, &inference, batch, rows, diag) : status;
    for (uint32_t n = 0; n < f->wire_count; n++) {
        const size_t row = (size_t)f->row[n];
        for (uint32_t i = 0; status == CB_OK && i < batch->count; i++) {
            const size_t to = (size_t)view * f->samples + batch->samples[i];
            memcpy(f->data[n] + to * row, rows[n] + i * row, row * sizeof(float));
            f->has[to] = 1;
        }
        free(rows[n]);
    }
    return status;
}

/* Where the sample's row of a wire stands. */
static float *kept_row(const struct cb_features *f, uint32_t n, uint32_t view, uint32_t sample)
{
    return f->data[n] + ((size_t)view * f->samples + sample) * (size_t)f->row[n];
}

/* Takes from the file what an earlier run left there; the rest stays in `missing`, with ids[65 * i]. */
static uint32_t take_from_file(struct cb_engine *e, uint32_t *missing, uint32_t count, uint32_t view, char *ids, float *row)
{
    struct cb_features *f = &e->features;
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++) {
        char *id = ids + 65 * (size_t)left;
        if (!cb_feature_id(e, missing[i], view, id)) {
            id[0] = '\0';
        }
        if (id[0] == '\0' || !cb_feature_file_find(e->file, id, row)) {
            missing[left++] = missing[i];
            continue;
        }
        const float *from = row;
        for (uint32_t n = 0; n < f->wire_count; n++) {
            memcpy(kept_row(f, n, view, missing[i]), from, (size_t)f->row[n] * sizeof(float));
            from += f->row[n];
        }
        f->has[(size_t)view * f->samples + missing[i]] = 1;
    }
    if (left < count && !e->file_said) {
        cb_watch_say(e->watch, "features of the frozen layers: found in the cache of an earlier run");
        e->file_said = true;
    }
    return left;
}

static void give_to_file(struct cb_engine *e, const uint32_t *samples, uint32_t count, uint32_t view, const char *ids,
                         float *row)
{
    struct cb_features *f = &e->features;
    for (uint32_t i = 0; i < count; i++) {
        const char *id = ids + 65 * (size_t)i;
        if (id[0] == '\0' || !f->has[(size_t)view * f->samples + samples[i]]) {
            continue;
        }
        float *to = row;
        for (uint32_t n = 0; n < f->wire_count; n++) {
            memcpy(to, kept_row(f, n, view, samples[i]), (size_t)f->row[n] * sizeof(float));
            to += f->row[n];
        }
        cb_feature_file_add(e->file, id, row);
    }
    cb_feature_file_save(e->file);
}

static enum cb_status compute_view(struct cb_engine *e, const uint32_t *samples, uint32_t count, uint32_t view,
                                   struct cb_diag *diag)
{
    struct cb_loader *loader;
    if (e->prefix_plan == NULL) {
        struct cb_plan_request request = {.outputs = e->features.wires, .output_count = e->features.wire_count,
                                          .nodes = e->prefix};
        CB_TRY(cb__engine_plan(e, &request, &e->prefix_plan, diag));
        cb__engine_pace(e, &e->prefix_pace);
    }
    struct cb_loader_options options = {.batch = (uint32_t)e->batch};
    uint32_t *sorted;
    CB_TRY(cb__engine_sort(e, samples, count, &sorted, NULL, diag));
    enum cb_status status = cb_loader_create(e->dataset, sorted, count, &options, &loader, diag);
    free(sorted);
    CB_TRY(status);
    uint64_t done = 0;
    while (status == CB_OK) {
        const struct cb_batch *batch;
        status = cb_loader_next(loader, &batch, diag);
        if (status != CB_OK || batch == NULL) {
            break;
        }
        status = cache_batch(e, batch, view, diag);
        done += batch->count;
        cb_watch_progress(e->watch, "features of the frozen layers", done, count);
        if (status == CB_OK && cb_watch_cancelled(e->watch)) {
            status = CB_INTERRUPTED;
        }
    }
    cb_loader_destroy(loader);
    return status;
}

static enum cb_status cache_view(struct cb_engine *e, const uint32_t *samples, uint32_t count, uint32_t view,
                                 struct cb_diag *diag)
{
    struct cb_features *f = &e->features;
    size_t whole = 0;
    for (uint32_t n = 0; n < f->wire_count; n++) {
        whole += (size_t)f->row[n];
    }
    uint32_t *missing = calloc(count + 1u, sizeof(*missing)), missing_count = 0;
    char *ids = e->file != NULL ? malloc(65 * ((size_t)count + 1)) : NULL;
    float *row = e->file != NULL ? malloc((whole + 1) * sizeof(*row)) : NULL;
    bool has_file = ids != NULL && row != NULL;
    enum cb_status status = missing != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    for (uint32_t i = 0; status == CB_OK && i < count; i++) {
        if (!f->has[(size_t)view * f->samples + samples[i]]) {
            missing[missing_count++] = samples[i];
        }
    }
    if (status == CB_OK && has_file) {
        missing_count = take_from_file(e, missing, missing_count, view, ids, row);
    }
    if (status == CB_OK && missing_count > 0) {
        status = compute_view(e, missing, missing_count, view, diag);
        if (has_file && (status == CB_OK || status == CB_INTERRUPTED)) {
            give_to_file(e, missing, missing_count, view, ids, row);
        }
    }
    free(missing);
    free(ids);
    free(row);
    return status;
}

static void open_file(struct cb_engine *e)
{
    const struct cb_features *f = &e->features;
    char key[65];
    size_t row = 0;
    for (uint32_t n = 0; n < f->wire_count; n++) {
        row += (size_t)f->row[n];
    }
    cb_feature_key(e, key);
    e->file = cb_feature_file_open(key, row);
    e->file_asked = true;
}

enum cb_status cb_engine_cache(struct cb_engine *e, const uint32_t *samples, uint32_t count, bool all_views,
                               struct cb_diag *diag)
{
    if (!e->is_cached) {
        return CB_OK;
    }
    CB_TRY(allocate_features(e, diag));
    if (!e->file_asked) {
        open_file(e);
    }
    for (uint32_t view = 0; view < (all_views ? e->features.views : 1); view++) {
        CB_TRY(cache_view(e, samples, count, view, diag));
    }
    return CB_OK;
}
