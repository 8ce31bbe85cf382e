/* step.h: the parts of a plan. Private to src/graph. */
#ifndef CAMBIUM_GRAPH_STEP_H
#define CAMBIUM_GRAPH_STEP_H

#include "graph/core.h"
#include "graph/plan.h"
#include "graph/store.h"

#define CB_MAX_PASS_TENSORS 32
#define CB_PASS_COUNT 5
#define CB_CHAIN_ARGS 40 /* the most that a chain takes of the arguments of a kernel */

#define CB_MAX_KEPT_PANELS 4

/* One pass of one layer with its chosen variant. */
struct cb_step_pass {
    const struct cb_variant *variant; /* NULL: the layer has no such pass, or it is not needed */
    struct cb_kernel *kernels[CB_MAX_PASS_TENSORS];
    struct cb_tensor *workspace[CB_MAX_PASS_TENSORS], *derived[CB_MAX_PASS_TENSORS];
    uint32_t kernel_count, workspace_count, derived_count;
    void *self;
    struct cb_gemm_panels panels[CB_MAX_KEPT_PANELS]; /* of params that stay as they are, made by products with them */
    bool takes_chain;   /* something is fused into its stores (EPILOGUE) or loads (PROLOGUE): its arguments follow the
                           kernel's own */
    const char *header; /* generated text before the kernels; NULL: none is needed */
};

/* A layer fused into the store of the step's own layer. */
enum cb_op_kind { CB_OP_AFFINE, CB_OP_SUM, CB_OP_POINTWISE };
struct cb_op {
    enum cb_op_kind kind;
    uint32_t node;
    uint32_t in, out;                /* wires of the chain before and after it */
    uint32_t other;                  /* SUM: the wire that is added, and its value */
    const struct cb_tensor *other_tensor;
    bool folded;                     /* AFFINE: the scale is in the step's params, only the shift is left */
    struct cb_tensor scale, shift;   /* AFFINE: [C] */
    float options[16];               /* POINTWISE */
    uint32_t option_count;
    struct cb_kernel *backward;      /* POINTWISE, AFFINE */
};

struct cb_step {
    uint32_t node;
    bool is_copy;  /* a pointwise layer that found no producer to be fused into: reads x, stores through its own chain */
    bool is_view;
    bool keeps_panels; /* its params change rarely: never in this plan, or with the store's version */
    struct cb_instance in;
    struct cb_core core;
    struct cb_tensor *x[64], *y[64], *dy[64], *dx[64];
    struct cb_tensor **params, **state, **dw;
    struct cb_tensor *saved[16];
    struct cb_tensor saved_tensors[16];
    struct cb_step_pass passes[CB_PASS_COUNT];
    struct cb_op *ops;
    uint32_t op_count;
    uint32_t final_wire;        /* wire of y[0] after the chain */
    struct cb_tensor *folded;   /* copies of params with an affine folded in; NULL when none */
    const char *chain_header;   /* generated text before the kernels that store y; NULL: none is needed */
    struct cb_kernel *copy_kernel;
    char *variant_text; /* "tile + bn1 + relu" */
    char *passes_text;  /* with those of backward: "tile + relu; dx product, dw product" */
};

enum cb_bop_kind { CB_BOP_LAYER, CB_BOP_POINTWISE, CB_BOP_AFFINE, CB_BOP_SUM };
/* One part of backward: reads the gradient of `out`, writes or adds to those of its inputs. */
struct cb_bop {
    enum cb_bop_kind kind;
    struct cb_step *step;
    struct cb_op *op; /* all but LAYER */
    uint32_t dx_accumulate;
    uint32_t dw_accumulate; /* LAYER: bit k: a part before this one wrote the gradient of param k (shared) */
    bool wants[64];  /* LAYER: per input; SUM: [0] the chain, [1] the other */
    bool in_place;   /* the chain's gradient is the same memory before and after */
    bool fused;      /* POINTWISE: the layer's own backward multiplies by the derivative as it reads (PROLOGUE) */
    uint64_t unread; /* LAYER: bit k: nothing gives output k a gradient; others: bit 0: nothing gives the chain's end one */
};

