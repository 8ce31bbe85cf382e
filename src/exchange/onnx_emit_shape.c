/* onnx_emit_shape.c: reductions, and what joins, divides and reorders tensors, as ONNX nodes. */
#include "exchange/onnx_emit.h"

/* ---- reductions
 * --------------------------------------------------------------------------------------------------
 */

/* Where the axes stand in the layout; counts axes behind N but the channels. */
static uint32_t axes_of(const struct cb_emit *e, enum cb_layout layout, int64_t out[CB_MAX_RANK],
                        bool *out_all_places)
{
    const struct cb_list *axes = cb__emit_list(e, "axes");
    const int64_t rank = cb__emit_x_shape(e, 0)->rank;
    uint32_t places = 0;
    for (uint32_t i = 0; i < axes->count && i < CB_MAX_RANK; i++) {
        const int64_t axis = ((const int64_t *)axes->items)[i], at = axis < 0 ? axis + rank : axis;
        out[i] = cb__emit_axis(layout, at, (uint32_t)rank);
        places += at > 0 && at < rank - 1;
    }
    *out_all_places = axes->count == places && places == (uint32_t)rank - 2;
    return axes->count;
}

/* Channels-first stays where the axes stay, or where all places vanish and channels alone are left.
 */
static void reduce(struct cb_emit *e, const char *op, bool axes_as_input)
{
    const bool keep = cb__emit_integer(e, "keep") != 0;
    enum cb_layout layout = cb__emit_native(e, 0);
    int64_t axes[CB_MAX_RANK];
    bool all_places;
    uint32_t count = axes_of(e, layout, axes, &all_places);
    if (layout == CB_FIRST && !keep && !all_places) {
        layout = CB_LAST;
        count = axes_of(e, layout, axes, &all_places);
    }
    const char *x = cb__emit_x(e, 0, layout), *y;
    if (axes_as_input) { /* of ReduceSum since opset 13, of the others since 18 */
        y = cb__emit_op(e, op, CB_DRAFT_IN(x, cb__emit_ints(e, "axes", count, axes)),
                        CB_DRAFT_WITH(CB_DRAFT_INT("keepdims", keep)));
    } else {
        y = cb__emit_op(
            e, op, CB_DRAFT_IN(x),
            CB_DRAFT_WITH(CB_DRAFT_INTS("axes", count, axes), CB_DRAFT_INT("keepdims", keep)));
    }
    cb__emit_y(e, 0, y, keep ? layout : CB_LAST);
}

static void emit_mean(struct cb_emit *e)
{
    reduce(e, "ReduceMean", false);
}

static void emit_maximum(struct cb_emit *e)
{
    reduce(e, "ReduceMax", false);
}

static void emit_sum_axes(struct cb_emit *e)
{
    reduce(e, "ReduceSum", true);
}

/* ---- joining and dividing
 * ---------------------------------------------------------------------------------------- */

static void emit_concat(struct cb_emit *e)
{
    const uint32_t rank = cb__emit_x_shape(e, 0)->rank, count = e->node->x_count;
    const char *values[32];
    enum cb_layout layout = CB_LAST;
    for (uint32_t i = 0; i < count; i++) {
        layout = cb__emit_native(e, i) == CB_FIRST ? CB_FIRST : layout;
    }
    for (uint32_t i = 0; i < count && i < 32; i++) {
        values[i] = cb__emit_x(e, i, layout);
    }
    const int64_t axis = cb__emit_axis(layout, cb__emit_integer(e, "axis"), rank);
    cb__emit_y(e, 0,
               cb__emit_op(e, "Concat", values, count, CB_DRAFT_WITH(CB_DRAFT_INT("axis", axis))),
               layout);
}

static void emit_stack(struct cb_emit *e)
{
    const uint32_t rank = cb__emit_y_shape(e, 0)->rank, count = e->node->x_count;
    const int64_t given = cb__emit_integer(e, "axis"), axis = given < 0 ? given + rank : given;
    const char *values[32];
    for (uint32_t i = 0; i < count && i < 32; i++) {
        values[i] = cb__emit_unsqueeze(e, cb__emit_x(e, i, CB_LAST), 1, &axis);
    }
    cb__emit_y(e, 0,
               cb__emit_op(e, "Concat", values, count, CB_DRAFT_WITH(CB_DRAFT_INT("axis", axis))),
               CB_LAST);
}

