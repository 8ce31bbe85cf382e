/* hardtanh: y = min(max(x, min_val), max_val), for each element (Collobert 2004). The derivative is 1 where min_val
 * < y < max_val, else 0, at both ends too (as PyTorch); it reads y, so x need not be kept. The two functions are in
 * cl/hardtanh.cl; the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

struct options {
    double min_val;
    double max_val;
};

static const struct options defaults = {-1.0, 1.0};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"min_val", "the least y", CB_OPT_REAL, AT(min_val), 0, 0},
    {"max_val", "the largest y", CB_OPT_REAL, AT(max_val), 0, 0},
};

static enum cb_status hardtanh_check(struct cb_instance *in)
{
    const struct options *o = in->options;
    if (o->min_val > o->max_val) {
        return in->host->fail(in->core, CB_INVALID, "min_val", "`min_val` is %g, but `max_val` only %g",
                              o->min_val, o->max_val);
    }
    return CB_OK;
}

CB_PLUGIN({
    .name = "hardtanh",
    .family = "activations",
    .summary = "x within bounds, -1 and 1 unless told otherwise",
    .formula = "y = min(max(x, min_val), max_val)",
    .example = "- hardtanh: {min_val: -2.0, max_val: 2.0}",
    CB_OPTIONS(options, defaults),
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
    .check = hardtanh_check,
})
