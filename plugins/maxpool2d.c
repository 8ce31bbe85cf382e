/* maxpool2d: the largest value of each window and channel of [N,H,W,C]; padding never wins. The place of the largest
 * value (h W + w; the first one where several are equal, the last NaN where there are NaNs, as PyTorch) is kept for
 * backward, in which each input gathers the dy of the windows that chose it: no atomics, a fixed order. */
#include "pool2d.h"

static const struct pool2d_options defaults = POOL2D_DEFAULTS;

static const struct cb_option options[] = {POOL2D_OPTION_TABLE};

static enum cb_status maxpool2d_infer(struct cb_instance *in)
{
    struct pool2d_sizes s = {0};
    CB_TRY(pool2d_infer(in, &s));
    return in->host->saved(in->core, CB_I32, 4, (const int64_t[]){s.n, s.oh, s.ow, s.c});
}

static enum cb_status run_forward_with(struct cb_instance *in, const struct pool2d_sizes *s, const struct cb_grid *grid)
{
    return CB_LAUNCH(in, 0, grid, CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(in->x[0]),
                     POOL2D_ARGS(*s));
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct pool2d_sizes s = pool2d_sizes(in->options, in->x[0]->dims);
    return run_forward_with(in, &s, CB_GRID((uint64_t)s.c, (uint64_t)s.ow, (uint64_t)(s.n * s.oh)));
}

static enum cb_status run_forward_tile(struct cb_instance *in)
{
    const struct pool2d_sizes s = pool2d_sizes(in->options, in->x[0]->dims);
    return run_forward_with(in, &s, CB_GRID_LOCAL((uint64_t)(s.n * s.oh), 1, 1, 1, 1, 1));
}

static enum cb_status run_dx_with(struct cb_instance *in, const struct pool2d_sizes *s, const struct cb_grid *grid)
{
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, grid, CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->saved[0]),
                     POOL2D_ARGS(*s), CB_A_I32(in->dx_accumulate & 1u));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct pool2d_sizes s = pool2d_sizes(in->options, in->x[0]->dims);
    return run_dx_with(in, &s, CB_GRID((uint64_t)s.c, (uint64_t)s.w, (uint64_t)(s.n * s.h)));
}

static enum cb_status run_dx_tile(struct cb_instance *in)
{
    const struct pool2d_sizes s = pool2d_sizes(in->options, in->x[0]->dims);
    return run_dx_with(in, &s, CB_GRID_LOCAL((uint64_t)(s.n * s.h), 1, 1, 1, 1, 1));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "tile", CB_CAP_TILE, .run = run_forward_tile, .kernels = "maxpool2d_forward_tile"},
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "maxpool2d_forward"},
    {CB_PASS_BACKWARD, 0, "tile", CB_CAP_TILE, .run = run_dx_tile, .kernels = "maxpool2d_dx_tile"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "maxpool2d_dx"},
};

static const char *const trials[] = {
    "[{conv2d: {filters: 32, kernel: 1}}, {maxpool2d: {kernel: 3, stride: 2, padding: 1}}, flatten]",
};

CB_PLUGIN({
    .name = "maxpool2d",
    .family = "pooling",
    .summary = "the largest value of each window",
    .formula = "y[n,i,j,c] = max over the window of x[n, i*stride - top + a, j*stride - left + b, c]",
    .example = "- maxpool2d: {kernel: 3, stride: 2, padding: 1}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_SAVED,
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = maxpool2d_infer,
})
