/* feed.c: a batch of samples into a plan's inputs: each field to the input of its name, pictures scaled, sequences padded to
 * the longest of the batch, kept features of the frozen prefix where the plan begins behind it. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "train/engine_internal.h"

static enum cb_status stage(struct cb_engine *e, const void *pictures, uint64_t bytes, struct cb_diag *diag)
{
    if (bytes > e->staging_bytes) {
        cb_buffer_destroy(e->staging);
        e->staging = NULL;
        e->staging_bytes = 0;
        CB_TRY(cb_buffer_create(e->device, bytes, &e->staging, diag));
        e->staging_bytes = bytes;
    }
    return cb_buffer_write(e->device, e->staging, 0, pictures, bytes, diag);
}

enum cb_status cb__feed_pictures(struct cb_engine *e, const struct cb_tensor *to, const void *pictures,
                                    const int32_t *ids, uint32_t count, bool augmented, uint64_t draw,
                                    struct cb_diag *diag)
{
    uint64_t row = (uint64_t)(cb_tensor_count(to) / to->dims[0]);
    bool changed = augmented && e->augmented != NULL;
    CB_TRY(stage(e, pictures, row * count, diag));
    return cb_augment_run(changed ? e->augmented : e->plain, e->staging, to->buffer, ids, count, draw, changed, diag);
}

/* Rows of `bytes` that lie `stride` bytes apart, one behind the other to the tensor. */
static enum cb_status write_rows(struct cb_engine *e, const struct cb_tensor *to, const void *from, size_t stride,
                                 size_t bytes, uint32_t count, struct cb_diag *diag)
{
    if (bytes == stride) {
        return cb_buffer_write(e->device, to->buffer, 0, from, bytes * count, diag);
    }
    char *rows = malloc(bytes * count + 1);
    if (rows == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        memcpy(rows + i * bytes, (const char *)from + i * stride, bytes);
    }
    enum cb_status status = cb_buffer_write(e->device, to->buffer, 0, rows, bytes * count, diag);
    free(rows);
    return status;
}

/* Numbers of a row of a plan's tensor: with short sequences less than a row of the network's. */
size_t cb__row_now(const struct cb_tensor *t)
{
    return (size_t)(cb_tensor_count(t) / t->dims[0]);
}

static enum cb_status feed_kept(struct cb_engine *e, const struct cb_tensor *to, uint32_t n, const struct cb_batch *batch,
                                uint32_t view, struct cb_diag *diag)
{
    const struct cb_features *f = &e->features;
    size_t row = (size_t)f->row[n], now = cb__row_now(to);
    float *rows = malloc(now * batch->count * sizeof(float) + 1);
    if (rows == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        size_t from = (size_t)view * f->samples + batch->samples[i];
        memcpy(rows + i * now, f->data[n] + from * row, now * sizeof(float));
    }
    enum cb_status status = cb_buffer_write(e->device, to->buffer, 0, rows, now * batch->count * sizeof(float), diag);
    free(rows);
    return status;
}

/* ---- lengths ---- */

#define LENGTH_STEP 16 /* sequences are padded to a multiple: a sample's numbers depend on its own length alone */

/* Tokens of row `i` of a batch; batches over kept features have no fields. */
static int32_t length_of(const struct cb_engine *e, const struct cb_batch *batch, uint32_t i)
{
    const uint32_t last = e->dataset->field_count - 1; /* of a text's fields */
    return batch->fields != NULL ? ((const int32_t *)batch->fields[last])[i]
                                 : cb_dataset_length(e->dataset, batch->samples[i]);
}

static int64_t padded(int32_t length)
{
    return length <= 0 ? LENGTH_STEP : ((int64_t)length + LENGTH_STEP - 1) / LENGTH_STEP * LENGTH_STEP;
}

bool cb__engine_has_lengths(const struct cb_engine *e)
{
    return e->model->net->lengths != CB_NONE && e->dataset != NULL && cb_dataset_has_lengths(e->dataset);
}

int64_t cb__engine_length(const struct cb_engine *e, uint32_t sample)
{
    return cb__engine_has_lengths(e) ? padded(cb_dataset_length(e->dataset, sample)) : 0;
}

/* How many rows of a batch from `at` on, at most `n`, are padded to one length. */
uint32_t cb__engine_equally_long(const struct cb_engine *e, const struct cb_batch *batch, uint32_t at, uint32_t n)
{
    uint32_t same = 1;
    if (!cb__engine_has_lengths(e)) {
        return n;
    }
    const int64_t first = padded(length_of(e, batch, at));
    while (same < n && padded(length_of(e, batch, at + same)) == first) {
        same++;
    }
    return same;
}

/* The plan's sequences become as long as the longest of the batch, padded. */
static enum cb_status set_length(struct cb_engine *e, struct cb_plan *plan, const struct cb_batch *batch,
                                 struct cb_diag *diag)
{
    int64_t most = 0, now;
    if (!cb__engine_has_lengths(e) || cb_plan_tensor(plan, e->model->net->lengths) == NULL) {
        return CB_OK;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        const int64_t t = padded(length_of(e, batch, i));
        most = t > most ? t : most;
    }
    return cb_plan_set_length(plan, most, &now, diag);
}

