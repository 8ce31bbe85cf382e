/* squared_error.c: see squared_error.h. */
#include "graph/squared_error.h"

enum cb_status cb__network_add_squared_error(struct cb_network *net, struct cb_arena *arena, uint32_t wire,
                                             uint32_t *out_target, uint32_t *out_losses, struct cb_diag *diag)
{
    const struct cb_tensor y = net->wires[wire].shape;
    const char **words;
    size_t count;
    uint32_t node;
    CB_TRY(cb_network_add_input(net, "target", CB_F32, y.rank, y.dims, NULL, out_target, diag));
    CB_TRY(cb_registry_words(net->registry, arena, &words, &count, diag));
    for (size_t i = 0; i < count; i++) {
        const struct cb_layer_type *type;
        const uint32_t inputs[] = {wire, *out_target};
        if (cb_registry_find(net->registry, words[i], NULL, &type, NULL) == CB_OK &&
            (type->layer.flags & CB_LAYER_LEAST_SQUARES) != 0 &&
            cb_network_add_layer(net, words[i], "loss", NULL, inputs, 2, true, NULL, &node, NULL) == CB_OK) {
            *out_losses = net->nodes[node].y[0];
            return CB_OK;
        }
    }
    return cb_fail(diag, CB_NOT_FOUND, NULL, "no layer is the squared error of two tensors");
}
