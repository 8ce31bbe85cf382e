/* rmsnorm: y = x w / sqrt(mean(x^2) + epsilon), the mean over each row of C neighbours, the last axis of [N,...,C] (Zhang
 * and Sennrich 2019; torch.nn.RMSNorm).
 *
 * With rstd = 1 / sqrt(mean(x^2) + epsilon), xhat = x rstd and g = dy w:
 *     dw = sum over rows of dy xhat
 *     dx = rstd (g - xhat mean(g xhat)) */
#define ROWNORM "rmsnorm"
#include "rownorm.h"

static const struct rownorm_options defaults = {.epsilon = 1e-6, .scale = 1};

static const struct cb_option options[] = {
    {"epsilon", "added to the mean square before its root is taken", CB_OPT_REAL,
     offsetof(struct rownorm_options, epsilon), 1e-12, 1.0},
    {"scale", "whether a factor w per channel is learned", CB_OPT_BOOL, offsetof(struct rownorm_options, scale)},
};

static const char *const trials[] = {
    "[{conv2d: {filters: 83, kernel: 1}}, rmsnorm, flatten]", /* a block of 64 channels, a vector, a tail */
};

CB_PLUGIN({
    .name = "rmsnorm",
    .family = "normalization",
    .summary = "the last axis scaled to a mean square of 1, then by a learned scale",
    .formula = "y = x * w / sqrt(mean(x^2) + epsilon), the mean over the last axis",
    .example = "- rmsnorm: {epsilon: 1e-5}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_X | CB_NEEDS_PARAMS | CB_NEEDS_SAVED,
    .dw_needs = CB_NEEDS_X | CB_NEEDS_SAVED,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(rownorm_variants),
    .trials = CB_ARRAY(trials),
    .infer = rownorm_infer,
})
