/* kl: how far a predicted distribution is from a target distribution (Kullback and Leibler 1951), as for distillation
 * and labels that several people disagree on. Scores are taken through log_softmax first.
 *
 *     scores [N,K], targets f32 [N,K]: probabilities
 *     logp = scores - max - log(sum(exp(scores - max)))
 *     y0[n] = sum over k of t (log(t) - logp), 0 where t is 0        y1[n] = 1
 * The core's mean over samples is PyTorch's kl_div(log_softmax(scores), targets, reduction="batchmean"). A negative
 * target gives NaN, which stops the run. Targets are constants. */
#include "loss.h"

static enum cb_status kl_infer(struct cb_instance *in)
{
    if (in->x[0]->rank != 2) {
        return in->host->fail(in->core, CB_MISMATCH, NULL, "kl needs scores [N,K], not of rank %u",
                              (unsigned)in->x[0]->rank);
    }
    CB_TRY(loss_check_values(in, "kl"));
    return loss_outputs(in);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const int64_t *d = in->x[0]->dims;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->y[1]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]), CB_A_I64(d[0]), CB_A_I64(d[1]));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const int64_t *d = in->x[0]->dims;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]), CB_A_I64(d[0]), CB_A_I64(d[1]),
                     CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "kl_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "kl_dx"},
};

CB_PLUGIN({
    .flags = CB_LAYER_LOSS,
    .name = "kl",
    .family = "losses",
    .summary = "the distance of predicted probabilities from target probabilities",
    .formula = "loss = sum over classes of t * (log(t) - log_softmax(scores))",
    .example = "loss: kl",
    .min_inputs = 2,
    .max_inputs = 2,
    .output_count = 2,
    .dx_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .infer = kl_infer,
    .link = "softmax",
})
