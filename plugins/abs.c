/* abs: y = |x|, for each element. The derivative is the sign of x, 0 at 0 (as PyTorch); x is kept. The two functions
 * are in cl/abs.cl; the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_X};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "abs",
    .summary = "the absolute value",
    .formula = "y = |x|",
    .example = "- abs",
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_X,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
