/* onnx_emit.h: what turns one layer of a network into ONNX nodes (the emissions: onnx_emit_*.c)
 * works with.
 *
 * Tensors with places between N and C are wanted channels-last by this program and channels-first
 * by ONNX's operators that see neighbours. Each wire has one native layout, the one its layer made,
 * and gets the other by a Transpose once somebody asks for it. What maps element by element takes
 * what is native, so that a network of convolutions has one Transpose at most. Below three
 * dimensions both layouts are the same. */
#ifndef CAMBIUM_EXCHANGE_ONNX_EMIT_H
#define CAMBIUM_EXCHANGE_ONNX_EMIT_H

#include "exchange/onnx_draft.h"
#include "graph/network.h"

enum cb_layout { CB_LAST, CB_FIRST }; /* channels-last, channels-first */

struct cb_emitted {
    const char *value[2]; /* by layout; NULL: not made */
    enum cb_layout native;
};

/* A param's values as int8 with a scale per last dimension: value = q * scale. */
struct cb_quantised {
    const int8_t *q; /* NULL: stays float */
    const float *scale;
};

struct cb_emitted_param {
    const char *name;
    uint32_t order; /* how its dims stand, so that a shared param is written once */
};

struct cb_emit {
    struct cb_draft draft;
    const struct cb_network *net;
    const struct cb_node *node;                 /* that is being emitted */
    struct cb_emitted *wires;                   /* by wire */
    struct cb_emitted_param *params;            /* by param */
    const struct cb_quantised *quantised;       /* by param; NULL: all stay float */
    const float **affine_scale, **affine_shift; /* by node: of an affine layer itself; else NULL */
    const float **fold_scale,
        **fold_shift; /* by node: of the affine layer that is folded into it; else NULL */
};

/* Per channel a product and a sum, of e->node's own affine_scale and affine_shift: any affine layer
 * in inference form. */
void cb__emit_affine(struct cb_emit *e);

typedef void cb_emission(struct cb_emit *e);

/* Of a table of emissions by the layer's word; the last one has a NULL word. */
struct cb_emission_entry {
    const char *word;
    cb_emission *emit;
};
extern const struct cb_emission_entry cb__emit_linear_table[], cb__emit_pool_table[],
    cb__emit_place_table[], cb__emit_pointwise_table[], cb__emit_norm_table[],
    cb__emit_shape_table[], cb__emit_sequence_table[], cb__emit_recurrent_table[],
    cb__emit_window_table[];

/* Emits e->node. UNSUPPORTED, with the layer's name and place, where ONNX has no words for it. */
enum cb_status cb__emit_layer(struct cb_emit *e);
/* Whether there is an emission for it; else `*out_why` says what stands against it. */
bool cb__emit_knows(const struct cb_emit *e, const struct cb_node *node, const char **out_why);
/* Says why this layer cannot be, by an error at its place. */
void cb__emit_fail(struct cb_emit *e, const char *fmt, ...) CB_PRINTF(2, 3);

/* ---- the layer's inputs and outputs
 * ------------------------------------------------------------------------------ */
const struct cb_tensor *cb__emit_x_shape(const struct cb_emit *e, uint32_t i);
const struct cb_tensor *cb__emit_y_shape(const struct cb_emit *e, uint32_t i);
enum cb_layout cb__emit_native(const struct cb_emit *e, uint32_t i);
const char *cb__emit_x(struct cb_emit *e, uint32_t i, enum cb_layout layout);
void cb__emit_y(struct cb_emit *e, uint32_t i, const char *value, enum cb_layout layout);
/* Input i's [N] int64 of how many of dims[1] are real; NULL: all are. */
const char *cb__emit_lengths(struct cb_emit *e, uint32_t i);
/* Where axis `axis` (channels-last, negative ones from the end) stands in a layout. */
int64_t cb__emit_axis(enum cb_layout layout, int64_t axis, uint32_t rank);

/* A node of this layer. */
#define cb__emit_op(e, ...) cb__draft_node(&(e)->draft, (e)->node->name, __VA_ARGS__)
/* Reshape to [0, dims...]: N stays what it is. `dims` are those behind N. */
const char *cb__emit_reshape(struct cb_emit *e, const char *x, uint32_t count, const int64_t *dims);
const char *cb__emit_transpose(struct cb_emit *e, const char *x, uint32_t rank,
                               const int64_t *permutation);
const char *cb__emit_unsqueeze(struct cb_emit *e, const char *x, uint32_t count,
                               const int64_t *axes);
const char *cb__emit_slice(struct cb_emit *e, const char *x, int64_t axis, int64_t from, int64_t to,
                           int64_t step);

/* ---- its options: what the plugin's table says, filled and checked
 * ----------------------------------------------- */
int64_t cb__emit_integer(const struct cb_emit *e,
                         const char *key); /* an integer, a bool, the index of a choice */
double cb__emit_real(const struct cb_emit *e, const char *key);
const struct cb_list *cb__emit_list(const struct cb_emit *e,
                                    const char *key); /* an empty one when there is none */
/* The ith of a list of integers, or its last. */
int64_t cb__emit_pick(const struct cb_emit *e, const char *key, uint32_t i);
/* Padding [top, bottom, left, right] of one direction (0: the first, 1: the second) as its layers
 * take it: one number, two, or four. False when a word stands there. */
bool cb__emit_padding(const struct cb_emit *e, uint32_t direction, int64_t *before, int64_t *after);

/* ---- its params, and constants
 * ----------------------------------------------------------------------------------- */
const struct cb_param *cb__emit_param(const struct cb_emit *e,
                                      const char *name); /* or a state; NULL when it has none */
/* The param as it is, as `rank` dims (of the same count). */
const char *cb__emit_vector(struct cb_emit *e, const struct cb_param *param, uint32_t rank,
                            const int64_t *dims);
/* A linear map's weight, its dims in another order (axis d of the result is axis order[d]), with
 * what is folded into the layer; int8 behind a DequantizeLinear where it is quantised. */
const char *cb__emit_weight(struct cb_emit *e, const struct cb_param *param, const uint32_t *order);
/* A linear map's bias of `channels`, with what is folded into the layer; NULL when there is none.
 */
const char *cb__emit_bias(struct cb_emit *e, int64_t channels);

const char *cb__emit_scalar(struct cb_emit *e, const char *name, double value);
const char *cb__emit_floats(struct cb_emit *e, const char *name, uint32_t rank, const int64_t *dims,
                            const float *data);
const char *cb__emit_constant(struct cb_emit *e, const char *name, int64_t count,
                              float value); /* [count] of one value */
const char *cb__emit_ints(struct cb_emit *e, const char *name, size_t count, const int64_t *items);
const char *cb__emit_one_int(struct cb_emit *e, const char *name, int64_t value); /* [1] */
/* Room for values of an initializer, in the draft's arena; NULL (noted) when there is none. */
float *cb__emit_room(struct cb_emit *e, int64_t count);

#endif
