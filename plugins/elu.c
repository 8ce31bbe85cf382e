/* elu: y = x where x > 0, else alpha (exp(x) - 1), for each element (Clevert 2015). The derivative is 1 where y > 0,
 * else y + alpha, which is alpha exp(x); it reads y, so x need not be kept. The two functions are in cl/elu.cl; the
 * core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

struct options {
    double alpha;
};

static const struct options defaults = {1.0};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"alpha", "what y tends to, negated, as x falls", CB_OPT_REAL, AT(alpha), 0.0, 1e30},
};

CB_PLUGIN({
    .name = "elu",
    .family = "activations",
    .summary = "exponential linear unit: smooth below 0, down to -alpha",
    .formula = "y = x if x > 0 else alpha * (exp(x) - 1)",
    .example = "- elu: {alpha: 1.0}",
    CB_OPTIONS(options, defaults),
    .pointwise = CB_POINTWISE(CB_NEEDS_Y),
})
