/* onnx_emit_place.c: what moves places of a picture or a sequence: pad, crop, pixel_shuffle,
 * upsample. */
#include "exchange/onnx_emit.h"

#include <math.h>

static void emit_pad(struct cb_emit *e)
{
    static const char *const modes[] = {"constant", "reflect", "edge"};
    const enum cb_layout layout = cb__emit_native(e, 0);
    const uint32_t rank = cb__emit_x_shape(e, 0)->rank;
    const int64_t mode = cb__emit_integer(e, "mode");
    int64_t pads[2 * CB_MAX_RANK] = {0};
    for (uint32_t direction = 0; direction + 2 < rank; direction++) {
        const int64_t axis = cb__emit_axis(layout, direction + 1, rank);
        if (rank == 3) { /* a sequence: one number, or [before, after] */
            pads[axis] = cb__emit_pick(e, "padding", 0);
            pads[rank + axis] = cb__emit_pick(e, "padding", 1);
        } else {
            (void)cb__emit_padding(e, direction, &pads[axis], &pads[rank + axis]);
        }
    }
    const char *value = mode == 0 ? cb__emit_scalar(e, "value", cb__emit_real(e, "value")) : NULL;
    cb__emit_y(
        e, 0,
        cb__emit_op(
            e, "Pad",
            CB_DRAFT_IN(cb__emit_x(e, 0, layout), cb__emit_ints(e, "pads", 2 * rank, pads), value),
            CB_DRAFT_WITH(CB_DRAFT_TEXT("mode", modes[mode >= 0 && mode < 3 ? mode : 0]))),
        layout);
}

static void emit_crop(struct cb_emit *e)
{
    const enum cb_layout layout = cb__emit_native(e, 0);
    const int64_t *in = cb__emit_x_shape(e, 0)->dims, *out = cb__emit_y_shape(e, 0)->dims;
    const bool is_placed = cb__emit_list(e, "offset")->count > 0;
    int64_t axes[2], from[2], to[2];
    for (uint32_t i = 0; i < 2; i++) {
        axes[i] = cb__emit_axis(layout, i + 1, 4);
        from[i] = is_placed ? cb__emit_pick(e, "offset", i) : (in[i + 1] - out[i + 1]) / 2;
        to[i] = from[i] + out[i + 1];
    }
    cb__emit_y(
        e, 0,
        cb__emit_op(e, "Slice",
                    CB_DRAFT_IN(cb__emit_x(e, 0, layout), cb__emit_ints(e, "starts", 2, from),
                                cb__emit_ints(e, "ends", 2, to), cb__emit_ints(e, "axes", 2, axes)),
                    CB_DRAFT_PLAIN),
        layout);
}

/* y[n, h r + i, w r + j, c] = x[n, h, w, c r r + i r + j]: ONNX calls that order CRD. */
static void emit_pixel_shuffle(struct cb_emit *e)
{
    cb__emit_y(
        e, 0,
        cb__emit_op(e, "DepthToSpace", CB_DRAFT_IN(cb__emit_x(e, 0, CB_FIRST)),
                    CB_DRAFT_WITH(CB_DRAFT_INT("blocksize", cb__emit_integer(e, "upscale_factor")),
                                  CB_DRAFT_TEXT("mode", "CRD"))),
        CB_FIRST);
}

/* The reverse; SpaceToDepth has only the other order. */
static void emit_pixel_unshuffle(struct cb_emit *e)
{
    static const int64_t order[] = {0, 1, 3, 5, 2, 4};
    const int64_t r = cb__emit_integer(e, "downscale_factor"), *in = cb__emit_x_shape(e, 0)->dims;
    const int64_t split[5] = {in[3], in[1] / r, r, in[2] / r, r},
                  joined[3] = {in[3] * r * r, in[1] / r, in[2] / r};
    const char *parts = cb__emit_reshape(e, cb__emit_x(e, 0, CB_FIRST), 5, split);
    cb__emit_y(e, 0, cb__emit_reshape(e, cb__emit_transpose(e, parts, 6, order), 3, joined),
               CB_FIRST);
}

/* ---- upsample
 * ----------------------------------------------------------------------------------------------------
 */

enum { NEAREST, BILINEAR };

/* One direction, as plugins/upsample.c has it: the input's places are `from` / `to` of an output's
 * place apart. */
struct axis {
    int64_t in, out, from, to;
};

static struct axis axis_of(const struct cb_emit *e, uint32_t direction)
{
    const struct cb_list *factors = cb__emit_list(e, "scale_factor");
    struct axis a = {.in = cb__emit_x_shape(e, 0)->dims[direction + 1],
                     .out = cb__emit_y_shape(e, 0)->dims[direction + 1]};
    a.from = a.in;
    a.to = a.out;
    if (factors->count > 0) {
        const double factor =
            ((const double *)
                 factors->items)[direction < factors->count ? direction : factors->count - 1];
        for (a.from = 1; a.from < 256; a.from++) {
            a.to = (int64_t)(factor * (double)a.from + 0.5);
            if (a.to > 0 && fabs(factor * (double)a.from - (double)a.to) < 1e-6) {
                break;
            }
        }
    }
    return a;
}

