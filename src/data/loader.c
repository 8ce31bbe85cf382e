/* loader.c: batches read ahead by threads into a ring of slots. See loader.h.
 *
 * The order is cut into steps (or is one), each step into batches; batch b has slot b % ahead. A worker takes the next position,
 * waits until its batch is within the ring, reads, and counts it as done; the consumer waits until all of the batch's
 * positions are done. */
#include "data/loader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset_internal.h"
#include "data/threads.h"

#define MAX_THREADS 8

struct slot {
    void **fields;
    uint32_t *samples;
    int32_t *labels;
    float *values;
    bool *failed;
    uint32_t done;
};

struct cb_loader {
    struct cb_dataset *dataset;
    uint32_t *order;
    uint32_t count, size, ahead;
    uint32_t step, batches_in_step;
    bool has_steps; /* asked for */
    struct slot *slots;
    struct cb_batch batch;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t threads[MAX_THREADS];
    uint32_t thread_count;
    uint32_t next_position; /* not yet taken by a worker */
    uint32_t next_batch;    /* the one that the consumer waits for */
    bool stops;
};

/* The batch of a position, and its place there. */
static uint32_t batch_of(const struct cb_loader *l, uint32_t position, uint32_t *out_place)
{
    uint32_t within = position % l->step;
    *out_place = within % l->size;
    return position / l->step * l->batches_in_step + within / l->size;
}

/* The first position of a batch, and how many it has; 0 behind the last. */
static uint32_t positions_of(const struct cb_loader *l, uint32_t batch, uint32_t *out_first)
{
    uint64_t step = (uint64_t)(batch / l->batches_in_step) * l->step;
    uint64_t first = step + (uint64_t)(batch % l->batches_in_step) * l->size, end = first + l->size;
    end = end < step + l->step ? end : step + l->step;
    end = end < l->count ? end : l->count;
    *out_first = (uint32_t)first;
    return first < end ? (uint32_t)(end - first) : 0;
}

static void read_position(struct cb_loader *l, struct slot *slot, uint32_t place, uint32_t sample)
{
    const struct cb_dataset *d = l->dataset;
    void *out[16];
    for (uint32_t f = 0; f < d->field_count && f < 16; f++) {
        out[f] = (char *)slot->fields[f] + (size_t)place * d->fields[f].bytes;
    }
    slot->samples[place] = sample;
    if (d->labels != NULL) {
        slot->labels[place] = d->labels[sample];
    }
    if (d->values != NULL) {
        memcpy(slot->values + (size_t)place * d->value_count, d->values + (size_t)sample * d->value_count,
               d->value_count * sizeof(float));
    }
    bool is_bad = d->private_->skips_bad && cb_dataset_is_bad(d, sample); /* it need not be tried again */
    slot->failed[place] = is_bad || cb_dataset_read(l->dataset, sample, out, NULL) != CB_OK;
}

