/* first_token: the first token of each sequence, [N,T,C] -> [N,C]: where encoders like BERT put the class token. dx is
 * dy at that token, 0 at the others. */
#include "tokens.h"

static enum cb_status first_token_infer(struct cb_instance *in)
{
    return tokens_infer(in, "first_token");
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = tokens_run_forward, .kernels = "first_token_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = tokens_run_dx, .kernels = "first_token_dx"},
};

CB_PLUGIN({
    .name = "first_token",
    .family = "sequences",
    .summary = "the first token of each sequence, [N,T,C] to [N,C]",
    .formula = "y[n,c] = x[n,0,c]",
    .example = "- first_token",
    .variants = CB_ARRAY(variants),
    .infer = first_token_infer,
})
