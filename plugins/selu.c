/* selu: y = s x where x > 0, else s a (exp(x) - 1), for each element (Klambauer 2017), with the constants s and a
 * for which activations keep mean 0 and variance 1 from layer to layer. The derivative is s where y > 0, else y + s
 * a; it reads y, so x need not be kept. The two functions are in cl/selu.cl; the core makes the kernels and fuses
 * them into the layer above. */
#include <cambium/layer.h>

CB_PLUGIN({
    .name = "selu",
    .family = "activations",
    .summary = "self-normalizing exponential linear unit",
    .formula = "y = 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * (exp(x) - 1))",
    .example = "- selu",
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
})
