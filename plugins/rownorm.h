/* rownorm.h: what layernorm and rmsnorm share: each row of C neighbours (the last axis) is normalized on its own, then
 * scaled by w and shifted by b.
 *
 * A row's mean (0 in rmsnorm) and rstd = 1 / sqrt(its mean square about that + epsilon) are kept for backward. dw and db
 * are sums over all rows: first over parts of at least 64 rows, then over the parts, in an order that the number of rows
 * alone decides. The kernels are in cl/include/rownorm.clh; ROWNORM is the layer's name, a string, with which the names
 * of its kernels begin. */
#ifndef CAMBIUM_ROWNORM_H
#define CAMBIUM_ROWNORM_H

#include <cambium/layer.h>

#define ROWNORM_MAX_PARTS 256
#define ROWNORM_LEAST_ROWS 64 /* of a part */
#define ROWNORM_TILE_ELEMENTS 16384 /* of a tile work-item, as in rownorm.clh */

struct rownorm_options {
    double epsilon;
    uint32_t scale, shift;
};

/* Sizes of x [rows,C]. */
struct rownorm_sizes {
    int64_t rows, c, parts, part_rows;
};

static inline struct rownorm_sizes rownorm_sizes(const struct cb_tensor *x)
{
    struct rownorm_sizes s = {.c = x->dims[x->rank - 1]};
    s.rows = cb_tensor_count(x) / s.c;
    s.part_rows = (s.rows + ROWNORM_MAX_PARTS - 1) / ROWNORM_MAX_PARTS;
    s.part_rows = s.part_rows < ROWNORM_LEAST_ROWS ? ROWNORM_LEAST_ROWS : s.part_rows;
    s.parts = (s.rows + s.part_rows - 1) / s.part_rows;
    return s;
}

static inline uint64_t rownorm_row_blocks(const struct rownorm_sizes *s)
{
    const int64_t rows = s->c < ROWNORM_TILE_ELEMENTS ? ROWNORM_TILE_ELEMENTS / s->c : 1;
    return (uint64_t)((s->rows + rows - 1) / rows);
}

/* Param w is the first, where there is one; b the last. NULL: there is none, or its gradient is not wanted. */
static inline struct cb_tensor *rownorm_w(const struct cb_instance *in, struct cb_tensor *const *list)
{
    const struct rownorm_options *o = in->options;
    return o->scale && list != NULL ? list[0] : NULL;
}

static inline struct cb_tensor *rownorm_b(const struct cb_instance *in, struct cb_tensor *const *list)
{
    const struct rownorm_options *o = in->options;
    return o->shift && list != NULL ? list[o->scale ? 1 : 0] : NULL;
}

