/* onnx_lower_view.c: how the axes of an ONNX value lie in our wire: atoms, and what it takes to move them. */
#include <inttypes.h>
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
static void compact(struct cb_view *view)
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
    compact(out);
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
    CB_TRY(cb__lower_add(low, word, &from, 1, out));
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

/* ---- atoms ----------------------------------------------------------------------------------------------------------- */

static void replace(struct cb_atoms *atoms, uint8_t old, uint8_t a, uint8_t b)
{
    struct cb_atoms out = {0};
    for (uint32_t i = 0; i < atoms->count; i++) {
        cb__atoms_add(&out, atoms->items[i] == old ? a : atoms->items[i]);
        if (atoms->items[i] == old) {
            cb__atoms_add(&out, b);
        }
    }
    *atoms = out;
}

/* Atom `atom` becomes one of `major` and one of the rest, everywhere. */
static enum cb_status split_atom(struct cb_lower *low, struct cb_view *view, uint8_t atom, int64_t major)
{
    uint8_t minor;
    CB_TRY(cb__lower_new_atom(low, view, view->size[atom] / major, &minor));
    view->size[atom] = major;
    replace(&view->order, atom, atom, minor);
    for (uint32_t a = 0; a < view->rank; a++) {
        replace(&view->axes[a], atom, atom, minor);
    }
    return CB_OK;
}

/* Makes the atoms of `set` (in this order) one atom: they are moved side by side, to where the first of the wire's stands. */
static enum cb_status merge_atoms(struct cb_lower *low, struct cb_view *view, const struct cb_atoms *set)
{
    struct cb_atoms order = {0}, moved = {0};
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->items[i] != 0) {
            cb__atoms_add(&moved, set->items[i]);
        }
    }
    if (moved.count < 2) {
        return CB_OK;
    }
    bool done = false;
    for (uint32_t i = 0; i < view->order.count; i++) {
        const uint8_t atom = view->order.items[i];
        if (!cb__atoms_have(&moved, atom)) {
            cb__atoms_add(&order, atom);
        } else if (!done) {
            cb__atoms_join(&order, &moved);
            done = true;
        }
    }
    if (!cb__atoms_equal(&order, &view->order)) {
        int64_t dims[CB_ATOMS];
        uint32_t rank = 0;
        for (uint32_t i = 1; i < order.count; i++) {
            if (cb__atoms_have(&moved, order.items[i]) && i > 1 && cb__atoms_have(&moved, order.items[i - 1])) {
                dims[rank - 1] *= view->size[order.items[i]];
            } else {
                dims[rank++] = view->size[order.items[i]];
            }
        }
        while (rank + 1 > CB_MAX_RANK) { /* the first ones become one: where others stand does not matter */
            dims[rank - 2] *= dims[rank - 1];
            rank--;
        }
        CB_TRY(cb__lower_arrange(low, view, &order, rank, dims));
    }
    const uint8_t one = moved.items[0];
    for (uint32_t i = 1; i < moved.count; i++) {
        view->size[one] *= view->size[moved.items[i]];
    }
    struct cb_atoms kept = {0};
    for (uint32_t i = 0; i < view->order.count; i++) {
        if (view->order.items[i] == one || !cb__atoms_have(&moved, view->order.items[i])) {
            cb__atoms_add(&kept, view->order.items[i]);
        }
    }
    view->order = kept;
    for (uint32_t a = 0; a < view->rank; a++) {
        struct cb_atoms axis = {0};
        for (uint32_t i = 0; i < view->axes[a].count; i++) {
            const uint8_t atom = view->axes[a].items[i];
            if (atom == one || !cb__atoms_have(&moved, atom)) {
                cb__atoms_add(&axis, atom);
            }
        }
        view->axes[a] = axis;
    }
    return CB_OK;
}

enum cb_status cb__lower_single(struct cb_lower *low, struct cb_view *view, uint32_t axis)
{
    if (cb__atoms_have(&view->axes[axis], 0)) {
        return cb__lower_fail(low, "axis %u is of the batch, whose samples stay apart here", (unsigned)axis);
    }
    const struct cb_atoms atoms = view->axes[axis];
    return merge_atoms(low, view, &atoms);
}

