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

CB_PLUGIN({
    .name = "softplus",
    .family = "activations",
    .summary = "the rectifier made smooth",
    .formula = "y = x if beta * x > threshold else log(1 + exp(beta * x)) / beta",
    .example = "- softplus: {beta: 1.0}",
    CB_OPTIONS(options, defaults),
    .pointwise = CB_POINTWISE(CB_NEEDS_X),
})
