/* tensors.c: opening a weights file by its content, and finding tensors in it. */
#include "weights/tensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "weights/internal.h"

static const struct {
    const char *name;
    uint32_t block, bytes; /* elements that lie together, and their bytes */
} stored_types[] = {
#define STORED_ROW(name, bytes) {#name, 1, bytes},
#define BLOCK_ROW(name, block, bytes) {#name, block, bytes},
    CB_STORED_LIST(STORED_ROW) CB_BLOCK_LIST(BLOCK_ROW)
#undef STORED_ROW
#undef BLOCK_ROW
};

const char *cb_stored_name(enum cb_stored type)
{
    return (unsigned)type < CB_STORED_COUNT ? stored_types[type].name : "?";
}

uint32_t cb_stored_bytes(enum cb_stored type)
{
    return (unsigned)type < CB_STORED_COUNT && stored_types[type].block == 1 ? stored_types[type].bytes : 0;
}

uint32_t cb_stored_block(enum cb_stored type)
{
    return (unsigned)type < CB_STORED_COUNT ? stored_types[type].block : 1;
}

uint64_t cb_stored_size(enum cb_stored type, uint64_t count)
{
    uint64_t bytes;
    if ((unsigned)type >= CB_STORED_COUNT) {
        return 0;
    }
    uint32_t block = stored_types[type].block;
    uint64_t blocks = count / block + (count % block != 0);
    return __builtin_mul_overflow(blocks, (uint64_t)stored_types[type].bytes, &bytes) ? UINT64_MAX : bytes;
}

uint64_t cb__stored_count(enum cb_stored type, uint64_t bytes)
{
    return (unsigned)type < CB_STORED_COUNT ? bytes / stored_types[type].bytes * stored_types[type].block : 0;
}

bool cb_stored_is_real(enum cb_stored type)
{
    return type <= CB_STORED_BF16 || type == CB_STORED_F8_E4M3 || type == CB_STORED_F8_E5M2 || cb_stored_block(type) > 1;
}

bool cb_stored_from_name(const char *name, enum cb_stored *out)
{
    for (unsigned i = 0; i < CB_STORED_COUNT; i++) {
        if (stored_types[i].block == 1 && strcmp(name, stored_types[i].name) == 0) {
            *out = (enum cb_stored)i;
            return true;
        }
    }
    return false;
}

/* ---- what kind of file it is ----------------------------------------------------------------------------------- */

static bool begins_with(const struct cb_mapping *m, const char *bytes, size_t count)
{
    return m->bytes >= count && memcmp(m->data, bytes, count) == 0;
}

/* Things that people have in place of weights, and what to tell them. */
static const struct {
    const char *bytes;
    size_t count;
    const char *what;
} known_strangers[] = {
    {"version https://git-lfs", 23, "is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`"},
    {"<!DOCTYPE", 9, "is a web page, not weights: the download went wrong"},
    {"<!doctype", 9, "is a web page, not weights: the download went wrong"},
    {"<html", 5, "is a web page, not weights: the download went wrong"},
    {"\x1f\x8b", 2, "is compressed with gzip: unpack it first"},
    {"\x89HDF\r\n\x1a\n", 8, "is an HDF5 file (Keras), which is not read"},
    {"\x08\x03\x12", 3, "looks like an ONNX model, which is not read"},
    {"\x80\x02", 2, "is a pickle, but not one that torch.save wrote"},
    {"\x80\x03", 2, "is a pickle, but not one that torch.save wrote"},
    {"\x80\x04", 2, "is a pickle, but not one that torch.save wrote"},
    {"\x80\x05", 2, "is a pickle, but not one that torch.save wrote"},
};

static enum cb_status refuse_stranger(const struct cb_tensor_file *file, const struct cb_place *at,
                                      struct cb_diag *diag)
{
    const struct cb_mapping *m = &file->mapping;
    for (size_t i = 0; i < sizeof(known_strangers) / sizeof(known_strangers[0]); i++) {
        if (begins_with(m, known_strangers[i].bytes, known_strangers[i].count)) {
            return cb_fail(diag, CB_FORMAT, at, "`%s` %s", file->path, known_strangers[i].what);
        }
    }
    if (m->bytes >= 262 && memcmp(m->data + 257, "ustar", 5) == 0) {
        return cb_fail(diag, CB_FORMAT, at,
                       "`%s` is a tar archive; the form that PyTorch wrote before 0.1.10 is not read", file->path);
    }
    return cb_fail(diag, CB_FORMAT, at, "`%s` is not a weights file that Cambium reads (safetensors, PyTorch, GGUF, NumPy)",
                   file->path);
}

enum cb_status cb__zip_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(file->mapping.data, file->mapping.bytes, 0, &error);
    if (source) {
        file->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    }
    enum cb_status status = CB_OK;
    if (!file->zip) {
        zip_source_free(source);
        status = cb_fail(diag, CB_FORMAT, at, "`%s` is a damaged zip archive: %s", file->path,
                         zip_error_strerror(&error));
    }
    zip_error_fini(&error);
    return status;
}

