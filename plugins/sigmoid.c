/* sigmoid: y = 1 / (1 + exp(-x)), for each element. The derivative is y (1 - y); it reads y, so x need
 * not be kept. The two functions are in cl/sigmoid.cl; the core makes the kernels and fuses them into
 * the layer above. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_Y};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "sigmoid",
    .summary = "the logistic function, into 0 to 1",
    .formula = "y = 1 / (1 + exp(-x))",
    .example = "- sigmoid",
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_Y,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
