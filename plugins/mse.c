/* mse: the squared error of each sample, the mean over its values: scores and targets of one size, [N] or [N,K] f32.
 *
 *     y0[n] = mean over k of (scores[n,k] - targets[n,k])^2        y1[n] = 1
 * The gradient goes to the scores; targets are constants. */
#include "loss.h"

static enum cb_status mse_infer(struct cb_instance *in)
{
    CB_TRY(loss_check_values(in, "mse"));
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
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "mse_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "mse_dx"},
};

CB_PLUGIN({
    .flags = CB_LAYER_LOSS | CB_LAYER_LEAST_SQUARES,
    .name = "mse",
    .family = "losses",
    .summary = "the squared error: the loss of regression",
    .formula = "loss = mean((score - target)^2)",
    .example = "loss: mse",
    .min_inputs = 2,
    .max_inputs = 2,
    .output_count = 2,
    .dx_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .infer = mse_infer,
})
