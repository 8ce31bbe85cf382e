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

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_Y};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "leaky_relu",
    .summary = "the rectifier with a small slope for negative values",
    .formula = "y = x if x > 0 else negative_slope * x",
    .example = "- leaky_relu: {negative_slope: 0.2}",
    .options = CB_ARRAY(options),
    .defaults = &defaults,
    .options_size = sizeof(struct options),
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_Y,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
