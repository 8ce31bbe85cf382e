/* onnx_shape_move.c: shapes of what moves elements without changing them. */
#include <inttypes.h>
#include <string.h>

#include "exchange/onnx_work.h"

enum cb_status cb__onnx_infer_shape(struct cb__onnx_work *w)
{
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    int64_t rank = w->in[0].rank;
    int64_t start = cb_onnx_int(w->node, "start", 0), end = cb_onnx_int(w->node, "end", rank);
    start = start < 0 ? (start < -rank ? 0 : start + rank) : start > rank ? rank : start;
    end = end < 0 ? (end < -rank ? 0 : end + rank) : end > rank ? rank : end;
    return cb__onnx_give(w, 0, CB_ONNX_INT64, 1, (int64_t[]){end > start ? end - start : 0});
}

enum cb_status cb__onnx_infer_size(struct cb__onnx_work *w)
{
    return cb__onnx_has(w, 0) ? cb__onnx_give(w, 0, CB_ONNX_INT64, 0, NULL) : CB_OK;
}

enum cb_status cb__onnx_infer_constant(struct cb__onnx_work *w)
{
    static const struct {
        const char *name;
        enum cb_onnx_type type;
        uint32_t rank;
    } forms[] = {{"value_float", CB_ONNX_FLOAT, 0}, {"value_int", CB_ONNX_INT64, 0}, {"value_floats", CB_ONNX_FLOAT, 1},
                 {"value_ints", CB_ONNX_INT64, 1}};
    const struct cb_onnx_attribute *value = cb_onnx_attribute(w->node, "value");
    if (value && value->kind == CB_ONNX_A_TENSOR) {
        return cb__onnx_give(w, 0, value->tensor->type, value->tensor->rank, value->tensor->dims);
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        const struct cb_onnx_attribute *attribute = cb_onnx_attribute(w->node, forms[i].name);
        if (attribute) {
            return cb__onnx_give(w, 0, forms[i].type, forms[i].rank, (int64_t[]){attribute->count});
        }
    }
    return CB_OK;
}

enum cb_status cb__onnx_infer_constant_of_shape(struct cb__onnx_work *w)
{
    int64_t dims[CB_MAX_RANK];
    uint32_t rank;
    const struct cb_onnx_attribute *value = cb_onnx_attribute(w->node, "value");
    if (!cb__onnx_integers(w, 0, CB_MAX_RANK, dims, &rank)) {
        return CB_OK;
    }
    bool has_value = value && value->kind == CB_ONNX_A_TENSOR;
    return cb__onnx_give(w, 0, has_value ? value->tensor->type : CB_ONNX_FLOAT, rank, dims);
}

/* max(ceil((limit - start) / delta), 0) */
enum cb_status cb__onnx_infer_range(struct cb__onnx_work *w)
{
    if (w->in_count != 3 || !w->in[0].tensor || !w->in[1].tensor || !w->in[2].tensor) {
        return CB_OK;
    }
    double start = cb_onnx_tensor_real(w->in[0].tensor, 0), limit = cb_onnx_tensor_real(w->in[1].tensor, 0);
    double delta = cb_onnx_tensor_real(w->in[2].tensor, 0);
    double steps = (limit - start) / delta;
    if (!(steps < 1e12 && steps > -1e300)) {
        return cb__onnx_misfit(w, "its numbers from %g to %g by %g have no end", start, limit, delta);
    }
    int64_t count = steps > 0 ? (int64_t)steps : 0;
    count += steps > 0 && (double)count < steps;
    return cb__onnx_give(w, 0, w->in[0].type, 1, &count);
}

/* ---- new dims for the same elements ---------------------------------------------------------------------------- */

/* Fills the dim that is -1. False when the elements do not fit. */
static bool fill_open(int64_t total, uint32_t rank, int64_t *dims)
{
    int64_t product = 1;
    int open = -1;
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] == -1 && open < 0) {
            open = (int)i;
        } else if (dims[i] < 0) {
            return false;
        } else {
            product = cb__onnx_times(product, dims[i]);
        }
    }
    if (open >= 0) {
        if (product == 0 || total % product) {
            return product == 0 && total == 0 ? (dims[open] = 0, true) : false;
        }
        dims[open] = total / product;
        return true;
    }
    return product == total;
}

