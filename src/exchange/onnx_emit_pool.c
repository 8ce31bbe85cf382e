/* onnx_emit_pool.c: pools as ONNX nodes, in channels-first layout. */
#include "exchange/onnx_emit.h"

enum { SAME = 1 }; /* the word of `padding` */

/* Of one direction, as plugins/pool2d.h has it. `after`: places behind the input that the last
 * window reaches, at least the padding, so that ONNX's rounding down gives the size that ceil_mode
 * gives. */
struct windows {
    int64_t kernel, stride, before, padded_after, after;
};

static struct windows windows_of(const struct cb_emit *e, uint32_t direction)
{
    const int64_t in = cb__emit_x_shape(e, 0)->dims[direction + 1],
                  out = cb__emit_y_shape(e, 0)->dims[direction + 1];
    const bool has_stride = cb__emit_list(e, "stride")->count > 0;
    struct windows w = {.kernel = cb__emit_pick(e, "kernel", direction),
                        .stride = cb__emit_pick(e, has_stride ? "stride" : "kernel", direction)};
    if (!cb__emit_padding(e, direction, &w.before, &w.padded_after) &&
        cb__emit_list(e, "padding")->choice == SAME) {
        const int64_t missing = (out - 1) * w.stride + w.kernel - in;
        w.before = missing > 0 ? missing / 2 : 0;
        w.padded_after = missing > 0 ? missing - missing / 2 : 0;
    }
    const int64_t reached = (out - 1) * w.stride + w.kernel - in - w.before;
    w.after = reached > w.padded_after ? reached : w.padded_after;
    return w;
}

static const char *pool(struct cb_emit *e, const char *op, const char *x, const struct windows w[2],
                        const int64_t pads[4], int64_t count_include_pad)
{
    const int64_t kernel[2] = {w[0].kernel, w[1].kernel}, stride[2] = {w[0].stride, w[1].stride};
    const struct cb_draft_attribute attributes[] = {
        CB_DRAFT_INTS("kernel_shape", 2, kernel), CB_DRAFT_INTS("strides", 2, stride),
        CB_DRAFT_INTS("pads", 4, pads), CB_DRAFT_INT("count_include_pad", count_include_pad)};
    return cb__emit_op(e, op, CB_DRAFT_IN(x), attributes, count_include_pad > 0 ? 4 : 3);
}

static void emit_maxpool2d(struct cb_emit *e)
{
    const struct windows w[2] = {windows_of(e, 0), windows_of(e, 1)};
    const int64_t pads[4] = {w[0].before, w[1].before, w[0].after, w[1].after};
    cb__emit_y(e, 0, pool(e, "MaxPool", cb__emit_x(e, 0, CB_FIRST), w, pads, 0), CB_FIRST);
}

/* Zeros around the picture, as many as the padding. */
static const char *padded(struct cb_emit *e, const char *x, const struct windows w[2])
{
    const int64_t pads[8] = {0, 0, w[0].before,       w[1].before,
                             0, 0, w[0].padded_after, w[1].padded_after};
    if (w[0].before + w[1].before + w[0].padded_after + w[1].padded_after == 0) {
        return x;
    }
    return cb__emit_op(e, "Pad", CB_DRAFT_IN(x, cb__emit_ints(e, "pads", 8, pads)), CB_DRAFT_PLAIN);
}

static bool hangs_over(const struct windows w[2])
{
    return w[0].after > w[0].padded_after || w[1].after > w[1].padded_after;
}

