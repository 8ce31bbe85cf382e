/* tokenizer.c: the tokenizer of a backbone, from the files that its contract names, or of a run, from its model file, where
 * each file is a tensor of bytes, `tokenizer/NAME`: so that a run predicts on its own. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/tokenizer.h"
#include "train/engine.h"
#include "weights/fetch.h"
#include "weights/safetensors.h"

#define PREFIX "tokenizer/"
#define MAX_FILES 16
#define MAX_BYTES ((size_t)256 << 20)

/* ---- in a model file ------------------------------------------------------------------------------------------------- */

uint32_t cb__tokenizer_entries(struct cb_arena *arena, const struct cb_tokenizer *tokenizer,
                               struct cb_safetensors_entry *out, uint32_t room)
{
    uint32_t count = 0;
    for (size_t i = 0; tokenizer != NULL && i < cb_tokenizer_file_count(tokenizer) && count < room; i++) {
        const struct cb_tokenizer_file *file = cb_tokenizer_file_at(tokenizer, i);
        if (file->bytes > 0) {
            out[count++] = (struct cb_safetensors_entry){.name = cb_arena_printf(arena, PREFIX "%s", file->name),
                                                         .type = CB_STORED_U8, .rank = 1, .dims = {(int64_t)file->bytes},
                                                         .data = file->data};
        }
    }
    return count;
}

static enum cb_status read_bytes(struct cb_tensor_file *file, const struct cb_tensor_entry *entry, char *out,
                                 struct cb_diag *diag)
{
    int64_t *wide = malloc(entry->count * sizeof(*wide) + 1);
    if (wide == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    enum cb_status status = cb_tensors_read_i64(file, entry, wide, diag);
    for (uint64_t i = 0; status == CB_OK && i < entry->count; i++) {
        out[i] = (char)wide[i];
    }
    free(wide);
    return status;
}

enum cb_status cb__tokenizer_from_tensors(struct cb_tensor_file *file, struct cb_tokenizer **out, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_tokenizer_file files[MAX_FILES];
    size_t count = 0;
    enum cb_status status = arena != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    for (uint32_t i = 0; status == CB_OK && i < cb_tensors_count(file) && count < MAX_FILES; i++) {
        const struct cb_tensor_entry *entry = cb_tensors_at(file, i);
        if (!cb_starts_with(entry->name, PREFIX) || entry->type != CB_STORED_U8 || entry->count > MAX_BYTES) {
            continue;
        }
        char *data = CB_NEW_ARRAY(arena, char, (size_t)entry->count + 1);
        status = data != NULL ? read_bytes(file, entry, data, diag) : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        files[count++] = (struct cb_tokenizer_file){entry->name + strlen(PREFIX), data, (size_t)entry->count};
    }
    *out = NULL;
    if (status == CB_OK && count > 0) {
        status = cb_tokenizer_open_files(cb_tensors_path(file), files, count, out, diag);
    }
    cb_arena_destroy(arena);
    return status;
}

/* ---- of a backbone --------------------------------------------------------------------------------------------------- */

/* Where a file of the contract is: beside the network file, in the user's weights folder, or fetched there. */
static enum cb_status find_file(struct cb_backbone *b, const struct cb_value *item, const char **out, struct cb_diag *diag)
{
    struct cb_weight_source *sources;
    struct cb_fetch_result result;
    uint32_t count;
    const struct cb_value *map = item;
    if (item->kind == CB_KIND_TEXT) {
        char *path = cb_path_join(b->arena, b->folder, item->text);
        if (path != NULL && cb_path_exists(path)) {
            *out = path;
            return CB_OK;
        }
        struct cb_value *file = cb_value_map(b->arena, &item->at);
        if (file == NULL || !cb_map_set(b->arena, file, "file", cb_value_text(b->arena, item->text, &item->at))) {
            return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        }
        map = file;
    }
    CB_TRY(cb_weight_sources_read(b->arena, map, &sources, &count, diag));
    const struct cb_fetch_request request = {.name = b->name, .sources = sources, .source_count = count,
                                             .folder = b->folder};
    CB_TRY(cb_fetch(&request, b->arena, &result, diag));
    *out = result.path;
    return CB_OK;
}

/* Several files that belong together. */
static enum cb_status open_list(struct cb_backbone *b, const struct cb_value *list, struct cb_diag *diag)
{
    struct cb_tokenizer_file files[MAX_FILES];
    size_t count = 0;
    for (size_t i = 0; i < list->as.list.count && count < MAX_FILES; i++) {
        const char *path = NULL;
        char *data;
        size_t bytes;
        CB_TRY(find_file(b, list->as.list.items[i], &path, diag));
        CB_TRY(cb_file_read(b->arena, path, MAX_BYTES, &data, &bytes, &list->as.list.items[i]->at, diag));
        files[count++] = (struct cb_tokenizer_file){cb_path_base(path), data, bytes};
    }
    return cb_tokenizer_open_files(b->name, files, count, &b->tokenizer, diag);
}

static void close_tokenizer(void *object)
{
    cb_tokenizer_close(((struct cb_backbone *)object)->tokenizer);
}

enum cb_status cb_backbone_tokenizer(struct cb_backbone *b, struct cb_tokenizer **out, struct cb_diag *diag)
{
    const struct cb_value *named = b->contract.tokenizer;
    if (b->tokenizer != NULL) {
        *out = b->tokenizer;
        return CB_OK;
    }
    enum cb_status status = CB_OK;
    if (b->run != NULL) {
        struct cb_tensor_file *file;
        CB_TRY(cb_tensors_open(b->path, &file, NULL, diag));
        status = cb__tokenizer_from_tensors(file, &b->tokenizer, diag);
        cb_tensors_close(file);
    } else if (named != NULL && named->kind == CB_KIND_LIST) {
        status = open_list(b, named, diag);
    } else if (named != NULL) {
        const char *path = NULL;
        CB_TRY(find_file(b, named, &path, diag));
        status = cb_tokenizer_open(path, &b->tokenizer, &named->at, diag);
    }
    CB_TRY(status);
    if (b->tokenizer == NULL) {
        cb_fail(diag, CB_NOT_FOUND, NULL, "the network `%s` names no `tokenizer`: what its tokens are cannot be known", b->name);
        cb_note(diag, &b->contract.at, "the network's input is described here");
        return CB_NOT_FOUND;
    }
    if (!cb_arena_on_destroy(b->arena, close_tokenizer, b)) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    *out = b->tokenizer;
    return CB_OK;
}

/* ---- and its network --------------------------------------------------------------------------------------------------- */

enum cb_status cb_tokenizer_check(const struct cb_tokenizer *tokenizer, const struct cb_network *net,
                                  const struct cb_place *at, struct cb_diag *diag)
{
    const uint32_t ids = net->inputs[0], size = cb_tokenizer_size(tokenizer);
    for (uint32_t i = 0; i < net->node_count; i++) {
        const struct cb_node *node = &net->nodes[i];
        if (node->x_count == 0 || node->x[0] != ids || node->param_count == 0) {
            continue;
        }
        const struct cb_param *table = &net->params[node->params[0]];
        if (table->decl.role == CB_PARAM_TABLE && (int64_t)size > table->decl.dims[0]) {
            return cb_fail(diag, CB_MISMATCH, at, "the tokenizer (%s) has %u tokens, but the table `%s` of the network `%s` "
                           "has %lld rows: it is of another network", cb_tokenizer_describe(tokenizer), size, node->name,
                           net->name, (long long)table->decl.dims[0]);
        }
    }
    return CB_OK;
}
