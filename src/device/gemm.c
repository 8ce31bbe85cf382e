/* gemm.c: the matrix product: which form runs, with which arguments.
 *
 * Forms: plain (everywhere), group (GPU-class), tile (CPU-class; gemm_tile.c), CLBlast (GPU-class, large products without
 * an epilogue). All of ours add in one order, written down in cl/core/gemm.cl. */
#include <string.h>

#include "device/internal.h"

int64_t cb__gemm_chunk(int64_t k)
{
    /* 256 keeps a tile's panels in the first-level cache; at most 64 chunks, whose partial sums may be kept. */
    const int64_t unit = 256, most = 64;
    return unit * ((k + unit * most - 1) / (unit * most) + (k == 0));
}

static enum cb_status check_operand(const struct cb_tensor *tensor, int64_t offset, int64_t count, const char *name,
                                    struct cb_diag *diag)
{
    if (!tensor || !tensor->buffer) {
        return cb_fail(diag, CB_INVALID, NULL, "matrix product: operand `%s` is missing", name);
    }
    if (tensor->dtype != CB_F32) {
        return cb_fail(diag, CB_UNSUPPORTED, NULL, "matrix product: operand `%s` is not of 32-bit floats", name);
    }
    int64_t room = (int64_t)(cb_buffer_bytes(tensor->buffer) / sizeof(float));
    if (offset < 0 || offset > room || count > room - offset) {
        return cb_fail(diag, CB_INVALID, NULL,
                       "matrix product: operand `%s` needs %lld elements from %lld on, its buffer has %lld", name,
                       (long long)count, (long long)offset, (long long)room);
    }
    return CB_OK;
}

static enum cb_status check(const struct cb_gemm *g, struct cb_diag *diag)
{
    const int64_t most = INT32_MAX - 4096; /* sizes are ints in the kernels, which round them up to tiles */
    if (g->m < 0 || g->n < 0 || g->k < 0 || g->m > most || g->n > most || g->k > most) {
        return cb_fail(diag, CB_INVALID, NULL, "matrix product: sizes %lld x %lld x %lld are out of range",
                       (long long)g->m, (long long)g->n, (long long)g->k);
    }
    CB_TRY(check_operand(g->a, g->a_offset, g->m * g->k, "a", diag));
    CB_TRY(check_operand(g->b, g->b_offset, g->k * g->n, "b", diag));
    CB_TRY(g->bias ? check_operand(g->bias, 0, g->n, "bias", diag) : CB_OK);
    return check_operand(g->y, g->y_offset, g->m * g->n, "y", diag);
}

enum cb_status cb__gemm_kernel(struct cb_device *device, const char *header, const char *file, const char *defines,
                               const char *entry, struct cb_kernel **out, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    char *path = arena ? cb_kernel_path(arena, file, NULL) : NULL;
    enum cb_status status = path ? cb_kernel_get(device, header, path, defines, entry, out, diag)
                                 : cb_fail(diag, CB_NOT_FOUND, NULL, "the kernel file `cl/%s.cl` is missing", file);
    cb_arena_destroy(arena);
    return status;
}

enum cb_status cb__gemm_launch(struct cb_device *device, struct cb_kernel *kernel, const struct cb_grid *grid,
                               const struct cb_arg *args, uint32_t count, const struct cb_arg *more, uint32_t more_count,
                               struct cb_diag *diag)
{
    struct cb_arg all[CB__GEMM_ARGS_MAX];
    if (count + more_count > CB__GEMM_ARGS_MAX) {
        return cb_fail(diag, CB_UNSUPPORTED, NULL, "matrix product: an epilogue with %u arguments is too long",
                       more_count);
    }
    memcpy(all, args, count * sizeof(all[0]));
    if (more_count > 0) {
        memcpy(all + count, more, more_count * sizeof(all[0]));
    }
    return cb_kernel_launch(device, kernel, grid, all, count + more_count, diag);
}

