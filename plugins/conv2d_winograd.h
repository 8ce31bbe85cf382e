/* conv2d_winograd.h: conv2d's variant `winograd`: 3x3 of stride 1 with a quarter of the multiplications, on processors.
 * The kernels and what they compute are in cl/conv2d_winograd.cl. */
#ifndef CAMBIUM_CONV2D_WINOGRAD_H
#define CAMBIUM_CONV2D_WINOGRAD_H

#include "convolution.h"

static struct convolution conv2d_geometry(const struct cb_instance *in);

/* One convolution as its kernels see it: dx is that of dy with turned filters. */
struct winograd {
    int64_t n, h, w, c, oh, ow, k, pt, pl;
    int64_t tiles, block, parts, items, panels, columns;
};

static bool winograd_accepts(const struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    const int64_t covered = (g.oh + 3) / 4 * 4 * ((g.ow + 3) / 4 * 4);
    return g.kh == 3 && g.kw == 3 && g.sh == 1 && g.sw == 1 && g.dh == 1 && g.dw == 1 && g.groups == 1 && g.pt <= 2 &&
           g.pl <= 2 && g.c % 16 == 0 && g.k % 16 == 0 && covered <= 2 * g.oh * g.ow;
}

/* How the work is cut. v of a block and m of a panel stay in half the second-level cache; where not even one register
 * tile does, filters come from memory for each block, so it is larger (C = 512, batch 16: 9.1 ms with 36 tiles, 12.1
 * with 12). Few blocks: parts of the panels are jobs of their own, which transform the same pixels again. */
static struct winograd winograd_of(const struct cb_instance *in, bool is_dx)
{
    const struct cb_device_facts *device = in->host->device(in->core);
    const struct convolution g = conv2d_geometry(in);
    struct winograd f = {g.n, g.h, g.w, g.c, g.oh, g.ow, g.k, g.pt, g.pl, 0, 0, 0, 0, 0, device->tile_columns};
    if (is_dx) {
        f = (struct winograd){g.n, g.oh, g.ow, g.k, g.h, g.w, g.c, 2 - g.pt, 2 - g.pl, 0, 0, 0, 0, 0, f.columns};
    }
    const int64_t rows = device->tile_rows, row_bytes = 36 * (int64_t)sizeof(float) * rows * (f.c + 16);
    const int64_t fit = (int64_t)device->l2_bytes / 2 / row_bytes, jobs = 4 * (int64_t)device->compute_units;
    f.tiles = f.n * ((f.oh + 3) / 4) * ((f.ow + 3) / 4);
    f.block = rows * (fit < 1 ? 3 : fit > 4 ? 4 : fit);
    f.panels = (f.k + f.columns - 1) / f.columns;
    const int64_t blocks = (f.tiles + f.block - 1) / f.block;
    f.parts = (jobs + blocks - 1) / blocks;
    f.parts = f.parts > f.panels ? f.panels : f.parts;
    f.items = blocks * f.parts < jobs ? blocks * f.parts : jobs;
    return f;
}

/* A kernel of cl/conv2d_winograd.cl for this device's register tile. */
static enum cb_status winograd_kernel(struct cb_instance *in, const char *entry)
{
    return in->host->kernel(in->core, "conv2d_winograd", entry,
                            in->host->device(in->core)->tile_columns == 32 ? "-DCB_ROWS=12 -DCB_PIECES=2"
                                                                           : "-DCB_ROWS=6 -DCB_PIECES=1");
}

static enum cb_status winograd_prepare(struct cb_instance *in, bool is_dx)
{
    const struct winograd f = winograd_of(in, is_dx);
    CB_TRY(winograd_kernel(in, "conv2d_winograd"));
    CB_TRY(winograd_kernel(in, "conv2d_winograd_filter"));
    CB_TRY(in->host->workspace(in->core, CB_F32, f.items * 36 * f.block * (f.c + 16 + f.columns)));
    return in->host->derived(in->core, CB_F32, 36 * f.panels * f.columns * f.c);
}

static enum cb_status winograd_derive(struct cb_instance *in, bool is_dx)
{
    const struct winograd f = winograd_of(in, is_dx);
    return CB_LAUNCH(in, 1, CB_GRID((uint64_t)(f.panels * f.columns / 16), (uint64_t)f.c / 16),
                     CB_A_TENSOR(in->derived[0]), CB_A_TENSOR(in->params[0]), CB_A_I32(f.c), CB_A_I32(f.k),
                     CB_A_I32(is_dx));
}

