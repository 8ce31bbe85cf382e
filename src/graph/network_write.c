/* network_write.c: a network as the YAML that network_read.c reads: blocks written out, names in full. */
#include "base/options.h"
#include "graph/network.h"

static bool write_share(const struct cb_network *net, struct cb_arena *arena, const struct cb_node *node,
                        struct cb_value *item)
{
    struct cb_value *share = cb_value_map(arena, NULL);
    for (uint32_t k = 0; share != NULL && k < node->param_count; k++) {
        const struct cb_param *param = &net->params[node->params[k]];
        if (&net->nodes[param->node] != node &&
            !cb_map_set(arena, share, param->decl.name, cb_value_text(arena, param->name, NULL))) {
            return false;
        }
    }
    return share != NULL && (share->as.map.count == 0 || cb_map_set(arena, item, "share", share));
}

struct cb_value *cb_network_to_value(const struct cb_network *net, struct cb_arena *arena)
{
    struct cb_value *file = cb_value_map(arena, NULL), *layers = cb_value_list(arena, NULL);
    struct cb_value *inputs = cb_value_map(arena, NULL);
    bool ok = file != NULL && layers != NULL && inputs != NULL &&
              cb_map_set(arena, file, "name", cb_value_text(arena, net->name, NULL));
    for (uint32_t i = 0; ok && i < net->input_count; i++) {
        const struct cb_wire *wire = &net->wires[net->inputs[i]];
        if (wire->contract != NULL) {
            ok = cb_map_set(arena, inputs, wire->name, cb_contract_to_value(arena, wire->contract));
        }
    }
    for (uint32_t i = 0; ok && i < net->node_count; i++) {
        const struct cb_node *node = &net->nodes[i];
        const struct cb_layer *layer = &node->type->layer;
        if ((layer->flags & CB_LAYER_LOSS) != 0) {
            continue;
        }
        struct cb_value *item = cb_value_map(arena, NULL), *list = cb_value_list(arena, NULL);
        struct cb_value *options =
            cb_options_to_value(arena, &layer->options, layer->defaults, node->options, false);
        ok = item != NULL && list != NULL && options != NULL && cb_map_set(arena, item, layer->name, options) &&
             cb_map_set(arena, item, "name", cb_value_text(arena, node->name, NULL));
        for (uint32_t k = 0; ok && k < node->x_count; k++) {
            ok = cb_list_append(arena, list, cb_value_text(arena, net->wires[node->x[k]].name, NULL));
        }
        ok = ok && cb_map_set(arena, item, "inputs", list);
        ok = ok && write_share(net, arena, node, item);
        if (ok && node->frozen_in_yaml) {
            ok = cb_map_set(arena, item, "frozen", cb_value_bool(arena, true, NULL));
        }
        if (ok && node->lr_scale != 1.0) {
            ok = cb_map_set(arena, item, "lr_scale", cb_value_real(arena, node->lr_scale, NULL));
        }
        ok = ok && cb_list_append(arena, layers, item);
    }
    ok = ok && cb_map_set(arena, file, "inputs", inputs) && cb_map_set(arena, file, "layers", layers);
    if (ok && net->backbone_output != CB_NONE) {
        ok = cb_map_set(arena, file, "output", cb_value_text(arena, net->wires[net->backbone_output].name, NULL));
    }
    if (ok && net->avoid_count > 0) {
        ok = cb_map_set(arena, file, "avoid", cb__network_avoid_value(net, arena));
    }
    return ok ? file : NULL;
}
