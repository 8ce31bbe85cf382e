/* onnx_lower_norms.c: operators that normalise, and softmax. */
#include <math.h>
#include <string.h>

#include "exchange/onnx_lower.h"

/* Vectors of C numbers as params, in the order of the file. */
static enum cb_status vector(struct cb_lower *low, const char *name, const struct cb_onnx_tensor *tensor, int64_t count,
                             int64_t repeat)
{
    float *values = CB_NEW_ARRAY(low->arena, float, (size_t)count);
    if (values == NULL) {
        return cb__lower_memory(low);
    }
    if (tensor == NULL) {
        for (int64_t i = 0; i < count; i++) {
            values[i] = strcmp(name, "w") == 0 ? 1.0f : 0.0f;
        }
    } else if (tensor->count * repeat == count) {
        cb_onnx_tensor_f32(tensor, values);
        for (int64_t i = count; i-- > 0;) {
            values[i] = values[i / repeat];
        }
    } else {
        return cb__lower_fail(low, "`%s` has %lld numbers where there are %lld channels", tensor->name, (long long)tensor->count,
                              (long long)count);
    }
    return cb__lower_param(low, name, 1, &count, values);
}

/* [N, places..., C], the channels as one atom in the last dim. */
static enum cb_status channels_last(struct cb_lower *low, const struct cb_onnx_node *node, struct cb_view *view)
{
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), view));
    if (view->rank < 2) {
        return cb__lower_fail(low, "its input has no axis of channels");
    }
    if (view->axes[0].count > 1 && view->rank == 2 && view->axes[1].count > 0) { /* [N T, C], as it lies: each row alone */
        return cb__lower_arrange_last(low, view, &view->axes[1]);
    }
    uint32_t axes[CB_MAX_RANK];
    for (uint32_t i = 2; i < view->rank; i++) {
        axes[i - 2] = i;
    }
    axes[view->rank - 2] = 1;
    return cb__lower_arrange_axes(low, view, axes, view->rank - 1);
}

