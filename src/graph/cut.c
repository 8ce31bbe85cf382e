/* cut.c: taking layers out of a network: `replace:` and pruning. */
#include <stdlib.h>
#include <string.h>

#include "graph/network.h"

struct search {
    const struct cb_network *net;
};

static const char *node_name(const void *context, size_t i)
{
    const struct cb_network *net = ((const struct search *)context)->net;
    return i < net->node_count ? net->nodes[i].name : NULL;
}

/* A shared param whose own layer goes becomes one of the first layer that stays. */
static void give_away_params(struct cb_network *net, const bool *drop)
{
    for (uint32_t i = net->node_count; i-- > 0;) {
        const struct cb_node *node = &net->nodes[i];
        for (uint32_t k = 0; !drop[i] && k < node->param_count; k++) {
            struct cb_param *param = &net->params[node->params[k]];
            const char *name = cb_arena_printf(net->arena, "%s.%s", node->name, param->decl.name);
            if (name != NULL && (drop[param->node] || param->node > i)) {
                param->node = i;
                param->name = name;
            }
        }
    }
}

/* Removes the nodes marked in `drop` with their wires and params, and renumbers what is left. */
static void remove_nodes(struct cb_network *net, const bool *drop)
{
    uint32_t *node_map = CB_NEW_ARRAY(net->arena, uint32_t, net->node_count + 1);
    uint32_t *wire_map = CB_NEW_ARRAY(net->arena, uint32_t, net->wire_count + 1);
    uint32_t *param_map = CB_NEW_ARRAY(net->arena, uint32_t, net->param_count + 1);
    if (node_map == NULL || wire_map == NULL || param_map == NULL) {
        return; /* nothing removed: correct, only larger */
    }
    uint32_t nodes = 0, wires = 0, params = 0;
    for (uint32_t i = 0; i < net->node_count; i++) {
        node_map[i] = drop[i] ? CB_NONE : nodes++;
    }
    for (uint32_t i = 0; i < net->wire_count; i++) {
        uint32_t node = net->wires[i].node;
        wire_map[i] = node != CB_NONE && drop[node] ? CB_NONE : wires++;
        if (wire_map[i] != CB_NONE) {
            net->wires[wire_map[i]] = net->wires[i];
            net->wires[wire_map[i]].node = node == CB_NONE ? CB_NONE : node_map[node];
        }
    }
    give_away_params(net, drop);
    for (uint32_t i = 0; i < net->param_count; i++) {
        uint32_t node = net->params[i].node;
        param_map[i] = drop[node] ? CB_NONE : params++;
        if (param_map[i] != CB_NONE) {
            net->params[param_map[i]] = net->params[i];
            net->params[param_map[i]].node = node_map[node];
        }
    }
    for (uint32_t i = 0; i < net->node_count; i++) {
        if (drop[i]) {
            continue;
        }
        struct cb_node *node = &net->nodes[node_map[i]];
        *node = net->nodes[i];
        for (uint32_t k = 0; k < node->x_count; k++) {
            node->x[k] = wire_map[node->x[k]];
        }
        for (uint32_t k = 0; k < node->y_count; k++) {
            node->y[k] = wire_map[node->y[k]];
        }
        for (uint32_t k = 0; k < node->param_count; k++) {
            node->params[k] = param_map[node->params[k]];
        }
        for (uint32_t k = 0; k < node->state_count; k++) {
            node->states[k] = param_map[node->states[k]];
        }
    }
    for (uint32_t i = 0; i < net->input_count; i++) {
        net->inputs[i] = wire_map[net->inputs[i]];
    }
    if (net->lengths != CB_NONE) {
        net->lengths = wire_map[net->lengths];
    }
    if (net->backbone_output != CB_NONE) {
        net->backbone_output = wire_map[net->backbone_output];
    }
    net->node_count = nodes;
    net->wire_count = wires;
    net->param_count = params;
}

/* The layer of that name, or the first of the block of that name. */
static uint32_t find_first(const struct cb_network *net, const char *name)
{
    const size_t length = strlen(name);
    uint32_t first = cb_network_find_node(net, name);
    for (uint32_t i = 0; i < net->node_count && first == CB_NONE; i++) {
        const char *own = net->nodes[i].name;
        first = strncmp(own, name, length) == 0 && own[length] == '.' ? i : CB_NONE;
    }
    return first;
}

enum cb_status cb_network_cut(struct cb_network *net, const char *name, const struct cb_place *at, uint32_t *out_wire,
                              struct cb_diag *diag)
{
    uint32_t first = find_first(net, name);
    if (first == CB_NONE) {
        struct search search = {net};
        const char *nearest = cb_nearest(name, node_name, &search);
        return cb_fail(diag, CB_NOT_FOUND, at, "`replace` names `%s`, but the backbone `%s` has no such layer%s%s%s", name,
                       net->name, nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                       nearest != NULL ? "`?" : "");
    }
    bool *drop = CB_NEW_ARRAY(net->arena, bool, net->node_count);
    if (drop == NULL) {
        return cb_fail(diag, CB_MEMORY, at, "out of memory");
    }
    drop[first] = true;
    for (uint32_t i = first + 1; i < net->node_count; i++) {
        for (uint32_t k = 0; k < net->nodes[i].x_count; k++) {
            uint32_t source = net->wires[net->nodes[i].x[k]].node;
            drop[i] = drop[i] || (source != CB_NONE && drop[source]);
        }
    }
    const char *fed_by = net->wires[net->nodes[first].x[0]].name;
    remove_nodes(net, drop);
    uint32_t wire = cb_network_find_wire(net, fed_by);
    cb_network_prune(net, &wire, 1);
    net->backbone_output = *out_wire = cb_network_find_wire(net, fed_by);
    return CB_OK;
}

void cb_network_prune(struct cb_network *net, const uint32_t *keep, uint32_t keep_count)
{
    bool *drop = CB_NEW_ARRAY(net->arena, bool, net->node_count + 1);
    bool *needed = CB_NEW_ARRAY(net->arena, bool, net->wire_count + 1);
    if (drop == NULL || needed == NULL) {
        return;
    }
    for (uint32_t i = 0; i < keep_count; i++) {
        needed[keep[i]] = true;
    }
    for (uint32_t i = net->node_count; i-- > 0;) {
        bool wanted = false;
        for (uint32_t k = 0; k < net->nodes[i].y_count; k++) {
            wanted = wanted || needed[net->nodes[i].y[k]];
        }
        drop[i] = !wanted;
        for (uint32_t k = 0; wanted && k < net->nodes[i].x_count; k++) {
            needed[net->nodes[i].x[k]] = true;
        }
    }
    remove_nodes(net, drop);
}
