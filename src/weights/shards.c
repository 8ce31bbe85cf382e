/* shards.c: weights in several files: the index that Hugging Face's tools write beside them
 * (`model.safetensors.index.json`, `pytorch_model.bin.index.json`), and folders of weights.
 *
 * An index is JSON: {"metadata": {...}, "weight_map": {TENSOR: FILE, ...}}. The files lie in its folder. Each is opened
 * as by itself, and its tensors join those of the file that the index stands for. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "weights/internal.h"

#define MAX_INDEX_BYTES ((size_t)64 << 20)
#define MAX_SHARDS 4096u

struct shards {
    struct cb_tensor_file *file;
    char **names; /* of the files, in the order in which the map first has them */
    const struct cb_place *at;
    struct cb_diag *diag;
};

static enum cb_status no_memory(const struct shards *s)
{
    return cb_fail(s->diag, CB_MEMORY, s->at, "no memory for the tensors of `%s`", s->file->path);
}

/* A name that leads out of the folder, in the way of any operating system. */
static bool leaves_folder(const char *name)
{
    if (*name == '\0' || *name == '/' || *name == '~' || strpbrk(name, "\\:")) {
        return true;
    }
    for (const char *part = name; *part;) {
        size_t length = strcspn(part, "/");
        if (length == 2 && part[0] == '.' && part[1] == '.') {
            return true;
        }
        part += length;
        part += *part == '/';
    }
    return false;
}

static enum cb_status add_name(struct shards *s, const char *tensor, const char *name)
{
    struct cb_tensor_file *file = s->file;
    for (uint32_t i = file->part_count; i-- > 0;) { /* mostly the newest */
        if (strcmp(s->names[i], name) == 0) {
            return CB_OK;
        }
    }
    if (leaves_folder(name)) {
        return cb_fail(s->diag, CB_FORMAT, s->at, "`%s`: tensor `%s` would be in `%s`, which leads out of the folder",
                       file->path, tensor, name);
    }
    if (file->part_count == MAX_SHARDS) {
        return cb_fail(s->diag, CB_UNSUPPORTED, s->at, "`%s` names over %u files", file->path, MAX_SHARDS);
    }
    s->names[file->part_count] = cb_arena_strdup(file->arena, name);
    return s->names[file->part_count++] ? CB_OK : no_memory(s);
}

static enum cb_status list_names(struct shards *s, json_t *map)
{
    const char *tensor;
    json_t *name;
    s->names = CB_NEW_ARRAY(s->file->arena, char *, MAX_SHARDS);
    s->file->parts = CB_NEW_ARRAY(s->file->arena, struct cb_tensor_file *, MAX_SHARDS);
    if (!s->names || !s->file->parts) {
        return no_memory(s);
    }
    json_object_foreach(map, tensor, name)
    {
        if (!json_is_string(name)) {
            return cb_fail(s->diag, CB_FORMAT, s->at, "`%s`: the file of tensor `%s` is not a text", s->file->path,
                           tensor);
        }
        CB_TRY(add_name(s, tensor, json_string_value(name)));
    }
    return CB_OK;
}

static enum cb_status open_parts(struct shards *s)
{
    struct cb_tensor_file *file = s->file;
    char *folder = cb_path_folder(file->arena, file->path);
    uint32_t count = file->part_count;
    file->part_count = 0; /* those that are open */
    for (uint32_t i = 0; i < count; i++) {
        char *path = folder ? cb_path_join(file->arena, folder, s->names[i]) : NULL;
        if (!path) {
            return no_memory(s);
        }
        if (!cb_path_exists(path)) {
            return cb_fail(s->diag, CB_NOT_FOUND, s->at, "`%s` names `%s`, which is not beside it (%" PRIu32 " of %" PRIu32
                           " files)", file->path, s->names[i], i + 1, count);
        }
        CB_TRY(cb__tensors_open_file(path, true, &file->parts[i], s->at, s->diag));
        file->part_count++;
    }
    return CB_OK;
}

/* The tensors of all files, one after the other; a part's storages begin at its `first_storage`. */
static enum cb_status join_tensors(struct shards *s)
{
    struct cb_tensor_file *file = s->file;
    uint64_t count = 0, storages = 0;
    for (uint32_t i = 0; i < file->part_count; i++) {
        file->parts[i]->first_storage = (uint32_t)storages;
        count += file->parts[i]->count;
        storages += file->parts[i]->storage_count;
    }
    file->entries = count < UINT32_MAX && storages < UINT32_MAX
                        ? CB_NEW_ARRAY(file->arena, struct cb_tensor_entry, count + 1) : NULL;
    if (!file->entries) {
        return no_memory(s);
    }
    for (uint32_t i = 0; i < file->part_count; i++) {
        const struct cb_tensor_file *part = file->parts[i];
        for (uint32_t k = 0; k < part->count; k++) {
            struct cb_tensor_entry *entry = &file->entries[file->count++];
            *entry = part->entries[k];
            entry->storage += part->first_storage;
            for (uint32_t j = 0; j < i; j++) {
                if (cb_tensors_find(file->parts[j], entry->name)) {
                    return cb_fail(s->diag, CB_FORMAT, s->at, "`%s`: tensor `%s` is in `%s` and in `%s`", file->path,
                                   entry->name, s->names[j], s->names[i]);
                }
            }
        }
    }
    return CB_OK;
}

