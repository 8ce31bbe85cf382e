/* selu: y = s x where x > 0, else s a (exp(x) - 1), for each element (Klambauer 2017), with the constants s and a
 * for which activations keep mean 0 and variance 1 from layer to layer. The derivative is s where y > 0, else y + s
 * a; it reads y, so x need not be kept. The two functions are in cl/selu.cl; the core makes the kernels and fuses
 * them into the layer above. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_Y};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "selu",
    .summary = "self-normalizing exponential linear unit",
    .formula = "y = 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * (exp(x) - 1))",
    .example = "- selu",
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_Y,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
