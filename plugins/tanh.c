/* tanh: y = (exp(x) - exp(-x)) / (exp(x) + exp(-x)), for each element. The derivative is 1 - y^2; it reads y, so x
 * need not be kept. The two functions are in cl/tanh.cl; the core makes the kernels and fuses them into the layer
 * above. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_Y};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "tanh",
    .summary = "the hyperbolic tangent, from -1 to 1",
    .formula = "y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))",
    .example = "- tanh",
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_Y,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
