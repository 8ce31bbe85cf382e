/* samples.c: reading a dataset's samples: names, decoding, the cache of prepared pictures, hashes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/dataset_internal.h"
#include "data/threads.h"

/* Beyond this many bytes of files a hash is made of names, sizes and times. */
#define MAX_HASHED_BYTES ((int64_t)1 << 30)
/* Address space for the cache; more is not asked for. */
#define MAX_CACHE_SPACE ((uint64_t)1 << 40)

const struct cb__source *cb__source_of(const struct cb_dataset *dataset, uint32_t sample, uint32_t *out_item)
{
    const struct cb_dataset_private *private = dataset->private_;
    uint32_t s = 0;
    while (s + 1 < private->source_count && sample >= private->first[s + 1]) {
        s++;
    }
    *out_item = private->items[sample];
    return private->sources[s];
}

const char *cb_dataset_name(const struct cb_dataset *dataset, uint32_t sample)
{
    static _Thread_local char name[4200];
    uint32_t item;
    const struct cb__source *source = cb__source_of(dataset, sample, &item);
    source->type->name(source, item, name, sizeof name);
    return name;
}

const char *cb_dataset_path(const struct cb_dataset *dataset, uint32_t sample)
{
    uint32_t item;
    const struct cb__source *source = cb__source_of(dataset, sample, &item);
    return source->type->path ? source->type->path(source, item) : NULL;
}

/* ---- the cache ---- */

static void release_cache(void *object)
{
    struct cb_dataset_private *private = object;
    if (private->cache) {
        munmap(private->cache, private->cache_bytes);
    }
}

/* Files and texts are cached; what lies in memory anyway, ready to be used, is not. */
static bool is_cached_kind(const struct cb_dataset *dataset)
{
    const struct cb__source_type *type = dataset->private_->sources[0]->type;
    return dataset->field_count > 0 && (type->path != NULL || type->words != NULL);
}

bool cb__samples_init(struct cb_dataset *dataset)
{
    struct cb_dataset_private *private = dataset->private_;
    private->states = (_Atomic uint8_t *)cb_arena_array(private->arena, (size_t)dataset->count + 1, 1);
    if (!private->states || !cb_arena_on_destroy(private->arena, release_cache, private)) {
        return false;
    }
    uint64_t bytes = is_cached_kind(dataset) ? dataset->count * private->row_bytes : 0;
    if (bytes > 0 && bytes <= MAX_CACHE_SPACE) {
        void *space = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (space != MAP_FAILED) { /* else every sample is decoded each time */
            private->cache = space;
            private->cache_bytes = bytes;
        }
    }
    return true;
}

void cb_dataset_set_cache(struct cb_dataset *dataset, uint64_t bytes)
{
    dataset->private_->cache_limit = bytes;
}

bool cb_dataset_is_bad(const struct cb_dataset *dataset, uint32_t sample)
{
    return atomic_load(&dataset->private_->states[sample]) == CB__BAD;
}

uint32_t cb_dataset_bad_count(const struct cb_dataset *dataset)
{
    return atomic_load(&dataset->private_->bad_count);
}

uint32_t cb_dataset_keep_readable(const struct cb_dataset *dataset, uint32_t *samples, uint32_t count, void *rows,
                                  size_t row_bytes)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (cb_dataset_is_bad(dataset, samples[i])) {
            continue;
        }
        if (rows && kept != i) {
            memmove((char *)rows + kept * row_bytes, (char *)rows + i * row_bytes, row_bytes);
        }
        samples[kept++] = samples[i];
    }
    return kept;
}

bool cb__sample_mark_bad(struct cb_dataset *dataset, uint32_t sample)
{
    if (atomic_exchange(&dataset->private_->states[sample], CB__BAD) == CB__BAD) {
        return false;
    }
    atomic_fetch_add(&dataset->private_->bad_count, 1);
    return true;
}

/* Keeps a prepared sample, when there is room and no other thread is doing it. */
static void keep(struct cb_dataset *dataset, uint32_t sample, void *const *prepared)
{
    struct cb_dataset_private *private = dataset->private_;
    uint64_t bytes = private->row_bytes;
    uint8_t expected = CB__UNKNOWN;
    if (!private->cache || !atomic_compare_exchange_strong(&private->states[sample], &expected, CB__BUSY)) {
        return;
    }
    if (atomic_fetch_add(&private->cache_used, bytes) + bytes > private->cache_limit) {
        atomic_fetch_sub(&private->cache_used, bytes);
        atomic_store(&private->states[sample], CB__UNKNOWN);
        return;
    }
    uint8_t *to = private->cache + sample * bytes;
    for (uint32_t f = 0; f < dataset->field_count; f++) {
        memcpy(to, prepared[f], dataset->fields[f].bytes);
        to += dataset->fields[f].bytes;
    }
    atomic_store(&private->states[sample], CB__CACHED);
}

