/* tensors.c: samples from a safetensors file: `x` [N, ...] as the network takes them, `y` as class numbers or values; so
 * that an experiment of another framework can be replayed. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/source.h"
#include "weights/tensors.h"

#define MAX_CLASSES 1000000
#define MAX_VALUES 64

struct tensors {
    struct cb__source source;
    struct cb_tensor_file *file;
    struct cb_tensor_entry x;
    struct cb_tensor_entry segments, lengths; /* of ids; rank 0: there are none */
    pthread_mutex_t lock; /* a file is read by one thread at a time */
};

static void tensors_name(const struct cb__source *source, uint32_t item, char *out, size_t room)
{
    snprintf(out, room, "%s, sample %u", source->path, item);
}

/* One row of 64-bit integers. */
static enum cb_status read_integers(struct tensors *tensors, const struct cb_tensor_entry *entry, uint32_t item, int64_t *out)
{
    struct cb_tensor_entry row;
    enum cb_status status = cb_tensors_rows(entry, item, 1, &row, NULL);
    return status == CB_OK ? cb_tensors_read_i64(tensors->file, &row, out, NULL) : status;
}

/* Ids, the segments that go with them, and how many are real: as the file says, else 0 and all. What the network takes more is
 * padding. */
static enum cb_status read_ids(struct tensors *tensors, uint32_t item, void *const *out)
{
    const size_t there = (size_t)tensors->x.dims[1], room = (size_t)tensors->source.field.dims[0];
    int64_t *wide = calloc(there + 1, sizeof *wide), length = (int64_t)there;
    enum cb_status status = wide ? read_integers(tensors, &tensors->x, item, wide) : CB_MEMORY;
    for (int f = 0; f < 2 && status == CB_OK; f++) {
        for (size_t i = 0; i < room; i++) {
            ((int32_t *)out[f])[i] = i < there ? (int32_t)wide[i] : 0;
        }
        memset(wide, 0, there * sizeof *wide);
        if (f == 0 && tensors->segments.rank) {
            status = read_integers(tensors, &tensors->segments, item, wide);
        }
    }
    if (status == CB_OK && tensors->lengths.rank) {
        status = read_integers(tensors, &tensors->lengths, item, &length);
        status = status == CB_OK && (length < 0 || length > (int64_t)there) ? CB_FORMAT : status;
    }
    if (status == CB_OK) {
        *(int32_t *)out[2] = (int32_t)length;
    }
    free(wide);
    return status;
}

/* Rows are read as floats or 64-bit integers and narrowed to the field's type. */
static enum cb_status read_row(struct tensors *tensors, uint32_t item, void *out)
{
    const struct cb_field *field = &tensors->source.field;
    struct cb_tensor_entry row;
    size_t count = field->bytes / (field->dtype == CB_U8 ? 1 : 4);
    if (field->dtype == CB_F32) {
        enum cb_status status = cb_tensors_rows(&tensors->x, item, 1, &row, NULL);
        return status == CB_OK ? cb_tensors_read_f32(tensors->file, &row, out, NULL) : status;
    }
    int64_t *wide = malloc(count * sizeof *wide + 1);
    enum cb_status status = wide ? read_integers(tensors, &tensors->x, item, wide) : CB_MEMORY;
    for (size_t i = 0; status == CB_OK && i < count; i++) {
        if (field->dtype == CB_U8) {
            ((uint8_t *)out)[i] = (uint8_t)wide[i];
        } else {
            ((int32_t *)out)[i] = (int32_t)wide[i];
        }
    }
    free(wide);
    return status;
}

static bool tensors_read(const struct cb__source *source, uint32_t item, void *const *out, struct cb__why *why)
{
    struct tensors *tensors = (struct tensors *)source;
    pthread_mutex_lock(&tensors->lock);
    enum cb_status status = source->has_ids ? read_ids(tensors, item, out) : read_row(tensors, item, out[0]);
    pthread_mutex_unlock(&tensors->lock);
    return status == CB_OK ? true : cb__because(why, status, "cannot be read: %s", cb_status_sentence(status));
}

static void tensors_release(struct cb__source *source)
{
    struct tensors *tensors = (struct tensors *)source;
    cb_tensors_close(tensors->file);
    pthread_mutex_destroy(&tensors->lock);
}

