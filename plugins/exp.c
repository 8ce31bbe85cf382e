/* exp: y = e^x, for each element. The derivative is y, so x need not be kept. The two functions are in cl/exp.cl;
 * the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "exp",
    .family = "arithmetic",
    .summary = "the exponential function",
    .formula = "y = exp(x)",
    .example = "- exp",
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
})
