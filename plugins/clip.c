/* clip: y = min(max(x, min), max), for each element (torch.clamp); either bound may be left out. The derivative is 1
 * where min < y < max, else 0, at the ends too (as PyTorch's newer versions); it reads y, so x need not be kept. The
 * two functions are in cl/clip.cl; the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

#include <math.h>

struct options {
    double min;
    double max;
};

static const struct options defaults = {-INFINITY, INFINITY};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"min", "the least y", CB_OPT_REAL, AT(min), 0, 0},
    {"max", "the largest y", CB_OPT_REAL, AT(max), 0, 0},
};

static enum cb_status clip_check(struct cb_instance *in)
{
    const struct options *o = in->options;
    if (o->min > o->max) {
        return in->host->fail(in->core, CB_INVALID, "min", "`min` is %g, but `max` only %g",
                              o->min, o->max);
    }
    return CB_OK;
}

CB_PLUGIN({
    .name = "clip",
    .family = "arithmetic",
    .summary = "x within bounds",
    .formula = "y = min(max(x, min), max)",
    .example = "- clip: {min: 0.0, max: 1.0}",
    CB_OPTIONS(options, defaults),
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
    .check = clip_check,
})
