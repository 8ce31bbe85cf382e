/* stack: tensors of one shape along a new axis (torch.stack): M times [N,C] -> [N,M,C].
 *
 *   y[..., i, ...] = x[i][..., ...]      dx[i] = that part of dy */
#include "box.h"

struct options {
    int64_t axis;
};

static const struct options defaults = {.axis = 1};

static const struct cb_option options[] = {
    {"axis", "which axis of the output is the new one; 0 is N, -1 puts it last", CB_OPT_INT,
     offsetof(struct options, axis), -CB_MAX_RANK, CB_MAX_RANK, NULL, 0, 0},
};

static enum cb_status stack_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const struct cb_tensor *a = in->x[0];
    uint32_t axis = 0;
    int64_t dims[CB_MAX_RANK];
    if (a->rank >= CB_MAX_RANK) {
        return host->fail(in->core, CB_MISMATCH, NULL, "stack adds an axis, but its inputs already have %u",
                          (unsigned)a->rank);
    }
    CB_TRY(box_axis(in, "axis", o->axis, a->rank + 1, &axis));
    for (uint32_t i = 1; i < in->x_count; i++) {
        const struct cb_tensor *b = in->x[i];
        bool same = b->rank == a->rank && b->dtype == a->dtype;
        for (uint32_t d = 0; same && d < a->rank; d++) {
            same = b->dims[d] == a->dims[d];
        }
        if (!same) {
            return host->fail(in->core, CB_MISMATCH, NULL,
                              "stack needs inputs of one shape, but input %u differs from the first", (unsigned)i + 1);
        }
    }
    for (uint32_t d = 0; d <= a->rank; d++) {
        dims[d] = d < axis ? a->dims[d] : d == axis ? in->x_count : a->dims[d - 1];
    }
    return host->output(in->core, 0, a->dtype, a->rank + 1, dims);
}

/* Input i into y. */
static struct box part(const struct cb_instance *in, const struct cb_tensor *y, uint32_t i)
{
    const struct options *o = in->options;
    const uint32_t axis = (uint32_t)(o->axis < 0 ? o->axis + y->rank : o->axis);
    const int64_t inner = box_stride(y->dims, y->rank, axis);
    struct box b = {.to_offset = i * inner};
    box_add_axis(&b, box_outer(y->dims, axis), y->dims[axis] * inner, inner);
    box_add_axis(&b, inner, 1, 1);
    return b;
}

static enum cb_status run_forward(struct cb_instance *in, bool tile)
{
    for (uint32_t i = 0; i < in->x_count; i++) {
        const struct box b = part(in, in->y[0], i);
        CB_TRY(box_copy(in, in->y[0], in->x[i], &b, false, tile));
    }
    return CB_OK;
}

static enum cb_status run_backward(struct cb_instance *in, bool tile)
{
    for (uint32_t i = 0; i < in->x_count; i++) {
        const struct box b = part(in, in->dy[0], i), back = box_reversed(&b);
        if (in->dx[i] != NULL) {
            CB_TRY(box_copy(in, in->dx[i], in->dy[0], &back, (in->dx_accumulate >> i) & 1u, tile));
        }
    }
    return CB_OK;
}

BOX_VARIANTS(run_forward, run_backward);

static const char *const trials[] = {
    "[{conv2d: {filters: 19, kernel: 1}, name: a}, {conv2d: {filters: 19, kernel: 1}, inputs: [x], name: b}, "
    "{stack: {axis: 3}, inputs: [a, b]}, flatten]",
};

CB_PLUGIN({
    .name = "stack",
    .family = "shapes",
    .summary = "tensors of one shape along a new axis",
    .formula = "y[..., i, ...] = x[i][..., ...]",
    .example = "- stack: {axis: 1}\n  inputs: [left, right]",
    CB_OPTIONS(options, defaults),
    .min_inputs = 1,
    .max_inputs = 32,
    .integer_inputs = UINT32_MAX,
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = stack_infer,
})
