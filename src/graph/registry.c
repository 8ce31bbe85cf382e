/* registry.c: finds, loads and checks plugins. See registry.h. */
#include "graph/registry.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "device/device.h"
#include "graph/descriptor.h"
#include "graph/object.h"

#define MAX_FOLDERS 64
struct type_entry {
    struct type_entry *next;
    struct cb_layer_type type;
};

struct cb_registry {
    struct cb_arena *arena;
    const struct cb_host *host;
    const char *folders[MAX_FOLDERS];
    size_t folder_count;
    struct type_entry *types;
};

static void append_folder(struct cb_registry *r, const char *folder)
{
    if (folder != NULL && r->folder_count < MAX_FOLDERS) {
        r->folders[r->folder_count++] = folder;
    }
}

struct cb_registry *cb_registry_create(const struct cb_host *host)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_registry *r = arena != NULL ? CB_NEW(arena, struct cb_registry) : NULL;
    if (r == NULL) {
        cb_arena_destroy(arena);
        return NULL;
    }
    r->arena = arena;
    r->host = host;
    const char *path = getenv("CAMBIUM_PLUGIN_PATH");
    while (path != NULL && *path != '\0') {
        size_t length = strcspn(path, ":");
        if (length > 0) {
            append_folder(r, cb_arena_strndup(arena, path, length));
        }
        path += length + (path[length] == ':');
    }
    char *data = cb_user_data_folder(arena);
    if (data != NULL) {
        append_folder(r, cb_path_join(arena, data, "plugins"));
    }
    append_folder(r, cb_resource_path(arena, "plugins"));
    return r;
}

void cb_registry_destroy(struct cb_registry *registry)
{
    if (registry != NULL) {
        cb_arena_destroy(registry->arena);
    }
}

enum cb_status cb_registry_add_folder(struct cb_registry *r, const char *folder, const struct cb_place *at,
                                      struct cb_diag *diag)
{
    if (!cb_path_is_folder(folder)) {
        return cb_fail(diag, CB_NOT_FOUND, at, "the plugin folder `%s` does not exist", folder);
    }
    if (r->folder_count == MAX_FOLDERS) {
        return cb_fail(diag, CB_INVALID, at, "more than %d plugin folders", MAX_FOLDERS);
    }
    memmove(r->folders + 1, r->folders, r->folder_count * sizeof(r->folders[0]));
    r->folders[0] = cb_arena_strdup(r->arena, folder);
    r->folder_count++;
    return CB_OK;
}

/* ---- types of a plugin ------------------------------------------------------------------------------------------- */

typedef const struct cb_plugin *entry_function(const struct cb_host *host);

/* What goes without saying. */
static void fill_in(struct cb_layer *layer)
{
    layer->output_count = layer->output_count == 0 ? 1 : layer->output_count;
    if (layer->max_inputs == 0) {
        layer->min_inputs = layer->max_inputs = 1;
    }
    if (layer->pointwise != NULL) {
        layer->dx_needs = layer->pointwise->df_reads;
        layer->inplace = layer->inplace_grad = CB_BIT(0);
    }
}

static enum cb_status add_type(struct cb_registry *r, const struct cb_layer *given, size_t given_bytes, const char *path,
                               const struct cb_place *at, struct cb_diag *diag)
{
    struct type_entry *entry = CB_NEW(r->arena, struct type_entry);
    if (entry == NULL) {
        return cb_fail(diag, CB_MEMORY, at, "out of memory");
    }
    struct cb_layer_type *type = &entry->type;
    cb__copy_sized(&type->layer, sizeof(type->layer), given, given_bytes);
    const char *fault = cb__layer_fault(&type->layer);
    if (fault != NULL) {
        return cb_fail(diag, CB_INVALID, at, "the plugin `%s` %s", path, fault);
    }
    fill_in(&type->layer);
    type->variant_count = type->layer.variants.count;
    struct cb_variant *variants = CB_NEW_ARRAY(r->arena, struct cb_variant, type->variant_count + 1);
    if (variants == NULL) {
        return cb_fail(diag, CB_MEMORY, at, "out of memory");
    }
    for (uint32_t i = 0; i < type->variant_count; i++) {
        cb__copy_sized(&variants[i], sizeof(variants[i]),
                   (const char *)type->layer.variants.items + (size_t)i * type->layer.variants.stride,
                   type->layer.variants.stride);
    }
    type->variants = variants;
    type->path = path;
    type->folder = cb_path_folder(r->arena, path);
    entry->next = r->types;
    r->types = entry;
    return CB_OK;
}

