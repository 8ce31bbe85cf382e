/* silu: y = x / (1 + exp(-x)), for each element (Elfwing 2018; Ramachandran 2017). With s = 1 / (1 +
 * exp(-x)) the derivative is s (1 + x (1 - s)); y does not determine x, so x is kept. The two
 * functions are in cl/silu.cl; the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "silu",
    .family = "activations",
    .summary = "x times its logistic function (also called swish)",
    .formula = "y = x / (1 + exp(-x))",
    .example = "- silu",
    .pointwise = CB_POINTWISE(CB_NEEDS_X),
})
