/* hardsigmoid: y = min(max(x / 6 + 1/2, 0), 1), for each element (Howard 2019, MobileNetV3). The derivative is 1/6
 * where 0 < y < 1, else 0; it reads y, so x need not be kept. The two functions are in cl/hardsigmoid.cl; the core
 * makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_Y};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "hardsigmoid",
    .summary = "sigmoid made of straight pieces",
    .formula = "y = min(max(x + 3, 0), 6) / 6",
    .example = "- hardsigmoid",
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_Y,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