/* A file that was exported with a batch has numbers where N belongs: [197, 24, 64] of [197, N, 768], with a batch of 2,
 * is [197, 12N, 64]. The batch goes into a dim that begins where it may begin in the input: one of its size, else the
 * first that it divides. False: the shape has no such dim. */
static bool reshape_batch(const struct cb__onnx_work *w, uint32_t rank, const int64_t *wanted, int64_t *out)
{
    const struct cb_onnx_value *x = w->node->inputs[0];
    int64_t total = 1, before = 1, behind, prefix = 1;
    int at = -1, exact = -1, target = -1;
    for (uint32_t i = 0; i < x->rank; i++) {
        bool has_batch = x->dims[i].batch > 0 && x->dims[i].fixed == 0;
        if (x->dims[i].batch != 0 && (!has_batch || at >= 0)) {
            return false;
        }
        at = has_batch ? (int)i : at;
        before = at < 0 ? cb__onnx_times(before, x->dims[i].fixed) : before;
        total = cb__onnx_times(total, has_batch ? cb__onnx_times(x->dims[i].batch, w->file_batch) : x->dims[i].fixed);
    }
    for (uint32_t i = 0; i < rank; i++) {
        bool is_copied = wanted[i] == 0 && i < x->rank && !cb_onnx_int(w->node, "allowzero", 0);
        out[i] = !is_copied             ? wanted[i]
                 : x->dims[i].batch > 0 ? cb__onnx_times(x->dims[i].batch, w->file_batch)
                                        : x->dims[i].fixed;
    }
    if (at < 0 || !fill_open(total, rank, out)) {
        return false;
    }
    behind = cb__onnx_times(before, cb__onnx_times(x->dims[at].batch, w->file_batch));
    for (uint32_t i = 0; i < rank; i++) {
        int64_t next = cb__onnx_times(prefix, out[i]);
        bool begins_in = prefix >= before && prefix <= behind, lies_over = prefix < before && next > before;
        if (target < 0 && (begins_in || lies_over) && out[i] % w->file_batch == 0) {
            target = (int)i;
        }
        exact = exact < 0 && begins_in && out[i] == w->file_batch ? (int)i : exact;
        prefix = next;
    }
    target = exact >= 0 ? exact : target;
    if (target < 0 || out[target] % w->file_batch != 0) {
        return false;
    }
    out[target] = cb__onnx_times(out[target] / w->file_batch, w->batch);
    return true;
}

enum cb_status cb__onnx_infer_reshape(struct cb__onnx_work *w)
{
    int64_t wanted[CB_MAX_RANK], dims[CB_MAX_RANK], total;
    uint32_t rank;
    if (!cb__onnx_has(w, 0) || !cb__onnx_integers(w, 1, CB_MAX_RANK, wanted, &rank)) {
        return CB_OK;
    }
    const struct cb__onnx_arg *x = &w->in[0];
    if (!cb__onnx_count(x->rank, x->dims, &total)) {
        return cb__onnx_misfit(w, "its input is too large");
    }
    if (w->file_batch > 0 && w->in[1].is_fixed && reshape_batch(w, rank, wanted, dims)) {
        return cb__onnx_give(w, 0, x->type, rank, dims);
    }
    for (uint32_t i = 0; i < rank; i++) {
        bool is_copied = wanted[i] == 0 && !cb_onnx_int(w->node, "allowzero", 0);
        if (is_copied && i >= x->rank) {
            return cb__onnx_misfit(w, "there is no dim %u to copy", i);
        }
        dims[i] = is_copied ? x->dims[i] : wanted[i];
    }
    bool fits = fill_open(total, rank, dims);
    if (!fits) {
        char text[192];
        int at = 0;
        for (uint32_t i = 0; i < rank; i++) {
            at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%" PRId64, i ? ", " : "", wanted[i]);
        }
        return w->in[1].is_fixed ? cb__onnx_misfit(w, "its input cannot become [%s]", rank ? text : "")
                                 : cb__onnx_misfit(w, "its input does not fit the shape that is computed for it");
    }
    return cb__onnx_give(w, 0, x->type, rank, dims);
}

