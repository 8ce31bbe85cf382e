/* sigmoid: y = 1 / (1 + exp(-x)), for each element. The derivative is y (1 - y); it reads y, so x need
 * not be kept. The two functions are in cl/sigmoid.cl; the core makes the kernels and fuses them into
 * the layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "sigmoid",
    .family = "activations",
    .summary = "the logistic function, into 0 to 1",
    .formula = "y = 1 / (1 + exp(-x))",
    .example = "- sigmoid",
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
})
