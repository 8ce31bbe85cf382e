/* onnx_shape_window.c: shapes of what slides a window over an image, and of what changes an image's size. Images are
 * [N, C, then 1 to 3 lengths]. Formulas: docs/Operators.md of ONNX. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exchange/onnx_work.h"

enum { MOST = CB_MAX_RANK - 2 };

struct window {
    uint32_t axes; /* lengths of an image */
    int64_t kernel[MOST], strides[MOST], dilations[MOST], begins[MOST], ends[MOST];
    const char *auto_pad;
};

static enum cb_status read_list(const struct cb__onnx_work *w, const char *name, uint32_t axes, int64_t fallback,
                                int64_t least, int64_t *out)
{
    uint32_t count;
    const int64_t *list = cb_onnx_ints(w->node, name, &count);
    if (list && count != axes) {
        return cb__onnx_misfit(w, "`%s` has %u numbers, but the image %u lengths", name, count, axes);
    }
    for (uint32_t i = 0; i < axes; i++) {
        out[i] = list ? list[i] : fallback;
        if (out[i] < least || out[i] > INT32_MAX) {
            return cb__onnx_misfit(w, "`%s` is %" PRId64, name, out[i]);
        }
    }
    return CB_OK;
}

static enum cb_status read_window(const struct cb__onnx_work *w, const int64_t *filter, struct window *out)
{
    uint32_t count;
    *out = (struct window){.axes = w->in[0].rank - 2};
    if (w->in[0].rank < 3) {
        return cb__onnx_misfit(w, "its input is no batch of images");
    }
    CB_TRY(read_list(w, "strides", out->axes, 1, 1, out->strides));
    CB_TRY(read_list(w, "dilations", out->axes, 1, 1, out->dilations));
    CB_TRY(read_list(w, "kernel_shape", out->axes, filter ? 0 : -1, 0, out->kernel));
    for (uint32_t i = 0; i < out->axes && filter; i++) {
        if (out->kernel[i] != 0 && out->kernel[i] != filter[i]) {
            return cb__onnx_misfit(w, "`kernel_shape` is not that of the filters");
        }
        out->kernel[i] = filter[i];
    }
    out->auto_pad = cb_onnx_string(w->node, "auto_pad", "NOTSET");
    const int64_t *pads = cb_onnx_ints(w->node, "pads", &count);
    if (strcmp(out->auto_pad, "NOTSET") != 0 || !pads) {
        return CB_OK;
    }
    if (count != 2 * out->axes) {
        return cb__onnx_misfit(w, "`pads` has %u numbers, but the image %u lengths", count, out->axes);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (pads[i] < INT32_MIN || pads[i] > INT32_MAX) {
            return cb__onnx_misfit(w, "`pads` has %" PRId64, pads[i]);
        }
        (i < out->axes ? out->begins : out->ends)[i % out->axes] = pads[i];
    }
    return CB_OK;
}

static enum cb_status slide(const struct cb__onnx_work *w, const struct window *window, bool rounds_up,
                            int64_t dims[CB_MAX_RANK])
{
    for (uint32_t i = 0; i < window->axes; i++) {
        int64_t length = w->in[0].dims[i + 2], stride = window->strides[i];
        int64_t reach = cb__onnx_plus(cb__onnx_times(window->kernel[i] - 1, window->dilations[i]), 1);
        if (strncmp(window->auto_pad, "SAME", 4) == 0) {
            dims[i + 2] = (length + stride - 1) / stride;
            continue;
        }
        int64_t padded = length + window->begins[i] + window->ends[i];
        int64_t room = padded - reach;
        if (room < 0 || window->kernel[i] < 1) {
            return cb__onnx_misfit(w, "its window of %" PRId64 " does not fit in %" PRId64, reach, padded);
        }
        int64_t count = (rounds_up ? room + stride - 1 : room) / stride + 1;
        /* No window may begin in the padding behind the image. */
        if (rounds_up && (count - 1) * stride >= length + window->begins[i] && count > 1) {
            count--;
        }
        dims[i + 2] = count;
    }
    return CB_OK;
}

