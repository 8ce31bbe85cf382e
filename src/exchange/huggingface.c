/* huggingface.c: `cambium import FOLDER`: a folder in the layout of the Hugging Face hub. config.json says which network it
 * is, preprocessor_config.json what goes in, and one of several files holds the weights. Nothing in it is executed. */
#include "exchange/huggingface.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "exchange/unused.h"

#define MAX_JSON_BYTES (16 << 20)
#define MAX_LABELS 100000

const char *cb__hub_text(const struct cb_value *map, const char *key, const char *fallback)
{
    const struct cb_value *value = cb_map_get(map, key);
    return value != NULL && value->kind == CB_KIND_TEXT ? value->text : fallback;
}

int64_t cb__hub_int(const struct cb_value *map, const char *key, int64_t fallback)
{
    const struct cb_value *value = cb_map_get(map, key);
    return value != NULL && value->kind == CB_KIND_INT ? value->as.integer : fallback;
}

double cb__hub_real(const struct cb_value *map, const char *key, double fallback)
{
    double number;
    return cb_value_number(cb_map_get(map, key), &number) ? number : fallback;
}

bool cb__hub_bool(const struct cb_value *map, const char *key, bool fallback)
{
    const struct cb_value *value = cb_map_get(map, key);
    return value != NULL && value->kind == CB_KIND_BOOL ? value->as.boolean : fallback;
}

/* ---- the folder's files ---------------------------------------------------------------------------------------------- */

static enum cb_status read_json(struct cb__hub_folder *f, const char *name, bool is_needed, const struct cb_value **out,
                                struct cb_diag *diag)
{
    char *path = cb_path_join(f->arena, f->path, name);
    struct cb_value *value;
    *out = NULL;
    if (path == NULL || !cb_path_exists(path)) {
        return !is_needed ? CB_OK
                          : cb_fail(diag, CB_NOT_FOUND, NULL,
                                    "`%s` holds no %s: a folder of the Hugging Face hub has that beside its weights, and a "
                                    "weights file alone is imported with --as", f->path, name);
    }
    if (cb_file_bytes(path) > MAX_JSON_BYTES) {
        return cb_fail(diag, CB_FORMAT, NULL, "`%s` is too large for a configuration", path);
    }
    CB_TRY(cb_json_read_file(f->arena, path, &value, diag));
    if (value->kind != CB_KIND_MAP) {
        return cb_fail(diag, CB_FORMAT, &value->at, "`%s` must be a map, not %s", path, cb_kind_name(value->kind));
    }
    *out = value;
    return CB_OK;
}

static enum cb_status open_folder(struct cb__hub_folder *f, struct cb_diag *diag)
{
    CB_TRY(read_json(f, "config.json", true, &f->config, diag));
    CB_TRY(read_json(f, "preprocessor_config.json", false, &f->preprocessor, diag));
    CB_TRY(read_json(f, "1_Pooling/config.json", false, &f->pooling, diag));
    f->config_path = cb_path_join(f->arena, f->path, "config.json");
    f->model_type = cb__hub_text(f->config, "model_type", NULL);
    f->architecture = cb__hub_text(f->config, "architecture", NULL);
    const struct cb_value *all = cb_map_get(f->config, "architectures");
    if (f->model_type != NULL && all != NULL && all->kind == CB_KIND_LIST && all->as.list.count > 0) {
        f->architecture = all->as.list.items[0]->text;
    }
    if (f->model_type == NULL && f->architecture == NULL) {
        return cb_fail(diag, CB_FORMAT, &f->config->at,
                       "`%s` says neither `model_type` (transformers) nor `architecture` (timm): which network is it?",
                       f->config_path);
    }
    return CB_OK;
}

