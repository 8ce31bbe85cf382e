/* add: y = x[0] + x[1] + ..., two or more inputs of one shape: where a residual branch meets its trunk.
 *
 * The sum is taken from the left, so its rounding does not depend on the variant. Each gradient is dy itself. */
#include <cambium/layer.h>

#define TILE_ELEMENTS 16384 /* per work-item of the tile form: 64 KiB of each tensor */

static enum cb_status add_infer(struct cb_instance *in)
{
    const struct cb_tensor *a = in->x[0];
    for (uint32_t i = 1; i < in->x_count; i++) {
        const struct cb_tensor *b = in->x[i];
        bool same = a->rank == b->rank;
        for (uint32_t d = 0; same && d < a->rank; d++) {
            same = a->dims[d] == b->dims[d];
        }
        if (!same) {
            return in->host->fail(in->core, CB_MISMATCH, NULL,
                                  "add needs inputs of one shape, but input %u differs from the first",
                                  (unsigned)i + 1);
        }
    }
    return in->host->output(in->core, 0, CB_F32, a->rank, a->dims);
}

/* ---- forward: kernel 0 adds the last input, kernel 1 those before it; backward: kernel 0 copies or adds dy ---- */

static enum cb_status prepare_forward_tile(struct cb_instance *in)
{
    CB_TRY(in->host->kernel(in->core, NULL, "add_forward_tile", NULL));
    return in->x_count > 2 ? in->host->kernel(in->core, NULL, "add_partial_tile", NULL) : CB_OK;
}

static enum cb_status prepare_forward(struct cb_instance *in)
{
    CB_TRY(in->host->kernel(in->core, NULL, "add_forward", NULL));
    return in->x_count > 2 ? in->host->kernel(in->core, NULL, "add_partial", NULL) : CB_OK;
}

static enum cb_status run_forward(struct cb_instance *in, const struct cb_grid *grid)
{
    const struct cb_tensor *y = in->y[0];
    for (uint32_t i = 1; i < in->x_count; i++) {
        CB_TRY(CB_LAUNCH(in, i + 1 < in->x_count ? 1 : 0, grid, CB_A_TENSOR(y), CB_A_TENSOR(i == 1 ? in->x[0] : y),
                         CB_A_TENSOR(in->x[i]), CB_A_I64(cb_tensor_count(y)), CB_A_I32(y->dims[y->rank - 1])));
    }
    return CB_OK;
}

static enum cb_status run_dx(struct cb_instance *in, const struct cb_grid *grid)
{
    const int64_t count = cb_tensor_count(in->dy[0]);
    for (uint32_t i = 0; i < in->x_count; i++) {
        const int32_t accumulate = (in->dx_accumulate >> i) & 1u;
        const bool is_dy = in->dx[i] != NULL && in->dx[i]->buffer == in->dy[0]->buffer;
        if (in->dx[i] != NULL && !is_dy) {
            CB_TRY(CB_LAUNCH(in, 0, grid, CB_A_TENSOR(in->dx[i]), CB_A_TENSOR(in->dy[0]), CB_A_I64(count),
                             CB_A_I32(accumulate)));
        }
    }
    return CB_OK;
}

static uint64_t tiles(const struct cb_tensor *t)
{
    return (uint64_t)((cb_tensor_count(t) + TILE_ELEMENTS - 1) / TILE_ELEMENTS);
}

static enum cb_status run_forward_tile(struct cb_instance *in)
{
    return run_forward(in, CB_GRID_LOCAL(tiles(in->y[0]), 1, 1, 1, 1, 1));
}

static enum cb_status run_forward_plain(struct cb_instance *in)
{
    return run_forward(in, CB_GRID((uint64_t)cb_tensor_count(in->y[0])));
}

static enum cb_status run_dx_tile(struct cb_instance *in)
{
    return run_dx(in, CB_GRID_LOCAL(tiles(in->dy[0]), 1, 1, 1, 1, 1));
}

static enum cb_status run_dx_plain(struct cb_instance *in)
{
    return run_dx(in, CB_GRID((uint64_t)cb_tensor_count(in->dy[0])));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "tile", CB_CAP_TILE, NULL, prepare_forward_tile, NULL, run_forward_tile},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", 0, NULL, prepare_forward, NULL, run_forward_plain},
    {CB_PASS_BACKWARD, 0, "tile", CB_CAP_TILE, .run = run_dx_tile, .kernels = "add_dx_tile"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx_plain, .kernels = "add_dx"},
};

static const char *const trials[] = {
    "[{conv2d: {filters: 32, kernel: 1}, name: a}, {conv2d: {filters: 32, kernel: 1}, inputs: [x], name: "
    "b}, {add: {}, inputs: [a, b]}, flatten]",
};

CB_PLUGIN({
    .flags = CB_LAYER_SUM,
    .name = "add",
    .family = "arithmetic",
    .summary = "the sum of two or more tensors of one shape",
    .formula = "y = x[0] + x[1] + ...",
    .example = "- add: {}\n  inputs: [conv2, block1]",
    .min_inputs = 2,
    .max_inputs = 16,
    .inplace = CB_BIT(0) | CB_BIT(1),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = add_infer,
})
