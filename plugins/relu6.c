/* relu6: y = min(max(x, 0), 6), for each element (Krizhevsky 2010; MobileNet). The derivative is 1
 * where 0 < y < 6 and 0 elsewhere (as PyTorch); it reads y, so x need not be kept. The two functions
 * are in cl/relu6.cl; the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_Y};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "relu6",
    .summary = "the rectifier capped at 6",
    .formula = "y = min(max(x, 0), 6)",
    .example = "- relu6",
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_Y,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
