/* position_sinusoidal: adds waves that tell the position (Vaswani 2017), nothing trained; for i = 0 to C/2 - 1
 *
 *   y[n,t,2i] = x + sin(t base^(-2i/C)),  y[n,t,2i+1] = x + cos(t base^(-2i/C));  dx = dy
 *
 * or, with `layout: halves`, the sines in the first half of the channels and the cosines in the second. */
#include "positions.h"

struct options {
    double base;
    int32_t layout;
};

static const struct options defaults = {.base = 10000.0, .layout = POSITIONS_INTERLEAVED};

static const struct cb_option options[] = {
    {"base", "wavelengths grow from 2 pi to 2 pi times this", CB_OPT_REAL, offsetof(struct options, base), 1, 1e9},
    {"layout", "`interleaved`: sine and cosine are neighbours; `halves`: all sines first, then all cosines",
     CB_OPT_CHOICE, offsetof(struct options, layout), 0, 0, positions_layout_words},
};

static enum cb_status position_sinusoidal_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct cb_tensor *x = in->x[0];
    if (x->rank != 3) {
        return host->fail(in->core, CB_MISMATCH, NULL, "position_sinusoidal needs [N,T,C], but its input has rank %u",
                          (unsigned)x->rank);
    }
    if (x->dims[2] % 2 != 0) {
        return host->fail(in->core, CB_MISMATCH, NULL, "position_sinusoidal needs an even number of channels, not %lld",
                          (long long)x->dims[2]);
    }
    return host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *d = in->x[0]->dims, rows = d[0] * d[1];
    const double log_base = positions_log(o->base);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[2] / 2, (uint64_t)rows), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]),
                     CB_A_I64(rows), CB_A_I32(d[1]), CB_A_I32(d[2]), CB_A_I32(o->layout == POSITIONS_HALVES),
                     POSITIONS_ARGS(log_base));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const int64_t count = cb_tensor_count(in->dy[0]);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)count), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]), CB_A_I64(count),
                     CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "position_sinusoidal_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "position_sinusoidal_dx"},
};

CB_PLUGIN({
    .name = "position_sinusoidal",
    .family = "sequences",
    .summary = "adds sines and cosines that tell the position in the sequence",
    .formula = "y[n,t,2i] = x[n,t,2i] + sin(t * base^(-2i/C))\n"
               "y[n,t,2i+1] = x[n,t,2i+1] + cos(t * base^(-2i/C))",
    .example = "- position_sinusoidal",
    CB_OPTIONS(options, defaults),
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = position_sinusoidal_infer,
})
