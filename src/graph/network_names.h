/* network_names.h: what the names in a list of layers mean; they are looked up from the inside out. */
#ifndef CAMBIUM_GRAPH_NETWORK_NAMES_H
#define CAMBIUM_GRAPH_NETWORK_NAMES_H

#include "graph/network.h"

#define CB__MAX_INPUTS 64

/* A list of layers that is being read: the file's, or a block's. */
struct scope {
    const struct scope *outer;
    const char *prefix;            /* "layer1.0." */
    const struct cb_value *blocks; /* the file's map, or NULL */
    const struct cb_value *parameters; /* the file's: name -> value, or NULL; hidden by */
    const struct cb_value *arguments;  /* the block's, or NULL */
    uint32_t input;                /* wire that feeds the block or the list */
    int depth;
    bool in_head;
    bool frozen;    /* the block stands with `frozen: true` */
    double lr_scale;
};

/* The output of the block of that name: of the last layer whose name begins with it. Not of one that is being read. */
uint32_t cb__name_block_output(const struct cb_network *net, const struct scope *scope, const char *name);

/* The most similar name of a layer, for a message; NULL: none is near. */
const char *cb__name_nearest(const struct cb_network *net, const struct scope *scope, const char *name);

/* The wires, at most CB__MAX_INPUTS, that `inputs` of item `index` of `list` names; `above` where it names none. */
enum cb_status cb__name_inputs(const struct cb_network *net, const struct scope *scope, const struct cb_value *list,
                               size_t index, const struct cb_value *inputs, uint32_t above, uint32_t *out_wires,
                               uint32_t *out_count, struct cb_diag *diag);

/* Ties params of the layer that was added last to those that `share: {w: conv1.w}` names; NULL: none. */
enum cb_status cb__name_share(struct cb_network *net, const struct scope *scope, const struct cb_value *share,
                              struct cb_diag *diag);

#endif
