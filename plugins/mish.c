/* mish: y = x tanh(log(1 + exp(x))), for each element (Misra 2019). With e = exp(x) and n = e (e + 2) the factor t =
 * tanh(...) is n / (n + 2), without logarithm or tanh; the derivative is t + x (1 - t^2) e / (1 + e). y does not
 * determine x, so x is kept. The two functions are in cl/mish.cl; the core makes the kernels and fuses them into the
 * layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "mish",
    .family = "activations",
    .summary = "x times the hyperbolic tangent of softplus",
    .formula = "y = x * tanh(log(1 + exp(x)))",
    .example = "- mish",
    .pointwise = CB_POINTWISE(CB_NEEDS_X),
})
