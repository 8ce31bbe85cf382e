/* onnx_lower.h: from an ONNX graph to a flat list of layers; shared by the files onnx_lower*.c.
 *
 * What an ONNX value is in our network is a view: a wire, and how its axes lie there. Every ONNX axis is a product of
 * atoms (none where the axis is 1), the wire is the same atoms in an order of its own, N first. A Transpose permutes
 * axes, a Reshape splits atoms and deals them out anew, and neither makes a layer: only an operator that wants its
 * operands in a certain order (view.c: cb__lower_arrange) may cost a reshape (which runs nothing) or a transpose. So
 * pictures become channels-last once, and the heads of attention or the windows of Swin are views. */
#ifndef CAMBIUM_EXCHANGE_ONNX_LOWER_H
#define CAMBIUM_EXCHANGE_ONNX_LOWER_H

#include "exchange/flat.h"
#include "exchange/import.h"
#include "exchange/onnx.h"

#define CB_ATOMS 24

struct cb_atoms {
    uint32_t count;
    uint8_t items[CB_ATOMS]; /* indices into view->size */
};

struct cb_view {
    bool is_set;
    struct cb_flat_wire wire;
    uint32_t atom_count;
    int64_t size[CB_ATOMS];          /* [0] is N, here 1 */
    uint32_t rank;
    struct cb_atoms axes[CB_MAX_RANK]; /* of the ONNX value, major first */
    struct cb_atoms order;           /* in the wire; order.items[0] == 0 */
    uint32_t wire_rank;              /* behind N */
    int64_t wire_dims[CB_MAX_RANK];
    bool is_integer;
    bool is_expanded; /* some axes, of one place here, are repeated in the ONNX value: only arithmetic may read it */
};

struct cb_lower {
    struct cb_arena *arena;
    struct cb_onnx_graph *graph;
    struct cb_flat *flat;
    struct cb_diag *diag;
    const struct cb_import_request *request;
    struct cb_view *views;  /* by value->index */
    bool *needed;           /* by node->index: an output of it is read by what is made */
    const struct cb_lower_match **matches; /* by node->index: the node ends a pattern of several */
    struct cb_lower_copy *copies; /* rearranged wires, to be used again */
    const struct cb_onnx_node *node; /* that is being lowered */
    const char *scope;      /* of `node` */
    bool is_wrong;          /* a view does not fit its value's shape: set by cb__lower_set */
};

/* A pattern found in the graph: `word` with options, reading `inputs`. */
struct cb_lower_match;
typedef enum cb_status cb_lower_match_function(struct cb_lower *low, const struct cb_onnx_node *node,
                                               const struct cb_lower_match *match);
struct cb_lower_match {
    cb_lower_match_function *lower;
    const char *word;
    struct cb_onnx_value *inputs[4];
    uint32_t input_count;
    const struct cb_onnx_tensor *constants[4];
    double numbers[4];
    int64_t axis;
};

typedef enum cb_status cb_lower_function(struct cb_lower *low, const struct cb_onnx_node *node);
struct cb_lower_operator {
    const char *op;
    cb_lower_function *lower;
};
extern const struct cb_lower_operator cb__lower_pointwise[], cb__lower_arithmetic[], cb__lower_pictures[],
    cb__lower_norms[], cb__lower_shapes[], cb__lower_products[], cb__lower_reductions[], cb__lower_joins[],
    cb__lower_recurrent[];

/* ---- onnx_lower_view.c, onnx_lower_atoms.c ---- */

void cb__lower_compact(struct cb_view *view); /* renumbers the atoms in use */

/* The view, which may be an expanded one. */
enum cb_status cb__lower_any_view(struct cb_lower *low, const struct cb_onnx_value *value, struct cb_view *out);
/* The view of an activation; fails when the value is a constant or has none. */
enum cb_status cb__lower_view(struct cb_lower *low, const struct cb_onnx_value *value, struct cb_view *out);
/* A view of `value`'s own shape in which every axis is one atom, the wire's axes in order `axes` (rank numbers; the
 * batch's first). wire_dims: one for each axis but the first. `wire` is left to the caller. */
