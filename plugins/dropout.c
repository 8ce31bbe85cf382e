/* dropout: in training each element is 0 with probability `rate`, and the others are multiplied by 1 / (1 - rate), so
 * that the mean stays (Srivastava 2014). In inference nothing changes.
 *
 * Whether an element is kept follows from Philox 4x32-10 (cl/include/philox.clh), keyed by the layer's seed and counted
 * by element / 4 within the sample, the sample's id, and the step: neither the batch nor the order matters, and
 * backward draws the same mask again instead of keeping it. An element is dropped where its number in [0,1) is below
 * `rate`. */
#include <cambium/layer.h>

struct options {
    double rate;
};

static const struct options defaults = {0.5};

static const struct cb_option options[] = {
    {"rate", "the probability with which an element is dropped", CB_OPT_REAL, offsetof(struct options, rate), 0.0, 1.0},
};

static enum cb_status dropout_infer(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    return in->host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

/* to = mask(from): forward, and backward of dy. */
static enum cb_status apply(struct cb_instance *in, const struct cb_tensor *to, const struct cb_tensor *from,
                            uint32_t accumulate)
{
    const struct options *o = in->options;
    const double rate = in->training ? o->rate : 0.0;
    const int64_t samples = from->dims[0], elements = cb_tensor_count(from) / samples;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(elements + 3) / 4, (uint64_t)samples), CB_A_TENSOR(to),
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
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "dropout_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "dropout_forward"},
};

CB_PLUGIN({
    .flags = CB_LAYER_RANDOM | CB_LAYER_MODE_DEPENDENT,
    .name = "dropout",
    .family = "regularization",
    .summary = "in training, elements are zeroed at random",
    .formula = "y = x * kept / (1 - rate)\n"
               "kept is 0 with probability rate, else 1",
    .example = "- dropout: {rate: 0.2}",
    CB_OPTIONS(options, defaults),
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = dropout_infer,
})
