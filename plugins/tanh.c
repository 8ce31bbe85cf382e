/* tanh: y = (exp(x) - exp(-x)) / (exp(x) + exp(-x)), for each element. The derivative is 1 - y^2; it reads y, so x
 * need not be kept. The two functions are in cl/tanh.cl; the core makes the kernels and fuses them into the layer
 * above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "tanh",
    .family = "activations",
    .summary = "the hyperbolic tangent, from -1 to 1",
    .formula = "y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))",
    .example = "- tanh",
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
})
