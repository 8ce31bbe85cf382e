/* concat: one or more tensors behind each other along an axis (torch.cat): [N,H,W,C1], [N,H,W,C2] -> [N,H,W,C1+C2].
 *
 *   y[..., offset of input i + j, ...] = x[i][..., j, ...]      dx[i] = that part of dy */
#include "box.h"

struct options {
    int64_t axis;
};

static const struct options defaults = {.axis = -1};

static const struct cb_option options[] = {
    {"axis", "the axis along which the inputs follow each other; 0 is N, -1 the channels", CB_OPT_INT,
     offsetof(struct options, axis), -CB_MAX_RANK, CB_MAX_RANK, NULL, 0, 0},
};

static enum cb_status concat_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const struct cb_tensor *a = in->x[0];
    uint32_t axis = 0;
    int64_t dims[CB_MAX_RANK];
    CB_TRY(box_axis(in, "axis", o->axis, a->rank, &axis));
    for (uint32_t d = 0; d < a->rank; d++) {
        dims[d] = a->dims[d];
    }
    for (uint32_t i = 1; i < in->x_count; i++) {
        const struct cb_tensor *b = in->x[i];
        if (b->dtype != a->dtype) {
            return host->fail(in->core, CB_MISMATCH, NULL, "concat needs values or whole numbers, but input %u differs "
                              "from the first", (unsigned)i + 1);
        }
        bool fits = b->rank == a->rank;
        for (uint32_t d = 0; fits && d < a->rank; d++) {
            fits = d == axis || b->dims[d] == a->dims[d];
        }
        if (!fits) {
            return host->fail(in->core, CB_MISMATCH, NULL,
                              "concat needs inputs that differ along axis %u alone, but input %u differs from the "
                              "first elsewhere", (unsigned)axis, (unsigned)i + 1);
        }
        dims[axis] += b->dims[axis];
    }
    return host->output(in->core, 0, a->dtype, a->rank, dims);
}

/* Input i into y behind `before` places of the axis. */
static struct box part(const struct cb_instance *in, const struct cb_tensor *y, const struct cb_tensor *x,
                       int64_t before)
{
    const struct options *o = in->options;
    const uint32_t axis = (uint32_t)(o->axis < 0 ? o->axis + y->rank : o->axis);
    const int64_t inner = box_stride(y->dims, y->rank, axis), length = x->dims[axis] * inner;
    struct box b = {.to_offset = before * inner};
    box_add_axis(&b, box_outer(y->dims, axis), y->dims[axis] * inner, length);
    box_add_axis(&b, length, 1, 1);
    return b;
}

static int64_t places(const struct cb_instance *in, uint32_t i)
{
    const struct options *o = in->options;
    return in->x[i]->dims[o->axis < 0 ? o->axis + in->x[i]->rank : o->axis];
}

static enum cb_status run_forward(struct cb_instance *in, bool tile)
{
    int64_t before = 0;
    for (uint32_t i = 0; i < in->x_count; i++) {
        const struct box b = part(in, in->y[0], in->x[i], before);
        CB_TRY(box_copy(in, in->y[0], in->x[i], &b, false, tile));
        before += places(in, i);
    }
    return CB_OK;
}

static enum cb_status run_backward(struct cb_instance *in, bool tile)
{
    int64_t before = 0;
    for (uint32_t i = 0; i < in->x_count; i++) {
        const struct box b = part(in, in->dy[0], in->x[i], before), back = box_reversed(&b);
        if (in->dx[i] != NULL) {
            CB_TRY(box_copy(in, in->dx[i], in->dy[0], &back, (in->dx_accumulate >> i) & 1u, tile));
        }
        before += places(in, i);
    }
    return CB_OK;
}

BOX_VARIANTS(run_forward, run_backward);

static const char *const trials[] = {
    "[{conv2d: {filters: 19, kernel: 1}, name: a}, {conv2d: {filters: 32, kernel: 1}, inputs: [x], name: b}, "
    "{concat: {}, inputs: [a, b]}, flatten]",
};

CB_PLUGIN({
    .name = "concat",
    .family = "shapes",
    .summary = "tensors behind each other along an axis",
    .formula = "y[..., sizes of the inputs before i + j, ...] = x[i][..., j, ...]",
    .example = "- concat: {axis: -1}\n  inputs: [branch1, branch2]",
    CB_OPTIONS(options, defaults),
    .min_inputs = 1,
    .max_inputs = 32,
    .integer_inputs = UINT32_MAX,
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = concat_infer,
})