/* The file of the weights: safetensors before PyTorch's, one before several. */
static enum cb_status find_weights(const struct cb__hub_folder *f, const char **out, struct cb_diag *diag)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                        "pytorch_model.bin.index.json"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *path = cb_path_join(f->arena, f->path, names[i]);
        if (path != NULL && cb_path_exists(path)) {
            *out = path;
            return CB_OK;
        }
    }
    return cb_fail(diag, CB_NOT_FOUND, NULL,
                   "`%s` holds no weights: none of model.safetensors, model.safetensors.index.json, pytorch_model.bin, "
                   "pytorch_model.bin.index.json. Those of TensorFlow and Flax (tf_model.h5, flax_model.msgpack) are not read",
                   f->path);
}

/* ---- labels ---------------------------------------------------------------------------------------------------------- */

/* "0": "cat" and so on: every number from 0 once. NULL: not so, or only "LABEL_0", which says nothing. */
static struct cb_value *labels_of_map(struct cb_arena *arena, const struct cb_value *map)
{
    const size_t count = map->as.map.count;
    const char **names = count > 0 && count <= MAX_LABELS ? CB_NEW_ARRAY(arena, const char *, count) : NULL;
    struct cb_value *list = names != NULL ? cb_value_list(arena, NULL) : NULL;
    bool says_something = false;
    for (size_t i = 0; list != NULL && i < count; i++) {
        const struct cb_entry *entry = &map->as.map.entries[i];
        char *end;
        const unsigned long number = strtoul(entry->key, &end, 10);
        if (end == entry->key || *end != '\0' || number >= count || names[number] != NULL || entry->value->text == NULL) {
            return NULL;
        }
        names[number] = entry->value->text;
        says_something = says_something || !cb_starts_with(entry->value->text, "LABEL_");
    }
    for (size_t i = 0; list != NULL && i < count; i++) {
        if (!cb_list_append(arena, list, cb_value_text(arena, names[i], NULL))) {
            return NULL;
        }
    }
    return says_something ? list : NULL;
}

static const struct cb_value *find_labels(const struct cb__hub_folder *f)
{
    const struct cb_value *map = cb_map_get(f->config, "id2label"), *list = cb_map_get(f->config, "label_names");
    if (map != NULL && map->kind == CB_KIND_MAP) {
        return labels_of_map(f->arena, map);
    }
    bool is_list = list != NULL && list->kind == CB_KIND_LIST && list->as.list.count <= MAX_LABELS;
    struct cb_value *labels = is_list ? cb_value_list(f->arena, NULL) : NULL;
    for (size_t i = 0; labels != NULL && i < list->as.list.count; i++) {
        const char *text = list->as.list.items[i]->text;
        if (text == NULL || !cb_list_append(f->arena, labels, cb_value_text(f->arena, text, NULL))) {
            return NULL;
        }
    }
    return labels != NULL && labels->as.list.count > 0 ? labels : NULL;
}

/* ---- tokenizers ------------------------------------------------------------------------------------------------------ */

