/* gemm_tile.c: the matrix product in register tiles (cl/core/gemm_tile.cl): tile height, packing, order, splitting.
 *
 * None of these choices changes a bit of the result. */
#include <stdio.h>

#include "device/internal.h"

#define ROWS 12 /* rows of the largest tile, and of a packed panel of a */
#define PARTS_BYTES ((uint64_t)64 << 20)    /* of partial sums kept apart at a time */
#define A_PACKED_BYTES ((uint64_t)64 << 20) /* above this a is read where it lies */

enum a_form { A_ROWS = 0, A_COLUMNS = 1, A_PACKED = 2 };

struct plan {
    int64_t panel;            /* columns of a tile, and of a panel of b: 32 with AVX-512, else 16 */
    enum a_form a_form;
    bool b_packed;
    int64_t rows;             /* of a tile */
    int64_t chunk, chunks;    /* of k */
    int64_t split;            /* chunks whose sums are kept apart at a time; 0: not split */
    int64_t a0, b0, parts0;   /* places in the workspace, elements */
    int64_t space;            /* its size, elements */
};

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* The tile height that wastes least. */
static int64_t tile_rows(int64_t m, bool is_wide)
{
    static const struct {
        int64_t rows;
        double cost; /* of a row, against the highest: lower tiles read b more often for each sum */
    } wide[] = {{ROWS, 1.0}, {8, 1.1}, {4, 1.4}, {1, 3.5}}, narrow[] = {{6, 1.0}, {4, 1.2}, {2, 1.7}, {1, 3.0}};
    int64_t best = 1;
    double least = 0.0;
    for (size_t i = 0; i < 4; i++) {
        int64_t rows = is_wide ? wide[i].rows : narrow[i].rows;
        double cost = (double)(ceil_div(m, rows) * rows) * (is_wide ? wide[i].cost : narrow[i].cost);
        if (rows <= m && (least == 0.0 || cost < least)) {
            least = cost;
            best = rows;
        }
    }
    return best;
}

/* a is read where it lies, unless it is read many times and its lines are multiples of 4096 bytes apart: then all that a
 * tile reads at a time falls into one set of the first-level cache. */
static enum a_form a_form(const struct cb_gemm *g, const struct plan *plan)
{
    int64_t stride = g->a_transposed ? g->m : g->k;
    uint64_t bytes = (uint64_t)(ceil_div(g->m, ROWS) * ROWS * g->k) * sizeof(float);
    if (stride % 1024 == 0 && g->n >= 256 && plan->rows == ROWS && bytes <= A_PACKED_BYTES) {
        return A_PACKED;
    }
    return g->a_transposed ? A_COLUMNS : A_ROWS;
}

static struct plan make_plan(const struct cb_device *device, const struct cb_gemm *g)
{
    struct plan plan = {0};
    int64_t units = device->info.compute_units;
    plan.panel = device->tile_panel;
    plan.rows = tile_rows(g->m, plan.panel == 32);
    plan.chunk = cb__gemm_chunk(g->k);
    plan.chunks = ceil_div(g->k, plan.chunk);

    /* b is read a panel's columns at a time where it lies; copied when they lie apart, or are read again many times. */
    plan.b_packed = g->b_transposed || (g->m >= 8 * ROWS && g->k >= 64 && g->n > plan.panel);
    plan.a_form = a_form(g, &plan);

