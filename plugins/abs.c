/* abs: y = |x|, for each element. The derivative is the sign of x, 0 at 0 (as PyTorch); x is kept. The two functions
 * are in cl/abs.cl; the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "abs",
    .family = "arithmetic",
    .summary = "the absolute value",
    .formula = "y = |x|",
    .example = "- abs",
    .pointwise = CB_POINTWISE(CB_NEEDS_X),
})
