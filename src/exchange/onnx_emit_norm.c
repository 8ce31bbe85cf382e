/* onnx_emit_norm.c: normalizations and softmax as ONNX nodes. */
#include "exchange/onnx_emit.h"

/* The param as a vector that meets a value of the layout per channel, [C] or [C,1,1]. */
static const char *per_channel(struct cb_emit *e, const struct cb_param *param,
                               enum cb_layout layout, uint32_t rank)
{
    const int64_t dims[CB_MAX_RANK] = {param->count, 1, 1, 1, 1, 1, 1, 1};
    return cb__emit_vector(e, param, layout == CB_FIRST && rank > 2 ? rank - 1 : 1, dims);
}

/* y = x w + b, of those params that there are. */
static const char *scaled(struct cb_emit *e, const char *x, enum cb_layout layout)
{
    const struct cb_param *w = cb__emit_param(e, "w"), *b = cb__emit_param(e, "b");
    const uint32_t rank = cb__emit_x_shape(e, 0)->rank;
    x = w != NULL
            ? cb__emit_op(e, "Mul", CB_DRAFT_IN(x, per_channel(e, w, layout, rank)), CB_DRAFT_PLAIN)
            : x;
    return b != NULL ? cb__emit_op(e, "Add", CB_DRAFT_IN(x, per_channel(e, b, layout, rank)),
                                   CB_DRAFT_PLAIN)
                     : x;
}

/* A vector param, or a constant in its place. */
static const char *vector_or(struct cb_emit *e, const char *name, int64_t count, float otherwise)
{
    const struct cb_param *param = cb__emit_param(e, name);
    return param != NULL ? cb__emit_vector(e, param, 1, &count)
                         : cb__emit_constant(e, name, count, otherwise);
}

/* With the running statistics, channels second. Behind a layer that left its channels last it is a
 * scale and a shift. */
static void emit_batchnorm(struct cb_emit *e)
{
    const struct cb_tensor *x = cb__emit_x_shape(e, 0);
    const int64_t channels = x->dims[x->rank - 1];
    if (cb__emit_native(e, 0) == CB_LAST && x->rank > 2) {
        cb__emit_affine(e);
        return;
    }
    const char *value = cb__emit_x(e, 0, CB_FIRST);
    const char *w = vector_or(e, "w", channels, 1.0f), *b = vector_or(e, "b", channels, 0.0f);
    const char *mean = vector_or(e, "mean", channels, 0.0f),
               *var = vector_or(e, "var", channels, 1.0f);
    cb__emit_y(e, 0,
               cb__emit_op(e, "BatchNormalization", CB_DRAFT_IN(value, w, b, mean, var),
                           CB_DRAFT_WITH(CB_DRAFT_REAL("epsilon", cb__emit_real(e, "epsilon")))),
               CB_FIRST);
}

static void emit_layernorm(struct cb_emit *e)
{
    const struct cb_tensor *x = cb__emit_x_shape(e, 0);
    const int64_t channels = x->dims[x->rank - 1];
    const struct cb_param *b = cb__emit_param(e, "b");
    const char *shift = b != NULL ? cb__emit_vector(e, b, 1, &channels) : NULL;
    const char *value = cb__emit_x(e, 0, CB_LAST), *scale = vector_or(e, "w", channels, 1.0f);
    cb__emit_y(e, 0,
               cb__emit_op(e, "LayerNormalization", CB_DRAFT_IN(value, scale, shift),
                           CB_DRAFT_WITH(CB_DRAFT_INT("axis", -1),
                                         CB_DRAFT_REAL("epsilon", cb__emit_real(e, "epsilon")))),
               CB_LAST);
}

static const char *normalized(struct cb_emit *e, const char *x, int64_t channels)
{
    return cb__emit_op(e, "InstanceNormalization",
                       CB_DRAFT_IN(x, cb__emit_constant(e, "ones", channels, 1.0f),
                                   cb__emit_constant(e, "zeros", channels, 0.0f)),
                       CB_DRAFT_WITH(CB_DRAFT_REAL("epsilon", cb__emit_real(e, "epsilon"))));
}

/* [N, groups, all values of a group], whose rows are normalized. */
static void emit_groupnorm(struct cb_emit *e)
{
    const struct cb_tensor *x = cb__emit_x_shape(e, 0);
    const int64_t groups = cb__emit_integer(e, "groups"), folded[2] = {groups, -1};
    int64_t dims[CB_MAX_RANK];
    for (uint32_t i = 1; i < x->rank; i++) {
        dims[i - 1] = i == 1 ? x->dims[x->rank - 1] : x->dims[i - 1];
    }
    const char *rows = cb__emit_reshape(e, cb__emit_x(e, 0, CB_FIRST), 2, folded);
    const char *y = cb__emit_reshape(e, normalized(e, rows, groups), x->rank - 1, dims);
    cb__emit_y(e, 0, scaled(e, y, CB_FIRST), CB_FIRST);
}

