/* gemm_tile.c: the matrix product in register tiles (cl/core/gemm_tile.cl): tile, copies, order, splitting.
 *
 * None of these choices changes a bit of the result. */
#include <stdio.h>

#include "device/internal.h"

#define PARTS_BYTES ((uint64_t)64 << 20) /* of partial sums kept apart at a time */
#define COPY_STEPS 512                   /* of a chunk of a tile's rows in local memory, at most */

/* A tile: rows, and float16 pieces of a row. Low tiles are wide: they are bound by reading b, a long stretch at a time. */
struct shape {
    int rows, pieces;
    double cost; /* of a row, against the highest tile: lower tiles read b more often for each sum */
};

struct plan {
    struct shape shape;
    int64_t panel;         /* columns of a tile, and of a panel of b */
    bool b_packed;
    bool copies;           /* each work-item copies its rows of a first */
    int64_t chunk, chunks; /* of k */
    int64_t split;         /* chunks whose sums are kept apart at a time; 0: not split */
    int64_t tiles, block;  /* row tiles and panels that a work-item makes */
    int64_t packed;        /* length of b's panels, elements */
    int64_t parts0;        /* place of the partial sums in the workspace, behind b's panels if they are there; elements */
    int64_t space;         /* its size, elements */
};

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* The shape that wastes least: 32 registers of 16 floats, or 16 of 8 (and 32 of 4). */
static struct shape tile_shape(int64_t m, bool is_wide)
{
    static const struct shape wide[] = {{12, 2, 1.0}, {10, 2, 1.04}, {8, 3, 1.08}, {6, 4, 1.12},
                                        {4, 6, 1.3},  {3, 8, 1.5},   {2, 8, 2.0},  {1, 8, 3.5}};
    static const struct shape narrow[] = {{6, 1, 1.0}, {4, 1, 1.2}, {2, 2, 1.7}, {1, 4, 3.0}};
    const struct shape *shapes = is_wide ? wide : narrow;
    size_t count = is_wide ? sizeof(wide) / sizeof(wide[0]) : sizeof(narrow) / sizeof(narrow[0]);
    struct shape best = shapes[count - 1];
    double least = (double)m * best.cost;
    for (size_t i = count; i-- > 0;) {
        double cost = (double)(ceil_div(m, shapes[i].rows) * shapes[i].rows) * shapes[i].cost;
        if (shapes[i].rows <= m && cost <= least) {
            least = cost;
            best = shapes[i];
        }
    }
    return best;
}

/* What a work-item makes: panels of which a chunk fits half of the second-level cache, and where all of k does not, several
 * row tiles, for which the chunk stays there. Few enough to give all cores work to the end, and the same number for all,
 * because a driver may hand out the items in equal halves. */
static void choose_block(const struct cb_device *device, struct plan *plan, const struct cb_gemm *g)
{
    int64_t panels = ceil_div(g->n, plan->panel), tiles = ceil_div(g->m, plan->shape.rows);
    int64_t cache = (int64_t)(device->facts.l2_bytes / 2) / (plan->panel * (int64_t)sizeof(float));
    int64_t fitting = cache / plan->chunk;
    int64_t spare = tiles * panels * (plan->split > 0 ? plan->split : 1) / (8 * (int64_t)device->info.compute_units);
    int64_t block = fitting < spare ? fitting : spare;
    block = block < 1 ? 1 : block > panels ? panels : block;
    plan->block = ceil_div(panels, ceil_div(panels, block));
    bool fits = plan->split > 0 || plan->block * g->k <= cache;
    plan->tiles = fits || spare / plan->block < 1 ? 1 : spare / plan->block < 8 ? spare / plan->block : 8;
    plan->tiles = ceil_div(tiles, ceil_div(tiles, plan->tiles));
}

/* A copy of the rows takes as long as about half a panel. Without it, rows that are multiples of 4096 bytes apart fight for
 * one set of the first-level cache, of 2048 for two: 512 to 1024 channels, 3136 rows, 18.1 ms without, 16.5 with a copy. */
static bool copies_rows(const struct plan *plan, const struct cb_gemm *g)
{
    int64_t stride = g->a_transposed ? g->m : g->k, pieces = plan->block * plan->shape.pieces;
    return plan->chunk <= COPY_STEPS && plan->shape.rows > 4 &&
           (stride % 1024 == 0 ? pieces >= 4 : stride % 512 == 0 && pieces >= 16);
}

static struct plan make_plan(const struct cb_device *device, const struct cb_gemm *g, bool keeps_panels)
{
    struct plan plan = {0};
    int64_t units = device->info.compute_units;
    plan.shape = tile_shape(g->m, device->tile_panel == 32);
    plan.panel = 16 * plan.shape.pieces;
    plan.chunk = cb__gemm_chunk(g->k);
    plan.chunks = ceil_div(g->k, plan.chunk);