static inline enum cb_status rownorm_infer(struct cb_instance *in)
{
    const struct rownorm_options *o = in->options;
    const struct cb_host *host = in->host;
    const struct cb_tensor *x = in->x[0];
    if (x->rank < 2) {
        return host->fail(in->core, CB_MISMATCH, NULL, ROWNORM " needs an axis behind N, but its input has rank %u",
                          (unsigned)x->rank);
    }
    struct cb_param_decl decl = {sizeof(decl), CB_PARAM_VECTOR, "w", "weight", 1, CB_INIT_CONSTANT};
    decl.dims[0] = x->dims[x->rank - 1];
    decl.value = 1.0;
    if (o->scale) {
        CB_TRY(host->param(in->core, &decl));
    }
    decl.name = "b";
    decl.foreign = "bias";
    decl.value = 0.0;
    if (o->shift) {
        CB_TRY(host->param(in->core, &decl));
    }
    int64_t moments[CB_MAX_RANK]; /* [rows,2]: mean, rstd */
    for (uint32_t i = 0; i < x->rank; i++) {
        moments[i] = i + 1 < x->rank ? x->dims[i] : 2;
    }
    CB_TRY(host->saved(in->core, CB_F32, x->rank, moments));
    return host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

/* ---- forward ---- */

static inline enum cb_status rownorm_run_forward_with(struct cb_instance *in, const struct cb_grid *grid)
{
    const struct rownorm_options *o = in->options;
    const struct rownorm_sizes s = rownorm_sizes(in->x[0]);
    return CB_LAUNCH(in, 0, grid, CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(in->x[0]),
                     CB_A_TENSOR(rownorm_w(in, in->params)), CB_A_TENSOR(rownorm_b(in, in->params)), CB_A_I64(s.rows),
                     CB_A_I32(s.c), CB_A_F32(o->epsilon));
}

static inline enum cb_status rownorm_run_forward(struct cb_instance *in)
{
    const struct rownorm_sizes s = rownorm_sizes(in->x[0]);
    return rownorm_run_forward_with(in, CB_GRID((uint64_t)s.rows));
}

static inline enum cb_status rownorm_run_forward_tile(struct cb_instance *in)
{
    const struct rownorm_sizes s = rownorm_sizes(in->x[0]);
    return rownorm_run_forward_with(in, CB_GRID_LOCAL(rownorm_row_blocks(&s), 1, 1, 1, 1, 1));
}

/* ---- backward: kernels sums, merge, dx; workspace parts [2,parts,C]. dx last: it may overwrite dy ---- */

static inline enum cb_status rownorm_prepare_backward_with(struct cb_instance *in, const char *sums, const char *dx)
{
    const struct cb_host *host = in->host;
    const struct rownorm_sizes s = rownorm_sizes(in->x[0]);
    CB_TRY(host->kernel(in->core, NULL, sums, NULL));
    CB_TRY(host->kernel(in->core, NULL, ROWNORM "_merge", NULL));
    CB_TRY(host->kernel(in->core, NULL, dx, NULL));
    const int64_t most = (s.rows + ROWNORM_LEAST_ROWS - 1) / ROWNORM_LEAST_ROWS; /* fewer rows may have more parts */
    return host->workspace(in->core, CB_F32, 2 * s.c * (most < ROWNORM_MAX_PARTS ? most : ROWNORM_MAX_PARTS));
}

static inline enum cb_status rownorm_run_backward_with(struct cb_instance *in, const struct cb_grid *sums,
                                                       const struct cb_grid *dx)
{
    const struct rownorm_sizes s = rownorm_sizes(in->dy[0]);
    const struct rownorm_options *o = in->options;
    const struct cb_tensor *dw = rownorm_w(in, in->dw), *db = rownorm_b(in, in->dw), *parts = in->workspace[0];
    if (dw != NULL || db != NULL) {
        CB_TRY(CB_LAUNCH(in, 0, sums, CB_A_TENSOR(parts), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->x[0]),
                         CB_A_TENSOR(in->saved[0]), CB_A_I64(s.rows), CB_A_I32(s.c), CB_A_I32(s.parts),
                         CB_A_I64(s.part_rows)));
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)s.c), CB_A_TENSOR(dw), CB_A_TENSOR(db), CB_A_TENSOR(parts),
                         CB_A_I32(s.c), CB_A_I32(s.parts), CB_A_I32(in->dw_accumulate & 1u),
                         CB_A_I32((in->dw_accumulate >> (o->scale ? 1 : 0)) & 1u)));
    }
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 2, dx, CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->x[0]),
                     CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(rownorm_w(in, in->params)), CB_A_I64(s.rows),
                     CB_A_I32(s.c), CB_A_I32(in->dx_accumulate & 1u));
}

static inline enum cb_status rownorm_prepare_backward(struct cb_instance *in)
{
    return rownorm_prepare_backward_with(in, ROWNORM "_sums", ROWNORM "_dx");
}

static inline enum cb_status rownorm_run_backward(struct cb_instance *in)
{
    const struct rownorm_sizes s = rownorm_sizes(in->dy[0]);
    return rownorm_run_backward_with(in, CB_GRID((uint64_t)s.c, (uint64_t)s.parts), CB_GRID((uint64_t)s.rows));
}

static inline enum cb_status rownorm_prepare_backward_tile(struct cb_instance *in)
{
    return rownorm_prepare_backward_with(in, ROWNORM "_sums_tile", ROWNORM "_dx_tile");
}

static inline enum cb_status rownorm_run_backward_tile(struct cb_instance *in)
{
    const struct rownorm_sizes s = rownorm_sizes(in->dy[0]);
    return rownorm_run_backward_with(in, CB_GRID_LOCAL((uint64_t)(s.c + 63) / 64, (uint64_t)s.parts, 1, 1, 1, 1),
                                     CB_GRID_LOCAL(rownorm_row_blocks(&s), 1, 1, 1, 1, 1));
}

static const struct cb_variant rownorm_variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "tile", CB_CAP_TILE, .run = rownorm_run_forward_tile,
     .kernels = ROWNORM "_forward_tile"},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", .run = rownorm_run_forward, .kernels = ROWNORM "_forward"},
    {CB_PASS_BACKWARD, 0, "tile", CB_CAP_TILE, NULL, rownorm_prepare_backward_tile, NULL, rownorm_run_backward_tile},
    {CB_PASS_BACKWARD, 0, "plain", 0, NULL, rownorm_prepare_backward, NULL, rownorm_run_backward},
};

#endif