enum cb_status cb__onnx_infer_conv(struct cb__onnx_work *w)
{
    struct window window;
    int64_t dims[CB_MAX_RANK];
    if (!cb__onnx_has(w, 0) || !cb__onnx_has(w, 1)) {
        return CB_OK;
    }
    const struct cb__onnx_arg *x = &w->in[0], *f = &w->in[1];
    int64_t group = cb_onnx_int(w->node, "group", 1);
    if (x->rank < 3 || f->rank != x->rank) {
        return cb__onnx_misfit(w, "its input or its filters have the wrong number of dimensions");
    }
    if (group < 1 || cb__onnx_times(f->dims[1], group) != x->dims[1] || f->dims[0] % group != 0) {
        return cb__onnx_misfit(w, "its filters in %" PRId64 " groups do not fit the input's channels", group);
    }
    CB_TRY(read_window(w, f->dims + 2, &window));
    dims[0] = x->dims[0];
    dims[1] = f->dims[0];
    CB_TRY(slide(w, &window, false, dims));
    return cb__onnx_give(w, 0, x->type, x->rank, dims);
}

enum cb_status cb__onnx_infer_conv_transpose(struct cb__onnx_work *w)
{
    struct window window;
    int64_t dims[CB_MAX_RANK], extra[MOST];
    uint32_t count;
    if (!cb__onnx_has(w, 0) || !cb__onnx_has(w, 1)) {
        return CB_OK;
    }
    const struct cb__onnx_arg *x = &w->in[0], *f = &w->in[1];
    int64_t group = cb_onnx_int(w->node, "group", 1);
    if (x->rank < 3 || f->rank != x->rank || group < 1 || f->dims[0] != x->dims[1]) {
        return cb__onnx_misfit(w, "its filters do not fit the input's channels");
    }
    CB_TRY(read_window(w, f->dims + 2, &window));
    CB_TRY(read_list(w, "output_padding", window.axes, 0, 0, extra));
    const int64_t *shape = cb_onnx_ints(w->node, "output_shape", &count);
    if (shape && count != window.axes) {
        return cb__onnx_misfit(w, "`output_shape` has %u numbers", count);
    }
    dims[0] = x->dims[0];
    dims[1] = cb__onnx_times(f->dims[1], group);
    for (uint32_t i = 0; i < window.axes; i++) {
        int64_t reach = cb__onnx_plus(cb__onnx_times(window.kernel[i] - 1, window.dilations[i]), 1);
        int64_t full = cb__onnx_plus(cb__onnx_times(window.strides[i], x->dims[i + 2] - 1),
                                     cb__onnx_plus(extra[i], reach));
        bool is_same = strncmp(window.auto_pad, "SAME", 4) == 0;
        dims[i + 2] = shape     ? shape[i]
                      : is_same ? cb__onnx_times(x->dims[i + 2], window.strides[i])
                                : full - window.begins[i] - window.ends[i];
    }
    return cb__onnx_give(w, 0, x->type, x->rank, dims);
}

enum cb_status cb__onnx_infer_pool(struct cb__onnx_work *w)
{
    struct window window;
    int64_t dims[CB_MAX_RANK];
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    CB_TRY(read_window(w, NULL, &window));
    dims[0] = w->in[0].dims[0];
    dims[1] = w->in[0].dims[1];
    CB_TRY(slide(w, &window, cb_onnx_int(w->node, "ceil_mode", 0), dims));
    CB_TRY(cb__onnx_give(w, 0, w->in[0].type, w->in[0].rank, dims));
    return cb__onnx_give(w, 1, CB_ONNX_INT64, w->in[0].rank, dims);
}

enum cb_status cb__onnx_infer_global_pool(struct cb__onnx_work *w)
{
    int64_t dims[CB_MAX_RANK];
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    for (uint32_t i = 0; i < w->in[0].rank; i++) {
        dims[i] = i < 2 ? w->in[0].dims[i] : 1;
    }
    return cb__onnx_give(w, 0, w->in[0].type, w->in[0].rank, dims);
}

/* ---- Resize ---------------------------------------------------------------------------------------------------- */

/* Where `scales` and `sizes` stand: Upsample and Resize of opset 10 have the scales as input 1. */
static enum cb_status resize_axes(const struct cb__onnx_work *w, int64_t axes[CB_MAX_RANK], uint32_t *out_count)
{
    bool known;
    uint32_t rank = w->in[0].rank;
    CB_TRY(cb__onnx_axes(w, w->in_count, rank, axes, out_count, &known));
    if (*out_count == 0) {
        for (uint32_t i = 0; i < rank; i++) {
            axes[i] = i;
        }
        *out_count = rank;
    }
    return CB_OK;
}

