/* build.h: between the importers that put tensors onto a network of ours. */
#ifndef CAMBIUM_EXCHANGE_BUILD_H
#define CAMBIUM_EXCHANGE_BUILD_H

#include "exchange/import.h"

/* A network on the host; it lives as long as the import. */
struct cb__built {
    struct cb_registry *registry;
    struct cb_network *net;
};

/* Builds the backbone's network, at another size when `size` is given. May be called again: the newest counts. */
enum cb_status cb__build(struct cb__built *built, struct cb_imported *imported, const struct cb_backbone *backbone,
                         const int64_t *size, struct cb_diag *diag);
/* First values for what a file may not have. */
void cb__draw_params(struct cb_network *net);
/* The name of the layer with params that alone makes the network's output; NULL: there is no such one. */
const char *cb__output_layer(const struct cb_network *net);
/* The network's params and states, with their values, as what is written. */
enum cb_status cb__take_entries(struct cb_imported *imported, const struct cb_network *net, struct cb_diag *diag);

#endif
