/* onnx_shape_parts.c: shapes of what puts together and takes apart: Concat, Split, Slice, Gather and its kin. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/onnx_work.h"

enum cb_status cb__onnx_infer_concat(struct cb__onnx_work *w)
{
    uint32_t axis;
    int64_t dims[CB_MAX_RANK];
    for (uint32_t i = 0; i < w->in_count; i++) {
        if (!cb__onnx_has(w, i)) {
            return CB_OK;
        }
    }
    if (w->in_count == 0 || w->in[0].rank == 0) {
        return cb__onnx_misfit(w, "there is nothing to put together");
    }
    uint32_t rank = w->in[0].rank;
    CB_TRY(cb__onnx_axis(w, "axis", 1, rank, &axis));
    memcpy(dims, w->in[0].dims, sizeof(dims));
    dims[axis] = 0;
    for (uint32_t i = 0; i < w->in_count; i++) {
        for (uint32_t j = 0; j < rank && w->in[i].rank == rank; j++) {
            int64_t dim = w->in[i].dims[j];
            /* A constant beside something of the batch, in a file that was exported with a batch: a class token. */
            bool is_one_sample = j == 0 && axis != 0 && w->file_batch > 0 && w->in[i].is_fixed && dim == w->file_batch;
            bool was_one_sample = j == 0 && axis != 0 && w->file_batch > 0 && w->in[0].is_fixed &&
                                  dims[0] == w->file_batch && dim == w->batch;
            if (was_one_sample) {
                dims[0] = dim;
            }
            if (j != axis && dim != dims[j] && !(is_one_sample && dims[0] == w->batch)) {
                return cb__onnx_misfit(w, "input %u differs from the first in axis %u", i, j);
            }
        }
        if (w->in[i].rank != rank) {
            return cb__onnx_misfit(w, "input %u has another number of dimensions", i);
        }
        dims[axis] = cb__onnx_plus(dims[axis], w->in[i].dims[axis]);
    }
    return cb__onnx_give(w, 0, w->in[0].type, rank, dims);
}

/* `split` as an attribute, an input, or even parts (the last smaller, since opset 18). */
enum cb_status cb__onnx_split_sizes(const struct cb__onnx_work *w, uint32_t axis, int64_t *out, bool *out_known)
{
    uint32_t count, parts = w->node->output_count;
    int64_t whole = w->in[0].dims[axis], sum = 0;
    const int64_t *list = cb_onnx_ints(w->node, "split", &count);
    *out_known = true;
    if (list && count == parts) {
        memcpy(out, list, count * sizeof(*list));
    } else if (w->in_count > 1 && w->node->inputs[1]) {
        *out_known = cb__onnx_integers(w, 1, parts, out, &count);
        if (!*out_known) {
            return CB_OK;
        }
    } else if (!list) {
        int64_t size = (whole + parts - 1) / parts;
        for (uint32_t i = 0; i < parts; i++) {
            out[i] = whole - size * i < size ? whole - size * i : size;
        }
        count = parts;
    }
    for (uint32_t i = 0; i < count && count == parts; i++) {
        sum = out[i] < 0 ? INT64_MAX : cb__onnx_plus(sum, out[i]);
    }
    if (count != parts || sum != whole) {
        return cb__onnx_misfit(w, "its parts do not make up axis %u", axis);
    }
    return CB_OK;
}

enum cb_status cb__onnx_infer_split(struct cb__onnx_work *w)
{
    uint32_t axis;
    bool known;
    if (!cb__onnx_has(w, 0) || w->out_count == 0) {
        return CB_OK;
    }
    CB_TRY(cb__onnx_axis(w, "axis", 0, w->in[0].rank, &axis));
    int64_t *sizes = CB_NEW_ARRAY(w->graph->arena, int64_t, w->out_count);
    if (!sizes) {
        return cb__onnx_no_memory(w->graph, w->diag);
    }
    CB_TRY(cb__onnx_split_sizes(w, axis, sizes, &known));
    for (uint32_t i = 0; i < w->out_count && known; i++) {
        int64_t dims[CB_MAX_RANK];
        memcpy(dims, w->in[0].dims, sizeof(dims));
        dims[axis] = sizes[i];
        CB_TRY(cb__onnx_give(w, i, w->in[0].type, w->in[0].rank, dims));
    }
    return CB_OK;
}