enum cb_status cb__lower_fresh(struct cb_lower *low, const struct cb_onnx_value *value, const uint32_t *axes,
                               struct cb_view *out);
/* The view as a wire with these dims behind N, whose atoms stand in `order`; the layers that it takes are added. Changes
 * the view itself too. */
enum cb_status cb__lower_arrange(struct cb_lower *low, struct cb_view *view, const struct cb_atoms *order, uint32_t rank,
                                 const int64_t *dims);
/* As an array of groups of atoms, one a dim behind N (an empty one is a dim of 1). */
enum cb_status cb__lower_arrange_groups(struct cb_lower *low, struct cb_view *view, const struct cb_atoms *groups,
                                        uint32_t count);
/* [N, axes...]: each ONNX axis in the list a dim of its own. */
enum cb_status cb__lower_arrange_axes(struct cb_lower *low, struct cb_view *view, const uint32_t *axes, uint32_t count);
/* Atoms of `set` behind all others, both in the wire's order; *out_dims keep the wire's own where they fit. The last dim is
 * all of `set`. */
enum cb_status cb__lower_arrange_last(struct cb_lower *low, struct cb_view *view, const struct cb_atoms *set);
/* Dims behind N so that each is wholly in `set` or wholly out of it, without moving anything; is_in[d] says which. */
enum cb_status cb__lower_arrange_runs(struct cb_lower *low, struct cb_view *view, const struct cb_atoms *set, bool *is_in);
/* Makes `axis` a single atom (or none), which may need a transpose. */
enum cb_status cb__lower_single(struct cb_lower *low, struct cb_view *view, uint32_t axis);
/* Axis `i` of a and axis `j` of b, of one size, get atoms of the same sizes, in the same order. */
enum cb_status cb__lower_align(struct cb_lower *low, struct cb_view *a, uint32_t i, struct cb_view *b, uint32_t j);
/* The view with the dims that `value` has: reshape. */
enum cb_status cb__lower_reshape(struct cb_lower *low, struct cb_view *view, const struct cb_onnx_value *value);
void cb__lower_permute(struct cb_view *view, const uint32_t *axes); /* rank numbers */
void cb__atoms_add(struct cb_atoms *atoms, uint8_t atom);
void cb__atoms_join(struct cb_atoms *atoms, const struct cb_atoms *more);
bool cb__atoms_have(const struct cb_atoms *atoms, uint8_t atom);
bool cb__atoms_equal(const struct cb_atoms *a, const struct cb_atoms *b);
int64_t cb__atoms_size(const struct cb_view *view, const struct cb_atoms *atoms);
/* A new atom; 0 when there are too many (which the next check of the caller's reports). */
enum cb_status cb__lower_new_atom(struct cb_lower *low, struct cb_view *view, int64_t size, uint8_t *out);
/* Values of a constant, broadcast to the view's axes, for the atoms in `order` (row-major). `axis0`: the ONNX axis of the
 * view that the constant's first one is. */
enum cb_status cb__lower_values(struct cb_lower *low, const struct cb_view *view, const struct cb_onnx_tensor *constant,
                                int64_t axis0, const struct cb_atoms *order, float **out);

/* ---- onnx_lower_shapes.c, onnx_lower_join.c ---- */

/* Places `from` to `to` (exclusive), each `step`-th, of an axis. */
enum cb_status cb__lower_slice_axis(struct cb_lower *low, struct cb_view *view, uint32_t axis, int64_t from, int64_t to,
                                    int64_t step);
/* Joins views along an axis, in the layout of the one that has most places there; the result is views[0]. At most 64. */
enum cb_status cb__lower_concat(struct cb_lower *low, struct cb_view *views, uint32_t count, uint32_t axis);

/* ---- onnx_lower.c ---- */

/* Which nodes are to be lowered: from the output backwards, past what a pattern swallows. */
void cb__lower_find_needed(struct cb_lower *low, const struct cb_onnx_value *output);
enum cb_status cb__lower_nodes(struct cb_lower *low);
bool cb__lower_is_good_name(const char *name); /* a dotted path that may name layers */