enum cb_status cb__onnx_infer_flatten(struct cb__onnx_work *w)
{
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    int64_t rank = w->in[0].rank, axis = cb_onnx_int(w->node, "axis", 1), dims[2] = {1, 1};
    if (axis < -rank || axis > rank) {
        return cb__onnx_misfit(w, "there is no axis %" PRId64 " of %" PRId64, axis, rank);
    }
    axis = axis < 0 ? axis + rank : axis;
    for (int64_t i = 0; i < rank; i++) {
        dims[i >= axis] = cb__onnx_times(dims[i >= axis], w->in[0].dims[i]);
    }
    return cb__onnx_give(w, 0, w->in[0].type, 2, dims);
}

enum cb_status cb__onnx_infer_squeeze(struct cb__onnx_work *w)
{
    int64_t axes[CB_MAX_RANK], dims[CB_MAX_RANK];
    uint32_t count, rank = 0, named = 0;
    bool known;
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    CB_TRY(cb__onnx_axes(w, 1, w->in[0].rank, axes, &count, &known));
    if (!known) {
        return CB_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        named |= 1u << axes[i];
        if (w->in[0].dims[axes[i]] != 1) {
            return cb__onnx_misfit(w, "axis %" PRId64 " is not of size 1", axes[i]);
        }
    }
    for (uint32_t i = 0; i < w->in[0].rank; i++) {
        if (count ? !(named >> i & 1) : w->in[0].dims[i] != 1) {
            dims[rank++] = w->in[0].dims[i];
        }
    }
    return cb__onnx_give(w, 0, w->in[0].type, rank, dims);
}

enum cb_status cb__onnx_infer_unsqueeze(struct cb__onnx_work *w)
{
    int64_t axes[CB_MAX_RANK], dims[CB_MAX_RANK];
    uint32_t count, named = 0;
    bool known;
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    /* Axes count in the output, whose rank is known once they are: a first look counts them. */
    const struct cb_onnx_attribute *attribute = cb_onnx_attribute(w->node, "axes");
    const struct cb_onnx_tensor *tensor = w->in_count > 1 ? w->in[1].tensor : NULL;
    int64_t more = attribute ? attribute->count : tensor ? tensor->count : 0;
    if (more + w->in[0].rank > CB_MAX_RANK) {
        return cb__onnx_misfit(w, "its output has more than %d dimensions", CB_MAX_RANK);
    }
    uint32_t rank = w->in[0].rank + (uint32_t)more;
    CB_TRY(cb__onnx_axes(w, 1, rank, axes, &count, &known));
    if (!known) {
        return CB_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        named |= 1u << axes[i];
    }
    for (uint32_t i = 0, from = 0; i < rank; i++) {
        dims[i] = named >> i & 1 ? 1 : w->in[0].dims[from++];
    }
    return cb__onnx_give(w, 0, w->in[0].type, rank, dims);
}

enum cb_status cb__onnx_infer_transpose(struct cb__onnx_work *w)
{
    int64_t dims[CB_MAX_RANK];
    uint32_t count, seen = 0;
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    uint32_t rank = w->in[0].rank;
    const int64_t *order = cb_onnx_ints(w->node, "perm", &count);
    for (uint32_t i = 0; i < rank; i++) {
        int64_t from = !order ? (int64_t)(rank - 1 - i) : count == rank ? order[i] : -1;
        if (from < 0 || from >= rank || seen >> from & 1) {
            return cb__onnx_misfit(w, "`perm` is no order of its %u axes", rank);
        }
        seen |= 1u << from;
        dims[i] = w->in[0].dims[from];
    }
    return cb__onnx_give(w, 0, w->in[0].type, rank, dims);
}

/* ---- repetition ------------------------------------------------------------------------------------------------ */

static bool is_uniform(const struct cb_onnx_tensor *tensor)
{
    for (int64_t i = 1; tensor && i < tensor->count && i < 1 << 20; i++) {
        if (cb_onnx_tensor_real(tensor, i) != cb_onnx_tensor_real(tensor, 0)) {
            return false;
        }
    }
    return tensor && tensor->count > 0 && tensor->count <= 1 << 20;
}

