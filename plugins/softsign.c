/* softsign: y = x / (1 + |x|), for each element (Bergstra 2009). The derivative is 1 / (1 + |x|)^2 = (1 - |y|)^2; it
 * reads y, so x need not be kept. The two functions are in cl/softsign.cl; the core makes the kernels and fuses them
 * into the layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "softsign",
    .family = "activations",
    .summary = "from -1 to 1, slower than the hyperbolic tangent",
    .formula = "y = x / (1 + |x|)",
    .example = "- softsign",
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
})
