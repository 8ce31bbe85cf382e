/* softsign: y = x / (1 + |x|), for each element (Bergstra 2009). The derivative is 1 / (1 + |x|)^2 = (1 - |y|)^2; it
 * reads y, so x need not be kept. The two functions are in cl/softsign.cl; the core makes the kernels and fuses them
 * into the layer above. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_Y};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "softsign",
    .summary = "from -1 to 1, slower than the hyperbolic tangent",
    .formula = "y = x / (1 + |x|)",
    .example = "- softsign",
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_Y,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
