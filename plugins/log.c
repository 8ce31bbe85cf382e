/* log: y = ln(x), for each element: -infinity at 0, NaN below. The derivative is 1 / x; x is kept. The two functions
 * are in cl/log.cl; the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_X};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "log",
    .summary = "the natural logarithm",
    .formula = "y = log(x)",
    .example = "- log",
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_X,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