/* ---- Slice ----------------------------------------------------------------------------------------------------- */

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* One axis, as NumPy's x[start:end:step]. */
static struct cb__onnx_range slice_axis(int64_t length, int64_t start, int64_t end, int64_t step)
{
    start = start < 0 ? (start < -length ? -1 : start + length) : start;
    end = end < 0 ? (end < -length ? -1 : end + length) : end;
    if (step > 0) {
        start = clamp(start, 0, length);
        end = clamp(end, 0, length);
        return (struct cb__onnx_range){start, step, end > start ? (end - start - 1) / step + 1 : 0};
    }
    start = clamp(start, -1, length - 1);
    end = clamp(end, -1, length - 1);
    /* -step of the least integer overflows; one element is taken then. */
    int64_t back = step == INT64_MIN ? INT64_MAX : -step;
    return (struct cb__onnx_range){start, step, start > end ? (start - end - 1) / back + 1 : 0};
}

enum cb_status cb__onnx_slices(const struct cb__onnx_work *w, struct cb__onnx_range out[CB_MAX_RANK], bool *out_known)
{
    int64_t starts[CB_MAX_RANK], ends[CB_MAX_RANK], axes[CB_MAX_RANK], steps[CB_MAX_RANK];
    uint32_t count, end_count, axis_count, step_count = 0;
    const int64_t *start_list = cb_onnx_ints(w->node, "starts", &count);
    const int64_t *end_list = cb_onnx_ints(w->node, "ends", &end_count);
    if (start_list && end_list && count <= CB_MAX_RANK && end_count <= CB_MAX_RANK) {
        memcpy(starts, start_list, count * sizeof(int64_t));
        memcpy(ends, end_list, end_count * sizeof(int64_t));
        *out_known = true;
    } else {
        *out_known = cb__onnx_integers(w, 1, CB_MAX_RANK, starts, &count) &&
                     cb__onnx_integers(w, 2, CB_MAX_RANK, ends, &end_count) &&
                     (w->in_count < 5 || cb__onnx_integers(w, 4, CB_MAX_RANK, steps, &step_count));
    }
    if (!*out_known) {
        return CB_OK;
    }
    CB_TRY(cb__onnx_axes(w, 3, w->in[0].rank, axes, &axis_count, out_known));
    if (!*out_known) {
        return CB_OK;
    }
    bool has_axes = axis_count > 0;
    if (count != end_count || (has_axes && axis_count != count) || (step_count && step_count != count) ||
        count > w->in[0].rank) {
        return cb__onnx_misfit(w, "it has %u starts, %u ends, %u axes", count, end_count, axis_count);
    }
    for (uint32_t i = 0; i < w->in[0].rank; i++) {
        out[i] = (struct cb__onnx_range){0, 1, w->in[0].dims[i]};
    }
    for (uint32_t i = 0; i < count; i++) {
        int64_t axis = has_axes ? axes[i] : i, step = step_count ? steps[i] : 1;
        if (step == 0) {
            return cb__onnx_misfit(w, "a step is 0");
        }
        out[axis] = slice_axis(w->in[0].dims[axis], starts[i], ends[i], step);
    }
    return CB_OK;
}

enum cb_status cb__onnx_infer_slice(struct cb__onnx_work *w)
{
    struct cb__onnx_range ranges[CB_MAX_RANK];
    int64_t dims[CB_MAX_RANK];
    bool known;
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    CB_TRY(cb__onnx_slices(w, ranges, &known));
    for (uint32_t i = 0; i < w->in[0].rank && known; i++) {
        dims[i] = ranges[i].count;
    }
    return known ? cb__onnx_give(w, 0, w->in[0].type, w->in[0].rank, dims) : CB_OK;
}

/* ---- Gather ---------------------------------------------------------------------------------------------------- */

