/* instancenorm: y = (x - mean) / sqrt(var + epsilon), mean and variance (divided by the count) of each sample and channel
 * over all places; with `affine` also times w plus b per channel (Ulyanov 2016; torch.nn.InstanceNorm2d). That is
 * groupnorm with a group for each channel; gradients as there, by the same kernels. */
#include "groupnorm.h"

static const struct groupnorm_options defaults = {.epsilon = 1e-5};

static const struct cb_option options[] = {
    {"epsilon", "added to the variance before its root is taken", CB_OPT_REAL,
     offsetof(struct groupnorm_options, epsilon), 1e-12, 1.0},
    {"affine", "whether a scale and a shift per channel are learned", CB_OPT_BOOL,
     offsetof(struct groupnorm_options, affine)},
};

static enum cb_status instancenorm_infer(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    if (x->rank < 3) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "instancenorm needs places between N and C, [N,T,C] or [N,H,W,C], but its input has rank %u",
                              (unsigned)x->rank);
    }
    return groupnorm_declare(in);
}

CB_PLUGIN({
    .name = "instancenorm",
    .family = "normalization",
    .summary = "each channel of each sample shifted and scaled to mean 0, variance 1",
    .formula = "y = (x - mean) * w / sqrt(var + epsilon) + b, mean and var over the places",
    .example = "- instancenorm: {affine: true}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_X | CB_NEEDS_PARAMS | CB_NEEDS_SAVED,
    .dw_needs = CB_NEEDS_X | CB_NEEDS_SAVED,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(groupnorm_variants),
    .infer = instancenorm_infer,
})
