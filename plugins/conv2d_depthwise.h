/* conv2d_depthwise.h: conv2d's variants for a filter of each channel, on processors: `depthwise` in blocks of pixels,
 * for the usual filters and steps, and `depthwise_any`. The kernels are in cl/conv2d_depthwise.cl. */
#ifndef CAMBIUM_CONV2D_DEPTHWISE_H
#define CAMBIUM_CONV2D_DEPTHWISE_H

#include <stdio.h>

#include "convolution.h"

static struct convolution conv2d_geometry(const struct cb_instance *in);

static bool depthwise_any_accepts(const struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    return g.groups == g.c && g.k == g.c && g.c % 16 == 0;
}

#define DEPTHWISE_ARGS(g)                                                                                              \
    CB_A_I32((g).n), CB_A_I32((g).h), CB_A_I32((g).w), CB_A_I32((g).c), CB_A_I32((g).oh), CB_A_I32((g).ow),            \
        CB_A_I32((g).kh), CB_A_I32((g).kw), CB_A_I32((g).sh), CB_A_I32((g).sw), CB_A_I32((g).pt), CB_A_I32((g).pl),    \
        CB_A_I32((g).dh), CB_A_I32((g).dw)

static enum cb_status depthwise_any_forward_prepare(struct cb_instance *in)
{
    return in->host->kernel(in->core, "conv2d_depthwise", "conv2d_depthwise_forward", NULL);
}

static enum cb_status depthwise_any_forward_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)g.c / 16, (uint64_t)(g.n * g.oh)), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), CB_A_TENSOR(linear_bias(in)),
                     DEPTHWISE_ARGS(g));
}

static enum cb_status depthwise_any_dx_prepare(struct cb_instance *in)
{
    return in->host->kernel(in->core, "conv2d_depthwise", "conv2d_depthwise_dx", NULL);
}

static enum cb_status depthwise_any_dx_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)g.c / 16, (uint64_t)(g.n * g.h)), CB_A_TENSOR(in->dx[0]),
                     CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->params[0]), CB_A_I32(in->dx_accumulate & 1u),
                     DEPTHWISE_ARGS(g));
}

static enum cb_status depthwise_any_dw_prepare(struct cb_instance *in)
{
    CB_TRY(in->host->kernel(in->core, "conv2d_depthwise", "conv2d_depthwise_dw", NULL));
    return in->host->kernel(in->core, "conv2d_columns", "conv2d_db_tile", NULL);
}

static enum cb_status depthwise_any_dw_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    struct cb_tensor *dw = linear_gradient(in, 0);
    if (dw != NULL) {
        CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)g.c / 16, (uint64_t)(g.kh * g.kw)), CB_A_TENSOR(dw),
                         CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->dy[0]), CB_A_I32(in->dw_accumulate & 1u),
                         DEPTHWISE_ARGS(g)));
    }
    return convolution_db(in, 1, 16, g.n, g.oh, g.ow, g.k);
}

/* ---- in blocks --------------------------------------------------------------------------------------------------- */

static bool depthwise_accepts(const struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    return depthwise_any_accepts(in) && g.kh == g.kw && (g.kh == 3 || g.kh == 5 || g.kh == 7) && g.sh == g.sw &&
           g.sh <= 2 && g.dh == 1 && g.dw == 1;
}

/* The block of sums that fits the device's registers, as the kernel file has it. */
static int64_t depthwise_rows(const struct cb_instance *in)
{
    return in->host->device(in->core)->tile_columns == 32 && conv2d_geometry(in).kh == 3 ? 2 : 1;
}

static enum cb_status depthwise_kernel(struct cb_instance *in, const char *entry)
{
    const struct convolution g = conv2d_geometry(in);
    const int rows = (int)depthwise_rows(in);
    char defines[96];
    snprintf(defines, sizeof(defines), "-DCB_KERNEL=%d -DCB_STRIDE=%d -DCB_ROWS=%d -DCB_COLUMNS=%d", (int)g.kh,
             (int)g.sh, rows, in->host->device(in->core)->tile_columns == 32 ? 7 : 4);
    return in->host->kernel(in->core, "conv2d_depthwise", entry, defines);
}