/* `segments` [N,T] and `lengths` [N] beside the ids, each as it is there. */
static enum cb_status describe_others(struct tensors *tensors, const struct cb_place *at, struct cb_diag *diag)
{
    static const char *const names[] = {"segments", "lengths"};
    struct cb_tensor_entry *const to[] = {&tensors->segments, &tensors->lengths};
    for (uint32_t i = 0; i < 2; i++) {
        const struct cb_tensor_entry *entry = cb_tensors_find(tensors->file, names[i]), *x = &tensors->x;
        if (!entry) {
            continue;
        }
        bool fits = !cb_stored_is_real(entry->type) && entry->rank == 2 - i && entry->dims[0] == x->dims[0] &&
                    (i == 1 || entry->dims[1] == x->dims[1]);
        if (!fits) {
            char dims[192];
            return cb_fail(diag, CB_MISMATCH, at, "`%s` in `%s` must be integers %s for the ids in `x`, but it is %s of %s",
                           names[i], tensors->source.path, i == 0 ? "[N, T] as they are" : "[N], the tokens of each sample",
                           cb_format_dims(entry->rank, entry->dims, dims), cb_stored_name(entry->type));
        }
        *to[i] = *entry;
    }
    return CB_OK;
}

/* What a sample of `x` is, and whether the network takes it. */
static enum cb_status describe_x(struct tensors *tensors, const struct cb_contract *contract,
                                 const struct cb_place *at, struct cb_diag *diag)
{
    const struct cb_tensor_entry *x = &tensors->x;
    struct cb_field *field = &tensors->source.field;
    char there[192], wanted[192];
    bool real = cb_stored_is_real(x->type);
    field->name = contract ? contract->name : "x";
    field->dtype = real ? CB_F32 : x->type == CB_STORED_U8 ? CB_U8 : CB_I32;
    if (contract && contract->modality != CB_TEXT && (contract->modality != CB_IMAGE || field->dtype == CB_I32)) {
        field->dtype = CB_F32; /* numbers, whatever the file stores them as */
    }
    field->rank = x->rank - 1;
    uint64_t count = 1;
    for (uint32_t i = 0; i < field->rank; i++) {
        field->dims[i] = x->dims[i + 1];
        count *= (uint64_t)field->dims[i];
    }
    field->bytes = count * (field->dtype == CB_U8 ? 1 : 4);
    if (!contract) {
        return CB_OK;
    }
    if (contract->modality == CB_TEXT && real) {
        return cb_fail(diag, CB_MISMATCH, at, "`x` in `%s` holds %s numbers, but the network's input `%s` takes token "
                       "numbers (integers)", tensors->source.path, cb_stored_name(x->type), contract->name);
    }
    if (contract->modality == CB_TEXT && field->rank == 1 && field->dims[0] <= contract->shape[0]) {
        field->dims[0] = contract->shape[0];
        field->bytes = (uint64_t)field->dims[0] * sizeof(int32_t);
        tensors->source.has_ids = true;
        return describe_others(tensors, at, diag);
    }
    cb_format_dims(field->rank, field->dims, there);
    cb_format_dims(contract->rank, contract->shape, wanted);
    if (strcmp(there, wanted) != 0) {
        cb_fail(diag, CB_MISMATCH, at, "a sample of `x` in `%s` has the shape %s, but the network's input `%s` takes %s "
                "(sizes without the batch; channels come last)", tensors->source.path, there, contract->name, wanted);
        cb_note(diag, &contract->at, "the input is described here");
        return CB_MISMATCH;
    }
    return CB_OK;
}

static enum cb_status add_classes(struct tensors *tensors, const struct cb_tensor_entry *y, struct cb__draft *draft,
                                  const struct cb_place *at, struct cb_diag *diag)
{
    if (y->rank != 1) {
        return cb_fail(diag, CB_UNSUPPORTED, at, "`y` in `%s` holds integers of %u dimensions; class numbers have one",
                       tensors->source.path, y->rank);
    }
    int64_t *numbers = malloc(y->count * sizeof *numbers), largest = 0;
    if (!numbers) {
        return cb_fail(diag, CB_MEMORY, at, "out of memory while reading `y` of `%s`", tensors->source.path);
    }
    enum cb_status status = cb_tensors_read_i64(tensors->file, y, numbers, diag);
    for (uint64_t i = 0; status == CB_OK && i < y->count; i++) {
        if (numbers[i] < 0 || numbers[i] >= MAX_CLASSES) {
            status = cb_fail(diag, CB_FORMAT, at, "`y` in `%s` holds the class number %lld at %llu; they are 0 to %d",
                             tensors->source.path, (long long)numbers[i], (unsigned long long)i, MAX_CLASSES - 1);
        }
        largest = numbers[i] > largest ? numbers[i] : largest;
    }
    bool ok = status == CB_OK && cb__draft_number_classes(draft, (uint32_t)largest + 1);
    for (uint32_t i = 0; ok && i < y->count; i++) {
        ok = cb__draft_add(draft, i, draft->classes[numbers[i]], NULL, NULL, CB_PART_ANY);
    }
    free(numbers);
    return status != CB_OK ? status : ok ? CB_OK : cb_fail(diag, CB_MEMORY, at, "out of memory");
}

