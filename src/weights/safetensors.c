/* safetensors.c: the header of a safetensors file, checked as its specification and reference implementation demand:
 * the header's length, JSON without duplicate keys, known types, dims whose product is the number of bytes, offsets
 * that cover the values without overlap, hole or rest. */
#include "weights/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "weights/internal.h"

struct range {
    uint64_t begin, end; /* bytes from the end of the header */
    uint32_t entry;
};

static enum cb_status read_metadata(struct cb_tensor_file *file, json_t *map, const struct cb_place *at,
                                    struct cb_diag *diag)
{
    if (!json_is_object(map)) {
        return cb_fail(diag, CB_FORMAT, at, "`%s`: `__metadata__` must be a map of texts", file->path);
    }
    file->metadata = CB_NEW_ARRAY(file->arena, struct cb_key_value, json_object_size(map) + 1);
    if (!file->metadata) {
        return cb_fail(diag, CB_MEMORY, at, "no memory for the metadata of `%s`", file->path);
    }
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value)
    {
        if (!json_is_string(value)) {
            return cb_fail(diag, CB_FORMAT, at, "`%s`: `__metadata__` has a value that is not text, under `%s`",
                           file->path, key);
        }
        struct cb_key_value *pair = &file->metadata[file->metadata_count];
        pair->key = cb_arena_strdup(file->arena, key);
        pair->value = cb_arena_strdup(file->arena, json_string_value(value));
        if (!pair->key || !pair->value) {
            return cb_fail(diag, CB_MEMORY, at, "no memory for the metadata of `%s`", file->path);
        }
        file->metadata_count++;
    }
    return CB_OK;
}

static bool read_offsets(const json_t *pair, struct range *out)
{
    const json_t *begin = json_array_get(pair, 0);
    const json_t *end = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < 0) {
        return false;
    }
    out->begin = (uint64_t)json_integer_value(begin);
    out->end = (uint64_t)json_integer_value(end);
    return true;
}

static enum cb_status read_dims(const struct cb_tensor_file *file, const json_t *shape, struct cb_tensor_entry *entry,
                                const struct cb_place *at, struct cb_diag *diag)
{
    if (!json_is_array(shape)) {
        return cb_fail(diag, CB_FORMAT, at, "`%s`: tensor `%s` has no `shape`", file->path, entry->name);
    }
    if (json_array_size(shape) > CB_MAX_RANK) {
        return cb_fail(diag, CB_UNSUPPORTED, at, "`%s`: tensor `%s` has %zu dimensions; at most %d are read",
                       file->path, entry->name, json_array_size(shape), CB_MAX_RANK);
    }
    entry->rank = (uint32_t)json_array_size(shape);
    for (uint32_t i = 0; i < entry->rank; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0) {
            return cb_fail(diag, CB_FORMAT, at, "`%s`: tensor `%s` has a dimension that is not a count", file->path,
                           entry->name);
        }
        entry->dims[i] = json_integer_value(dim);
    }
    return CB_OK;
}

static enum cb_status read_entry(const struct cb_tensor_file *file, const json_t *info, struct cb_tensor_entry *entry,
                                 struct range *range, const struct cb_place *at, struct cb_diag *diag)
{
    const char *path = file->path;
    const char *type = json_string_value(json_object_get(info, "dtype"));
    if (!type) {
        return cb_fail(diag, CB_FORMAT, at, "`%s`: tensor `%s` has no `dtype`", path, entry->name);
    }
    if (!cb_stored_from_name(type, &entry->type)) {
        return cb_fail(diag, CB_UNSUPPORTED, at, "`%s`: tensor `%s` has the type `%s`, which is not read", path,
                       entry->name, type);
    }
    CB_TRY(read_dims(file, json_object_get(info, "shape"), entry, at, diag));
    if (!read_offsets(json_object_get(info, "data_offsets"), range)) {
        return cb_fail(diag, CB_FORMAT, at, "`%s`: tensor `%s` has no `data_offsets` of two counts", path, entry->name);
    }
    char dims[192];
    cb_format_dims(entry->rank, entry->dims, dims);
    if (range->end < range->begin) {
        return cb_fail(diag, CB_FORMAT, at, "`%s`: tensor `%s` ends before it begins, at %" PRIu64 " and %" PRIu64,
                       path, entry->name, range->end, range->begin);
    }
    if (!cb__dims_count(entry->rank, entry->dims, &entry->count) ||
        __builtin_mul_overflow(entry->count, (uint64_t)cb_stored_bytes(entry->type), &entry->bytes)) {
        return cb_fail(diag, CB_FORMAT, at, "`%s`: the size of tensor `%s` %s overflows", path, entry->name, dims);
    }
    if (entry->bytes != range->end - range->begin) {
        return cb_fail(diag, CB_FORMAT, at,
                       "`%s`: tensor `%s` %s of %s needs %" PRIu64 " bytes, but its offsets give %" PRIu64, path,
                       entry->name, dims, cb_stored_name(entry->type), entry->bytes, range->end - range->begin);
    }
    cb__dense_strides(entry->rank, entry->dims, entry->strides);
    return CB_OK;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a;
    const struct range *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return x->end < y->end ? -1 : x->end > y->end;
}

