/* batchnorm: y = (x - mean) w / sqrt(var + epsilon) + b for each channel of [N,C], [N,T,C], [N,H,W,C] or [N,D,H,W,C]
 * (Ioffe and Szegedy 2015).
 *
 * Training takes mean and variance (divided by the count) of the batch over everything but C, and moves the running
 * ones: running += momentum (batch - running), the variance there divided by count - 1, as PyTorch does. Inference uses
 * the running ones, so that a sample's result does not depend on its batch. With xhat = (x - mean) rstd, rstd = 1 /
 * sqrt(var + epsilon):
 *     db = sum(dy), dw = sum(dy xhat)
 *     dx = w rstd (dy - mean(dy) - xhat mean(dy xhat))   in training;   dx = w rstd dy   in inference
 * The reductions run in a fixed order that depends on the shape alone (cl/batchnorm.cl). */
#include <cambium/layer.h>

#include <math.h>

#define MAX_PARTS 256
#define APPLY_ELEMENTS 16384 /* of a tile work-item, these two as in batchnorm.cl */
#define TILE_CHANNELS 512

struct options {
    double epsilon;
    double momentum;
    uint32_t affine;
};

static const struct options defaults = {1e-5, 0.1, 1};

static const struct cb_option options[] = {
    {"epsilon", "added to the variance before its root is taken", CB_OPT_REAL, offsetof(struct options, epsilon), 1e-12,
     1.0},
    {"momentum", "how far one batch moves the running statistics", CB_OPT_REAL, offsetof(struct options, momentum), 0.0,
     1.0},
    {"affine", "whether a scale and a shift per channel are learned", CB_OPT_BOOL, offsetof(struct options, affine)},
};

static enum cb_status batchnorm_infer(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank < 2 || x->rank > 5) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "batchnorm needs an input of rank 2 to 5 with its channels last, not of rank %u",
                              (unsigned)x->rank);
    }
    struct cb_param_decl decl = {sizeof(decl), CB_PARAM_VECTOR, "w", "weight", 1, CB_INIT_CONSTANT};
    decl.dims[0] = x->dims[x->rank - 1];
    if (o->affine) {
        decl.value = 1.0;
        CB_TRY(in->host->param(in->core, &decl));
        decl.name = "b";
        decl.foreign = "bias";
        decl.value = 0.0;
        CB_TRY(in->host->param(in->core, &decl));
    }
    decl.name = "mean";
    decl.foreign = "running_mean";
    decl.value = 0.0;
    CB_TRY(in->host->state(in->core, &decl));
    decl.name = "var";
    decl.foreign = "running_var";
    decl.value = 1.0;
    CB_TRY(in->host->state(in->core, &decl));
    CB_TRY(in->host->saved(in->core, CB_F32, 2, (const int64_t[]){4, decl.dims[0]})); /* moments */
    return in->host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

static enum cb_status batchnorm_affine(const struct cb_instance *in, const float *const *params,
                                       const float *const *state, float *scale, float *shift)
{
    const struct options *o = in->options;
    const int64_t channels = in->x[0]->dims[in->x[0]->rank - 1];
    for (int64_t c = 0; c < channels; c++) {
        const double rstd = 1.0 / sqrt((double)state[1][c] + o->epsilon);
        const double s = o->affine ? params[0][c] * rstd : rstd;
        scale[c] = (float)s;
        shift[c] = (float)((o->affine ? params[1][c] : 0.0) - state[0][c] * s);
    }
    return CB_OK;
}

/* ---- sizes: rows of C channels, in parts of at least 256 rows ---- */

struct sizes {
    int64_t rows, channels, parts, part_rows;
};

static struct sizes sizes_of(const struct cb_tensor *t)
{
    struct sizes s = {.channels = t->dims[t->rank - 1]};
    s.rows = cb_tensor_count(t) / s.channels;
    const int64_t wanted = (s.rows + 255) / 256;
    s.part_rows = (s.rows + MAX_PARTS - 1) / MAX_PARTS;
    if (wanted < MAX_PARTS) {
        s.part_rows = (s.rows + wanted - 1) / wanted;
    }
    s.parts = (s.rows + s.part_rows - 1) / s.part_rows;
    return s;
}

