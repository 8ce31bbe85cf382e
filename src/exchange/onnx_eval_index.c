/* onnx_eval_index.c: constants picked and placed by indices. An index may count from the end; one that is outside is
 * left for whoever runs the node. */
#include <string.h>

#include "exchange/onnx_work.h"

static void copy_element(const struct cb_onnx_tensor *from, int64_t offset, struct cb_onnx_tensor *to, int64_t i)
{
    size_t size = cb_onnx_type_bytes(to->type);
    memcpy((unsigned char *)to->data + (size_t)i * size, from->data + offset * (int64_t)size, size);
}

static bool inside(int64_t *index, int64_t length)
{
    *index += *index < 0 ? length : 0;
    return *index >= 0 && *index < length;
}

/* One index is a view: rows of a table, dims of a shape. */
static bool gather_one(struct cb__onnx_work *w, uint32_t axis)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    int64_t index = cb_onnx_tensor_int(w->in[1].tensor, 0);
    if (!inside(&index, x->dims[axis])) {
        return false;
    }
    struct cb_onnx_tensor *y = cb__onnx_view_output(w, 0);
    for (uint32_t i = 0; y && i < y->rank; i++) {
        y->strides[i] = x->strides[i < axis ? i : i + 1];
    }
    if (y && y->count > 0) {
        y->data += index * x->strides[axis] * (int64_t)cb_onnx_type_bytes(x->type);
    }
    return y;
}

/* All indices are one: its row is seen at each place, a view with strides of 0, so that one param can stand for all. */
static bool gather_same(struct cb__onnx_work *w, uint32_t axis, bool *out_is_same)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor, *indices = w->in[1].tensor;
    struct cb__onnx_walk walk;
    int64_t index = cb_onnx_tensor_int(indices, 0);
    cb__onnx_walk_begin(&walk, indices);
    for (int64_t i = 0; i < indices->count; i++) {
        if (cb__onnx_load_int(indices, walk.offset) != index) {
            return false;
        }
        cb__onnx_walk_next(&walk);
    }
    *out_is_same = inside(&index, x->dims[axis]);
    struct cb_onnx_tensor *y = *out_is_same ? cb__onnx_view_output(w, 0) : NULL;
    for (uint32_t i = 0; y && i < y->rank; i++) {
        y->strides[i] = i < axis ? x->strides[i] : i < axis + indices->rank ? 0 : x->strides[i - indices->rank + 1];
    }
    if (y) {
        y->data += index * x->strides[axis] * (int64_t)cb_onnx_type_bytes(x->type);
    }
    return y;
}

bool cb__onnx_eval_gather(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor, *indices = w->in[1].tensor;
    uint32_t axis;
    bool is_same = false;
    if (cb__onnx_axis(w, "axis", 0, x->rank, &axis) != CB_OK) {
        return false;
    }
    if (indices->rank > 0 && indices->count > 1 && x->count > 0 && gather_same(w, axis, &is_same)) {
        return true;
    }
    if (is_same) {
        return false;
    }
    if (indices->rank == 0) {
        return gather_one(w, axis);
    }
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    struct cb__onnx_walk walk;
    if (!y) {
        return false;
    }
    cb__onnx_walk_begin(&walk, y);
    for (int64_t i = 0; i < y->count; i++) {
        int64_t offset = 0, from = 0;
        for (uint32_t j = 0; j < indices->rank; j++) {
            from += walk.index[axis + j] * indices->strides[j];
        }
        int64_t index = cb__onnx_load_int(indices, from);
        if (!inside(&index, x->dims[axis])) {
            return false;
        }
        for (uint32_t j = 0; j < x->rank; j++) {
            offset += (j == axis ? index : walk.index[j < axis ? j : j + indices->rank - 1]) * x->strides[j];
        }
        copy_element(x, offset, y, i);
        cb__onnx_walk_next(&walk);
    }
    return true;
}

bool cb__onnx_eval_gather_elements(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor, *indices = w->in[1].tensor;
    uint32_t axis;
    struct cb__onnx_walk walk;
    if (cb__onnx_axis(w, "axis", 0, x->rank, &axis) != CB_OK) {
        return false;
    }
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    cb__onnx_walk_begin(&walk, indices);
    for (int64_t i = 0; y && i < y->count; i++) {
        int64_t offset = 0;
        for (uint32_t j = 0; j < x->rank; j++) {
            int64_t index = j == axis ? cb__onnx_load_int(indices, walk.offset) : walk.index[j];
            if (!inside(&index, x->dims[j])) {
                return false;
            }
            offset += index * x->strides[j];
        }
        copy_element(x, offset, y, i);
        cb__onnx_walk_next(&walk);
    }
    return y;
}

/* The offset in `x` of what row `row` of indices [rows, K] names, behind `skip` axes. */
static bool locate(const struct cb_onnx_tensor *x, uint32_t skip, const struct cb_onnx_tensor *indices, int64_t row,
                   int64_t *out)
{
    int64_t depth = indices->dims[indices->rank - 1];
    *out = 0;
    for (int64_t k = 0; k < depth; k++) {
        int64_t index = cb_onnx_tensor_int(indices, row * depth + k);
        if (!inside(&index, x->dims[skip + k])) {
            return false;
        }
        *out += index * x->strides[skip + k];
    }
    return true;
}

