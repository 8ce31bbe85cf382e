/* silu: y = x / (1 + exp(-x)), for each element (Elfwing 2018; Ramachandran 2017). With s = 1 / (1 +
 * exp(-x)) the derivative is s (1 + x (1 - s)); y does not determine x, so x is kept. The two
 * functions are in cl/silu.cl; the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_X};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "silu",
    .summary = "x times its logistic function (also called swish)",
    .formula = "y = x / (1 + exp(-x))",
    .example = "- silu",
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_X,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
