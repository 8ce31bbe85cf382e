/* onnx_eval_move.c: constants in other shapes. Where strides can say it, no element is copied: a transposed weight of
 * 100 MB stays where it is in the file, and a Shape expanded to millions costs nothing. */
#include <string.h>

#include "exchange/onnx_work.h"

static void copy_element(const struct cb_onnx_tensor *from, int64_t offset, struct cb_onnx_tensor *to, int64_t i)
{
    size_t size = cb_onnx_type_bytes(to->type);
    memcpy((unsigned char *)to->data + (size_t)i * size, from->data + offset * (int64_t)size, size);
}

/* Copies the elements of a view, in order, from element `begin` of `to` on. */
static void copy_all(const struct cb_onnx_tensor *from, struct cb_onnx_tensor *to, int64_t begin)
{
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, from);
    for (int64_t i = 0; i < from->count; i++) {
        copy_element(from, walk.offset, to, begin + i);
        cb__onnx_walk_next(&walk);
    }
}

/* ---- shapes and constants -------------------------------------------------------------------------------------- */

bool cb__onnx_eval_shape(struct cb__onnx_work *w)
{
    int64_t rank = w->in[0].rank, start = cb_onnx_int(w->node, "start", 0);
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    start = start < 0 ? (start < -rank ? 0 : start + rank) : start;
    for (int64_t i = 0; y && i < y->count; i++) {
        cb__onnx_store_int(y, i, w->in[0].dims[start + i]);
    }
    return y;
}

bool cb__onnx_eval_size(struct cb__onnx_work *w)
{
    int64_t count;
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    if (!y || !cb__onnx_count(w->in[0].rank, w->in[0].dims, &count)) {
        return false;
    }
    cb__onnx_store_int(y, 0, count);
    return true;
}

bool cb__onnx_eval_constant(struct cb__onnx_work *w)
{
    const struct cb_onnx_attribute *value = cb_onnx_attribute(w->node, "value");
    if (value && value->kind == CB_ONNX_A_TENSOR) {
        struct cb_onnx_tensor *view = cb__onnx_view(w->graph, value->tensor);
        if (view && cb_onnx_output(w->node, 0)) {
            view->name = cb_onnx_output(w->node, 0)->name;
        }
        w->out[0].tensor = view;
        return view;
    }
    struct cb_onnx_tensor *y = w->out[0].has_shape ? cb__onnx_make_output(w, 0) : NULL;
    if (!y) {
        return false;
    }
    const char *name = cb_onnx_type_is_real(y->type) ? (y->rank ? "value_floats" : "value_float")
                                                     : (y->rank ? "value_ints" : "value_int");
    const struct cb_onnx_attribute *attribute = cb_onnx_attribute(w->node, name);
    for (int64_t i = 0; i < y->count; i++) {
        if (cb_onnx_type_is_real(y->type)) {
            cb__onnx_store_real(y, i, attribute->kind == CB_ONNX_A_FLOATS ? attribute->reals[i] : attribute->real);
        } else {
            cb__onnx_store_int(y, i, attribute->kind == CB_ONNX_A_INTS ? attribute->integers[i] : attribute->integer);
        }
    }
    return true;
}

/* One element, seen everywhere. */
bool cb__onnx_eval_constant_of_shape(struct cb__onnx_work *w)
{
    const struct cb_onnx_attribute *value = cb_onnx_attribute(w->node, "value");
    const struct cb_onnx_tensor *one = value && value->kind == CB_ONNX_A_TENSOR ? value->tensor : NULL;
    struct cb_onnx_tensor *zero = one ? NULL : cb__onnx_make_tensor(w->graph, CB_ONNX_FLOAT, 0, NULL);
    if ((!one && !zero) || (one && one->count != 1)) {
        return false;
    }
    w->in[0].tensor = one ? one : zero;
    struct cb_onnx_tensor *y = cb__onnx_view_output(w, 0);
    if (y) {
        memset(y->strides, 0, sizeof(y->strides));
    }
    return y;
}

