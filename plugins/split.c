/* split: one tensor in parts along an axis (torch.split, torch.chunk): [N,T,C] -> [N,T,C1], [N,T,C2], ...
 *
 *   y[i][..., j, ...] = x[..., sizes of the parts before i + j, ...]      dx = the dy behind each other
 *
 * The outputs of a layer `halves` are `halves`, `halves.1`, `halves.2`, ... */
#include "box.h"

#define MAX_OUTPUTS 64

struct options {
    int64_t axis, parts;
    struct cb_list sizes; /* of int64_t */
};

static const struct options defaults = {.axis = -1, .sizes = CB_LIST_EMPTY};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"parts", "into how many equal parts; 0: as `sizes` says", CB_OPT_INT, AT(parts), 0, MAX_OUTPUTS, NULL, 0, 0},
    {"sizes", "the size of each part along the axis; together the size of the axis", CB_OPT_INTS, AT(sizes), 1, 1 << 30,
     NULL, 0, MAX_OUTPUTS},
    {"axis", "the axis that is divided; 0 is N, -1 the channels", CB_OPT_INT, AT(axis), -CB_MAX_RANK, CB_MAX_RANK, NULL,
     0, 0},
};

static uint32_t axis_of(const struct options *o, const struct cb_tensor *x)
{
    return (uint32_t)(o->axis < 0 ? o->axis + x->rank : o->axis);
}

static int64_t size_of(const struct options *o, const struct cb_tensor *x, uint32_t part)
{
    return o->sizes.count > 0 ? ((const int64_t *)o->sizes.items)[part] : x->dims[axis_of(o, x)] / o->parts;
}

static enum cb_status check_sizes(struct cb_instance *in, int64_t places)
{
    const struct options *o = in->options;
    int64_t sum = 0;
    if ((o->parts > 0) == (o->sizes.count > 0)) {
        return in->host->fail(in->core, CB_INVALID, NULL, "split needs either `parts` or `sizes`");
    }
    for (uint32_t i = 0; i < o->sizes.count; i++) {
        sum += ((const int64_t *)o->sizes.items)[i];
    }
    if (o->sizes.count > 0 && sum != places) {
        return in->host->fail(in->core, CB_MISMATCH, "sizes",
                              "the `sizes` add up to %lld, but the axis has %lld places", (long long)sum,
                              (long long)places);
    }
    if (o->parts > 0 && places % o->parts != 0) {
        return in->host->fail(in->core, CB_MISMATCH, "parts", "%lld places can't be divided into %lld equal `parts`",
                              (long long)places, (long long)o->parts);
    }
    return CB_OK;
}

static enum cb_status split_infer(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    uint32_t axis = 0;
    int64_t dims[CB_MAX_RANK];
    CB_TRY(box_axis(in, "axis", o->axis, x->rank, &axis));
    CB_TRY(check_sizes(in, x->dims[axis]));
    for (uint32_t d = 0; d < x->rank; d++) {
        dims[d] = x->dims[d];
    }
    const uint32_t count = o->sizes.count > 0 ? o->sizes.count : (uint32_t)o->parts;
    for (uint32_t i = 0; i < count; i++) {
        dims[axis] = size_of(o, x, i);
        CB_TRY(in->host->output(in->core, i, x->dtype, x->rank, dims));
    }
    return CB_OK;
}

/* From x to output `part`, which begins `before` places in. */
static struct box part_of(const struct cb_instance *in, const struct cb_tensor *y, int64_t before)
{
    const struct cb_tensor *x = in->x[0];
    const uint32_t axis = axis_of(in->options, x);
    const int64_t inner = box_stride(x->dims, x->rank, axis), length = y->dims[axis] * inner;
    struct box b = {.from_offset = before * inner};
    box_add_axis(&b, box_outer(x->dims, axis), length, x->dims[axis] * inner);
    box_add_axis(&b, length, 1, 1);
    return b;
}

static enum cb_status run_forward(struct cb_instance *in, bool tile)
{
    int64_t before = 0;
    for (uint32_t i = 0; i < in->y_count; i++) {
        const struct box b = part_of(in, in->y[i], before);
        CB_TRY(box_copy(in, in->y[i], in->x[0], &b, false, tile));
        before += size_of(in->options, in->x[0], i);
    }
    return CB_OK;
}

static enum cb_status run_backward(struct cb_instance *in, bool tile)
{
    int64_t before = 0;
    for (uint32_t i = 0; i < in->y_count && in->dx[0] != NULL; i++) {
        const struct box b = part_of(in, in->dy[i], before), back = box_reversed(&b);
        CB_TRY(box_copy(in, in->dx[0], in->dy[i], &back, in->dx_accumulate & 1u, tile));
        before += size_of(in->options, in->x[0], i);
    }
    return CB_OK;
}

BOX_VARIANTS(run_forward, run_backward);

static const char *const trials[] = {
    "[{conv2d: {filters: 35, kernel: 1}}, {split: {sizes: [16, 19]}, name: parts}, "
    "{concat: {}, inputs: [parts.1, parts]}, flatten]",
};

CB_PLUGIN({
    .flags = CB_LAYER_FEWER_OUTPUTS,
    .name = "split",
    .family = "shapes",
    .summary = "a tensor in parts along an axis: outputs NAME, NAME.1, NAME.2, ...",
    .formula = "y[i][..., j, ...] = x[..., sizes of the parts before i + j, ...]",
    .example = "- split: {parts: 2}\n  name: halves\n- add: {}\n  inputs: [halves, halves.1]",
    CB_OPTIONS(options, defaults),
    .output_count = MAX_OUTPUTS,
    .integer_inputs = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = split_infer,
})