    /* b is read a panel's columns at a time where it lies; copied when they lie apart, or are read again many times. With a
     * transposed (a gradient of params: b is long) the copy takes longer than it saves, unless rows of b clash in the cache. */
    bool is_reread = (g->m >= 96 || keeps_panels) && g->k >= 64 && g->n > plan.panel;
    plan.b_packed = g->b_transposed || (is_reread && (!g->a_transposed || g->n % 1024 == 0));

    /* Too few tiles for the cores, or panels too long for the cache: chunks of k become work of their own. */
    int64_t tiles = ceil_div(g->m, plan.shape.rows) * ceil_div(g->n, plan.panel);
    if (plan.chunks > 1 && (tiles < 4 * units || g->k > 8192)) {
        int64_t fitting = (int64_t)(PARTS_BYTES / sizeof(float)) / (g->m * g->n);
        plan.split = fitting < 1 ? 1 : fitting < plan.chunks ? fitting : plan.chunks;
    }
    choose_block(device, &plan, g);
    plan.copies = copies_rows(&plan, g);
    plan.packed = plan.b_packed ? ceil_div(g->n, plan.panel) * plan.panel * g->k : 0;
    plan.parts0 = keeps_panels ? 0 : plan.packed;
    plan.space = plan.parts0 + plan.split * g->m * g->n;
    return plan;
}

/* The device's workspace, at least `count` elements long. */
static enum cb_status get_space(struct cb_device *device, int64_t count, struct cb_tensor *out, struct cb_diag *diag)
{
    uint64_t bytes = (uint64_t)count * sizeof(float);
    if (count > 0 && (!device->gemm_space || cb_buffer_bytes(device->gemm_space) < bytes)) {
        cb_buffer_destroy(device->gemm_space); /* kernels under way keep the memory until they are done */
        device->gemm_space = NULL;
        CB_TRY(cb_buffer_create(device, bytes, &device->gemm_space, diag));
    }
    *out = (struct cb_tensor){sizeof(*out), CB_F32, 1, 0, {count}, device->gemm_space, NULL};
    return CB_OK;
}

/* Copies b into panels at the beginning of `to`. */
static enum cb_status pack(struct cb_device *device, const struct cb_gemm *g, const struct plan *plan,
                           const struct cb_tensor *to, struct cb_diag *diag)
{
    struct cb_kernel *kernel = NULL;
    char defines[32];
    snprintf(defines, sizeof(defines), "-DCB_WIDTH=%d", (int)plan->panel);
    CB_TRY(cb__gemm_kernel(device, NULL, "core/gemm_pack", defines,
                           g->b_transposed ? "gemm_pack_rows" : "gemm_pack_columns", &kernel, diag));
    const struct cb_arg args[] = {
        CB_A_TENSOR(to), CB_A_TENSOR(g->b), CB_A_I64(g->b_offset),
        CB_A_I32(g->n),     CB_A_I32(g->k),    CB_A_I64(g->b_transposed ? g->k : g->n),
    };
    struct cb_grid grid = {{(uint64_t)ceil_div(g->k, 64), (uint64_t)ceil_div(g->n, plan->panel), 1}, {1, 1, 1}};
    return cb_kernel_launch(device, kernel, &grid, args, sizeof(args) / sizeof(args[0]), diag);
}

/* Rows of b from which a piece's reads behind the last column would leave the matrix. */
static int64_t safe_rows(const struct plan *plan, const struct cb_gemm *g)
{
    int64_t overrun = ceil_div(g->n, 16) * 16 - g->n, safe = g->k - ceil_div(overrun, g->n);
    return plan->b_packed ? g->k : safe < 0 ? 0 : safe;
}

/* panels: those of b, NULL where it is read as it lies. */
static enum cb_status multiply(struct cb_device *device, const struct cb_gemm *g, const struct plan *plan,
                               const struct cb_tensor *panels, const struct cb_tensor *space, int64_t first_chunk, int64_t chunk_count,
                               const struct cb__epilogue *epilogue, struct cb_diag *diag)
{
    static const struct cb__epilogue none = {NULL, NULL, 0};
    char defines[96], copy[24] = "";
    bool is_split = plan->split > 0;
    struct cb_kernel *kernel = NULL;
    if (plan->copies) {
        snprintf(copy, sizeof(copy), " -DCB_COPY=%d", plan->chunk <= COPY_STEPS / 2 ? COPY_STEPS / 2 : COPY_STEPS);
    }
    snprintf(defines, sizeof(defines), "-DCB_ROWS=%d -DCB_PIECES=%d -DCB_A=%d%s%s", plan->shape.rows, plan->shape.pieces,
             g->a_transposed ? 1 : 0, copy, is_split ? " -DCB_SPLIT" : "");
    if (is_split) {
        epilogue = &none;
    }
    CB_TRY(cb__gemm_kernel(device, epilogue->header, "core/gemm_tile", defines, "gemm_tile", &kernel, diag));
    const struct cb_arg args[] = {
        CB_A_TENSOR(is_split ? space : g->y),
        CB_A_TENSOR(g->a),
        CB_A_TENSOR(panels ? panels : g->b),
        CB_A_TENSOR(g->bias),
        CB_A_I64(is_split ? plan->parts0 : g->y_offset),
        CB_A_I64(g->a_offset),
        CB_A_I64(plan->b_packed ? 0 : g->b_offset),
        CB_A_I32(g->m),
        CB_A_I32(g->n),
        CB_A_I32(g->k),
        CB_A_I64(g->a_transposed ? g->m : g->k),
        CB_A_I64(plan->b_packed ? plan->panel : g->n),
        CB_A_I64(plan->b_packed ? plan->panel * g->k : plan->panel),
        CB_A_I32(safe_rows(plan, g)),
        CB_A_I32(plan->tiles),
        CB_A_I32(plan->block),
        CB_A_I32(plan->chunk),
        CB_A_I32(first_chunk),
        CB_A_I32(g->accumulate != 0),
    };
    uint64_t items = (uint64_t)(ceil_div(ceil_div(g->n, plan->panel), plan->block) *
                                ceil_div(ceil_div(g->m, plan->shape.rows), plan->tiles));
    struct cb_grid grid = {{items, is_split ? (uint64_t)chunk_count : 1, 1}, {1, 1, 1}};
    return cb__gemm_launch(device, kernel, &grid, args, sizeof(args) / sizeof(args[0]), epilogue->args, epilogue->count,
                           diag);
}