/* ---- reading ---- */

static bool take_cached(const struct cb_dataset *dataset, uint32_t sample, void *const *out)
{
    const struct cb_dataset_private *private = dataset->private_;
    if (!private->cache || atomic_load(&private->states[sample]) != CB__CACHED) {
        return false;
    }
    const uint8_t *from = private->cache + sample * private->row_bytes;
    for (uint32_t f = 0; f < dataset->field_count; f++) {
        memcpy(out[f], from, dataset->fields[f].bytes);
        from += dataset->fields[f].bytes;
    }
    return true;
}

bool cb__sound_to_contract(const struct cb__sound *sound, const struct cb_contract *contract, float *out,
                           struct cb__why *why)
{
    uint64_t room = (uint64_t)contract->shape[0];
    if ((int64_t)sound->rate != contract->rate) {
        return cb__because(why, CB_UNSUPPORTED, "has %u samples a second, but the network takes %lld", sound->rate,
                           (long long)contract->rate);
    }
    for (uint64_t i = 0; i < room; i++) {
        double value = i < sound->count ? sound->samples[i] : 0.0;
        out[i] = (float)((value - contract->mean[0]) / contract->std[0]);
    }
    return true;
}

static bool prepare_image(struct cb_dataset *dataset, const struct cb__source *source, uint32_t item, uint8_t *out,
                          struct cb__why *why)
{
    struct cb_image image;
    if (!source->type->image(source, item, &image, why)) {
        return false;
    }
    bool ok = cb__image_to_contract(&image, &dataset->contract, dataset->background, out, why);
    cb_image_free(&image);
    return ok;
}

static bool prepare_sound(const struct cb_dataset *dataset, const struct cb__source *source, uint32_t item, float *out,
                          struct cb__why *why)
{
    struct cb__sound sound;
    if (!source->type->sound(source, item, &sound, why)) {
        return false;
    }
    bool ok = cb__sound_to_contract(&sound, &dataset->contract, out, why);
    free(sound.samples);
    return ok;
}

bool cb__sample_read(struct cb_dataset *dataset, uint32_t sample, void *const *out, struct cb__why *why)
{
    uint32_t item;
    const struct cb__source *source = cb__source_of(dataset, sample, &item);
    const struct cb__source_type *type = source->type;
    if (dataset->field_count == 0) {
        return cb__because(why, CB_INVALID, "cannot be prepared: the data were opened without a network");
    }
    if (type->tensor) {
        return type->tensor(source, item, out, why);
    }
    if (take_cached(dataset, sample, out)) {
        return true;
    }
    bool ok = type->image   ? prepare_image(dataset, source, item, out[0], why)
              : type->words ? cb__words_prepare(dataset, source, item, out, why)
                            : prepare_sound(dataset, source, item, out[0], why);
    if (ok) {
        keep(dataset, sample, out);
    }
    return ok;
}

enum cb_status cb_dataset_read(struct cb_dataset *dataset, uint32_t sample, void *const *out, struct cb_diag *diag)
{
    struct cb__why why;
    if (!cb__sample_read(dataset, sample, out, &why)) {
        return cb_fail(diag, why.status, NULL, "`%s` %s", cb_dataset_name(dataset, sample), why.text);
    }
    return CB_OK;
}

enum cb_status cb_dataset_image(struct cb_dataset *dataset, uint32_t sample, struct cb_image *out,
                                struct cb_diag *diag)
{
    struct cb__why why;
    uint32_t item;
    const struct cb__source *source = cb__source_of(dataset, sample, &item);
    if (!source->type->image) {
        return cb_fail(diag, CB_UNSUPPORTED, NULL, "`%s` is no picture", cb_dataset_name(dataset, sample));
    }
    if (!source->type->image(source, item, out, &why)) {
        return cb_fail(diag, why.status, NULL, "`%s` %s", cb_dataset_name(dataset, sample), why.text);
    }
    return CB_OK;
}

/* ---- all at once ---- */

struct preparation {
    struct cb_dataset *dataset;
    struct cb__why **reasons; /* [count], NULL: it could be read */
};

