/* onnx_lower_pointwise.c: operators that map each element on its own. */
#include <math.h>
#include <string.h>

#include "exchange/onnx_lower.h"

/* ONNX's word and ours, where nothing else is to be said. */
static const struct {
    const char *op, *word;
} plain[] = {
    {"Relu", "relu"}, {"Sigmoid", "sigmoid"}, {"Tanh", "tanh"}, {"Softsign", "softsign"}, {"Mish", "mish"},
    {"HardSwish", "hardswish"}, {"Exp", "exp"}, {"Log", "log"}, {"Sqrt", "sqrt"}, {"Abs", "abs"}, {"Softplus", "softplus"},
    {"FastGelu", "gelu"}, {"QuickGelu", "quick_gelu"},
};

static enum cb_status begin(struct cb_lower *low, const struct cb_onnx_node *node, const char *word, struct cb_view *view)
{
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), view));
    return cb__lower_map(low, view, word);
}

static enum cb_status end(struct cb_lower *low, const struct cb_onnx_node *node, const struct cb_view *view)
{
    cb__lower_set(low, cb_onnx_output(node, 0), view);
    return CB_OK;
}

static enum cb_status lower_plain(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (strcmp(plain[i].op, node->op) == 0) {
            CB_TRY(begin(low, node, plain[i].word, &view));
            if (strcmp(node->op, "FastGelu") == 0) {
                cb__lower_text(low, "approximate", "tanh");
            }
            return end(low, node, &view);
        }
    }
    return cb__lower_fail(low, "there is no layer for this operator");
}

static enum cb_status lower_with_real(struct cb_lower *low, const struct cb_onnx_node *node, const char *word, const char *key,
                                      double value)
{
    struct cb_view view;
    CB_TRY(begin(low, node, word, &view));
    cb__lower_real(low, key, value);
    return end(low, node, &view);
}

static enum cb_status lower_leaky_relu(struct cb_lower *low, const struct cb_onnx_node *node)
{
    return lower_with_real(low, node, "leaky_relu", "negative_slope", cb_onnx_real(node, "alpha", 0.01));
}

static enum cb_status lower_elu(struct cb_lower *low, const struct cb_onnx_node *node)
{
    return lower_with_real(low, node, "elu", "alpha", cb_onnx_real(node, "alpha", 1.0));
}

static enum cb_status lower_celu(struct cb_lower *low, const struct cb_onnx_node *node)
{
    return lower_with_real(low, node, "celu", "alpha", cb_onnx_real(node, "alpha", 1.0));
}

static enum cb_status lower_selu(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const double alpha = cb_onnx_real(node, "alpha", 1.67326319217681884765625);
    const double gamma = cb_onnx_real(node, "gamma", 1.05070102214813232421875);
    struct cb_view view;
    if (fabs(alpha - 1.6732632) < 1e-5 && fabs(gamma - 1.050701) < 1e-5) {
        CB_TRY(begin(low, node, "selu", &view));
        return end(low, node, &view);
    }
    if (alpha < 0) {
        return cb__lower_fail(low, "an `alpha` below 0 is not supported; elu takes one from 0 on");
    }
    CB_TRY(begin(low, node, "elu", &view));
    cb__lower_real(low, "alpha", alpha);
    CB_TRY(cb__lower_affine(low, &view, gamma, 0.0));
    return end(low, node, &view);
}

static enum cb_status lower_hardsigmoid(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const double alpha = cb_onnx_real(node, "alpha", 0.2), beta = cb_onnx_real(node, "beta", 0.5);
    struct cb_view view;
    if (fabs(alpha - 1.0 / 6.0) < 1e-6 && beta == 0.5) {
        CB_TRY(begin(low, node, "hardsigmoid", &view));
        return end(low, node, &view);
    }
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    CB_TRY(cb__lower_affine(low, &view, alpha, beta));
    CB_TRY(cb__lower_map(low, &view, "clip"));
    cb__lower_real(low, "min", 0.0);
    cb__lower_real(low, "max", 1.0);
    return end(low, node, &view);
}

static enum cb_status lower_gelu(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    CB_TRY(begin(low, node, "gelu", &view));
    const char *approximate = cb_onnx_string(node, "approximate", "none");
    if (strcmp(approximate, "none") != 0) {
        cb__lower_text(low, "approximate", approximate);
    }
    return end(low, node, &view);
}

/* Swish: x sigmoid(alpha x). */
static enum cb_status lower_swish(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const double alpha = cb_onnx_real(node, "alpha", 1.0);
    struct cb_view view;
    if (alpha != 1.0 && fabs(alpha - 1.702) > 1e-6) {
        return cb__lower_fail(low, "an `alpha` of %g is not supported; 1 (silu) and 1.702 (quick_gelu) are", alpha);
    }
    CB_TRY(begin(low, node, alpha == 1.0 ? "silu" : "quick_gelu", &view));
    return end(low, node, &view);
}

