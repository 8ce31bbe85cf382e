/* onnx_emit_pointwise.c: what maps element by element as ONNX nodes, in whichever layout its input
 * has. */
#include "exchange/onnx_emit.h"

#include <math.h>

static enum cb_layout own_layout(const struct cb_emit *e)
{
    return cb__emit_native(e, 0);
}

static const char *own_x(struct cb_emit *e)
{
    return cb__emit_x(e, 0, own_layout(e));
}

static void give(struct cb_emit *e, const char *y)
{
    cb__emit_y(e, 0, y, own_layout(e));
}

/* An operator of one input and no attributes. */
#define EMIT_PLAIN(word, op)                                                                       \
    static void emit_##word(struct cb_emit *e)                                                     \
    {                                                                                              \
        give(e, cb__emit_op(e, op, CB_DRAFT_IN(own_x(e)), CB_DRAFT_PLAIN));                        \
    }
EMIT_PLAIN(relu, "Relu")
EMIT_PLAIN(sigmoid, "Sigmoid")
EMIT_PLAIN(tanh, "Tanh")
EMIT_PLAIN(softsign, "Softsign")
EMIT_PLAIN(hardswish, "HardSwish")
EMIT_PLAIN(abs, "Abs")
EMIT_PLAIN(exp, "Exp")
EMIT_PLAIN(log, "Log")
EMIT_PLAIN(sqrt, "Sqrt")

/* One real option that is an attribute. */
#define EMIT_WITH(word, op, attribute, option)                                                     \
    static void emit_##word(struct cb_emit *e)                                                     \
    {                                                                                              \
        give(e, cb__emit_op(e, op, CB_DRAFT_IN(own_x(e)),                                          \
                            CB_DRAFT_WITH(CB_DRAFT_REAL(attribute, cb__emit_real(e, option)))));   \
    }
EMIT_WITH(elu, "Elu", "alpha", "alpha")
EMIT_WITH(celu, "Celu", "alpha", "alpha")
EMIT_WITH(leaky_relu, "LeakyRelu", "alpha", "negative_slope")

static const char *times(struct cb_emit *e, const char *a, const char *b)
{
    return cb__emit_op(e, "Mul", CB_DRAFT_IN(a, b), CB_DRAFT_PLAIN);
}

static void emit_selu(struct cb_emit *e)
{
    give(e, cb__emit_op(e, "Selu", CB_DRAFT_IN(own_x(e)),
                        CB_DRAFT_WITH(CB_DRAFT_REAL("alpha", 1.6732632423543772),
                                      CB_DRAFT_REAL("gamma", 1.0507009873554805))));
}

static void emit_hardsigmoid(struct cb_emit *e)
{
    give(e,
         cb__emit_op(e, "HardSigmoid", CB_DRAFT_IN(own_x(e)),
                     CB_DRAFT_WITH(CB_DRAFT_REAL("alpha", 1.0 / 6.0), CB_DRAFT_REAL("beta", 0.5))));
}

/* A bound that is left out lets infinity through: Clip would make the largest finite number of it.
 */
static void clip_to(struct cb_emit *e, double least, double most)
{
    const bool has_min = least > -INFINITY, has_max = most < INFINITY;
    const char *min = has_min ? cb__emit_scalar(e, "min", least) : NULL;
    const char *max = has_max ? cb__emit_scalar(e, "max", most) : NULL;
    give(e, has_min && has_max
                ? cb__emit_op(e, "Clip", CB_DRAFT_IN(own_x(e), min, max), CB_DRAFT_PLAIN)
            : has_min ? cb__emit_op(e, "Max", CB_DRAFT_IN(own_x(e), min), CB_DRAFT_PLAIN)
            : has_max ? cb__emit_op(e, "Min", CB_DRAFT_IN(own_x(e), max), CB_DRAFT_PLAIN)
                      : own_x(e));
}

static void emit_relu6(struct cb_emit *e)
{
    clip_to(e, 0.0, 6.0);
}

static void emit_hardtanh(struct cb_emit *e)
{
    clip_to(e, cb__emit_real(e, "min_val"), cb__emit_real(e, "max_val"));
}

static void emit_clip(struct cb_emit *e)
{
    clip_to(e, cb__emit_real(e, "min"), cb__emit_real(e, "max"));
}

static void emit_silu(struct cb_emit *e)
{
    const char *x = own_x(e);
    give(e, times(e, x, cb__emit_op(e, "Sigmoid", CB_DRAFT_IN(x), CB_DRAFT_PLAIN)));
}

static void emit_quick_gelu(struct cb_emit *e)
{
    const char *x = own_x(e), *scaled = times(e, x, cb__emit_scalar(e, "slope", 1.702));
    give(e, times(e, x, cb__emit_op(e, "Sigmoid", CB_DRAFT_IN(scaled), CB_DRAFT_PLAIN)));
}

