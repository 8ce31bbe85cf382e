/* layernorm: y = (x - mean) w / sqrt(var + epsilon) + b, mean and variance (divided by C) of each row of C neighbours, the
 * last axis of [N,...,C] (Ba, Kiros and Hinton 2016; torch.nn.LayerNorm).
 *
 * The mean is taken first, then the variance about it, so that a row far from zero loses nothing. With xhat = (x - mean)
 * rstd, rstd = 1 / sqrt(var + epsilon) and g = dy w:
 *     db = sum over rows of dy,  dw = sum over rows of dy xhat
 *     dx = rstd (g - mean(g) - xhat mean(g xhat)) */
#define ROWNORM "layernorm"
#include "rownorm.h"

static const struct rownorm_options defaults = {.epsilon = 1e-5, .scale = 1, .shift = 1};

static const struct cb_option options[] = {
    {"epsilon", "added to the variance before its root is taken", CB_OPT_REAL, offsetof(struct rownorm_options, epsilon),
     1e-12, 1.0},
    {"scale", "whether a factor w per channel is learned", CB_OPT_BOOL, offsetof(struct rownorm_options, scale)},
    {"shift", "whether an addend b per channel is learned", CB_OPT_BOOL, offsetof(struct rownorm_options, shift)},
};

static const char *const trials[] = {
    "[{conv2d: {filters: 83, kernel: 1}}, layernorm, flatten]", /* a block of 64 channels, a vector, a tail */
};

CB_PLUGIN({
    .name = "layernorm",
    .family = "normalization",
    .summary = "the last axis shifted and scaled to mean 0, variance 1, then by a learned scale and shift",
    .formula = "y = (x - mean) * w / sqrt(var + epsilon) + b, mean and var over the last axis",
    .example = "- layernorm: {epsilon: 1e-6}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_X | CB_NEEDS_PARAMS | CB_NEEDS_SAVED,
    .dw_needs = CB_NEEDS_X | CB_NEEDS_SAVED,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(rownorm_variants),
    .trials = CB_ARRAY(trials),
    .infer = rownorm_infer,
})
