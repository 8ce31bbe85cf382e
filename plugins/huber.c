/* huber: the squared error near the target and the absolute error far from it, so that a few wrong targets do not rule
 * the fit (Huber 1964): scores and targets of one size, [N] or [N,K] f32.
 *
 *     e = scores[n,k] - targets[n,k];  l = e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2)
 *     y0[n] = mean over k of l        y1[n] = 1
 * The gradient goes to the scores; targets are constants. */
#include "loss.h"

struct options {
    double delta;
};

static const struct options defaults = {1.0};

static const struct cb_option options[] = {
    {"delta", "the error from which on it counts in proportion instead of squared", CB_OPT_REAL,
     offsetof(struct options, delta), 1e-12, 1e30},
};

static enum cb_status huber_infer(struct cb_instance *in)
{
    CB_TRY(loss_check_values(in, "huber"));
    return loss_outputs(in);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t n = in->x[0]->dims[0], k = cb_tensor_count(in->x[0]) / n;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)n), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->y[1]), CB_A_TENSOR(in->x[0]),
                     CB_A_TENSOR(in->x[1]), CB_A_I64(n), CB_A_I64(k), CB_A_F32(o->delta));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t n = in->x[0]->dims[0], k = cb_tensor_count(in->x[0]) / n;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)k, (uint64_t)n), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]), CB_A_I64(n), CB_A_I64(k), CB_A_F32(o->delta),
                     CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "huber_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "huber_dx"},
};

CB_PLUGIN({
    .flags = CB_LAYER_LOSS,
    .name = "huber",
    .family = "losses",
    .summary = "squared error near the target, absolute error far from it",
    .formula = "loss = mean(e^2 / 2 if |e| <= delta else delta * (|e| - delta / 2)), e = score - target",
    .example = "loss: {huber: {delta: 1.0}}",
    CB_OPTIONS(options, defaults),
    .min_inputs = 2,
    .max_inputs = 2,
    .output_count = 2,
    .dx_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .infer = huber_infer,
})
