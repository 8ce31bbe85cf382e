/* subtract: y = a - b, element by element; or b is one value per sample and channel, [N,C] or [N,1,1,C], that is taken
 * from all places of a = [N,H,W,C]. da = dy; db = -dy, summed over those places (binary.h). */
#include "binary.h"

static enum cb_status subtract_infer(struct cb_instance *in)
{
    return binary_infer(in, "subtract");
}

static const char *const trials[] = {
    "[{conv2d: {filters: 32, kernel: 1}, name: a}, {conv2d: {filters: 32, kernel: 1}, inputs: [x], name: b}, "
    "{subtract: {}, inputs: [a, b]}, flatten]",
    "[{conv2d: {filters: 35, kernel: 1}, name: a}, {global_avgpool: {}, name: gate}, "
    "{subtract: {}, inputs: [a, gate]}, flatten]",
};

CB_PLUGIN({
    .name = "subtract",
    .family = "arithmetic",
    .summary = "the difference of two tensors, or of a tensor and a value per channel",
    .formula = "y = a - b",
    .example = "- subtract: {}\n  inputs: [left, right]",
    .min_inputs = 2,
    .max_inputs = 2,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(binary_variants),
    .trials = CB_ARRAY(trials),
    .infer = subtract_infer,
})
