/* l1: the absolute error of each sample, the mean over its values: scores and targets of one size, [N] or [N,K] f32.
 *
 *     y0[n] = mean over k of |scores[n,k] - targets[n,k]|        y1[n] = 1
 * The gradient goes to the scores, and is 0 where they meet the target; targets are constants. */
#include "loss.h"

static enum cb_status l1_infer(struct cb_instance *in)
{
    CB_TRY(loss_check_values(in, "l1"));
    return loss_outputs(in);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const int64_t n = in->x[0]->dims[0], k = cb_tensor_count(in->x[0]) / n;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)n), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->y[1]), CB_A_TENSOR(in->x[0]),
                     CB_A_TENSOR(in->x[1]), CB_A_I64(n), CB_A_I64(k));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const int64_t n = in->x[0]->dims[0], k = cb_tensor_count(in->x[0]) / n;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)k, (uint64_t)n), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]), CB_A_I64(n), CB_A_I64(k),
                     CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "l1_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "l1_dx"},
};

CB_PLUGIN({
    .flags = CB_LAYER_LOSS,
    .name = "l1",
    .family = "losses",
    .summary = "the absolute error: regression in which outliers pull no harder than others",
    .formula = "loss = mean(|score - target|)",
    .example = "loss: l1",
    .min_inputs = 2,
    .max_inputs = 2,
    .output_count = 2,
    .dx_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .infer = l1_infer,
})
