/* cross_entropy: softmax and the negative logarithm of the right class's probability, in one stable step.
 *
 *     scores [N,K], targets i32 [N] (0 to K-1; -1: this sample is left out)
 *     logp = scores - max - log(sum(exp(scores - max)))
 *     y0[n] = (1 - s) w[t] (-logp[t]) + s/K sum_k w[k] (-logp[k])      s: label_smoothing, w: class_weights (1 without)
 *     y1[n] = w[t]
 * The core divides the sum of y0 by the sum of y1: PyTorch's mean. A target outside -1 to K-1 gives NaN, which stops
 * the run, instead of reading past the end. */
#include "loss.h"

struct options {
    double label_smoothing;
    struct cb_list class_weights; /* of double */
};

static const struct options defaults = {0.0, CB_LIST_EMPTY};

static const struct cb_option options[] = {
    {"label_smoothing", "how much of the target is spread evenly over all classes", CB_OPT_REAL,
     offsetof(struct options, label_smoothing), 0.0, 1.0},
    {"class_weights", "how much each class counts, in the order of the classes", CB_OPT_REALS,
     offsetof(struct options, class_weights), 0.0, 1e30},
};

static enum cb_status cross_entropy_infer(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *scores = in->x[0], *targets = in->x[1];
    if (scores->rank != 2) {
        return in->host->fail(in->core, CB_MISMATCH, NULL, "cross_entropy needs scores [N,K], not of rank %u",
                              (unsigned)scores->rank);
    }
    if (targets->rank != 1 || targets->dtype != CB_I32) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "cross_entropy needs one class number per sample as its target");
    }
    if (o->class_weights.count != 0 && o->class_weights.count != scores->dims[1]) {
        return in->host->fail(in->core, CB_INVALID, "class_weights", "`class_weights` has %u numbers for %lld classes",
                              (unsigned)o->class_weights.count, (long long)scores->dims[1]);
    }
    return loss_outputs(in);
}

/* Kernel 0 computes the pass. With class weights, kernel 1 and the derived tensor of K weights follow. */
static enum cb_status prepare(struct cb_instance *in, const char *entry)
{
    const struct options *o = in->options;
    CB_TRY(in->host->kernel(in->core, NULL, entry, NULL));
    if (o->class_weights.count != 0) {
        CB_TRY(in->host->kernel(in->core, NULL, "cross_entropy_set_weight", NULL));
        CB_TRY(in->host->derived(in->core, CB_F32, o->class_weights.count));
    }
    return CB_OK;
}

static enum cb_status prepare_forward(struct cb_instance *in)
{
    return prepare(in, "cross_entropy_forward");
}

static enum cb_status prepare_dx(struct cb_instance *in)
{
    return prepare(in, "cross_entropy_dx");
}

static enum cb_status derive_weights(struct cb_instance *in)
{
    const struct cb_list *weights = &((const struct options *)in->options)->class_weights;
    for (uint32_t k = 0; k < weights->count; k++) {
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID(1), CB_A_TENSOR(in->derived[0]), CB_A_I32(k),
                         CB_A_F32(((const double *)weights->items)[k])));
    }
    return CB_OK;
}

static const struct cb_tensor *weights_of(const struct cb_instance *in)
{
    return in->derived_count > 0 ? in->derived[0] : NULL;
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *d = in->x[0]->dims;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->y[1]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]), CB_A_TENSOR(weights_of(in)), CB_A_I32(d[0]),
                     CB_A_I32(d[1]), CB_A_F32(o->label_smoothing));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *d = in->x[0]->dims;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]), CB_A_TENSOR(weights_of(in)), CB_A_I32(d[0]),
                     CB_A_I32(d[1]), CB_A_F32(o->label_smoothing), CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", 0, NULL, prepare_forward, derive_weights, run_forward},
    {CB_PASS_BACKWARD, 0, "plain", 0, NULL, prepare_dx, derive_weights, run_dx},
};

CB_PLUGIN({
    .flags = CB_LAYER_LOSS | CB_LAYER_SOFTMAX_REGRESSION,
    .name = "cross_entropy",
    .family = "losses",
    .summary = "the loss of classification: one right class per sample",
    .formula = "loss = -log(softmax(scores)[target])\n"
               "with class_weights the mean over samples is a weighted one",
    .example = "loss: {cross_entropy: {label_smoothing: 0.1}}",
    CB_OPTIONS(options, defaults),
    .min_inputs = 2,
    .max_inputs = 2,
    .output_count = 2,
    .dx_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .infer = cross_entropy_infer,
    .link = "softmax",
})