static void emit_split(struct cb_emit *e)
{
    enum { MOST = 64 };
    const enum cb_layout layout = cb__emit_native(e, 0);
    const uint32_t rank = cb__emit_x_shape(e, 0)->rank, count = e->node->y_count;
    const int64_t given = cb__emit_integer(e, "axis"), axis = given < 0 ? given + rank : given;
    int64_t sizes[MOST];
    const char *values[MOST];
    for (uint32_t i = 0; i < count && i < MOST; i++) {
        sizes[i] = cb__emit_y_shape(e, i)->dims[axis];
    }
    cb__draft_node_outputs(
        &e->draft, e->node->name, "Split",
        CB_DRAFT_IN(cb__emit_x(e, 0, layout), cb__emit_ints(e, "sizes", count, sizes)),
        CB_DRAFT_WITH(CB_DRAFT_INT("axis", cb__emit_axis(layout, axis, rank))), values, count);
    for (uint32_t i = 0; i < count && i < MOST; i++) {
        cb__emit_y(e, i, values[i], layout);
    }
}

static void emit_slice(struct cb_emit *e)
{
    const enum cb_layout layout = cb__emit_native(e, 0);
    const int64_t axis =
        cb__emit_axis(layout, cb__emit_integer(e, "axis"), cb__emit_x_shape(e, 0)->rank);
    cb__emit_y(e, 0,
               cb__emit_slice(e, cb__emit_x(e, 0, layout), axis, cb__emit_integer(e, "from"),
                              cb__emit_integer(e, "to"), cb__emit_integer(e, "step")),
               layout);
}

/* ---- order and products
 * ------------------------------------------------------------------------------------------ */

/* Behind a channels-first tensor one Transpose does both. */
static void emit_transpose(struct cb_emit *e)
{
    const enum cb_layout layout = cb__emit_native(e, 0);
    const uint32_t rank = cb__emit_x_shape(e, 0)->rank;
    int64_t order[CB_MAX_RANK] = {0};
    for (uint32_t i = 1; i < rank; i++) {
        order[i] = cb__emit_axis(layout, cb__emit_pick(e, "permutation", i - 1), rank);
    }
    cb__emit_y(e, 0, cb__emit_transpose(e, cb__emit_x(e, 0, layout), rank, order), CB_LAST);
}

/* Input i with its last two axes swapped, where that is wanted. */
static const char *matrices(struct cb_emit *e, uint32_t i, bool is_turned)
{
    const uint32_t rank = cb__emit_x_shape(e, i)->rank;
    int64_t order[CB_MAX_RANK];
    for (uint32_t k = 0; k < rank; k++) {
        order[k] = k + 2 == rank ? k + 1 : k + 1 == rank ? k - 1 : k;
    }
    const char *x = cb__emit_x(e, i, CB_LAST);
    return is_turned ? cb__emit_transpose(e, x, rank, order) : x;
}

static void emit_matmul(struct cb_emit *e)
{
    const char *a = matrices(e, 0, cb__emit_integer(e, "transpose_a") != 0);
    const char *b = matrices(e, 1, cb__emit_integer(e, "transpose_b") != 0);
    cb__emit_y(e, 0, cb__emit_op(e, "MatMul", CB_DRAFT_IN(a, b), CB_DRAFT_PLAIN), CB_LAST);
}

const struct cb_emission_entry cb__emit_shape_table[] = {
    {"mean", emit_mean},     {"maximum", emit_maximum},
    {"sum", emit_sum_axes},  {"concat", emit_concat},
    {"stack", emit_stack},   {"split", emit_split},
    {"slice", emit_slice},   {"transpose", emit_transpose},
    {"matmul", emit_matmul}, {NULL, NULL},
};
