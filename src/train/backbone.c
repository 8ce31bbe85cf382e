/* backbone.c: finding a backbone's description and its weights. See model.h. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "graph/family.h"
#include "train/engine.h"
#include "train/random.h"
#include "weights/fetch.h"
#include "weights/safetensors.h"

static enum cb_status read_run(struct cb_backbone *b, const char *path, const struct cb_place *at, struct cb_diag *diag)
{
    struct cb_tensor_file *file;
    CB_TRY(cb_tensors_open(path, &file, at, diag));
    const char *network = cb_tensors_metadata(file, "network");
    enum cb_status status = CB_OK;
    if (network == NULL) {
        status = cb_fail(diag, CB_FORMAT, at, "`%s` holds no network: it was not written by `cambium train`", path);
    } else {
        char *text = cb_arena_strdup(b->arena, network);
        struct cb_value *value = NULL;
        status = cb_json_read_text(b->arena, path, text, strlen(text), &value, diag);
        b->file = value;
        const char *output = cb_tensors_metadata(file, "output"), *features = cb_tensors_metadata(file, "features");
        if (status == CB_OK && output != NULL) { /* the whole network, head and all, is the backbone */
            (void)cb_map_set(b->arena, value, "output", cb_value_text(b->arena, output, at));
            b->features = features != NULL && strcmp(features, output) != 0 ? cb_arena_strdup(b->arena, features) : NULL;
        }
    }
    cb_tensors_close(file);
    b->path = cb_arena_strdup(b->arena, path);
    return status;
}

static enum cb_status not_found(struct cb_arena *arena, const char *what, const struct cb_place *at, struct cb_diag *diag)
{
    char *folder = cb_resource_path(arena, "configs/backbones"), **names = NULL;
    const char **built_in, *nearest = NULL;
    size_t count = 0;
    if (folder != NULL && cb_family_names(arena, folder, &built_in, &count, diag) == CB_OK) {
        nearest = cb_nearest_of(what, built_in, count);
    }
    if (nearest == NULL && cb_path_is_folder("runs") && cb_folder_list(arena, "runs", &names, &count, NULL, NULL) == CB_OK) {
        nearest = cb_nearest_of(what, (const char *const *)names, count);
        nearest = nearest != NULL ? cb_arena_printf(arena, "run:%s", nearest) : NULL;
    }
    return cb_fail(diag, CB_NOT_FOUND, at,
                   "there is no backbone `%s`: not a name in configs/backbones, not a network file, not a run%s%s%s", what,
                   nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "`?" : "");
}

/* A folder with a network file, as `cambium import` leaves it: that file; NULL when there is none. */
static enum cb_status find_network_file(struct cb_arena *arena, const char *folder, char **out, const struct cb_place *at,
                                        struct cb_diag *diag)
{
    char **names, *first = NULL;
    size_t count;
    CB_TRY(cb_folder_list(arena, folder, &names, &count, at, diag));
    for (size_t i = 0; i < count; i++) {
        struct cb_value *file;
        char *path = cb_ends_with(names[i], ".yaml") ? cb_path_join(arena, folder, names[i]) : NULL;
        if (path == NULL || cb_yaml_read_file(arena, path, &file, NULL) != CB_OK || cb_map_get(file, "layers") == NULL) {
            continue;
        }
        if (first != NULL) {
            return cb_fail(diag, CB_INVALID, at, "the folder `%s` holds more than one network file; say which: `%s` or `%s`",
                           folder, first, path);
        }
        first = path;
    }
    *out = first;
    return CB_OK;
}

