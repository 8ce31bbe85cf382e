/* last_token: the last real token of each sequence, [N,T,C] -> [N,C]: in a causal decoder the only one that has seen all
 * others. That is token lengths[n] - 1, or T - 1 where the sequences have no lengths; an empty sequence gives its token 0.
 * dx is dy at that token, 0 at the others. */
#include "tokens.h"

static enum cb_status last_token_infer(struct cb_instance *in)
{
    return tokens_infer(in, "last_token");
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = tokens_run_forward, .kernels = "last_token_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = tokens_run_dx, .kernels = "last_token_dx"},
};

CB_PLUGIN({
    .name = "last_token",
    .family = "sequences",
    .summary = "the last real token of each sequence, [N,T,C] to [N,C]",
    .formula = "y[n,c] = x[n,lengths[n]-1,c]",
    .example = "- last_token",
    .variants = CB_ARRAY(variants),
    .infer = last_token_infer,
})
