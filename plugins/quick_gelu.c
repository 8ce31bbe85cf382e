/* quick_gelu: y = x / (1 + exp(-1.702 x)) for each element: gelu's share of a normal distribution replaced by a logistic
 * function (Hendrycks and Gimpel 2016), which CLIP was trained with. With s = 1 / (1 + exp(-1.702 x)) the derivative is
 * s (1 + 1.702 x (1 - s)); y does not determine x, so x is kept. The two functions are in cl/quick_gelu.cl; the core
 * makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "quick_gelu",
    .family = "activations",
    .summary = "x times the logistic function of 1.702 x: near to gelu, as in CLIP",
    .formula = "y = x / (1 + exp(-1.702 * x))",
    .example = "- quick_gelu",
    .pointwise = CB_POINTWISE(CB_NEEDS_X),
})