/* keep_aspect_ratio_policy: one scale for all axes, the smallest or the largest that the sizes ask for. */
static void keep_ratio(const struct cb__onnx_work *w, const int64_t *axes, uint32_t count, const int64_t *sizes,
                       int64_t *dims)
{
    const char *policy = cb_onnx_string(w->node, "keep_aspect_ratio_policy", "stretch");
    bool is_smallest = strcmp(policy, "not_larger") == 0;
    double scale = is_smallest ? INFINITY : 0;
    if (strcmp(policy, "stretch") == 0) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        double ratio = (double)sizes[i] / (double)w->in[0].dims[axes[i]];
        scale = is_smallest ? fmin(scale, ratio) : fmax(scale, ratio);
    }
    for (uint32_t i = 0; i < count; i++) {
        double size = round(scale * (double)w->in[0].dims[axes[i]]);
        dims[axes[i]] = size >= 0 && size < 1e15 ? (int64_t)size : INT64_MAX;
    }
}

enum cb_status cb__onnx_infer_resize(struct cb__onnx_work *w)
{
    int64_t axes[CB_MAX_RANK], sizes[CB_MAX_RANK], dims[CB_MAX_RANK];
    uint32_t axis_count, count;
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    CB_TRY(resize_axes(w, axes, &axis_count));
    memcpy(dims, w->in[0].dims, sizeof(dims));
    if (w->in_count > 3) {
        if (!cb__onnx_integers(w, 3, axis_count, sizes, &count)) {
            return CB_OK;
        }
        for (uint32_t i = 0; i < count; i++) {
            /* A size of the batch, in a file that was exported with one. */
            bool is_batch = axes[i] == 0 && w->in[3].is_fixed && sizes[i] == w->file_batch;
            dims[axes[i]] = is_batch ? w->in[0].dims[0] : sizes[i];
        }
        keep_ratio(w, axes, count, sizes, dims);
        return cb__onnx_give(w, 0, w->in[0].type, w->in[0].rank, dims);
    }
    uint32_t at = w->opset < 11 || strcmp(w->node->op, "Upsample") == 0 ? 1 : 2;
    uint32_t list_count = 0;
    const struct cb_onnx_attribute *list = cb_onnx_attribute(w->node, "scales"); /* Upsample of opset 7 */
    const struct cb_onnx_tensor *scales = at < w->in_count ? w->in[at].tensor : NULL;
    if (list && list->kind == CB_ONNX_A_FLOATS) {
        list_count = list->count;
    } else if (scales && cb_onnx_type_is_real(scales->type)) {
        list_count = (uint32_t)(scales->count > CB_MAX_RANK ? CB_MAX_RANK + 1 : scales->count);
    } else {
        return CB_OK;
    }
    if (list_count != axis_count) {
        return cb__onnx_misfit(w, "it has %u scales for %u axes", list_count, axis_count);
    }
    for (uint32_t i = 0; i < axis_count; i++) {
        double scale = list && list->kind == CB_ONNX_A_FLOATS ? list->reals[i] : cb_onnx_tensor_real(scales, i);
        double size = floor((double)dims[axes[i]] * scale);
        if (!(size >= 0 && size < 1e15)) {
            return cb__onnx_misfit(w, "it has a scale of %g", scale);
        }
        dims[axes[i]] = (int64_t)size;
    }
    return cb__onnx_give(w, 0, w->in[0].type, w->in[0].rank, dims);
}

/* ---- blocks of pixels ------------------------------------------------------------------------------------------ */

static enum cb_status change_blocks(struct cb__onnx_work *w, bool to_space)
{
    int64_t block = cb_onnx_int(w->node, "blocksize", 0);
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    const int64_t *x = w->in[0].dims;
    if (w->in[0].rank != 4 || block < 1 || block > 65536) {
        return cb__onnx_misfit(w, "its input is no batch of images, or its `blocksize` %" PRId64, block);
    }
    if (to_space ? x[1] % (block * block) : x[2] % block || x[3] % block) {
        return cb__onnx_misfit(w, "its input does not divide into blocks of %" PRId64, block);
    }
    if (to_space) {
        return cb__onnx_give(w, 0, w->in[0].type, 4, (int64_t[]){x[0], x[1] / (block * block),
                             cb__onnx_times(x[2], block), cb__onnx_times(x[3], block)});
    }
    return cb__onnx_give(w, 0, w->in[0].type, 4, (int64_t[]){x[0], cb__onnx_times(x[1], block * block), x[2] / block,
                         x[3] / block});
}

enum cb_status cb__onnx_infer_depth_to_space(struct cb__onnx_work *w)
{
    return change_blocks(w, true);
}

enum cb_status cb__onnx_infer_space_to_depth(struct cb__onnx_work *w)
{
    return change_blocks(w, false);
}
