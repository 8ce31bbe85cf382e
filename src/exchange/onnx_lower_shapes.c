/* onnx_lower_shapes.c: operators that move, cut and join. Most of them only change the view. */
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

static enum cb_status slice_axis(struct cb_lower *low, struct cb_view *view, uint32_t axis, int64_t from, int64_t to, int64_t step)
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
        CB_TRY(slice_axis(low, &view, (uint32_t)axis, from, to, step));
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

static enum cb_status concat(struct cb_lower *low, struct cb_view *views, uint32_t count, uint32_t axis);

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
    const int64_t size = cb__atoms_size(&view, &view.axes[axis]);
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
        CB_TRY(slice_axis(low, &runs[count], (uint32_t)axis, from, from + (next - i), 1));
        count++;
        i = next;
    }
    if (count > 1) {
        CB_TRY(concat(low, runs, count, (uint32_t)axis));
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

/* ---- joining ----------------------------------------------------------------------------------------------------------- */

/* Joins views along an axis, in the layout of the one that has most places there; the result is views[0]. */
static enum cb_status concat(struct cb_lower *low, struct cb_view *views, uint32_t count, uint32_t axis)
{
    uint32_t main = 0;
    int64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (cb__atoms_have(&views[i].axes[axis], 0) || views[i].rank != views[0].rank) {
            return cb__lower_fail(low, "it joins along the batch, or inputs of unequal rank");
        }
        const int64_t size = cb__atoms_size(&views[i], &views[i].axes[axis]);
        main = size > cb__atoms_size(&views[main], &views[main].axes[axis]) ? i : main;
        total += size;
        CB_TRY(cb__lower_single(low, &views[i], axis));
    }
    for (int pass = 0; pass < 2; pass++) { /* twice: what the last one splits, the first ones split too */
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t d = 0; d < views[0].rank && i != main; d++) {
                if (d != axis) {
                    CB_TRY(cb__lower_align(low, &views[main], d, &views[i], d));
                }
            }
        }
    }
    /* Wire order of the main one, as (axis, atom) pairs; where the axis has no atom, it goes behind the axes before it. */
    struct cb_view *m = &views[main];
    uint32_t axis_of[CB_ATOMS], part_of[CB_ATOMS], at = UINT32_MAX;
    for (uint32_t i = 0; i < m->order.count; i++) {
        for (uint32_t d = 0; d < m->rank; d++) {
            for (uint32_t k = 0; k < m->axes[d].count; k++) {
                if (m->axes[d].items[k] == m->order.items[i]) {
                    axis_of[i] = d;
                    part_of[i] = k;
                    at = d == axis ? i : at;
                }
            }
        }
    }
    const bool has = at != UINT32_MAX;
    if (!has) {
        at = m->order.count;
        if (!(m->rank == 4 && axis == 1)) {
            while (at > 1 && axis_of[at - 1] > axis) {
                at--;
            }
        }
    }
    int64_t before = 1, after = 1;
    for (uint32_t i = 1; i < m->order.count; i++) {
        *(i < at ? &before : &after) *= i == at && has ? 1 : m->size[m->order.items[i]];
    }
    /* The main one's own dims, where one of them is the axis. */
    int64_t dims[CB_MAX_RANK];
    uint32_t rank = 0, dim = UINT32_MAX;
    int64_t product = 1;
    const int64_t size = cb__atoms_size(m, &m->axes[axis]);
    for (uint32_t d = 0; d < m->wire_rank; d++) {
        if (product == before && m->wire_dims[d] == size && dim == UINT32_MAX) {
            dim = d;
        }
        product *= m->wire_dims[d];
    }
    if (dim != UINT32_MAX) {
        rank = m->wire_rank;
        memcpy(dims, m->wire_dims, rank * sizeof(dims[0]));
    } else {
        if (before > 1) {
            dims[rank++] = before;
        }
        dim = rank;
        dims[rank++] = size;
        if (after > 1) {
            dims[rank++] = after;
        }
    }
    struct cb_flat_wire wires[64];
    for (uint32_t i = 0; i < count; i++) {
        struct cb_atoms order = {0};
        for (uint32_t k = 0; k < m->order.count; k++) {
            if (has && k == at) {
                cb__atoms_join(&order, &views[i].axes[axis]);
            } else {
                cb__atoms_add(&order, views[i].axes[axis_of[k]].items[part_of[k]]);
            }
        }
        dims[dim] = cb__atoms_size(&views[i], &views[i].axes[axis]);
        struct cb_view moved = views[i];
        CB_TRY(cb__lower_arrange(low, &moved, &order, rank, dims));
        wires[i] = moved.wire;
        if (i == main) {
            *m = moved;
        }
    }
    struct cb_view y = *m;
    for (uint32_t first = 0; first < count;) { /* 32 inputs at a time */
        const uint32_t inputs = count - first < 32 ? count - first : 32;
        CB_TRY(cb__lower_add(low, "concat", wires + first, inputs, &y.wire));
        cb__lower_int(low, "axis", dim + 1 == rank ? -1 : (int64_t)dim + 1);
        first += inputs;
        if (first < count) {
            wires[--first] = y.wire;
        }
    }
    if (!has) {
        uint8_t atom;
        CB_TRY(cb__lower_new_atom(low, &y, total, &atom));
        cb__atoms_add(&y.axes[axis], atom);
        struct cb_atoms order = {0};
        for (uint32_t k = 0; k <= y.order.count; k++) {
            if (k == at) {
                cb__atoms_add(&order, atom);
            }
            if (k < y.order.count) {
                cb__atoms_add(&order, y.order.items[k]);
            }
        }
        y.order = order;
    } else {
        y.size[y.axes[axis].items[0]] = total;
    }
    memcpy(y.wire_dims, dims, rank * sizeof(dims[0]));
    y.wire_dims[dim] = total;
    y.wire_rank = rank;
    views[0] = y;
    return CB_OK;
}

