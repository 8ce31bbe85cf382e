/* binary_cross_entropy: a yes or no for each class on its own, as where a sample has several labels; of scores before
 * the sigmoid, in one stable step.
 *
 *     scores [N,K]; targets [N,K] f32, each 0 to 1, or [N] i32: 1 for the class of that number, else 0 (-1: left out)
 *     t = (1 - label_smoothing) targets + label_smoothing / 2
 *     l[n,k] = class_weights[k] (pos_weight[k] t log(1 + exp(-score)) + (1 - t) log(1 + exp(score)))
 *     y0[n] = mean over k of l[n,k]        y1[n] = 1
 * PyTorch's binary_cross_entropy_with_logits, Keras's label_smoothing. A target outside its range gives NaN, which
 * stops the run. */
#include "loss.h"

struct options {
    double label_smoothing;
    struct cb_list class_weights, pos_weight; /* of double */
};

static const struct options defaults = {0.0, CB_LIST_EMPTY, CB_LIST_EMPTY};

static const struct cb_option options[] = {
    {"label_smoothing", "how far targets are moved towards one half", CB_OPT_REAL,
     offsetof(struct options, label_smoothing), 0.0, 1.0},
    {"class_weights", "how much each class counts, in the order of the classes", CB_OPT_REALS,
     offsetof(struct options, class_weights), 0.0, 1e30},
    {"pos_weight", "how much a yes counts against a no; a number for each class, or one for all", CB_OPT_REALS,
     offsetof(struct options, pos_weight), 0.0, 1e30},
};

static enum cb_status binary_cross_entropy_infer(struct cb_instance *in)
{
    const struct options *o = in->options;
    CB_TRY(loss_check_yes_no(in, "binary_cross_entropy"));
    const int64_t k = in->x[0]->dims[1];
    if (o->class_weights.count != 0 && o->class_weights.count != k) {
        return in->host->fail(in->core, CB_INVALID, "class_weights", "`class_weights` has %u numbers for %lld classes",
                              (unsigned)o->class_weights.count, (long long)k);
    }
    if (o->pos_weight.count > 1 && o->pos_weight.count != k) {
        return in->host->fail(in->core, CB_INVALID, "pos_weight", "`pos_weight` has %u numbers for %lld classes",
                              (unsigned)o->pos_weight.count, (long long)k);
    }
    return loss_outputs(in);
}

/* Kernel 0 computes the pass, kernel 1 writes one of derived[0]: class_weights [K], and derived[1]: pos_weight [K]. */
static enum cb_status prepare(struct cb_instance *in, const char *entry)
{
    CB_TRY(in->host->kernel(in->core, NULL, entry, NULL));
    CB_TRY(in->host->kernel(in->core, NULL, "binary_cross_entropy_set_weight", NULL));
    CB_TRY(in->host->derived(in->core, CB_F32, in->x[0]->dims[1]));
    return in->host->derived(in->core, CB_F32, in->x[0]->dims[1]);
}

static enum cb_status prepare_forward(struct cb_instance *in)
{
    return prepare(in, "binary_cross_entropy_forward");
}

static enum cb_status prepare_dx(struct cb_instance *in)
{
    return prepare(in, "binary_cross_entropy_dx");
}

static enum cb_status derive_list(struct cb_instance *in, const struct cb_list *list, const struct cb_tensor *to)
{
    const double *items = list->items;
    if (list->count <= 1 && in->x[0]->dims[1] != list->count) {
        return in->host->fill(in->core, to, (float)(list->count == 1 ? items[0] : 1.0));
    }
    for (uint32_t k = 0; k < list->count; k++) {
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID(1), CB_A_TENSOR(to), CB_A_I32(k), CB_A_F32(items[k])));
    }
    return CB_OK;
}

static enum cb_status derive(struct cb_instance *in)
{
    const struct options *o = in->options;
    CB_TRY(derive_list(in, &o->class_weights, in->derived[0]));
    return derive_list(in, &o->pos_weight, in->derived[1]);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *d = in->x[0]->dims;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->y[1]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(loss_values_of(in)), CB_A_TENSOR(loss_labels_of(in)),
                     CB_A_TENSOR(in->derived[0]), CB_A_TENSOR(in->derived[1]), CB_A_I64(d[0]), CB_A_I64(d[1]),
                     CB_A_F32(o->label_smoothing));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *d = in->x[0]->dims;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[1], (uint64_t)d[0]), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(loss_values_of(in)), CB_A_TENSOR(loss_labels_of(in)),
                     CB_A_TENSOR(in->derived[0]), CB_A_TENSOR(in->derived[1]), CB_A_I64(d[0]), CB_A_I64(d[1]),
                     CB_A_F32(o->label_smoothing), CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", 0, NULL, prepare_forward, derive, run_forward},
    {CB_PASS_BACKWARD, 0, "plain", 0, NULL, prepare_dx, derive, run_dx},
};

CB_PLUGIN({
    .flags = CB_LAYER_LOSS,
    .name = "binary_cross_entropy",
    .family = "losses",
    .summary = "the loss of several labels a sample: a yes or no for each class",
    .formula = "loss = mean over the classes of w[k] * (-pos_weight[k] * t * log(p) - (1 - t) * log(1 - p)),\n"
               "p = sigmoid(score), t = (1 - label_smoothing) * target + label_smoothing / 2, w: class_weights",
    .example = "loss: {binary_cross_entropy: {pos_weight: 3}}",
    CB_OPTIONS(options, defaults),
    .min_inputs = 2,
    .max_inputs = 2,
    .output_count = 2,
    .dx_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .infer = binary_cross_entropy_infer,
    .link = "sigmoid",
})
