/* relu6: y = min(max(x, 0), 6), for each element (Krizhevsky 2010; MobileNet). The derivative is 1
 * where 0 < y < 6 and 0 elsewhere (as PyTorch); it reads y, so x need not be kept. The two functions
 * are in cl/relu6.cl; the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "relu6",
    .family = "activations",
    .summary = "the rectifier capped at 6",
    .formula = "y = min(max(x, 0), 6)",
    .example = "- relu6",
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
})