/* A constant that every sample gets, as a view like `like` in which `axis` has its own size. */
static enum cb_status constant_view(struct cb_lower *low, const struct cb_onnx_value *value, const struct cb_view *like,
                                    struct cb_view *out)
{
    const struct cb_onnx_tensor *constant = value->constant;
    *out = (struct cb_view){.is_set = true, .atom_count = 1, .size = {1}, .rank = like->rank, .order = {1, {0}}};
    cb__atoms_add(&out->axes[0], 0);
    if (constant->rank != like->rank || constant->dims[0] != 1 || !cb_onnx_type_is_real(constant->type)) {
        return cb__lower_fail(low, "its constant `%s` is not one for every sample", constant->name);
    }
    /* pictures channels-last, the rest as it stands */
    for (uint32_t i = 1; i < like->rank; i++) {
        const uint32_t d = like->rank == 4 ? (i == 3 ? 1 : i + 1) : i;
        const int64_t size = constant->dims[d];
        out->wire_dims[out->wire_rank++] = size;
        if (size > 1) {
            uint8_t atom;
            CB_TRY(cb__lower_new_atom(low, out, size, &atom));
            cb__atoms_add(&out->axes[d], atom);
            cb__atoms_add(&out->order, atom);
        }
    }
    float *values;
    CB_TRY(cb__lower_values(low, out, constant, 0, &out->order, &values));
    CB_TRY(cb__lower_add(low, "constant", &like->wire, 1, &out->wire));
    cb__lower_list(low, "shape", out->wire_dims, out->wire_rank);
    cb__lower_text(low, "as", "value");
    if (!cb__lower_is_trained(constant) && value->producer == NULL && cb_starts_with(constant->name, "/")) {
        cb__lower_freeze(low);
    }
    return cb__lower_param(low, "w", out->wire_rank, out->wire_dims, values);
}

