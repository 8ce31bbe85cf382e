/* network.c: the network's tables: adding inputs and layers, finding by name, counting, hashing. */
#include "graph/network.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/options.h"
#include "graph/core.h"

struct cb_network *cb_network_create(struct cb_registry *registry, const char *name)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_network *net = arena != NULL ? CB_NEW(arena, struct cb_network) : NULL;
    if (net == NULL) {
        cb_arena_destroy(arena);
        return NULL;
    }
    net->arena = arena;
    net->registry = registry;
    net->name = cb_arena_strdup(arena, name);
    net->lengths = net->backbone_output = CB_NONE;
    net->folder = ".";
    return net;
}

void cb_network_destroy(struct cb_network *net)
{
    if (net != NULL) {
        cb_arena_destroy(net->arena);
    }
}

/* Makes room for one more element of an array that lives in the arena. */
static bool grow(struct cb_arena *arena, void **items, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity) {
        return true;
    }
    uint32_t wanted = *capacity == 0 ? 32 : *capacity * 2;
    void *more = cb_arena_array(arena, wanted, size);
    if (more == NULL) {
        return false;
    }
    if (count > 0) {
        memcpy(more, *items, count * size);
    }
    *items = more;
    *capacity = wanted;
    return true;
}

static enum cb_status add_wire(struct cb_network *net, const char *name, const struct cb_declared *shape, uint32_t node,
                               uint32_t output, uint32_t *out_wire, struct cb_diag *diag)
{
    if (!grow(net->arena, (void **)&net->wires, net->wire_count, &net->wire_capacity, sizeof(*net->wires))) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    struct cb_wire *wire = &net->wires[net->wire_count];
    *wire = (struct cb_wire){.name = name, .node = node, .output = output};
    wire->shape.struct_size = sizeof(wire->shape);
    wire->shape.dtype = shape->dtype;
    wire->shape.rank = shape->rank;
    memcpy(wire->shape.dims, shape->dims, sizeof(shape->dims));
    *out_wire = net->wire_count++;
    return CB_OK;
}