static enum cb_status feed_lengths(struct cb_engine *e, const struct cb_tensor *to, const struct cb_batch *batch,
                                   struct cb_diag *diag)
{
    int32_t *lengths = malloc((size_t)batch->count * sizeof(*lengths) + 1);
    if (lengths == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        lengths[i] = cb__engine_has_lengths(e) ? length_of(e, batch, i) : (int32_t)e->model->net->wires[e->model->input].shape.dims[1];
    }
    enum cb_status status = cb_buffer_write(e->device, to->buffer, 0, lengths, batch->count * sizeof(*lengths), diag);
    free(lengths);
    return status;
}

enum cb_status cb__feed_whole_lengths(struct cb_engine *e, const struct cb_plan *plan, uint32_t count, struct cb_diag *diag)
{
    const struct cb_network *net = e->model->net;
    const struct cb_tensor *to = net->lengths != CB_NONE ? cb_plan_tensor(plan, net->lengths) : NULL;
    int32_t *lengths = to != NULL ? malloc((size_t)count * sizeof(*lengths) + 1) : NULL;
    if (lengths == NULL) {
        return to == NULL ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        lengths[i] = (int32_t)net->wires[e->model->input].shape.dims[1];
    }
    enum cb_status status = cb_buffer_write(e->device, to->buffer, 0, lengths, (uint64_t)count * sizeof(*lengths), diag);
    free(lengths);
    return status;
}

/* ---- what goes where ---- */

/* The field that an input takes: that of its name, or the only one. */
static enum cb_status find_field(const struct cb_engine *e, uint32_t wire, uint32_t *out, struct cb_diag *diag)
{
    const struct cb_dataset *d = e->dataset;
    const char *name = e->model->net->wires[wire].name;
    struct cb_text known = {0};
    for (uint32_t i = 0; i < d->field_count; i++) {
        if (d->field_count == 1 || strcmp(d->fields[i].name, name) == 0) {
            *out = i;
            return CB_OK;
        }
        cb_text_addf(&known, "%s`%s`", i > 0 ? ", " : "", d->fields[i].name);
    }
    enum cb_status status = cb_fail(diag, CB_MISMATCH, NULL, "the network has an input `%s`, but the data give %s", name,
                                    known.length > 0 && !known.failed ? known.data : "nothing of that name");
    cb_text_free(&known);
    return status;
}

static enum cb_status feed_targets(struct cb_engine *e, const struct cb_tensor *to, const struct cb_batch *batch,
                                   struct cb_diag *diag)
{
    if (batch->labels != NULL && to->dtype == CB_I32) {
        return cb_buffer_write(e->device, to->buffer, 0, batch->labels, (uint64_t)batch->count * sizeof(int32_t), diag);
    }
    if (batch->values != NULL && to->dtype == CB_F32) {
        uint64_t row = (uint64_t)(cb_tensor_count(to) / to->dims[0]);
        return cb_buffer_write(e->device, to->buffer, 0, batch->values, batch->count * row * sizeof(float), diag);
    }
    return cb_fail(diag, CB_MISMATCH, NULL, "the data has no labels of the kind that the loss needs");
}

static enum cb_status feed_field(struct cb_engine *e, uint32_t wire, const struct cb_tensor *to,
                                 const struct cb_batch *batch, bool augmented, uint64_t draw, struct cb_diag *diag)
{
    const int32_t *ids = (const int32_t *)(const void *)batch->samples;
    uint32_t i = 0;
    CB_TRY(find_field(e, wire, &i, diag));
    const struct cb_field *field = &e->dataset->fields[i];
    if (field->dtype == CB_U8) {
        return cb__feed_pictures(e, to, batch->fields[i], ids, batch->count, augmented, draw, diag);
    }
    return write_rows(e, to, batch->fields[i], field->bytes, cb__row_now(to) * sizeof(float), batch->count, diag);
}

enum cb_status cb_engine_feed(struct cb_engine *e, struct cb_plan *plan, const struct cb_batch *batch, bool augmented,
                              uint64_t draw, uint32_t view, struct cb_diag *diag)
{
    uint32_t count;
    const uint32_t *inputs = cb_plan_inputs(plan, &count);
    const int32_t *ids = (const int32_t *)(const void *)batch->samples;
    CB_TRY(cb_buffer_write(e->device, cb_plan_sample_ids(plan)->buffer, 0, ids, (uint64_t)batch->count * sizeof(*ids),
                           diag));
    CB_TRY(set_length(e, plan, batch, diag));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t wire = inputs[i];
        const struct cb_tensor *to = cb_plan_tensor(plan, wire);
        uint32_t kept = CB_NONE;
        for (uint32_t n = 0; n < e->features.wire_count; n++) {
            kept = e->features.wires[n] == wire ? n : kept;
        }
        if (wire == e->model->target) {
            CB_TRY(feed_targets(e, to, batch, diag));
        } else if (kept != CB_NONE) {
            CB_TRY(feed_kept(e, to, kept, batch, view, diag));
        } else if (wire == e->model->net->lengths) {
            CB_TRY(feed_lengths(e, to, batch, diag));
        } else {
            CB_TRY(feed_field(e, wire, to, batch, augmented, draw, diag));
        }
    }
    return CB_OK;
}
