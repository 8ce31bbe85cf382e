/* network.h: a network: layers joined by wires, their params, and what is frozen. No device is needed here.
 *
 * A network is built layer by layer from YAML (network_read.c); each layer's shapes are inferred when it is added, so
 * that an error points at the layer that causes it. Then it may be cut (replace:), get a head, and be frozen. Layers
 * stand in an order in which each comes after those it reads. Everything lives in the network's arena.
 */
#ifndef CAMBIUM_GRAPH_NETWORK_H
#define CAMBIUM_GRAPH_NETWORK_H

#include "base/value.h"
#include "graph/contract.h"
#include "graph/registry.h"

#define CB_NONE UINT32_MAX

/* What flows from one layer to others, or enters the network. dims[0] is N (1 until a plan says otherwise). */
struct cb_wire {
    const char *name;    /* "conv1", or "conv1.1" for a second output; inputs by their own name */
    struct cb_tensor shape;
    uint32_t node;       /* that makes it; CB_NONE: an input of the network */
    uint32_t output;     /* which of the node's outputs */
    const struct cb_contract *contract; /* of an input, else NULL */
    uint32_t lengths;    /* net->inputs[lengths - 1] says how many of dims[1] are real; 0: all are */
};

enum cb_param_source { CB_PARAM_UNSET, CB_PARAM_RANDOM, CB_PARAM_LOADED };

/* A param or a state of a layer, with its values on the host. */
struct cb_param {
    const char *name;      /* "conv1.w": as in files */
    struct cb_param_decl decl; /* its texts live in the network's arena */
    uint32_t node;         /* whose it is; others may share it (cb_network_share) */
    bool is_state;         /* never trained */
    bool trainable;        /* its layer is not frozen; set by cb_network_freeze */
    int64_t count;         /* elements */
    float *host;           /* count values, zero at first */
    enum cb_param_source source;
    const int64_t *flatten_chw; /* a dense behind a flatten: C, H, W of what was flattened; else NULL */
    const int64_t *grid;        /* a table that ends in a grid: the rows in front of it, its own rows, columns; else NULL */
};

struct cb_node {
    const char *name;
    const struct cb_layer_type *type;
    struct cb_place at;
    const struct cb_value *options_value; /* as written; NULL when nothing was */
    void *options;                        /* the plugin's struct */
    uint32_t *x; /* wires */
    uint32_t x_count;
    uint32_t *y; /* wires */
    uint32_t y_count;
    uint32_t *params; /* indices into net->params; states in the order declared, likewise */
    uint32_t param_count;
    uint32_t *states;
    uint32_t state_count;
    bool frozen_in_yaml;   /* `frozen: true` beside the layer */
    bool in_head;          /* not of the backbone */
    bool added;            /* beside a layer of the backbone by a rewrite: not of its weights file, not frozen with it */
    bool frozen;           /* params and state do not move; runs in inference form */
    bool inference_form;   /* frozen, or statistics kept (batchnorm: affine): training = 0 when it runs */
    double lr_scale;
};

struct cb_output {
    const char *name; /* of the head, "output" for a single one */
    uint32_t wire;
};

struct cb_network {
    struct cb_arena *arena;
    struct cb_registry *registry;
    const char *name;
    struct cb_wire *wires;
    uint32_t wire_count, wire_capacity;
    struct cb_node *nodes;
    uint32_t node_count, node_capacity;
    struct cb_param *params;
    uint32_t param_count, param_capacity;
    uint32_t *inputs; /* wires */
    uint32_t input_count;
    uint32_t lengths;                     /* wire [N] i32: tokens of each sample of a text network; CB_NONE: there is none */
    uint32_t backbone_output;             /* wire of the file's `output:` (default: the last layer) */
    const struct cb_value *weights_value; /* the file's `weights:`, `names:`; may be NULL */
    const struct cb_value *names_value;
    const char *folder;                   /* paths of the file are relative to it */
    const char *const *avoid;             /* names of variants that no layer takes (cb_network_avoid) */
    uint32_t avoid_count;
    int64_t class_count;                  /* fills options marked CB_OPTION_CLASSES; 0: unknown */
};

/* An empty network in an arena of its own; NULL when memory is exhausted. */
struct cb_network *cb_network_create(struct cb_registry *registry, const char *name);
void cb_network_destroy(struct cb_network *net); /* accepts NULL */

/* Adds an input of the network; dims include N as dims[0]. `contract` may be NULL; copied. */
enum cb_status cb_network_add_input(struct cb_network *net, const char *name, enum cb_dtype dtype, uint32_t rank,
                                    const int64_t *dims, const struct cb_contract *contract, uint32_t *out_wire,
                                    struct cb_diag *diag);
/* The sequences of `wire`, an input [N,T,...], are as long as the input `lengths`, [N] i32, says. Layers pass that on: an
 * output has the lengths of its layer's first input as long as it keeps dims[1] and loses no axis. */
enum cb_status cb_network_set_lengths(struct cb_network *net, uint32_t wire, uint32_t lengths, struct cb_diag *diag);
/* Adds one layer: `options` is its map (may be NULL), `name` NULL for the type's word with a number. Infers shapes. */
enum cb_status cb_network_add_layer(struct cb_network *net, const char *type, const char *name,
                                    const struct cb_value *options, const uint32_t *inputs, uint32_t input_count,
                                    bool in_head, const struct cb_place *at, uint32_t *out_node, struct cb_diag *diag);

