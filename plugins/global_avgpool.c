/* global_avgpool: the mean over height and width, [N,H,W,C] -> [N,C]. Each image is summed row by row, so that long
 * sums stay exact to float's precision and a sample's result does not depend on its batch. dx = dy / (H W) at each
 * place. */
#include <cambium/layer.h>

static enum cb_status global_avgpool_infer(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    if (x->rank != 4) {
        return in->host->fail(in->core, CB_MISMATCH, NULL, "global_avgpool needs [N,H,W,C], but its input has rank %u",
                              (unsigned)x->rank);
    }
    return in->host->output(in->core, 0, CB_F32, 2, (const int64_t[]){x->dims[0], x->dims[3]});
}

static enum cb_status run_forward_with(struct cb_instance *in, const struct cb_grid *grid)
{
    const int64_t *d = in->x[0]->dims;
    return CB_LAUNCH(in, 0, grid, CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), CB_A_I32(d[0]), CB_A_I32(d[1]),
                     CB_A_I32(d[2]), CB_A_I32(d[3]));
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const int64_t *d = in->x[0]->dims;
    return run_forward_with(in, CB_GRID((uint64_t)d[3], (uint64_t)d[0]));
}

static enum cb_status run_forward_tile(struct cb_instance *in)
{
    const int64_t *d = in->x[0]->dims;
    return run_forward_with(in, CB_GRID_LOCAL((uint64_t)(d[3] + 63) / 64, (uint64_t)d[0], 1, 1, 1, 1));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const int64_t *d = in->x[0]->dims;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[3], (uint64_t)(d[0] * d[1])), CB_A_TENSOR(in->dx[0]),
                     CB_A_TENSOR(in->dy[0]), CB_A_I32(d[0]), CB_A_I32(d[1]), CB_A_I32(d[2]), CB_A_I32(d[3]),
                     CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "tile", CB_CAP_TILE, .run = run_forward_tile, .kernels = "global_avgpool_forward_tile"},
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "global_avgpool_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "global_avgpool_dx"},
};

static const char *const trials[] = {
    "[{conv2d: {filters: 32, kernel: 1}}, global_avgpool]",
};

CB_PLUGIN({
    .name = "global_avgpool",
    .family = "pooling",
    .summary = "the mean over height and width",
    .formula = "y[n,c] = mean over h, w of x[n,h,w,c]",
    .example = "- global_avgpool",
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = global_avgpool_infer,
})
