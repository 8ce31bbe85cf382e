/* hardswish: y = x * min(max(x + 3, 0), 6) / 6, for each element (Howard 2019, MobileNetV3). The
 * derivative is 0 up to -3, x / 3 + 1/2 between, and 1 from 3; y does not determine x, so x is
 * kept. The two functions are in cl/hardswish.cl; the core makes the kernels and fuses them into the
 * layer above. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_X};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "hardswish",
    .summary = "silu made of straight pieces",
    .formula = "y = x * min(max(x + 3, 0), 6) / 6",
    .example = "- hardswish",
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_X,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
