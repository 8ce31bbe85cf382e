/* onnx_lower_join.c: operators that join and pad. */
#include <string.h>

#include "exchange/onnx_lower.h"

/* ---- joining ----------------------------------------------------------------------------------------------------------- */

/* Joins views along an axis, in the layout of the one that has most places there; the result is views[0]. */
enum cb_status cb__lower_concat(struct cb_lower *low, struct cb_view *views, uint32_t count, uint32_t axis)
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
    uint32_t axis_of[CB_ATOMS] = {0}, part_of[CB_ATOMS] = {0}, at = UINT32_MAX;
    for (uint32_t i = 1; i < m->order.count; i++) {
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
            if (k == 0) {
                cb__atoms_add(&order, 0); /* N, which no axis of the file may hold */
            } else if (has && k == at) {
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
    const struct cb_onnx_tensor *constant = cb__lower_one_sample(low, value->constant);
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
    CB_TRY(cb__lower_add(low, "broadcast_param", &like->wire, 1, &out->wire));
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
            CB_TRY(class_token(low, cb__lower_one_sample(low, node->inputs[i]->constant), &view, &done));
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
        CB_TRY(cb__lower_concat(low, views, count, (uint32_t)axis));
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
            CB_TRY(cb__lower_slice_axis(low, &view, a, from, to, 1));
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

const struct cb_lower_operator cb__lower_joins[] = {
    {"Concat", lower_concat}, {"Pad", lower_pad},
    {NULL, NULL},
};
