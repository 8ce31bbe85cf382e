/* standardize: centres the features of [N,...,C] and divides them, by figures fitted to the training data beforehand:
 *
 *     y = (x - mean[c]) / divisor,   per: all      divisor = the root of the mean square of all centred features
 *                                    per: channel  divisor = each channel's own standard deviation
 *
 * (squares are divided by the count). A frozen backbone's features under a linear head want `all` (Kornblith 2019):
 * channels keep their relative size. A divisor that is nothing but rounding, at most epsilon (1 + |mean|) for a channel
 * or epsilon for all, is taken as 1: the feature is constant. Before any fit (count = 0) y = x.
 *
 * The fit takes one batch at a time and merges its mean and squares into the state by the parallel formula of Chan,
 * Golub and LeVeque (1979), in a fixed order. State: mean [C], scale [1 or C] (the divisor), count [1] (rows seen). */
#include <cambium/layer.h>

#include <math.h>

enum { PER_ALL, PER_CHANNEL };

struct options {
    int32_t per;
    double epsilon;
};

static const char *const per_words[] = {"all", "channel", NULL};

static const struct options defaults = {PER_ALL, 1e-6};

static const struct cb_option options[] = {
    {"per", "whether one divisor serves all channels, or each has its own", CB_OPT_CHOICE,
     offsetof(struct options, per), 0, 0, per_words},
    {"epsilon", "a divisor below this is taken as 1", CB_OPT_REAL, offsetof(struct options, epsilon), 0.0, 1.0},
};

static int64_t channels_of(const struct cb_instance *in)
{
    return in->x[0]->dims[in->x[0]->rank - 1];
}

static enum cb_status standardize_infer(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank < 2) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "standardize needs features behind N, but its input has rank %u", (unsigned)x->rank);
    }
    struct cb_param_decl decl = {sizeof(decl), CB_PARAM_VECTOR, "mean", "mean", 1, CB_INIT_CONSTANT, {channels_of(in)}};
    CB_TRY(in->host->state(in->core, &decl));
    decl.name = decl.foreign = "scale";
    decl.dims[0] = o->per == PER_ALL ? 1 : channels_of(in);
    decl.value = 1.0;
    CB_TRY(in->host->state(in->core, &decl));
    decl.name = decl.foreign = "count";
    decl.dims[0] = 1;
    decl.value = 0.0;
    CB_TRY(in->host->state(in->core, &decl));
    return in->host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

static enum cb_status standardize_affine(const struct cb_instance *in, const float *const *params,
                                         const float *const *state, float *scale, float *shift)
{
    const struct options *o = in->options;
    (void)params;
    for (int64_t c = 0; c < channels_of(in); c++) {
        const double mean = state[0][c], fitted = state[1][o->per == PER_ALL ? 0 : c];
        const double least = o->per == PER_ALL ? o->epsilon : o->epsilon * (1.0 + fabs(mean));
        const double divisor = fitted > least ? fitted : 1.0;
        const bool is_fitted = state[2][0] > 0.0f;
        scale[c] = is_fitted ? (float)(1.0 / divisor) : 1.0f;
        shift[c] = is_fitted ? (float)(-mean / divisor) : 0.0f;
    }
    return CB_OK;
}

#define STATE_ARGS(in) CB_A_TENSOR((in)->state[0]), CB_A_TENSOR((in)->state[1]), CB_A_TENSOR((in)->state[2])
#define OPTION_ARGS(o) CB_A_I32((o)->per == PER_CHANNEL), CB_A_F32((o)->epsilon)

static enum cb_status run_forward(struct cb_instance *in)
{
    const int64_t channels = channels_of(in), rows = cb_tensor_count(in->x[0]) / channels;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)channels, (uint64_t)rows), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]),
                     STATE_ARGS(in), CB_A_I64(rows), CB_A_I32(channels),
                     OPTION_ARGS((const struct options *)in->options));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const int64_t channels = channels_of(in), rows = cb_tensor_count(in->dy[0]) / channels;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)channels, (uint64_t)rows), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     STATE_ARGS(in), CB_A_I64(rows), CB_A_I32(channels),
                     OPTION_ARGS((const struct options *)in->options), CB_A_I32(in->dx_accumulate & 1u));
}

/* Kernels: means and squares of the batch into the state, the divisor from the squares, the count. */
static enum cb_status prepare_fit(struct cb_instance *in)
{
    CB_TRY(in->host->kernel(in->core, NULL, "standardize_fit", NULL));
    CB_TRY(in->host->kernel(in->core, NULL, "standardize_fit_scale", NULL));
    CB_TRY(in->host->kernel(in->core, NULL, "standardize_fit_count", NULL));
    return in->host->workspace(in->core, CB_F32, channels_of(in));
}

static enum cb_status run_fit(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t channels = channels_of(in), rows = cb_tensor_count(in->x[0]) / channels;
    CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)channels), CB_A_TENSOR(in->state[0]), CB_A_TENSOR(in->workspace[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->state[2]), CB_A_I64(rows), CB_A_I32(channels)));
    CB_TRY(CB_LAUNCH(in, 1, CB_GRID(o->per == PER_CHANNEL ? (uint64_t)channels : 1), CB_A_TENSOR(in->state[1]),
                     CB_A_TENSOR(in->workspace[0]), CB_A_TENSOR(in->state[2]), CB_A_I64(rows), CB_A_I32(channels),
                     CB_A_I32(o->per == PER_CHANNEL)));
    return CB_LAUNCH(in, 2, CB_GRID(1), CB_A_TENSOR(in->state[2]), CB_A_I64(rows));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "standardize_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "standardize_dx"},
    {CB_PASS_FIT, 0, "plain", 0, NULL, prepare_fit, NULL, run_fit},
};

CB_PLUGIN({
    .flags = CB_LAYER_FITTED,
    .name = "standardize",
    .family = "normalization",
    .summary = "features centred and scaled by figures of the training data",
    .formula = "y = (x - mean[c]) / divisor, both of the training data\n"
               "per all: divisor = sqrt(mean of (x - mean)^2 over all features); per channel: of each its own",
    .example = "- standardize: {per: channel}",
    CB_OPTIONS(options, defaults),
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = standardize_infer,
    .affine = standardize_affine,
})