enum cb_status cb__lower_align(struct cb_lower *low, struct cb_view *a, uint32_t i, struct cb_view *b, uint32_t j)
{
    for (uint32_t k = 0; k < a->axes[i].count && k < b->axes[j].count; k++) {
        const uint8_t x = a->axes[i].items[k], y = b->axes[j].items[k];
        if ((x == 0) != (y == 0)) {
            return cb__lower_fail(low, "the batch is at different axes of its inputs");
        }
        if (a->size[x] == b->size[y]) {
            continue;
        }
        if (a->size[x] > b->size[y] && a->size[x] % b->size[y] == 0) {
            CB_TRY(split_atom(low, a, x, b->size[y]));
        } else if (a->size[x] < b->size[y] && b->size[y] % a->size[x] == 0) {
            CB_TRY(split_atom(low, b, y, a->size[x]));
        } else {
            if (cb__atoms_have(&a->axes[i], 0)) {
                return cb__lower_fail(low, "the batch is divided differently in its inputs");
            }
            CB_TRY(cb__lower_single(low, a, i));
            CB_TRY(cb__lower_single(low, b, j));
            k = UINT32_MAX;
        }
    }
    if (a->axes[i].count != b->axes[j].count) {
        return cb__lower_fail(low, "its inputs have %" PRId64 " and %" PRId64 " places along an axis",
                              cb__atoms_size(a, &a->axes[i]), cb__atoms_size(b, &b->axes[j]));
    }
    return CB_OK;
}

/* ---- reshape ----------------------------------------------------------------------------------------------------------- */

/* Deals the atoms, in the order of the ONNX axes, out to new axes. *out_stuck: these atoms must become one first. */
static enum cb_status deal(struct cb_lower *low, struct cb_view *view, const struct cb_onnx_value *value,
                           struct cb_atoms *out_stuck, struct cb_view *out)
{
    struct cb_atoms queue = {0};
    *out = *view;
    for (uint32_t a = 0; a < view->rank; a++) {
        cb__atoms_join(&queue, &view->axes[a]);
        out->axes[a] = (struct cb_atoms){0};
    }
    out->rank = 0; /* so that split_atom touches the order alone */
    out_stuck->count = 0;
    uint32_t next = 0;
    struct cb_atoms axes[CB_MAX_RANK];
    for (uint32_t d = 0; d < value->rank; d++) {
        axes[d] = (struct cb_atoms){0};
        const struct cb_onnx_dim dim = value->dims[d];
        bool wants_batch = dim.batch != 0;
        int64_t left = wants_batch ? dim.batch : dim.fixed;
        if (dim.batch != 0 && dim.fixed != 0) {
            return cb__lower_fail(low, "an axis of N and something more is not supported");
        }
        const uint32_t first = next;
        while (left > 1 || wants_batch) {
            if (next == queue.count) {
                return cb__lower_fail(low, "its shapes do not fit each other");
            }
            const uint8_t atom = queue.items[next];
            if (atom == 0 && wants_batch) {
                wants_batch = false;
            } else if (atom == 0 || (wants_batch && left <= 1)) {
                return cb__lower_fail(low, "it mixes the samples of a batch");
            } else if (left % out->size[atom] == 0) {
                left /= out->size[atom];
            } else if (out->size[atom] % left == 0) {
                CB_TRY(split_atom(low, out, atom, left));
                replace(&queue, atom, atom, (uint8_t)(out->atom_count - 1));
                left = 1;
            } else {
                for (uint32_t k = first; k < queue.count; k++) { /* neither divides the other: [4, 6] to [6, 4] */
                    if (queue.items[k] == 0) {
                        break;
                    }
                    cb__atoms_add(out_stuck, queue.items[k]);
                }
                if (out_stuck->count < 2) {
                    return cb__lower_fail(low, "its shapes do not fit each other");
                }
                return CB_OK;
            }
            cb__atoms_add(&axes[d], atom);
            next++;
        }
    }
    if (next != queue.count) {
        return cb__lower_fail(low, "its shapes do not fit each other");
    }
    out->rank = value->rank;
    memcpy(out->axes, axes, value->rank * sizeof(axes[0]));
    return CB_OK;
}