static enum cb_status open_zip(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag)
{
    CB_TRY(cb__zip_open(file, at, diag));
    if (cb__is_npz(file->zip)) {
        file->format = "NumPy (npz)";
        return cb__npz_open(file, at, diag);
    }
    file->format = "PyTorch (zip)";
    return cb__torch_zip_open(file, at, diag);
}

/* `{` and then JSON. As the length of a safetensors header its first eight bytes would be beyond what one may have. */
static bool is_json(const struct cb_mapping *m)
{
    if (m->bytes == 0 || m->data[0] != '{') {
        return false;
    }
    return m->bytes < 9 || m->data[4] || m->data[5] || m->data[6] || m->data[7];
}

static enum cb_status open_by_content(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag)
{
    const struct cb_mapping *m = &file->mapping;
    if (m->bytes == 0) {
        return cb_fail(diag, CB_FORMAT, at, "`%s` is empty", file->path);
    }
    if (begins_with(m, "PK\x03\x04", 4)) {
        return open_zip(file, at, diag);
    }
    if (begins_with(m, "\x93NUMPY", 6)) {
        file->format = "NumPy (npy)";
        return cb__npy_open(file, at, diag);
    }
    if (is_json(m)) {
        if (file->is_part) {
            return cb_fail(diag, CB_FORMAT, at, "`%s` is named by the index of sharded weights, but it holds no tensors",
                           file->path);
        }
        file->format = "sharded";
        return cb__index_open(file, at, diag);
    }
    if (begins_with(m, "GGUF", 4)) {
        file->format = "GGUF";
        return cb__gguf_open(file, at, diag);
    }
    if (cb__is_torch_stream(m)) {
        file->format = "PyTorch (stream)";
        return cb__torch_stream_open(file, at, diag);
    }
    /* A header begins with `{`; the name only decides which sentence a damaged file gets. */
    if ((m->bytes > 8 && m->data[8] == '{') || cb_ends_with(file->path, ".safetensors")) {
        file->format = "safetensors";
        return cb__safetensors_open(file, at, diag);
    }
    return refuse_stranger(file, at, diag);
}

enum cb_status cb__tensors_open_file(const char *path, bool is_part, struct cb_tensor_file **out,
                                     const struct cb_place *at, struct cb_diag *diag)
{
    enum cb_status status = CB_MEMORY;
    struct cb_arena *arena = cb_arena_create();
    struct cb_tensor_file *file = arena ? CB_NEW(arena, struct cb_tensor_file) : NULL;
    char *own_path = file ? cb_arena_strdup(arena, path) : NULL;
    if (!own_path) {
        cb_arena_destroy(arena);
        return cb_fail(diag, CB_MEMORY, at, "no memory to open `%s`", path);
    }
    file->arena = arena;
    file->path = own_path;
    file->is_part = is_part;

    status = cb_file_map(path, &file->mapping, at, diag);
    if (status == CB_OK) {
        status = open_by_content(file, at, diag);
    }
    if (status == CB_OK) {
        status = cb__index_names(file, at, diag);
    }
    if (status != CB_OK) {
        cb_tensors_close(file);
        return status;
    }
    *out = file;
    return CB_OK;
}

enum cb_status cb_tensors_open(const char *path, struct cb_tensor_file **out, const struct cb_place *at,
                               struct cb_diag *diag)
{
    if (!cb_path_is_folder(path)) {
        return cb__tensors_open_file(path, false, out, at, diag);
    }
    char *inside = NULL;
    struct cb_arena *arena = cb_arena_create();
    enum cb_status status = arena ? cb__weights_in_folder(arena, path, &inside, at, diag)
                                  : cb_fail(diag, CB_MEMORY, at, "no memory to open `%s`", path);
    if (status == CB_OK) {
        status = cb__tensors_open_file(inside, false, out, at, diag);
    }
    cb_arena_destroy(arena);
    return status;
}

void cb_tensors_close(struct cb_tensor_file *file)
{
    if (!file) {
        return;
    }
    for (uint32_t i = 0; i < file->part_count; i++) {
        cb_tensors_close(file->parts[i]);
    }
    for (uint32_t i = 0; i < file->storage_count; i++) {
        free(file->storages[i].held);
    }
    if (file->zip) {
        zip_discard(file->zip);
    }
    cb_file_unmap(&file->mapping);
    cb_arena_destroy(file->arena);
}

/* ---- looking things up ----------------------------------------------------------------------------------------- */

const char *cb_tensors_path(const struct cb_tensor_file *file)
{
    return file->path;
}

const char *cb_tensors_format(const struct cb_tensor_file *file)
{
    return file->format;
}

const char *cb_tensors_wrapper(const struct cb_tensor_file *file)
{
    return file->wrapper;
}

const char *cb_tensors_beside(const struct cb_tensor_file *file)
{
    return file->beside;
}

uint32_t cb_tensors_count(const struct cb_tensor_file *file)
{
    return file->count;
}

const struct cb_tensor_entry *cb_tensors_at(const struct cb_tensor_file *file, uint32_t i)
{
    return i < file->count ? &file->entries[i] : NULL;
}

