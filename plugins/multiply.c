/* multiply: y = a b, element by element; or b is one value per sample and channel, [N,C] or [N,1,1,C], that gates all
 * places of a = [N,H,W,C] (squeeze-and-excitation, Hu 2018). da = dy b; db = dy a, summed over the places of a gate
 * (binary.h). */
#include "binary.h"

static enum cb_status multiply_infer(struct cb_instance *in)
{
    return binary_infer(in, "multiply");
}

static const char *const trials[] = {
    "[{conv2d: {filters: 32, kernel: 1}, name: a}, {conv2d: {filters: 32, kernel: 1}, inputs: [x], name: b}, "
    "{multiply: {}, inputs: [a, b]}, flatten]",
    "[{conv2d: {filters: 35, kernel: 1}, name: a}, {global_avgpool: {}, name: gate}, "
    "{multiply: {}, inputs: [a, gate]}, flatten]",
};

CB_PLUGIN({
    .name = "multiply",
    .family = "arithmetic",
    .summary = "the product of two tensors, or of a tensor and a gate per channel",
    .formula = "y = a * b",
    .example = "- multiply: {}\n  inputs: [features, gate]",
    .min_inputs = 2,
    .max_inputs = 2,
    .dx_needs = CB_NEEDS_X,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(binary_variants),
    .trials = CB_ARRAY(trials),
    .infer = multiply_infer,
})
