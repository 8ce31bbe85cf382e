/* binary.h: what multiply, subtract, divide, min and max share: y = f(a, b), element by element; or b is one value per
 * sample and channel, [N,C] or [N,1,1,C], that meets all places of a = [N,H,W,C]; db is then summed over the places in
 * a fixed order. Both cases are one: a is [samples, places, C] and b [samples, C], with a single place when the shapes
 * are equal. A layer's .cl says what f and its derivatives are (cl/include/binary.clh). */
#ifndef BINARY_H
#define BINARY_H

#include <cambium/layer.h>

#define BINARY_TILE_ELEMENTS 16384 /* of a work-item of the tile form, as in binary.clh */

static bool binary_same_shape(const struct cb_tensor *a, const struct cb_tensor *b)
{
    bool same = a->rank == b->rank;
    for (uint32_t d = 0; same && d < a->rank; d++) {
        same = a->dims[d] == b->dims[d];
    }
    return same;
}

static bool binary_is_gate(const struct cb_tensor *a, const struct cb_tensor *b)
{
    if (a->rank < 3 || b->rank < 2 || (b->rank != 2 && b->rank != a->rank)) {
        return false;
    }
    for (uint32_t d = 1; d + 1 < b->rank; d++) {
        if (b->dims[d] != 1) {
            return false;
        }
    }
    return a->dims[0] == b->dims[0] && a->dims[a->rank - 1] == b->dims[b->rank - 1];
}

static enum cb_status binary_infer(struct cb_instance *in, const char *layer)
{
    const struct cb_tensor *a = in->x[0], *b = in->x[1];
    if (!binary_same_shape(a, b) && !binary_is_gate(a, b)) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "%s needs two inputs of one shape, or a second one of [N,C] or [N,1,1,C] with the first "
                              "one's N and C", layer);
    }
    return in->host->output(in->core, 0, CB_F32, a->rank, a->dims);
}

struct binary_sizes {
    int64_t samples, places, channels;
};

static struct binary_sizes binary_sizes_of(const struct cb_instance *in)
{
    struct binary_sizes s = {.channels = in->x[0]->dims[in->x[0]->rank - 1]};
    s.samples = cb_tensor_count(in->x[1]) / s.channels;
    s.places = cb_tensor_count(in->x[0]) / cb_tensor_count(in->x[1]);
    return s;
}

#define BINARY_A_SIZES(s) CB_A_I64((s).samples), CB_A_I64((s).places), CB_A_I32((s).channels)

/* Work-items: an element of y each, or about a tile. */
static struct cb_grid binary_grid(const struct cb_instance *in, bool tile)
{
    const struct binary_sizes s = binary_sizes_of(in);
    const int64_t rows = s.channels < BINARY_TILE_ELEMENTS ? BINARY_TILE_ELEMENTS / s.channels : 1;
    if (tile) {
        return (struct cb_grid){{(uint64_t)((s.samples * s.places + rows - 1) / rows), 1, 1}, {1, 1, 1}};
    }
    return (struct cb_grid){{(uint64_t)s.channels, (uint64_t)(s.samples * s.places)}, {0}};
}

/* ---- forward ---- */

static enum cb_status binary_forward(struct cb_instance *in, bool tile)
{
    const struct binary_sizes s = binary_sizes_of(in);
    const struct cb_grid grid = binary_grid(in, tile);
    return CB_LAUNCH(in, 0, &grid, CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]),
                     BINARY_A_SIZES(s));
}

static enum cb_status binary_run_forward(struct cb_instance *in)
{
    return binary_forward(in, false);
}

static enum cb_status binary_run_forward_tile(struct cb_instance *in)
{
    return binary_forward(in, true);
}

/* ---- backward: kernels da, db of a single place, db summed over places ---- */

static enum cb_status binary_prepare_backward(struct cb_instance *in)
{
    CB_TRY(in->host->kernel(in->core, NULL, "binary_each", "-DBINARY_D=BINARY_DA"));
    CB_TRY(in->host->kernel(in->core, NULL, "binary_each", "-DBINARY_D=BINARY_DB"));
    return in->host->kernel(in->core, NULL, "binary_sum", NULL);
}

static enum cb_status binary_prepare_backward_tile(struct cb_instance *in)
{
    CB_TRY(in->host->kernel(in->core, NULL, "binary_each_tile", "-DBINARY_D=BINARY_DA"));
    CB_TRY(in->host->kernel(in->core, NULL, "binary_each_tile", "-DBINARY_D=BINARY_DB"));
    return in->host->kernel(in->core, NULL, "binary_sum_tile", NULL);
}

static enum cb_status binary_gradient(struct cb_instance *in, uint32_t kernel, const struct cb_grid *grid, uint32_t i)
{
    const struct binary_sizes s = binary_sizes_of(in);
    return CB_LAUNCH(in, kernel, grid, CB_A_TENSOR(in->dx[i]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->x[0]),
                     CB_A_TENSOR(in->x[1]), BINARY_A_SIZES(s), CB_A_I32((in->dx_accumulate >> i) & 1u));
}

static enum cb_status binary_backward(struct cb_instance *in, bool tile, const struct cb_grid *sums)
{
    const struct cb_grid each = binary_grid(in, tile);
    const bool is_gate = binary_sizes_of(in).places > 1;
    /* db first: da may lie where dy is */
    if (in->dx[1] != NULL) {
        CB_TRY(binary_gradient(in, is_gate ? 2 : 1, is_gate ? sums : &each, 1));
    }
    return in->dx[0] != NULL ? binary_gradient(in, 0, &each, 0) : CB_OK;
}

static enum cb_status binary_run_backward(struct cb_instance *in)
{
    const struct binary_sizes s = binary_sizes_of(in);
    return binary_backward(in, false, CB_GRID((uint64_t)s.channels, (uint64_t)s.samples));
}

static enum cb_status binary_run_backward_tile(struct cb_instance *in)
{
    const struct binary_sizes s = binary_sizes_of(in);
    return binary_backward(in, true, CB_GRID_LOCAL((uint64_t)(s.channels + 63) / 64, (uint64_t)s.samples, 1, 1, 1, 1));
}

static const struct cb_variant binary_variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "tile", CB_CAP_TILE, .run = binary_run_forward_tile,
     .kernels = "binary_forward_tile"},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", .run = binary_run_forward, .kernels = "binary_forward"},
    {CB_PASS_BACKWARD, 0, "tile", CB_CAP_TILE, NULL, binary_prepare_backward_tile, NULL, binary_run_backward_tile},
    {CB_PASS_BACKWARD, 0, "plain", 0, NULL, binary_prepare_backward, NULL, binary_run_backward},
};

#endif
