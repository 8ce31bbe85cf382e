/* plan.h: a network (or a part of it) made ready to run on a device for one purpose: inference, or a training step.
 *
 * cb_plan_create walks: shapes for the batch -> which layers are needed -> a variant for each pass -> fusion of what
 * follows a layer into its store -> prepare (kernels) -> memory from lifetimes -> binding. After that, running only
 * enqueues. A training run with a frozen prefix has two plans over one network: the prefix in inference form, whose
 * outputs are kept, and the rest in training form, whose inputs they are.
 */
#ifndef CAMBIUM_GRAPH_PLAN_H
#define CAMBIUM_GRAPH_PLAN_H

#include "device/device.h"
#include "graph/network.h"
#include "graph/store.h"

struct cb_plan_request {
    bool training;  /* layers that are not frozen run in training mode */
    bool gradients; /* keep what backward needs; backward can be run from the losses */
    bool input_gradients; /* those of the plan's f32 inputs too, but for a loss's targets */
    /* The caller fills the gradients of those outputs that nothing in the plan gives one (cb_plan_gradient), and they stay;
     * else they are zero. */
    bool output_gradients;
    int64_t batch;  /* the largest N */
    const bool *nodes;       /* which layers may run; wires from others are inputs of the plan. NULL: all */
    const uint32_t *outputs; /* wires that are wanted and stay valid until the next run */
    uint32_t output_count;
    const char *variant; /* a variant's name that is preferred wherever it exists ("plain"); NULL: the core chooses */
    const char *const *pass_variants; /* the same for each pass (enum cb_pass), entries may be NULL; instead of `variant` */
    bool no_fusion;
};

struct cb_plan;

enum cb_status cb_plan_create(struct cb_store *store, const struct cb_plan_request *request, struct cb_plan **out,
                              struct cb_diag *diag);
void cb_plan_destroy(struct cb_plan *plan); /* accepts NULL */

/* The tensor of an input wire (to be filled before a run) or of an output wire; NULL when it is neither. Its dims[0] is
 * the N of the latest run; its buffer holds `batch` rows. */
const struct cb_tensor *cb_plan_tensor(const struct cb_plan *plan, uint32_t wire);
/* Input wires that the caller must fill, ascending. */
const uint32_t *cb_plan_inputs(const struct cb_plan *plan, uint32_t *out_count);
/* [batch] i32: which sample each row is; fill it before a training run with random layers. */
const struct cb_tensor *cb_plan_sample_ids(const struct cb_plan *plan);

/* Of networks whose inputs have lengths: sequences are `t` long from the next run on (dims[1] of the inputs with lengths and
 * of all that follows), at most as long as the plan was made for; call it before the inputs are filled. A layer that cannot
 * do that, or whose chosen variant does not, keeps all at the greatest length. `*out`: the length that they have now; 0:
 * none of the inputs has lengths. What `t` does depends on `t` alone. */
enum cb_status cb_plan_set_length(struct cb_plan *plan, int64_t t, int64_t *out, struct cb_diag *diag);

struct cb_plan_run {
    int64_t n;     /* rows, at most `batch` */
    uint64_t seed; /* of the run */
    uint64_t step;
    bool accumulate; /* backward adds to the params' gradients instead of overwriting them */
    bool fit;        /* FITTED layers take this batch into their state first */
};
/* Enqueues the forward pass. Params that changed since the last run (store->version) are derived again first. */
enum cb_status cb_plan_forward(struct cb_plan *plan, const struct cb_plan_run *run, struct cb_diag *diag);
/* Enqueues the backward pass of the latest forward: d(sum of the losses' values)/d(trainable params) into the store's
 * gradients, not divided by anything. */
enum cb_status cb_plan_backward(struct cb_plan *plan, const struct cb_plan_run *run, struct cb_diag *diag);

/* The gradient of a wire after backward, for tests and explanations; NULL when none was computed. */
const struct cb_tensor *cb_plan_gradient(const struct cb_plan *plan, uint32_t wire);
/* Bytes of activations, gradients of activations and scratch. */
uint64_t cb_plan_bytes(const struct cb_plan *plan);
/* What runs, a line per kernel step: "conv1  conv2d/tile + bn1 (folded) + relu"; appended. */
void cb_plan_describe(const struct cb_plan *plan, struct cb_text *out);
/* The same for one node: "tile + bn1 + relu; dx product, dw product"; NULL when it does not run by itself. Owned by the
 * plan. */
const char *cb_plan_node_variant(const struct cb_plan *plan, uint32_t node);

/* Which variants run, and of how many steps: "forward: conv2d winograd 13, dense tile 1; dx: conv2d winograd 13"; appended. */
void cb_plan_count_variants(const struct cb_plan *plan, struct cb_text *out);

#endif
