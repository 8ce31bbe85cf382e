/* supervised_contrastive: each sample's features are drawn to those of its class in the batch and pushed from all the
 * others (Khosla 2020, equation 2). Put `l2_normalize` in front, as the paper does; draw batches that hold classes twice.
 *
 *     features z [N,C], labels i32 [N] (negative: this sample takes no part)
 *     s[i,a] = sum over c of z[i,c] z[a,c] / temperature;  P(i): the others of i's class
 *     y0[i] = log(sum over a != i of exp(s[i,a])) - mean over p in P(i) of s[i,p]        y1[i] = 1
 * A sample that is alone in its class has value and weight 0. The value belongs to the batch: more samples are more to
 * be pushed from. */
#include "loss.h"

struct options {
    double temperature;
};

static const struct options defaults = {0.1};

static const struct cb_option options[] = {
    {"temperature", "below 1: near neighbours count more; the paper's is 0.1", CB_OPT_REAL,
     offsetof(struct options, temperature), 1e-3, 1e3},
};

static enum cb_status supervised_contrastive_infer(struct cb_instance *in)
{
    const struct cb_tensor *z = in->x[0], *labels = in->x[1];
    if (z->rank != 2) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "supervised_contrastive needs features [N,C], not of rank %u", (unsigned)z->rank);
    }
    if (labels->rank != 1 || labels->dtype != CB_I32) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "supervised_contrastive needs one class number per sample as its target");
    }
    CB_TRY(loss_outputs(in));
    /* of each sample: the logarithm of its sum, and how many are of its class */
    return in->host->saved(in->core, CB_F32, 2, (const int64_t[]){z->dims[0], 2});
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *d = in->x[0]->dims;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->y[1]),
                     CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]), CB_A_I64(d[0]),
                     CB_A_I64(d[1]), CB_A_F32(1.0 / o->temperature));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *d = in->x[0]->dims;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]), CB_A_I64(d[0]),
                     CB_A_I64(d[1]), CB_A_F32(1.0 / o->temperature), CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "supervised_contrastive_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "supervised_contrastive_dx"},
};

CB_PLUGIN({
    .flags = CB_LAYER_LOSS | CB_LAYER_EMBEDDING_LOSS | CB_LAYER_BATCH,
    .name = "supervised_contrastive",
    .family = "losses",
    .summary = "a loss of features: near to those of one class in the batch, far from all others",
    .formula = "loss[i] = log(sum over a != i of exp(s[i,a])) - mean of s[i,p] over the others p of i's class,\n"
               "s[i,a] = (z[i] . z[a]) / temperature, z the features",
    .example = "loss: {supervised_contrastive: {temperature: 0.1}}",
    CB_OPTIONS(options, defaults),
    .min_inputs = 2,
    .max_inputs = 2,
    .output_count = 2,
    .dx_needs = CB_NEEDS_X | CB_NEEDS_SAVED,
    .variants = CB_ARRAY(variants),
    .infer = supervised_contrastive_infer,
})