/* A class token: [1,K,C] in front of [N,T,C]. */
static enum cb_status class_token(struct cb_lower *low, const struct cb_onnx_tensor *token, struct cb_view *view, bool *out_done)
{
    static const uint32_t axes[] = {1, 2};
    *out_done = view->rank == 3 && token->rank == 3 && token->dims[0] == 1 && !cb__atoms_have(&view->axes[1], 0) &&
                token->dims[2] == cb__atoms_size(view, &view->axes[2]);
    if (!*out_done) {
        return CB_OK;
    }
    float *values = CB_NEW_ARRAY(low->arena, float, (size_t)token->count);
    if (values == NULL) {
        return cb__lower_memory(low);
    }
    cb_onnx_tensor_f32(token, values);
    CB_TRY(cb__lower_single(low, view, 1));
    CB_TRY(cb__lower_arrange_axes(low, view, axes, 2));
    const int64_t size = cb__atoms_size(view, &view->axes[1]) + token->dims[1];
    CB_TRY(cb__lower_map(low, view, "class_token"));
    cb__lower_int(low, "tokens", token->dims[1]);
    CB_TRY(cb__lower_param(low, "w", 2, token->dims + 1, values));
    if (view->axes[1].count == 0) {
        uint8_t atom;
        CB_TRY(cb__lower_new_atom(low, view, size, &atom));
        struct cb_atoms order = {1, {0}};
        cb__atoms_add(&order, atom);
        for (uint32_t i = 1; i < view->order.count; i++) {
            cb__atoms_add(&order, view->order.items[i]);
        }
        cb__atoms_add(&view->axes[1], atom);
        view->order = order;
    } else {
        view->size[view->axes[1].items[0]] = size;
    }
    view->wire_dims[0] = size;
    return CB_OK;
}