enum cb_status cb__onnx_infer_expand(struct cb__onnx_work *w)
{
    int64_t wanted[CB_MAX_RANK], dims[CB_MAX_RANK];
    uint32_t count;
    if (!cb__onnx_has(w, 0) || !cb__onnx_integers(w, 1, CB_MAX_RANK, wanted, &count)) {
        return CB_OK;
    }
    const struct cb__onnx_arg *x = &w->in[0];
    uint32_t rank = x->rank > count ? x->rank : count;
    for (uint32_t i = 0; i < rank; i++) {
        int64_t has = i + x->rank >= rank ? x->dims[i + x->rank - rank] : 1;
        int64_t wants = i + count >= rank ? wanted[i + count - rank] : 1;
        /* The batch of a file that was exported with one. */
        if (i == 0 && count == rank && w->file_batch > 1 && w->in[1].is_fixed && wants == w->file_batch) {
            wants = w->batch;
        }
        /* The first states of a recurrent node: made for the file's batch, then expanded to the batch of the input. */
        if (i > 0 && w->file_batch > 1 && has == w->file_batch && wants == w->batch && !w->in[1].is_fixed &&
            is_uniform(w->in[0].tensor)) {
            has = wants;
        }
        if (has != wants && has != 1 && wants != 1) {
            return cb__onnx_misfit(w, "axis %u cannot be expanded to %" PRId64, i, wants);
        }
        dims[i] = wants == 1 ? has : wants;
    }
    return cb__onnx_give(w, 0, x->type, rank, dims);
}

enum cb_status cb__onnx_infer_tile(struct cb__onnx_work *w)
{
    int64_t times[CB_MAX_RANK], dims[CB_MAX_RANK];
    uint32_t count;
    if (!cb__onnx_has(w, 0) || !cb__onnx_integers(w, 1, CB_MAX_RANK, times, &count)) {
        return CB_OK;
    }
    if (count != w->in[0].rank) {
        return cb__onnx_misfit(w, "it has %u repeats for %u axes", count, w->in[0].rank);
    }
    for (uint32_t i = 0; i < count; i++) {
        dims[i] = cb__onnx_times(w->in[0].dims[i], times[i]);
    }
    return cb__onnx_give(w, 0, w->in[0].type, count, dims);
}

enum cb_status cb__onnx_infer_pad(struct cb__onnx_work *w)
{
    int64_t pads[2 * CB_MAX_RANK], axes[CB_MAX_RANK], dims[CB_MAX_RANK];
    uint32_t count, axis_count;
    bool known;
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    uint32_t rank = w->in[0].rank;
    CB_TRY(cb__onnx_axes(w, 3, rank, axes, &axis_count, &known));
    const int64_t *list = cb_onnx_ints(w->node, "pads", &count);
    if (list && count <= 2 * CB_MAX_RANK) {
        memcpy(pads, list, count * sizeof(*list));
    } else if (!known || !cb__onnx_integers(w, 1, 2 * CB_MAX_RANK, pads, &count)) {
        return CB_OK;
    }
    for (uint32_t i = 0; i < rank; i++) {
        dims[i] = w->in[0].dims[i];
        axes[i] = axis_count ? axes[i] : i;
    }
    axis_count = axis_count ? axis_count : rank;
    if (count != 2 * axis_count) {
        return cb__onnx_misfit(w, "it has %u numbers to pad %u axes", count, axis_count);
    }
    for (uint32_t i = 0; i < axis_count; i++) {
        dims[axes[i]] = cb__onnx_plus(dims[axes[i]], cb__onnx_plus(pads[i], pads[i + axis_count]));
    }
    return cb__onnx_give(w, 0, w->in[0].type, rank, dims);
}

enum cb_status cb__onnx_infer_nonzero(struct cb__onnx_work *w)
{
    if (!cb__onnx_has(w, 0) || !w->in[0].tensor || !cb__onnx_spend(w->graph, w->in[0].tensor->count)) {
        return CB_OK;
    }
    int64_t count = 0;
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, w->in[0].tensor);
    for (int64_t i = 0; i < w->in[0].tensor->count; i++) {
        count += cb__onnx_load_real(w->in[0].tensor, walk.offset) != 0;
        cb__onnx_walk_next(&walk);
    }
    return cb__onnx_give(w, 0, CB_ONNX_INT64, 2, (int64_t[]){w->in[0].rank, count});
}

enum cb_status cb__onnx_infer_eye_like(struct cb__onnx_work *w)
{
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    enum cb_onnx_type type = (enum cb_onnx_type)cb_onnx_int(w->node, "dtype", (int64_t)w->in[0].type);
    if (w->in[0].rank != 2 || cb_onnx_type_bytes(type) == 0) {
        return cb__onnx_misfit(w, "its input is no matrix, or its type is not read");
    }
    return cb__onnx_give(w, 0, type, 2, w->in[0].dims);
}
