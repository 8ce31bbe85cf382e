/* onnx_names.c: tables of values by name, and the lists of values and nodes that grow while a model is read. */
#include <string.h>

#include "exchange/onnx_internal.h"

/* ---- names ----------------------------------------------------------------------------------------------------- */

static uint32_t slot_of(const struct cb__onnx_names *names, const char *name)
{
    uint32_t i = (uint32_t)cb_hash64(name, strlen(name)) & (names->slot_count - 1);
    while (names->slots[i].name && strcmp(names->slots[i].name, name) != 0) {
        i = (i + 1) & (names->slot_count - 1);
    }
    return i;
}

static bool grow_names(struct cb_onnx_graph *graph, struct cb__onnx_names *names)
{
    struct cb__onnx_names grown = {.slot_count = names->slot_count ? 2 * names->slot_count : 16, .count = names->count};
    grown.slots = CB_NEW_ARRAY(graph->arena, struct cb__onnx_name, grown.slot_count);
    if (!grown.slots) {
        return false;
    }
    for (uint32_t i = 0; i < names->slot_count; i++) {
        if (names->slots[i].name) {
            grown.slots[slot_of(&grown, names->slots[i].name)] = names->slots[i];
        }
    }
    *names = grown;
    return true;
}

enum cb_status cb__onnx_enter(struct cb_onnx_graph *graph, struct cb__onnx_scope *scope, const char *name,
                              struct cb_onnx_value *value, struct cb_diag *diag)
{
    struct cb__onnx_names *names = &scope->names;
    if (2 * names->count >= names->slot_count && !grow_names(graph, names)) {
        return cb__onnx_no_memory(graph, diag);
    }
    uint32_t slot = slot_of(names, name);
    if (names->slots[slot].name) {
        return cb_fail(diag, CB_FORMAT, graph->model->at, "`%s`: two values are named `%s`", graph->path, name);
    }
    names->slots[slot] = (struct cb__onnx_name){name, value};
    names->count++;
    return CB_OK;
}

const struct cb__onnx_name *cb__onnx_find(const struct cb__onnx_scope *scope, const char *name)
{
    for (; scope; scope = scope->parent) {
        if (scope->names.slot_count > 0) {
            const struct cb__onnx_name *entry = &scope->names.slots[slot_of(&scope->names, name)];
            if (entry->name) {
                return entry;
            }
        }
    }
    return NULL;
}

/* ---- values and lists of nodes --------------------------------------------------------------------------------- */

struct cb_onnx_value *cb__onnx_add_value(struct cb_onnx_graph *graph, const char *name)
{
    struct cb__onnx_model *model = graph->model;
    if (graph->value_count == model->value_capacity) {
        uint32_t capacity = model->value_capacity ? 2 * model->value_capacity : 256;
        struct cb_onnx_value **values = CB_NEW_ARRAY(graph->arena, struct cb_onnx_value *, capacity);
        if (!values) {
            return NULL;
        }
        if (graph->value_count > 0) {
            memcpy(values, graph->values, graph->value_count * sizeof(*values));
        }
        graph->values = values;
        model->value_capacity = capacity;
    }
    struct cb_onnx_value *value = CB_NEW(graph->arena, struct cb_onnx_value);
    if (value) {
        value->name = name;
        value->index = graph->value_count;
        graph->values[graph->value_count++] = value;
    }
    return value;
}

void cb__onnx_set_constant(struct cb_onnx_value *value, const struct cb_onnx_tensor *tensor)
{
    value->type = tensor->type;
    value->constant = tensor;
    value->has_shape = true;
    value->rank = tensor->rank;
    for (uint32_t i = 0; i < tensor->rank; i++) {
        value->dims[i] = (struct cb_onnx_dim){tensor->dims[i], 0};
    }
}

struct cb_onnx_value *cb__onnx_add_constant(struct cb_onnx_graph *graph, const char *name,
                                            const struct cb_onnx_tensor *tensor)
{
    struct cb_onnx_value *value = cb__onnx_add_value(graph, name);
    if (value) {
        cb__onnx_set_constant(value, tensor);
    }
    return value;
}

bool cb__onnx_append(struct cb_onnx_graph *graph, struct cb__onnx_nodes *nodes, struct cb_onnx_node *node)
{
    if (nodes->count == nodes->capacity) {
        uint32_t capacity = nodes->capacity ? 2 * nodes->capacity : 64;
        struct cb_onnx_node **items = CB_NEW_ARRAY(graph->arena, struct cb_onnx_node *, capacity);
        if (!items) {
            return false;
        }
        if (nodes->count > 0) {
            memcpy(items, nodes->items, nodes->count * sizeof(*items));
        }
        nodes->items = items;
        nodes->capacity = capacity;
    }
    nodes->items[nodes->count++] = node;
    return true;
}