enum cb_status cb__onnx_infer_gather(struct cb__onnx_work *w)
{
    uint32_t axis, rank = 0;
    int64_t dims[2 * CB_MAX_RANK];
    if (!cb__onnx_has(w, 0) || !cb__onnx_has(w, 1)) {
        return CB_OK;
    }
    CB_TRY(cb__onnx_axis(w, "axis", 0, w->in[0].rank, &axis));
    for (uint32_t i = 0; i < axis; i++) {
        dims[rank++] = w->in[0].dims[i];
    }
    for (uint32_t i = 0; i < w->in[1].rank; i++) {
        dims[rank++] = w->in[1].dims[i];
    }
    for (uint32_t i = axis + 1; i < w->in[0].rank; i++) {
        dims[rank++] = w->in[0].dims[i];
    }
    return cb__onnx_give(w, 0, w->in[0].type, rank, dims);
}

enum cb_status cb__onnx_infer_gather_elements(struct cb__onnx_work *w)
{
    if (!cb__onnx_has(w, 0) || !cb__onnx_has(w, 1)) {
        return CB_OK;
    }
    if (w->in[0].rank != w->in[1].rank || w->in[0].rank == 0) {
        return cb__onnx_misfit(w, "its indices have another number of dimensions");
    }
    return cb__onnx_give(w, 0, w->in[0].type, w->in[1].rank, w->in[1].dims);
}

/* In a file that was exported with a batch: indices of every sample, each of which picks from its own. */
static bool picks_own_sample(const struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *indices = w->in[1].tensor;
    struct cb__onnx_walk walk;
    if (w->file_batch < 1 || !w->in[1].is_fixed || indices->rank < 2 || indices->dims[0] != w->file_batch ||
        w->in[0].dims[0] != w->batch || !cb__onnx_spend(w->graph, indices->count)) {
        return false;
    }
    cb__onnx_walk_begin(&walk, indices);
    for (int64_t i = 0; i < indices->count; i++) {
        if (walk.index[indices->rank - 1] == 0 && cb__onnx_load_int(indices, walk.offset) != walk.index[0]) {
            return false;
        }
        cb__onnx_walk_next(&walk);
    }
    return true;
}

/* indices [..., K]: the first K axes behind the batch_dims of the data are replaced. */
enum cb_status cb__onnx_infer_gather_nd(struct cb__onnx_work *w)
{
    int64_t dims[2 * CB_MAX_RANK], batch = cb_onnx_int(w->node, "batch_dims", 0);
    uint32_t rank = 0;
    if (!cb__onnx_has(w, 0) || !cb__onnx_has(w, 1)) {
        return CB_OK;
    }
    const struct cb__onnx_arg *x = &w->in[0], *i = &w->in[1];
    if (x->rank == 0 || i->rank == 0 || batch < 0 || batch >= i->rank || i->dims[i->rank - 1] < 1 ||
        i->dims[i->rank - 1] > x->rank - batch) {
        return cb__onnx_misfit(w, "its indices do not fit its data");
    }
    for (uint32_t k = 0; k + 1 < i->rank; k++) {
        dims[rank++] = i->dims[k];
    }
    for (uint32_t k = (uint32_t)(batch + i->dims[i->rank - 1]); k < x->rank; k++) {
        dims[rank++] = x->dims[k];
    }
    if (batch == 0 && picks_own_sample(w)) {
        dims[0] = w->batch;
    }
    return cb__onnx_give(w, 0, x->type, rank, dims);
}

enum cb_status cb__onnx_infer_one_hot(struct cb__onnx_work *w)
{
    int64_t dims[CB_MAX_RANK], depth;
    uint32_t count;
    if (!cb__onnx_has(w, 0) || !cb__onnx_integers(w, 1, 1, &depth, &count) || w->in_count != 3) {
        return CB_OK;
    }
    uint32_t rank = w->in[0].rank + 1, axis;
    if (rank > CB_MAX_RANK || count != 1) {
        return cb__onnx_misfit(w, "its output has more than %d dimensions, or no depth", CB_MAX_RANK);
    }
    CB_TRY(cb__onnx_axis(w, "axis", -1, rank, &axis));
    for (uint32_t i = 0, from = 0; i < rank; i++) {
        dims[i] = i == axis ? depth : w->in[0].dims[from++];
    }
    return cb__onnx_give(w, 0, w->in[2].type, rank, dims);
}
