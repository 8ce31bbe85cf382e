/* model_file.c: model.safetensors: all that is needed to predict, in one file. See model.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "train/model.h"
#include "weights/safetensors.h"

/* ---- writing -------------------------------------------------------------------------------------------------------- */

struct metadata {
    struct cb_arena *arena;
    struct cb_key_value items[24];
    uint32_t count;
};

static void put(struct metadata *m, const char *key, const char *value)
{
    if (value != NULL && m->count < sizeof(m->items) / sizeof(m->items[0])) {
        m->items[m->count++] = (struct cb_key_value){key, value};
    }
}

static void put_json(struct metadata *m, const char *key, const struct cb_value *value)
{
    struct cb_text text = {0};
    if (value != NULL) {
        cb_value_to_json(value, &text);
        put(m, key, cb_arena_strdup(m->arena, text.data));
    }
    cb_text_free(&text);
}

static struct cb_value *names_value(struct cb_arena *arena, const struct cb_model *model, bool frozen)
{
    struct cb_value *list = cb_value_list(arena, NULL);
    for (uint32_t i = 0; !frozen && list != NULL && i < model->class_count && model->classes != NULL; i++) {
        (void)cb_list_append(arena, list, cb_value_text(arena, model->classes[i], NULL));
    }
    for (uint32_t i = 0; frozen && list != NULL && i < model->net->node_count; i++) {
        const struct cb_node *node = &model->net->nodes[i];
        if (node->frozen && node->param_count + node->state_count > 0) {
            (void)cb_list_append(arena, list, cb_value_text(arena, node->name, NULL));
        }
    }
    return list;
}

static void describe(const struct cb_model *model, const struct cb_model_extra *extra, struct metadata *m)
{
    struct cb_arena *arena = m->arena;
    put(m, "format", "cambium");
    put(m, "format_version", cb_arena_printf(arena, "%d", CB_FORMAT_VERSION));
    put(m, "cambium_version", CB_VERSION);
    put(m, "backbone", model->net->name);
    put_json(m, "network", cb_network_to_value(model->net, arena));
    put(m, "output", model->net->wires[model->scores].name);
    put(m, "features", model->net->wires[model->features].name);
    put(m, "link", model->link);
    if (model->classes != NULL) {
        put_json(m, "classes", names_value(arena, model, false));
    }
    put(m, "background", cb_arena_printf(arena, "%u %u %u", model->background.r, model->background.g,
                                         model->background.b));
    put_json(m, "frozen", names_value(arena, model, true));
    put(m, "frozen_sha256", model->frozen_before);
    put(m, "weights_sha256", model->weights_sha256);
    if (extra->head_only) {
        put(m, "base", model->weights_path);
        put(m, "base_sha256", model->weights_sha256);
    }
    put_json(m, "task", extra->task);
    put(m, "task_folder", extra->task_folder);
    put_json(m, "results", extra->results);
}