/* y = epilogue((y) + the sums of `chunk_count` chunks). */
static enum cb_status reduce(struct cb_device *device, const struct cb_gemm *g, const struct plan *plan,
                             const struct cb_tensor *space, int64_t chunk_count, bool accumulate,
                             const struct cb__epilogue *epilogue, struct cb_diag *diag)
{
    struct cb_kernel *kernel = NULL;
    CB_TRY(cb__gemm_kernel(device, epilogue->header, "core/gemm_reduce", NULL, "gemm_reduce", &kernel, diag));
    const struct cb_arg args[] = {
        CB_A_TENSOR(g->y), CB_A_TENSOR(space), CB_A_TENSOR(g->bias), CB_A_I64(g->y_offset), CB_A_I64(plan->parts0),
        CB_A_I32(g->m),    CB_A_I32(g->n),     CB_A_I32(chunk_count), CB_A_I32(accumulate),
    };
    struct cb_grid grid = {{(uint64_t)ceil_div(g->n, 16), (uint64_t)g->m, 1}, {0, 0, 0}};
    return cb__gemm_launch(device, kernel, &grid, args, sizeof(args) / sizeof(args[0]), epilogue->args, epilogue->count,
                           diag);
}

/* The caller's panels, made anew unless they are those of b that this product wants. */
static enum cb_status keep_panels(struct cb_device *device, const struct cb_gemm *g, const struct plan *plan,
                                  struct cb_gemm_panels *kept, struct cb_tensor *out, struct cb_diag *diag)
{
    const bool is_current = kept->is_current && kept->width == plan->panel && kept->n == g->n && kept->k == g->k &&
                            kept->b_transposed == (g->b_transposed != 0);
    const uint64_t bytes = (uint64_t)plan->packed * sizeof(float);
    if (!kept->buffer || cb_buffer_bytes(kept->buffer) < bytes) {
        cb_buffer_destroy(kept->buffer);
        kept->buffer = NULL;
        CB_TRY(cb_buffer_create(device, bytes, &kept->buffer, diag));
    }
    *out = (struct cb_tensor){sizeof(*out), CB_F32, 1, 0, {plan->packed}, kept->buffer, NULL};
    CB_TRY(is_current ? CB_OK : pack(device, g, plan, out, diag));
    *kept = (struct cb_gemm_panels){kept->b, kept->buffer, g->n, g->k, plan->panel, g->b_transposed != 0, true};
    return CB_OK;
}

enum cb_status cb__gemm_tile(struct cb_device *device, const struct cb_gemm *g, struct cb_gemm_panels *kept,
                             const struct cb__epilogue *epilogue, struct cb_diag *diag)
{
    static const struct cb__epilogue none = {NULL, NULL, 0};
    struct plan plan = make_plan(device, g, kept != NULL);
    struct cb_tensor space, panels;
    CB_TRY(get_space(device, plan.space, &space, diag));
    if (plan.b_packed && kept) {
        CB_TRY(keep_panels(device, g, &plan, kept, &panels, diag));
    } else if (plan.b_packed) {
        panels = space;
        CB_TRY(pack(device, g, &plan, &panels, diag));
    }
    const struct cb_tensor *b = plan.b_packed ? &panels : NULL;
    if (plan.split == 0) {
        return multiply(device, g, &plan, b, &space, 0, plan.chunks, epilogue, diag);
    }
    for (int64_t first = 0; first < plan.chunks; first += plan.split) {
        bool is_last = first + plan.split >= plan.chunks;
        int64_t count = is_last ? plan.chunks - first : plan.split;
        CB_TRY(multiply(device, g, &plan, b, &space, first, count, epilogue, diag));
        CB_TRY(reduce(device, g, &plan, &space, count, first > 0 || g->accumulate, is_last ? epilogue : &none, diag));
    }
    return CB_OK;
}
