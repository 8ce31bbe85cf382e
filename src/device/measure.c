/* measure.c: the bounds of a device: how fast it multiplies and adds, how fast it moves memory (cl/core/measure.cl). */
#include <stdio.h>

#include "base/file.h"
#include "device/internal.h"

#define SECONDS 0.4                          /* of each measurement; the best of what fits counts */
#define COPY_BYTES ((uint64_t)128 << 20)     /* of each of the two buffers, unless the device has less: beyond any cache */

struct form {
    int lanes, chains;   /* of measure_arithmetic: as many independent sums as registers hold */
    uint64_t items;      /* work-items that keep every unit busy */
    int copy_length;     /* vectors that a work-item copies */
};

static struct form form_of(const struct cb_device *device)
{
    const struct cb_device_info *info = &device->info;
    if (info->is_cpu) {
        return (struct form){16, device->tile_panel == 32 ? 12 : 5, info->compute_units * 4u, 1024};
    }
    return (struct form){4, 8, info->compute_units * 2048u, 1};
}

static enum cb_status kernel_of(struct cb_device *device, const char *entry, struct cb_kernel **out, struct cb_diag *diag)
{
    const struct form form = form_of(device);
    char defines[64];
    snprintf(defines, sizeof(defines), "-DCB_LANES=%d -DCB_CHAINS=%d", form.lanes, form.chains);
    return cb__gemm_kernel(device, NULL, "core/measure", defines, entry, out, diag);
}

/* Launches for `limit` seconds, at least three times after one that does not count; the shortest. */
static enum cb_status shortest(struct cb_device *device, struct cb_kernel *kernel, const struct cb_grid *grid,
                               const struct cb_arg *args, uint32_t count, double limit, double *out, struct cb_diag *diag)
{
    const double begin = cb_clock_seconds();
    *out = 0.0;
    for (int i = 0; i < 4 || cb_clock_seconds() - begin < limit; i++) {
        CB_TRY(cb_device_finish(device, diag));
        const double start = cb_clock_seconds();
        CB_TRY(cb_kernel_launch(device, kernel, grid, args, count, diag));
        CB_TRY(cb_device_finish(device, diag));
        const double seconds = cb_clock_seconds() - start;
        *out = i == 1 || (i > 1 && seconds < *out) ? seconds : *out;
    }
    return CB_OK;
}

static enum cb_status arithmetic(struct cb_device *device, struct cb_tensor *y, double *out, struct cb_diag *diag)
{
    const struct form form = form_of(device);
    const struct cb_grid grid = {{form.items}, {0}};
    struct cb_kernel *kernel;
    double seconds = 0.0;
    int loops = 256;
    CB_TRY(kernel_of(device, "measure_arithmetic", &kernel, diag));
    while (seconds < 5e-3 && loops < (1 << 24)) { /* long enough that queueing does not count */
        loops *= 4;
        const struct cb_arg args[] = {CB_A_TENSOR(y), CB_A_I32(loops), CB_A_F32(0.999)};
        CB_TRY(shortest(device, kernel, &grid, args, 3, 0.0, &seconds, diag));
    }
    const struct cb_arg args[] = {CB_A_TENSOR(y), CB_A_I32(loops), CB_A_F32(0.999)};
    CB_TRY(shortest(device, kernel, &grid, args, 3, SECONDS, &seconds, diag));
    *out = 2.0 * (double)form.items * loops * form.chains * form.lanes / seconds;
    return CB_OK;
}

static enum cb_status copy(struct cb_device *device, const struct cb_tensor *y, const struct cb_tensor *x, double *out,
                           struct cb_diag *diag)
{
    const struct form form = form_of(device);
    const int64_t vectors = y->dims[0] / form.lanes;
    const struct cb_grid grid = {{(uint64_t)((vectors + form.copy_length - 1) / form.copy_length)}, {0}};
    const struct cb_arg args[] = {CB_A_TENSOR(y), CB_A_TENSOR(x), CB_A_I32(form.copy_length), CB_A_I64(vectors)};
    struct cb_kernel *kernel;
    double seconds;
    CB_TRY(kernel_of(device, "measure_copy", &kernel, diag));
    CB_TRY(shortest(device, kernel, &grid, args, 4, SECONDS, &seconds, diag));
    *out = 2.0 * (double)(vectors * form.lanes) * sizeof(float) / seconds;
    return CB_OK;
}

enum cb_status cb_device_measure(struct cb_device *device, struct cb_device_bounds *out, struct cb_diag *diag)
{
    uint64_t bytes = device->info.largest_allocation_bytes / 4;
    bytes = bytes < COPY_BYTES ? bytes / 4096 * 4096 : COPY_BYTES;
    struct cb_tensor x = {sizeof(x), CB_F32, 1, 0, {(int64_t)(bytes / sizeof(float))}, NULL, NULL}, y = x;
    enum cb_status status = cb_buffer_create(device, bytes, &x.buffer, diag);
    status = status == CB_OK ? cb_buffer_create(device, bytes, &y.buffer, diag) : status;
    status = status == CB_OK ? cb_buffer_fill(device, x.buffer, 0, bytes, 0, diag) : status;
    status = status == CB_OK ? arithmetic(device, &y, &out->operations, diag) : status;
    status = status == CB_OK ? copy(device, &y, &x, &out->bytes, diag) : status;
    cb_buffer_destroy(x.buffer);
    cb_buffer_destroy(y.buffer);
    return status;
}
