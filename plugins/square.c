/* square: y = x^2, for each element. The derivative is 2 x; x is kept. The two functions are in cl/square.cl; the
 * core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_X};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "square",
    .summary = "the square",
    .formula = "y = x * x",
    .example = "- square",
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_X,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
