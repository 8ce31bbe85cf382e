/* import_write.c: what an import made is proven (read back, every param has its tensor) and written. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "exchange/import.h"

struct cb_imported *cb_imported_create(const char *name)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_imported *imported = arena != NULL ? CB_NEW(arena, struct cb_imported) : NULL;
    if (imported == NULL) {
        cb_arena_destroy(arena);
        return NULL;
    }
    imported->arena = arena;
    imported->name = cb_arena_strdup(arena, name);
    return imported;
}

void cb_imported_destroy(struct cb_imported *imported)
{
    if (imported != NULL) {
        cb_arena_destroy(imported->arena);
    }
}

bool cb_imported_add_name(struct cb_imported *imported, struct cb_name_list *list, const char *name)
{
    if ((list->count & (list->count - 1)) == 0) { /* 0 or a power of two: full */
        const char **more = CB_NEW_ARRAY(imported->arena, const char *, list->count > 0 ? 2 * (size_t)list->count : 1);
        if (more == NULL) {
            return false;
        }
        if (list->count > 0) {
            memcpy(more, list->names, list->count * sizeof(*more));
        }
        list->names = more;
    }
    char *copy = cb_arena_strdup(imported->arena, name);
    if (copy != NULL) {
        list->names[list->count++] = copy;
    }
    return copy != NULL;
}

bool cb_imported_note(struct cb_imported *imported, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *sentence = cb_arena_vprintf(imported->arena, fmt, args);
    va_end(args);
    return sentence != NULL && cb_imported_add_name(imported, &imported->notes, sentence);
}

