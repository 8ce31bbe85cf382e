/* conv2d_direct.h: conv2d's variant `direct`: filters of any size and step in register tiles, without columns, on
 * processors. The kernels and what they compute are in cl/conv2d_direct.cl. */
#ifndef CAMBIUM_CONV2D_DIRECT_H
#define CAMBIUM_CONV2D_DIRECT_H

#include "convolution.h"

static struct convolution conv2d_geometry(const struct cb_instance *in);

struct direct {
    int64_t rows, columns;   /* of a tile */
    int64_t panel, panels;   /* filters of a tile; how many such */
    int64_t strip;           /* floats of x that a tile reads */
    int64_t group, parts;    /* tiles made at a time, parts of the panels: together the jobs */
    int64_t items, most;     /* work-items, and how many there may be */
};

static int64_t direct_tiles(const struct convolution *g, int64_t rows, int64_t columns)
{
    return g->n * ((g->oh + rows - 1) / rows) * ((g->ow + columns - 1) / columns);
}

/* Pixels of a tile. */
static int64_t direct_pixels(const struct cb_instance *in)
{
    return in->host->device(in->core)->tile_columns == 32 ? 14 : 6;
}

/* Rows of a tile, one or two: whichever wastes less at the edges. */
static int64_t direct_rows(const struct convolution *g, int64_t pixels)
{
    return direct_tiles(g, 1, pixels) <= direct_tiles(g, 2, pixels / 2) ? 1 : 2;
}

/* Products of 1x1 need no strips, filters fewer than a vector are not worth a panel, and where more than a tenth of the
 * tiles lies outside the picture columns are faster (256 to 512 at 14 in steps of 2, batch 16: 9.2 ms against 10.5; but
 * 64 to 128 at 56: 9.9 against 9.0, and 7x7 of 3 to 64 at 224: 25.0 against 20.8). Single taps whose pixels lie a multiple of 2048 bytes apart clash in the
 * first-level cache, where the product copies them (512 to 1024 at 28 in steps of 2: 17.5 against 19.9 ms). */
static bool direct_accepts(const struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    const int64_t pixels = direct_pixels(in), rows = direct_rows(&g, pixels);
    const bool clashes = g.kh == 1 && g.kw == 1 && g.c % 512 == 0;
    return g.groups == 1 && !convolution_is_direct(&g) && !clashes && g.k >= 16 &&
           10 * pixels * direct_tiles(&g, rows, pixels / rows) <= 11 * g.n * g.oh * g.ow;
}

/* The strips of a group stay in a quarter of the second-level cache. Few tiles: groups of one, and parts of the panels are
 * jobs of their own, which fill the same strips again. */
static struct direct direct_of(const struct cb_instance *in)
{
    const struct cb_device_facts *device = in->host->device(in->core);
    const struct convolution g = conv2d_geometry(in);
    struct direct d = {.panel = device->tile_columns, .most = 4 * (int64_t)device->compute_units};
    d.rows = direct_rows(&g, direct_pixels(in));
    d.columns = direct_pixels(in) / d.rows;
    d.panels = (g.k + d.panel - 1) / d.panel;
    d.strip = ((d.rows - 1) * g.sh + (g.kh - 1) * g.dh + 1) * ((d.columns - 1) * g.sw + (g.kw - 1) * g.dw + 1) * g.c;
    const int64_t tiles = direct_tiles(&g, d.rows, d.columns), fit = (int64_t)device->l2_bytes / 4 / 4 / d.strip;
    const int64_t share = tiles / d.most;
    d.group = fit < share ? fit : share;
    d.group = d.group < 1 ? 1 : d.group > 8 ? 8 : d.group;
    const int64_t groups = (tiles + d.group - 1) / d.group;
    d.parts = (d.most + groups - 1) / groups;
    d.parts = d.parts > d.panels ? d.panels : d.parts;
    d.items = groups * d.parts < d.most ? groups * d.parts : d.most;
    return d;
}

static enum cb_status direct_kernel(struct cb_instance *in, const char *entry)
{
    const struct direct d = direct_of(in);
    return in->host->kernel(in->core, "conv2d_direct", entry,
                            d.panel == 32 ? d.rows == 1 ? "-DCB_PIECES=2 -DCB_TILE_ROWS=1 -DCB_TILE_COLUMNS=14"
                                                        : "-DCB_PIECES=2 -DCB_TILE_ROWS=2 -DCB_TILE_COLUMNS=7"
                            : d.rows == 1 ? "-DCB_PIECES=1 -DCB_TILE_ROWS=1 -DCB_TILE_COLUMNS=6"
                                          : "-DCB_PIECES=1 -DCB_TILE_ROWS=2 -DCB_TILE_COLUMNS=3");
}

static enum cb_status direct_prepare(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    const struct direct d = direct_of(in);
    CB_TRY(direct_kernel(in, "conv2d_direct"));
    CB_TRY(direct_kernel(in, "conv2d_direct_filters"));
    CB_TRY(in->host->workspace(in->core, CB_F32, d.most * d.group * d.strip)); /* fewer rows never have larger groups */
    return in->host->derived(in->core, CB_F32, d.panels * d.panel * g.kh * g.kw * g.c);
}

static enum cb_status direct_derive(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    const struct direct d = direct_of(in);
    const int64_t length = g.kh * g.kw * g.c;
    return CB_LAUNCH(in, 1, CB_GRID((uint64_t)d.panels, (uint64_t)(length + 63) / 64), CB_A_TENSOR(in->derived[0]),
                     CB_A_TENSOR(in->params[0]), CB_A_I32(length), CB_A_I32(g.k));
}

static enum cb_status direct_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    const struct direct d = direct_of(in);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d.items), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]),
                     CB_A_TENSOR(in->derived[0]), CB_A_TENSOR(linear_bias(in)), CB_A_TENSOR(in->workspace[0]),
                     CB_A_I32(g.n), CB_A_I32(g.h), CB_A_I32(g.w), CB_A_I32(g.c), CB_A_I32(g.oh), CB_A_I32(g.ow),
                     CB_A_I32(g.k), CB_A_I32(g.kh), CB_A_I32(g.kw), CB_A_I32(g.sh), CB_A_I32(g.sw), CB_A_I32(g.pt),
                     CB_A_I32(g.pl), CB_A_I32(g.dh), CB_A_I32(g.dw), CB_A_I32(d.group), CB_A_I32(d.parts));
}

#endif
