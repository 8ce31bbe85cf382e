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

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_Y};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "elu",
    .summary = "exponential linear unit: smooth below 0, down to -alpha",
    .formula = "y = x if x > 0 else alpha * (exp(x) - 1)",
    .example = "- elu: {alpha: 1.0}",
    .options = CB_ARRAY(options),
    .defaults = &defaults,
    .options_size = sizeof(struct options),
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_Y,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .pointwise = &pointwise,
})
