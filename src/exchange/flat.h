/* flat.h: a network as a flat list of layers, as readers of other programs' graphs make it, and its network file.
 *
 * Layers stand in an order in which they can run. A wire is a layer's output, or an input of the network. Names are dotted
 * paths ("layer1.0.conv1") of the modules that made the layers; cb_flat_name gives each layer one of its own, cb_flat_yaml
 * writes the file: what repeats becomes `blocks:` and `repeat:` (fold.c), the rest stays a list (write_yaml.c). */
#ifndef CAMBIUM_EXCHANGE_FLAT_H
#define CAMBIUM_EXCHANGE_FLAT_H

#include "base/value.h"
#include "graph/network.h"

struct cb_flat_wire {
    int32_t layer; /* index; below 0: input -1 - layer */
    uint32_t output;
};

struct cb_flat_param {
    const char *name; /* "w" */
    uint32_t rank;
    int64_t dims[CB_MAX_RANK];
    const float *data;
    struct cb_flat_param *next;
};

struct cb_flat_layer {
    const char *word;
    const char *scope; /* of the module that made it, "" where it has none */
    const char *name;  /* its own; set by cb_flat_name */
    bool is_leaf;      /* the scope is the module of this very layer (it has its params) */
    bool frozen;       /* written beside it: what it holds was never trained */
    bool dropped;      /* not part of the network any more */
    struct cb_value *options; /* a map; all that may differ between layers of the word, defaults too */
    struct cb_flat_wire *inputs;
    uint32_t input_count;
    uint32_t uses; /* how many layers read it, set by cb_flat_prune */
    struct cb_flat_param *params;
};

struct cb_flat {
    struct cb_arena *arena;
    const char *name;
    const char *comment;          /* lines that begin with "# ", each with its end; may be NULL */
    struct cb_value **contracts;  /* of the inputs */
    const char **input_names;
    uint32_t input_count;
    struct cb_flat_layer *layers;
    uint32_t layer_count, layer_capacity;
    struct cb_flat_wire output;
};

/* Appends a layer; NULL when memory is exhausted. The pointer is good until the next one is added. */
struct cb_flat_layer *cb_flat_add(struct cb_flat *flat, const char *word, const char *scope, const struct cb_flat_wire *inputs,
                                  uint32_t input_count);
/* Drops layers that the output does not need, closes the gaps, counts uses. False when memory is exhausted. */
bool cb_flat_prune(struct cb_flat *flat);
/* Where no layer has a module: makes modules of what repeats, blocks.0 and so on. False when memory is exhausted. */
bool cb_flat_group(struct cb_flat *flat);
/* Gives every layer its name. False when memory is exhausted. */
bool cb_flat_name(struct cb_flat *flat);
/* The network file, all but its weights, in the flat's arena; folded where the folded file reads back to the same network
 * as the flat one. */
enum cb_status cb_flat_yaml(struct cb_flat *flat, bool *out_folded, const char **out_yaml, struct cb_diag *diag);

/* ---- between fold.c and write_yaml.c ---- */

/* An item of a list: a layer, or a use of a block. */
struct cb_flat_item {
    const char *word, *name;  /* name NULL: the default one */
    struct cb_value *options; /* may be NULL */
    const char **inputs;      /* names; count 0: the item above */
    uint32_t input_count;
    int64_t start, repeat;    /* repeat 0: none */
    bool frozen, space;       /* space: an empty line in front */
};
struct cb_flat_items {
    struct cb_flat_item *items;
    uint32_t count, capacity;
};
struct cb_flat_block {
    const char *word;
    const char *comment;         /* may be NULL */
    struct cb_value *parameters; /* a map; may be NULL */
    struct cb_flat_items list;
};
struct cb_flat_file {
    struct cb_flat_block *blocks;
    uint32_t block_count;
    struct cb_flat_items layers;
    const char *output;
};

struct cb_flat_item *cb__flat_push(struct cb_arena *arena, struct cb_flat_items *list);
/* The item of a layer: names of layers without `prefix`. `above` is the wire that it reads when it says nothing. */
bool cb__flat_item(struct cb_flat *flat, const struct cb_flat_layer *layer, const char *prefix, struct cb_flat_wire above,
                   struct cb_flat_wire outside, struct cb_flat_items *list);
/* An option without those that are defaults; NULL when memory is exhausted. */
struct cb_value *cb__flat_options(struct cb_arena *arena, const char *word, const struct cb_value *options);
/* The default of an option as text, NULL: it has none that is left out. */
const char *cb__flat_default(const char *word, const char *key);
const char *cb__flat_wire_name(struct cb_flat *flat, struct cb_flat_wire wire, const char *prefix, struct cb_flat_wire outside);
char *cb__flat_write(struct cb_flat *flat, const struct cb_flat_file *file);
bool cb__flat_fold(struct cb_flat *flat, struct cb_flat_file *file);
bool cb__flat_plain(struct cb_flat *flat, struct cb_flat_file *file);
char *cb__flat_value_text(struct cb_arena *arena, const struct cb_value *value); /* in flow form, on one line */

#endif