static void emit_instancenorm(struct cb_emit *e)
{
    const struct cb_tensor *x = cb__emit_x_shape(e, 0);
    const int64_t channels = x->dims[x->rank - 1];
    const char *value = cb__emit_x(e, 0, CB_FIRST);
    const char *w = vector_or(e, "w", channels, 1.0f), *b = vector_or(e, "b", channels, 0.0f);
    cb__emit_y(e, 0,
               cb__emit_op(e, "InstanceNormalization", CB_DRAFT_IN(value, w, b),
                           CB_DRAFT_WITH(CB_DRAFT_REAL("epsilon", cb__emit_real(e, "epsilon")))),
               CB_FIRST);
}

/* The channels' axis in the layout that the input has. */
static int64_t channel_axis(const struct cb_emit *e)
{
    const uint32_t rank = cb__emit_x_shape(e, 0)->rank;
    return cb__emit_native(e, 0) == CB_FIRST && rank > 2 ? 1 : -1;
}

static void emit_rmsnorm(struct cb_emit *e)
{
    const enum cb_layout layout = cb__emit_native(e, 0);
    const int64_t axis = channel_axis(e);
    const char *x = cb__emit_x(e, 0, layout),
               *square = cb__emit_op(e, "Mul", CB_DRAFT_IN(x, x), CB_DRAFT_PLAIN);
    const char *mean =
        cb__emit_op(e, "ReduceMean", CB_DRAFT_IN(square),
                    CB_DRAFT_WITH(CB_DRAFT_INTS("axes", 1, &axis), CB_DRAFT_INT("keepdims", 1)));
    const char *epsilon = cb__emit_scalar(e, "epsilon", cb__emit_real(e, "epsilon"));
    const char *sum = cb__emit_op(e, "Add", CB_DRAFT_IN(mean, epsilon), CB_DRAFT_PLAIN);
    const char *root = cb__emit_op(e, "Sqrt", CB_DRAFT_IN(sum), CB_DRAFT_PLAIN);
    cb__emit_y(e, 0, scaled(e, cb__emit_op(e, "Div", CB_DRAFT_IN(x, root), CB_DRAFT_PLAIN), layout),
               layout);
}

static void emit_l2_normalize(struct cb_emit *e)
{
    const enum cb_layout layout = cb__emit_native(e, 0);
    const int64_t axis = channel_axis(e);
    const char *x = cb__emit_x(e, 0, layout);
    const char *length =
        cb__emit_op(e, "ReduceL2", CB_DRAFT_IN(x),
                    CB_DRAFT_WITH(CB_DRAFT_INTS("axes", 1, &axis), CB_DRAFT_INT("keepdims", 1)));
    const char *epsilon = cb__emit_scalar(e, "epsilon", cb__emit_real(e, "epsilon"));
    const char *least = cb__emit_op(e, "Max", CB_DRAFT_IN(length, epsilon), CB_DRAFT_PLAIN);
    cb__emit_y(e, 0, cb__emit_op(e, "Div", CB_DRAFT_IN(x, least), CB_DRAFT_PLAIN), layout);
}

static void over_channels(struct cb_emit *e, const char *op)
{
    const enum cb_layout layout = cb__emit_native(e, 0);
    cb__emit_y(e, 0,
               cb__emit_op(e, op, CB_DRAFT_IN(cb__emit_x(e, 0, layout)),
                           CB_DRAFT_WITH(CB_DRAFT_INT("axis", channel_axis(e)))),
               layout);
}

static void emit_softmax(struct cb_emit *e)
{
    over_channels(e, "Softmax");
}

static void emit_log_softmax(struct cb_emit *e)
{
    over_channels(e, "LogSoftmax");
}

const struct cb_emission_entry cb__emit_norm_table[] = {
    {"batchnorm", emit_batchnorm},
    {"layernorm", emit_layernorm},
    {"groupnorm", emit_groupnorm},
    {"instancenorm", emit_instancenorm},
    {"rmsnorm", emit_rmsnorm},
    {"l2_normalize", emit_l2_normalize},
    {"softmax", emit_softmax},
    {"log_softmax", emit_log_softmax},
    {NULL, NULL},
};
