/* log_softmax: y = x - max - log(sum(exp(x - max))) over the last axis: the logarithm of softmax without its underflow.
 * With g = dy the gradient is dx = g - exp(y) sum(g). One work-item takes one row, in a fixed order: a sample's result
 * does not depend on its batch. */
#include "softmax.h"

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = softmax_run_forward, .kernels = "log_softmax_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = softmax_run_dx, .kernels = "log_softmax_dx"},
};

CB_PLUGIN({
    .name = "log_softmax",
    .family = "activations",
    .summary = "scores to logarithms of probabilities over the last axis",
    .formula = "y = x - max(x) - log(sum(exp(x - max(x))))",
    .example = "- log_softmax",
    .dx_needs = CB_NEEDS_Y,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = softmax_infer,
})
