/* celu: y = x where x > 0, else alpha (exp(x / alpha) - 1), for each element (Barron 2017): elu whose slope is
 * continuous at 0 for every alpha. The derivative is 1 where y > 0, else 1 + y / alpha, which is exp(x / alpha); it
 * reads y, so x need not be kept. The two functions are in cl/celu.cl; the core makes the kernels and fuses them
 * into the layer above. */
#include <cambium/layer.h>

struct options {
    double alpha;
};

static const struct options defaults = {1.0};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"alpha", "what y tends to, negated, as x falls", CB_OPT_REAL, AT(alpha), 1e-6, 1e30},
};

CB_PLUGIN({
    .name = "celu",
    .family = "activations",
    .summary = "exponential linear unit with a continuous slope",
    .formula = "y = x if x > 0 else alpha * (exp(x / alpha) - 1)",
    .example = "- celu: {alpha: 1.0}",
    CB_OPTIONS(options, defaults),
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
})