/* Channels of a work-item, when there are `blocks` rows of blocks: all, unless that leaves cores without work. */
static int64_t depthwise_channels(const struct cb_instance *in, const struct convolution *g, int64_t blocks)
{
    const int64_t wanted = 8 * (int64_t)in->host->device(in->core)->compute_units,
                  parts = (wanted + blocks - 1) / blocks;
    const int64_t vectors = g->c / 16;
    return (vectors + parts - 1) / parts * 16;
}

#define DEPTHWISE_BLOCK_ARGS(g, channels)                                                                              \
    CB_A_I32((g).n), CB_A_I32((g).h), CB_A_I32((g).w), CB_A_I32((g).c), CB_A_I32((g).oh), CB_A_I32((g).ow),            \
        CB_A_I32((g).pt), CB_A_I32((g).pl), CB_A_I32(channels)

static enum cb_status depthwise_forward_prepare(struct cb_instance *in)
{
    return depthwise_kernel(in, "conv2d_depthwise_forward_block");
}

static enum cb_status depthwise_forward_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    const int64_t rows = depthwise_rows(in), blocks = g.n * ((g.oh + rows - 1) / rows);
    const int64_t channels = depthwise_channels(in, &g, blocks);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)((g.c + channels - 1) / channels), (uint64_t)blocks),
                     CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]),
                     CB_A_TENSOR(linear_bias(in)), DEPTHWISE_BLOCK_ARGS(g, channels));
}

static enum cb_status depthwise_dx_prepare(struct cb_instance *in)
{
    return depthwise_kernel(in, "conv2d_depthwise_dx_block");
}

static enum cb_status depthwise_dx_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    const int64_t rows = g.sh == 1 ? depthwise_rows(in) : g.sh;
    const int64_t blocks = g.n * ((g.h + g.pt % g.sh + rows - 1) / rows), channels = depthwise_channels(in, &g, blocks);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)((g.c + channels - 1) / channels), (uint64_t)blocks),
                     CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->params[0]),
                     CB_A_I32(in->dx_accumulate & 1u), DEPTHWISE_BLOCK_ARGS(g, channels));
}

#define DEPTHWISE_PARTS 64

/* Rows of dy that are summed by one work-item; enough parts for many cores, few enough to be added up quickly. */
static int64_t depthwise_part_rows(const struct convolution *g)
{
    return (g->n * g->oh + DEPTHWISE_PARTS - 1) / DEPTHWISE_PARTS;
}

static enum cb_status depthwise_dw_prepare(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    /* of this batch, and of a smaller one, which may have more parts */
    const int64_t rows = g.n * g.oh, parts = rows < DEPTHWISE_PARTS ? rows : DEPTHWISE_PARTS;
    CB_TRY(depthwise_kernel(in, "conv2d_depthwise_dw_block"));
    CB_TRY(depthwise_kernel(in, "conv2d_depthwise_dw_merge"));
    CB_TRY(in->host->kernel(in->core, "conv2d_columns", "conv2d_db_tile", NULL));
    return in->host->workspace(in->core, CB_F32, parts * g.kh * g.kw * g.c);
}

static enum cb_status depthwise_dw_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    const int64_t rows = depthwise_part_rows(&g), parts = (g.n * g.oh + rows - 1) / rows, channels = 64;
    struct cb_tensor *dw = linear_gradient(in, 0);
    if (dw != NULL) {
        CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)((g.c + channels - 1) / channels), (uint64_t)parts),
                         CB_A_TENSOR(in->workspace[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->dy[0]), CB_A_I32(rows),
                         DEPTHWISE_BLOCK_ARGS(g, channels)));
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)g.c / 16, (uint64_t)(g.kh * g.kw)), CB_A_TENSOR(dw),
                         CB_A_TENSOR(in->workspace[0]), CB_A_I32(parts), CB_A_I32(in->dw_accumulate & 1u),
                         CB_A_I32(g.c)));
    }
    return convolution_db(in, 2, 16, g.n, g.oh, g.ow, g.k);
}

#endif
