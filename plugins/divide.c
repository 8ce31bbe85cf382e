/* divide: y = a / b, element by element; or b is one value per sample and channel, [N,C] or [N,1,1,C], that divides all
 * places of a = [N,H,W,C]. da = dy / b; db = -dy a / b^2, summed over those places (binary.h). Division by 0 gives
 * infinity or NaN, as IEEE 754 says. */
#include "binary.h"

static enum cb_status divide_infer(struct cb_instance *in)
{
    return binary_infer(in, "divide");
}

static const char *const trials[] = {
    "[{conv2d: {filters: 32, kernel: 1}, name: a}, {conv2d: {filters: 32, kernel: 1}, inputs: [x], name: b}, "
    "{softplus: {}, name: c}, {divide: {}, inputs: [a, c]}, flatten]",
    "[{conv2d: {filters: 35, kernel: 1}, name: a}, global_avgpool, {softplus: {}, name: c}, "
    "{divide: {}, inputs: [a, c]}, flatten]",
};

CB_PLUGIN({
    .name = "divide",
    .family = "arithmetic",
    .summary = "the quotient of two tensors, or of a tensor and a value per channel",
    .formula = "y = a / b",
    .example = "- divide: {}\n  inputs: [numerator, denominator]",
    .min_inputs = 2,
    .max_inputs = 2,
    .dx_needs = CB_NEEDS_X,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(binary_variants),
    .trials = CB_ARRAY(trials),
    .infer = divide_infer,
})