enum cb_status cb_network_add_input(struct cb_network *net, const char *name, enum cb_dtype dtype, uint32_t rank,
                                    const int64_t *dims, const struct cb_contract *contract, uint32_t *out_wire,
                                    struct cb_diag *diag)
{
    struct cb_declared shape = {.dtype = dtype, .rank = rank, .set = true};
    memcpy(shape.dims, dims, rank * sizeof(*dims));
    uint32_t wire = CB_NONE;
    CB_TRY(add_wire(net, cb_arena_strdup(net->arena, name), &shape, CB_NONE, net->input_count, &wire, diag));
    if (contract != NULL) {
        net->wires[wire].contract = cb_arena_copy(net->arena, contract, sizeof(*contract));
    }
    uint32_t *inputs = CB_NEW_ARRAY(net->arena, uint32_t, net->input_count + 1);
    if (inputs == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    if (net->input_count > 0) {
        memcpy(inputs, net->inputs, net->input_count * sizeof(*inputs));
    }
    inputs[net->input_count++] = wire;
    net->inputs = inputs;
    *out_wire = wire;
    return CB_OK;
}

static void carry_lengths(struct cb_network *net, const struct cb_node *node)
{
    const struct cb_wire *x = &net->wires[node->x[0]];
    for (uint32_t i = 0; i < node->y_count; i++) {
        struct cb_wire *y = &net->wires[node->y[i]];
        y->lengths = y->shape.rank >= x->shape.rank && y->shape.dims[1] == x->shape.dims[1] ? x->lengths : 0;
    }
}

enum cb_status cb_network_set_lengths(struct cb_network *net, uint32_t wire, uint32_t lengths, struct cb_diag *diag)
{
    const struct cb_wire *x = &net->wires[wire], *l = &net->wires[lengths];
    if (x->node != CB_NONE || l->node != CB_NONE || x->shape.rank < 2 || l->shape.rank != 1 ||
        l->shape.dtype != CB_I32) {
        return cb_fail(diag, CB_INVALID, NULL, "`%s` can't be the lengths of `%s`: an input of one whole number a sample is, "
                       "of an input of sequences", l->name, x->name);
    }
    net->wires[wire].lengths = l->output + 1;
    for (uint32_t i = 0; i < net->node_count; i++) {
        carry_lengths(net, &net->nodes[i]);
    }
    return CB_OK;
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

uint32_t cb_network_find_node(const struct cb_network *net, const char *name)
{
    for (uint32_t i = 0; i < net->node_count; i++) {
        if (strcmp(net->nodes[i].name, name) == 0) {
            return i;
        }
    }
    return CB_NONE;
}

uint32_t cb_network_find_wire(const struct cb_network *net, const char *name)
{
    uint32_t node = cb_network_find_node(net, name);
    if (node != CB_NONE) {
        return net->nodes[node].y[0];
    }
    for (uint32_t i = 0; i < net->wire_count; i++) {
        if (strcmp(net->wires[i].name, name) == 0) {
            return i;
        }
    }
    return CB_NONE;
}

uint32_t cb_network_find_param(const struct cb_network *net, const char *name)
{
    for (uint32_t i = 0; i < net->param_count; i++) {
        if (strcmp(net->params[i].name, name) == 0) {
            return i;
        }
    }
    return CB_NONE;
}

/* "relu", "relu_2", "relu_3": the word with the first number that is free. */
static const char *free_name(struct cb_network *net, const char *word)
{
    const char *name = cb_arena_strdup(net->arena, word);
    for (int n = 2; name != NULL && cb_network_find_wire(net, name) != CB_NONE; n++) {
        name = cb_arena_printf(net->arena, "%s_%d", word, n);
    }
    return name;
}

/* ---- one layer -------------------------------------------------------------------------------------------------- */

/* The layer's options; those marked CLASSES that were left out are the task's number of classes. */
static enum cb_status read_options(struct cb_network *net, struct cb_node *node, struct cb_diag *diag)
{
    const struct cb_layer *layer = &node->type->layer;
    const struct cb_value *map = node->options_value;
    for (uint32_t i = 0; i < layer->options.count && net->class_count > 0; i++) {
        struct cb_option option;
        cb_options_at(&layer->options, i, &option);
        if ((option.flags & CB_OPTION_CLASSES) == 0 || cb_map_get(map, option.key) != NULL) {
            continue;
        }
        if (map != NULL && map->kind != CB_KIND_MAP && map->kind != CB_KIND_NULL) {
            break; /* the reader says what is wrong */
        }
        struct cb_value *filled = map != NULL && map->kind == CB_KIND_MAP ? cb_value_clone(net->arena, map)
                                                                         : cb_value_map(net->arena, &node->at);
        if (filled == NULL || !cb_map_set(net->arena, filled, option.key,
                                          cb_value_int(net->arena, net->class_count, &node->at))) {
            return cb_fail(diag, CB_MEMORY, &node->at, "out of memory");
        }
        map = node->options_value = filled;
    }
    node->options = cb_arena_alloc(net->arena, layer->options_size > 0 ? layer->options_size : 1);
    char *what = cb_arena_printf(net->arena, "layer `%s`", layer->name);
    if (map == NULL) {
        map = cb_value_map(net->arena, &node->at); /* a bare word: an option that is missing is missing there */
    }
    if (node->options == NULL || what == NULL || map == NULL) {
        return cb_fail(diag, CB_MEMORY, &node->at, "out of memory");
    }
    return cb_options_read(net->arena, &layer->options, layer->defaults, layer->options_size, map, what, node->options,
                           NULL, diag);
}

/* C, H, W of the picture that was flattened in front of a dense layer, for files in which rows are in that order. */
static const int64_t *flattened_chw(struct cb_network *net, const struct cb_node *node)
{
    uint32_t wire = node->x_count > 0 ? node->x[0] : CB_NONE;
    while (wire != CB_NONE && net->wires[wire].shape.rank == 2 && net->wires[wire].node != CB_NONE) {
        const struct cb_node *above = &net->nodes[net->wires[wire].node];
        if (above->x_count != 1) {
            return NULL;
        }
        const struct cb_tensor *x = &net->wires[above->x[0]].shape;
        if ((above->type->layer.flags & CB_LAYER_VIEW) != 0 && x->rank == 4) {
            int64_t chw[3] = {x->dims[3], x->dims[1], x->dims[2]};
            return chw[1] * chw[2] > 1 ? cb_arena_copy(net->arena, chw, sizeof(chw)) : NULL;
        }
        if (above->type->layer.pointwise == NULL && (above->type->layer.flags & CB_LAYER_RANDOM) == 0) {
            return NULL;
        }
        wire = above->x[0];
    }
    return NULL;
}

static enum cb_status add_param(struct cb_network *net, uint32_t node_index, const struct cb_param_decl *decl,
                                bool is_state, uint32_t *out, struct cb_diag *diag)
{
    const struct cb_node *node = &net->nodes[node_index];
    if (!grow(net->arena, (void **)&net->params, net->param_count, &net->param_capacity, sizeof(*net->params))) {
        return cb_fail(diag, CB_MEMORY, &node->at, "out of memory");
    }
    struct cb_param *param = &net->params[net->param_count];
    *param = (struct cb_param){.decl = *decl, .node = node_index, .is_state = is_state, .count = 1};
    param->decl.name = cb_arena_strdup(net->arena, decl->name);
    param->decl.foreign = cb_arena_strdup(net->arena, decl->foreign != NULL ? decl->foreign : decl->name);
    param->name = cb_arena_printf(net->arena, "%s.%s", node->name, decl->name);
    for (uint32_t i = 0; i < decl->rank; i++) {
        param->count *= decl->dims[i];
    }
    param->host = CB_NEW_ARRAY(net->arena, float, (size_t)param->count);
    if (param->host == NULL || param->name == NULL || param->decl.name == NULL || param->decl.foreign == NULL) {
        return cb_fail(diag, CB_MEMORY, &node->at, "out of memory: layer `%s` wants %" PRId64 " values for `%s`",
                       node->name, param->count, decl->name);
    }
    if (decl->role == CB_PARAM_MATRIX) {
        param->flatten_chw = flattened_chw(net, node);
    }
    if (decl->role == CB_PARAM_TABLE && decl->grid[0] > 0) {
        int64_t *grid = CB_NEW_ARRAY(net->arena, int64_t, 3);
        param->grid = grid;
        if (grid == NULL) {
            return cb_fail(diag, CB_MEMORY, &node->at, "out of memory");
        }
        memcpy(grid, (int64_t[]){decl->dims[0] - decl->grid[0] * decl->grid[1], decl->grid[0], decl->grid[1]},
               3 * sizeof(*grid));
    }
    *out = net->param_count++;
    return CB_OK;
}

static enum cb_status declare(struct cb_network *net, uint32_t node_index, struct cb_diag *diag)
{
    struct cb_node *node = &net->nodes[node_index];
    struct cb_inference *found = calloc(1, sizeof(*found));
    const struct cb_tensor **x = calloc(node->x_count + 1, sizeof(*x));
    enum cb_status status = found != NULL && x != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, &node->at, "out of memory");
    for (uint32_t i = 0; status == CB_OK && i < node->x_count; i++) {
        x[i] = &net->wires[node->x[i]].shape;
    }
    if (status == CB_OK) {
        status = cb__network_infer(net, node, x, found, diag);
    }
    if (status != CB_OK) {
        goto free_found;
    }
    node->y_count = found->output_count;
    node->param_count = found->param_count;
    node->state_count = found->state_count;
    node->y = CB_NEW_ARRAY(net->arena, uint32_t, node->y_count);
    node->params = CB_NEW_ARRAY(net->arena, uint32_t, node->param_count + 1);
    node->states = CB_NEW_ARRAY(net->arena, uint32_t, node->state_count + 1);
    for (uint32_t i = 0; status == CB_OK && i < node->y_count; i++) {
        const char *name = i == 0 ? node->name : cb_arena_printf(net->arena, "%s.%u", node->name, i);
        status = add_wire(net, name, &found->outputs[i], node_index, i, &node->y[i], diag);
    }
    for (uint32_t i = 0; status == CB_OK && i < found->param_count; i++) {
        status = add_param(net, node_index, &found->params[i], false, &node->params[i], diag);
    }
    for (uint32_t i = 0; status == CB_OK && i < found->state_count; i++) {
        status = add_param(net, node_index, &found->states[i], true, &node->states[i], diag);
    }
    if (status == CB_OK) {
        carry_lengths(net, node);
    }
free_found:
    free(x);
    free(found);
    return status;
}

enum cb_status cb_network_add_layer(struct cb_network *net, const char *type, const char *name,
                                    const struct cb_value *options, const uint32_t *inputs, uint32_t input_count,
                                    bool in_head, const struct cb_place *at, uint32_t *out_node, struct cb_diag *diag)
{
    struct cb_node node = {.at = at != NULL ? *at : (struct cb_place){0}, .options_value = options,
                           .in_head = in_head, .lr_scale = 1.0, .x_count = input_count};
    CB_TRY(cb_registry_find(net->registry, type, at, &node.type, diag));
    const struct cb_layer *layer = &node.type->layer;
    if (name != NULL && cb_network_find_wire(net, name) != CB_NONE) {
        return cb_fail(diag, CB_INVALID, at, "two layers have the name `%s`", name);
    }
    node.name = name != NULL ? cb_arena_strdup(net->arena, name) : free_name(net, type);
    if (input_count < layer->min_inputs || input_count > layer->max_inputs) {
        if (layer->min_inputs == layer->max_inputs) {
            return cb_fail(diag, CB_INVALID, at, "layer `%s` (%s) takes %u input%s, not %u", node.name, type,
                           layer->min_inputs, layer->min_inputs == 1 ? "" : "s", input_count);
        }
        return cb_fail(diag, CB_INVALID, at, "layer `%s` (%s) takes %u to %u inputs, not %u", node.name, type,
                       layer->min_inputs, layer->max_inputs, input_count);
    }
    node.x = cb_arena_copy(net->arena, inputs, input_count * sizeof(*inputs));
    if (node.name == NULL || (input_count > 0 && node.x == NULL) ||
        !grow(net->arena, (void **)&net->nodes, net->node_count, &net->node_capacity, sizeof(*net->nodes))) {
        return cb_fail(diag, CB_MEMORY, at, "out of memory");
    }
    CB_TRY(read_options(net, &node, diag));
    net->nodes[net->node_count] = node;
    uint32_t wires = net->wire_count, params = net->param_count;
    enum cb_status status = declare(net, net->node_count, diag);
    if (status != CB_OK) {
        net->wire_count = wires;
        net->param_count = params;
        return status;
    }
    *out_node = net->node_count++;
    return CB_OK;
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

void cb_network_count(const struct cb_network *net, int64_t *out_frozen, int64_t *out_trainable)
{
    int64_t frozen = 0, trainable = 0;
    for (uint32_t i = 0; i < net->param_count; i++) {
        const struct cb_param *param = &net->params[i];
        if (param->is_state) {
            continue;
        }
        *(param->trainable ? &trainable : &frozen) += param->count;
    }
    *out_frozen = frozen;
    *out_trainable = trainable;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct cb_param *const *)a)->name, (*(const struct cb_param *const *)b)->name);
}

void cb_network_hash_frozen(const struct cb_network *net, char hex[65])
{
    hex[0] = '\0';
    const struct cb_param **sorted = calloc(net->param_count + 1, sizeof(*sorted));
    uint32_t count = 0;
    for (uint32_t i = 0; sorted != NULL && i < net->param_count; i++) {
        if (net->nodes[net->params[i].node].frozen) {
            sorted[count++] = &net->params[i];
        }
    }
    struct cb_sha256 *sha = count > 0 ? cb_sha256_create() : NULL;
    if (sha != NULL) {
        qsort(sorted, count, sizeof(*sorted), by_name);
        for (uint32_t i = 0; i < count; i++) {
            cb_sha256_add(sha, sorted[i]->name, strlen(sorted[i]->name) + 1);
            cb_sha256_add(sha, sorted[i]->host, (size_t)sorted[i]->count * sizeof(float));
        }
        cb_sha256_finish(sha, hex);
    }
    free(sorted);
}
