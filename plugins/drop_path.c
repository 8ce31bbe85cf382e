/* drop_path: in training a sample's whole branch is 0 with probability `rate`, and else multiplied by 1 / (1 - rate), so
 * that the mean stays: stochastic depth, in front of the `add` of a residual block (Huang 2016). In inference nothing
 * changes.
 *
 *     x, y [N,...];  y[n] = x[n] * kept[n] / (1 - rate), kept 0 where u[n] < rate, else 1
 * u[n] in [0,1) follows from Philox 4x32-10 (cl/include/philox.clh), keyed by the layer's seed and counted by the sample's
 * id and the step: neither the batch nor the order matters, and backward draws it again. */
#include <cambium/layer.h>

struct options {
    double rate;
};

static const struct options defaults = {0.1};

static const struct cb_option options[] = {
    {"rate", "the probability with which a sample's branch is dropped", CB_OPT_REAL, offsetof(struct options, rate), 0.0,
     1.0},
};

static enum cb_status drop_path_infer(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    return in->host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

/* to = kept(from): forward, and backward of dy. */
static enum cb_status apply(struct cb_instance *in, const struct cb_tensor *to, const struct cb_tensor *from,
                            uint32_t accumulate)
{
    const struct options *o = in->options;
    const double rate = in->training ? o->rate : 0.0;
    const int64_t samples = from->dims[0], elements = cb_tensor_count(from) / samples;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(elements + 15) / 16, (uint64_t)samples), CB_A_TENSOR(to),
                     CB_A_TENSOR(from), CB_A_TENSOR(in->sample_ids), CB_A_I64(samples), CB_A_I64(elements),
                     CB_A_F32(rate), CB_A_F32(rate < 1.0 ? 1.0 / (1.0 - rate) : 0.0), CB_A_I64((int64_t)in->seed),
                     CB_A_I64((int64_t)in->step), CB_A_I32(accumulate));
}

static enum cb_status run_forward(struct cb_instance *in)
{
    return apply(in, in->y[0], in->x[0], 0);
}

static enum cb_status run_dx(struct cb_instance *in)
{
    return in->dx[0] != NULL ? apply(in, in->dx[0], in->dy[0], in->dx_accumulate & 1u) : CB_OK;
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "drop_path_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "drop_path_forward"},
};

CB_PLUGIN({
    .flags = CB_LAYER_RANDOM | CB_LAYER_MODE_DEPENDENT,
    .name = "drop_path",
    .family = "regularization",
    .summary = "in training, a residual branch is dropped for some samples: stochastic depth",
    .formula = "y = x * kept / (1 - rate)\n"
               "kept is 0 for a whole sample with probability rate, else 1",
    .example = "- drop_path: {rate: 0.1}",
    CB_OPTIONS(options, defaults),
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = drop_path_infer,
})