/* The first set of files that is there whole, and beside it what says how they are used. */
static enum cb_status find_tokenizer(struct cb__hub_folder *f, struct cb_imported *imported, struct cb_diag *diag)
{
    static const char *const sets[][3] = {{"tokenizer.json"}, {"vocab.txt"}, {"vocab.json", "merges.txt"}};
    static const char config[] = "tokenizer_config.json";
    struct cb_value *list = cb_value_list(f->arena, NULL);
    bool ok = list != NULL, found = false;
    for (size_t i = 0; ok && !found && i < sizeof(sets) / sizeof(sets[0]); i++) {
        found = true;
        for (size_t k = 0; sets[i][k] != NULL; k++) {
            char *path = cb_path_join(f->arena, f->path, sets[i][k]);
            found = found && path != NULL && cb_path_exists(path);
        }
        for (size_t k = 0; ok && found && sets[i][k] != NULL; k++) {
            ok = cb_list_append(f->arena, list, cb_value_text(f->arena, sets[i][k], NULL));
        }
    }
    char *beside = cb_path_join(f->arena, f->path, config);
    if (ok && found && beside != NULL && cb_path_exists(beside)) {
        ok = cb_list_append(f->arena, list, cb_value_text(f->arena, config, NULL));
    }
    for (size_t i = 0; ok && i < list->as.list.count; i++) {
        char *path = cb_path_join(f->arena, f->path, list->as.list.items[i]->text);
        ok = path != NULL && cb_imported_add_name(imported, &imported->files, path);
    }
    f->tokenizer = found ? list : NULL;
    return ok ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

static const char *folder_name(const struct cb__hub_folder *f)
{
    char *path = cb_arena_strdup(f->arena, f->path);
    for (size_t length = path != NULL ? strlen(path) : 0; length > 1 && path[length - 1] == '/'; length--) {
        path[length - 1] = '\0';
    }
    return path != NULL ? cb_path_base(path) : f->path;
}

/* timm's `model_args` can make another network of an architecture, which shows in tensors that are left over in its blocks. */
static enum cb_status refuse_variant(const struct cb__hub_folder *f, const struct cb_imported *imported, struct cb_diag *diag)
{
    const char *extra = f->model_type == NULL ? cb__unused_in_blocks(imported) : NULL;
    const struct cb_value *arguments = cb_map_get(f->config, "model_args");
    if (extra == NULL) {
        return CB_OK;
    }
    return cb_fail(diag, CB_UNSUPPORTED, arguments != NULL ? &arguments->at : &f->config->at,
                   "this `%s` is another network than the one known here: it has `%s` in its blocks (%u tensors of the file have "
                   "no place)", f->architecture, extra, imported->unused.count);
}

static enum cb_status import(const struct cb_import_request *request, struct cb__hub_folder *f, struct cb__onto *onto,
                             struct cb_imported *imported, struct cb_diag *diag)
{
    CB_TRY(open_folder(f, diag));
    CB_TRY(find_tokenizer(f, imported, diag));
    if (request->as != NULL) {
        CB_TRY(cb_backbone_open(request->as, ".", NULL, &onto->backbone, diag));
    } else {
        CB_TRY(cb__hub_backbone(f, imported->name, &onto->backbone, diag));
    }
    CB_TRY(find_weights(f, &onto->weights, diag));
    if (onto->backbone->contract.modality != CB_TEXT) {
        imported->files.count = 0;
    } else if (f->tokenizer == NULL) {
        cb_imported_note(imported, CB__NO_TOKENIZER);
    }
    CB_TRY(cb__hub_contract(f, &onto->backbone->contract, imported, diag));
    struct cb_value *input = cb_contract_to_value(onto->backbone->arena, &onto->backbone->contract);
    struct cb_value *file = cb_value_map(onto->backbone->arena, &onto->backbone->file->at);
    bool ok = file != NULL;
    for (size_t i = 0; ok && i < onto->backbone->file->as.map.count; i++) {
        const struct cb_entry *entry = &onto->backbone->file->as.map.entries[i];
        ok = cb_map_set(onto->backbone->arena, file, entry->key, strcmp(entry->key, "input") == 0 ? input : entry->value);
    }
    onto->labels = find_labels(f);
    onto->as = f->model_type != NULL ? f->model_type : f->architecture;
    onto->is_described = true;
    onto->comment = cb_arena_printf(f->arena, "%s (%s), a folder of the Hugging Face hub, by cambium import.", folder_name(f),
                                    f->architecture != NULL ? f->architecture : onto->as);
    if (!ok || onto->comment == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    onto->backbone->file = file;
    CB_TRY(cb__import_onto(request, onto, imported, diag));
    CB_TRY(refuse_variant(f, imported, diag));
    imported->format = cb_arena_printf(f->arena, "%s, %s", f->architecture != NULL ? f->architecture : onto->as,
                                       imported->format);
    return CB_OK;
}

enum cb_status cb_import_folder(const struct cb_import_request *request, struct cb_imported *imported,
                                struct cb_diag *diag)
{
    struct cb__hub_folder folder = {.arena = imported->arena, .section = "huggingface", .path = request->path};
    struct cb__onto onto = {0};
    enum cb_status status = import(request, &folder, &onto, imported, diag);
    cb_backbone_close(onto.backbone);
    return status;
}