/* What the map promises is there. */
static enum cb_status check_map(const struct shards *s, json_t *map)
{
    const char *tensor;
    json_t *name;
    json_object_foreach(map, tensor, name)
    {
        uint32_t i = 0;
        while (strcmp(s->names[i], json_string_value(name)) != 0) {
            i++;
        }
        if (!cb_tensors_find(s->file->parts[i], tensor)) {
            return cb_fail(s->diag, CB_FORMAT, s->at, "`%s`: tensor `%s` should be in `%s`, which does not have it",
                           s->file->path, tensor, s->names[i]);
        }
    }
    return CB_OK;
}

static enum cb_status read_index(struct shards *s, json_t *index)
{
    struct cb_tensor_file *file = s->file;
    json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map)) {
        return cb_fail(s->diag, CB_FORMAT, s->at, "`%s` is JSON, but not the index of sharded weights: it has no"
                       " `weight_map`", file->path);
    }
    if (json_object_size(map) == 0) {
        return cb_fail(s->diag, CB_FORMAT, s->at, "`%s`: its `weight_map` is empty", file->path);
    }
    CB_TRY(list_names(s, map));
    CB_TRY(open_parts(s));
    CB_TRY(join_tensors(s));
    CB_TRY(check_map(s, map));
    const struct cb_tensor_file *first = file->parts[0];
    file->metadata = first->metadata;
    file->metadata_count = first->metadata_count;
    file->wrapper = first->wrapper;
    file->format = strcmp(first->format, "safetensors") == 0 ? "safetensors, sharded" : "PyTorch, sharded";
    return CB_OK;
}

enum cb_status cb__index_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag)
{
    struct shards shards = {.file = file, .at = at, .diag = diag};
    const struct cb_mapping *m = &file->mapping;
    json_error_t error;
    if (m->bytes > MAX_INDEX_BYTES) {
        return cb_fail(diag, CB_FORMAT, at, "`%s` is too large for the index of sharded weights", file->path);
    }
    json_t *index = json_loadb((const char *)m->data, m->bytes, JSON_REJECT_DUPLICATES, &error);
    if (!index) {
        return cb_fail(diag, CB_FORMAT, at, "`%s`:%d:%d: not valid JSON: %s", file->path, error.line, error.column,
                       error.text);
    }
    enum cb_status status = read_index(&shards, index);
    json_decref(index);
    return status;
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

/* What Hugging Face's tools name the weights of a folder, in the order in which they look for them. */
static const char *const usual_names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                          "pytorch_model.bin.index.json"};
static const char *const endings[] = {".safetensors", ".gguf", ".pth", ".pt", ".bin", ".npz"};

static bool is_weights_name(const char *name)
{
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        if (cb_ends_with(name, endings[i])) {
            return true;
        }
    }
    return false;
}

enum cb_status cb__weights_in_folder(struct cb_arena *arena, const char *folder, char **out, const struct cb_place *at,
                                     struct cb_diag *diag)
{
    for (size_t i = 0; i < sizeof(usual_names) / sizeof(usual_names[0]); i++) {
        char *path = cb_path_join(arena, folder, usual_names[i]);
        if (!path) {
            return cb_fail(diag, CB_MEMORY, at, "no memory to open `%s`", folder);
        }
        if (cb_file_bytes(path) >= 0) {
            *out = path;
            return CB_OK;
        }
    }
    char **names = NULL;
    size_t count = 0, found = 0;
    const char *only = NULL, *other = NULL;
    CB_TRY(cb_folder_list(arena, folder, &names, &count, at, diag));
    for (size_t i = 0; i < count; i++) {
        if (is_weights_name(names[i])) {
            other = only;
            only = names[i];
            found++;
        }
    }
    if (found == 0) {
        return cb_fail(diag, CB_NOT_FOUND, at, "folder `%s` has no weights: no `model.safetensors` (or its index), no"
                       " `pytorch_model.bin`, no other .safetensors, .gguf, .pth, .pt, .bin or .npz", folder);
    }
    if (found > 1) {
        return cb_fail(diag, CB_INVALID, at, "folder `%s` has %zu weights files, among them `%s` and `%s`: name the one"
                       " that is meant", folder, found, other, only);
    }
    *out = cb_path_join(arena, folder, only);
    return *out ? CB_OK : cb_fail(diag, CB_MEMORY, at, "no memory to open `%s`", folder);
}
