/* square: y = x^2, for each element. The derivative is 2 x; x is kept. The two functions are in cl/square.cl; the
 * core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "square",
    .family = "arithmetic",
    .summary = "the square",
    .formula = "y = x * x",
    .example = "- square",
    .pointwise = CB_POINTWISE(CB_NEEDS_X),
})