/* ---- loading ---------------------------------------------------------------------------------------------------- */

static enum cb_status take_kernels(const struct cb_plugin *plugin, const char *folder, const char *path,
                                   const struct cb_place *at, struct cb_diag *diag)
{
    for (uint32_t i = 0; i < plugin->kernels.count; i++) {
        const struct cb_kernel_file *file = cb__table_at(&plugin->kernels, i);
        if (file->name == NULL || file->path == NULL || file->text == NULL) {
            return cb_fail(diag, CB_FORMAT, at, "the plugin `%s` carries a kernel file without name, path or text", path);
        }
        if (cb_kernel_carry(folder, file) != CB_OK) {
            return cb_fail(diag, CB_MEMORY, at, "out of memory");
        }
    }
    return CB_OK;
}

/* The descriptor in this core's size. */
static enum cb_status enter(struct cb_registry *r, const char *path, struct cb_plugin *out, const struct cb_place *at,
                            struct cb_diag *diag)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        return cb_fail(diag, CB_FORMAT, at, "the plugin `%s` cannot be loaded: %s", path, dlerror());
    }
    entry_function *entry = NULL;
    *(void **)&entry = dlsym(handle, "cb_plugin_entry");
    if (entry == NULL) {
        return cb_fail(diag, CB_FORMAT, at, "the plugin `%s` does not export `cb_plugin_entry`", path);
    }
    const struct cb_plugin *plugin = entry(r->host);
    if (plugin == NULL || plugin->struct_size < offsetof(struct cb_plugin, layers)) {
        return cb_fail(diag, CB_FORMAT, at, "the plugin `%s` gives no descriptor", path);
    }
    if (plugin->abi != CB_ABI) {
        return cb_fail(diag, CB_UNSUPPORTED, at, "the plugin `%s` was built for ABI %u, this program has ABI %u: build it again",
                       path, plugin->abi, CB_ABI);
    }
    cb__copy_sized(out, sizeof(*out), plugin, plugin->struct_size);
    if (plugin->struct_size < offsetof(struct cb_plugin, kernels) || out->layers.count == 0 ||
        !cb__table_is_sound(&out->layers, offsetof(struct cb_layer, check)) ||
        !cb__table_is_sound(&out->kernels, sizeof(struct cb_kernel_file))) {
        return cb_fail(diag, CB_FORMAT, at, "the plugin `%s` has no layers or a table of impossible size", path);
    }
    return CB_OK;
}

static enum cb_status open_plugin(struct cb_registry *r, const char *path, const struct cb_place *at,
                                  struct cb_diag *diag)
{
    struct cb_plugin plugin;
    CB_TRY(enter(r, path, &plugin, at, diag));
    for (uint32_t i = 0; i < plugin.layers.count; i++) {
        const struct cb_layer *layer = cb__table_at(&plugin.layers, i);
        const bool says = layer->struct_size != 0 && layer->struct_size < plugin.layers.stride;
        const size_t bytes = says ? layer->struct_size : plugin.layers.stride;
        if (bytes < offsetof(struct cb_layer, check)) {
            return cb_fail(diag, CB_FORMAT, at, "the plugin `%s` has a layer descriptor of impossible size", path);
        }
        CB_TRY(add_type(r, layer, bytes, path, at, diag));
    }
    return take_kernels(&plugin, cb_path_folder(r->arena, path), path, at, diag);
}

static enum cb_status load(struct cb_registry *r, const char *path, const struct cb_place *at, struct cb_diag *diag)
{
    char real[PATH_MAX]; /* whoever can replace what a link leads to need not write to the link */
    const bool is_real = realpath(path, real) != NULL;
    const char *const touched[] = {cb_path_folder(r->arena, path), path, is_real ? cb_path_folder(r->arena, real) : NULL};
    for (size_t i = 0; i < sizeof(touched) / sizeof(touched[0]); i++) {
        if (touched[i] == NULL || cb_path_is_unsafe(touched[i])) {
            return cb_fail(diag, CB_INVALID, at, "the plugin `%s` is not loaded: others can write to `%s` (chmod go-w)", path,
                           touched[i] != NULL ? touched[i] : path);
        }
    }
    const char *fault = cb__object_fault(path);
    if (fault != NULL) {
        return cb_fail(diag, CB_FORMAT, at, "the plugin `%s` %s", path, fault);
    }
    CB_TRY(cb__trial_of_plugin(path, at, diag));
    return open_plugin(r, path, at, diag);
}