struct cb_plan {
    struct cb_arena *arena;
    struct cb_network *net;
    struct cb_store *store;
    struct cb_device *device;
    struct cb_plan_request request;
    struct cb_inference *inferred; /* per node of the network */
    bool *runs;                    /* per node */
    bool *is_output;               /* per wire */
    bool *is_input;
    uint32_t *consumers;           /* per wire: layers of the plan that read it */
    bool *wants_gradient;          /* per wire */
    struct cb_tensor *values;      /* per wire */
    struct cb_tensor *gradients;
    uint32_t *inputs;
    uint32_t input_count;
    struct cb_step *steps;
    uint32_t step_count;
    struct cb_bop *bops;
    uint32_t bop_count;
    struct cb_tensor sample_ids;
    struct cb_kernel *sum_backward;
    struct cb_buffer **slabs;
    uint32_t slab_count;
    struct cb_buffer **owned; /* every other buffer that is destroyed with the plan */
    uint32_t owned_count, owned_capacity;
    uint64_t bytes;
    uint64_t version; /* of the store when params were derived last; 0: never */
    int64_t n;        /* rows of the latest run */
    int64_t length;   /* of sequences, as cb_plan_set_length last set it; 0: the longest */
    struct cb_tensor *other_wires;       /* plan_length.c: room for the shapes of another length, made when it is needed */
    struct cb_inference *other_inferred;
};

/* tuning_measure.c: measures what the store's table lacks, if it may; never fails. What was measured for a pass of a node;
 * NULL: nothing. The class that a pass of a node belongs to, and the hash of its layer's kernel file, in the arena. */
struct cb_value;
void cb__plan_tune(struct cb_plan *plan);
const struct cb_value *cb__plan_tuned(const struct cb_plan *plan, uint32_t node, uint32_t pass);
char *cb__tuning_class(const struct cb_plan *plan, struct cb_arena *arena, uint32_t index, uint32_t pass);
char *cb__tuning_source(struct cb_arena *arena, const struct cb_layer_type *type);

/* plan_text.c: the texts of a step; passes by name. */
extern const char *const cb__pass_words[CB_PASS_COUNT];
void cb__step_write_text(struct cb_plan *plan, struct cb_step *step);

/* fuse.c: decides the chain of each step and writes its text. */
enum cb_status cb__plan_fuse(struct cb_plan *plan, struct cb_step *step, bool *fused_nodes, struct cb_diag *diag);
/* Whether the step's chain is one pointwise layer whose derivative goes into the loads of the layer's backward. */
bool cb__step_has_prologue(const struct cb_step *step);
enum cb_status cb__plan_header(struct cb_plan *plan, struct cb_step *step, struct cb_diag *diag);
/* The kernel of a pointwise layer's backward: dx (+)= dy * NAME_df(x or y). */
enum cb_status cb__plan_pointwise_backward(struct cb_plan *plan, struct cb_op *op, struct cb_diag *diag);
/* Arguments that the parameters of the chain header ask for; returns their number. */
uint32_t cb__step_chain_args(const struct cb_step *step, struct cb_arg args[CB_CHAIN_ARGS]);

/* bind.c: lifetimes, memory, buffers. */
enum cb_status cb__plan_bind(struct cb_plan *plan, struct cb_diag *diag);
enum cb_status cb__plan_own(struct cb_plan *plan, uint64_t bytes, struct cb_buffer **out, struct cb_diag *diag);

/* run.c: derived params and affine vectors after params changed. */
enum cb_status cb__plan_refresh(struct cb_plan *plan, struct cb_diag *diag);
/* Puts a pass of a step under its instance, so that the plugin sees its kernels and tensors. */
/* Calls a function of a variant; one that fails without a word is named. */
enum cb_status cb__step_call(struct cb_step *step, uint32_t pass, enum cb_status (*function)(struct cb_instance *in),
                             struct cb_diag *diag);
void cb__step_enter(struct cb_step *step, uint32_t pass, struct cb_diag *diag);
void cb__step_leave(struct cb_step *step, uint32_t pass);

#endif
