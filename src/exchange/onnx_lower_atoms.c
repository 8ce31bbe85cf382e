/* onnx_lower_atoms.c: atoms that are divided, merged, and dealt out anew by a reshape; constants in their order. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/onnx_lower.h"

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
            cb__lower_compact(view);
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
        cb__lower_compact(view);
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
    float *plain = malloc((size_t)(constant->count + 1) * sizeof(*plain));
    float *values = CB_NEW_ARRAY(low->arena, float, (size_t)count);
    if (plain == NULL || values == NULL) {
        free(plain);
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
    free(plain);
    *out = values;
    return CB_OK;
}
