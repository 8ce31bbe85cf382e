/* exp: y = e^x, for each element. The derivative is y, so x need not be kept. The two functions are in cl/exp.cl;
 * the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_Y};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "exp",
    .summary = "the exponential function",
    .formula = "y = exp(x)",
    .example = "- exp",
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_Y,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
