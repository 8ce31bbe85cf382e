/* groupnorm: y = (x - mean) w / sqrt(var + epsilon) + b, mean and variance (divided by the count) of each sample over all
 * places and the C / groups channels of a group; w and b per channel (Wu and He 2018; torch.nn.GroupNorm). A sample's
 * result does not depend on its batch, but the padding of a sequence counts.
 *
 * With xhat = (x - mean) rstd, rstd = 1 / sqrt(var + epsilon), g = dy w and means over a sample's group:
 *     db = sum(dy), dw = sum(dy xhat) over samples and places
 *     dx = rstd (g - mean(g) - xhat mean(g xhat)) */
#include "groupnorm.h"

static const struct groupnorm_options defaults = {.epsilon = 1e-5, .affine = 1};

static const struct cb_option options[] = {
    {"groups", "how many groups the channels are divided into, neighbours together", CB_OPT_INT,
     offsetof(struct groupnorm_options, groups), 1, 1 << 16, NULL, CB_OPTION_REQUIRED},
    {"epsilon", "added to the variance before its root is taken", CB_OPT_REAL,
     offsetof(struct groupnorm_options, epsilon), 1e-12, 1.0},
    {"affine", "whether a scale and a shift per channel are learned", CB_OPT_BOOL,
     offsetof(struct groupnorm_options, affine)},
};

static enum cb_status groupnorm_infer(struct cb_instance *in)
{
    const struct groupnorm_options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank < 2) {
        return in->host->fail(in->core, CB_MISMATCH, NULL, "groupnorm needs [N,...,C], but its input has rank %u",
                              (unsigned)x->rank);
    }
    if (x->dims[x->rank - 1] % o->groups != 0) {
        return in->host->fail(in->core, CB_MISMATCH, "groups", "%lld channels do not divide into %lld groups",
                              (long long)x->dims[x->rank - 1], (long long)o->groups);
    }
    return groupnorm_declare(in);
}

CB_PLUGIN({
    .name = "groupnorm",
    .family = "normalization",
    .summary = "each group of a sample's channels shifted and scaled to mean 0, variance 1, then by a learned scale and "
               "shift",
    .formula = "y = (x - mean) * w / sqrt(var + epsilon) + b, mean and var over places and a group's channels",
    .example = "- groupnorm: {groups: 32}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_X | CB_NEEDS_PARAMS | CB_NEEDS_SAVED,
    .dw_needs = CB_NEEDS_X | CB_NEEDS_SAVED,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(groupnorm_variants),
    .infer = groupnorm_infer,
})
