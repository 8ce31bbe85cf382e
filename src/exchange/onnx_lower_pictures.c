/* onnx_lower_pictures.c: operators over places: convolutions, pooling, resizing. */
#include <inttypes.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>

#include "exchange/onnx_lower.h"

/* The spatial attributes of a node, for one or two axes of places. */
struct window {
    uint32_t axes; /* 1 or 2 */
    int64_t kernel[2], stride[2], dilation[2], padding[4]; /* top, bottom, left, right */
    bool same; /* as the `same` of ours */
};

static enum cb_status read_window(struct cb_lower *low, const struct cb_onnx_node *node, const struct cb_onnx_value *x,
                                  const int64_t *kernel, struct window *w)
{
    uint32_t count;
    *w = (struct window){.axes = x->rank - 2, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    if (x->rank != 3 && x->rank != 4) {
        return cb__lower_fail(low, "it works on %d axes of places; one or two are supported (conv1d, conv2d)", (int)x->rank - 2);
    }
    for (uint32_t i = 0; i < w->axes; i++) {
        w->kernel[i] = kernel[i];
    }
    const int64_t *strides = cb_onnx_ints(node, "strides", &count);
    for (uint32_t i = 0; i < w->axes && i < count; i++) {
        w->stride[i] = strides[i];
    }
    const int64_t *dilations = cb_onnx_ints(node, "dilations", &count);
    for (uint32_t i = 0; i < w->axes && i < count; i++) {
        w->dilation[i] = dilations[i];
    }
    const int64_t *pads = cb_onnx_ints(node, "pads", &count);
    for (uint32_t i = 0; i < w->axes && count == 2 * w->axes; i++) {
        w->padding[2 * i] = pads[i];
        w->padding[2 * i + 1] = pads[w->axes + i];
    }
    const char *automatic = cb_onnx_string(node, "auto_pad", "NOTSET");
    if (strcmp(automatic, "SAME_UPPER") == 0 || strcmp(automatic, "SAME_LOWER") == 0) {
        for (uint32_t i = 0; i < w->axes; i++) {
            const int64_t size = x->dims[2 + i].fixed, out = (size + w->stride[i] - 1) / w->stride[i];
            int64_t total = (out - 1) * w->stride[i] + (w->kernel[i] - 1) * w->dilation[i] + 1 - size;
            total = total > 0 ? total : 0;
            const bool upper = strcmp(automatic, "SAME_UPPER") == 0;
            w->padding[2 * i] = upper ? total / 2 : total - total / 2;
            w->padding[2 * i + 1] = total - w->padding[2 * i];
        }
        w->same = strcmp(automatic, "SAME_UPPER") == 0;
    } else if (strcmp(automatic, "VALID") == 0) {
        memset(w->padding, 0, sizeof(w->padding));
    }
    for (uint32_t i = 0; i < 4; i++) {
        if (w->padding[i] < 0) {
            return cb__lower_fail(low, "padding below 0 is not supported; crop and slice cut places off");
        }
    }
    return CB_OK;
}

static void write_padding(struct cb_lower *low, const struct window *w)
{
    if (w->same) {
        cb__lower_text(low, "padding", "same");
    } else {
        cb__lower_ints(low, "padding", w->padding, 2 * w->axes);
    }
}

/* x as [N,H,W,C] or [N,T,C]. */
static enum cb_status as_places(struct cb_lower *low, const struct cb_onnx_value *value, struct cb_view *view)
{
    static const uint32_t picture[] = {2, 3, 1}, sequence[] = {2, 1};
    CB_TRY(cb__lower_view(low, value, view));
    if (view->rank == 4) {
        return cb__lower_arrange_axes(low, view, picture, 3);
    }
    return view->rank == 3 ? cb__lower_arrange_axes(low, view, sequence, 2)
                           : cb__lower_fail(low, "it works on %d axes of places; one or two are supported", (int)view->rank - 2);
}

static enum cb_status set_places(struct cb_lower *low, const struct cb_onnx_node *node, struct cb_flat_wire wire)
{
    static const uint32_t picture[] = {0, 2, 3, 1}, sequence[] = {0, 2, 1};
    const struct cb_onnx_value *out = cb_onnx_output(node, 0);
    struct cb_view view;
    CB_TRY(cb__lower_fresh(low, out, out->rank == 4 ? picture : sequence, &view));
    view.wire = wire;
    cb__lower_set(low, out, &view);
    return CB_OK;
}

/* [K, C, kernel...] to [kernel..., C, K], or with `swap`, of a transposed convolution, [C, K, kernel...] to
 * [kernel..., K, C]: in both cases the first two axes go last, swapped. */
static enum cb_status filters_of(struct cb_lower *low, const struct cb_onnx_tensor *w, float **out)
{
    const int64_t a = w->dims[0], b = w->dims[1], places = w->count / (a * b > 0 ? a * b : 1);
    float *plain = malloc((size_t)w->count * sizeof(*plain));
    float *filters = CB_NEW_ARRAY(low->arena, float, (size_t)w->count);
    if (plain == NULL || filters == NULL) {
        free(plain);
        return cb__lower_memory(low);
    }
    cb_onnx_tensor_f32(w, plain);
    for (int64_t i = 0; i < a; i++) {
        for (int64_t j = 0; j < b; j++) {
            for (int64_t p = 0; p < places; p++) {
                filters[(p * b + j) * a + i] = plain[(i * b + j) * places + p];
            }
        }
    }
    free(plain);
    *out = filters;
    return CB_OK;
}

static enum cb_status bias_of(struct cb_lower *low, const struct cb_onnx_node *node, uint32_t input, int64_t filters, bool *has)
{
    const struct cb_onnx_tensor *b = cb_onnx_constant(node, input);
    *has = cb_onnx_input(node, input) != NULL;
    if (!*has) {
        return CB_OK;
    }
    if (b == NULL || b->count != filters) {
        return cb__lower_fail(low, "its bias is not a constant of one number a channel");
    }
    float *values = CB_NEW_ARRAY(low->arena, float, (size_t)filters);
    if (values == NULL) {
        return cb__lower_memory(low);
    }
    cb_onnx_tensor_f32(b, values);
    return cb__lower_param(low, "b", 1, &filters, values);
}

static enum cb_status lower_conv(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const struct cb_onnx_tensor *w = cb_onnx_constant(node, 1);
    struct cb_view view;
    struct window window;
    CB_TRY(as_places(low, cb_onnx_input(node, 0), &view));
    if (w == NULL || w->rank != view.rank || w->count < 1) {
        return cb__lower_fail(low, "filters that are not constants of the file are not supported; `matmul` multiplies two inputs");
    }
    const bool one = view.rank == 3;
    const int64_t groups = cb_onnx_int(node, "group", 1), filters = w->dims[0];
    CB_TRY(read_window(low, node, cb_onnx_input(node, 0), w->dims + 2, &window));
    float *values;
    CB_TRY(filters_of(low, w, &values));
    struct cb_flat_wire wire;
    CB_TRY(cb__lower_add(low, one ? "conv1d" : "conv2d", &view.wire, 1, &wire));
    cb__lower_int(low, "filters", filters);
    cb__lower_ints(low, "kernel", window.kernel, window.axes);
    cb__lower_ints(low, "stride", window.stride, window.axes);
    write_padding(low, &window);
    cb__lower_ints(low, "dilation", window.dilation, window.axes);
    if (groups > 1 && groups == filters && w->dims[1] == 1) {
        cb__lower_text(low, "groups", "depthwise");
    } else {
        cb__lower_int(low, "groups", groups);
    }
    cb__lower_owner(low, w);
    int64_t dims[4] = {window.kernel[0]};
    uint32_t rank = 1;
    if (!one) {
        dims[rank++] = window.kernel[1];
    }
    dims[rank++] = w->dims[1];
    dims[rank++] = filters;
    CB_TRY(cb__lower_param(low, "w", rank, dims, values));
    bool has;
    CB_TRY(bias_of(low, node, 2, filters, &has));
    cb__lower_bool(low, "bias", has);
    return set_places(low, node, wire);
}

static enum cb_status lower_conv_transpose(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const struct cb_onnx_tensor *w = cb_onnx_constant(node, 1);
    struct cb_view view;
    struct window window;
    uint32_t count;
    CB_TRY(as_places(low, cb_onnx_input(node, 0), &view));
    if (w == NULL || w->rank != 4 || view.rank != 4 || w->count < 1) {
        return cb__lower_fail(low, "a transposed convolution of pictures with filters of the file is supported (conv_transpose2d), "
                              "nothing else");
    }
    const char *automatic = cb_onnx_string(node, "auto_pad", "NOTSET");
    if (cb_onnx_ints(node, "output_shape", &count) != NULL || cb_starts_with(automatic, "SAME")) {
        return cb__lower_fail(low, "an output_shape or auto_pad %s is not supported; explicit pads are", automatic);
    }
    CB_TRY(read_window(low, node, cb_onnx_input(node, 0), w->dims + 2, &window));
    const int64_t groups = cb_onnx_int(node, "group", 1), filters = w->dims[1] * groups;
    float *values;
    CB_TRY(filters_of(low, w, &values));
    struct cb_flat_wire wire;
    CB_TRY(cb__lower_add(low, "conv_transpose2d", &view.wire, 1, &wire));
    cb__lower_int(low, "filters", filters);
    cb__lower_ints(low, "kernel", window.kernel, 2);
    cb__lower_ints(low, "stride", window.stride, 2);
    cb__lower_ints(low, "padding", window.padding, 4);
    const int64_t *more = cb_onnx_ints(node, "output_padding", &count);
    if (more != NULL && count == 2) {
        cb__lower_ints(low, "output_padding", more, 2);
    }
    cb__lower_ints(low, "dilation", window.dilation, 2);
    cb__lower_int(low, "groups", groups);
    cb__lower_owner(low, w);
    const int64_t dims[] = {window.kernel[0], window.kernel[1], w->dims[1], w->dims[0]};
    CB_TRY(cb__lower_param(low, "w", 4, dims, values));
    bool has;
    CB_TRY(bias_of(low, node, 2, filters, &has));
    cb__lower_bool(low, "bias", has);
    return set_places(low, node, wire);
}

/* ---- pooling ----------------------------------------------------------------------------------------------------------- */

static enum cb_status lower_pool(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    struct window w;
    uint32_t count;
    const bool is_max = strcmp(node->op, "MaxPool") == 0;
    const int64_t *kernel = cb_onnx_ints(node, "kernel_shape", &count);
    CB_TRY(as_places(low, cb_onnx_input(node, 0), &view));
    if (kernel == NULL || count + 2 != view.rank) {
        return cb__lower_fail(low, "its kernel_shape does not fit its input");
    }
    if (cb_onnx_output(node, 1) != NULL && cb_onnx_output(node, 1)->consumer_count > 0) {
        return cb__lower_fail(low, "the places of the largest values are not given out");
    }
    CB_TRY(read_window(low, node, cb_onnx_input(node, 0), kernel, &w));
    if (w.dilation[0] != 1 || w.dilation[1] != 1) {
        return cb__lower_fail(low, "windows with gaps (dilations) are not supported");
    }
    if (view.rank == 3) { /* a picture one place wide */
        const int64_t dims[] = {view.wire_dims[0], 1, view.wire_dims[1]};
        CB_TRY(cb__lower_arrange(low, &view, &view.order, 3, dims));
    }
    struct cb_flat_wire wire;
    const bool is_lp = strcmp(node->op, "LpPool") == 0;
    const bool excludes = !is_max && !is_lp && cb_onnx_int(node, "count_include_pad", 0) == 0;
    const bool pads = w.padding[0] + w.padding[1] + w.padding[2] + w.padding[3] > 0;
    CB_TRY(cb__lower_add(low, is_max ? "maxpool2d" : is_lp ? "lp_pool2d" : "avgpool2d", &view.wire, 1, &wire));
    if (is_lp) {
        cb__lower_real(low, "power", (double)cb_onnx_int(node, "p", 2));
    }
    cb__lower_ints(low, "kernel", w.kernel, 2);
    cb__lower_ints(low, "stride", w.stride, 2);
    w.same = w.same && (is_max || excludes) && view.rank == 4;
    w.axes = 2;
    write_padding(low, &w);
    cb__lower_bool(low, "ceil_mode", cb_onnx_int(node, "ceil_mode", 0) != 0);
    if (!is_max && !is_lp) {
        cb__lower_bool(low, "count_include_pad", !(excludes && pads && !w.same));
    }
    CB_TRY(set_places(low, node, wire));
    if (view.rank == 3) {
        struct cb_view *out = &low->views[cb_onnx_output(node, 0)->index];
        out->wire_dims[2] = out->wire_dims[1];
        out->wire_dims[1] = 1;
        out->wire_rank = 3;
    }
    return CB_OK;
}

/* All axes behind the channels in one. */
static enum cb_status lower_global(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    CB_TRY(as_places(low, cb_onnx_input(node, 0), &view));
    const bool mean = strcmp(node->op, "GlobalAveragePool") == 0;
    const bool picture = view.rank == 4;
    CB_TRY(cb__lower_map(low, &view, !mean ? "maximum" : picture ? "global_avgpool" : "mean"));
    if (!mean || !picture) {
        static const int64_t axes[] = {1, 2};
        cb__lower_list(low, "axes", axes, picture ? 2 : 1);
    }
    static const uint32_t order[] = {0, 1, 2, 3};
    const struct cb_onnx_value *out = cb_onnx_output(node, 0);
    const struct cb_flat_wire wire = view.wire;
    CB_TRY(cb__lower_fresh(low, out, order, &view));
    view.wire = wire;
    view.wire_rank = 1;
    cb__lower_set(low, out, &view);
    return CB_OK;
}

/* ---- resizing ---------------------------------------------------------------------------------------------------------- */

/* Scales whose products are no whole numbers move the places: ONNX then measures with the scale, upsample with the sizes. */
static bool scales_are_exact(const struct cb_onnx_node *node, const struct cb_onnx_value *x)
{
    const struct cb_onnx_tensor *scales = cb_onnx_constant(node, node->version >= 11 ? 2 : 1);
    for (int64_t d = 0; scales != NULL && scales->count == 4 && d < 4; d++) {
        const double size = cb_onnx_tensor_real(scales, d) * (double)x->dims[d].fixed;
        if (x->dims[d].batch == 0 && fabs(size - nearbyint(size)) > 1e-4) {
            return false;
        }
    }
    return true;
}

static enum cb_status lower_resize(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const struct cb_onnx_value *x = cb_onnx_input(node, 0), *y = cb_onnx_output(node, 0);
    const bool old = strcmp(node->op, "Upsample") == 0 || node->version < 11;
    const char *mode = cb_onnx_string(node, "mode", "nearest");
    const char *places = cb_onnx_string(node, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel");
    const char *rounding = cb_onnx_string(node, "nearest_mode", old ? "floor" : "round_prefer_floor");
    struct cb_view view;
    CB_TRY(as_places(low, x, &view));
    if (view.rank != 4 || !y->has_shape || !cb_onnx_dim_is_batch(y, 0) || y->dims[1].fixed != x->dims[1].fixed) {
        return cb__lower_fail(low, "pictures are resized along height and width only (upsample)");
    }
    int64_t size[2] = {y->dims[2].fixed, y->dims[3].fixed};
    const bool whole = size[0] % x->dims[2].fixed == 0 && size[1] % x->dims[3].fixed == 0;
    const bool linear = strcmp(mode, "linear") == 0;
    if (!linear && strcmp(mode, "nearest") != 0) {
        return cb__lower_fail(low, "mode `%s` is not supported; nearest and linear are (upsample)", mode);
    }
    const bool floors = strcmp(places, "asymmetric") == 0 && strcmp(rounding, "floor") == 0;
    const bool half = cb_ends_with(places, "half_pixel") && (cb_starts_with(rounding, "round")) && whole;
    if ((linear && !cb_ends_with(places, "half_pixel") && strcmp(places, "align_corners") != 0) ||
        (!linear && !floors && !half) || cb_onnx_int(node, "antialias", 0) != 0 ||
        cb_onnx_int(node, "exclude_outside", 0) != 0) {
        return cb__lower_fail(low, "mode `%s` with coordinates `%s` (%s) is not supported; nearest asymmetric floor, and linear "
                              "half_pixel or align_corners are (upsample)", mode, places, rounding);
    }
    if (!scales_are_exact(node, x)) {
        return cb__lower_fail(low, "its scales times its input's sizes are no whole numbers; `sizes` would be taken (upsample)");
    }
    if (linear && strcmp(places, "pytorch_half_pixel") == 0 && (size[0] == 1 || size[1] == 1)) {
        return cb__lower_fail(low, "`%s` to a size of 1 is not supported", places);
    }
    if (size[0] == x->dims[2].fixed && size[1] == x->dims[3].fixed) {
        return set_places(low, node, view.wire);
    }
    struct cb_flat_wire wire;
    CB_TRY(cb__lower_add(low, "upsample", &view.wire, 1, &wire));
    if (whole) {
        const int64_t factors[] = {size[0] / x->dims[2].fixed, size[1] / x->dims[3].fixed};
        cb__lower_ints(low, "scale_factor", factors, 2);
    } else {
        cb__lower_ints(low, "size", size, 2);
    }
    cb__lower_text(low, "mode", linear ? "bilinear" : "nearest");
    cb__lower_bool(low, "align_corners", linear && strcmp(places, "align_corners") == 0);
    return set_places(low, node, wire);
}

const struct cb_lower_operator cb__lower_pictures[] = {
    {"Conv", lower_conv}, {"ConvTranspose", lower_conv_transpose}, {"MaxPool", lower_pool}, {"AveragePool", lower_pool},
    {"LpPool", lower_pool}, {"GlobalAveragePool", lower_global}, {"GlobalMaxPool", lower_global}, {"Resize", lower_resize},
    {"Upsample", lower_resize},
    {NULL, NULL},
};