/* Every byte behind the header belongs to exactly one tensor. */
static enum cb_status check_cover(const struct cb_tensor_file *file, struct range *ranges, uint64_t value_bytes,
                                  const struct cb_place *at, struct cb_diag *diag)
{
    qsort(ranges, file->count, sizeof(*ranges), compare_ranges);
    uint64_t covered = 0;
    for (uint32_t i = 0; i < file->count; i++) {
        const char *name = file->entries[ranges[i].entry].name;
        if (ranges[i].end > value_bytes) {
            return cb_fail(diag, CB_FORMAT, at,
                           "`%s` is cut short or lies: tensor `%s` ends at byte %" PRIu64 " of %" PRIu64, file->path,
                           name, ranges[i].end, value_bytes);
        }
        if (ranges[i].begin != covered) {
            return cb_fail(diag, CB_FORMAT, at, "`%s`: tensor `%s` begins at byte %" PRIu64 ", %s byte %" PRIu64,
                           file->path, name, ranges[i].begin,
                           ranges[i].begin < covered ? "inside the one that ends at" : "a hole after", covered);
        }
        covered = ranges[i].end;
    }
    if (covered != value_bytes) {
        return cb_fail(diag, CB_FORMAT, at, "`%s` has %" PRIu64 " bytes that belong to no tensor at its end",
                       file->path, value_bytes - covered);
    }
    return CB_OK;
}

static enum cb_status read_entries(struct cb_tensor_file *file, json_t *header, const unsigned char *values,
                                   uint64_t value_bytes, struct range *ranges, const struct cb_place *at,
                                   struct cb_diag *diag)
{
    const char *name;
    json_t *info;
    json_object_foreach(header, name, info)
    {
        if (strcmp(name, "__metadata__") == 0) {
            CB_TRY(read_metadata(file, info, at, diag));
            continue;
        }
        struct cb_tensor_entry *entry = &file->entries[file->count];
        entry->name = cb_arena_strdup(file->arena, name);
        if (!entry->name) {
            return cb_fail(diag, CB_MEMORY, at, "no memory for the names in `%s`", file->path);
        }
        CB_TRY(read_entry(file, info, entry, &ranges[file->count], at, diag));
        ranges[file->count].entry = file->count;
        entry->storage = file->count++;
    }
    CB_TRY(check_cover(file, ranges, value_bytes, at, diag));
    file->storages = CB_NEW_ARRAY(file->arena, struct cb__storage, (size_t)file->count + 1);
    if (!file->storages) {
        return cb_fail(diag, CB_MEMORY, at, "no memory for the tensors of `%s`", file->path);
    }
    file->storage_count = file->count;
    for (uint32_t i = 0; i < file->count; i++) {
        const struct cb_tensor_entry *entry = &file->entries[ranges[i].entry];
        file->storages[entry->storage] = (struct cb__storage){
            .data = values + ranges[i].begin, .bytes = entry->bytes, .type = entry->type, .users = 1};
    }
    return CB_OK;
}

static enum cb_status read_header(struct cb_tensor_file *file, json_t *header, uint64_t header_bytes,
                                  const struct cb_place *at, struct cb_diag *diag)
{
    size_t most = json_object_size(header) + 1;
    file->entries = CB_NEW_ARRAY(file->arena, struct cb_tensor_entry, most);
    struct range *ranges = calloc(most, sizeof(*ranges));
    if (!file->entries || !ranges) {
        free(ranges);
        return cb_fail(diag, CB_MEMORY, at, "no memory for the header of `%s`", file->path);
    }
    uint64_t values_at = 8 + header_bytes;
    enum cb_status status = read_entries(file, header, file->mapping.data + values_at, file->mapping.bytes - values_at,
                                         ranges, at, diag);
    free(ranges);
    return status;
}

enum cb_status cb__safetensors_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag)
{
    const struct cb_mapping *m = &file->mapping;
    if (m->bytes < 8) {
        return cb_fail(diag, CB_FORMAT, at, "`%s` has %zu bytes, too few for a safetensors file", file->path, m->bytes);
    }
    uint64_t header_bytes = 0;
    for (int i = 7; i >= 0; i--) {
        header_bytes = header_bytes << 8 | m->data[i];
    }
    if (header_bytes > CB_SAFETENSORS_MAX_HEADER) {
        return cb_fail(diag, CB_FORMAT, at, "`%s`: its header would have %" PRIu64 " bytes; at most %u are allowed",
                       file->path, header_bytes, CB_SAFETENSORS_MAX_HEADER);
    }
    if (header_bytes > m->bytes - 8) {
        return cb_fail(diag, CB_FORMAT, at,
                       "`%s` is cut short or lies: its header has %" PRIu64 " bytes, the file %zu after its length",
                       file->path, header_bytes, m->bytes - 8);
    }
    if (header_bytes == 0 || m->data[8] != '{') {
        return cb_fail(diag, CB_FORMAT, at, "`%s`: a safetensors header begins with `{`, this one does not",
                       file->path);
    }
    json_error_t error;
    json_t *header = json_loadb((const char *)m->data + 8, header_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!header) {
        return cb_fail(diag, CB_FORMAT, at, "`%s`: its header is not valid JSON: %s, at byte %d", file->path,
                       error.text, error.position);
    }
    enum cb_status status = read_header(file, header, header_bytes, at, diag);
    json_decref(header);
    return status;
}