static enum cb_status add_values(struct tensors *tensors, const struct cb_tensor_entry *y, struct cb__draft *draft,
                                 const struct cb_place *at, struct cb_diag *diag)
{
    if (y->rank < 1 || y->rank > 2 || (y->rank == 2 && (y->dims[1] < 1 || y->dims[1] > MAX_VALUES))) {
        return cb_fail(diag, CB_UNSUPPORTED, at, "`y` in `%s` must be [N] or [N, 1 to %d], one row of values for each "
                       "sample", tensors->source.path, MAX_VALUES);
    }
    uint32_t count = y->rank == 2 ? (uint32_t)y->dims[1] : 1;
    const char **names = CB_NEW_ARRAY(draft->arena, const char *, count);
    float *values = malloc(y->count * sizeof *values);
    enum cb_status status = names && values ? cb_tensors_read_f32(tensors->file, y, values, diag)
                                            : cb_fail(diag, CB_MEMORY, at, "out of memory");
    bool ok = status == CB_OK;
    for (uint64_t i = 0; ok && i < y->count; i++) {
        if (!isfinite(values[i])) {
            status = cb_fail(diag, CB_FORMAT, at, "`y` in `%s` holds a value that is not finite, of sample %llu",
                             tensors->source.path, (unsigned long long)(i / count));
            ok = false;
        }
    }
    for (uint32_t i = 0; ok && i < count; i++) {
        ok = (names[i] = count == 1 ? "y" : cb_arena_printf(draft->arena, "y%u", i)) != NULL;
    }
    draft->value_count = count;
    draft->value_names = names;
    for (uint32_t i = 0; ok && i < (uint64_t)y->dims[0]; i++) {
        ok = cb__draft_add(draft, i, NULL, values + (size_t)i * count, NULL, CB_PART_ANY);
    }
    free(values);
    return status != CB_OK ? status : ok ? CB_OK : cb_fail(diag, CB_MEMORY, at, "out of memory");
}

static enum cb_status add_samples(struct tensors *tensors, struct cb__draft *draft, const struct cb_place *at,
                                  struct cb_diag *diag)
{
    const struct cb_tensor_entry *y = cb_tensors_find(tensors->file, "y");
    if (!y) {
        for (int64_t i = 0; i < tensors->x.dims[0]; i++) {
            if (!cb__draft_add(draft, (uint32_t)i, NULL, NULL, NULL, CB_PART_ANY)) {
                return cb_fail(diag, CB_MEMORY, at, "out of memory");
            }
        }
        return CB_OK;
    }
    if (y->rank < 1 || y->dims[0] != tensors->x.dims[0]) {
        return cb_fail(diag, CB_MISMATCH, at, "`%s` has %lld samples in `x`, but %lld in `y`", tensors->source.path,
                       (long long)tensors->x.dims[0], y->rank ? (long long)y->dims[0] : 1LL);
    }
    return cb_stored_is_real(y->type) ? add_values(tensors, y, draft, at, diag)
                                      : add_classes(tensors, y, draft, at, diag);
}

enum cb_status cb__tensors_read(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                                struct cb__draft *draft, struct cb_diag *diag)
{
    static const struct cb__source_type type = {.name = tensors_name, .tensor = tensors_read,
                                                .release = tensors_release};
    struct tensors *tensors = CB_NEW(draft->arena, struct tensors);
    if (!tensors) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    tensors->source = (struct cb__source){.type = &type, .path = path};
    pthread_mutex_init(&tensors->lock, NULL);
    draft->source = &tensors->source;
    CB_TRY(cb_tensors_open(path, &tensors->file, at, diag));
    const struct cb_tensor_entry *x = cb_tensors_find(tensors->file, "x");
    if (!x) {
        return cb_fail(diag, CB_NOT_FOUND, at, "`%s` has no tensor `x`", path);
    }
    if (x->rank < 2 || x->dims[0] < 1 || x->dims[0] > UINT32_MAX / 4 || x->count == 0) {
        char dims[192];
        return cb_fail(diag, CB_FORMAT, at, "`x` in `%s` has the shape %s; it must be [N, ...] with at least one sample",
                       path, cb_format_dims(x->rank, x->dims, dims));
    }
    tensors->x = *x;
    CB_TRY(describe_x(tensors, spec->contract, at, diag));
    return add_samples(tensors, draft, at, diag);
}