enum cb_status cb__lower_fail(struct cb_lower *low, const char *fmt, ...) CB_PRINTF(2, 3);
enum cb_status cb__lower_memory(struct cb_lower *low);
/* Adds a layer; its only wire is *out (may be NULL). */
enum cb_status cb__lower_add(struct cb_lower *low, const char *word, const struct cb_flat_wire *inputs, uint32_t count,
                             struct cb_flat_wire *out);
/* Of the layer added last. Failures of memory show at the end (the options are checked when the file is read back). */
void cb__lower_int(struct cb_lower *low, const char *key, int64_t value);
void cb__lower_real(struct cb_lower *low, const char *key, double value);
void cb__lower_bool(struct cb_lower *low, const char *key, bool value);
void cb__lower_text(struct cb_lower *low, const char *key, const char *value);
void cb__lower_ints(struct cb_lower *low, const char *key, const int64_t *values, uint32_t count); /* one when all equal */
void cb__lower_list(struct cb_lower *low, const char *key, const int64_t *values, uint32_t count);
enum cb_status cb__lower_param(struct cb_lower *low, const char *name, uint32_t rank, const int64_t *dims, const float *data);
/* The layer added last has the name of the module whose tensor this is; `tensor` may be NULL. */
void cb__lower_owner(struct cb_lower *low, const struct cb_onnx_tensor *tensor);
void cb__lower_freeze(struct cb_lower *low); /* the layer added last holds what was never trained */
void cb__lower_set(struct cb_lower *low, const struct cb_onnx_value *value, const struct cb_view *view);
/* A layer of one input and one output that keeps the wire's shape. */
enum cb_status cb__lower_map(struct cb_lower *low, struct cb_view *view, const char *word);
/* y = scale x + shift, nothing where it is x. */
enum cb_status cb__lower_affine(struct cb_lower *low, struct cb_view *view, double scale, double shift);
/* True for a tensor that a training moves, by its name: not a number of the program's own. */
bool cb__lower_is_trained(const struct cb_onnx_tensor *tensor);
/* True when all elements are the same, which is *out. */
bool cb__lower_uniform(const struct cb_onnx_tensor *tensor, double *out);
/* A constant that an exporter repeated for each sample of its own batch, as one sample; else the constant itself. */
const struct cb_onnx_tensor *cb__lower_one_sample(struct cb_lower *low, const struct cb_onnx_tensor *constant);
int64_t cb__lower_axis(int64_t axis, uint32_t rank); /* from 0; below 0 when it is out of range */
/* The elements of an integer constant, at most `most`; false when there is none. */
bool cb__lower_constant_ints(const struct cb_onnx_node *node, uint32_t input, int64_t *out, uint32_t most, uint32_t *count);

/* ---- onnx_lower_recurrent.c ---- */
bool cb__lower_is_recurrent(const struct cb_onnx_node *node);

/* ---- onnx_lower_match.c ---- */
enum cb_status cb__lower_find_matches(struct cb_lower *low);
cb_lower_match_function cb__lower_norm_match, cb__lower_l2_match; /* onnx_lower_norms.c */
cb_lower_match_function cb__lower_attention_match; /* onnx_lower_attention.c */
bool cb__lower_find_attention(const struct cb_onnx_node *node, struct cb_lower_match *match);
/* The node of this operator that makes the value, or NULL. */
const struct cb_onnx_node *cb__lower_made_by(const struct cb_onnx_value *value, const char *op);
/* x of `factor` times x, or x divided by 1 / factor; NULL where it is neither. */
struct cb_onnx_value *cb__lower_scaled(const struct cb_onnx_value *value, double *factor);

/* ---- onnx_lower_arithmetic.c ---- */
/* The view with a constant added or multiplied in. */
enum cb_status cb__lower_constant(struct cb_lower *low, struct cb_view *view, const struct cb_onnx_tensor *constant,
                                  bool multiply, bool invert, double factor);

/* The last pass: biases into the layers above them. */
bool cb__flat_tidy(struct cb_flat *flat);

#endif
