/* first_token: the first token of each sequence, [N,T,C] -> [N,C]: where encoders like BERT put the class token. dx is
 * dy at that token, 0 at the others. */
#include "tokens.h"

static enum cb_status first_token_infer(struct cb_instance *in)
{
    return tokens_infer(in, "first_token");
}

static enum cb_status prepare_forward(struct cb_instance *in)
{
    return in->host->kernel(in->core, NULL, "first_token_forward", NULL);
}

static enum cb_status prepare_dx(struct cb_instance *in)
{
    return in->host->kernel(in->core, NULL, "first_token_dx", NULL);
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", 0, NULL, prepare_forward, NULL, tokens_run_forward},
    {CB_PASS_BACKWARD, 0, "plain", 0, NULL, prepare_dx, NULL, tokens_run_dx},
};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "first_token",
    .summary = "the first token of each sequence, [N,T,C] to [N,C]",
    .formula = "y[n,c] = x[n,0,c]",
    .example = "- first_token",
    .min_inputs = 1,
    .max_inputs = 1,
    .variants = CB_ARRAY(variants),
    .infer = first_token_infer,
})
