/* onnx_work.h: one node at one batch size: what its inputs are, what its outputs become.
 *
 * Shapes and shape arithmetic are done with plain numbers, for three batch sizes: 1, and two primes that no network has
 * as a dim. What comes out alike for both primes does not depend on N; a dim that differs is fixed + batch * N, which
 * two points give and which must be whole. So no operator needs to know of symbols. */
#ifndef CAMBIUM_EXCHANGE_ONNX_WORK_H
#define CAMBIUM_EXCHANGE_ONNX_WORK_H

#include "exchange/onnx_internal.h"

enum { CB__ONNX_LANES = 3 };
extern const int64_t cb__onnx_lane_batch[CB__ONNX_LANES]; /* {1, a prime, another} */

/* An input or output at one batch size. */
struct cb__onnx_arg {
    enum cb_onnx_type type;
    bool has_shape;
    uint32_t rank;
    int64_t dims[CB_MAX_RANK];
    const struct cb_onnx_tensor *tensor; /* NULL: its values are not known */
    bool is_fixed;                       /* its values are the same for every batch size: the file has them */
};

struct cb__onnx_work {
    struct cb_onnx_graph *graph;
    const struct cb_onnx_node *node;
    struct cb__onnx_arg *in; /* in_count; one that is left out is all zero */
    struct cb__onnx_arg *out; /* out_count, what infer fills; then eval adds the tensors */
    uint32_t in_count, out_count;
    int64_t opset;
    int64_t batch;       /* N here */
    int64_t file_batch;  /* the number that the file has where N is; 0: it has none */
    int64_t max_count;   /* of the elements that eval may make */
    struct cb_diag *diag;
};

/* Fills types and shapes of the outputs; leaves has_shape false where they cannot be known. */
typedef enum cb_status (*cb__onnx_infer)(struct cb__onnx_work *w);
/* Computes w->out[i].tensor of the shapes that infer gave; all inputs that are there have tensors. False: it is not
 * done (too large, a case that is not covered, division by zero). */
typedef bool (*cb__onnx_eval)(struct cb__onnx_work *w);

enum {
    CB__ONNX_SAMPLEWISE = 1u << 0, /* with N in dim 0 of the output, each sample depends on its own sample alone */
    CB__ONNX_BY_SHAPE = 1u << 1,   /* eval needs the shapes of the inputs, not their values (Shape, Size) */
};

struct cb__onnx_operator {
    const char *name;
    cb__onnx_infer infer;
    cb__onnx_eval eval;    /* NULL: never folded */
    uint32_t flags;
    uint32_t shape_inputs; /* bit i: input i says how large things are (the second of Reshape and Expand) */
};

/* NULL: not one whose shapes are known. */
const struct cb__onnx_operator *cb__onnx_operator(const struct cb_onnx_node *node);

/* Sums and products of what a file says: too large becomes INT64_MAX, which no shape may have. */
static inline int64_t cb__onnx_times(int64_t a, int64_t b)
{
    int64_t out;
    return __builtin_mul_overflow(a, b, &out) ? INT64_MAX : out;
}

static inline int64_t cb__onnx_plus(int64_t a, int64_t b)
{
    int64_t out;
    return __builtin_add_overflow(a, b, &out) ? INT64_MAX : out;
}

/* What an export with a fixed batch left (onnx_fixed.c): inputs of a node that hold the same for each sample become
 * repeated ones; a Gather of all elements in order becomes a Reshape. */
void cb__onnx_repeat_constants(struct cb_onnx_graph *graph, struct cb_onnx_node *node,
                               const struct cb__onnx_operator *operator, int64_t file_batch);
void cb__onnx_unpick(struct cb_onnx_graph *graph, struct cb_onnx_node *node, int64_t file_batch);

/* True when output 0 is input 0, whatever its values. Shapes are known where they can be (onnx_idle.c). */
bool cb__onnx_does_nothing(const struct cb_onnx_node *node);
/* Where(IsNaN(x), 0, x) of a softmax, as PyTorch writes its attention: nothing is ever masked as a whole there. */
bool cb__onnx_is_guarded_softmax(const struct cb_onnx_node *node);

/* Dims of the inputs (onnx_inputs.c); dead nodes and consumers (onnx_tidy.c). */
enum cb_status cb__onnx_resolve_inputs(struct cb_onnx_graph *graph, const struct cb_onnx_options *options,
                                       struct cb_diag *diag);
enum cb_status cb__onnx_tidy(struct cb_onnx_graph *graph, struct cb_diag *diag);

/* ---- for infer (onnx_shape*.c) ----------------------------------------------------------------------------------- */

/* MISMATCH with the reason and the shapes of the inputs. */
enum cb_status cb__onnx_misfit(const struct cb__onnx_work *w, const char *fmt, ...) CB_PRINTF(2, 3);
/* True when input `i` is there and has a shape. */
bool cb__onnx_has(const struct cb__onnx_work *w, uint32_t i);
/* Output `i` gets a type and a shape. A rank over 8, or dims that overflow, fail. */
enum cb_status cb__onnx_give(struct cb__onnx_work *w, uint32_t i, enum cb_onnx_type type, uint32_t rank,
                             const int64_t *dims);
/* The integers of input `i`, at most `room`; false when they are not known (then *out_known is false) or too many. */
bool cb__onnx_integers(const struct cb__onnx_work *w, uint32_t i, uint32_t room, int64_t *out, uint32_t *out_count);
/* `axes` as an attribute, or as input `i` (from the opset on that has it so). Negative ones are counted from the end
 * of `rank`, each is checked. *out_known false: they are not constant. Count 0: left out. */