bool cb__onnx_eval_gather_nd(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor, *indices = w->in[1].tensor;
    uint32_t batch = (uint32_t)cb_onnx_int(w->node, "batch_dims", 0), lead = indices->rank - 1;
    uint32_t behind = batch + (uint32_t)indices->dims[lead];
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    struct cb__onnx_walk walk;
    if (!y) {
        return false;
    }
    cb__onnx_walk_begin(&walk, y);
    for (int64_t i = 0; i < y->count; i++) {
        int64_t row = 0, offset;
        for (uint32_t j = 0; j < lead; j++) {
            row = row * indices->dims[j] + walk.index[j];
        }
        if (!locate(x, batch, indices, row, &offset)) {
            return false;
        }
        for (uint32_t j = 0; j < batch; j++) {
            if (walk.index[j] >= x->dims[j]) {
                return false;
            }
            offset += walk.index[j] * x->strides[j];
        }
        for (uint32_t j = behind; j < x->rank; j++) {
            offset += walk.index[lead + j - behind] * x->strides[j];
        }
        copy_element(x, offset, y, i);
        cb__onnx_walk_next(&walk);
    }
    return true;
}

/* ---- placing --------------------------------------------------------------------------------------------------- */

/* Copies input 0. NULL: too large, or a reduction is asked for. */
static struct cb_onnx_tensor *begin_scatter(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    bool is_plain = strcmp(cb_onnx_string(w->node, "reduction", "none"), "none") == 0;
    if (w->in_count != 3 || w->in[2].type != x->type || !is_plain) {
        return NULL;
    }
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, x);
    for (int64_t i = 0; y && i < y->count; i++) {
        copy_element(x, walk.offset, y, i);
        cb__onnx_walk_next(&walk);
    }
    return y;
}

bool cb__onnx_eval_scatter_nd(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *indices = w->in[1].tensor;
    struct cb_onnx_tensor *y = begin_scatter(w);
    if (!y || indices->rank == 0 || indices->dims[indices->rank - 1] < 1 ||
        indices->dims[indices->rank - 1] > y->rank) {
        return false;
    }
    const struct cb_onnx_tensor *updates = w->in[2].tensor;
    int64_t depth = indices->dims[indices->rank - 1], rows = indices->count / depth, size = 1;
    for (uint32_t j = (uint32_t)depth; j < y->rank; j++) {
        size *= y->dims[j];
    }
    if (cb__onnx_times(rows, size) != updates->count) {
        return false;
    }
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, updates);
    for (int64_t row = 0; row < rows; row++) {
        int64_t offset;
        if (!locate(y, 0, indices, row, &offset)) {
            return false;
        }
        for (int64_t k = 0; k < size; k++) {
            copy_element(updates, walk.offset, y, offset + k);
            cb__onnx_walk_next(&walk);
        }
    }
    return true;
}

bool cb__onnx_eval_scatter_elements(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *indices = w->in[1].tensor, *updates = w->in[2].tensor;
    uint32_t axis;
    struct cb_onnx_tensor *y = begin_scatter(w);
    if (!y || cb__onnx_axis(w, "axis", 0, y->rank, &axis) != CB_OK || indices->rank != y->rank ||
        updates->rank != y->rank || memcmp(indices->dims, updates->dims, y->rank * sizeof(int64_t)) != 0) {
        return false;
    }
    struct cb__onnx_walk walk, values;
    cb__onnx_walk_begin(&walk, indices);
    cb__onnx_walk_begin(&values, updates);
    for (int64_t i = 0; i < indices->count; i++) {
        int64_t offset = 0;
        for (uint32_t j = 0; j < y->rank; j++) {
            int64_t index = j == axis ? cb__onnx_load_int(indices, walk.offset) : walk.index[j];
            if (!inside(&index, y->dims[j])) {
                return false;
            }
            offset += index * y->strides[j];
        }
        copy_element(updates, values.offset, y, offset);
        cb__onnx_walk_next(&walk);
        cb__onnx_walk_next(&values);
    }
    return true;
}

bool cb__onnx_eval_one_hot(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor, *values = w->in[2].tensor;
    uint32_t axis;
    struct cb_onnx_tensor *y = values->count == 2 ? cb__onnx_make_output(w, 0) : NULL;
    struct cb__onnx_walk walk;
    if (!y || cb__onnx_axis(w, "axis", -1, y->rank, &axis) != CB_OK) {
        return false;
    }
    cb__onnx_walk_begin(&walk, y);
    for (int64_t i = 0; i < y->count; i++) {
        int64_t from = 0;
        for (uint32_t j = 0; j < x->rank; j++) {
            from += walk.index[j < axis ? j : j + 1] * x->strides[j];
        }
        int64_t index = cb__onnx_load_int(x, from);
        bool is_hot = inside(&index, y->dims[axis]) && walk.index[axis] == index;
        copy_element(values, is_hot ? values->strides[0] : 0, y, i);
        cb__onnx_walk_next(&walk);
    }
    return true;
}

bool cb__onnx_eval_nonzero(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    struct cb__onnx_walk walk;
    int64_t seen = 0;
    cb__onnx_walk_begin(&walk, x);
    for (int64_t i = 0; y && i < x->count; i++) {
        if (cb__onnx_load_real(x, walk.offset) != 0) {
            for (uint32_t j = 0; j < x->rank; j++) {
                cb__onnx_store_int(y, (int64_t)j * y->dims[1] + seen, walk.index[j]);
            }
            seen++;
        }
        cb__onnx_walk_next(&walk);
    }
    return y;
}