static bool prepare_one(void *context, uint32_t i)
{
    struct preparation *preparation = context;
    struct cb_dataset *dataset = preparation->dataset;
    struct cb__why *why = malloc(sizeof *why);
    uint8_t *prepared = malloc(dataset->private_->row_bytes);
    void *fields[CB__TEXT_FIELDS];
    uint64_t at = 0;
    bool ok = why && prepared;
    for (uint32_t f = 0; ok && f < dataset->field_count; f++) {
        fields[f] = prepared + at;
        at += dataset->fields[f].bytes;
    }
    if (ok && !cb__sample_read(dataset, i, fields, why)) {
        preparation->reasons[i] = why;
        ok = why->status != CB_MEMORY;
        why = NULL;
    }
    free(prepared);
    free(why);
    return ok;
}

/* Names what could not be read, in the order of the samples. */
static enum cb_status report(struct cb_dataset *dataset, struct cb__why *const *reasons, struct cb_diag *diag)
{
    enum cb_status status = CB_OK;
    for (uint32_t i = 0; i < dataset->count; i++) {
        if (!reasons[i] || !cb__sample_mark_bad(dataset, i)) {
            continue;
        }
        if (dataset->private_->skips_bad) {
            cb_warn(diag, NULL, "`%s` %s; it is left out", cb_dataset_name(dataset, i), reasons[i]->text);
        } else if (status == CB_OK || !cb_diag_is_full(diag)) {
            status = cb_fail(diag, reasons[i]->status, NULL, "`%s` %s", cb_dataset_name(dataset, i), reasons[i]->text);
        }
    }
    return status;
}

enum cb_status cb_dataset_prepare(struct cb_dataset *dataset, cb_progress progress, void *context,
                                  struct cb_diag *diag)
{
    struct cb_dataset_private *private = dataset->private_;
    bool has_words = private->sources[0]->type->words && dataset->field_count > 0;
    if (!has_words && (!private->cache || private->cache_bytes > private->cache_limit)) {
        return CB_OK;
    }
    private->counts_oddities = true;
    struct preparation preparation = {dataset, calloc(dataset->count, sizeof *preparation.reasons)};
    if (!preparation.reasons) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading the data");
    }
    bool done = cb__parallel(dataset->count, prepare_one, &preparation, progress, context);
    bool short_of_memory = false;
    for (uint32_t i = 0; !done && i < dataset->count; i++) {
        short_of_memory |= preparation.reasons[i] && preparation.reasons[i]->status == CB_MEMORY;
    }
    enum cb_status status = done              ? report(dataset, preparation.reasons, diag)
                            : short_of_memory ? cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading the data")
                                              : cb_fail(diag, CB_INTERRUPTED, NULL, "stopped while reading the data");
    for (uint32_t i = 0; i < dataset->count; i++) {
        free(preparation.reasons[i]);
    }
    free(preparation.reasons);
    private->counts_oddities = false;
    if (has_words && done) {
        cb__words_say(dataset, diag);
    }
    if (status == CB_OK && dataset->count > 0 && cb_dataset_bad_count(dataset) == dataset->count) {
        return cb_fail(diag, CB_FORMAT, NULL, "none of the %u %s can be read", dataset->count,
                       cb__source_what(private->sources[0]));
    }
    return status;
}

/* ---- hashes ---- */

static void hash_number(struct cb_sha256 *sha, uint64_t number)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(number >> 8 * i);
    }
    cb_sha256_add(sha, bytes, sizeof bytes);
}

static void hash_preparation(struct cb_sha256 *sha, const struct cb_dataset *dataset)
{
    const struct cb_contract *contract = &dataset->contract;
    char text[200];
    if (contract->modality == CB_TEXT) {
        snprintf(text, sizeof text, "text %lld %d", (long long)contract->max_length, (int)contract->long_rule);
    } else if (contract->modality == CB_AUDIO) {
        snprintf(text, sizeof text, "audio %lld %d %.17g %.17g", (long long)contract->rate, (int)contract->resample,
                 contract->mean[0], contract->std[0]);
    } else {
        snprintf(text, sizeof text, "%u %d %d %d %.17g %u %u %u", contract->rank, (int)contract->modality,
                 (int)contract->resize, (int)contract->filter, contract->crop_fraction, dataset->background.r,
                 dataset->background.g, dataset->background.b);
    }
    cb_sha256_add(sha, text, strlen(text));
    for (uint32_t i = 0; i < contract->rank; i++) {
        hash_number(sha, (uint64_t)contract->shape[i]);
    }
}

