/* leaky_relu: y = x where x > 0, else negative_slope * x, for each element (Maas 2013). The derivative is 1 where y
 * > 0 and negative_slope elsewhere, 0 included (as PyTorch); it reads y, whose sign is that of x as the slope is not
 * negative. The two functions are in cl/leaky_relu.cl; the core makes the kernels and fuses them into the layer
 * above. */
#include <cambium/layer.h>

struct options {
    double negative_slope;
};

static const struct options defaults = {0.01};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"negative_slope", "the slope where x is negative", CB_OPT_REAL, AT(negative_slope), 0.0, 1e30},
};

CB_PLUGIN({
    .name = "leaky_relu",
    .family = "activations",
    .summary = "the rectifier with a small slope for negative values",
    .formula = "y = x if x > 0 else negative_slope * x",
    .example = "- leaky_relu: {negative_slope: 0.2}",
    CB_OPTIONS(options, defaults),
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
})