bool cb__onnx_eval_range(struct cb__onnx_work *w)
{
    struct cb_onnx_tensor *y = w->in[0].type == CB_ONNX_UINT64 ? NULL : cb__onnx_make_output(w, 0);
    bool is_real = y && cb_onnx_type_is_real(y->type);
    double start = cb_onnx_tensor_real(w->in[0].tensor, 0), delta = cb_onnx_tensor_real(w->in[2].tensor, 0);
    int64_t first = cb_onnx_tensor_int(w->in[0].tensor, 0), step = cb_onnx_tensor_int(w->in[2].tensor, 0);
    for (int64_t i = 0; y && i < y->count; i++) {
        if (is_real) {
            cb__onnx_store_real(y, i, start + (double)i * delta);
        } else {
            cb__onnx_store_int(y, i, (int64_t)((uint64_t)first + (uint64_t)i * (uint64_t)step));
        }
    }
    return y;
}

bool cb__onnx_eval_eye_like(struct cb__onnx_work *w)
{
    int64_t k = cb_onnx_int(w->node, "k", 0);
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    for (int64_t i = 0; y && i < y->dims[0]; i++) {
        int64_t column = cb__onnx_plus(i, k);
        if (column >= 0 && column < y->dims[1]) {
            cb__onnx_store_int(y, i * y->dims[1] + column, 1);
        }
    }
    return y;
}

/* ---- views ----------------------------------------------------------------------------------------------------- */

bool cb__onnx_eval_reshape(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    if (cb_onnx_tensor_is_dense(x)) {
        return cb__onnx_view_output(w, 0);
    }
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    if (!y || y->count != x->count) {
        return false;
    }
    copy_all(x, y, 0);
    return true;
}

bool cb__onnx_eval_transpose(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    uint32_t count;
    const int64_t *order = cb_onnx_ints(w->node, "perm", &count);
    struct cb_onnx_tensor *y = cb__onnx_view_output(w, 0);
    for (uint32_t i = 0; y && i < x->rank; i++) {
        y->strides[i] = x->strides[order ? order[i] : (int64_t)(x->rank - 1 - i)];
    }
    return y;
}

bool cb__onnx_eval_expand(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    struct cb_onnx_tensor *y = cb__onnx_view_output(w, 0);
    for (uint32_t i = 0; y && i < y->rank; i++) {
        uint32_t shift = y->rank - x->rank;
        y->strides[i] = i >= shift && x->dims[i - shift] == y->dims[i] ? x->strides[i - shift] : 0;
    }
    return y;
}

bool cb__onnx_eval_slice(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    struct cb__onnx_range ranges[CB_MAX_RANK];
    bool known;
    if (cb__onnx_slices(w, ranges, &known) != CB_OK || !known) {
        return false;
    }
    struct cb_onnx_tensor *y = cb__onnx_view_output(w, 0);
    for (uint32_t i = 0; y && i < y->rank && y->count > 0; i++) {
        y->data += ranges[i].start * x->strides[i] * (int64_t)cb_onnx_type_bytes(x->type);
        y->strides[i] = ranges[i].count > 1 ? ranges[i].step * x->strides[i] : 0;
    }
    return y;
}

bool cb__onnx_eval_split(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    uint32_t axis;
    int64_t begin = 0;
    if (cb__onnx_axis(w, "axis", 0, x->rank, &axis) != CB_OK) {
        return false;
    }
    for (uint32_t i = 0; i < w->out_count; i++) {
        struct cb_onnx_tensor *y = cb__onnx_view_output(w, i);
        if (!y) {
            return false;
        }
        memcpy(y->strides, x->strides, sizeof(y->strides));
        y->data += y->count > 0 ? begin * x->strides[axis] * (int64_t)cb_onnx_type_bytes(x->type) : 0;
        begin += y->dims[axis];
    }
    return true;
}

