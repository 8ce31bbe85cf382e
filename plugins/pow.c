/* pow: y = x^exponent, for each element: NaN for a negative x unless the exponent is whole. The derivative is
 * exponent * x^(exponent - 1), 0 for an exponent of 0; x is kept. The two functions are in cl/pow.cl; the core makes
 * the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

struct options {
    double exponent;
};

static const struct options defaults = {2.0};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"exponent", "what x is raised to", CB_OPT_REAL, AT(exponent), 0, 0},
};

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_X};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "pow",
    .summary = "a power with a fixed exponent",
    .formula = "y = x^exponent",
    .example = "- pow: {exponent: 0.5}",
    .options = CB_ARRAY(options),
    .defaults = &defaults,
    .options_size = sizeof(struct options),
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_X,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