enum cb_status cb__lower_reshape(struct cb_lower *low, struct cb_view *view, const struct cb_onnx_value *value)
{
    struct cb_view out;
    struct cb_atoms stuck;
    if (!value->has_shape) {
        return cb__lower_fail(low, "the shape of `%s` is not known", value->name);
    }
    for (int tries = 0; tries < CB_ATOMS; tries++) {
        struct cb_view trial = *view;
        CB_TRY(deal(low, &trial, value, &stuck, &out));
        if (stuck.count == 0) {
            *view = out;
            compact(view);
            return CB_OK;
        }
        /* atoms that deal() split are split in `out` alone: only whole ones may be merged */
        struct cb_atoms whole = {0};
        for (uint32_t i = 0; i < stuck.count; i++) {
            if (stuck.items[i] < view->atom_count) {
                cb__atoms_add(&whole, stuck.items[i]);
            }
        }
        if (whole.count < 2) {
            break;
        }
        CB_TRY(merge_atoms(low, view, &whole));
        compact(view);
    }
    return cb__lower_fail(low, "its shapes do not fit each other");
}

void cb__lower_permute(struct cb_view *view, const uint32_t *axes)
{
    struct cb_atoms moved[CB_MAX_RANK];
    for (uint32_t i = 0; i < view->rank; i++) {
        moved[i] = view->axes[axes[i]];
    }
    memcpy(view->axes, moved, view->rank * sizeof(moved[0]));
}

/* ---- constants --------------------------------------------------------------------------------------------------------- */

enum cb_status cb__lower_values(struct cb_lower *low, const struct cb_view *view, const struct cb_onnx_tensor *constant,
                                int64_t axis0, const struct cb_atoms *order, float **out)
{
    int64_t stride[CB_ATOMS] = {0}, count = 1, step = 1;
    for (uint32_t d = constant->rank; d-- > 0;) {
        const int64_t axis = axis0 + d;
        if (axis < 0 || axis >= view->rank) {
            if (constant->dims[d] != 1) {
                return cb__lower_fail(low, "its constant `%s` has more axes than what it meets", constant->name);
            }
            continue;
        }
        const struct cb_atoms *atoms = &view->axes[axis];
        if (constant->dims[d] != 1) {
            if (cb__atoms_have(atoms, 0) || constant->dims[d] != cb__atoms_size(view, atoms)) {
                return cb__lower_fail(low, "its constant `%s` does not fit what it meets", constant->name);
            }
            int64_t inner = step;
            for (uint32_t i = atoms->count; i-- > 0;) {
                stride[atoms->items[i]] = inner;
                inner *= view->size[atoms->items[i]];
            }
        }
        step *= constant->dims[d];
    }
    for (uint32_t i = 0; i < order->count; i++) {
        count *= view->size[order->items[i]];
    }
    float *plain = CB_NEW_ARRAY(low->arena, float, (size_t)(constant->count > 0 ? constant->count : 1));
    float *values = CB_NEW_ARRAY(low->arena, float, (size_t)count);
    if (plain == NULL || values == NULL) {
        return cb__lower_memory(low);
    }
    cb_onnx_tensor_f32(constant, plain);
    int64_t at[CB_ATOMS] = {0}, offset = 0;
    for (int64_t n = 0; n < count; n++) {
        values[n] = plain[offset];
        for (uint32_t i = order->count; i-- > 0;) {
            const uint8_t atom = order->items[i];
            offset += stride[atom];
            if (++at[i] < view->size[atom]) {
                break;
            }
            offset -= stride[atom] * view->size[atom];
            at[i] = 0;
        }
    }
    *out = values;
    return CB_OK;
}
