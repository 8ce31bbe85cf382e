/* example.h: what can be learned of a layer by asking it: its example in a network that passes, the forms of input that
 * it takes, and its shapes as symbols, found by doubling one size after the other and looking what follows. */
#ifndef CAMBIUM_GRAPH_EXAMPLE_H
#define CAMBIUM_GRAPH_EXAMPLE_H

#include "device/device.h"
#include "graph/network.h"

struct cb_shape_fact {
    const char *name;    /* "w", "x", "y" */
    const char *symbols; /* "[kernel, kernel, C/groups, filters]" */
    const char *dtype;   /* "float32" */
};

struct cb_example {
    const char *yaml;   /* a whole network file that passes `cambium check`; of a loss: `train:` of a task */
    const char *inputs; /* the shapes that the example gives it: "[N,28,28,3]" */
    const char *forms;  /* of input that it takes with its example's options: "[N,H,W,C], [N,T,C]"; NULL: several */
    struct cb_shape_fact *x, *y, *params, *states, *saved;
    uint32_t x_count, y_count, param_count, state_count, saved_count;
    struct cb_network *net; /* the example; the layer is node 0. Destroyed with cb_example_close */
};

/* Asks `type`. `out->net` is NULL when no form of input that is tried suits the layer's own example. */
enum cb_status cb_example_open(struct cb_registry *registry, const struct cb_layer_type *type, struct cb_arena *arena,
                               struct cb_example *out);
void cb_example_close(struct cb_example *example);

/* What `device` does with variant `i` of the example's layer: "runs", "could run", "declined: ..."; in the arena. */
enum cb_status cb_example_variants(const struct cb_example *example, struct cb_device *device, struct cb_arena *arena,
                                   const char ***out, struct cb_diag *diag);

#endif