static enum cb_status locate(struct cb_backbone *b, const char *what, const char *folder, const struct cb_place *at,
                             struct cb_diag *diag)
{
    char *path = NULL, *built_in = cb_resource_path(b->arena, "configs/backbones");
    struct cb_value *file;
    const char *member;
    if (built_in != NULL && !cb_starts_with(what, "run:") && !cb_starts_with(what, "hf:")) {
        const enum cb_status status = cb_family_find(b->arena, built_in, what, &path, &file, &member, diag);
        if (status != CB_NOT_FOUND) {
            b->path = path;
            b->name = member;
            b->file = file;
            return status;
        }
    }
    if (cb_starts_with(what, "hf:")) {
        CB_TRY(cb_hub_network(b->arena, what, at, &path, diag));
    } else if (cb_starts_with(what, "run:")) {
        path = cb_arena_printf(b->arena, "runs/%s", what + 4);
    } else {
        const char *colon = strrchr(what, ':'); /* FILE.yaml:MODEL */
        if (colon != NULL && colon - what > 5 && memcmp(colon - 5, ".yaml", 5) == 0) {
            b->name = cb_arena_strdup(b->arena, colon + 1);
            what = cb_arena_printf(b->arena, "%.*s", (int)(colon - what), what);
        }
        path = what != NULL ? cb_path_join(b->arena, folder, what) : NULL;
        path = path != NULL && cb_path_exists(path) ? path : cb_arena_strdup(b->arena, what);
    }
    if (path == NULL || !cb_path_exists(path)) {
        return not_found(b->arena, what, at, diag);
    }
    if (cb_path_is_folder(path)) {
        char *model = cb_path_join(b->arena, path, "model.safetensors"), *network = NULL;
        CB_TRY(find_network_file(b->arena, path, &network, at, diag));
        if (network == NULL && !cb_path_exists(model)) {
            return cb_fail(diag, CB_NOT_FOUND, at, "the folder `%s` is no run, which has a model.safetensors, and holds no "
                           "network file (YAML with `layers`), as `cambium import` writes one", path);
        }
        if (network == NULL) {
            b->run = path;
            return read_run(b, model, at, diag);
        }
        path = network;
    }
    if (cb_ends_with(path, ".safetensors")) {
        b->run = cb_path_folder(b->arena, path);
        return read_run(b, path, at, diag);
    }
    CB_TRY(cb_yaml_read_file(b->arena, path, &file, diag));
    b->file = file;
    b->path = path;
    return CB_OK;
}

/* Of a family the chosen member, with all that depends on the parameters. `b->name` is that member or NULL: what was asked for
 * is a path, perhaps of a family with one model. */
static enum cb_status settle(struct cb_backbone *b, struct cb_diag *diag)
{
    struct cb_value *settled;
    const struct cb_value *models = cb_map_get(b->file, "models");
    if (b->name == NULL && models != NULL && models->kind == CB_KIND_MAP && models->as.map.count == 1) {
        b->name = models->as.map.entries[0].key;
    }
    CB_TRY(cb_family_settle(b->arena, b->file, b->name, &settled, diag));
    b->file = settled;
    return CB_OK;
}

enum cb_status cb_backbone_open(const char *what, const char *folder, const struct cb_place *at,
                                struct cb_backbone **out, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_backbone *b = arena != NULL ? CB_NEW(arena, struct cb_backbone) : NULL;
    if (b == NULL) {
        cb_arena_destroy(arena);
        return cb_fail(diag, CB_MEMORY, at, "out of memory");
    }
    b->arena = arena;
    enum cb_status status = locate(b, what, folder, at, diag);
    if (status == CB_OK && b->file->kind != CB_KIND_MAP) {
        status = cb_fail(diag, CB_INVALID, &b->file->at, "a network file must be a map, not %s",
                         cb_kind_name(b->file->kind));
    }
    status = status == CB_OK ? settle(b, diag) : status;
    if (status == CB_OK) {
        const struct cb_value *name = cb_map_get(b->file, "name"), *input = cb_map_get(b->file, "input");
        const struct cb_value *inputs = cb_map_get(b->file, "inputs");
        b->name = name != NULL && name->text != NULL ? name->text : cb_path_stem(arena, b->path);
        b->folder = cb_path_folder(arena, b->path);
        const char *input_name = NULL;
        if (input == NULL && inputs != NULL && inputs->kind == CB_KIND_MAP && inputs->as.map.count > 0) {
            input = inputs->as.map.entries[0].value;
            input_name = inputs->as.map.entries[0].key;
        }
        status = input != NULL ? cb_contract_read(input, &b->contract, diag)
                               : cb_fail(diag, CB_INVALID, &b->file->at, "a network file needs `input`, its contract");
        b->contract.name = input_name != NULL ? input_name : b->contract.name;
    }
    if (status != CB_OK) {
        cb_backbone_close(b);
        return status;
    }
    *out = b;
    return CB_OK;
}