uint32_t cb_tensors_metadata_count(const struct cb_tensor_file *file)
{
    return file->metadata_count;
}

const struct cb_key_value *cb_tensors_metadata_at(const struct cb_tensor_file *file, uint32_t i)
{
    return i < file->metadata_count ? &file->metadata[i] : NULL;
}

const char *cb_tensors_metadata(const struct cb_tensor_file *file, const char *key)
{
    for (uint32_t i = 0; i < file->metadata_count; i++) {
        if (strcmp(file->metadata[i].key, key) == 0) {
            return file->metadata[i].value;
        }
    }
    return NULL;
}

static int compare_names(const void *a, const void *b, void *context)
{
    const struct cb_tensor_file *file = context;
    return strcmp(file->entries[*(const uint32_t *)a].name, file->entries[*(const uint32_t *)b].name);
}

enum cb_status cb__index_names(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag)
{
    file->by_name = CB_NEW_ARRAY(file->arena, uint32_t, (size_t)file->count + 1);
    if (!file->by_name) {
        return cb_fail(diag, CB_MEMORY, at, "no memory for the names in `%s`", file->path);
    }
    for (uint32_t i = 0; i < file->count; i++) {
        file->by_name[i] = i;
    }
    qsort_r(file->by_name, file->count, sizeof(uint32_t), compare_names, file);
    for (uint32_t i = 1; i < file->count; i++) {
        const char *name = file->entries[file->by_name[i]].name;
        if (strcmp(file->entries[file->by_name[i - 1]].name, name) == 0) {
            return cb_fail(diag, CB_FORMAT, at, "`%s` has two tensors named `%s`", file->path, name);
        }
    }
    return CB_OK;
}

const struct cb_tensor_entry *cb_tensors_find(const struct cb_tensor_file *file, const char *name)
{
    uint32_t low = 0;
    uint32_t high = file->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct cb_tensor_entry *entry = &file->entries[file->by_name[middle]];
        int order = strcmp(name, entry->name);
        if (order == 0) {
            return entry;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* ---- dims ------------------------------------------------------------------------------------------------------ */

bool cb__dims_count(uint32_t rank, const int64_t *dims, uint64_t *out)
{
    uint64_t count = 1;
    bool has_zero = false;
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] < 0) {
            return false;
        }
        has_zero = has_zero || dims[i] == 0;
    }
    for (uint32_t i = 0; i < rank && !has_zero; i++) {
        if (count > (UINT64_C(1) << 62) / (uint64_t)dims[i]) {
            return false;
        }
        count *= (uint64_t)dims[i];
    }
    *out = has_zero ? 0 : count;
    return true;
}

void cb__dense_strides(uint32_t rank, const int64_t *dims, int64_t *strides)
{
    int64_t stride = 1;
    for (uint32_t i = rank; i-- > 0;) {
        strides[i] = stride;
        if (dims[i] > 1 && __builtin_mul_overflow(stride, dims[i], &stride)) {
            stride = 0; /* only when another dim is 0: nothing is ever read through it */
        }
    }
}

bool cb__view_fits(const struct cb_tensor_entry *entry, uint64_t storage_count)
{
    uint64_t count;
    if (!cb__dims_count(entry->rank, entry->dims, &count) || count != entry->count) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    uint64_t last = entry->offset;
    for (uint32_t i = 0; i < entry->rank; i++) {
        uint64_t reach;
        if (entry->strides[i] < 0 ||
            __builtin_mul_overflow((uint64_t)(entry->dims[i] - 1), (uint64_t)entry->strides[i], &reach) ||
            __builtin_add_overflow(last, reach, &last)) {
            return false;
        }
    }
    return last < storage_count;
}

enum cb_status cb_tensors_rows(const struct cb_tensor_entry *entry, int64_t first, int64_t rows,
                               struct cb_tensor_entry *out, struct cb_diag *diag)
{
    if (entry->rank == 0 || first < 0 || rows < 0 || first > entry->dims[0] || rows > entry->dims[0] - first) {
        char dims[192];
        return cb_fail(diag, CB_INVALID, NULL, "tensor `%s` %s has no rows %" PRId64 " to %" PRId64, entry->name,
                       cb_format_dims(entry->rank, entry->dims, dims), first, first + rows);
    }
    struct cb_tensor_entry part = *entry;
    part.dims[0] = rows;
    part.offset += (uint64_t)first * (uint64_t)entry->strides[0];
    part.count = entry->dims[0] ? entry->count / (uint64_t)entry->dims[0] * (uint64_t)rows : 0;
    part.bytes = cb_stored_size(part.type, part.count);
    *out = part;
    return CB_OK;
}

char *cb_format_dims(uint32_t rank, const int64_t *dims, char out[192])
{
    size_t length = 0;
    out[length++] = '[';
    for (uint32_t i = 0; i < rank && i < CB_MAX_RANK; i++) {
        length += (size_t)snprintf(out + length, 192 - length, "%s%" PRId64, i ? ", " : "", dims[i]);
    }
    out[length++] = ']';
    out[length] = '\0';
    return out;
}
