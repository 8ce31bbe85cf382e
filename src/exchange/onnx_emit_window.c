/* onnx_emit_window.c: window_attention as ONNX nodes.
 *
 * The picture is rolled by the shift, cut into windows, [N,H,W,3C] to three times [N, windows,
 * heads, S S, D], and back. The table of distances becomes a constant [heads, S S, S S]; where
 * pixels come in again from the other side, a second one, [windows, 1, S S, S S], keeps those apart
 * that only meet that way. */
#include "exchange/onnx_emit.h"

#include <math.h>

/* H x W pixels in windows of S x S, rolled by `shift` down and right; `heads` of D channels. */
struct windows {
    int64_t h, w, s, shift[2], heads, d, count;
};

static struct windows windows_of(const struct cb_emit *e)
{
    const int64_t *x = cb__emit_x_shape(e, 0)->dims, shift = cb__emit_integer(e, "shift");
    struct windows g = {.h = x[1],
                        .w = x[2],
                        .s = cb__emit_integer(e, "window"),
                        .heads = cb__emit_integer(e, "heads")};
    g.d = x[3] / 3 / g.heads;
    g.shift[0] = g.s >= g.h ? 0 : shift;
    g.shift[1] = g.s >= g.w ? 0 : shift;
    g.count = g.h / g.s * (g.w / g.s);
    return g;
}

/* Place i becomes what stood at i + by, around the end. */
static const char *rolled(struct cb_emit *e, const char *x, int64_t axis, int64_t size, int64_t by)
{
    if (by % size == 0) {
        return x;
    }
    const char *parts[2] = {cb__emit_slice(e, x, axis, by, size, 1),
                            cb__emit_slice(e, x, axis, 0, by, 1)};
    return cb__emit_op(e, "Concat", parts, 2, CB_DRAFT_WITH(CB_DRAFT_INT("axis", axis)));
}

/* [heads, S S, S S]: of query and key in a window, by their distance. */
static const char *distances(struct cb_emit *e, const struct windows *g)
{
    const struct cb_param *w = cb__emit_param(e, "w");
    const int64_t area = g->s * g->s, side = 2 * g->s - 1, dims[3] = {g->heads, area, area};
    float *values = cb__emit_room(e, g->heads * area * area);
    for (int64_t i = 0; values != NULL && i < g->heads * area * area; i++) {
        const int64_t head = i / (area * area), q = i / area % area, k = i % area;
        const int64_t down = q / g->s - k / g->s + g->s - 1, right = q % g->s - k % g->s + g->s - 1;
        values[i] = w->host[(down * side + right) * g->heads + head];
    }
    return cb__emit_floats(e, "distances", 3, dims, values);
}

/* Whether a pixel of the rolled picture came in from the other side: bit 0 down, bit 1 right. */
static int side_of(const struct windows *g, int64_t window, int64_t pixel)
{
    const int64_t across = g->w / g->s, row = window / across * g->s + pixel / g->s;
    const int64_t column = window % across * g->s + pixel % g->s;
    return (row >= g->h - g->shift[0] ? 1 : 0) + (column >= g->w - g->shift[1] ? 2 : 0);
}

/* [windows, 1, S S, S S]: 0, or -infinity for a key that the query does not see. */
static const char *sides(struct cb_emit *e, const struct windows *g)
{
    const int64_t area = g->s * g->s, dims[4] = {g->count, 1, area, area};
    float *values = cb__emit_room(e, g->count * area * area);
    for (int64_t i = 0; values != NULL && i < g->count * area * area; i++) {
        const int64_t window = i / (area * area), q = i / area % area, k = i % area;
        values[i] = side_of(g, window, q) == side_of(g, window, k) ? 0.0f : -INFINITY;
    }
    return cb__emit_floats(e, "sides", 4, dims, values);
}

/* Queries (0), keys (1) or values (2) of the cut picture: [N, windows, heads, S S, D]. */
static const char *part(struct cb_emit *e, const char *cut, const struct windows *g, int64_t which)
{
    const int64_t dims[4] = {g->count, g->heads, g->s * g->s, g->d};
    const char *one = cb__emit_slice(e, cut, 1, which, which + 1, 1);
    return cb__emit_reshape(e, one, 4, dims);
}

static void emit_window_attention(struct cb_emit *e)
{
    static const int64_t cutting[] = {0, 5, 1, 3, 6, 2, 4, 7}, keys[] = {0, 1, 2, 4, 3},
                         joining[] = {0, 1, 4, 2, 5, 3, 6};
    const struct windows g = windows_of(e);
    const int64_t down = g.h / g.s, across = g.w / g.s, picture[3] = {g.h, g.w, g.heads * g.d};
    const int64_t pieces[7] = {down, g.s, across, g.s, 3, g.heads, g.d},
                  back[6] = {down, across, g.heads, g.s, g.s, g.d};
    const double given = cb__emit_real(e, "scale");
    const char *x = rolled(e, cb__emit_x(e, 0, CB_LAST), 1, g.h, g.shift[0]);
    x = cb__emit_reshape(e, rolled(e, x, 2, g.w, g.shift[1]), 7, pieces);
    const char *cut =
        cb__emit_transpose(e, x, 8, cutting); /* [N, 3, down, across, heads, S, S, D] */
    const char *k = cb__emit_transpose(e, part(e, cut, &g, 1), 5, keys);
    const char *product =
        cb__emit_op(e, "MatMul", CB_DRAFT_IN(part(e, cut, &g, 0), k), CB_DRAFT_PLAIN);
    const char *scale = cb__emit_scalar(e, "scale", given > 0.0 ? given : 1.0 / sqrt((double)g.d));
    const char *scores = cb__emit_op(e, "Mul", CB_DRAFT_IN(product, scale), CB_DRAFT_PLAIN);
    scores = cb__emit_op(e, "Add", CB_DRAFT_IN(scores, distances(e, &g)), CB_DRAFT_PLAIN);
    if (g.shift[0] + g.shift[1] > 0) {
        scores = cb__emit_op(e, "Add", CB_DRAFT_IN(scores, sides(e, &g)), CB_DRAFT_PLAIN);
    }
    const char *shares =
        cb__emit_op(e, "Softmax", CB_DRAFT_IN(scores), CB_DRAFT_WITH(CB_DRAFT_INT("axis", -1)));
    const char *y =
        cb__emit_op(e, "MatMul", CB_DRAFT_IN(shares, part(e, cut, &g, 2)), CB_DRAFT_PLAIN);
    y = cb__emit_transpose(e, cb__emit_reshape(e, y, 6, back), 7, joining);
    y = cb__emit_reshape(e, y, 3, picture);
    y = rolled(e, y, 1, g.h, g.h - g.shift[0]);
    cb__emit_y(e, 0, rolled(e, y, 2, g.w, g.w - g.shift[1]), CB_LAST);
}

const struct cb_emission_entry cb__emit_window_table[] = {
    {"window_attention", emit_window_attention},
    {NULL, NULL},
};
