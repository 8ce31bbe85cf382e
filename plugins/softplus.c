/* softplus: y = log(1 + exp(beta x)) / beta, for each element (Dugas 2000); x itself where beta x > threshold, as
 * PyTorch. Taken as (max(z, 0) + log(1 + exp(-|z|))) / beta, z = beta x, which never overflows. The derivative is 1
 * / (1 + exp(-z)), or 1 beyond the threshold. Near a low threshold two x have the same y, so x is kept. The two
 * functions are in cl/softplus.cl; the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

struct options {
    double beta;
    double threshold;
};

static const struct options defaults = {1.0, 20.0};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"beta", "how sharp the bend is", CB_OPT_REAL, AT(beta), 1e-6, 1e6},
    {"threshold", "y is x where beta x is above it", CB_OPT_REAL, AT(threshold), 0, 0},
};

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_X};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "softplus",
    .summary = "the rectifier made smooth",
    .formula = "y = x if beta * x > threshold else log(1 + exp(beta * x)) / beta",
    .example = "- softplus: {beta: 1.0}",
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
