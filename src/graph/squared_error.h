/* squared_error.h: a loss for networks that are only tried out: verified, timed. */
#ifndef CAMBIUM_GRAPH_SQUARED_ERROR_H
#define CAMBIUM_GRAPH_SQUARED_ERROR_H

#include "graph/network.h"

/* Adds the squared error of `wire` and a new input `target` of its shape: smooth, for any values. `*out_losses`: wire of
 * the values. The first layer of the search path that is one (CB_LAYER_LEAST_SQUARES); CB_NOT_FOUND without any. */
enum cb_status cb__network_add_squared_error(struct cb_network *net, struct cb_arena *arena, uint32_t wire,
                                             uint32_t *out_target, uint32_t *out_losses, struct cb_diag *diag);

#endif
