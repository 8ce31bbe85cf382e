/* lp_pool2d: y = (sum of x^p over each window)^(1/p) for each channel of [N,H,W,C], p the power (torch.nn.LPPool2d): p = 1
 * sums, p = 2 is the Euclidean length, a large p comes near the maximum. As in PyTorch x^p keeps its sign for odd p and
 * is NaN for negative x and broken p, a negative sum has no root (NaN), and a last window that hangs over the edge
 * (`ceil_mode`) counts as if it were full: its sum times kernel places / its places.
 *
 * With s such a factor, 1 elsewhere: dx = sum over the windows that cover x of dy s x^(p-1) y^(1-p), 0 where y is 0. */
#include "pool2d.h"

struct options {
    struct pool2d_options pool;
    double power;
};

static const struct options defaults = {.pool = POOL2D_DEFAULTS, .power = 2.0};

static const struct cb_option options[] = {
    {"power", "the power p of the norm", CB_OPT_REAL, offsetof(struct options, power), 1.0, 64.0},
    POOL2D_OPTION_TABLE,
};

static enum cb_status lp_pool2d_infer(struct cb_instance *in)
{
    struct pool2d_sizes s = {0};
    return pool2d_infer(in, &s);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct pool2d_sizes s = pool2d_sizes(&o->pool, in->x[0]->dims);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.c, (uint64_t)s.ow, (uint64_t)(s.n * s.oh)), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->x[0]), POOL2D_ARGS(s), CB_A_I32(s.pb), CB_A_I32(s.pr), CB_A_F32(o->power));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct pool2d_sizes s = pool2d_sizes(&o->pool, in->x[0]->dims);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.c, (uint64_t)s.w, (uint64_t)(s.n * s.h)), CB_A_TENSOR(in->dx[0]),
                     CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->y[0]), POOL2D_ARGS(s),
                     CB_A_I32(s.pb), CB_A_I32(s.pr), CB_A_F32(o->power), CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "lp_pool2d_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "lp_pool2d_dx"},
};

CB_PLUGIN({
    .name = "lp_pool2d",
    .family = "pooling",
    .summary = "the p-norm of each window",
    .formula = "y[n,i,j,c] = (sum over the window of x[n, i*stride - top + a, j*stride - left + b, c]^power)^(1/power)",
    .example = "- lp_pool2d: {power: 2, kernel: 3, stride: 2}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_X | CB_NEEDS_Y,
    .variants = CB_ARRAY(variants),
    .infer = lp_pool2d_infer,
})