/* ---- copies ---------------------------------------------------------------------------------------------------- */

bool cb__onnx_eval_tile(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    struct cb__onnx_walk walk;
    if (!y) {
        return false;
    }
    cb__onnx_walk_begin(&walk, y);
    for (int64_t i = 0; i < y->count; i++) {
        int64_t offset = 0;
        for (uint32_t axis = 0; axis < x->rank; axis++) {
            offset += walk.index[axis] % x->dims[axis] * x->strides[axis];
        }
        copy_element(x, offset, y, i);
        cb__onnx_walk_next(&walk);
    }
    return true;
}

bool cb__onnx_eval_concat(struct cb__onnx_work *w)
{
    uint32_t axis;
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    if (!y || cb__onnx_axis(w, "axis", 1, y->rank, &axis) != CB_OK) {
        return false;
    }
    int64_t begin = 0;
    for (uint32_t i = 0; i < w->in_count; i++) {
        const struct cb_onnx_tensor *x = w->in[i].tensor;
        if (x->type != y->type) {
            return false;
        }
        struct cb__onnx_walk walk;
        cb__onnx_walk_begin(&walk, x);
        for (int64_t k = 0; k < x->count; k++) {
            int64_t at = begin * y->strides[axis];
            for (uint32_t j = 0; j < y->rank; j++) {
                at += walk.index[j] * y->strides[j];
            }
            copy_element(x, walk.offset, y, at);
            cb__onnx_walk_next(&walk);
        }
        begin += x->dims[axis];
    }
    return true;
}

/* Constant mode only: others do not occur on constants. */
bool cb__onnx_eval_pad(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    const struct cb_onnx_tensor *value = w->in_count > 2 ? w->in[2].tensor : NULL;
    int64_t pads[2 * CB_MAX_RANK];
    uint32_t count;
    const int64_t *list = cb_onnx_ints(w->node, "pads", &count);
    bool has_axes = w->in_count > 3 && w->in[3].tensor;
    if (strcmp(cb_onnx_string(w->node, "mode", "constant"), "constant") != 0 || has_axes ||
        (!list && !cb__onnx_integers(w, 1, 2 * CB_MAX_RANK, pads, &count)) || count != 2 * x->rank) {
        return false;
    }
    if (list) {
        memcpy(pads, list, count * sizeof(*pads));
    }
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    struct cb__onnx_walk walk;
    if (!y) {
        return false;
    }
    cb__onnx_walk_begin(&walk, y);
    for (int64_t i = 0; i < y->count; i++) {
        int64_t offset = 0;
        bool is_inside = true;
        for (uint32_t axis = 0; axis < x->rank; axis++) {
            int64_t at = walk.index[axis] - pads[axis];
            is_inside = is_inside && at >= 0 && at < x->dims[axis];
            offset += is_inside ? at * x->strides[axis] : 0;
        }
        if (is_inside) {
            copy_element(x, offset, y, i);
        } else {
            cb__onnx_store_real(y, i, value ? cb_onnx_tensor_real(value, 0) : cb_onnx_real(w->node, "value", 0));
        }
        cb__onnx_walk_next(&walk);
    }
    return true;
}

bool cb__onnx_eval_trilu(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    int64_t k = w->in_count > 1 && w->in[1].tensor ? cb_onnx_tensor_int(w->in[1].tensor, 0) : 0;
    bool is_upper = cb_onnx_int(w->node, "upper", 1);
    struct cb_onnx_tensor *y = x->rank < 2 || k > INT32_MAX || k < -INT32_MAX ? NULL : cb__onnx_make_output(w, 0);
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, x);
    for (int64_t i = 0; y && i < y->count; i++) {
        int64_t above = walk.index[x->rank - 1] - walk.index[x->rank - 2];
        if (is_upper ? above >= k : above <= k) {
            copy_element(x, walk.offset, y, i);
        }
        cb__onnx_walk_next(&walk);
    }
    return y;
}