static void *work(void *context)
{
    struct cb_loader *l = context;
    pthread_mutex_lock(&l->lock);
    while (!l->stops && l->next_position < l->count) {
        uint32_t position = l->next_position, place, batch = batch_of(l, position, &place);
        if (batch >= l->next_batch + l->ahead) {
            pthread_cond_wait(&l->changed, &l->lock);
            continue;
        }
        l->next_position++;
        struct slot *slot = &l->slots[batch % l->ahead];
        pthread_mutex_unlock(&l->lock);
        read_position(l, slot, place, l->order[position]);
        pthread_mutex_lock(&l->lock);
        slot->done++;
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static bool create_slots(struct cb_loader *l)
{
    const struct cb_dataset *d = l->dataset;
    l->slots = calloc(l->ahead, sizeof(*l->slots));
    bool ok = l->slots != NULL;
    for (uint32_t s = 0; ok && s < l->ahead; s++) {
        struct slot *slot = &l->slots[s];
        slot->fields = calloc(d->field_count + 1, sizeof(*slot->fields));
        slot->samples = calloc(l->size, sizeof(*slot->samples));
        slot->labels = calloc(l->size, sizeof(*slot->labels));
        slot->values = calloc((size_t)l->size * (d->value_count + 1), sizeof(*slot->values));
        slot->failed = calloc(l->size, sizeof(*slot->failed));
        ok = slot->fields != NULL && slot->samples != NULL && slot->labels != NULL && slot->values != NULL &&
             slot->failed != NULL;
        for (uint32_t f = 0; ok && f < d->field_count; f++) {
            slot->fields[f] = calloc(l->size, d->fields[f].bytes);
            ok = slot->fields[f] != NULL;
        }
    }
    return ok;
}

enum cb_status cb_loader_create(struct cb_dataset *dataset, const uint32_t *order, uint32_t count,
                                const struct cb_loader_options *options, struct cb_loader **out, struct cb_diag *diag)
{
    struct cb_loader *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    l->dataset = dataset;
    l->size = options->batch > 0 ? options->batch : 1;
    l->size = l->size < count || count == 0 ? l->size : count;
    l->has_steps = options->step > 0;
    l->step = options->step > 0 ? options->step : count > 0 ? count : 1;
    l->size = l->size < l->step ? l->size : l->step;
    l->batches_in_step = (l->step + l->size - 1) / l->size;
    l->ahead = options->ahead > 0 ? options->ahead : 3;
    l->count = options->drop_last ? count / l->size * l->size : count;
    l->order = malloc((count + 1u) * sizeof(*l->order));
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    if (l->order == NULL || !create_slots(l)) {
        cb_loader_destroy(l);
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory for %u samples read ahead", l->size * l->ahead);
    }
    memcpy(l->order, order, count * sizeof(*order));
    uint32_t threads = options->threads > 0 ? options->threads : cb__processors() - 1;
    threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    for (uint32_t i = 0; i < threads; i++) {
        if (pthread_create(&l->threads[i], NULL, work, l) != 0) {
            break;
        }
        l->thread_count++;
    }
    if (l->thread_count == 0) {
        cb_loader_destroy(l);
        return cb_fail(diag, CB_IO, NULL, "cannot start a thread that reads ahead");
    }
    *out = l;
    return CB_OK;
}

static void move_sample(struct cb_loader *l, struct slot *slot, uint32_t to, uint32_t from)
{
    const struct cb_dataset *d = l->dataset;
    for (uint32_t f = 0; f < d->field_count; f++) {
        size_t bytes = (size_t)d->fields[f].bytes;
        memcpy((char *)slot->fields[f] + to * bytes, (char *)slot->fields[f] + from * bytes, bytes);
    }
    slot->samples[to] = slot->samples[from];
    slot->labels[to] = slot->labels[from];
    memcpy(slot->values + (size_t)to * d->value_count, slot->values + (size_t)from * d->value_count,
           d->value_count * sizeof(float));
}

/* A sample that a worker could not read: once more, for its words. */
static enum cb_status say_failure(struct cb_loader *l, uint32_t sample, struct cb_diag *diag)
{
    if (l->dataset->private_->skips_bad && cb_dataset_is_bad(l->dataset, sample)) {
        return CB_OK; /* named before */
    }
    struct cb_diag *why = cb_diag_create();
    void *out[16] = {NULL};
    enum cb_status status = why != NULL ? CB_OK : CB_MEMORY;
    for (uint32_t f = 0; f < l->dataset->field_count && f < 16; f++) {
        out[f] = malloc((size_t)l->dataset->fields[f].bytes + 1);
        status = out[f] != NULL ? status : CB_MEMORY;
    }
    if (status == CB_OK) {
        bool skips = l->dataset->private_->skips_bad;
        status = cb_dataset_read(l->dataset, sample, out, skips ? why : diag);
        if (status != CB_OK && skips) {
            const char *text = cb_diag_text(why, 0);
            if (cb__sample_mark_bad(l->dataset, sample)) {
                cb_warn(diag, NULL, "left out: %s", text != NULL ? text : cb_dataset_name(l->dataset, sample));
            }
            status = CB_OK;
        }
    }
    for (uint32_t f = 0; f < 16; f++) {
        free(out[f]);
    }
    cb_diag_destroy(why);
    return status;
}

/* Closes the gaps that unreadable samples left. */
static enum cb_status compact(struct cb_loader *l, struct slot *slot, uint32_t count, uint32_t *out_count,
                              struct cb_diag *diag)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (slot->failed[i]) {
            CB_TRY(say_failure(l, slot->samples[i], diag));
            continue;
        }
        if (kept != i) {
            move_sample(l, slot, kept, i);
        }
        kept++;
    }
    *out_count = kept;
    return CB_OK;
}

enum cb_status cb_loader_next(struct cb_loader *l, const struct cb_batch **out, struct cb_diag *diag)
{
    if (l->batch.fields != NULL) { /* the batch given last is free again */
        pthread_mutex_lock(&l->lock);
        l->slots[l->next_batch % l->ahead].done = 0;
        l->next_batch++;
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
        l->batch.fields = NULL;
    }
    for (uint32_t taken = 0;;) {
        uint32_t first, count = positions_of(l, l->next_batch, &first), kept;
        if (count == 0) {
            *out = NULL;
            return CB_OK;
        }
        struct slot *slot = &l->slots[l->next_batch % l->ahead];
        pthread_mutex_lock(&l->lock);
        while (slot->done < count) {
            pthread_cond_wait(&l->changed, &l->lock);
        }
        pthread_mutex_unlock(&l->lock);
        CB_TRY(compact(l, slot, count, &kept, diag));
        taken += count;
        l->batch = (struct cb_batch){.count = kept, .taken = taken, .field_count = l->dataset->field_count,
                                     .fields = slot->fields, .samples = slot->samples,
                                     .labels = l->dataset->labels != NULL ? slot->labels : NULL,
                                     .values = l->dataset->values != NULL ? slot->values : NULL};
        bool ends_step = l->has_steps && ((first + count) % l->step == 0 || first + count == l->count);
        if (kept > 0 || ends_step) {
            *out = &l->batch;
            return CB_OK;
        }
        l->batch.fields = NULL;
        pthread_mutex_lock(&l->lock);
        slot->done = 0;
        l->next_batch++;
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
    }
}

void cb_loader_destroy(struct cb_loader *l)
{
    if (l == NULL) {
        return;
    }
    pthread_mutex_lock(&l->lock);
    l->stops = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    for (uint32_t i = 0; i < l->thread_count; i++) {
        pthread_join(l->threads[i], NULL);
    }
    for (uint32_t s = 0; l->slots != NULL && s < l->ahead; s++) {
        struct slot *slot = &l->slots[s];
        for (uint32_t f = 0; slot->fields != NULL && f < l->dataset->field_count; f++) {
            free(slot->fields[f]);
        }
        free(slot->fields);
        free(slot->samples);
        free(slot->labels);
        free(slot->values);
        free(slot->failed);
    }
    free(l->slots);
    free(l->order);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