static uint64_t channel_blocks(const struct sizes *s)
{
    return (uint64_t)(s->channels + TILE_CHANNELS - 1) / TILE_CHANNELS;
}

static uint64_t row_blocks(const struct sizes *s)
{
    const int64_t rows = s->channels < APPLY_ELEMENTS ? APPLY_ELEMENTS / s->channels : 1;
    return (uint64_t)((s->rows + rows - 1) / rows);
}

#define CB_A_SIZES(s) CB_A_I64((s).rows), CB_A_I32((s).channels), CB_A_I32((s).parts), CB_A_I64((s).part_rows)

static const struct cb_tensor *param(const struct cb_instance *in, uint32_t i)
{
    return i < in->param_count ? in->params[i] : NULL;
}

/* ---- forward: kernels stats, merge, running, forward; workspace parts, moments ---- */

static enum cb_status prepare_forward_with(struct cb_instance *in, const char *stats, const char *forward)
{
    const struct cb_host *host = in->host;
    const struct sizes s = sizes_of(in->x[0]);
    CB_TRY(host->kernel(in->core, NULL, stats, NULL));
    CB_TRY(host->kernel(in->core, NULL, "batchnorm_merge", NULL));
    CB_TRY(host->kernel(in->core, NULL, "batchnorm_running", NULL));
    CB_TRY(host->kernel(in->core, NULL, forward, NULL));
    CB_TRY(host->workspace(in->core, CB_F32, 2 * s.channels * s.parts));
    return host->workspace(in->core, CB_F32, 4 * s.channels);
}

static enum cb_status run_forward_with(struct cb_instance *in, const struct cb_grid *stats,
                                       const struct cb_grid *forward)
{
    const struct options *o = in->options;
    const struct sizes s = sizes_of(in->x[0]);
    const struct cb_tensor *parts = in->workspace[0];
    const struct cb_tensor *moments = in->saved[0] != NULL ? in->saved[0] : in->workspace[1];
    if (in->training) {
        CB_TRY(CB_LAUNCH(in, 0, stats, CB_A_TENSOR(parts), CB_A_TENSOR(in->x[0]), CB_A_SIZES(s)));
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)s.channels), CB_A_TENSOR(moments), CB_A_TENSOR(in->state[0]), CB_A_TENSOR(in->state[1]), CB_A_TENSOR(parts),
                         CB_A_TENSOR(param(in, 0)), CB_A_TENSOR(param(in, 1)), CB_A_SIZES(s), CB_A_F32(o->epsilon),
                         CB_A_F32(o->momentum)));
    } else {
        CB_TRY(CB_LAUNCH(in, 2, CB_GRID((uint64_t)s.channels), CB_A_TENSOR(moments), CB_A_TENSOR(in->state[0]), CB_A_TENSOR(in->state[1]), CB_A_TENSOR(param(in, 0)),
                         CB_A_TENSOR(param(in, 1)), CB_A_I32(s.channels), CB_A_F32(o->epsilon)));
    }
    return CB_LAUNCH(in, 3, forward, CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(moments),
                     CB_A_I64(s.rows), CB_A_I32(s.channels));
}

static enum cb_status prepare_forward(struct cb_instance *in)
{
    return prepare_forward_with(in, "batchnorm_stats", "batchnorm_forward");
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in->x[0]);
    return run_forward_with(in, CB_GRID((uint64_t)s.channels, (uint64_t)s.parts),
                            CB_GRID((uint64_t)s.channels, (uint64_t)s.rows));
}

static enum cb_status prepare_forward_tile(struct cb_instance *in)
{
    return prepare_forward_with(in, "batchnorm_stats_tile", "batchnorm_forward_tile");
}

static enum cb_status run_forward_tile(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in->x[0]);
    return run_forward_with(in, CB_GRID_LOCAL(channel_blocks(&s), (uint64_t)s.parts, 1, 1, 1, 1),
                            CB_GRID_LOCAL(row_blocks(&s), 1, 1, 1, 1, 1));
}

/* ---- backward: kernels sums, merge_sums, dx; workspace parts, factors ---- */