void cb_registry_try_plugin(const struct cb_host *host, const char *path)
{
    struct cb_registry *r = cb_registry_create(host);
    if (r != NULL) {
        (void)open_plugin(r, path, NULL, NULL);
    }
    cb_registry_destroy(r);
}

static const struct cb_layer_type *find_loaded(const struct cb_registry *r, const char *word)
{
    for (const struct type_entry *e = r->types; e != NULL; e = e->next) {
        if (strcmp(e->type.layer.name, word) == 0) {
            return &e->type;
        }
    }
    return NULL;
}

enum cb_status cb_registry_find(struct cb_registry *r, const char *word, const struct cb_place *at,
                                const struct cb_layer_type **out, struct cb_diag *diag)
{
    const struct cb_layer_type *type = find_loaded(r, word);
    if (type != NULL) {
        *out = type;
        return CB_OK;
    }
    for (size_t i = 0; cb__word_is_sound(word) && i < r->folder_count; i++) {
        char *path = cb_arena_printf(r->arena, "%s/%s.so", r->folders[i], word);
        if (path == NULL || !cb_path_exists(path)) {
            continue;
        }
        CB_TRY(load(r, path, at, diag));
        type = find_loaded(r, word);
        if (type == NULL) {
            return cb_fail(diag, CB_FORMAT, at, "the plugin `%s` has no layer `%s`", path, word);
        }
        *out = type;
        return CB_OK;
    }
    const char **words = NULL;
    size_t count = 0;
    (void)cb_registry_words(r, r->arena, &words, &count, NULL);
    const char *nearest = cb_nearest_of(word, words, count);
    if (nearest != NULL) {
        return cb_fail(diag, CB_NOT_FOUND, at, "there is no layer `%s`; did you mean `%s`?", word, nearest);
    }
    return cb_fail(diag, CB_NOT_FOUND, at, "there is no layer `%s`; `cambium layers` lists what there is", word);
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

const char *cb_registry_shadowed(struct cb_registry *r, const char *word, uint32_t index)
{
    const char *seen[MAX_FOLDERS];
    uint32_t count = 0;
    for (size_t i = 0; cb__word_is_sound(word) && i < r->folder_count; i++) {
        char *path = cb_arena_printf(r->arena, "%s/%s.so", r->folders[i], word);
        bool is_new = path != NULL && cb_path_exists(path);
        for (uint32_t k = 0; is_new && k < count; k++) {
            is_new = !is_same_file(path, seen[k]);
        }
        if (is_new && count == index + 1) {
            return path;
        }
        if (is_new) {
            seen[count++] = path;
        }
    }
    return NULL;
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum cb_status cb_registry_words(struct cb_registry *r, struct cb_arena *arena, const char ***out_words, size_t *out_count,
                                 struct cb_diag *diag)
{
    size_t count = 0, capacity = 64;
    const char **words = CB_NEW_ARRAY(arena, const char *, capacity);
    for (size_t f = 0; words != NULL && f < r->folder_count; f++) {
        char **names = NULL;
        size_t name_count = 0;
        if (!cb_path_is_folder(r->folders[f]) ||
            cb_folder_list(arena, r->folders[f], &names, &name_count, NULL, NULL) != CB_OK) {
            continue;
        }
        for (size_t i = 0; i < name_count; i++) {
            char *word = cb_path_stem(arena, names[i]);
            if (!cb_ends_with(names[i], ".so") || word == NULL || !cb__word_is_sound(word) ||
                !cb_path_exists(cb_path_join(arena, r->folders[f], names[i]))) { /* a link that leads nowhere */
                continue;
            }
            bool known = false;
            for (size_t k = 0; k < count && !known; k++) {
                known = strcmp(words[k], word) == 0;
            }
            if (known) {
                continue;
            }
            if (count == capacity) {
                const char **more = CB_NEW_ARRAY(arena, const char *, capacity * 2);
                if (more == NULL) {
                    return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
                }
                memcpy(more, words, count * sizeof(*words));
                words = more;
                capacity *= 2;
            }
            words[count++] = word;
        }
    }
    if (words == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    qsort(words, count, sizeof(*words), compare_words);
    *out_words = words;
    *out_count = count;
    return CB_OK;
}