static enum cb_status winograd_run(struct cb_instance *in, bool is_dx, const struct cb_tensor *y,
                                   const struct cb_tensor *x, const struct cb_tensor *bias, bool accumulate)
{
    const struct winograd f = winograd_of(in, is_dx);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)f.items), CB_A_TENSOR(y), CB_A_TENSOR(x), CB_A_TENSOR(in->derived[0]),
                     CB_A_TENSOR(bias), CB_A_TENSOR(in->workspace[0]), CB_A_I32(f.n), CB_A_I32(f.h), CB_A_I32(f.w),
                     CB_A_I32(f.c), CB_A_I32(f.oh), CB_A_I32(f.ow), CB_A_I32(f.k), CB_A_I32(f.pt), CB_A_I32(f.pl),
                     CB_A_I32(f.block), CB_A_I32(f.parts), CB_A_I32(accumulate));
}

static enum cb_status winograd_forward_prepare(struct cb_instance *in)
{
    return winograd_prepare(in, false);
}

static enum cb_status winograd_forward_derive(struct cb_instance *in)
{
    return winograd_derive(in, false);
}

static enum cb_status winograd_forward_run(struct cb_instance *in)
{
    return winograd_run(in, false, in->y[0], in->x[0], linear_bias(in), false);
}

static enum cb_status winograd_dx_prepare(struct cb_instance *in)
{
    return winograd_prepare(in, true);
}

static enum cb_status winograd_dx_derive(struct cb_instance *in)
{
    return winograd_derive(in, true);
}

static enum cb_status winograd_dx_run(struct cb_instance *in)
{
    return in->dx[0] == NULL ? CB_OK : winograd_run(in, true, in->dx[0], in->dy[0], NULL, in->dx_accumulate & 1u);
}

/* Tiles whose v and m are made at a time: they stay in the last-level cache, but are enough to be worth reading du
 * for. */
static int64_t winograd_chunk(const struct convolution *g)
{
    const int64_t tiles = g->n * ((g->oh + 3) / 4) * ((g->ow + 3) / 4), fit = ((int64_t)3 << 20) / (36 * (g->c + g->k));
    const int64_t chunk = fit < 192 ? 192 : fit;
    return chunk < tiles ? chunk : tiles;
}

static enum cb_status winograd_dw_prepare(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    const int64_t chunk = winograd_chunk(&g), panel = in->host->device(in->core)->tile_columns;
    CB_TRY(winograd_kernel(in, "conv2d_winograd_input"));
    CB_TRY(winograd_kernel(in, "conv2d_winograd_gradient"));
    CB_TRY(winograd_kernel(in, "conv2d_winograd_product"));
    CB_TRY(winograd_kernel(in, "conv2d_winograd_dw"));
    CB_TRY(in->host->kernel(in->core, "conv2d_columns", "conv2d_db_tile", NULL));
    CB_TRY(in->host->workspace(in->core, CB_F32, 36 * chunk * g.c));
    CB_TRY(in->host->workspace(in->core, CB_F32, 36 * chunk * g.k + panel));
    return in->host->workspace(in->core, CB_F32, 36 * g.c * g.k);
}

static enum cb_status winograd_dw_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    const int64_t tiles = g.n * ((g.oh + 3) / 4) * ((g.ow + 3) / 4), chunk = winograd_chunk(&g);
    const uint64_t rows = in->host->device(in->core)->tile_rows;
    struct cb_tensor *dw = linear_gradient(in, 0), *v = in->workspace[0], *m = in->workspace[1], *du = in->workspace[2];
    for (int64_t first = 0; dw != NULL && first < tiles; first += chunk) {
        const int64_t count = tiles - first < chunk ? tiles - first : chunk;
        CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)count), CB_A_TENSOR(v), CB_A_TENSOR(in->x[0]), CB_A_I32(count),
                         CB_A_I32(first), CB_A_I32(g.h), CB_A_I32(g.w), CB_A_I32(g.c), CB_A_I32(g.oh), CB_A_I32(g.ow),
                         CB_A_I32(g.pt), CB_A_I32(g.pl)));
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)count), CB_A_TENSOR(m), CB_A_TENSOR(in->dy[0]), CB_A_I32(count),
                         CB_A_I32(first), CB_A_I32(g.oh), CB_A_I32(g.ow), CB_A_I32(g.k)));
        CB_TRY(CB_LAUNCH(in, 2, CB_GRID(((uint64_t)g.c + rows - 1) / rows, 36), CB_A_TENSOR(du), CB_A_TENSOR(v),
                         CB_A_TENSOR(m), CB_A_I32(count), CB_A_I32(g.c), CB_A_I32(g.k), CB_A_I32(first > 0)));
    }
    if (dw != NULL) {
        CB_TRY(CB_LAUNCH(in, 3, CB_GRID((uint64_t)g.k / 16, (uint64_t)g.c), CB_A_TENSOR(dw), CB_A_TENSOR(du),
                         CB_A_I32(g.c), CB_A_I32(g.k), CB_A_I32(in->dw_accumulate & 1u)));
    }
    return convolution_db(in, 4, 16, g.n, g.oh, g.ow, g.k);
}

#endif