/* A file's bytes, or its name, size and time. */
static enum cb_status hash_file(struct cb_sha256 *sha, const char *path, bool content, struct cb_diag *diag)
{
    struct stat info;
    if (!content) {
        if (stat(path, &info) != 0) {
            return cb_fail(diag, CB_IO, NULL, "`%s` cannot be read", path);
        }
        cb_sha256_add(sha, path, strlen(path));
        hash_number(sha, (uint64_t)info.st_size);
        hash_number(sha, (uint64_t)info.st_mtim.tv_sec);
        hash_number(sha, (uint64_t)info.st_mtim.tv_nsec);
        return CB_OK;
    }
    struct cb_mapping mapping;
    CB_TRY(cb_file_map(path, &mapping, NULL, diag));
    hash_number(sha, mapping.bytes);
    cb_sha256_add(sha, mapping.data, mapping.bytes);
    cb_file_unmap(&mapping);
    return CB_OK;
}

/* A text as the network gets it: so what its tokens are counts, too. */
static enum cb_status hash_words(struct cb_sha256 *sha, struct cb_dataset *dataset, uint32_t sample, struct cb_diag *diag)
{
    uint8_t *prepared = malloc(dataset->private_->row_bytes + 1);
    void *fields[CB__TEXT_FIELDS];
    uint64_t at = 0;
    for (uint32_t f = 0; prepared && f < dataset->field_count; f++) {
        fields[f] = prepared + at;
        at += dataset->fields[f].bytes;
    }
    enum cb_status status = prepared ? cb_dataset_read(dataset, sample, fields, diag)
                                     : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    if (status == CB_OK) {
        cb_sha256_add(sha, prepared, dataset->private_->row_bytes);
    }
    free(prepared);
    return status;
}

/* A sample that has no file of its own: its pixels, its tokens, or its tensor. */
static enum cb_status hash_item(struct cb_sha256 *sha, struct cb_dataset *dataset, uint32_t sample,
                                struct cb_diag *diag)
{
    uint32_t item;
    struct cb__why why;
    const struct cb__source *source = cb__source_of(dataset, sample, &item);
    if (source->type->image) {
        struct cb_image image;
        CB_TRY(cb_dataset_image(dataset, sample, &image, diag));
        hash_number(sha, (uint64_t)image.width << 34 | (uint64_t)image.height << 4 | image.channels);
        cb_sha256_add(sha, image.data, (size_t)image.width * image.height * image.channels);
        cb_image_free(&image);
        return CB_OK;
    }
    if (source->type->words || source->has_ids) {
        return hash_words(sha, dataset, sample, diag);
    }
    void *tensor = malloc(source->field.bytes);
    if (!tensor || !source->type->tensor(source, item, &tensor, &why)) {
        free(tensor);
        return cb_fail(diag, CB_IO, NULL, "`%s` cannot be read", cb_dataset_name(dataset, sample));
    }
    cb_sha256_add(sha, tensor, source->field.bytes);
    free(tensor);
    return CB_OK;
}

static bool is_small(const struct cb_dataset *dataset, const uint32_t *samples, uint32_t count)
{
    int64_t total = 0;
    for (uint32_t i = 0; i < count && total <= MAX_HASHED_BYTES; i++) {
        const char *path = cb_dataset_path(dataset, samples[i]);
        int64_t bytes = path ? cb_file_bytes(path) : 0;
        total += bytes > 0 ? bytes : 0;
    }
    return total <= MAX_HASHED_BYTES;
}

enum cb_status cb_dataset_hash(struct cb_dataset *dataset, const uint32_t *samples, uint32_t count, char hex[65],
                               struct cb_diag *diag)
{
    struct cb_sha256 *sha = cb_sha256_create();
    if (!sha) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    bool content = is_small(dataset, samples, count);
    enum cb_status status = CB_OK;
    hash_preparation(sha, dataset);
    for (uint32_t i = 0; i < count && status == CB_OK; i++) {
        const char *path = dataset->contract.modality == CB_TEXT ? NULL : cb_dataset_path(dataset, samples[i]);
        status = path ? hash_file(sha, path, content, diag) : hash_item(sha, dataset, samples[i], diag);
        if (dataset->labels) {
            hash_number(sha, (uint64_t)dataset->labels[samples[i]]);
        }
        if (dataset->values) {
            cb_sha256_add(sha, dataset->values + (size_t)samples[i] * dataset->value_count,
                          dataset->value_count * sizeof(float));
        }
    }
    char result[65];
    cb_sha256_finish(sha, result);
    if (status == CB_OK) {
        memcpy(hex, result, sizeof result);
    }
    return status;
}
