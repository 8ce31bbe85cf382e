/* triplet: an anchor is to be nearer to its positive than to its negative, by a margin (Schroff 2015).
 *
 *     anchor, positive, negative f32 [N,C]
 *     d(a, b) = (sum over c of |a - b + 1e-6|^p)^(1/p)
 *     y0[n] = max(0, d(anchor, positive) - d(anchor, negative) + margin)        y1[n] = 1
 * PyTorch's triplet_margin_loss. Or, as a task's loss, the hardest of the batch (Hermans 2017, equation 5):
 *     features f32 [N,C], labels i32 [N] (negative: this sample takes no part)
 * each sample is an anchor, its positive the farthest other sample of its class, its negative the nearest of another
 * class, the first of equals. A sample that lacks one of them has value and weight 0. Gradients go to all features. */
#include "loss.h"

struct options {
    double margin, p;
};

static const struct options defaults = {1.0, 2.0};

static const struct cb_option options[] = {
    {"margin", "how much nearer the positive has to be", CB_OPT_REAL, offsetof(struct options, margin), 0.0, 1e30},
    {"p", "the norm of the distance: 2 is Euclid's, 1 the sum of absolute differences", CB_OPT_REAL,
     offsetof(struct options, p), 1.0, 100.0},
};

static bool is_mined(const struct cb_instance *in)
{
    return in->x_count == 2;
}

static enum cb_status infer_mined(struct cb_instance *in)
{
    const struct cb_tensor *features = in->x[0], *labels = in->x[1];
    if (features->rank != 2 || labels->rank != 1 || labels->dtype != CB_I32) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "triplet needs features [N,C] and one class number per sample, or an anchor, a positive "
                              "and a negative");
    }
    CB_TRY(loss_outputs(in));
    /* which samples are the positive and the negative of each; -1: its value is 0 */
    return in->host->saved(in->core, CB_I32, 2, (const int64_t[]){features->dims[0], 2});
}

static enum cb_status triplet_infer(struct cb_instance *in)
{
    if (is_mined(in)) {
        return infer_mined(in);
    }
    for (uint32_t i = 0; i < 3; i++) {
        if (in->x[i]->rank != 2 || in->x[i]->dims[1] != in->x[0]->dims[1] || in->x[i]->dtype != CB_F32) {
            return in->host->fail(in->core, CB_MISMATCH, NULL,
                                  "triplet needs an anchor, a positive and a negative [N,C] of one width");
        }
    }
    return loss_outputs(in);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *d = in->x[0]->dims;
    if (is_mined(in)) {
        return CB_LAUNCH(in, 1, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->y[1]),
                         CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]), CB_A_I64(d[0]),
                         CB_A_I64(d[1]), CB_A_F32(o->margin), CB_A_F32(o->p));
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->y[1]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]), CB_A_TENSOR(in->x[2]), CB_A_I64(d[0]),
                     CB_A_I64(d[1]), CB_A_F32(o->margin), CB_A_F32(o->p));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *d = in->x[0]->dims;
    if (is_mined(in)) {
        return in->dx[0] == NULL
                   ? CB_OK
                   : CB_LAUNCH(in, 1, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                               CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(in->x[0]), CB_A_I64(d[0]), CB_A_I64(d[1]),
                               CB_A_F32(o->p), CB_A_I32(in->dx_accumulate & 1u));
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dx[1]),
                     CB_A_TENSOR(in->dx[2]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]),
                     CB_A_TENSOR(in->x[2]), CB_A_I64(d[0]), CB_A_I64(d[1]), CB_A_F32(o->margin), CB_A_F32(o->p),
                     CB_A_I32(in->dx_accumulate));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "triplet_forward triplet_mined_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "triplet_dx triplet_mined_dx"},
};

CB_PLUGIN({
    .flags = CB_LAYER_LOSS | CB_LAYER_EMBEDDING_LOSS | CB_LAYER_BATCH,
    .name = "triplet",
    .family = "losses",
    .summary = "a loss of features: nearer to the own class than to any other, by a margin",
    .formula = "loss = max(0, d(anchor, positive) - d(anchor, negative) + margin), d(a, b) = |a - b + 1e-6|_p\n"
               "of features and class numbers: each sample is an anchor, its positive the farthest of its class,\n"
               "its negative the nearest of another",
    .example = "loss: {triplet: {margin: 0.5}}",
    CB_OPTIONS(options, defaults),
    .min_inputs = 2,
    .max_inputs = 3,
    .output_count = 2,
    .dx_needs = CB_NEEDS_X | CB_NEEDS_SAVED,
    .variants = CB_ARRAY(variants),
    .infer = triplet_infer,
})
