/* my_loss: log cosh of the errors, which is near e^2 / 2 for small ones and |e| for large ones:
 *
 *     y0[n] = mean over k of log(cosh(s[n,k] - t[n,k])),   y1[n] = 1         scores s, targets t (N,K)
 *     ds[n,k] = tanh(s[n,k] - t[n,k]) / K
 *
 * A loss gives two outputs of [N]: each sample's value and its weight; Cambium takes the mean. Kernels: my_loss.cl. */
#include <cambium/layer.h>

/* x[0] are the scores; x[1] the targets: values [N,K] or [N], f32, or class numbers [N], i32. */
static enum cb_status my_loss_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct cb_tensor *s = in->x[0], *t = in->x[1];
    if (s->rank < 1 || t->dtype != CB_F32 || cb_tensor_count(s) != cb_tensor_count(t)) {
        return host->fail(in->core, CB_MISMATCH, NULL, "my_loss takes a target value for each score");
    }
    CB_TRY(host->output(in->core, 0, CB_F32, 1, s->dims));
    return host->output(in->core, 1, CB_F32, 1, s->dims);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const int64_t n = in->x[0]->dims[0], k = cb_tensor_count(in->x[0]) / n;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)n), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->y[1]), CB_A_TENSOR(in->x[0]),
                     CB_A_TENSOR(in->x[1]), CB_A_I64(n), CB_A_I64(k));
}

/* Targets have no gradient: dx[1] is always NULL. dy[1] is not given either. */
static enum cb_status run_backward(struct cb_instance *in)
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
    {.pass = CB_PASS_FORWARD, .name = "plain", .run = run_forward, .kernels = "my_loss_forward"},
    {.pass = CB_PASS_BACKWARD, .name = "plain", .run = run_backward, .kernels = "my_loss_dx"},
};

CB_PLUGIN({
    .flags = CB_LAYER_LOSS,
    .name = "my_loss",
    .summary = "log cosh of the errors: a square for small ones, straight for large ones",
    .formula = "loss = mean(log(cosh(score - target)))",
    .example = "loss: my_loss",
    .min_inputs = 2,
    .max_inputs = 2,
    .output_count = 2,
    .dx_needs = CB_NEEDS_X, /* what backward reads besides dy */
    .variants = CB_ARRAY(variants),
    .infer = my_loss_infer,
})