static enum cb_status lower_concat(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view views[64];
    const uint32_t count = node->input_count;
    uint32_t constants = 0, live = UINT32_MAX;
    if (count > 64) {
        return cb__lower_fail(low, "more than 64 inputs are not supported");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (node->inputs[i] == NULL) {
            return cb__lower_fail(low, "an input is left out");
        }
        if (node->inputs[i]->constant != NULL) {
            constants++;
            continue;
        }
        CB_TRY(cb__lower_view(low, node->inputs[i], &views[i]));
        live = live == UINT32_MAX ? i : live;
    }
    if (live == UINT32_MAX) {
        return cb__lower_fail(low, "all of its inputs are constants");
    }
    const int64_t axis = cb__lower_axis(cb_onnx_int(node, "axis", 1), views[live].rank);
    if (axis < 0) {
        return cb__lower_fail(low, "it has no such axis");
    }
    if (axis == 1 && constants > 0 && constants + 1 == count && live == count - 1) {
        bool done = true;
        struct cb_view view = views[live];
        for (uint32_t i = count - 1; i-- > 0 && done;) {
            CB_TRY(class_token(low, node->inputs[i]->constant, &view, &done));
        }
        if (done) {
            cb__lower_set(low, cb_onnx_output(node, 0), &view);
            return CB_OK;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (node->inputs[i]->constant != NULL) {
            CB_TRY(constant_view(low, node->inputs[i], &views[live], &views[i]));
        }
    }
    if (count > 1) {
        CB_TRY(concat(low, views, count, (uint32_t)axis));
    }
    cb__lower_set(low, cb_onnx_output(node, 0), &views[0]);
    return CB_OK;
}

/* ---- padding ----------------------------------------------------------------------------------------------------------- */

static enum cb_status pad_axis(struct cb_lower *low, struct cb_view *view, uint32_t axis, int64_t before, int64_t after,
                               const char *mode, double value)
{
    CB_TRY(cb__lower_single(low, view, axis));
    if (view->axes[axis].count == 0) {
        return cb__lower_fail(low, "padding an axis of one place is not supported");
    }
    const uint8_t atom = view->axes[axis].items[0];
    int64_t dims[3] = {1, view->size[atom], 1};
    bool seen = false;
    for (uint32_t i = 1; i < view->order.count; i++) {
        if (view->order.items[i] == atom) {
            seen = true;
        } else {
            dims[seen ? 2 : 0] *= view->size[view->order.items[i]];
        }
    }
    CB_TRY(cb__lower_arrange(low, view, &view->order, 3, dims)); /* a picture of [others, axis] places */
    CB_TRY(cb__lower_map(low, view, "pad"));
    const int64_t padding[] = {0, 0, before, after};
    cb__lower_list(low, "padding", padding, 4);
    cb__lower_text(low, "mode", mode);
    cb__lower_real(low, "value", value);
    view->size[atom] += before + after;
    view->wire_dims[1] = view->size[atom];
    return CB_OK;
}

static enum cb_status lower_pad(struct cb_lower *low, const struct cb_onnx_node *node)
{
    int64_t pads[2 * CB_MAX_RANK], axes[CB_MAX_RANK], both[CB_MAX_RANK][2] = {{0}};
    uint32_t count = 0, axis_count = 0;
    struct cb_view view;
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    const int64_t *said = cb_onnx_ints(node, "pads", &count);
    if (said != NULL && count <= 2 * CB_MAX_RANK) {
        memcpy(pads, said, count * sizeof(*said));
    } else if (!cb__lower_constant_ints(node, 1, pads, 2 * CB_MAX_RANK, &count)) {
        return cb__lower_fail(low, "padding that depends on the input is not supported");
    }
    const bool some = cb__lower_constant_ints(node, 3, axes, CB_MAX_RANK, &axis_count);
    const char *mode = cb_onnx_string(node, "mode", "constant");
    const struct cb_onnx_tensor *number = cb_onnx_constant(node, 2);
    const double value = number != NULL ? cb_onnx_tensor_real(number, 0) : cb_onnx_real(node, "value", 0.0);
    mode = strcmp(mode, "edge") == 0 ? "replicate" : mode;
    if (strcmp(mode, "constant") != 0 && strcmp(mode, "reflect") != 0 && strcmp(mode, "replicate") != 0) {
        return cb__lower_fail(low, "mode `%s` is not supported; constant, reflect and edge are (pad)", mode);
    }
    for (uint32_t i = 0; i < count / 2; i++) {
        const int64_t axis = some ? (i < axis_count ? cb__lower_axis(axes[i], view.rank) : -1) : i;
        if (axis < 0 || axis >= view.rank || (cb__atoms_have(&view.axes[axis], 0) && (pads[i] != 0 || pads[count / 2 + i] != 0))) {
            return cb__lower_fail(low, "its padding does not fit its input");
        }
        both[axis][0] = pads[i];
        both[axis][1] = pads[count / 2 + i];
    }
    for (uint32_t a = 0; a < view.rank; a++) { /* what is cut off */
        const int64_t size = cb__atoms_size(&view, &view.axes[a]);
        const int64_t from = both[a][0] < 0 ? -both[a][0] : 0, to = size - (both[a][1] < 0 ? -both[a][1] : 0);
        if (from > 0 || to < size) {
            if (to <= from || cb__atoms_have(&view.axes[a], 0)) {
                return cb__lower_fail(low, "its padding leaves nothing");
            }
            CB_TRY(slice_axis(low, &view, a, from, to, 1));
            both[a][0] = both[a][0] < 0 ? 0 : both[a][0];
            both[a][1] = both[a][1] < 0 ? 0 : both[a][1];
        }
    }
    if (view.rank == 4 && both[1][0] + both[1][1] == 0 && both[2][0] + both[2][1] + both[3][0] + both[3][1] > 0 &&
        view.axes[2].count > 0 && view.axes[3].count > 0 && !cb__atoms_have(&view.axes[2], 0) &&
        !cb__atoms_have(&view.axes[3], 0) && !cb__atoms_have(&view.axes[1], 0)) {
        static const uint32_t picture[] = {2, 3, 1};
        CB_TRY(cb__lower_single(low, &view, 2));
        CB_TRY(cb__lower_single(low, &view, 3));
        CB_TRY(cb__lower_arrange_axes(low, &view, picture, 3));
        CB_TRY(cb__lower_map(low, &view, "pad"));
        const int64_t padding[] = {both[2][0], both[2][1], both[3][0], both[3][1]};
        cb__lower_ints(low, "padding", padding, 4);
        cb__lower_text(low, "mode", mode);
        cb__lower_real(low, "value", value);
        for (uint32_t a = 2; a < 4; a++) {
            view.size[view.axes[a].items[0]] += both[a][0] + both[a][1];
            view.wire_dims[a - 2] += both[a][0] + both[a][1];
        }
        both[2][0] = both[2][1] = both[3][0] = both[3][1] = 0;
    }
    for (uint32_t a = 0; a < view.rank; a++) {
        if (both[a][0] + both[a][1] > 0) {
            CB_TRY(pad_axis(low, &view, a, both[a][0], both[a][1], mode, value));
        }
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
    if (view.rank != 4 || b < 1 || !x->has_shape || x->dims[1].fixed % (b * b) != 0) {
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
    if (view.rank != 4 || b < 1 || !x->has_shape || x->dims[2].fixed % b != 0 || x->dims[3].fixed % b != 0) {
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
    {"Gather", lower_gather}, {"Concat", lower_concat}, {"Pad", lower_pad}, {"DepthToSpace", lower_depth_to_space},
    {"SpaceToDepth", lower_space_to_depth},
    {NULL, NULL},
};
