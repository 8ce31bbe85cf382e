/* sqrt: y = the square root of x, for each element: NaN below 0. The derivative is 1 / (2 y), infinite at 0; it
 * reads y, so x need not be kept. The two functions are in cl/sqrt.cl; the core makes the kernels and fuses them
 * into the layer above. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_Y};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "sqrt",
    .summary = "the square root",
    .formula = "y = sqrt(x)",
    .example = "- sqrt",
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_Y,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
