/* tame: each row made smaller the larger it is, times a trained weight per channel: the healthy layer into which the cases of
 * this folder plant faults. It has what can go wrong: a reduction, a param, a state, saved and scratch memory, two variants.
 *
 *     m[r] = mean over c of x[r,c]^2,  q[r] = 1 / (1 + m[r]),  y[r,c] = w[c] x[r,c] q[r]        x, y (R,C), w (C)
 *     dx[r,c] = w[c] dy[r,c] q[r] - 2 x[r,c] q[r]^2 / C * (sum over c of w[c] dy[r,c] x[r,c])
 *     dw[c] = sum over r of dy[r,c] x[r,c] q[r]
 *
 * In training the state `usual` follows the mean of q. Kernels: tame.cl. */
#include <stdlib.h>

#include <cambium/layer.h>

#define PARTS 4 /* into which dw's rows are split */

struct options {
    double follow;
};

static const struct options defaults = {.follow = 0.1};

static const struct cb_option options[] = {
    {.key = "follow", .help = "how fast `usual` follows", .type = CB_OPT_REAL, .offset = offsetof(struct options, follow),
     .min = 0.0, .max = 1.0},
};

/* x (R,C), whatever stands before C. */
static int64_t channels_of(const struct cb_instance *in)
{
    return in->x[0]->dims[in->x[0]->rank - 1];
}

static int64_t rows_of(const struct cb_instance *in)
{
    return cb_tensor_count(in->x[0]) / channels_of(in);
}

static enum cb_status tame_infer(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    const int64_t rows = rows_of(in);
    const struct cb_param_decl w = {.struct_size = sizeof(w), .role = CB_PARAM_VECTOR, .name = "w", .foreign = "weight",
                                    .rank = 1, .dims = {channels_of(in)}, .init = CB_INIT_CONSTANT, .value = 1.0};
    const struct cb_param_decl usual = {.struct_size = sizeof(usual), .name = "usual", .foreign = "usual", .rank = 1,
                                        .dims = {1}, .init = CB_INIT_CONSTANT, .value = 1.0};
    CB_TRY(in->host->param(in->core, &w));
    CB_TRY(in->host->state(in->core, &usual));
    CB_TRY(in->host->saved(in->core, CB_F32, 1, &rows)); /* q */
    return in->host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

static enum cb_status take_self(struct cb_instance *in)
{
    if (in->self == NULL) {
        in->self = calloc(1, 256);
    }
    return in->self != NULL ? CB_OK : CB_MEMORY;
}

static enum cb_status prepare_forward(struct cb_instance *in, const char *entry)
{
    CB_TRY(take_self(in));
    CB_TRY(in->host->workspace(in->core, CB_F32, rows_of(in))); /* q, where it is not saved */
    CB_TRY(in->host->kernel(in->core, NULL, entry, NULL));
    return in->host->kernel(in->core, NULL, "tame_usual", NULL);
}

static enum cb_status prepare_forward_group(struct cb_instance *in)
{
    return prepare_forward(in, "tame_forward_group");
}

static enum cb_status prepare_forward_plain(struct cb_instance *in)
{
    return prepare_forward(in, "tame_forward");
}

static enum cb_status follow(struct cb_instance *in, const struct cb_tensor *q)
{
    const struct options *o = in->options;
    if (!in->training) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 1, CB_GRID(1), CB_A_TENSOR(in->state[0]), CB_A_TENSOR(q), CB_A_I64(rows_of(in)),
                     CB_A_F32(o->follow));
}

static enum cb_status run_forward_group(struct cb_instance *in)
{
    const struct cb_tensor *q = in->saved[0] != NULL ? in->saved[0] : in->workspace[0];
    CB_TRY(CB_LAUNCH(in, 0, CB_GRID_LOCAL(16 * (uint64_t)rows_of(in), 1, 1, 16, 1, 1), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(q), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), CB_A_I64(rows_of(in)),
                     CB_A_I64(channels_of(in)), CB_A_LOCAL(16 * sizeof(float))));
    return follow(in, q);
}

static enum cb_status run_forward_plain(struct cb_instance *in)
{
    const struct cb_tensor *q = in->saved[0] != NULL ? in->saved[0] : in->workspace[0];
    CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)rows_of(in)), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(q), CB_A_TENSOR(in->x[0]),
                     CB_A_TENSOR(in->params[0]), CB_A_I64(rows_of(in)), CB_A_I64(channels_of(in))));
    return follow(in, q);
}

static enum cb_status prepare_dx(struct cb_instance *in)
{
    return in->host->kernel(in->core, NULL, "tame_dx", NULL);
}

static enum cb_status run_dx(struct cb_instance *in)
{
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)rows_of(in)), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), CB_A_TENSOR(in->saved[0]), CB_A_I64(rows_of(in)),
                     CB_A_I64(channels_of(in)), CB_A_I32(in->dx_accumulate & 1u));
}

static enum cb_status prepare_dw(struct cb_instance *in)
{
    CB_TRY(in->host->workspace(in->core, CB_F32, PARTS * channels_of(in)));
    CB_TRY(in->host->kernel(in->core, NULL, "tame_dw_parts", NULL));
    return in->host->kernel(in->core, NULL, "tame_dw_sum", NULL);
}

static enum cb_status run_dw(struct cb_instance *in)
{
    CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)channels_of(in), PARTS), CB_A_TENSOR(in->workspace[0]), CB_A_TENSOR(in->dy[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->saved[0]), CB_A_I64(rows_of(in)), CB_A_I64(channels_of(in)),
                     CB_A_I32(PARTS)));
    return CB_LAUNCH(in, 1, CB_GRID((uint64_t)channels_of(in)), CB_A_TENSOR(in->dw[0]), CB_A_TENSOR(in->workspace[0]),
                     CB_A_I64(channels_of(in)), CB_A_I32(PARTS), CB_A_I32(in->dw_accumulate & 1u));
}

static void tame_release(struct cb_instance *in)
{
    free(in->self);
    in->self = NULL;
}

static const struct cb_variant variants[] = {
    {.pass = CB_PASS_FORWARD, .name = "group", .prepare = prepare_forward_group, .run = run_forward_group},
    {.pass = CB_PASS_FORWARD, .name = "plain", .prepare = prepare_forward_plain, .run = run_forward_plain},
    {.pass = CB_PASS_DX, .name = "plain", .prepare = prepare_dx, .run = run_dx},
    {.pass = CB_PASS_DW, .name = "plain", .prepare = prepare_dw, .run = run_dw},
};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .flags = CB_LAYER_MODE_DEPENDENT,
    .name = "tame",
    .summary = "each row made smaller the larger it is, times a trained weight per channel",
    .formula = "y[r,c] = w[c] x[r,c] / (1 + mean_c x[r,c]^2)",
    .example = "- tame: {follow: 0.2}",
    .options = CB_ARRAY(options),
    .defaults = &defaults,
    .options_size = sizeof(struct options),
    .min_inputs = 1,
    .max_inputs = 1,
    .dx_needs = CB_NEEDS_X | CB_NEEDS_PARAMS | CB_NEEDS_SAVED,
    .dw_needs = CB_NEEDS_X | CB_NEEDS_SAVED,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = tame_infer,
    .release = tame_release,
})