static enum cb_status prepare_backward_with(struct cb_instance *in, const char *sums, const char *dx)
{
    const struct cb_host *host = in->host;
    const struct sizes s = sizes_of(in->x[0]);
    CB_TRY(host->kernel(in->core, NULL, sums, NULL));
    CB_TRY(host->kernel(in->core, NULL, "batchnorm_merge_sums", NULL));
    CB_TRY(host->kernel(in->core, NULL, dx, NULL));
    CB_TRY(host->workspace(in->core, CB_F32, 2 * s.channels * s.parts));
    return host->workspace(in->core, CB_F32, 2 * s.channels);
}

static enum cb_status run_backward_with(struct cb_instance *in, const struct cb_grid *sums, const struct cb_grid *apply)
{
    const struct sizes s = sizes_of(in->dy[0]);
    const struct cb_tensor *parts = in->workspace[0], *factors = in->workspace[1], *moments = in->saved[0];
    const struct cb_tensor *dw = in->param_count > 0 ? in->dw[0] : NULL, *db = in->param_count > 1 ? in->dw[1] : NULL;
    const bool wants_sums = in->training || dw != NULL || db != NULL;
    if (wants_sums) {
        CB_TRY(CB_LAUNCH(in, 0, sums, CB_A_TENSOR(parts), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->x[0]),
                         CB_A_TENSOR(moments), CB_A_SIZES(s)));
    }
    CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)s.channels), CB_A_TENSOR(factors), CB_A_TENSOR(dw), CB_A_TENSOR(db),
                     CB_A_TENSOR(parts), CB_A_TENSOR(moments), CB_A_I64(s.rows),
                     CB_A_I32(s.channels), CB_A_I32(wants_sums ? s.parts : 0), CB_A_I32(in->training),
                     CB_A_I32(in->dw_accumulate & 1u), CB_A_I32((in->dw_accumulate >> 1) & 1u)));
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 2, apply, CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->x[0]),
                     CB_A_TENSOR(moments), CB_A_TENSOR(factors), CB_A_I64(s.rows), CB_A_I32(s.channels),
                     CB_A_I32(in->training), CB_A_I32(in->dx_accumulate & 1u));
}

static enum cb_status prepare_backward(struct cb_instance *in)
{
    return prepare_backward_with(in, "batchnorm_sums", "batchnorm_dx");
}

static enum cb_status run_backward(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in->dy[0]);
    return run_backward_with(in, CB_GRID((uint64_t)s.channels, (uint64_t)s.parts),
                             CB_GRID((uint64_t)s.channels, (uint64_t)s.rows));
}

static enum cb_status prepare_backward_tile(struct cb_instance *in)
{
    return prepare_backward_with(in, "batchnorm_sums_tile", "batchnorm_dx_tile");
}

static enum cb_status run_backward_tile(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in->dy[0]);
    return run_backward_with(in, CB_GRID_LOCAL(channel_blocks(&s), (uint64_t)s.parts, 1, 1, 1, 1),
                             CB_GRID_LOCAL(row_blocks(&s), 1, 1, 1, 1, 1));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "tile", CB_CAP_TILE, NULL, prepare_forward_tile, NULL, run_forward_tile},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", 0, NULL, prepare_forward, NULL, run_forward},
    {CB_PASS_BACKWARD, CB_VARIANT_PROLOGUE, "tile", CB_CAP_TILE, NULL, prepare_backward_tile, NULL, run_backward_tile},
    {CB_PASS_BACKWARD, CB_VARIANT_PROLOGUE, "plain", 0, NULL, prepare_backward, NULL, run_backward},
};

static const char *const trials[] = {
    "[{conv2d: {filters: 32, kernel: 1}}, batchnorm, flatten]",
};

CB_PLUGIN({
    .flags = CB_LAYER_MODE_DEPENDENT,
    .name = "batchnorm",
    .family = "normalization",
    .summary = "each channel shifted and scaled to mean 0, variance 1, then by a learned scale and shift",
    .formula = "y = (x - mean) / sqrt(var + epsilon) * w + b\n"
               "in training mean and var are the batch's, over all axes but C, and move the running ones:\n"
               "running = (1 - momentum) * running + momentum * batch; else mean and var are the running ones",
    .example = "- batchnorm: {epsilon: 0.001}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_X | CB_NEEDS_SAVED,
    .dw_needs = CB_NEEDS_X | CB_NEEDS_SAVED,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = batchnorm_infer,
    .affine = batchnorm_affine,
})
