/* box.h: what the layers share that only move values (concat, split, slice, transpose, pad, ...): a box of up to eight
 * axes is copied from one tensor to another, each with its own stride per axis. cl/include/box.clh has the kernels.
 *
 * A gradient is the same box with the two sides exchanged, and where a tensor is not covered by its boxes, zeros (or
 * the constant) are filled in first: no atomics, each value is written by one work-item. */
#ifndef CAMBIUM_BOX_H
#define CAMBIUM_BOX_H

#include <cambium/layer.h>

#define BOX_AXES CB_MAX_RANK
#define BOX_TILE 16384 /* values per work-item of the tile form: 64 KiB of each tensor */

/* Value (i0,i1,...) goes from `from_offset + sum of i*from` to `to_offset + sum of i*to`; all in elements. */
struct box {
    uint32_t rank;
    int64_t dims[BOX_AXES], to[BOX_AXES], from[BOX_AXES];
    int64_t to_offset, from_offset;
};

/* Elements from one place of `axis` to the next, in a dense tensor of these dims. */
static inline int64_t box_stride(const int64_t *dims, uint32_t rank, uint32_t axis)
{
    int64_t stride = 1;
    for (uint32_t i = axis + 1; i < rank; i++) {
        stride *= dims[i];
    }
    return stride;
}

/* Places of all axes before `axis`. */
static inline int64_t box_outer(const int64_t *dims, uint32_t axis)
{
    int64_t count = 1;
    for (uint32_t i = 0; i < axis; i++) {
        count *= dims[i];
    }
    return count;
}

static inline void box_add_axis(struct box *b, int64_t dim, int64_t to, int64_t from)
{
    b->dims[b->rank] = dim;
    b->to[b->rank] = to;
    b->from[b->rank++] = from;
}

static inline struct box box_reversed(const struct box *b)
{
    struct box r = *b;
    for (uint32_t i = 0; i < b->rank; i++) {
        r.to[i] = b->from[i];
        r.from[i] = b->to[i];
    }
    r.to_offset = b->from_offset;
    r.from_offset = b->to_offset;
    return r;
}

/* The same copy with its axes in the order of the written side, those of one place left out, and neighbours that lie
 * behind each other on both sides made one: rows as long as they can be. */
static inline struct box box_simplified(const struct box *b)
{
    struct box sorted = {.to_offset = b->to_offset, .from_offset = b->from_offset};
    for (uint32_t i = 0; i < b->rank; i++) {
        uint32_t at = sorted.rank;
        if (b->dims[i] == 1) {
            continue;
        }
        for (; at > 0 && sorted.to[at - 1] < b->to[i]; at--) {
            sorted.dims[at] = sorted.dims[at - 1];
            sorted.to[at] = sorted.to[at - 1];
            sorted.from[at] = sorted.from[at - 1];
        }
        sorted.dims[at] = b->dims[i];
        sorted.to[at] = b->to[i];
        sorted.from[at] = b->from[i];
        sorted.rank++;
    }
    struct box out = {.to_offset = b->to_offset, .from_offset = b->from_offset};
    for (uint32_t i = 0; i < sorted.rank; i++) {
        const uint32_t last = out.rank - 1;
        if (out.rank > 0 && out.to[last] == sorted.to[i] * sorted.dims[i] &&
            out.from[last] == sorted.from[i] * sorted.dims[i]) {
            out.dims[last] *= sorted.dims[i];
            out.to[last] = sorted.to[i];
            out.from[last] = sorted.from[i];
        } else {
            box_add_axis(&out, sorted.dims[i], sorted.to[i], sorted.from[i]);
        }
    }
    if (out.rank == 0) {
        box_add_axis(&out, 1, 1, 1);
    }
    return out;
}

