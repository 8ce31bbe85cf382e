/* mean_tokens: the mean of the real tokens of each sequence, [N,T,C] -> [N,C]: of the first lengths[n], or of all T where
 * the sequences have no lengths; an empty sequence gives 0. dx is dy / lengths[n] at each of them, 0 at the padding. */
#include "tokens.h"

static enum cb_status mean_tokens_infer(struct cb_instance *in)
{
    return tokens_infer(in, "mean_tokens");
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = tokens_run_forward, .kernels = "mean_tokens_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = tokens_run_dx, .kernels = "mean_tokens_dx"},
};

CB_PLUGIN({
    .name = "mean_tokens",
    .family = "sequences",
    .summary = "the mean of the real tokens of each sequence, [N,T,C] to [N,C]",
    .formula = "y[n,c] = mean over t < lengths[n] of x[n,t,c]",
    .example = "- mean_tokens",
    .variants = CB_ARRAY(variants),
    .infer = mean_tokens_infer,
})
