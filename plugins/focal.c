/* focal: binary cross-entropy in which what is already right hardly counts, for rare classes (Lin et al. 2017).
 *
 *     scores [N,K]; targets t: [N,K] f32, each 0 to 1, or [N] i32: 1 for the class of that number, else 0
 *     (-1: left out)
 *     p = sigmoid(score);  q = p (1 - t) + (1 - p) t: how wrong it is;  a = alpha t + (1 - alpha) (1 - t)
 *     l[n,k] = a q^gamma (-t log(p) - (1 - t) log(1 - p))
 *     y0[n] = mean over k of l[n,k]        y1[n] = 1
 * torchvision's sigmoid_focal_loss; class numbers are its one-hot rows, as RetinaNet uses it. alpha -1: a = 1. */
#include "loss.h"

struct options {
    double alpha, gamma;
};

static const struct options defaults = {0.25, 2.0};

static const struct cb_option options[] = {
    {"alpha", "the share of a yes, against 1 - alpha for a no; -1: both count alike", CB_OPT_REAL,
     offsetof(struct options, alpha), -1.0, 1.0},
    {"gamma", "how strongly easy samples are passed over; 0: binary cross-entropy", CB_OPT_REAL,
     offsetof(struct options, gamma), 0.0, 100.0},
};

static enum cb_status focal_check(struct cb_instance *in)
{
    const struct options *o = in->options;
    if (o->alpha < 0.0 && o->alpha != -1.0) {
        return in->host->fail(in->core, CB_INVALID, "alpha", "`alpha` must be 0 to 1, or -1 for none, not %g",
                              o->alpha);
    }
    return CB_OK;
}

static enum cb_status focal_infer(struct cb_instance *in)
{
    CB_TRY(loss_check_yes_no(in, "focal"));
    return loss_outputs(in);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *d = in->x[0]->dims;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->y[1]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(loss_values_of(in)), CB_A_TENSOR(loss_labels_of(in)),
                     CB_A_I64(d[0]), CB_A_I64(d[1]), CB_A_F32(o->alpha), CB_A_F32(o->gamma));
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
                     CB_A_I64(d[0]), CB_A_I64(d[1]), CB_A_F32(o->alpha), CB_A_F32(o->gamma),
                     CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "focal_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "focal_dx"},
};

CB_PLUGIN({
    .flags = CB_LAYER_LOSS,
    .name = "focal",
    .family = "losses",
    .summary = "binary cross-entropy in which what is already right hardly counts: for rare classes",
    .formula = "loss = mean over the classes of a * q^gamma * (-t * log(p) - (1 - t) * log(1 - p)),\n"
               "p = sigmoid(score), q = |t - p|, a = alpha * t + (1 - alpha) * (1 - t), 1 if alpha is -1",
    .example = "loss: {focal: {alpha: 0.25, gamma: 2}}",
    CB_OPTIONS(options, defaults),
    .min_inputs = 2,
    .max_inputs = 2,
    .output_count = 2,
    .dx_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .check = focal_check,
    .infer = focal_infer,
    .link = "sigmoid",
})
