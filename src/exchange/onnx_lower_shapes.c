/* onnx_lower_shapes.c: operators that move and cut. Most of them only change the view. */
#include <inttypes.h>
#include <string.h>

#include "exchange/onnx_lower.h"

static enum cb_status lower_reshape(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    CB_TRY(cb__lower_reshape(low, &view, cb_onnx_output(node, 0)));
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

static enum cb_status lower_transpose(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    uint32_t count, axes[CB_MAX_RANK];
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    const int64_t *perm = cb_onnx_ints(node, "perm", &count);
    for (uint32_t i = 0; i < view.rank; i++) {
        axes[i] = perm != NULL && count == view.rank ? (uint32_t)perm[i] : view.rank - 1 - i;
        if (axes[i] >= view.rank) {
            return cb__lower_fail(low, "its perm does not fit its input");
        }
    }
    cb__lower_permute(&view, axes);
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

/* What is repeated stays one place until arithmetic meets it. */
static enum cb_status lower_expand(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const struct cb_onnx_value *x = cb_onnx_input(node, 0), *y = cb_onnx_output(node, 0);
    struct cb_view view;
    CB_TRY(cb__lower_view(low, x, &view));
    if (!y->has_shape) {
        return cb__lower_fail(low, "the shape of `%s` is not known", y->name);
    }
    const uint32_t more = y->rank - view.rank;
    for (uint32_t d = y->rank; d-- > 0;) {
        view.axes[d] = d >= more ? view.axes[d - more] : (struct cb_atoms){0};
    }
    view.rank = y->rank;
    for (uint32_t d = 0; d < y->rank; d++) {
        const int64_t size = y->dims[d].batch != 0 ? y->dims[d].batch : y->dims[d].fixed;
        view.is_expanded |= cb__atoms_size(&view, &view.axes[d]) != size;
    }
    cb__lower_set(low, y, &view);
    return CB_OK;
}

/* ---- cutting ----------------------------------------------------------------------------------------------------------- */

/* The wire so that places of `axis` can be cut out along one wire dim: which dim, and how many of its places make one of
 * the axis. */
static enum cb_status cut_along(struct cb_lower *low, struct cb_view *view, uint32_t axis, uint32_t *out_dim, int64_t *out_unit)
{
    CB_TRY(cb__lower_single(low, view, axis));
    if (view->axes[axis].count == 0) {
        return cb__lower_fail(low, "axis %u has one place", (unsigned)axis);
    }
    const uint8_t atom = view->axes[axis].items[0];
    int64_t before = 1, after = 1, at = 1;
    bool seen = false;
    for (uint32_t i = 1; i < view->order.count; i++) {
        if (view->order.items[i] == atom) {
            seen = true;
        } else {
            *(seen ? &after : &before) *= view->size[view->order.items[i]];
        }
    }
    const int64_t size = view->size[atom];
    for (uint32_t d = 0; d < view->wire_rank; d++) { /* a dim that begins with the atom */
        const int64_t dim = view->wire_dims[d];
        if (at == before && dim % size == 0 && dim > 1) {
            *out_dim = d;
            *out_unit = dim / size;
            return CB_OK;
        }
        at *= dim;
    }
    int64_t dims[3];
    uint32_t rank = 0;
    if (before > 1) {
        dims[rank++] = before;
    }
    *out_dim = rank;
    *out_unit = 1;
    dims[rank++] = size;
    if (after > 1) {
        dims[rank++] = after;
    }
    return cb__lower_arrange(low, view, &view->order, rank, dims);
}

/* The axis has `size` places now. */
static void resize_axis(struct cb_view *view, uint32_t axis, uint32_t dim, int64_t unit, int64_t size)
{
    const uint8_t atom = view->axes[axis].items[0];
    view->wire_dims[dim] = unit * size;
    view->size[atom] = size;
    if (size == 1) {
        struct cb_atoms order = {0};
        for (uint32_t i = 0; i < view->order.count; i++) {
            if (view->order.items[i] != atom) {
                cb__atoms_add(&order, view->order.items[i]);
            }
        }
        view->order = order;
        view->axes[axis] = (struct cb_atoms){0};
    }
}

enum cb_status cb__lower_slice_axis(struct cb_lower *low, struct cb_view *view, uint32_t axis, int64_t from, int64_t to, int64_t step)
{
    const int64_t size = cb__atoms_size(view, &view->axes[axis]);
    if (from == 0 && to == size && step == 1) {
        return CB_OK;
    }
    uint32_t dim;
    int64_t unit;
    CB_TRY(cut_along(low, view, axis, &dim, &unit));
    if (step != 1 && unit != 1) { /* places apart: a dim of its own */
        const uint8_t atom = view->axes[axis].items[0];
        int64_t dims[3] = {1, size, 1};
        bool seen = false;
        for (uint32_t i = 1; i < view->order.count; i++) {
            if (view->order.items[i] == atom) {
                seen = true;
            } else {
                dims[seen ? 2 : 0] *= view->size[view->order.items[i]];
            }
        }
        CB_TRY(cb__lower_arrange(low, view, &view->order, 3, dims));
        dim = 1;
        unit = 1;
    }
    CB_TRY(cb__lower_map(low, view, "slice"));
    cb__lower_int(low, "axis", dim + 1 == view->wire_rank ? -1 : (int64_t)dim + 1);
    if (from != 0) {
        cb__lower_int(low, "from", from * unit);
    }
    if (to < size) {
        cb__lower_int(low, "to", to * unit);
    }
    cb__lower_int(low, "step", step);
    resize_axis(view, axis, dim, unit, (to - from + step - 1) / step);
    return CB_OK;
}

static int64_t clamp(int64_t x, int64_t least, int64_t most)
{
    return x < least ? least : x > most ? most : x;
}

static enum cb_status lower_slice(struct cb_lower *low, const struct cb_onnx_node *node)
{
    int64_t numbers[4][CB_MAX_RANK]; /* starts, ends, axes, steps */
    uint32_t counts[4] = {0};
    static const char *const names[] = {"starts", "ends", "axes", "steps"};
    struct cb_view view;
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    for (uint32_t i = 0; i < 4; i++) {
        const int64_t *said = cb_onnx_ints(node, names[i], &counts[i]);
        if (said != NULL && counts[i] <= CB_MAX_RANK) {
            memcpy(numbers[i], said, counts[i] * sizeof(*said));
        } else if (cb_onnx_input(node, i + 1) != NULL &&
                   !cb__lower_constant_ints(node, i + 1, numbers[i], CB_MAX_RANK, &counts[i])) {
            return cb__lower_fail(low, "%s that depend on the input are not supported", names[i]);
        }
    }
    for (uint32_t i = 0; i < counts[0]; i++) {
        const int64_t axis = cb__lower_axis(counts[2] > i ? numbers[2][i] : i, view.rank), step = counts[3] > i ? numbers[3][i] : 1;
        if (axis < 0 || i >= counts[1] || step == 0) {
            return cb__lower_fail(low, "its starts and ends do not fit its input");
        }
        const int64_t size = cb__atoms_size(&view, &view.axes[axis]);
        int64_t from = numbers[0][i] < 0 ? numbers[0][i] + size : numbers[0][i];
        int64_t to = numbers[1][i] < 0 ? numbers[1][i] + size : numbers[1][i];
        from = clamp(from, 0, size);
        to = clamp(to, 0, size);
        if (cb__atoms_have(&view.axes[axis], 0)) {
            if (from == 0 && numbers[1][i] > (int64_t)1 << 30 && step == 1) {
                continue;
            }
            return cb__lower_fail(low, "it cuts the batch, whose samples stay apart here");
        }
        if (step < 1 || to <= from) {
            return cb__lower_fail(low, "steps backwards, and results that are empty, are not supported (slice)");
        }
        CB_TRY(cb__lower_slice_axis(low, &view, (uint32_t)axis, from, to, step));
    }
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

static enum cb_status lower_split(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    const int64_t axis = cb__lower_axis(cb_onnx_int(node, "axis", 0), view.rank);
    if (axis < 0 || cb__atoms_have(&view.axes[axis], 0) || node->output_count > 64) {
        return cb__lower_fail(low, "it divides the batch, whose samples stay apart here");
    }
    int64_t sizes[64];
    for (uint32_t i = 0; i < node->output_count; i++) {
        const struct cb_onnx_value *part = node->outputs[i];
        if (part == NULL || !part->has_shape || axis >= part->rank || part->dims[axis].fixed < 1) {
            return cb__lower_fail(low, "parts that are empty or left out are not supported");
        }
        sizes[i] = part->dims[axis].fixed;
    }
    if (node->output_count == 1) {
        cb__lower_set(low, node->outputs[0], &view);
        return CB_OK;
    }
    uint32_t dim;
    int64_t unit, parts[64];
    CB_TRY(cut_along(low, &view, (uint32_t)axis, &dim, &unit));
    bool equal = true;
    for (uint32_t i = 0; i < node->output_count; i++) {
        parts[i] = sizes[i] * unit;
        equal &= sizes[i] == sizes[0];
    }
    CB_TRY(cb__lower_map(low, &view, "split"));
    if (equal) {
        cb__lower_int(low, "parts", node->output_count);
    } else {
        cb__lower_list(low, "sizes", parts, node->output_count);
    }
    cb__lower_int(low, "axis", dim + 1 == view.wire_rank ? -1 : (int64_t)dim + 1);
    for (uint32_t i = 0; i < node->output_count; i++) {
        struct cb_view part = view;
        part.wire.output = i;
        resize_axis(&part, (uint32_t)axis, dim, unit, sizes[i]);
        cb__lower_set(low, node->outputs[i], &part);
    }
    return CB_OK;
}

/* Rows of a table by numbers that come from the input. */
static enum cb_status lower_embedding(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const struct cb_onnx_tensor *table = cb_onnx_constant(node, 0);
    struct cb_view ids;
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 1), &ids));
    if (table->rank != 2 || cb_onnx_int(node, "axis", 0) != 0 || !ids.is_integer) {
        return cb__lower_fail(low, "a table of %u axes is not supported; embedding takes [rows, C]", (unsigned)table->rank);
    }
    float *values = CB_NEW_ARRAY(low->arena, float, (size_t)table->count);
    if (values == NULL) {
        return cb__lower_memory(low);
    }
    cb_onnx_tensor_f32(table, values);
    CB_TRY(cb__lower_map(low, &ids, "embedding"));
    cb__lower_int(low, "num_embeddings", table->dims[0]);
    cb__lower_int(low, "embedding_dim", table->dims[1]);
    cb__lower_owner(low, table);
    CB_TRY(cb__lower_param(low, "w", 2, table->dims, values));
    if (ids.rank == CB_MAX_RANK || ids.wire_rank + 1 == CB_MAX_RANK) {
        return cb__lower_fail(low, "too many axes");
    }
    ids.is_integer = false;
    ids.wire_dims[ids.wire_rank++] = table->dims[1];
    ids.axes[ids.rank] = (struct cb_atoms){0};
    if (table->dims[1] > 1) {
        uint8_t atom;
        CB_TRY(cb__lower_new_atom(low, &ids, table->dims[1], &atom));
        cb__atoms_add(&ids.axes[ids.rank], atom);
        cb__atoms_add(&ids.order, atom);
    }
    ids.rank++;
    cb__lower_set(low, cb_onnx_output(node, 0), &ids);
    return CB_OK;
}

