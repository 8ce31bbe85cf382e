/* avgpool2d: the mean of each window and channel of [N,H,W,C]. With count_include_pad (the default, as PyTorch) the
 * places of the padding count as zeros, as far as the padding reaches; without, and always with `padding: same` (as
 * TensorFlow), only the places inside the picture count. In backward each input gathers dy / count of the windows that
 * cover it. */
#include "pool2d.h"

struct options {
    struct pool2d_options pool;
    uint32_t count_include_pad;
};

static const struct options defaults = {.pool = POOL2D_DEFAULTS, .count_include_pad = 1};

static const struct cb_option options[] = {
    POOL2D_OPTION_TABLE,
    {"count_include_pad", "whether places of the padding count as zeros; never with `padding: same`", CB_OPT_BOOL,
     offsetof(struct options, count_include_pad)},
};

static enum cb_status avgpool2d_infer(struct cb_instance *in)
{
    struct pool2d_sizes s = {0};
    return pool2d_infer(in, &s);
}

/* How far a window counts beyond the picture: the padding, or nothing. */
struct reach {
    int64_t top, bottom, left, right;
};

static struct reach reach_of(const struct cb_instance *in, const struct pool2d_sizes *s)
{
    const struct options *o = in->options;
    if (!o->count_include_pad || o->pool.padding.choice == POOL2D_SAME) {
        return (struct reach){0};
    }
    return (struct reach){s->pt, s->pb, s->pl, s->pr};
}

#define REACH_ARGS(r) CB_A_I32((r).top), CB_A_I32((r).bottom), CB_A_I32((r).left), CB_A_I32((r).right)

static enum cb_status run_forward_with(struct cb_instance *in, const struct pool2d_sizes *s, const struct cb_grid *grid)
{
    const struct reach r = reach_of(in, s);
    return CB_LAUNCH(in, 0, grid, CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), POOL2D_ARGS(*s), REACH_ARGS(r));
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
    const struct reach r = reach_of(in, s);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, grid, CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]), POOL2D_ARGS(*s), REACH_ARGS(r),
                     CB_A_I32(in->dx_accumulate & 1u));
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
    {CB_PASS_FORWARD, 0, "tile", CB_CAP_TILE, .run = run_forward_tile, .kernels = "avgpool2d_forward_tile"},
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "avgpool2d_forward"},
    {CB_PASS_BACKWARD, 0, "tile", CB_CAP_TILE, .run = run_dx_tile, .kernels = "avgpool2d_dx_tile"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "avgpool2d_dx"},
};

static const char *const trials[] = {
    "[{conv2d: {filters: 32, kernel: 1}}, {avgpool2d: {kernel: 3, stride: 2, padding: 1}}, flatten]",
};

CB_PLUGIN({
    .name = "avgpool2d",
    .family = "pooling",
    .summary = "the mean of each window",
    .formula = "y[n,i,j,c] = mean over the window of x[n, i*stride - top + a, j*stride - left + b, c]",
    .example = "- avgpool2d: {kernel: 2}",
    CB_OPTIONS(options, defaults),
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = avgpool2d_infer,
})
