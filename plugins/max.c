/* max: y = max(a, b), element by element (torch.maximum); or b is one value per sample and channel, [N,C] or [N,1,1,C],
 * that meets all places of a = [N,H,W,C]. dy goes to the larger one; equal values get half each (as PyTorch). db is
 * summed over the places (binary.h). NaN in either gives NaN. */
#include "binary.h"

static enum cb_status max_infer(struct cb_instance *in)
{
    return binary_infer(in, "max");
}

static const char *const trials[] = {
    "[{conv2d: {filters: 32, kernel: 1}, name: a}, {conv2d: {filters: 32, kernel: 1}, inputs: [x], name: b}, "
    "{max: {}, inputs: [a, b]}, flatten]",
    "[{conv2d: {filters: 35, kernel: 1}, name: a}, {global_avgpool: {}, name: gate}, "
    "{max: {}, inputs: [a, gate]}, flatten]",
};

CB_PLUGIN({
    .name = "max",
    .family = "arithmetic",
    .summary = "the larger of two tensors at each element, or of a tensor and a value per channel",
    .formula = "y = max(a, b)",
    .example = "- max: {}\n  inputs: [left, right]",
    .min_inputs = 2,
    .max_inputs = 2,
    .dx_needs = CB_NEEDS_X,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(binary_variants),
    .trials = CB_ARRAY(trials),
    .infer = max_infer,
})
