/* launch.c: enqueueing kernels. */

#include "device/internal.h"

static enum cb_status set_arg(struct cb_kernel *kernel, cl_uint index, const struct cb_arg *arg, struct cb_diag *diag)
{
    cl_int code = CL_INVALID_ARG_VALUE;
    switch ((enum cb_arg_kind)arg->kind) {
    case CB_ARG_TENSOR: {
        const struct cb_buffer *buffer = arg->tensor ? arg->tensor->buffer : NULL;
        code = clSetKernelArg(kernel->handle, index, sizeof(cl_mem), buffer ? &buffer->handle : NULL);
        break;
    }
    case CB_ARG_I32: {
        cl_int value = (cl_int)arg->integer;
        if (value != arg->integer) {
            return cb_fail(diag, CB_INVALID, NULL, "argument %u of kernel `%s` is too large for an int: %lld", index,
                           kernel->name, (long long)arg->integer);
        }
        code = clSetKernelArg(kernel->handle, index, sizeof(value), &value);
        break;
    }
    case CB_ARG_I64: {
        cl_long value = arg->integer;
        code = clSetKernelArg(kernel->handle, index, sizeof(value), &value);
        break;
    }
    case CB_ARG_F32: {
        cl_float value = (cl_float)arg->real;
        code = clSetKernelArg(kernel->handle, index, sizeof(value), &value);
        break;
    }
    case CB_ARG_LOCAL:
        code = clSetKernelArg(kernel->handle, index, arg->local_bytes, NULL);
        break;
    }
    if (code != CL_SUCCESS) {
        return cb_fail(diag, CB_DEVICE, NULL, "argument %u of kernel `%s` is not what the kernel takes: %s (%d)", index,
                       kernel->name, cb__cl_name(code), (int)code);
    }
    return CB_OK;
}

static size_t power_of_two_at_most(uint64_t n)
{
    size_t p = 1;
    while (p * 2 <= n) {
        p *= 2;
    }
    return p;
}

void cb__local_size(bool is_cpu, uint64_t compute_units, uint64_t max_local, const uint64_t global[3], size_t local[3])
{
    local[0] = local[1] = local[2] = 1;
    if (is_cpu) {
        /* Few sizes, because a driver may compile a kernel again for each; still several groups for every core. */
        static const size_t sizes[] = {64, 8};
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            uint64_t groups = global[0] / sizes[i] * global[1] * global[2];
            if (sizes[i] <= max_local && global[0] >= sizes[i] && groups >= 4 * compute_units) {
                local[0] = sizes[i];
                return;
            }
        }
        return;
    }
    size_t wanted = power_of_two_at_most(max_local < 128 ? max_local : 128);
    local[0] = wanted;
    while (local[0] / 2 >= global[0]) {
        local[0] /= 2; /* the smallest power of two that covers a short dimension */
    }
    for (int d = 1; d < 3; d++) {
        while (local[0] * local[1] * local[2] < wanted && local[d] < 64 && global[d] % (local[d] * 2) == 0) {
            local[d] *= 2;
        }
    }
}

static void fit_grid(const struct cb_device *device, const struct cb_kernel *kernel, const struct cb_grid *grid,
                     cl_uint *out_dims, size_t global[3], size_t local[3])
{
    uint64_t sizes[3];
    for (int i = 0; i < 3; i++) {
        sizes[i] = grid->global[i] == 0 && i > 0 ? 1 : grid->global[i];
        local[i] = grid->local[i];
    }
    bool is_open = local[0] == 0 && local[1] == 0 && local[2] == 0;
    if (is_open && kernel->required[0] != 0) {
        for (int i = 0; i < 3; i++) {
            local[i] = (size_t)kernel->required[i];
        }
    } else if (is_open) {
        cb__local_size(device->info.is_cpu, device->info.compute_units, kernel->max_local, sizes, local);
    }
    for (int i = 0; i < 3; i++) {
        local[i] = local[i] == 0 ? 1 : local[i];
        global[i] = (size_t)((sizes[i] + local[i] - 1) / local[i] * local[i]);
    }
    *out_dims = sizes[2] > 1 || local[2] > 1 ? 3 : sizes[1] > 1 || local[1] > 1 ? 2 : 1;
}

enum cb_status cb_kernel_launch(struct cb_device *device, struct cb_kernel *kernel, const struct cb_grid *grid,
                                const struct cb_arg *args, uint32_t arg_count, struct cb_diag *diag)
{
    if (arg_count != kernel->arg_count) {
        return cb_fail(diag, CB_INVALID, NULL, "kernel `%s` takes %u arguments, not %u", kernel->name,
                       kernel->arg_count, arg_count);
    }
    for (uint32_t i = 0; i < arg_count; i++) {
        CB_TRY(set_arg(kernel, i, &args[i], diag));
    }
    if (grid->global[0] == 0) {
        return CB_OK; /* nothing to do */
    }
    cl_uint dims = 1;
    size_t global[3], local[3];
    fit_grid(device, kernel, grid, &dims, global, local);
    if (local[0] * local[1] * local[2] > kernel->max_local) {
        return cb_fail(diag, CB_UNSUPPORTED, NULL,
                       "kernel `%s` wants work-groups of %zu, device `%s` runs it with at most %llu", kernel->name,
                       local[0] * local[1] * local[2], device->info.name, (unsigned long long)kernel->max_local);
    }
    cl_event event = NULL;
    cl_int code = clEnqueueNDRangeKernel(device->queue, kernel->handle, dims, NULL, global, local, 0, NULL,
                                         device->profiling ? &event : NULL);
    if (code != CL_SUCCESS) {
        struct cb_text what = {0};
        cb_text_addf(&what, "starting kernel `%s`", kernel->name);
        enum cb_status status = cb__cl_fail(diag, code, what.data ? what.data : "starting a kernel");
        cb_text_free(&what);
        return status;
    }
    if (event) {
        cb__profile_add(device, kernel, event);
    }
    return CB_OK;
}

uint32_t cb_kernel_arg_count(const struct cb_kernel *kernel)
{
    return kernel->arg_count;
}
