/* model.c: building the network of a task. See model.h. */
#include "train/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/tokenizer.h"
#include "train/labels.h"
#include "train/lora.h"
#include "train/loss.h"
#include "train/random.h"

void cb_model_destroy(struct cb_model *model)
{
    if (model != NULL) {
        cb_tokenizer_close(model->own_tokenizer);
        cb_network_destroy(model->net);
    }
}

static enum cb_status create(struct cb_registry *registry, const char *name, struct cb_model **out, struct cb_diag *diag)
{
    struct cb_network *net = cb_network_create(registry, name);
    struct cb_model *model = net != NULL ? CB_NEW(net->arena, struct cb_model) : NULL;
    if (model == NULL) {
        cb_network_destroy(net);
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    *model = (struct cb_model){.net = net, .features = CB_NONE, .scores = CB_NONE, .target = CB_NONE,
                               .loss_value = CB_NONE, .loss_weight = CB_NONE, .head_dense = CB_NONE,
                               .background = CB_WHITE};
    *out = model;
    return CB_OK;
}

/* ---- values --------------------------------------------------------------------------------------------------------- */

/* Those that were not loaded: drawing a hundred million numbers takes seconds. Each has a stream of its own, so that it does
 * not matter which others are drawn. */
static void draw_params(struct cb_network *net, uint64_t seed)
{
    for (uint32_t i = 0; i < net->param_count; i++) {
        if (net->params[i].source != CB_PARAM_LOADED) {
            cb_param_init(&net->params[i].decl, seed, net->params[i].name, net->params[i].host);
            net->params[i].source = CB_PARAM_RANDOM;
        }
    }
}

struct cb_wanted *cb_network_wanted(const struct cb_network *net)
{
    struct cb_wanted *wanted = CB_NEW_ARRAY(net->arena, struct cb_wanted, (size_t)net->param_count + 1);
    for (uint32_t i = 0; wanted != NULL && i < net->param_count; i++) {
        const struct cb_param *param = &net->params[i];
        const struct cb_node *node = &net->nodes[param->node];
        wanted[i] = (struct cb_wanted){.name = param->name, .layer = node->name, .foreign = param->decl.foreign,
                                       .role = (enum cb_param_role)param->decl.role, .rank = param->decl.rank,
                                       .out = param->host, .replaced = node->in_head || node->added,
                                       .hidden_dims = param->grid != NULL ? param->grid : param->flatten_chw};
        memcpy(wanted[i].dims, param->decl.dims, sizeof(wanted[i].dims));
    }
    return wanted;
}

enum cb_status cb_model_load_weights(struct cb_model *model, const struct cb_backbone *backbone, const char *path,
                                     const struct cb_place *at, struct cb_diag *diag)
{
    struct cb_network *net = model->net;
    struct cb_arena *arena = net->arena;
    struct cb_name_map *maps = NULL;
    uint32_t map_count = 0;
    CB_TRY(cb_name_maps_read(arena, cb_map_get(backbone->file, "names"), &maps, &map_count, diag));
    struct cb_wanted *wanted = cb_network_wanted(net);
    model->report = CB_NEW(arena, struct cb_load_report);
    if (wanted == NULL || model->report == NULL) {
        return cb_fail(diag, CB_MEMORY, at, "out of memory");
    }
    struct cb_tensor_file *file;
    CB_TRY(cb_tensors_open(path, &file, at, diag));
    enum cb_status status =
        cb_weights_match(file, wanted, net->param_count, maps, map_count, arena, model->report, at, diag);
    cb_tensors_close(file);
    CB_TRY(status);
    for (uint32_t i = 0; i < net->param_count; i++) {
        net->params[i].source = wanted[i].status == CB_MATCH_KEPT ? CB_PARAM_LOADED : net->params[i].source;
    }
    model->weights_path = cb_arena_strdup(arena, path);
    return cb_sha256_of_file(path, model->weights_sha256, diag);
}

/* ---- head ------------------------------------------------------------------------------------------------------------ */

/* The first layer of a run's own head; NULL when it has none. */
static const char *own_head(const struct cb_network *net, const struct cb_backbone *backbone)
{
    uint32_t features = backbone->features != NULL ? cb_network_find_wire(net, backbone->features) : CB_NONE;
    for (uint32_t i = 0; features != CB_NONE && i < net->node_count; i++) {
        for (uint32_t k = 0; k < net->nodes[i].x_count; k++) {
            if (net->nodes[i].x[k] == features) {
                return net->nodes[i].name;
            }
        }
    }
    return NULL;
}

/* What the network's own file says of where a head goes; NULL: nothing. */
static const char *file_replace(const struct cb_backbone *backbone)
{
    const struct cb_value *value = cb_map_get(backbone->file, "replace");
    return value != NULL ? value->text : NULL;
}

static enum cb_status cut_and_head(struct cb_model *model, const struct cb_task *task, const struct cb_backbone *backbone,
                                   const struct cb_defaults *defaults, struct cb_diag *diag)
{
    struct cb_network *net = model->net;
    if (task->keep_head) {
        model->features = model->scores = net->backbone_output;
        return CB_OK;
    }
    uint32_t output_node = net->wires[net->backbone_output].node;
    const char *replace = task->replace != NULL ? task->replace->text : file_replace(backbone);
    if (replace == NULL && output_node == CB_NONE) {
        return cb_fail(diag, CB_INVALID, &task->model->at, "the backbone has no layers to cut");
    }
    replace = replace != NULL ? replace : own_head(net, backbone);
    replace = replace != NULL ? replace : net->nodes[output_node].name;
    if (strcmp(replace, "nothing") == 0) {
        cb_network_prune(net, &net->backbone_output, 1);
        model->features = net->backbone_output;
    } else {
        CB_TRY(cb_network_cut(net, replace, task->replace != NULL ? &task->replace->at : &task->model->at,
                              &model->features, diag));
    }
    const struct cb_value *head = task->head;
    head = head != NULL ? head : cb_defaults_head(net->arena, defaults, &task->model->at);
    if (head == NULL) {
        return cb_fail(diag, CB_MEMORY, &task->model->at, "out of memory");
    }
    net->class_count = model->class_count;
    CB_TRY(cb_network_read_layers(net, head, "head.", model->features, true, &model->scores, diag));
    return CB_OK;
}

/* Whether what feeds the head's last layer comes from the backbone through layers that change nothing while the head
 * learns: those that only take the mean of a text's tokens, for example. */
static bool is_fixed(const struct cb_network *net, uint32_t wire)
{
    while (net->wires[wire].node != CB_NONE && net->nodes[net->wires[wire].node].in_head) {
        const struct cb_node *node = &net->nodes[net->wires[wire].node];
        if (node->x_count != 1 || node->param_count > 0 || node->state_count > 0 ||
            (node->type->layer.flags & (CB_LAYER_RANDOM | CB_LAYER_FITTED | CB_LAYER_BATCH)) != 0) {
            return false;
        }
        wire = node->x[0];
    }
    return true;
}

/* The head is one linear layer on features [N,C]: then it has an exact solution. */
static void find_head_dense(struct cb_model *model)
{
    const struct cb_network *net = model->net;
    uint32_t node = net->wires[model->scores].node;
    if (node == CB_NONE || !net->nodes[node].in_head || net->nodes[node].param_count != 2 ||
        (net->nodes[node].type->layer.flags & CB_LAYER_LINEAR) == 0 ||
        net->params[net->nodes[node].params[0]].decl.role != CB_PARAM_MATRIX ||
        net->params[net->nodes[node].params[0]].node != node) {
        return;
    }
    uint32_t x = net->nodes[node].x[0];
    if (net->wires[x].shape.rank == 2 && is_fixed(net, x)) {
        model->head_dense = node;
    }
}

static enum cb_status load_values(struct cb_model *model, const struct cb_task *task, const struct cb_backbone *backbone,
                                  struct cb_diag *diag)
{
    char *path;
    bool own = task->weights != NULL && strcmp(task->weights->text, "pretrained") != 0;
    if (own) {
        path = cb_path_join(model->net->arena, task->folder, task->weights->text);
        if (path != NULL && !cb_path_exists(path) && cb_path_exists(task->weights->text)) {
            path = cb_arena_strdup(model->net->arena, task->weights->text);
        }
    } else {
        CB_TRY(cb_backbone_weights((struct cb_backbone *)(uintptr_t)backbone, &path, diag));
    }
    return cb_model_load_weights(model, backbone, path, own ? &task->weights->at : NULL, diag);
}

static enum cb_status fill(struct cb_model *model, const struct cb_task *task, const struct cb_backbone *backbone,
                           bool load, struct cb_diag *diag)
{
    if (load && !task->random_weights) {
        CB_TRY(load_values(model, task, backbone, diag));
    }
    draw_params(model->net, task->config.seed);
    return CB_OK;
}

/* The backbone's layers, with additions where the task wants some. */
static enum cb_status read_network(struct cb_network *net, const struct cb_task *task, const struct cb_backbone *backbone,
                                   const int64_t *size, struct cb_diag *diag)
{
    struct cb_value *file = NULL;
    uint32_t count = 0;
    if (task->lora == NULL) {
        return cb_network_read(net, backbone->file, size, backbone->folder, diag);
    }
    struct cb_network *plain = cb_network_create(net->registry, net->name);
    enum cb_status status = plain != NULL ? cb_network_read(plain, backbone->file, size, backbone->folder, diag)
                                          : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    if (status == CB_OK) {
        const char *replace = task->replace != NULL ? task->replace->text : file_replace(backbone);
        const uint32_t output = plain->wires[plain->backbone_output].node;
        const bool is_cut = !task->keep_head && replace == NULL && output != CB_NONE;
        status = cb_lora_rewrite(plain, &task->lora_options, is_cut ? plain->nodes[output].name : NULL, net->arena, &file,
                                 &count, diag);
    }
    cb_network_destroy(plain);
    CB_TRY(status);
    CB_TRY(cb_network_read(net, file, NULL, backbone->folder, diag));
    cb_lora_prepare(net);
    return CB_OK;
}

static enum cb_status build(struct cb_model *model, const struct cb_task *task, const struct cb_backbone *backbone,
                            const struct cb_dataset *dataset, uint32_t class_count, bool load, struct cb_diag *diag)
{
    struct cb_network *net = model->net;
    struct cb_defaults defaults;
    int64_t size[2];
    bool is_text = backbone->contract.modality == CB_TEXT;
    CB_TRY(cb_defaults_read(net->arena, &defaults, diag));
    bool other_size = dataset != NULL && dataset->contract.modality == CB_IMAGE && backbone->contract.modality == CB_IMAGE;
    if (dataset != NULL && is_text) {
        size[0] = dataset->contract.shape[0];
    } else if (other_size) {
        size[0] = dataset->contract.shape[0];
        size[1] = dataset->contract.shape[1];
    }
    CB_TRY(read_network(net, task, backbone, other_size || (dataset != NULL && is_text) ? size : NULL, diag));
    CB_TRY(cb_network_avoid(net, task->avoid, diag));
    model->contract = dataset != NULL ? dataset->contract : backbone->contract;
    model->input = net->inputs[0];
    model->class_count = dataset != NULL && dataset->target == CB_TARGET_CLASSES ? dataset->class_count : class_count;
    if (dataset != NULL) {
        model->background = dataset->background;
        const char **classes = CB_NEW_ARRAY(net->arena, const char *, dataset->class_count + 1);
        for (uint32_t i = 0; classes != NULL && i < dataset->class_count; i++) {
            classes[i] = cb_arena_strdup(net->arena, dataset->classes[i]);
        }
        model->classes = dataset->class_count > 0 ? classes : NULL;
        if (dataset->target == CB_TARGET_VALUES) {
            model->class_count = dataset->value_count; /* what a `dense` without `units` gets */
        }
    }
    model->tokenizer = backbone->tokenizer;
    CB_TRY(cut_and_head(model, task, backbone, &defaults, diag));
    CB_TRY(cb__model_add_loss(model, task, dataset, &defaults, diag));
    CB_TRY(cb_network_freeze(net, task->frozen, task->batchnorm, diag));
    find_head_dense(model);
    CB_TRY(fill(model, task, backbone, load, diag));
    cb_network_hash_frozen(net, model->frozen_before);
    return CB_OK;
}

enum cb_status cb_model_build(const struct cb_task *task, const struct cb_backbone *backbone,
                              struct cb_registry *registry, const struct cb_dataset *dataset, uint32_t class_count,
                              bool load, struct cb_model **out, struct cb_diag *diag)
{
    struct cb_model *model = NULL;
    CB_TRY(create(registry, backbone->name, &model, diag));
    enum cb_status status = build(model, task, backbone, dataset, class_count, load, diag);
    if (status != CB_OK) {
        cb_model_destroy(model);
        return status;
    }
    *out = model;
    return CB_OK;
}

enum cb_status cb_model_outline(const struct cb_backbone *backbone, struct cb_registry *registry, struct cb_model **out,
                                struct cb_diag *diag)
{
    struct cb_model *model = NULL;
    CB_TRY(create(registry, backbone->name, &model, diag));
    enum cb_status status = cb_network_read(model->net, backbone->file, NULL, backbone->folder, diag);
    if (status == CB_OK) {
        model->contract = backbone->contract;
        model->tokenizer = backbone->tokenizer;
        model->input = model->net->inputs[0];
        model->features = model->scores = model->net->backbone_output;
        status = cb__model_label(model, backbone, diag);
    }
    if (status == CB_OK) {
        status = cb_network_freeze(model->net, NULL, CB_BATCHNORM_FROZEN, diag);
    }
    if (status != CB_OK) {
        cb_model_destroy(model);
        return status;
    }
    *out = model;
    return CB_OK;
}

enum cb_status cb_model_from_backbone(const struct cb_backbone *backbone, struct cb_registry *registry,
                                      const char *weights, bool random, struct cb_model **out, struct cb_diag *diag)
{
    struct cb_model *model;
    CB_TRY(cb_model_outline(backbone, registry, &model, diag));
    enum cb_status status = CB_OK;
    char *path = weights != NULL ? cb_arena_strdup(model->net->arena, weights) : NULL;
    if (!random && path == NULL) {
        status = cb_backbone_weights((struct cb_backbone *)(uintptr_t)backbone, &path, diag);
    }
    if (status == CB_OK && path != NULL) {
        status = cb_model_load_weights(model, backbone, path, NULL, diag);
    }
    draw_params(model->net, 0);
    if (status != CB_OK) {
        cb_model_destroy(model);
        return status;
    }
    *out = model;
    return CB_OK;
}