    /* Too few tiles for the cores, or panels too long for the cache: chunks of k become work of their own. */
    int64_t tiles = ceil_div(g->m, plan.rows) * ceil_div(g->n, plan.panel);
    if (plan.chunks > 1 && (tiles < 4 * units || g->k > 8192)) {
        int64_t fitting = (int64_t)(PARTS_BYTES / sizeof(float)) / (g->m * g->n);
        plan.split = fitting < 1 ? 1 : fitting < plan.chunks ? fitting : plan.chunks;
    }
    plan.b0 = plan.a0 + (plan.a_form == A_PACKED ? ceil_div(g->m, ROWS) * ROWS * g->k : 0);
    plan.parts0 = plan.b0 + (plan.b_packed ? ceil_div(g->n, plan.panel) * plan.panel * g->k : 0);
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

/* Copies `count` lines (rows of op(a), columns of op(b)) of `k` elements into panels at `to0` of the workspace. */
static enum cb_status pack(struct cb_device *device, const struct cb_tensor *space, int64_t to0,
                           const struct cb_tensor *from, int64_t from0, int64_t count, int64_t k, bool lines_are_rows,
                           int64_t width, struct cb_diag *diag)
{
    struct cb_kernel *kernel = NULL;
    CB_TRY(cb__gemm_kernel(device, NULL, "core/gemm_pack", width == ROWS ? "-DCB_WIDTH=12" : width == 16 ? "-DCB_WIDTH=16" : "-DCB_WIDTH=32",
                           lines_are_rows ? "gemm_pack_rows" : "gemm_pack_columns", &kernel, diag));
    const struct cb_arg args[] = {
        CB_A_TENSOR(space), CB_A_TENSOR(from), CB_A_I64(to0), CB_A_I64(from0),
        CB_A_I32(count),    CB_A_I32(k),       CB_A_I64(lines_are_rows ? k : count),
    };
    struct cb_grid grid = {{(uint64_t)ceil_div(k, 64), (uint64_t)ceil_div(count, width), 1}, {1, 1, 1}};
    return cb_kernel_launch(device, kernel, &grid, args, sizeof(args) / sizeof(args[0]), diag);
}

/* Panels that one work-item walks along: few enough to stay in the cache and to give all cores work to the end, and the
 * same number for all, because a driver may hand out the items in equal halves. */
static int64_t panel_block(const struct cb_device *device, const struct plan *plan, const struct cb_gemm *g)
{
    int64_t length = plan->split > 0 ? plan->chunk : g->k;
    int64_t panels = ceil_div(g->n, plan->panel), tiles = ceil_div(g->m, plan->rows);
    int64_t fitting = (int64_t)(device->facts.l2_bytes / 2) / (plan->panel * length * (int64_t)sizeof(float));
    int64_t spare = tiles * panels * (plan->split > 0 ? plan->split : 1) / (8 * (int64_t)device->info.compute_units);
    int64_t block = fitting < spare ? fitting : spare;
    block = block < 1 ? 1 : block > panels ? panels : block;
    return ceil_div(panels, ceil_div(panels, block));
}

/* Rows of b from which 32-wide reads in its last panel would leave the matrix. */
static int64_t safe_rows(const struct plan *plan, const struct cb_gemm *g)
{
    int64_t columns = g->n - (ceil_div(g->n, plan->panel) - 1) * plan->panel;
    int64_t overrun = (columns > 16 ? plan->panel : 16) - columns;
    int64_t safe = g->k - ceil_div(overrun, g->n);
    return plan->b_packed ? g->k : safe < 0 ? 0 : safe;
}

static enum cb_status multiply(struct cb_device *device, const struct cb_gemm *g, const struct plan *plan,
                               const struct cb_tensor *space, int64_t first_chunk, int64_t chunk_count,
                               const struct cb__epilogue *epilogue, struct cb_diag *diag)
{
    static const struct cb__epilogue none = {NULL, NULL, 0};
    char defines[64];
    bool is_split = plan->split > 0;
    struct cb_kernel *kernel = NULL;
    snprintf(defines, sizeof(defines), "-DCB_ROWS=%d -DCB_PIECES=%d -DCB_A=%d%s", (int)plan->rows,
             (int)plan->panel / 16, (int)plan->a_form, is_split ? " -DCB_SPLIT" : "");
    if (is_split) {
        epilogue = &none;
    }
    CB_TRY(cb__gemm_kernel(device, epilogue->header, "core/gemm_tile", defines, "gemm_tile", &kernel, diag));
    int64_t block = panel_block(device, plan, g);
    bool a_packed = plan->a_form == A_PACKED;
    const struct cb_arg args[] = {
        CB_A_TENSOR(is_split ? space : g->y),
        CB_A_TENSOR(a_packed ? space : g->a),
        CB_A_TENSOR(plan->b_packed ? space : g->b),
        CB_A_I64(is_split ? plan->parts0 : g->y_offset),
        CB_A_I64(a_packed ? plan->a0 : g->a_offset),
        CB_A_I64(plan->b_packed ? plan->b0 : g->b_offset),
        CB_A_I32(g->m),
        CB_A_I32(g->n),
        CB_A_I32(g->k),
        CB_A_I64(g->a_transposed ? g->m : g->k),
        CB_A_I64(plan->b_packed ? plan->panel : g->n),
        CB_A_I64(plan->b_packed ? plan->panel * g->k : plan->panel),
        CB_A_I32(safe_rows(plan, g)),
        CB_A_I32(block),
        CB_A_I32(plan->chunk),
        CB_A_I32(first_chunk),
        CB_A_I32(g->accumulate != 0),
    };
    uint64_t items = (uint64_t)(ceil_div(ceil_div(g->n, plan->panel), block) * ceil_div(g->m, plan->rows));
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
        CB_A_TENSOR(g->y), CB_A_TENSOR(space), CB_A_I64(g->y_offset),  CB_A_I64(plan->parts0),
        CB_A_I32(g->m),    CB_A_I32(g->n),     CB_A_I32(chunk_count), CB_A_I32(accumulate),
    };
    struct cb_grid grid = {{(uint64_t)ceil_div(g->n, 16), (uint64_t)g->m, 1}, {0, 0, 0}};
    return cb__gemm_launch(device, kernel, &grid, args, sizeof(args) / sizeof(args[0]), epilogue->args, epilogue->count,
                           diag);
}

enum cb_status cb__gemm_tile(struct cb_device *device, const struct cb_gemm *g, const struct cb__epilogue *epilogue,
                             struct cb_diag *diag)
{
    static const struct cb__epilogue none = {NULL, NULL, 0};
    struct plan plan = make_plan(device, g);
    struct cb_tensor space;
    CB_TRY(get_space(device, plan.space, &space, diag));
    if (plan.a_form == A_PACKED) {
        CB_TRY(pack(device, &space, plan.a0, g->a, g->a_offset, g->m, g->k, g->a_transposed == 0, ROWS, diag));
    }
    if (plan.b_packed) {
        CB_TRY(pack(device, &space, plan.b0, g->b, g->b_offset, g->n, g->k, g->b_transposed != 0, plan.panel, diag));
    }
    if (plan.split == 0) {
        return multiply(device, g, &plan, &space, 0, plan.chunks, epilogue, diag);
    }
    for (int64_t first = 0; first < plan.chunks; first += plan.split) {
        bool is_last = first + plan.split >= plan.chunks;
        int64_t count = is_last ? plan.chunks - first : plan.split;
        CB_TRY(multiply(device, g, &plan, &space, first, count, epilogue, diag));
        CB_TRY(reduce(device, g, &plan, &space, count, first > 0 || g->accumulate, is_last ? epilogue : &none, diag));
    }
    return CB_OK;
}
