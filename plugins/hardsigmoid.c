/* hardsigmoid: y = min(max(x / 6 + 1/2, 0), 1), for each element (Howard 2019, MobileNetV3). The derivative is 1/6
 * where 0 < y < 1, else 0; it reads y, so x need not be kept. The two functions are in cl/hardsigmoid.cl; the core
 * makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "hardsigmoid",
    .family = "activations",
    .summary = "sigmoid made of straight pieces",
    .formula = "y = min(max(x + 3, 0), 6) / 6",
    .example = "- hardsigmoid",
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
})
