/* log: y = ln(x), for each element: -infinity at 0, NaN below. The derivative is 1 / x; x is kept. The two functions
 * are in cl/log.cl; the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "log",
    .family = "arithmetic",
    .summary = "the natural logarithm",
    .formula = "y = log(x)",
    .example = "- log",
    .pointwise = CB_POINTWISE(CB_NEEDS_X),
})
