/* onnx_lower_view.c: how the axes of an ONNX value lie in our wire: atoms, and what it takes to move them. */
#include <string.h>

#include "exchange/onnx_lower.h"

void cb__atoms_add(struct cb_atoms *atoms, uint8_t atom)
{
    if (atoms->count < CB_ATOMS) {
        atoms->items[atoms->count++] = atom;
    }
}

void cb__atoms_join(struct cb_atoms *atoms, const struct cb_atoms *more)
{
    for (uint32_t i = 0; i < more->count; i++) {
        cb__atoms_add(atoms, more->items[i]);
    }
}

bool cb__atoms_have(const struct cb_atoms *atoms, uint8_t atom)
{
    for (uint32_t i = 0; i < atoms->count; i++) {
        if (atoms->items[i] == atom) {
            return true;
        }
    }
    return false;
}

bool cb__atoms_equal(const struct cb_atoms *a, const struct cb_atoms *b)
{
    return a->count == b->count && memcmp(a->items, b->items, a->count) == 0;
}

int64_t cb__atoms_size(const struct cb_view *view, const struct cb_atoms *atoms)
{
    int64_t size = 1;
    for (uint32_t i = 0; i < atoms->count; i++) {
        size *= view->size[atoms->items[i]];
    }
    return size;
}

enum cb_status cb__lower_new_atom(struct cb_lower *low, struct cb_view *view, int64_t size, uint8_t *out)
{
    if (view->atom_count == CB_ATOMS) {
        return cb__lower_fail(low, "its axes are divided into more than %d parts", CB_ATOMS);
    }
    view->size[view->atom_count] = size;
    *out = (uint8_t)view->atom_count++;
    return CB_OK;
}

/* Renumbers the atoms that are in use, so that the table does not fill up. */
void cb__lower_compact(struct cb_view *view)
{
    uint8_t to[CB_ATOMS];
    int64_t size[CB_ATOMS];
    for (uint32_t i = 0; i < view->order.count; i++) {
        to[view->order.items[i]] = (uint8_t)i;
        size[i] = view->size[view->order.items[i]];
        view->order.items[i] = (uint8_t)i;
    }
    memcpy(view->size, size, view->order.count * sizeof(size[0]));
    view->atom_count = view->order.count;
    for (uint32_t a = 0; a < view->rank; a++) {
        for (uint32_t i = 0; i < view->axes[a].count; i++) {
            view->axes[a].items[i] = to[view->axes[a].items[i]];
        }
    }
}

enum cb_status cb__lower_any_view(struct cb_lower *low, const struct cb_onnx_value *value, struct cb_view *out)
{
    if (value == NULL) {
        return cb__lower_fail(low, "an input that it needs is left out");
    }
    if (!low->views[value->index].is_set) {
        return value->constant != NULL
                   ? cb__lower_fail(low, "its input `%s` is a constant, where only what comes from the network's input is "
                                    "taken", value->name)
                   : cb__lower_fail(low, "its input `%s` is not known", value->name);
    }
    *out = low->views[value->index];
    cb__lower_compact(out);
    return CB_OK;
}

enum cb_status cb__lower_view(struct cb_lower *low, const struct cb_onnx_value *value, struct cb_view *out)
{
    CB_TRY(cb__lower_any_view(low, value, out));
    return !out->is_expanded ? CB_OK
                             : cb__lower_fail(low, "its input `%s` is repeated by an Expand, which only arithmetic takes here",
                                              value->name);
}

enum cb_status cb__lower_fresh(struct cb_lower *low, const struct cb_onnx_value *value, const uint32_t *axes,
                               struct cb_view *out)
{
    if (!value->has_shape) {
        return cb__lower_fail(low, "the shape of `%s` is not known", value->name);
    }
    *out = (struct cb_view){.is_set = true, .atom_count = 1, .size = {1}, .rank = value->rank,
                            .is_integer = !cb_onnx_type_is_real(value->type)};
    cb__atoms_add(&out->order, 0);
    for (uint32_t i = 0; i < value->rank; i++) {
        const struct cb_onnx_dim dim = value->dims[axes[i]];
        if (dim.batch != 0 && (dim.fixed != 0 || i > 0)) {
            char shape[512];
            return cb__lower_fail(low, "the batch of `%s` %s is not its first axis", value->name,
                                  cb_onnx_format_shape(value, shape));
        }
        int64_t size = dim.batch != 0 ? dim.batch : dim.fixed;
        if (dim.batch != 0) {
            cb__atoms_add(&out->axes[axes[i]], 0);
        }
        if (size < 1) {
            return cb__lower_fail(low, "`%s` is empty", value->name);
        }
        if (size > 1) {
            uint8_t atom;
            CB_TRY(cb__lower_new_atom(low, out, size, &atom));
            cb__atoms_add(&out->axes[axes[i]], atom);
            cb__atoms_add(&out->order, atom);
        }
        if (i > 0 || size > 1) {
            out->wire_dims[out->wire_rank++] = size;
        }
    }
    return CB_OK;
}

