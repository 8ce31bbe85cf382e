/* l2_normalize: y = x / max(|x|, epsilon), |x| the Euclidean length of each row of C neighbours, the last axis of
 * [N,...,C] (torch.nn.functional.normalize). With r = 1 / |x| the gradient is dx = r (dy - y sum(dy y)); where |x| is
 * below epsilon, y = x / epsilon and dx = dy / epsilon. */
#include <cambium/layer.h>

struct options {
    double epsilon;
};

static const struct options defaults = {1e-12};

static const struct cb_option options[] = {
    {"epsilon", "the least length that is divided by", CB_OPT_REAL, offsetof(struct options, epsilon), 1e-18, 1.0},
};

static enum cb_status l2_normalize_infer(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    if (x->rank < 2) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "l2_normalize needs an axis behind N, but its input has rank %u", (unsigned)x->rank);
    }
    return in->host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    const int64_t c = x->dims[x->rank - 1], rows = cb_tensor_count(x) / c;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)rows), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(x), CB_A_I64(rows), CB_A_I32(c),
                     CB_A_F32(o->epsilon));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    const int64_t c = x->dims[x->rank - 1], rows = cb_tensor_count(x) / c;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)rows), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(x),
                     CB_A_I64(rows), CB_A_I32(c), CB_A_F32(o->epsilon), CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "l2_normalize_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "l2_normalize_dx"},
};

CB_PLUGIN({
    .name = "l2_normalize",
    .family = "normalization",
    .summary = "the last axis scaled to Euclidean length 1",
    .formula = "y = x / max(sqrt(sum(x^2)), epsilon), the sum over the last axis",
    .example = "- l2_normalize",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_X,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = l2_normalize_infer,
})