/* A mean over places that count: padding may, what a last window has beyond it never does. */
static void emit_avgpool2d(struct cb_emit *e)
{
    const struct windows w[2] = {windows_of(e, 0), windows_of(e, 1)};
    const bool counts = cb__emit_integer(e, "count_include_pad") != 0 &&
                        cb__emit_list(e, "padding")->choice != SAME;
    const char *x = cb__emit_x(e, 0, CB_FIRST);
    int64_t pads[4] = {w[0].before, w[1].before, w[0].after, w[1].after};
    if (counts && hangs_over(w)) {
        x = padded(e, x, w);
        pads[0] = pads[1] = 0;
        pads[2] -= w[0].padded_after;
        pads[3] -= w[1].padded_after;
        cb__emit_y(e, 0, pool(e, "AveragePool", x, w, pads, 0), CB_FIRST);
        return;
    }
    const bool has_pads = pads[0] + pads[1] + pads[2] + pads[3] > 0;
    cb__emit_y(e, 0, pool(e, "AveragePool", x, w, pads, counts && has_pads ? 1 : 0), CB_FIRST);
}

/* (mean of x^p * places of a whole window)^(1/p): a window that hangs over counts as if it were
 * full. */
static void emit_lp_pool2d(struct cb_emit *e)
{
    const struct windows w[2] = {windows_of(e, 0), windows_of(e, 1)};
    const double power = cb__emit_real(e, "power");
    const int64_t pads[4] = {0, 0, w[0].after - w[0].padded_after, w[1].after - w[1].padded_after};
    const char *x = cb__emit_x(e, 0, CB_FIRST), *exponent = cb__emit_scalar(e, "power", power);
    const char *raised = cb__emit_op(e, "Pow", CB_DRAFT_IN(x, exponent), CB_DRAFT_PLAIN);
    const char *mean = pool(e, "AveragePool", padded(e, raised, w), w, pads, 0);
    const char *count = cb__emit_scalar(e, "count", (double)(w[0].kernel * w[1].kernel));
    const char *sum = cb__emit_op(e, "Mul", CB_DRAFT_IN(mean, count), CB_DRAFT_PLAIN);
    const char *root = cb__emit_scalar(e, "root", 1.0 / power);
    cb__emit_y(e, 0, cb__emit_op(e, "Pow", CB_DRAFT_IN(sum, root), CB_DRAFT_PLAIN), CB_FIRST);
}

static void emit_global_avgpool(struct cb_emit *e)
{
    const char *mean = cb__emit_op(e, "GlobalAveragePool", CB_DRAFT_IN(cb__emit_x(e, 0, CB_FIRST)),
                                   CB_DRAFT_PLAIN);
    cb__emit_y(e, 0,
               cb__emit_op(e, "Flatten", CB_DRAFT_IN(mean), CB_DRAFT_WITH(CB_DRAFT_INT("axis", 1))),
               CB_LAST);
}

/* ---- adaptive: bins of about equal size
 * -------------------------------------------------------------------------- */

static int64_t bin_first(int64_t i, int64_t in, int64_t out)
{
    return i * in / out;
}

static int64_t bin_end(int64_t i, int64_t in, int64_t out)
{
    return ((i + 1) * in + out - 1) / out;
}

/* Equal bins are windows; of one bin a global pool. Empty text: the bins are not equal. */
static const char *equal_bins(struct cb_emit *e, const char *op, const char *global)
{
    const int64_t *in = cb__emit_x_shape(e, 0)->dims, *out = cb__emit_y_shape(e, 0)->dims;
    const char *x = cb__emit_x(e, 0, CB_FIRST);
    if (out[1] == 1 && out[2] == 1) {
        return cb__emit_op(e, global, CB_DRAFT_IN(x), CB_DRAFT_PLAIN);
    }
    if (in[1] % out[1] != 0 || in[2] % out[2] != 0) {
        return NULL;
    }
    const int64_t size[2] = {in[1] / out[1], in[2] / out[2]}, pads[4] = {0};
    const struct windows w[2] = {{.kernel = size[0], .stride = size[0]},
                                 {.kernel = size[1], .stride = size[1]}};
    return pool(e, op, x, w, pads, 0);
}