/* gemm_plain and gemm_group take the same arguments. */
static enum cb_status run_strided(struct cb_device *device, const struct cb_gemm *g, bool group,
                                  const struct cb__epilogue *epilogue, struct cb_diag *diag)
{
    static const char *const defines[4] = {"", "-DCB_A_COLUMNS", "-DCB_B_COLUMNS", "-DCB_A_COLUMNS -DCB_B_COLUMNS"};
    int64_t a_row = g->a_transposed ? 1 : g->k, a_col = g->a_transposed ? g->m : 1;
    int64_t b_row = g->b_transposed ? 1 : g->n, b_col = g->b_transposed ? g->k : 1;
    int form = group ? (g->a_transposed ? 1 : 0) + (g->b_transposed ? 2 : 0) : 0;
    struct cb_kernel *kernel = NULL;
    CB_TRY(cb__gemm_kernel(device, epilogue->header, "core/gemm", defines[form], group ? "gemm_group" : "gemm_plain",
                           &kernel, diag));
    const struct cb_arg args[] = {
        CB_A_TENSOR(g->y),
        CB_A_TENSOR(g->a),
        CB_A_TENSOR(g->b),
        CB_A_TENSOR(g->bias),
        CB_A_I64(g->y_offset),
        CB_A_I64(g->a_offset),
        CB_A_I64(g->b_offset),
        CB_A_I32(g->m),
        CB_A_I32(g->n),
        CB_A_I32(g->k),
        CB_A_I64(a_row),
        CB_A_I64(a_col),
        CB_A_I64(b_row),
        CB_A_I64(b_col),
        CB_A_I32(cb__gemm_chunk(g->k)),
        CB_A_I32(g->accumulate != 0),
    };
    struct cb_grid grid = {{(uint64_t)g->n, (uint64_t)g->m, 1}, {0, 0, 0}};
    if (group) {
        grid = (struct cb_grid){{(uint64_t)(g->n + 63) / 64 * 16, (uint64_t)(g->m + 63) / 64 * 16, 1}, {16, 16, 1}};
    }
    return cb__gemm_launch(device, kernel, &grid, args, sizeof(args) / sizeof(args[0]), epilogue->args, epilogue->count,
                           diag);
}

static enum cb_status run(struct cb_device *device, enum cb_gemm_form form, const struct cb_gemm *gemm,
                          struct cb_gemm_panels *panels, const struct cb__epilogue *epilogue, struct cb_diag *diag)
{
    CB_TRY(check(gemm, diag));
    if (gemm->m == 0 || gemm->n == 0) {
        return CB_OK;
    }
    bool is_fused = epilogue->header && epilogue->header[0];
    if (form == CB_GEMM_AUTO) {
        form = device->facts.caps & CB_CAP_TILE ? CB_GEMM_TILE
               : device->facts.caps & CB_CAP_GROUP ? CB_GEMM_GROUP
                                                   : CB_GEMM_PLAIN;
        if (form == CB_GEMM_GROUP && !is_fused && !gemm->bias && cb__gemm_prefers_clblast(device, gemm) &&
            cb__gemm_clblast(device, gemm, NULL) == CB_OK) {
            return CB_OK;
        }
    }
    if (form == CB_GEMM_CLBLAST) {
        return is_fused || gemm->bias ? cb_fail(diag, CB_UNSUPPORTED, NULL, "CLBlast has no epilogue and no bias")
                                      : cb__gemm_clblast(device, gemm, diag);
    }
    if (form == CB_GEMM_TILE && gemm->k > 0) {
        return cb__gemm_tile(device, gemm, panels, epilogue, diag);
    }
    if (form == CB_GEMM_GROUP) {
        return run_strided(device, gemm, true, epilogue, diag);
    }
    return run_strided(device, gemm, false, epilogue, diag);
}

enum cb_status cb_device_gemm_as(struct cb_device *device, enum cb_gemm_form form, const struct cb_gemm *gemm,
                                 const char *epilogue_header, const struct cb_arg *epilogue_args,
                                 uint32_t epilogue_arg_count, struct cb_diag *diag)
{
    const struct cb__epilogue epilogue = {epilogue_header, epilogue_args, epilogue_arg_count};
    return run(device, form, gemm, NULL, &epilogue, diag);
}

enum cb_status cb_device_gemm(struct cb_device *device, const struct cb_gemm *gemm, const char *epilogue_header,
                              const struct cb_arg *epilogue_args, uint32_t epilogue_arg_count, struct cb_diag *diag)
{
    return cb_device_gemm_as(device, CB_GEMM_AUTO, gemm, epilogue_header, epilogue_args, epilogue_arg_count, diag);
}

enum cb_status cb_device_gemm_kept(struct cb_device *device, const struct cb_gemm *gemm, struct cb_gemm_panels *panels,
                                   const char *epilogue_header, const struct cb_arg *epilogue_args,
                                   uint32_t epilogue_arg_count, struct cb_diag *diag)
{
    const struct cb__epilogue epilogue = {epilogue_header, epilogue_args, epilogue_arg_count};
    return run(device, CB_GEMM_AUTO, gemm, panels, &epilogue, diag);
}

void cb__gemm_release(struct cb_device *device)
{
    cb__gemm_clblast_release(device);
    cb_buffer_destroy(device->gemm_space);
    device->gemm_space = NULL;
}