/* [run] Copies (or adds) the box; kernel 0 is the one of this form. */
static inline enum cb_status box_copy(struct cb_instance *in, const struct cb_tensor *to, const struct cb_tensor *from,
                                      const struct box *box, bool accumulate, bool tile)
{
    const struct box b = box_simplified(box);
    const uint32_t last = b.rank - 1;
    int64_t dims[BOX_AXES - 1], tos[BOX_AXES - 1], froms[BOX_AXES - 1], rows = 1;
    for (uint32_t i = 0; i < BOX_AXES - 1; i++) { /* the axis that turns fastest first */
        dims[i] = i < last ? b.dims[last - 1 - i] : 1;
        tos[i] = i < last ? b.to[last - 1 - i] : 0;
        froms[i] = i < last ? b.from[last - 1 - i] : 0;
        rows *= dims[i];
    }
    const int64_t length = b.dims[last], whole = BOX_TILE / length, rows_each = whole > 1 ? whole : 1;
    const int64_t pieces = (length + BOX_TILE - 1) / BOX_TILE, groups = (rows + rows_each - 1) / rows_each;
    const struct cb_grid *grid = tile ? CB_GRID_LOCAL((uint64_t)pieces, (uint64_t)groups, 1, 1, 1, 1)
                                      : CB_GRID((uint64_t)length, (uint64_t)rows);
    return CB_LAUNCH(in, 0, grid, CB_A_TENSOR(to), CB_A_TENSOR(from), CB_A_I64(b.to_offset), CB_A_I64(b.from_offset),
                     CB_A_I64(rows), CB_A_I64(length), CB_A_I64(b.to[last]), CB_A_I64(b.from[last]),
                     CB_A_I64(rows_each), CB_A_I32(accumulate), CB_A_I64(dims[0]), CB_A_I64(tos[0]),
                     CB_A_I64(froms[0]), CB_A_I64(dims[1]), CB_A_I64(tos[1]), CB_A_I64(froms[1]), CB_A_I64(dims[2]),
                     CB_A_I64(tos[2]), CB_A_I64(froms[2]), CB_A_I64(dims[3]), CB_A_I64(tos[3]), CB_A_I64(froms[3]),
                     CB_A_I64(dims[4]), CB_A_I64(tos[4]), CB_A_I64(froms[4]), CB_A_I64(dims[5]), CB_A_I64(tos[5]),
                     CB_A_I64(froms[5]), CB_A_I64(dims[6]), CB_A_I64(tos[6]), CB_A_I64(froms[6]));
}

/* [run] dx of a layer whose y is one box of x: `forward` the other way round, zeros where the box does not reach. */
static inline enum cb_status box_gradient(struct cb_instance *in, const struct box *forward, bool tile)
{
    const bool accumulate = (in->dx_accumulate & 1u) != 0;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    if (!accumulate && cb_tensor_count(in->dx[0]) != cb_tensor_count(in->dy[0])) {
        CB_TRY(in->host->fill(in->core, in->dx[0], 0.0f));
    }
    const struct box back = box_reversed(forward);
    return box_copy(in, in->dx[0], in->dy[0], &back, accumulate, tile);
}

/* [check] An axis behind N, counted from 0 (which is N) or back from -1, of a tensor of that rank. */
static inline enum cb_status box_axis(struct cb_instance *in, const char *option, int64_t axis, uint32_t rank,
                                      uint32_t *out_axis)
{
    const int64_t found = axis < 0 ? axis + rank : axis;
    if (found == 0) {
        return in->host->fail(in->core, CB_INVALID, option, "`%s` is %lld, which is N: samples stay apart", option,
                              (long long)axis);
    }
    if (found < 0 || found >= rank) {
        return in->host->fail(in->core, CB_INVALID, option,
                              "`%s` is %lld, but there are only axes 1 to %u behind N (or -%u to -1)", option,
                              (long long)axis, (unsigned)rank - 1, (unsigned)rank - 1);
    }
    *out_axis = (uint32_t)found;
    return CB_OK;
}

/* The table of a layer whose passes are `forward(in, tile)` and `backward(in, tile)`, both of box copies alone. */
#define BOX_VARIANTS(forward, backward)                                                            \
    static enum cb_status box_prepare_tile(struct cb_instance *in)                                 \
    {                                                                                              \
        return in->host->kernel(in->core, NULL, "box_copy_tile", NULL);                            \
    }                                                                                              \
    static enum cb_status box_prepare(struct cb_instance *in)                                      \
    {                                                                                              \
        return in->host->kernel(in->core, NULL, "box_copy", NULL);                                 \
    }                                                                                              \
    static enum cb_status box_forward_tile(struct cb_instance *in)                                 \
    {                                                                                              \
        return forward(in, true);                                                                  \
    }                                                                                              \
    static enum cb_status box_forward(struct cb_instance *in)                                      \
    {                                                                                              \
        return forward(in, false);                                                                 \
    }                                                                                              \
    static enum cb_status box_backward_tile(struct cb_instance *in)                                \
    {                                                                                              \
        return backward(in, true);                                                                 \
    }                                                                                              \
    static enum cb_status box_backward(struct cb_instance *in)                                     \
    {                                                                                              \
        return backward(in, false);                                                                \
    }                                                                                              \
    static const struct cb_variant variants[] = {                                                  \
        {CB_PASS_FORWARD, 0, "tile", CB_CAP_TILE, NULL, box_prepare_tile, NULL, box_forward_tile}, \
        {CB_PASS_FORWARD, 0, "plain", 0, NULL, box_prepare, NULL, box_forward},                    \
        {CB_PASS_BACKWARD, 0, "tile", CB_CAP_TILE, NULL, box_prepare_tile, NULL, box_backward_tile}, \
        {CB_PASS_BACKWARD, 0, "plain", 0, NULL, box_prepare, NULL, box_backward},                  \
    }

#endif