/* ---- proof ----------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct cb_safetensors_entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Every param of the network has a tensor of its shape, and no tensor is left over. */
static enum cb_status compare(const struct cb_imported *m, const struct cb_network *net, struct cb_diag *diag)
{
    const struct cb_safetensors_entry **sorted = CB_NEW_ARRAY(net->arena, const struct cb_safetensors_entry *,
                                                              (size_t)m->entry_count + 1);
    if (sorted == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (uint32_t i = 0; i < m->entry_count; i++) {
        sorted[i] = &m->entries[i];
    }
    qsort(sorted, m->entry_count, sizeof(*sorted), by_name);
    for (uint32_t i = 0; i < net->param_count; i++) {
        const struct cb_param *param = &net->params[i];
        const struct cb_safetensors_entry key = {.name = param->name}, *wanted = &key;
        const struct cb_safetensors_entry **found = bsearch(&wanted, sorted, m->entry_count, sizeof(*sorted), by_name);
        if (found == NULL) {
            return cb_fail(diag, CB_INTERNAL, NULL, "the network `%s` as imported has a param `%s` without a tensor",
                           m->name, param->name);
        }
        const size_t bytes = param->decl.rank * sizeof(param->decl.dims[0]);
        if ((*found)->rank != param->decl.rank || memcmp((*found)->dims, param->decl.dims, bytes) != 0) {
            char ours[192], theirs[192];
            return cb_fail(diag, CB_INTERNAL, NULL, "the network `%s` as imported has `%s` %s, its tensor is %s", m->name,
                           param->name, cb_format_dims(param->decl.rank, param->decl.dims, ours),
                           cb_format_dims((*found)->rank, (*found)->dims, theirs));
        }
    }
    if (m->entry_count != net->param_count) {
        return cb_fail(diag, CB_INTERNAL, NULL, "the network `%s` as imported has %" PRIu32 " params, but %" PRIu32
                       " tensors", m->name, net->param_count, m->entry_count);
    }
    return CB_OK;
}

static enum cb_status prove(struct cb_imported *m, const char *path, struct cb_diag *diag)
{
    struct cb_registry *registry = cb_registry_create(&cb__host);
    struct cb_network *net = registry != NULL ? cb_network_create(registry, m->name) : NULL;
    struct cb_value *file = NULL;
    enum cb_status status = net != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    if (status == CB_OK) {
        status = cb_yaml_read_text(m->arena, path, m->yaml, strlen(m->yaml), &file, diag);
    }
    if (status == CB_OK) {
        status = cb_network_read(net, file, NULL, ".", diag);
    }
    if (status == CB_OK) {
        status = compare(m, net, diag);
    }
    if (status == CB_OK) {
        int64_t frozen, trainable;
        cb_network_count(net, &frozen, &trainable);
        m->param_count = frozen + trainable;
        m->layer_count = net->node_count;
        m->output = net->wires[net->backbone_output].shape;
        if (net->wires[net->inputs[0]].contract != NULL) {
            m->contract = *net->wires[net->inputs[0]].contract;
            m->contract.name = cb_arena_strdup(m->arena, m->contract.name);
        }
    }
    cb_network_destroy(net);
    cb_registry_destroy(registry);
    return status;
}

/* ---- files ----------------------------------------------------------------------------------------------------------- */

static enum cb_status refuse_existing(const char *path, struct cb_diag *diag)
{
    return cb_path_exists(path) ? cb_fail(diag, CB_INVALID, NULL, "`%s` is there already; say --force to replace it, or "
                                          "another folder or --name", path)
                                : CB_OK;
}

/* Where a file of the model goes. */
static char *copy_path(const struct cb_imported *m, const char *folder, uint32_t i)
{
    return cb_path_join(m->arena, folder, cb_path_base(m->files.names[i]));
}

static enum cb_status copy_files(const struct cb_imported *m, const char *folder, struct cb_diag *diag)
{
    enum { MAX_BYTES = 256 << 20 };
    for (uint32_t i = 0; i < m->files.count; i++) {
        char *path = copy_path(m, folder, i), *data;
        size_t bytes;
        struct cb_arena *arena = cb_arena_create();
        enum cb_status status = path != NULL && arena != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        if (status == CB_OK) {
            status = cb_file_read(arena, m->files.names[i], MAX_BYTES, &data, &bytes, NULL, diag);
        }
        if (status == CB_OK) {
            status = cb_file_write_atomic(path, data, bytes, diag);
        }
        cb_arena_destroy(arena);
        CB_TRY(status);
    }
    return CB_OK;
}

static enum cb_status write_yaml(const struct cb_imported *m, struct cb_diag *diag)
{
    struct cb_text text = {0};
    cb_text_add(&text, m->yaml);
    cb_text_addf(&text, "%s\nweights:\n  - file: %s.safetensors\n    sha256: %s\n", cb_ends_with(m->yaml, "\n") ? "" : "\n",
                 m->name, m->sha256);
    enum cb_status status = text.failed ? cb_fail(diag, CB_MEMORY, NULL, "out of memory")
                                        : cb_file_write_atomic(m->network_path, text.data, text.length, diag);
    cb_text_free(&text);
    return status;
}

enum cb_status cb_import_write(struct cb_imported *m, const char *folder, bool force, struct cb_diag *diag)
{
    char *stem = cb_path_join(m->arena, folder, m->name);
    m->network_path = stem != NULL ? cb_arena_printf(m->arena, "%s.yaml", stem) : NULL;
    m->weights_path = stem != NULL ? cb_arena_printf(m->arena, "%s.safetensors", stem) : NULL;
    if (m->network_path == NULL || m->weights_path == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    if (!force) {
        CB_TRY(refuse_existing(m->network_path, diag));
        CB_TRY(refuse_existing(m->weights_path, diag));
        for (uint32_t i = 0; i < m->files.count; i++) {
            char *path = copy_path(m, folder, i);
            CB_TRY(path != NULL ? refuse_existing(path, diag) : cb_fail(diag, CB_MEMORY, NULL, "out of memory"));
        }
    }
    CB_TRY(prove(m, m->network_path, diag));
    CB_TRY(cb_make_folders(folder, diag));
    CB_TRY(copy_files(m, folder, diag));
    const struct cb_key_value metadata[] = {{"format", "cambium"}, {"network_name", m->name}};
    CB_TRY(cb_safetensors_write(m->weights_path, m->entries, m->entry_count, metadata, 2, diag));
    CB_TRY(cb_sha256_of_file(m->weights_path, m->sha256, diag));
    return write_yaml(m, diag);
}
