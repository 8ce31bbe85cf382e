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

CB_PLUGIN({
    .name = "pow",
    .family = "arithmetic",
    .summary = "a power with a fixed exponent",
    .formula = "y = x^exponent",
    .example = "- pow: {exponent: 0.5}",
    CB_OPTIONS(options, defaults),
    .pointwise = CB_POINTWISE(CB_NEEDS_X),
})