static enum cb_status lower_clip(struct cb_lower *low, const struct cb_onnx_node *node)
{
    double low_end = cb_onnx_real(node, "min", -INFINITY), high_end = cb_onnx_real(node, "max", INFINITY);
    for (uint32_t i = 1; i < 3; i++) {
        const struct cb_onnx_tensor *bound = cb_onnx_constant(node, i);
        if (cb_onnx_input(node, i) != NULL && (bound == NULL || bound->count != 1)) {
            return cb__lower_fail(low, "bounds that depend on the input are not supported");
        }
        if (bound != NULL) {
            *(i == 1 ? &low_end : &high_end) = cb_onnx_tensor_real(bound, 0);
        }
    }
    low_end = low_end <= -3.4e38 ? -INFINITY : low_end;
    high_end = high_end >= 3.4e38 ? INFINITY : high_end;
    struct cb_view view;
    const bool from_zero = low_end == 0.0;
    CB_TRY(begin(low, node, from_zero && high_end == 6.0 ? "relu6" : from_zero && high_end == INFINITY ? "relu" : "clip", &view));
    if (!from_zero || (high_end != 6.0 && high_end != INFINITY)) {
        if (low_end > -INFINITY) {
            cb__lower_real(low, "min", low_end);
        }
        if (high_end < INFINITY) {
            cb__lower_real(low, "max", high_end);
        }
    }
    return end(low, node, &view);
}

static enum cb_status lower_neg(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    CB_TRY(cb__lower_affine(low, &view, -1.0, 0.0));
    return end(low, node, &view);
}

static enum cb_status lower_reciprocal(struct cb_lower *low, const struct cb_onnx_node *node)
{
    return lower_with_real(low, node, "pow", "exponent", -1.0);
}

static enum cb_status lower_pow(struct cb_lower *low, const struct cb_onnx_node *node)
{
    double exponent;
    struct cb_view view;
    if (!cb__lower_uniform(cb_onnx_constant(node, 1), &exponent)) {
        return cb__lower_fail(low, "an exponent that is not one number is not supported");
    }
    if (exponent == 1.0) {
        CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
        return end(low, node, &view);
    }
    CB_TRY(begin(low, node, exponent == 2.0 ? "square" : exponent == 0.5 ? "sqrt" : "pow", &view));
    if (exponent != 2.0 && exponent != 0.5) {
        cb__lower_real(low, "exponent", exponent);
    }
    return end(low, node, &view);
}

/* Slopes of one number, or one for each channel (axis 1). */
static enum cb_status lower_prelu(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    const struct cb_onnx_tensor *slope = cb_onnx_constant(node, 1);
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    if (slope == NULL) {
        return cb__lower_fail(low, "a slope that depends on the input is not supported");
    }
    const bool one = slope->count == 1;
    const int64_t axis0 = (int64_t)view.rank - slope->rank;
    struct cb_atoms set = {0};
    for (uint32_t d = 0; d < slope->rank; d++) {
        if (slope->dims[d] != 1 && axis0 + d >= 0) {
            cb__atoms_join(&set, &view.axes[axis0 + d]);
        }
    }
    if (!one) {
        CB_TRY(cb__lower_arrange_last(low, &view, &set));
    }
    struct cb_atoms order = {0};
    for (uint32_t i = 0; i < view.order.count; i++) {
        if (cb__atoms_have(&set, view.order.items[i])) {
            cb__atoms_add(&order, view.order.items[i]);
        }
    }
    float *values;
    CB_TRY(cb__lower_values(low, &view, slope, axis0, &order, &values));
    const int64_t dims[] = {one ? 1 : slope->count};
    CB_TRY(cb__lower_map(low, &view, "prelu"));
    cb__lower_text(low, "per", one ? "all" : "channel");
    cb__lower_owner(low, slope);
    CB_TRY(cb__lower_param(low, "w", 1, dims, values));
    return end(low, node, &view);
}

/* Types change nothing here: all that flows is float. */
static enum cb_status lower_cast(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    const struct cb_onnx_value *out = cb_onnx_output(node, 0);
    if (out != NULL && out->type != CB_ONNX_UNDEFINED && cb_onnx_type_is_real(out->type) == view.is_integer &&
        strcmp(node->op, "Cast") == 0) {
        return cb__lower_fail(low, "a cast between whole and real numbers is not supported");
    }
    return end(low, node, &view);
}

const struct cb_lower_operator cb__lower_pointwise[] = {
    {"Relu", lower_plain}, {"Sigmoid", lower_plain}, {"Tanh", lower_plain}, {"Softsign", lower_plain}, {"Mish", lower_plain},
    {"HardSwish", lower_plain}, {"Exp", lower_plain}, {"Log", lower_plain}, {"Sqrt", lower_plain}, {"Abs", lower_plain},
    {"Softplus", lower_plain}, {"FastGelu", lower_plain}, {"QuickGelu", lower_plain},
    {"LeakyRelu", lower_leaky_relu}, {"Elu", lower_elu}, {"Celu", lower_celu}, {"Selu", lower_selu},
    {"HardSigmoid", lower_hardsigmoid}, {"Gelu", lower_gelu}, {"Swish", lower_swish}, {"Clip", lower_clip},
    {"Neg", lower_neg}, {"Reciprocal", lower_reciprocal}, {"Pow", lower_pow}, {"PRelu", lower_prelu},
    {"Cast", lower_cast}, {"CastLike", lower_cast}, {"Identity", lower_cast}, {"Dropout", lower_cast},
    {NULL, NULL},
};