void cb_backbone_close(struct cb_backbone *backbone)
{
    if (backbone != NULL) {
        cb_arena_destroy(backbone->arena);
    }
}

/* ---- weights ------------------------------------------------------------------------------------------------------- */

struct conversion {
    struct cb_backbone *backbone;
};

/* Passes on how far a download is; false stops it. */
static bool on_download(void *context, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    const struct cb_watch *watch = ((struct conversion *)context)->backbone->watch;
    if (watch != NULL && watch->download != NULL) {
        watch->download(watch->context, what, done_bytes, total_bytes);
    }
    return !cb_watch_cancelled(watch);
}

/* Reads a file of another framework onto the backbone's own network and writes it in our layouts. */
static enum cb_status convert(void *context, const struct cb_weight_source *source, const char *from, const char *sha256,
                              const char *to, struct cb_diag *diag)
{
    struct cb_backbone *b = ((struct conversion *)context)->backbone;
    struct cb_registry *registry = cb_registry_create(&cb__host);
    struct cb_model *model = NULL;
    (void)source;
    if (registry == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    enum cb_status status = cb_model_from_backbone(b, registry, NULL, true, &model, diag);
    if (status == CB_OK) {
        status = cb_model_load_weights(model, b, from, NULL, diag);
    }
    uint32_t count = status == CB_OK ? model->net->param_count : 0;
    struct cb_safetensors_entry *entries = calloc(count + 1, sizeof(*entries));
    for (uint32_t i = 0; entries != NULL && i < count; i++) {
        const struct cb_param *param = &model->net->params[i];
        entries[i] = (struct cb_safetensors_entry){.name = param->name, .type = CB_STORED_F32, .rank = param->decl.rank,
                                                   .data = param->host};
        memcpy(entries[i].dims, param->decl.dims, sizeof(entries[i].dims));
    }
    if (status == CB_OK) {
        const struct cb_key_value metadata[] = {{"format", "cambium"}, {"network_name", b->name}, {"made_from", sha256}};
        status = entries != NULL ? cb_safetensors_write(to, entries, count, metadata, 3, diag)
                                 : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    free(entries);
    cb_model_destroy(model);
    cb_registry_destroy(registry);
    return status;
}

enum cb_status cb_backbone_weights(struct cb_backbone *b, char **out_path, struct cb_diag *diag)
{
    if (b->run != NULL) {
        *out_path = cb_arena_strdup(b->arena, b->path);
        return CB_OK;
    }
    struct cb_weight_source *sources;
    uint32_t count;
    CB_TRY(cb_weight_sources_read(b->arena, cb_map_get(b->file, "weights"), &sources, &count, diag));
    if (count == 0) {
        return cb_fail(diag, CB_NOT_FOUND, NULL,
                       "the backbone `%s` names no pretrained weights; say `weights: none` to begin from random values",
                       b->name);
    }
    struct cb_text json = {0};
    cb_value_to_json(b->file, &json);
    char key[65];
    cb_sha256_of(json.data != NULL ? json.data : "", json.length, key);
    cb_text_free(&json);
    struct conversion context = {b};
    struct cb_fetch_request request = {.name = b->name, .sources = sources, .source_count = count, .folder = b->folder,
                                       .conversion_key = key, .convert = convert, .context = &context,
                                       .progress = on_download};
    struct cb_fetch_result result;
    CB_TRY(cb_fetch(&request, b->arena, &result, diag));
    *out_path = cb_arena_strdup(b->arena, result.path);
    return CB_OK;
}
