/* gaussian_noise: in training a normal number of mean 0 is added to each element: data augmentation for features and
 * tensors (Keras's GaussianNoise). In inference nothing changes.
 *
 *     x, y [N,...];  y[n,e] = x[n,e] + stddev * z[n,e];  dx = dy
 * z follows from Philox 4x32-10 and Box and Muller (cl/include/philox.clh), keyed by the layer's seed and counted by
 * element / 4 within the sample, the sample's id, and the step: neither the batch nor the order matters. */
#include <cambium/layer.h>

struct options {
    double stddev;
};

static const struct options defaults = {0.1};

static const struct cb_option options[] = {
    {"stddev", "the standard deviation of what is added", CB_OPT_REAL, offsetof(struct options, stddev), 0.0, 1e30},
};

static enum cb_status gaussian_noise_infer(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    return in->host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

/* to = from + stddev z */
static enum cb_status apply(struct cb_instance *in, const struct cb_tensor *to, const struct cb_tensor *from,
                            double stddev, uint32_t accumulate)
{
    const int64_t samples = from->dims[0], elements = cb_tensor_count(from) / samples;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(elements + 3) / 4, (uint64_t)samples), CB_A_TENSOR(to),
                     CB_A_TENSOR(from), CB_A_TENSOR(in->sample_ids), CB_A_I64(samples), CB_A_I64(elements),
                     CB_A_F32(stddev), CB_A_I64((int64_t)in->seed), CB_A_I64((int64_t)in->step), CB_A_I32(accumulate));
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    return apply(in, in->y[0], in->x[0], in->training ? o->stddev : 0.0, 0);
}

static enum cb_status run_dx(struct cb_instance *in)
{
    return in->dx[0] != NULL ? apply(in, in->dx[0], in->dy[0], 0.0, in->dx_accumulate & 1u) : CB_OK;
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "gaussian_noise_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "gaussian_noise_forward"},
};

CB_PLUGIN({
    .flags = CB_LAYER_RANDOM | CB_LAYER_MODE_DEPENDENT,
    .name = "gaussian_noise",
    .family = "regularization",
    .summary = "in training, normal noise is added",
    .formula = "y = x + stddev * z, z standard normal",
    .example = "- gaussian_noise: {stddev: 0.1}",
    CB_OPTIONS(options, defaults),
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = gaussian_noise_infer,
})