/* Makes param `own` ("w") of the layer that was added last the same as param `target` of another layer (tied weights).
 * `at`: where that was asked for. */
enum cb_status cb_network_share(struct cb_network *net, const char *own, uint32_t target, const struct cb_place *at,
                                struct cb_diag *diag);

/* Reads a backbone file's map (name, input or inputs, blocks, layers, output, weights, names) into an empty network.
 * `size` (may be NULL): H, W that replace the contract's, of text the most tokens. A network with text inputs gets one more
 * input by itself, net->lengths, of the name `lengths`, unless one of its own has that name. Errors are collected. */
enum cb_status cb_network_read(struct cb_network *net, const struct cb_value *file, const int64_t *size,
                               const char *folder, struct cb_diag *diag);
/* Adds a list of layers (a head) behind `from`; names get `prefix` in front. `*out_wire` is the last layer's output. */
enum cb_status cb_network_read_layers(struct cb_network *net, const struct cb_value *list, const char *prefix,
                                      uint32_t from, bool in_head, uint32_t *out_wire, struct cb_diag *diag);

/* Removes the layer `name`, or the first of the block `name`, and everything that depends on it; `*out_wire` is what fed it.
 * `at`: where it was named. */
enum cb_status cb_network_cut(struct cb_network *net, const char *name, const struct cb_place *at, uint32_t *out_wire,
                              struct cb_diag *diag);
/* Removes every layer that `keep` (wires) does not need. */
void cb_network_prune(struct cb_network *net, const uint32_t *keep, uint32_t keep_count);

enum cb_batchnorm_mode { CB_BATCHNORM_FROZEN, CB_BATCHNORM_AFFINE, CB_BATCHNORM_TRAINED };

/* Marks what is frozen: `what` is the YAML value: `backbone`, `none`, {up_to: LAYER}, or a list of layer-name patterns
 * (a pattern that matches nothing is an error). Layers with `frozen: true` are frozen in any case. `batchnorm`: what
 * becomes of layers whose training and inference differ and that have state, where they are not frozen:
 * FROZEN freezes them too, AFFINE keeps their statistics and trains their params, TRAINED leaves them. */
enum cb_status cb_network_freeze(struct cb_network *net, const struct cb_value *what, enum cb_batchnorm_mode batchnorm,
                                 struct cb_diag *diag);

/* No layer takes a variant of these names, in any plan: `what` is `avoid:` of the YAML, a name or a list (NULL: nothing);
 * adds to what is avoided already. A name that no layer of the search path has, or that is nothing but a plain form, is an
 * error. It is part of what cb_network_to_value writes, so that a run predicts as it was trained. */
enum cb_status cb_network_avoid(struct cb_network *net, const struct cb_value *what, struct cb_diag *diag);

/* The layers that never change during a training run: no trainable ancestor, no trainable params, no randomness or
 * fitting of a head. `prefix[node]` is set for each; the result lives in the arena. */
bool *cb_network_frozen_prefix(struct cb_network *net, struct cb_arena *arena);

uint32_t cb_network_find_node(const struct cb_network *net, const char *name); /* CB_NONE when there is none */
uint32_t cb_network_find_wire(const struct cb_network *net, const char *name); /* by wire or layer name */
uint32_t cb_network_find_param(const struct cb_network *net, const char *name);
/* Elements of params (states not counted) frozen and trainable. */
void cb_network_count(const struct cb_network *net, int64_t *out_frozen, int64_t *out_trainable);
/* SHA-256 over names and host values of the params and states of frozen layers, in order of names; "" when nothing is
 * frozen. */
void cb_network_hash_frozen(const struct cb_network *net, char hex[65]);
/* The network as the map of a backbone file, flat (no blocks), which reads back to the same network. */
struct cb_value *cb_network_to_value(const struct cb_network *net, struct cb_arena *arena);

/* ---- avoid.c, for plans and files ---- */

/* Whether variant `variant` of the type's table is one that the network avoids; a plain form never is. */
bool cb__network_avoids(const struct cb_network *net, const struct cb_layer_type *type, uint32_t variant);
/* The names as a list, maybe empty; in the arena. */
struct cb_value *cb__network_avoid_value(const struct cb_network *net, struct cb_arena *arena);

/* ---- shared with plan.c: running a plugin's infer ---- */

/* The core's side of an instance. During [check] it collects what `infer` declares. */
struct cb_declared {
    uint32_t dtype, rank;
    int64_t dims[CB_MAX_RANK];
    bool set;
};
struct cb_inference {
    struct cb_declared outputs[64];
    struct cb_param_decl params[64], states[16];
    struct cb_declared saved[16];
    uint32_t output_count, param_count, state_count, saved_count;
};
/* Calls infer of `node`'s layer for the given input shapes. Texts of the declarations belong to the plugin. */
enum cb_status cb__network_infer(const struct cb_network *net, const struct cb_node *node,
                                 const struct cb_tensor *const *x, struct cb_inference *out, struct cb_diag *diag);
/* share.c: a param that is frozen in one layer and not in another is an error. */
enum cb_status cb__network_check_shared(const struct cb_network *net, struct cb_diag *diag);
/* The host table that every plugin gets. */
extern const struct cb_host cb__host;

#endif
