/* hardswish: y = x * min(max(x + 3, 0), 6) / 6, for each element (Howard 2019, MobileNetV3). The
 * derivative is 0 up to -3, x / 3 + 1/2 between, and 1 from 3; y does not determine x, so x is
 * kept. The two functions are in cl/hardswish.cl; the core makes the kernels and fuses them into the
 * layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "hardswish",
    .family = "activations",
    .summary = "silu made of straight pieces",
    .formula = "y = x * min(max(x + 3, 0), 6) / 6",
    .example = "- hardswish",
    .pointwise = CB_POINTWISE(CB_NEEDS_X),
})
