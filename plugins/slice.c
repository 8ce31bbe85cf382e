/* slice: the places of one axis from `from` to before `to`, every `step`th (x[:, from:to:step] in NumPy).
 *
 *   y[..., j, ...] = x[..., from + j step, ...]      dx = dy at those places, 0 elsewhere */
#include "box.h"

#define TO_THE_END INT32_MAX

struct options {
    int64_t axis, from, to, step;
};

static const struct options defaults = {.axis = -1, .from = 0, .to = TO_THE_END, .step = 1};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"axis", "the axis of which a part is taken; 0 is N, -1 the channels", CB_OPT_INT, AT(axis), -CB_MAX_RANK,
     CB_MAX_RANK, NULL, 0, 0},
    {"from", "the first place; a negative one counts from the end", CB_OPT_INT, AT(from), -INT32_MAX, INT32_MAX, NULL,
     0, 0},
    {"to", "the place behind the last; a negative one counts from the end, one beyond it is the end", CB_OPT_INT,
     AT(to), -INT32_MAX, INT32_MAX, NULL, 0, 0},
    {"step", "from one place that is taken to the next", CB_OPT_INT, AT(step), 1, INT32_MAX, NULL, 0, 0},
};

/* What the options say about an axis of so many places. */
struct range {
    uint32_t axis;
    int64_t first, count;
};

static struct range range_of(const struct options *o, const struct cb_tensor *x)
{
    struct range r = {.axis = (uint32_t)(o->axis < 0 ? o->axis + x->rank : o->axis)};
    const int64_t places = x->dims[r.axis], to = o->to < 0 ? o->to + places : o->to;
    r.first = o->from < 0 ? o->from + places : o->from;
    r.count = ((to < places ? to : places) - r.first + o->step - 1) / o->step;
    return r;
}

static enum cb_status slice_infer(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    uint32_t axis = 0;
    int64_t dims[CB_MAX_RANK];
    CB_TRY(box_axis(in, "axis", o->axis, x->rank, &axis));
    const struct range r = range_of(o, x);
    if (r.first < 0 || r.first >= x->dims[axis]) {
        return in->host->fail(in->core, CB_MISMATCH, "from", "`from` is %lld, but the axis has %lld places",
                              (long long)o->from, (long long)x->dims[axis]);
    }
    if (r.count < 1) {
        return in->host->fail(in->core, CB_MISMATCH, "to",
                              "nothing is left: `to` is %lld, which is not behind place %lld of %lld",
                              (long long)o->to, (long long)r.first, (long long)x->dims[axis]);
    }
    for (uint32_t d = 0; d < x->rank; d++) {
        dims[d] = d == axis ? r.count : x->dims[d];
    }
    return in->host->output(in->core, 0, x->dtype, x->rank, dims);
}

/* From x to y. */
static struct box taken(const struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    const struct range r = range_of(o, x);
    const int64_t inner = box_stride(x->dims, x->rank, r.axis);
    struct box b = {.from_offset = r.first * inner};
    box_add_axis(&b, box_outer(x->dims, r.axis), r.count * inner, x->dims[r.axis] * inner);
    box_add_axis(&b, r.count, inner, o->step * inner);
    box_add_axis(&b, inner, 1, 1);
    return b;
}

static enum cb_status run_forward(struct cb_instance *in, bool tile)
{
    const struct box b = taken(in);
    return box_copy(in, in->y[0], in->x[0], &b, false, tile);
}

static enum cb_status run_backward(struct cb_instance *in, bool tile)
{
    const struct box b = taken(in);
    return box_gradient(in, &b, tile);
}

BOX_VARIANTS(run_forward, run_backward);

static const char *const trials[] = {
    "[{conv2d: {filters: 35, kernel: 1}}, {slice: {axis: 2, from: 1, to: -1, step: 2}}, {slice: {to: 17}}, flatten]",
};

CB_PLUGIN({
    .name = "slice",
    .family = "shapes",
    .summary = "the places of one axis from one to another",
    .formula = "y[..., j, ...] = x[..., from + j * step, ...]",
    .example = "- slice: {axis: 1, from: 1, to: -1}",
    CB_OPTIONS(options, defaults),
    .integer_inputs = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = slice_infer,
})