/* [in,out] (or its transpose): the share that each place has in each bin's mean. */
static const char *shares(struct cb_emit *e, int64_t in, int64_t out, bool is_turned)
{
    const int64_t dims[2] = {is_turned ? out : in, is_turned ? in : out};
    float *values = cb__emit_room(e, in * out);
    for (int64_t o = 0; values != NULL && o < out; o++) {
        const int64_t first = bin_first(o, in, out), end = bin_end(o, in, out);
        for (int64_t i = first; i < end; i++) {
            values[is_turned ? o * in + i : i * out + o] = 1.0f / (float)(end - first);
        }
    }
    return cb__emit_floats(e, "shares", 2, dims, values);
}

static void emit_adaptive_avgpool2d(struct cb_emit *e)
{
    const int64_t *in = cb__emit_x_shape(e, 0)->dims, *out = cb__emit_y_shape(e, 0)->dims;
    const char *y = equal_bins(e, "AveragePool", "GlobalAveragePool");
    if (y == NULL) {
        const char *x = cb__emit_x(e, 0, CB_FIRST);
        const char *wide = cb__emit_op(e, "MatMul", CB_DRAFT_IN(x, shares(e, in[2], out[2], false)),
                                       CB_DRAFT_PLAIN);
        y = cb__emit_op(e, "MatMul", CB_DRAFT_IN(shares(e, in[1], out[1], true), wide),
                        CB_DRAFT_PLAIN);
    }
    cb__emit_y(e, 0, y, CB_FIRST);
}

/* The largest of each bin along `axis`, whose places are gathered as [bins, places of the largest
 * bin]: a smaller bin names its last place again. */
static const char *largest(struct cb_emit *e, const char *x, int64_t axis, int64_t in, int64_t out)
{
    int64_t most = 0;
    for (int64_t o = 0; o < out; o++) {
        const int64_t size = bin_end(o, in, out) - bin_first(o, in, out);
        most = size > most ? size : most;
    }
    int64_t *places = CB_NEW_ARRAY(e->draft.arena, int64_t, (size_t)(out * most)),
            dims[2] = {out, most};
    for (int64_t i = 0; places != NULL && i < out * most; i++) {
        const int64_t o = i / most, at = bin_first(o, in, out) + i % most,
                      last = bin_end(o, in, out) - 1;
        places[i] = at < last ? at : last;
    }
    const char *name = cb_arena_printf(e->draft.arena, "%s/places", e->node->name);
    if (places == NULL || name == NULL) {
        return cb__draft_no_memory(&e->draft);
    }
    const int64_t reduced = axis + 1;
    const char *list = cb__draft_initializer(&e->draft, name, CB_DRAFT_I64, 2, dims, places);
    const char *gathered =
        cb__emit_op(e, "Gather", CB_DRAFT_IN(x, list), CB_DRAFT_WITH(CB_DRAFT_INT("axis", axis)));
    return cb__emit_op(
        e, "ReduceMax", CB_DRAFT_IN(gathered),
        CB_DRAFT_WITH(CB_DRAFT_INTS("axes", 1, &reduced), CB_DRAFT_INT("keepdims", 0)));
}

static void emit_adaptive_maxpool2d(struct cb_emit *e)
{
    const int64_t *in = cb__emit_x_shape(e, 0)->dims, *out = cb__emit_y_shape(e, 0)->dims;
    const char *y = equal_bins(e, "MaxPool", "GlobalMaxPool");
    if (y == NULL) {
        const char *rows = largest(e, cb__emit_x(e, 0, CB_FIRST), 2, in[1], out[1]);
        y = largest(e, rows, 3, in[2], out[2]);
    }
    cb__emit_y(e, 0, y, CB_FIRST);
}

const struct cb_emission_entry cb__emit_pool_table[] = {
    {"maxpool2d", emit_maxpool2d},
    {"avgpool2d", emit_avgpool2d},
    {"lp_pool2d", emit_lp_pool2d},
    {"global_avgpool", emit_global_avgpool},
    {"adaptive_avgpool2d", emit_adaptive_avgpool2d},
    {"adaptive_maxpool2d", emit_adaptive_maxpool2d},
    {NULL, NULL},
};