/* ---- moving ------------------------------------------------------------------------------------------------------------ */

struct cb_lower_copy {
    struct cb_lower_copy *next;
    struct cb_flat_wire from, to;
    const char *word;
    uint32_t rank;
    int64_t numbers[CB_MAX_RANK];
};

/* A reshape or transpose of `from`; one that is there already serves again. */
static enum cb_status copy_of(struct cb_lower *low, struct cb_flat_wire from, const char *word, const char *key, uint32_t rank,
                              const int64_t *numbers, struct cb_flat_wire *out)
{
    for (const struct cb_lower_copy *c = low->copies; c != NULL; c = c->next) {
        if (c->from.layer == from.layer && c->from.output == from.output && strcmp(c->word, word) == 0 && c->rank == rank &&
            memcmp(c->numbers, numbers, rank * sizeof(*numbers)) == 0) {
            *out = c->to;
            return CB_OK;
        }
    }
    /* It belongs to what is around a layer with params, not to that layer. */
    const char *scope = low->scope, *dot = strrchr(scope, '.');
    bool has_params = false;
    for (uint32_t i = 0; low->node != NULL && i < low->node->input_count; i++) {
        has_params |= cb_onnx_constant(low->node, i) != NULL && cb_onnx_type_is_real(cb_onnx_constant(low->node, i)->type);
    }
    if (has_params) {
        low->scope = dot != NULL ? cb_arena_strndup(low->arena, scope, (size_t)(dot - scope)) : "";
    }
    low->scope = low->scope != NULL ? low->scope : "";
    const enum cb_status status = cb__lower_add(low, word, &from, 1, out);
    low->scope = scope;
    CB_TRY(status);
    cb__lower_list(low, key, numbers, rank);
    struct cb_lower_copy *copy = CB_NEW(low->arena, struct cb_lower_copy);
    if (copy == NULL) {
        return cb__lower_memory(low);
    }
    *copy = (struct cb_lower_copy){low->copies, from, *out, word, rank, {0}};
    memcpy(copy->numbers, numbers, rank * sizeof(*numbers));
    low->copies = copy;
    return CB_OK;
}

static enum cb_status shape_as(struct cb_lower *low, struct cb_view *view, uint32_t rank, const int64_t *dims)
{
    if (rank == view->wire_rank && memcmp(dims, view->wire_dims, rank * sizeof(*dims)) == 0) {
        return CB_OK;
    }
    if (rank >= CB_MAX_RANK || rank == 0) {
        return cb__lower_fail(low, "it would need a tensor of rank %u", (unsigned)rank + 1);
    }
    if (rank == 1 && !view->is_integer) {
        CB_TRY(copy_of(low, view->wire, "flatten", "", 0, NULL, &view->wire));
    } else {
        CB_TRY(copy_of(low, view->wire, "reshape", "shape", rank, dims, &view->wire));
    }
    view->wire_rank = rank;
    memcpy(view->wire_dims, dims, rank * sizeof(*dims));
    return CB_OK;
}

enum cb_status cb__lower_arrange(struct cb_lower *low, struct cb_view *view, const struct cb_atoms *order, uint32_t rank,
                                 const int64_t *dims)
{
    if (order->count == 0 || order->items[0] != 0) {
        return cb__lower_fail(low, "the batch would not be the first axis");
    }
    if (cb__atoms_equal(order, &view->order)) {
        return shape_as(low, view, rank, dims);
    }
    /* Runs of atoms that stay together move as one. */
    int64_t runs[CB_ATOMS], permutation[CB_ATOMS];
    uint32_t run_of[CB_ATOMS], count = 0;
    for (uint32_t i = 1; i < view->order.count; i++) {
        uint32_t at = 0;
        while (at < order->count && order->items[at] != view->order.items[i]) {
            at++;
        }
        if (i == 1 || order->items[at - 1] != view->order.items[i - 1] || at == 1) {
            runs[count++] = 1;
        }
        runs[count - 1] *= view->size[view->order.items[i]];
        run_of[view->order.items[i]] = count - 1;
    }
    uint32_t placed = 0;
    for (uint32_t i = 1; i < order->count; i++) {
        const int64_t axis = run_of[order->items[i]] + 1;
        if (placed == 0 || permutation[placed - 1] != axis) {
            permutation[placed++] = axis;
        }
    }
    if (count >= CB_MAX_RANK) {
        return cb__lower_fail(low, "it would need a transpose of %u axes", count + 1);
    }
    CB_TRY(shape_as(low, view, count, runs));
    CB_TRY(copy_of(low, view->wire, "transpose", "permutation", count, permutation, &view->wire));
    for (uint32_t i = 0; i < count; i++) {
        view->wire_dims[i] = runs[permutation[i] - 1];
    }
    view->wire_rank = count;
    view->order = *order;
    return shape_as(low, view, rank, dims);
}

