/* softmax: y = exp(x - max) / sum(exp(x - max)) over the last axis. Subtracting the largest value changes nothing but
 * keeps exp finite. With g = dy the gradient is dx = y (g - sum(g y)). One work-item takes one row, in a fixed order: a
 * sample's result does not depend on its batch. */
#include "softmax.h"

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = softmax_run_forward, .kernels = "softmax_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = softmax_run_dx, .kernels = "softmax_dx"},
};

CB_PLUGIN({
    .name = "softmax",
    .family = "activations",
    .summary = "scores to probabilities over the last axis",
    .formula = "y = exp(x - max(x)) / sum(exp(x - max(x)))",
    .example = "- softmax",
    .dx_needs = CB_NEEDS_Y,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = softmax_infer,
})
