/* relu: y = max(x, 0), for each element (Nair and Hinton 2010). The derivative is 1 where y > 0 and 0
 * elsewhere, 0 included (as PyTorch); it reads y, so x need not be kept. The two functions are in
 * cl/relu.cl; the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "relu",
    .family = "activations",
    .summary = "the rectifier: negative values become 0",
    .formula = "y = max(x, 0)",
    .example = "- relu",
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
})
