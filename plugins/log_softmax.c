/* log_softmax: y = x - max - log(sum(exp(x - max))) over the last axis: the logarithm of softmax without its underflow.
 * With g = dy the gradient is dx = g - exp(y) sum(g). One work-item takes one row, in a fixed order: a sample's result
 * does not depend on its batch. */
#include <cambium/layer.h>

static enum cb_status log_softmax_infer(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    return in->host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    const int64_t classes = x->dims[x->rank - 1], rows = cb_tensor_count(x) / classes;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)rows), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(x), CB_A_I64(rows),
                     CB_A_I64(classes));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct cb_tensor *y = in->y[0];
    const int64_t classes = y->dims[y->rank - 1], rows = cb_tensor_count(y) / classes;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)rows), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(y),
                     CB_A_I64(rows), CB_A_I64(classes), CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "log_softmax_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "log_softmax_dx"},
};

CB_PLUGIN({
    .name = "log_softmax",
    .family = "activations",
    .summary = "scores to logarithms of probabilities over the last axis",
    .formula = "y = x - max(x) - log(sum(exp(x - max(x))))",
    .example = "- log_softmax",
    .dx_needs = CB_NEEDS_Y,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = log_softmax_infer,
})