enum cb_status cb__lower_arrange_groups(struct cb_lower *low, struct cb_view *view, const struct cb_atoms *groups,
                                        uint32_t count)
{
    struct cb_atoms order = {1, {0}};
    int64_t dims[CB_ATOMS + CB_MAX_RANK];
    uint32_t rank = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct cb_atoms group = {0};
        for (uint32_t k = 0; k < groups[i].count; k++) {
            if (groups[i].items[k] != 0) {
                cb__atoms_add(&group, groups[i].items[k]);
            }
        }
        cb__atoms_join(&order, &group);
        dims[rank++] = cb__atoms_size(view, &group);
    }
    if (order.count != view->order.count) {
        return cb__lower_fail(low, "an axis of the batch and places together is not supported here");
    }
    return cb__lower_arrange(low, view, &order, rank, dims);
}

enum cb_status cb__lower_arrange_axes(struct cb_lower *low, struct cb_view *view, const uint32_t *axes, uint32_t count)
{
    struct cb_atoms groups[CB_MAX_RANK];
    for (uint32_t i = 0; i < count; i++) {
        groups[i] = view->axes[axes[i]];
    }
    return cb__lower_arrange_groups(low, view, groups, count);
}

/* The wire's dims where the last one, or last ones, are exactly `size`; -1 when they are not. */
static int64_t tail_of(const struct cb_view *view, int64_t size)
{
    return view->wire_rank > 0 && view->wire_dims[view->wire_rank - 1] == size ? (int64_t)view->wire_rank - 1 : -1;
}

enum cb_status cb__lower_arrange_last(struct cb_lower *low, struct cb_view *view, const struct cb_atoms *set)
{
    struct cb_atoms order = {0}, others = {0}, last = {0};
    for (uint32_t i = 0; i < view->order.count; i++) {
        cb__atoms_add(cb__atoms_have(set, view->order.items[i]) ? &last : &others, view->order.items[i]);
    }
    cb__atoms_join(&order, &others);
    cb__atoms_join(&order, &last);
    const int64_t size = cb__atoms_size(view, &last);
    if (cb__atoms_equal(&order, &view->order) && tail_of(view, size) >= 0) {
        return CB_OK;
    }
    int64_t dims[2] = {cb__atoms_size(view, &others), size};
    return others.count > 1 ? cb__lower_arrange(low, view, &order, 2, dims) : cb__lower_arrange(low, view, &order, 1, dims + 1);
}

enum cb_status cb__lower_arrange_runs(struct cb_lower *low, struct cb_view *view, const struct cb_atoms *set, bool *is_in)
{
    /* The wire's own dims are kept where each is wholly in or out. */
    int64_t dims[CB_ATOMS];
    uint32_t rank = 0, at = 1;
    bool fits = true;
    for (uint32_t d = 0; d < view->wire_rank && fits; d++) {
        int64_t left = view->wire_dims[d];
        bool any_in = false, any_out = false;
        while (left > 1 && at < view->order.count && left % view->size[view->order.items[at]] == 0) {
            const uint8_t atom = view->order.items[at++];
            left /= view->size[atom];
            any_in |= cb__atoms_have(set, atom);
            any_out |= !cb__atoms_have(set, atom);
        }
        fits = left == 1 && !(any_in && any_out);
        is_in[d] = any_in;
    }
    if (fits && at == view->order.count) {
        return CB_OK;
    }
    for (uint32_t i = 1; i < view->order.count; i++) {
        const bool in = cb__atoms_have(set, view->order.items[i]);
        if (rank == 0 || in != is_in[rank - 1]) {
            if (rank + 1 >= CB_MAX_RANK) {
                return cb__lower_fail(low, "it would need a tensor of rank %u", (unsigned)rank + 2);
            }
            is_in[rank] = in;
            dims[rank++] = 1;
        }
        dims[rank - 1] *= view->size[view->order.items[i]];
    }
    if (rank == 0) {
        is_in[0] = false;
        dims[rank++] = 1;
    }
    return shape_as(low, view, rank, dims);
}