/* One place of what a Concat along the same axis made is a place of one of its inputs (the last states of several layers):
 * the value to take it from, and the place there. */
static const struct cb_onnx_value *see_through_concat(const struct cb_lower *low, const struct cb_onnx_value *value,
                                                      int64_t axis, int64_t *place)
{
    const struct cb_onnx_node *concat = value->producer;
    if (concat == NULL || strcmp(concat->op, "Concat") != 0 || cb__lower_axis(cb_onnx_int(concat, "axis", 0), value->rank) != axis) {
        return value;
    }
    int64_t at = *place;
    for (uint32_t i = 0; i < concat->input_count; i++) {
        const struct cb_onnx_value *part = cb_onnx_input(concat, i);
        if (part == NULL || !part->has_shape || part->dims[axis].batch != 0 || !low->views[part->index].is_set) {
            return value;
        }
        if (at < part->dims[axis].fixed) {
            *place = at;
            return part;
        }
        at -= part->dims[axis].fixed;
    }
    return value;
}

static enum cb_status lower_gather(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const struct cb_onnx_tensor *index = cb_onnx_constant(node, 1);
    int64_t places[1024];
    struct cb_view view;
    if (cb_onnx_constant(node, 0) != NULL && index == NULL) {
        return lower_embedding(low, node);
    }
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    const int64_t axis = cb__lower_axis(cb_onnx_int(node, "axis", 0), view.rank);
    if (index == NULL || index->rank > 1 || index->count < 1 || index->count > 1024 || axis < 0 ||
        cb__atoms_have(&view.axes[axis], 0)) {
        return cb__lower_fail(low, "places that depend on the input, or a list of lists of them, are not supported (slice)");
    }
    cb_onnx_tensor_i64(index, places);
    int64_t size = cb__atoms_size(&view, &view.axes[axis]);
    if (index->count == 1 && places[0] >= -size && places[0] < size) {
        int64_t place = places[0] < 0 ? places[0] + size : places[0];
        const struct cb_onnx_value *part = see_through_concat(low, cb_onnx_input(node, 0), axis, &place);
        if (part != cb_onnx_input(node, 0)) {
            CB_TRY(cb__lower_view(low, part, &view));
            size = cb__atoms_size(&view, &view.axes[axis]);
            places[0] = place;
        }
    }
    struct cb_view runs[32];
    uint32_t count = 0;
    for (int64_t i = 0; i < index->count;) {
        const int64_t from = places[i] < 0 ? places[i] + size : places[i];
        int64_t next = i + 1;
        if (from < 0 || from >= size) {
            return cb__lower_fail(low, "place %" PRId64 " is outside of its input", places[i]);
        }
        while (next < index->count && (places[next] < 0 ? places[next] + size : places[next]) == from + (next - i)) {
            next++;
        }
        if (count == 32) {
            return cb__lower_fail(low, "places in more than 32 runs are not supported (slice and concat)");
        }
        runs[count] = view;
        CB_TRY(cb__lower_slice_axis(low, &runs[count], (uint32_t)axis, from, from + (next - i), 1));
        count++;
        i = next;
    }
    if (count > 1) {
        CB_TRY(cb__lower_concat(low, runs, count, (uint32_t)axis));
    }
    view = runs[0];
    if (index->rank == 0) {
        for (uint32_t a = (uint32_t)axis; a + 1 < view.rank; a++) {
            view.axes[a] = view.axes[a + 1];
        }
        view.rank--;
    }
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

/* ---- channels and places ------------------------------------------------------------------------------------------------- */

/* As reshape and transpose, which are views: [N, b, b, C', H, W] (DCR) or [N, C', b, b, H, W] (CRD). */
static enum cb_status lower_depth_to_space(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    const int64_t b = cb_onnx_int(node, "blocksize", 1);
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    const struct cb_onnx_value *x = cb_onnx_input(node, 0), *y = cb_onnx_output(node, 0);
    const bool crd = strcmp(cb_onnx_string(node, "mode", "DCR"), "CRD") == 0;
    if (view.rank != 4 || b < 1 || b > 1024 || !x->has_shape || x->dims[1].fixed % (b * b) != 0) {
        return cb__lower_fail(low, "its blocksize does not divide its channels");
    }
    const int64_t c = x->dims[1].fixed / (b * b), h = x->dims[2].fixed, w = x->dims[3].fixed;
    struct cb_onnx_value six = {.name = y->name, .has_shape = true, .rank = 6,
                                .dims = {x->dims[0], {crd ? c : b, 0}, {b, 0}, {crd ? b : c, 0}, {h, 0}, {w, 0}}};
    CB_TRY(cb__lower_reshape(low, &view, &six));
    static const uint32_t dcr_axes[] = {0, 3, 4, 1, 5, 2}, crd_axes[] = {0, 1, 4, 2, 5, 3};
    cb__lower_permute(&view, crd ? crd_axes : dcr_axes);
    CB_TRY(cb__lower_reshape(low, &view, y));
    cb__lower_set(low, y, &view);
    return CB_OK;
}

static enum cb_status lower_space_to_depth(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    const int64_t b = cb_onnx_int(node, "blocksize", 1);
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    const struct cb_onnx_value *x = cb_onnx_input(node, 0), *y = cb_onnx_output(node, 0);
    if (view.rank != 4 || b < 1 || b > 1024 || !x->has_shape || x->dims[2].fixed % b != 0 || x->dims[3].fixed % b != 0) {
        return cb__lower_fail(low, "its blocksize does not divide its height and width");
    }
    struct cb_onnx_value six = {.name = y->name, .has_shape = true, .rank = 6,
                                .dims = {x->dims[0], x->dims[1], {x->dims[2].fixed / b, 0}, {b, 0}, {x->dims[3].fixed / b, 0},
                                         {b, 0}}};
    static const uint32_t axes[] = {0, 3, 5, 1, 2, 4};
    CB_TRY(cb__lower_reshape(low, &view, &six));
    cb__lower_permute(&view, axes);
    CB_TRY(cb__lower_reshape(low, &view, y));
    cb__lower_set(low, y, &view);
    return CB_OK;
}

const struct cb_lower_operator cb__lower_shapes[] = {
    {"Reshape", lower_reshape}, {"Flatten", lower_reshape}, {"Squeeze", lower_reshape}, {"Unsqueeze", lower_reshape},
    {"Transpose", lower_transpose}, {"Expand", lower_expand}, {"Slice", lower_slice}, {"Split", lower_split},
    {"Gather", lower_gather}, {"DepthToSpace", lower_depth_to_space},
    {"SpaceToDepth", lower_space_to_depth},
    {NULL, NULL},
};
