/* multiply: y = a b, element by element; or b is one value per sample and channel, [N,C] or [N,1,1,C], that gates all
 * places of a = [N,H,W,C] (squeeze-and-excitation, Hu 2018). da = dy b; db = dy a, summed over the places of a gate in
 * a fixed order. Both cases are one: a is [samples, places, C] and b [samples, C], with a single place when the shapes
 * are equal. */
#include <cambium/layer.h>

#define TILE_ELEMENTS 16384 /* of a work-item of the tile form, as in multiply.cl */

static bool same_shape(const struct cb_tensor *a, const struct cb_tensor *b)
{
    bool same = a->rank == b->rank;
    for (uint32_t d = 0; same && d < a->rank; d++) {
        same = a->dims[d] == b->dims[d];
    }
    return same;
}

static bool is_gate(const struct cb_tensor *a, const struct cb_tensor *b)
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

static enum cb_status multiply_infer(struct cb_instance *in)
{
    const struct cb_tensor *a = in->x[0], *b = in->x[1];
    if (!same_shape(a, b) && !is_gate(a, b)) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "multiply needs two inputs of one shape, or a second one of [N,C] or [N,1,1,C] with the "
                              "first one's N and C");
    }
    return in->host->output(in->core, 0, CB_F32, a->rank, a->dims);
}

struct sizes {
    int64_t samples, places, channels;
};

static struct sizes sizes_of(const struct cb_instance *in)
{
    struct sizes s = {.channels = in->x[0]->dims[in->x[0]->rank - 1]};
    s.samples = cb_tensor_count(in->x[1]) / s.channels;
    s.places = cb_tensor_count(in->x[0]) / cb_tensor_count(in->x[1]);
    return s;
}

#define CB_A_SIZES(s) CB_A_I64((s).samples), CB_A_I64((s).places), CB_A_I32((s).channels)

/* Kernel 0: the product. In backward kernel 1: the sum over places. */
static enum cb_status prepare_forward(struct cb_instance *in)
{
    return in->host->kernel(in->core, NULL, "multiply_forward", NULL);
}

static enum cb_status prepare_forward_tile(struct cb_instance *in)
{
    return in->host->kernel(in->core, NULL, "multiply_forward_tile", NULL);
}

static enum cb_status prepare_backward(struct cb_instance *in)
{
    CB_TRY(prepare_forward(in));
    return in->host->kernel(in->core, NULL, "multiply_dgate", NULL);
}

static enum cb_status prepare_backward_tile(struct cb_instance *in)
{
    CB_TRY(prepare_forward_tile(in));
    return in->host->kernel(in->core, NULL, "multiply_dgate_tile", NULL);
}

static enum cb_status product(struct cb_instance *in, const struct cb_grid *grid, const struct cb_tensor *y,
                              const struct cb_tensor *a, const struct cb_tensor *b, uint32_t accumulate)
{
    const struct sizes s = sizes_of(in);
    return CB_LAUNCH(in, 0, grid, CB_A_TENSOR(y), CB_A_TENSOR(a), CB_A_TENSOR(b), CB_A_SIZES(s), CB_A_I32(accumulate));
}

static enum cb_status backward(struct cb_instance *in, const struct cb_grid *products, const struct cb_grid *sums)
{
    const struct sizes s = sizes_of(in);
    const uint32_t accumulate_b = (in->dx_accumulate >> 1) & 1u;
    /* db first: da may lie where dy is */
    if (in->dx[1] != NULL && s.places == 1) {
        CB_TRY(product(in, products, in->dx[1], in->dy[0], in->x[0], accumulate_b));
    } else if (in->dx[1] != NULL) {
        CB_TRY(CB_LAUNCH(in, 1, sums, CB_A_TENSOR(in->dx[1]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->x[0]),
                         CB_A_SIZES(s), CB_A_I32(accumulate_b)));
    }
    if (in->dx[0] != NULL) {
        CB_TRY(product(in, products, in->dx[0], in->dy[0], in->x[1], in->dx_accumulate & 1u));
    }
    return CB_OK;
}

static struct cb_grid element_grid(const struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    return (struct cb_grid){{(uint64_t)s.channels, (uint64_t)(s.samples * s.places)}, {0}};
}

static struct cb_grid tile_grid(const struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    const int64_t rows = s.channels < TILE_ELEMENTS ? TILE_ELEMENTS / s.channels : 1;
    return (struct cb_grid){{(uint64_t)((s.samples * s.places + rows - 1) / rows), 1, 1}, {1, 1, 1}};
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct cb_grid grid = element_grid(in);
    return product(in, &grid, in->y[0], in->x[0], in->x[1], 0);
}

static enum cb_status run_forward_tile(struct cb_instance *in)
{
    const struct cb_grid grid = tile_grid(in);
    return product(in, &grid, in->y[0], in->x[0], in->x[1], 0);
}

static enum cb_status run_backward(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    const struct cb_grid grid = element_grid(in);
    return backward(in, &grid, CB_GRID((uint64_t)s.channels, (uint64_t)s.samples));
}

static enum cb_status run_backward_tile(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    const struct cb_grid grid = tile_grid(in);
    return backward(in, &grid, CB_GRID_LOCAL((uint64_t)(s.channels + 63) / 64, (uint64_t)s.samples, 1, 1, 1, 1));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "tile", CB_CAP_TILE, NULL, prepare_forward_tile, NULL, run_forward_tile},
    {CB_PASS_FORWARD, 0, "plain", 0, NULL, prepare_forward, NULL, run_forward},
    {CB_PASS_BACKWARD, 0, "tile", CB_CAP_TILE, NULL, prepare_backward_tile, NULL, run_backward_tile},
    {CB_PASS_BACKWARD, 0, "plain", 0, NULL, prepare_backward, NULL, run_backward},
};

static const char *const trials[] = {
    "[{conv2d: {filters: 32, kernel: 1}, name: a}, {conv2d: {filters: 32, kernel: 1}, inputs: [x], name: "
    "b}, {multiply: {}, inputs: [a, b]}, flatten]",
};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .name = "multiply",
    .summary = "the product of two tensors, or of a tensor and a gate per channel",
    .formula = "y = a * b",
    .example = "- multiply: {}\n  inputs: [features, gate]",
    .min_inputs = 2,
    .max_inputs = 2,
    .dx_needs = CB_NEEDS_X,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = multiply_infer,
})