enum cb_status cb_model_save(const struct cb_model *model, const struct cb_model_extra *extra, const char *path,
                             struct cb_diag *diag)
{
    const struct cb_network *net = model->net;
    struct cb_arena *arena = cb_arena_create();
    struct cb_safetensors_entry *entries =
        arena != NULL ? CB_NEW_ARRAY(arena, struct cb_safetensors_entry, net->param_count + 32) : NULL;
    if (entries == NULL) {
        cb_arena_destroy(arena);
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < net->param_count; i++) {
        const struct cb_param *param = &net->params[i];
        if (extra->head_only && net->nodes[param->node].frozen && param->source == CB_PARAM_LOADED) {
            continue; /* bit for bit what the base file holds */
        }
        struct cb_safetensors_entry *e = &entries[count++];
        *e = (struct cb_safetensors_entry){.name = param->name, .type = CB_STORED_F32, .rank = param->decl.rank,
                                           .data = param->host};
        memcpy(e->dims, param->decl.dims, sizeof(e->dims));
    }
    count += cb__tokenizer_entries(arena, model->tokenizer, entries + count, 16);
    struct metadata m = {.arena = arena};
    describe(model, extra, &m);
    enum cb_status status = cb_safetensors_write(path, entries, count, m.items, m.count, diag);
    cb_arena_destroy(arena);
    return status;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

/* Format 0 is what was written before files carried a version: the same without it. A change that an older program would
 * misread takes a new number, and this reader keeps knowing the older ones. */
static enum cb_status check_version(struct cb_tensor_file *file, const char *path, struct cb_diag *diag)
{
    const char *format = cb_tensors_metadata(file, "format"), *version = cb_tensors_metadata(file, "format_version");
    if (format == NULL || strcmp(format, "cambium") != 0 ||
        cb_tensors_metadata(file, "network") == NULL) {
        return cb_fail(diag, CB_FORMAT, NULL, "`%s` is no run of Cambium: its metadata holds no network", path);
    }
    version = version != NULL ? version : "0";
    char *end;
    long number = strtol(version, &end, 10);
    if (end == version || *end != '\0' || number < 0) {
        return cb_fail(diag, CB_FORMAT, NULL, "`%s` has the format version `%s`; there are 0 to %d", path, version,
                       CB_FORMAT_VERSION);
    }
    if (number > CB_FORMAT_VERSION) {
        return cb_fail(diag, CB_UNSUPPORTED, NULL,
                       "`%s` was written by a newer Cambium (format %ld, this program reads up to %d): update Cambium",
                       path, number, CB_FORMAT_VERSION);
    }
    return CB_OK;
}

static enum cb_status fill_from(struct cb_model *model, struct cb_tensor_file *file, bool may_miss, struct cb_diag *diag)
{
    for (uint32_t i = 0; i < model->net->param_count; i++) {
        struct cb_param *param = &model->net->params[i];
        const struct cb_tensor_entry *entry = cb_tensors_find(file, param->name);
        if (entry == NULL && (may_miss || param->source == CB_PARAM_LOADED)) {
            continue;
        }
        if (entry == NULL) {
            return cb_fail(diag, CB_FORMAT, NULL, "`%s` lacks the tensor `%s`: it cannot predict", cb_tensors_path(file),
                           param->name);
        }
        bool same = entry->rank == param->decl.rank && entry->count == (uint64_t)param->count;
        for (uint32_t k = 0; same && k < entry->rank; k++) {
            same = entry->dims[k] == param->decl.dims[k];
        }
        if (!same) {
            char theirs[192], ours[192];
            return cb_fail(diag, CB_MISMATCH, NULL, "`%s`: the tensor `%s` has the shape %s, its network wants %s",
                           cb_tensors_path(file), param->name, cb_format_dims(entry->rank, entry->dims, theirs),
                           cb_format_dims(param->decl.rank, param->decl.dims, ours));
        }
        CB_TRY(cb_tensors_read_f32(file, entry, param->host, diag));
        param->source = CB_PARAM_LOADED;
    }
    return CB_OK;
}

/* A file with `save: head` names the file that holds the rest. */
static enum cb_status fill_from_base(struct cb_model *model, struct cb_tensor_file *file, struct cb_diag *diag)
{
    const char *base = cb_tensors_metadata(file, "base"), *wanted = cb_tensors_metadata(file, "base_sha256");
    if (base == NULL) {
        return CB_OK;
    }
    char hex[65];
    if (!cb_path_exists(base)) {
        return cb_fail(diag, CB_NOT_FOUND, NULL, "`%s` holds only the head; its backbone `%s` (SHA-256 %s) is missing",
                       cb_tensors_path(file), base, wanted != NULL ? wanted : "unknown");
    }
    CB_TRY(cb_sha256_of_file(base, hex, diag));
    if (wanted == NULL || strcmp(hex, wanted) != 0) {
        return cb_fail(diag, CB_MISMATCH, NULL,
                       "`%s` holds only the head; its backbone `%s` has changed: SHA-256 %s, when it was trained %s",
                       cb_tensors_path(file), base, hex, wanted != NULL ? wanted : "unknown");
    }
    struct cb_tensor_file *other;
    CB_TRY(cb_tensors_open(base, &other, NULL, diag));
    enum cb_status status = fill_from(model, other, true, diag);
    cb_tensors_close(other);
    return status;
}

static enum cb_status read_rest(struct cb_model *model, struct cb_tensor_file *file, struct cb_diag *diag)
{
    struct cb_arena *arena = model->net->arena;
    const char *output = cb_tensors_metadata(file, "output"), *features = cb_tensors_metadata(file, "features");
    model->scores = output != NULL ? cb_network_find_wire(model->net, output) : model->net->backbone_output;
    model->features = features != NULL ? cb_network_find_wire(model->net, features) : model->scores;
    if (model->scores == CB_NONE || model->features == CB_NONE) {
        return cb_fail(diag, CB_FORMAT, NULL, "`%s`: its output `%s` is no layer of its network", cb_tensors_path(file),
                       output != NULL ? output : "");
    }
    model->input = model->net->inputs[0];
    if (model->net->wires[model->input].contract != NULL) {
        model->contract = *model->net->wires[model->input].contract;
    }
    const struct cb_tensor *scores = &model->net->wires[model->scores].shape;
    model->outputs = (uint32_t)scores->dims[scores->rank - 1];
    const char *link = cb_tensors_metadata(file, "link"), *classes = cb_tensors_metadata(file, "classes");
    model->link = link != NULL ? cb_arena_strdup(arena, link) : NULL;
    unsigned r = 255, g = 255, b = 255;
    const char *background = cb_tensors_metadata(file, "background");
    if (background != NULL && sscanf(background, "%u %u %u", &r, &g, &b) == 3) {
        model->background = (struct cb_colour){(uint8_t)r, (uint8_t)g, (uint8_t)b};
    }
    if (classes == NULL) {
        return CB_OK;
    }
    struct cb_value *list;
    char *text = cb_arena_strdup(arena, classes);
    CB_TRY(cb_json_read_text(arena, cb_tensors_path(file), text, strlen(text), &list, diag));
    if (list->kind != CB_KIND_LIST || list->as.list.count != model->outputs) {
        return cb_fail(diag, CB_FORMAT, NULL, "`%s` has %u outputs, but names %zu classes", cb_tensors_path(file),
                       model->outputs, list->kind == CB_KIND_LIST ? list->as.list.count : 0);
    }
    const char **names = CB_NEW_ARRAY(arena, const char *, list->as.list.count + 1);
    for (size_t i = 0; names != NULL && i < list->as.list.count; i++) {
        names[i] = list->as.list.items[i]->text != NULL ? list->as.list.items[i]->text : "?";
    }
    model->classes = names;
    model->class_count = (uint32_t)list->as.list.count;
    return CB_OK;
}

/* A file names no code that is loaded: where the plugins of its task were is said, and using them is the person's word. */
static void mention_plugins(const struct cb_tensor_file *file, struct cb_arena *arena, struct cb_diag *diag)
{
    const char *json = cb_tensors_metadata(file, "task"), *folder = cb_tensors_metadata(file, "task_folder");
    char *text = json != NULL ? cb_arena_strdup(arena, json) : NULL;
    struct cb_value *task = NULL;
    if (text == NULL || cb_json_read_text(arena, cb_tensors_path(file), text, strlen(text), &task, NULL) != CB_OK) {
        return;
    }
    const struct cb_value *plugins = cb_map_get(task, "plugins");
    bool is_list = plugins != NULL && plugins->kind == CB_KIND_LIST;
    size_t count = plugins == NULL ? 0 : is_list ? plugins->as.list.count : 1;
    for (size_t i = 0; i < count; i++) {
        const struct cb_value *item = is_list ? plugins->as.list.items[i] : plugins;
        if (item->text != NULL) {
            cb_note(diag, NULL, "the run was trained with the plugins in `%s`: name their folder in CAMBIUM_PLUGIN_PATH",
                    cb_path_join(arena, folder != NULL ? folder : ".", item->text));
        }
    }
}

static enum cb_status load(struct cb_tensor_file *file, struct cb_registry *registry, struct cb_model **out,
                           struct cb_diag *diag)
{
    const char *path = cb_tensors_path(file);
    CB_TRY(check_version(file, path, diag));
    const char *name = cb_tensors_metadata(file, "backbone");
    struct cb_network *net = cb_network_create(registry, name != NULL ? name : "network");
    struct cb_model *model = net != NULL ? CB_NEW(net->arena, struct cb_model) : NULL;
    if (model == NULL) {
        cb_network_destroy(net);
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    *model = (struct cb_model){.net = net, .features = CB_NONE, .scores = CB_NONE, .target = CB_NONE,
                               .loss_value = CB_NONE, .loss_weight = CB_NONE, .head_dense = CB_NONE,
                               .background = CB_WHITE};
    struct cb_value *value;
    char *text = cb_arena_strdup(net->arena, cb_tensors_metadata(file, "network"));
    enum cb_status status = cb_json_read_text(net->arena, path, text, strlen(text), &value, diag);
    if (status == CB_OK) {
        status = cb_network_read(net, value, NULL, ".", diag);
        if (status != CB_OK) {
            mention_plugins(file, net->arena, diag);
        }
    }
    if (status == CB_OK) {
        status = read_rest(model, file, diag);
    }
    if (status == CB_OK) {
        status = fill_from_base(model, file, diag);
    }
    if (status == CB_OK) {
        status = fill_from(model, file, false, diag);
    }
    if (status == CB_OK && model->contract.modality == CB_TEXT) {
        status = cb__tokenizer_from_tensors(file, &model->own_tokenizer, diag);
        model->tokenizer = model->own_tokenizer;
    }
    if (status == CB_OK) {
        static const struct cb_value everything = {.kind = CB_KIND_TEXT, .text = "backbone"};
        status = cb_network_freeze(net, &everything, CB_BATCHNORM_FROZEN, diag);
    }
    if (status != CB_OK) {
        cb_model_destroy(model);
        return status;
    }
    model->weights_path = cb_arena_strdup(net->arena, path);
    *out = model;
    return CB_OK;
}

enum cb_status cb_model_load(const char *path, struct cb_registry *registry, struct cb_model **out, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    if (arena == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    const char *file_path = path;
    if (cb_starts_with(path, "run:")) {
        file_path = cb_arena_printf(arena, "runs/%s", path + 4);
    }
    char *run = cb_arena_printf(arena, "runs/%s/model.safetensors", path);
    char *inside = cb_path_is_folder(file_path) ? cb_path_join(arena, file_path, "model.safetensors") : NULL;
    if (inside != NULL && cb_path_exists(inside)) {
        file_path = inside;
    } else if (inside != NULL || !cb_path_exists(file_path)) { /* a folder of pictures may have given the run its name */
        file_path = run != NULL && cb_path_exists(run) ? run : inside != NULL ? inside : file_path;
    }
    struct cb_tensor_file *file;
    enum cb_status status = CB_OK;
    if (!cb_path_exists(file_path)) {
        status = cb_fail(diag, CB_NOT_FOUND, NULL, "there is no run `%s`; `cambium runs` lists what there is", path);
    } else {
        status = cb_tensors_open(file_path, &file, NULL, diag);
    }
    if (status == CB_OK) {
        status = load(file, registry, out, diag);
        cb_tensors_close(file);
    }
    cb_arena_destroy(arena);
    return status;
}