static bool is_whole_factor(const struct axis *a)
{
    return a->to % a->from == 0 && a->out == a->in * (a->to / a->from);
}

/* Whole factors: Resize. */
static const char *resized(struct cb_emit *e, const char *x, const struct axis axes[2],
                           int64_t mode, bool align_corners)
{
    const int64_t four = 4;
    float *scales = cb__emit_room(e, 4);
    for (uint32_t i = 0; scales != NULL && i < 4; i++) {
        scales[i] = i < 2 ? 1.0f : (float)(axes[i - 2].to / axes[i - 2].from);
    }
    const char *inputs[] = {x, NULL, cb__emit_floats(e, "scales", 1, &four, scales)};
    const char *where = mode == NEAREST ? "asymmetric"
                        : align_corners ? "align_corners"
                                        : "half_pixel";
    return cb__emit_op(e, "Resize", inputs, 3,
                       CB_DRAFT_WITH(CB_DRAFT_TEXT("mode", mode == NEAREST ? "nearest" : "linear"),
                                     CB_DRAFT_TEXT("coordinate_transformation_mode", where),
                                     CB_DRAFT_TEXT("nearest_mode", "floor")));
}

/* Other factors, exactly: nearest gathers places, bilinear multiplies by a matrix of weights. */
static const char *gathered(struct cb_emit *e, const char *x, int64_t along, const struct axis *a)
{
    int64_t *places = CB_NEW_ARRAY(e->draft.arena, int64_t, (size_t)a->out);
    for (int64_t i = 0; places != NULL && i < a->out; i++) {
        places[i] = i * a->from / a->to < a->in ? i * a->from / a->to : a->in - 1;
    }
    return places == NULL
               ? cb__draft_no_memory(&e->draft)
               : cb__emit_op(e, "Gather",
                             CB_DRAFT_IN(x, cb__emit_ints(e, "places", (size_t)a->out, places)),
                             CB_DRAFT_WITH(CB_DRAFT_INT("axis", along)));
}

static const char *weights(struct cb_emit *e, const struct axis *a, bool align_corners,
                           bool is_turned)
{
    const int64_t in = a->in, out = a->out, dims[2] = {is_turned ? out : in, is_turned ? in : out};
    float *values = cb__emit_room(e, in * out);
    for (int64_t o = 0; values != NULL && o < out; o++) {
        double at = align_corners
                        ? (out > 1 ? (double)o * (double)(in - 1) / (double)(out - 1) : 0.0)
                        : ((double)o + 0.5) * (double)a->from / (double)a->to - 0.5;
        at = at<0.0 ? 0.0 : at>(double)(in - 1) ? (double)(in - 1) : at;
        const int64_t low = (int64_t)floor(at), high = low + 1 < in ? low + 1 : low;
        values[is_turned ? o * in + low : low * out + o] += (float)(1.0 - (at - (double)low));
        values[is_turned ? o * in + high : high * out + o] += (float)(at - (double)low);
    }
    return cb__emit_floats(e, "weights", 2, dims, values);
}

static void emit_upsample(struct cb_emit *e)
{
    const struct axis axes[2] = {axis_of(e, 0), axis_of(e, 1)};
    const int64_t mode = cb__emit_integer(e, "mode");
    const bool align_corners = cb__emit_integer(e, "align_corners") != 0;
    const char *x = cb__emit_x(e, 0, CB_FIRST);
    if (is_whole_factor(&axes[0]) && is_whole_factor(&axes[1])) {
        x = resized(e, x, axes, mode, align_corners);
    } else if (mode == NEAREST) {
        x = gathered(e, gathered(e, x, 2, &axes[0]), 3, &axes[1]);
    } else {
        x = cb__emit_op(e, "MatMul", CB_DRAFT_IN(x, weights(e, &axes[1], align_corners, false)),
                        CB_DRAFT_PLAIN);
        x = cb__emit_op(e, "MatMul", CB_DRAFT_IN(weights(e, &axes[0], align_corners, true), x),
                        CB_DRAFT_PLAIN);
    }
    cb__emit_y(e, 0, x, CB_FIRST);
}

const struct cb_emission_entry cb__emit_place_table[] = {
    {"pad", emit_pad},
    {"crop", emit_crop},
    {"pixel_shuffle", emit_pixel_shuffle},
    {"pixel_unshuffle", emit_pixel_unshuffle},
    {"upsample", emit_upsample},
    {NULL, NULL},
};
