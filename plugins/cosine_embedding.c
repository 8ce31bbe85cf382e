/* cosine_embedding: pairs of vectors that belong together are turned to one direction, others away from each other.
 *
 *     x0, x1 f32 [N,C]; labels i32 [N], may be left out: 1 (together, as all are without labels) or not (apart)
 *     cos = sum(x0 x1) / sqrt((sum(x0^2) + 1e-12) (sum(x1^2) + 1e-12))
 *     y0[n] = 1 - cos where the label is 1, max(0, cos - margin) where it is not        y1[n] = 1
 * PyTorch's cosine_embedding_loss. Gradients go to x0 and x1.
 * As a task's loss it turns the head's output to the direction of the target values. */
#include "loss.h"

struct options {
    double margin;
};

static const struct options defaults = {0.0};

static const struct cb_option options[] = {
    {"margin", "the cosine up to which vectors that do not belong together are left alone", CB_OPT_REAL,
     offsetof(struct options, margin), -1.0, 1.0},
};

static enum cb_status cosine_embedding_infer(struct cb_instance *in)
{
    const struct cb_tensor *a = in->x[0], *b = in->x[1];
    if (a->rank != 2 || b->rank != 2 || a->dims[1] != b->dims[1] || b->dtype != CB_F32) {
        return in->host->fail(in->core, CB_MISMATCH, NULL, "cosine_embedding needs two inputs [N,C] of one width");
    }
    if (in->x_count > 2 && (in->x[2]->rank != 1 || in->x[2]->dtype != CB_I32)) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "cosine_embedding needs one label per pair as its third input: 1 (together) or -1");
    }
    return loss_outputs(in);
}

static const struct cb_tensor *labels_of(const struct cb_instance *in)
{
    return in->x_count > 2 ? in->x[2] : NULL;
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *d = in->x[0]->dims;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->y[1]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]), CB_A_TENSOR(labels_of(in)), CB_A_I64(d[0]),
                     CB_A_I64(d[1]), CB_A_F32(o->margin));
}

/* What is the gradient of one vector is, with the two exchanged, that of the other. */
static enum cb_status run_dx(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *d = in->x[0]->dims;
    for (uint32_t i = 0; i < 2; i++) {
        if (in->dx[i] != NULL) {
            CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[0]), CB_A_TENSOR(in->dx[i]), CB_A_TENSOR(in->dy[0]),
                             CB_A_TENSOR(in->x[i]), CB_A_TENSOR(in->x[1 - i]), CB_A_TENSOR(labels_of(in)),
                             CB_A_I64(d[0]), CB_A_I64(d[1]), CB_A_F32(o->margin),
                             CB_A_I32(in->dx_accumulate >> i & 1u)));
        }
    }
    return CB_OK;
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "cosine_embedding_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "cosine_embedding_dx"},
};

CB_PLUGIN({
    .flags = CB_LAYER_LOSS | CB_LAYER_EMBEDDING_LOSS,
    .name = "cosine_embedding",
    .family = "losses",
    .summary = "a loss of pairs of vectors: one direction for those that belong together",
    .formula = "loss = 1 - cos(x0, x1) if the label is 1 or there is none,\n"
               "max(0, cos(x0, x1) - margin) if it is another",
    .example = "loss: {cosine_embedding: {margin: 0.2}}",
    CB_OPTIONS(options, defaults),
    .min_inputs = 2,
    .max_inputs = 3,
    .output_count = 2,
    .dx_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .infer = cosine_embedding_infer,
})