static void emit_mish(struct cb_emit *e)
{
    const char *x = own_x(e), *soft = cb__emit_op(e, "Softplus", CB_DRAFT_IN(x), CB_DRAFT_PLAIN);
    give(e, times(e, x, cb__emit_op(e, "Tanh", CB_DRAFT_IN(soft), CB_DRAFT_PLAIN)));
}

/* x (1 + inner) / 2 */
static void half_of(struct cb_emit *e, const char *x, const char *inner)
{
    const char *sum =
        cb__emit_op(e, "Add", CB_DRAFT_IN(inner, cb__emit_scalar(e, "one", 1.0)), CB_DRAFT_PLAIN);
    give(e, times(e, times(e, x, cb__emit_scalar(e, "half", 0.5)), sum));
}

static void emit_gelu(struct cb_emit *e)
{
    const char *x = own_x(e);
    if (cb__emit_integer(e, "approximate") == 0) {
        const char *scaled =
            cb__emit_op(e, "Div", CB_DRAFT_IN(x, cb__emit_scalar(e, "root", 1.4142135623730951)),
                        CB_DRAFT_PLAIN);
        half_of(e, x, cb__emit_op(e, "Erf", CB_DRAFT_IN(scaled), CB_DRAFT_PLAIN));
        return;
    }
    const char *cube = times(e, x, times(e, x, x));
    const char *small = times(e, cube, cb__emit_scalar(e, "cubic", 0.044715));
    const char *sum = cb__emit_op(e, "Add", CB_DRAFT_IN(x, small), CB_DRAFT_PLAIN);
    const char *scaled = times(e, sum, cb__emit_scalar(e, "root", 0.7978845608028654));
    half_of(e, x, cb__emit_op(e, "Tanh", CB_DRAFT_IN(scaled), CB_DRAFT_PLAIN));
}

/* log(1 + exp(beta x)) / beta, and x itself above the threshold, where in single precision both are
 * the same unless it is low. */
static void emit_softplus(struct cb_emit *e)
{
    const double beta = cb__emit_real(e, "beta"), threshold = cb__emit_real(e, "threshold");
    const char *x = own_x(e);
    const char *scaled = beta == 1.0 ? x : times(e, x, cb__emit_scalar(e, "beta", beta));
    const char *y = cb__emit_op(e, "Softplus", CB_DRAFT_IN(scaled), CB_DRAFT_PLAIN);
    y = beta == 1.0 ? y
                    : cb__emit_op(e, "Div", CB_DRAFT_IN(y, cb__emit_scalar(e, "beta", beta)),
                                  CB_DRAFT_PLAIN);
    if (threshold < 16.0 || beta != 1.0) {
        const char *above = cb__emit_op(
            e, "Greater", CB_DRAFT_IN(scaled, cb__emit_scalar(e, "threshold", threshold)),
            CB_DRAFT_PLAIN);
        y = cb__emit_op(e, "Where", CB_DRAFT_IN(above, x, y), CB_DRAFT_PLAIN);
    }
    give(e, y);
}

/* Trained numbers for each sample alike, whose dims meet x's from the last one back. */
static void emit_broadcast_param(struct cb_emit *e)
{
    enum { ADDEND, FACTOR, VALUE };
    const struct cb_param *w = cb__emit_param(e, "w");
    const int64_t use = cb__emit_integer(e, "as");
    const uint32_t rank = cb__emit_x_shape(e, 0)->rank, count = w->decl.rank;
    if (use == VALUE) {
        const char *shape =
            cb__emit_op(e, "Shape", CB_DRAFT_IN(cb__emit_x(e, 0, CB_LAST)), CB_DRAFT_PLAIN);
        const char *parts[2] = {cb__emit_slice(e, shape, 0, 0, 1, 1),
                                cb__emit_ints(e, "dims", count, w->decl.dims)};
        const char *wanted =
            cb__emit_op(e, "Concat", parts, 2, CB_DRAFT_WITH(CB_DRAFT_INT("axis", 0)));
        const char *value = cb__emit_vector(e, w, count, w->decl.dims);
        cb__emit_y(e, 0, cb__emit_op(e, "Expand", CB_DRAFT_IN(value, wanted), CB_DRAFT_PLAIN),
                   CB_LAST);
        return;
    }
    /* of channels alone it meets both layouts */
    const enum cb_layout layout = count == 1 ? cb__emit_native(e, 0) : CB_LAST;
    const int64_t channels[CB_MAX_RANK] = {w->decl.dims[0], 1, 1, 1, 1, 1, 1, 1};
    const bool is_first = layout == CB_FIRST && rank > 2;
    const char *value =
        cb__emit_vector(e, w, is_first ? rank - 1 : count, is_first ? channels : w->decl.dims);
    cb__emit_y(e, 0,
               cb__emit_op(e, use == FACTOR ? "Mul" : "Add",
                           CB_DRAFT_IN(cb__emit_x(e, 0, layout), value), CB_DRAFT_PLAIN),
               layout);
}

