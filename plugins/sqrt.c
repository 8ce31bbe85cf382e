/* sqrt: y = the square root of x, for each element: NaN below 0. The derivative is 1 / (2 y), infinite at 0; it
 * reads y, so x need not be kept. The two functions are in cl/sqrt.cl; the core makes the kernels and fuses them
 * into the layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "sqrt",
    .family = "arithmetic",
    .summary = "the square root",
    .formula = "y = sqrt(x)",
    .example = "- sqrt",
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
})
