/* last_token: the last real token of each sequence, [N,T,C] -> [N,C]: in a causal decoder the only one that has seen all
 * others. That is token lengths[n] - 1, or T - 1 where the sequences have no lengths; an empty sequence gives its token 0.
 * dx is dy at that token, 0 at the others. */
#include "tokens.h"

static enum cb_status last_token_infer(struct cb_instance *in)
{
    return tokens_infer(in, "last_token");
}

static enum cb_status prepare_forward(struct cb_instance *in)
{
    return in->host->kernel(in->core, NULL, "last_token_forward", NULL);
}

static enum cb_status prepare_dx(struct cb_instance *in)
{
    return in->host->kernel(in->core, NULL, "last_token_dx", NULL);
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", 0, NULL, prepare_forward, NULL, tokens_run_forward},
    {CB_PASS_BACKWARD, 0, "plain", 0, NULL, prepare_dx, NULL, tokens_run_dx},
};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "last_token",
    .summary = "the last real token of each sequence, [N,T,C] to [N,C]",
    .formula = "y[n,c] = x[n,lengths[n]-1,c]",
    .example = "- last_token",
    .min_inputs = 1,
    .max_inputs = 1,
    .variants = CB_ARRAY(variants),
    .infer = last_token_infer,
})