static enum cb_status lower_batchnorm(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    const struct cb_onnx_tensor *tensors[4];
    static const char *const names[] = {"w", "b", "mean", "var"};
    if (cb_onnx_int(node, "training_mode", 0) != 0 && (cb_onnx_constant(node, 3) == NULL || cb_onnx_constant(node, 4) == NULL)) {
        return cb__lower_fail(low, "it is exported for training, without statistics; export the model with model.eval()");
    }
    CB_TRY(channels_last(low, node, &view));
    for (uint32_t i = 0; i < 4; i++) {
        tensors[i] = cb_onnx_constant(node, i + 1);
        if (tensors[i] == NULL) {
            return cb__lower_fail(low, "its statistics are not constants of the file");
        }
    }
    const int64_t channels = view.wire_dims[view.wire_rank - 1];
    CB_TRY(cb__lower_map(low, &view, "batchnorm"));
    cb__lower_real(low, "epsilon", cb_onnx_real(node, "epsilon", 1e-5));
    cb__lower_real(low, "momentum", round((1.0 - cb_onnx_real(node, "momentum", 0.9)) * 1e7) / 1e7);
    cb__lower_owner(low, tensors[0]);
    for (uint32_t i = 0; i < 4; i++) {
        CB_TRY(vector(low, names[i], tensors[i], channels, 1));
    }
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

/* Axes from `axis` on are normalised together; scale and shift are of their shape, or NULL. */
static enum cb_status norm_last(struct cb_lower *low, struct cb_view *view, int64_t axis, const char *word, double epsilon,
                                const struct cb_onnx_tensor *scale, const struct cb_onnx_tensor *shift)
{
    struct cb_atoms set = {0}, order = {0};
    for (uint32_t a = (uint32_t)axis; a < view->rank; a++) {
        cb__atoms_join(&set, &view->axes[a]);
    }
    CB_TRY(cb__lower_arrange_last(low, view, &set));
    for (uint32_t i = 0; i < view->order.count; i++) {
        if (cb__atoms_have(&set, view->order.items[i])) {
            cb__atoms_add(&order, view->order.items[i]);
        }
    }
    const int64_t count = cb__atoms_size(view, &order);
    float *values[2] = {NULL, NULL};
    const struct cb_onnx_tensor *tensors[] = {scale, shift};
    for (uint32_t i = 0; i < 2; i++) {
        if (tensors[i] != NULL) {
            CB_TRY(cb__lower_values(low, view, tensors[i], (int64_t)view->rank - tensors[i]->rank, &order, &values[i]));
        }
    }
    CB_TRY(cb__lower_map(low, view, word));
    cb__lower_real(low, "epsilon", epsilon);
    cb__lower_bool(low, "scale", scale != NULL);
    if (strcmp(word, "layernorm") == 0) {
        cb__lower_bool(low, "shift", shift != NULL);
    }
    cb__lower_owner(low, scale);
    if (scale != NULL) {
        CB_TRY(cb__lower_param(low, "w", 1, &count, values[0]));
    }
    return shift != NULL ? cb__lower_param(low, "b", 1, &count, values[1]) : CB_OK;
}

static enum cb_status lower_layernorm(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    const int64_t axis = cb__lower_axis(cb_onnx_int(node, "axis", -1), view.rank);
    const bool rms = strcmp(node->op, "LayerNormalization") != 0;
    if (axis < 1 || cb_onnx_output(node, 1) != NULL) {
        return cb__lower_fail(low, "an axis of the batch, or outputs of its statistics, are not supported");
    }
    const struct cb_onnx_tensor *scale = cb_onnx_constant(node, 1), *shift = cb_onnx_constant(node, 2);
    if ((cb_onnx_input(node, 1) != NULL && scale == NULL) || (!rms && cb_onnx_input(node, 2) != NULL && shift == NULL)) {
        return cb__lower_fail(low, "its scale and bias are not constants of the file");
    }
    CB_TRY(norm_last(low, &view, axis, rms ? "rmsnorm" : "layernorm", cb_onnx_real(node, "epsilon", 1e-5), scale,
                     rms ? NULL : shift));
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

/* A decomposed one that was found: inputs[0], constants scale and shift, numbers epsilon, axis. */
enum cb_status cb__lower_norm_match(struct cb_lower *low, const struct cb_onnx_node *node, const struct cb_lower_match *match)
{
    struct cb_view view;
    CB_TRY(cb__lower_view(low, match->inputs[0], &view));
    const int64_t axis = cb__lower_axis(match->axis, view.rank);
    if (axis < 1) {
        return cb__lower_fail(low, "an axis of the batch is not supported");
    }
    CB_TRY(norm_last(low, &view, axis, match->word, match->numbers[0], match->constants[0], match->constants[1]));
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

static enum cb_status lower_groupnorm(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    CB_TRY(channels_last(low, node, &view));
    if (view.axes[0].count > 1) {
        return cb__lower_fail(low, "an axis of the batch and places together is not supported here");
    }
    const int64_t channels = view.wire_dims[view.wire_rank - 1], groups = cb_onnx_int(node, "num_groups", 1);
    const struct cb_onnx_tensor *scale = cb_onnx_constant(node, 1), *shift = cb_onnx_constant(node, 2);
    if (scale == NULL || shift == NULL || groups < 1 || channels % groups != 0) {
        return cb__lower_fail(low, "its scale and bias are not constants of the file");
    }
    const int64_t repeat = scale->count == channels ? 1 : channels / groups;
    CB_TRY(cb__lower_map(low, &view, "groupnorm"));
    cb__lower_int(low, "groups", groups);
    cb__lower_real(low, "epsilon", cb_onnx_real(node, "epsilon", 1e-5));
    cb__lower_bool(low, "affine", true);
    cb__lower_owner(low, scale);
    CB_TRY(vector(low, "w", scale, channels, repeat));
    CB_TRY(vector(low, "b", shift, channels, repeat));
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

/* [N,C,places...]: each channel alone. Of [N, groups, all the rest], as exporters write groupnorm, a groupnorm where the
 * wire has its channels last and whole. */
static enum cb_status lower_instancenorm(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    double one, zero;
    const struct cb_onnx_tensor *scale = cb_onnx_constant(node, 1), *shift = cb_onnx_constant(node, 2);
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    if (scale == NULL || shift == NULL || view.rank < 3) {
        return cb__lower_fail(low, "its scale and bias are not constants of the file");
    }
    const bool plain = cb__lower_uniform(scale, &one) && one == 1.0 && cb__lower_uniform(shift, &zero) && zero == 0.0;
    const struct cb_atoms *groups = &view.axes[1], *rest = &view.axes[2];
    const bool is_groups = view.rank == 3 && plain && rest->count > 1;
    if (is_groups) {
        /* the channels of a group are the first atom of the rest */
        struct cb_atoms want[2] = {{0}, {0}};
        for (uint32_t i = 1; i < rest->count; i++) {
            cb__atoms_add(&want[0], rest->items[i]);
        }
        cb__atoms_join(&want[1], groups);
        cb__atoms_add(&want[1], rest->items[0]);
        const uint8_t end = view.order.items[view.order.count - 1];
        const bool lies = end == rest->items[0];
        if (!lies) {
            CB_TRY(cb__lower_arrange_groups(low, &view, want, 2));
        } else {
            struct cb_atoms channels = *groups;
            cb__atoms_add(&channels, rest->items[0]);
            CB_TRY(cb__lower_arrange_last(low, &view, &channels));
        }
        CB_TRY(cb__lower_map(low, &view, "groupnorm"));
        cb__lower_int(low, "groups", cb__atoms_size(&view, groups));
        cb__lower_real(low, "epsilon", cb_onnx_real(node, "epsilon", 1e-5));
        cb__lower_bool(low, "affine", false);
        cb__lower_set(low, cb_onnx_output(node, 0), &view);
        return CB_OK;
    }
    CB_TRY(channels_last(low, node, &view));
    const int64_t channels = view.wire_dims[view.wire_rank - 1];
    CB_TRY(cb__lower_map(low, &view, "instancenorm"));
    cb__lower_real(low, "epsilon", cb_onnx_real(node, "epsilon", 1e-5));
    cb__lower_bool(low, "affine", !plain);
    if (!plain) {
        cb__lower_owner(low, scale);
        CB_TRY(vector(low, "w", scale, channels, 1));
        CB_TRY(vector(low, "b", shift, channels, 1));
    }
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

static enum cb_status over_axes(struct cb_lower *low, const struct cb_onnx_node *node, struct cb_view *view, int64_t from,
                                int64_t to, const char *word)
{
    struct cb_atoms set = {0};
    for (int64_t a = from; a <= to; a++) {
        cb__atoms_join(&set, &view->axes[a]);
    }
    if (from < 0 || cb__atoms_have(&set, 0)) {
        return cb__lower_fail(low, "it works over the batch, whose samples stay apart here");
    }
    CB_TRY(cb__lower_arrange_last(low, view, &set));
    CB_TRY(cb__lower_map(low, view, word));
    cb__lower_set(low, cb_onnx_output(node, 0), view);
    return CB_OK;
}

/* Before opset 13 all axes from `axis` on were one. */
static enum cb_status lower_softmax(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    const bool old = node->version < 13;
    const int64_t axis = cb__lower_axis(cb_onnx_int(node, "axis", old ? 1 : -1), view.rank);
    return over_axes(low, node, &view, axis, old ? (int64_t)view.rank - 1 : axis,
                     strcmp(node->op, "Softmax") == 0 ? "softmax" : "log_softmax");
}

static enum cb_status lower_lp_normalization(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    if (cb_onnx_int(node, "p", 2) != 2) {
        return cb__lower_fail(low, "a norm other than the Euclidean one is not supported (l2_normalize)");
    }
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    const int64_t axis = cb__lower_axis(cb_onnx_int(node, "axis", -1), view.rank);
    return over_axes(low, node, &view, axis, axis, "l2_normalize");
}

enum cb_status cb__lower_l2_match(struct cb_lower *low, const struct cb_onnx_node *node, const struct cb_lower_match *match)
{
    struct cb_view view;
    CB_TRY(cb__lower_view(low, match->inputs[0], &view));
    const int64_t axis = cb__lower_axis(match->axis, view.rank);
    CB_TRY(over_axes(low, node, &view, axis, axis, "l2_normalize"));
    cb__lower_real(low, "epsilon", match->numbers[0]);
    return CB_OK;
}

const struct cb_lower_operator cb__lower_norms[] = {
    {"BatchNormalization", lower_batchnorm}, {"LayerNormalization", lower_layernorm}, {"RMSNormalization", lower_layernorm},
    {"SimplifiedLayerNormalization", lower_layernorm}, {"GroupNormalization", lower_groupnorm},
    {"InstanceNormalization", lower_instancenorm}, {"Softmax", lower_softmax}, {"LogSoftmax", lower_softmax},
    {"LpNormalization", lower_lp_normalization},
    {NULL, NULL},
};