/* scale x + shift, two numbers for all. */
static void emit_scale_shift(struct cb_emit *e)
{
    const double scale = cb__emit_real(e, "scale"), shift = cb__emit_real(e, "shift");
    const char *x = own_x(e);
    x = scale != 1.0 ? times(e, x, cb__emit_scalar(e, "scale", scale)) : x;
    x = shift != 0.0 ? cb__emit_op(e, "Add", CB_DRAFT_IN(x, cb__emit_scalar(e, "shift", shift)),
                                   CB_DRAFT_PLAIN)
                     : x;
    give(e, x);
}

static void emit_square(struct cb_emit *e)
{
    const char *x = own_x(e);
    give(e, times(e, x, x));
}

static void emit_pow(struct cb_emit *e)
{
    const char *exponent = cb__emit_scalar(e, "exponent", cb__emit_real(e, "exponent"));
    give(e, cb__emit_op(e, "Pow", CB_DRAFT_IN(own_x(e), exponent), CB_DRAFT_PLAIN));
}

/* A slope for each channel, [C] or [C,1,1], or one for all. */
static void emit_prelu(struct cb_emit *e)
{
    const struct cb_param *w = cb__emit_param(e, "w");
    const uint32_t rank = own_layout(e) == CB_FIRST ? cb__emit_x_shape(e, 0)->rank - 1 : 1;
    int64_t dims[CB_MAX_RANK] = {w->count, 1, 1, 1, 1, 1, 1, 1};
    give(e, cb__emit_op(e, "PRelu", CB_DRAFT_IN(own_x(e), cb__emit_vector(e, w, rank, dims)),
                        CB_DRAFT_PLAIN));
}

/* ---- of two inputs
 * -----------------------------------------------------------------------------------------------
 */

/* The second input where it is a value per channel, [N,C]: with as many ones between as the first
 * one has places. */
static const char *gate(struct cb_emit *e, enum cb_layout layout, uint32_t rank)
{
    int64_t axes[CB_MAX_RANK];
    for (uint32_t i = 0; i + 2 < rank; i++) {
        axes[i] = layout == CB_FIRST ? i + 2 : i + 1;
    }
    return cb__emit_unsqueeze(e, cb__emit_x(e, 1, CB_LAST), rank - 2, axes);
}

static void emit_binary(struct cb_emit *e, const char *op)
{
    const struct cb_tensor *a = cb__emit_x_shape(e, 0), *b = cb__emit_x_shape(e, 1);
    enum cb_layout layout = cb__emit_native(e, 0);
    if (a->rank == b->rank && cb__emit_native(e, 1) == CB_FIRST) {
        layout = CB_FIRST;
    }
    const char *second =
        a->rank > b->rank && b->rank == 2 ? gate(e, layout, a->rank) : cb__emit_x(e, 1, layout);
    cb__emit_y(e, 0,
               cb__emit_op(e, op, CB_DRAFT_IN(cb__emit_x(e, 0, layout), second), CB_DRAFT_PLAIN),
               layout);
}

#define EMIT_BINARY(word, op)                                                                      \
    static void emit_##word(struct cb_emit *e)                                                     \
    {                                                                                              \
        emit_binary(e, op);                                                                        \
    }
EMIT_BINARY(multiply, "Mul")
EMIT_BINARY(subtract, "Sub")
EMIT_BINARY(divide, "Div")
EMIT_BINARY(min, "Min")
EMIT_BINARY(max, "Max")

const struct cb_emission_entry cb__emit_pointwise_table[] = {
    {"relu", emit_relu},
    {"relu6", emit_relu6},
    {"leaky_relu", emit_leaky_relu},
    {"prelu", emit_prelu},
    {"elu", emit_elu},
    {"celu", emit_celu},
    {"selu", emit_selu},
    {"gelu", emit_gelu},
    {"quick_gelu", emit_quick_gelu},
    {"silu", emit_silu},
    {"mish", emit_mish},
    {"sigmoid", emit_sigmoid},
    {"hardsigmoid", emit_hardsigmoid},
    {"hardswish", emit_hardswish},
    {"tanh", emit_tanh},
    {"hardtanh", emit_hardtanh},
    {"softplus", emit_softplus},
    {"softsign", emit_softsign},
    {"clip", emit_clip},
    {"abs", emit_abs},
    {"exp", emit_exp},
    {"log", emit_log},
    {"sqrt", emit_sqrt},
    {"scale_shift", emit_scale_shift},
    {"broadcast_param", emit_broadcast_param},
    {"square", emit_square},
    {"pow", emit_pow},
    {"multiply", emit_multiply},
    {"subtract", emit_subtract},
    {"divide", emit_divide},
    {"min", emit_min},
    {"max", emit_max},
    {NULL, NULL},
};