enum cb_status cb__onnx_axes(const struct cb__onnx_work *w, uint32_t i, uint32_t rank, int64_t out[CB_MAX_RANK],
                             uint32_t *out_count, bool *out_known);
/* An axis attribute, checked. */
enum cb_status cb__onnx_axis(const struct cb__onnx_work *w, const char *name, int64_t fallback, uint32_t rank,
                             uint32_t *out);
/* NumPy's broadcasting of inputs first .. first+count-1 into dims. */
enum cb_status cb__onnx_broadcast(const struct cb__onnx_work *w, uint32_t first, uint32_t count, uint32_t *out_rank,
                                  int64_t out[CB_MAX_RANK], bool *out_known);

enum cb_status cb__onnx_infer_same(struct cb__onnx_work *w);       /* as input 0 */
enum cb_status cb__onnx_infer_broadcast(struct cb__onnx_work *w);  /* type of input 0 */
enum cb_status cb__onnx_infer_compare(struct cb__onnx_work *w);    /* bool */
enum cb_status cb__onnx_infer_asked(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_where(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_cast(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_dropout(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_dequantize(struct cb__onnx_work *w); /* the scale's type */
enum cb_status cb__onnx_infer_norm(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_matmul(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_gemm(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_einsum(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_reduce(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_arg(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_topk(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_recurrent(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_attention(struct cb__onnx_work *w);

enum cb_status cb__onnx_infer_conv(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_conv_transpose(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_pool(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_global_pool(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_resize(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_depth_to_space(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_space_to_depth(struct cb__onnx_work *w);

enum cb_status cb__onnx_infer_shape(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_size(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_constant(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_constant_of_shape(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_range(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_reshape(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_flatten(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_squeeze(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_unsqueeze(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_transpose(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_expand(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_tile(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_concat(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_split(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_slice(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_gather(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_gather_elements(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_gather_nd(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_pad(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_one_hot(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_nonzero(struct cb__onnx_work *w);
enum cb_status cb__onnx_infer_eye_like(struct cb__onnx_work *w);

/* What a Slice takes of an axis, within it. */
struct cb__onnx_range {
    int64_t start, step, count;
};
/* False in *out_known: starts or ends are not constant. */
enum cb_status cb__onnx_slices(const struct cb__onnx_work *w, struct cb__onnx_range out[CB_MAX_RANK], bool *out_known);
/* The sizes of a Split's parts. */
enum cb_status cb__onnx_split_sizes(const struct cb__onnx_work *w, uint32_t axis, int64_t *out, bool *out_known);

/* ---- for eval (onnx_eval*.c) ------------------------------------------------------------------------------------- */

/* A dense tensor of the shape of output `i`, zero, entered there. NULL: too large. */
struct cb_onnx_tensor *cb__onnx_make_output(struct cb__onnx_work *w, uint32_t i);
/* A view of input 0's bytes with the dims of output `i`, dense or not; entered there. NULL: no memory. */
struct cb_onnx_tensor *cb__onnx_view_output(struct cb__onnx_work *w, uint32_t i);

bool cb__onnx_eval_batchnorm(struct cb__onnx_work *w);
bool cb__onnx_eval_unary(struct cb__onnx_work *w);
bool cb__onnx_eval_binary(struct cb__onnx_work *w);
bool cb__onnx_eval_many(struct cb__onnx_work *w); /* Min, Max, Sum, Mean */
bool cb__onnx_eval_where(struct cb__onnx_work *w);
bool cb__onnx_eval_clip(struct cb__onnx_work *w);
bool cb__onnx_eval_cast(struct cb__onnx_work *w);
bool cb__onnx_eval_dequantize(struct cb__onnx_work *w);
bool cb__onnx_eval_matmul(struct cb__onnx_work *w);
bool cb__onnx_eval_reduce(struct cb__onnx_work *w);
bool cb__onnx_eval_arg(struct cb__onnx_work *w);
bool cb__onnx_eval_cumsum(struct cb__onnx_work *w);
bool cb__onnx_eval_shape(struct cb__onnx_work *w);
bool cb__onnx_eval_size(struct cb__onnx_work *w);
bool cb__onnx_eval_constant(struct cb__onnx_work *w);
bool cb__onnx_eval_constant_of_shape(struct cb__onnx_work *w);
bool cb__onnx_eval_range(struct cb__onnx_work *w);
bool cb__onnx_eval_reshape(struct cb__onnx_work *w); /* and Flatten, Squeeze, Unsqueeze */
bool cb__onnx_eval_transpose(struct cb__onnx_work *w);
bool cb__onnx_eval_expand(struct cb__onnx_work *w);
bool cb__onnx_eval_tile(struct cb__onnx_work *w);
bool cb__onnx_eval_concat(struct cb__onnx_work *w);
bool cb__onnx_eval_split(struct cb__onnx_work *w);
bool cb__onnx_eval_slice(struct cb__onnx_work *w);
bool cb__onnx_eval_gather(struct cb__onnx_work *w);
bool cb__onnx_eval_gather_elements(struct cb__onnx_work *w);
bool cb__onnx_eval_gather_nd(struct cb__onnx_work *w);
bool cb__onnx_eval_scatter_nd(struct cb__onnx_work *w);
bool cb__onnx_eval_scatter_elements(struct cb__onnx_work *w);
bool cb__onnx_eval_pad(struct cb__onnx_work *w);
bool cb__onnx_eval_one_hot(struct cb__onnx_work *w);
bool cb__onnx_eval_nonzero(struct cb__onnx_work *w);
bool cb__onnx_eval_trilu(struct cb__onnx_work *w);
bool cb__onnx_eval_eye_like(struct cb__onnx_work *w);

#endif
