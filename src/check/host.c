/* host.c: the host table of the checks: what a plugin's calls do, and how much of the heap its own code takes. See trial.h. */
#include "check/trial.h"

#include <math.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- the plugin's share of the heap ---- */

uint64_t cb__trial_heap_bytes(void)
{
#if defined(__GLIBC__) && (__GLIBC__ > 2 || (__GLIBC__ == 2 && __GLIBC_MINOR__ >= 33))
    const struct mallinfo2 info = mallinfo2();
    return (uint64_t)info.uordblks + (uint64_t)info.hblkhd;
#else
    return 0;
#endif
}

void cb__trial_plugin_begins(struct cb_core *core)
{
    if (core->heap != NULL) {
        (void)cb_device_finish(core->device, NULL); /* its threads are quiet */
        core->heap_mark = cb__trial_heap_bytes();
    }
}

void cb__trial_plugin_ends(struct cb_core *core)
{
    if (core->heap != NULL) {
        *core->heap += (int64_t)(cb__trial_heap_bytes() - core->heap_mark);
    }
}

/* ---- host functions ---- */

enum cb_status cb__trial_fail(struct cb_core *core, enum cb_status status, const char *option, const char *fmt, ...)
{
    va_list args;
    (void)option;
    va_start(args, fmt);
    vsnprintf(core->message, sizeof(core->message), fmt, args);
    va_end(args);
    return status;
}

static bool dims_are_sound(uint32_t rank, const int64_t *dims)
{
    double count = 1.0;
    for (uint32_t i = 0; rank <= CB_MAX_RANK && i < rank; i++) {
        count *= dims[i] > 0 ? (double)dims[i] : INFINITY;
    }
    return rank <= CB_MAX_RANK && count < 1e9;
}

static void declare(struct trial_declared *slot, uint32_t dtype, uint32_t rank, const int64_t *dims)
{
    slot->dtype = dtype;
    slot->rank = rank;
    memcpy(slot->dims, dims, rank * sizeof(*dims));
}

static enum cb_status host_output(struct cb_core *core, uint32_t index, uint32_t dtype, uint32_t rank,
                                  const int64_t *dims)
{
    if (index >= TRIAL_MAX || !dims_are_sound(rank, dims)) {
        return cb__trial_fail(core, CB_INVALID, NULL, "output %u is declared with impossible dims", index);
    }
    if ((core->output_mask >> index & 1u) != 0) {
        return cb__trial_fail(core, CB_INVALID, NULL, "output %u is declared twice", index);
    }
    declare(&core->outputs[index], dtype, rank, dims);
    core->output_mask |= 1u << index;
    return CB_OK;
}

/* As far as the plugin's own struct goes, which may be one of an older header. */
static struct cb_param_decl copy_of(const struct cb_param_decl *decl)
{
    struct cb_param_decl copy = {0};
    memcpy(&copy, decl, decl->struct_size < sizeof(copy) ? decl->struct_size : sizeof(copy));
    return copy;
}

static enum cb_status host_param(struct cb_core *core, const struct cb_param_decl *decl)
{
    if (core->param_count == TRIAL_MAX || decl->name == NULL || !dims_are_sound(decl->rank, decl->dims)) {
        return cb__trial_fail(core, CB_INVALID, NULL, "a param is declared without a name or with impossible dims");
    }
    core->params[core->param_count++] = copy_of(decl);
    return CB_OK;
}

static enum cb_status host_state(struct cb_core *core, const struct cb_param_decl *decl)
{
    if (core->state_count == TRIAL_MAX || decl->name == NULL || !dims_are_sound(decl->rank, decl->dims)) {
        return cb__trial_fail(core, CB_INVALID, NULL, "a state is declared without a name or with impossible dims");
    }
    core->states[core->state_count++] = copy_of(decl);
    return CB_OK;
}

static enum cb_status host_saved(struct cb_core *core, uint32_t dtype, uint32_t rank, const int64_t *dims)
{
    if (core->saved_count == TRIAL_MAX || !dims_are_sound(rank, dims)) {
        return cb__trial_fail(core, CB_INVALID, NULL, "a saved tensor is declared with impossible dims");
    }
    declare(&core->saves[core->saved_count++], dtype, rank, dims);
    return CB_OK;
}

/* Enough of an epilogue to see that indices, channels and trailing arguments are right, and of a prologue for values too. */
static const char *const chain_header =
    "#define CB_EPILOGUE 1\n"
    "#define CB_EPILOGUE_PARAMS , __global const float *cbe0_s, __global const float *cbe1_a\n"
    "#define CB_EPILOGUE_ARGS , cbe0_s, cbe1_a\n"
    "static inline float cb_epilogue1(float v, long i, long k CB_EPILOGUE_PARAMS)\n"
    "{\n    return v * cbe0_s[k] + cbe1_a[i];\n}\n"
    "static inline float16 cb_epilogue16(float16 v, long i, long k CB_EPILOGUE_PARAMS)\n"
    "{\n    return v * vload16(0, cbe0_s + k) + vload16(0, cbe1_a + i);\n}\n"
    "#define CB_PROLOGUE 1\n"
    "#define CB_PROLOGUE_PARAMS , float cbp0_o\n"
    "#define CB_PROLOGUE_ARGS , cbp0_o\n"
    "static inline float cb_prologue1(float dy, float v CB_PROLOGUE_PARAMS)\n{\n    return dy * (1.0f + v * cbp0_o);\n}\n"
    "static inline float16 cb_prologue16(float16 dy, float16 v CB_PROLOGUE_PARAMS)\n"
    "{\n    return dy * (1.0f + v * cbp0_o);\n}\n";

/* What is asked for in every run is never given back: the device's memory would fill. */
static enum cb_status only_in_prepare(struct cb_core *core, const char *what)
{
    return core->is_preparing ? CB_OK
                              : cb__trial_fail(core, CB_INVALID, NULL, "it asks for a %s outside `prepare`: each run would take "
                                               "another, and none is given back", what);
}

static enum cb_status give_kernel(struct cb_core *core, const char *source, const char *entry, const char *defines)
{
    CB_TRY(only_in_prepare(core, "kernel"));
    struct prepared *p = core->now;
    char *path = cb_kernel_path(core->arena, source != NULL ? source : core->type->layer.name, core->type->folder);
    const char *header = p->chained ? chain_header : NULL;
    if (core->type->layer.pointwise != NULL) {
        header = cb__trial_pointwise_header(core, path);
        path = cb_kernel_path(core->arena, "core/trial_pointwise", NULL);
    }
    if (path == NULL || p->kernel_count == TRIAL_MAX) {
        return cb__trial_fail(core, CB_NOT_FOUND, NULL, "no kernel file for `%s`, or too many kernels", entry);
    }
    return cb_kernel_get(core->device, header, path, defines, entry, &p->kernels[p->kernel_count++], core->diag);
}

static enum cb_status give_workspace(struct cb_core *core, uint32_t dtype, int64_t count)
{
    CB_TRY(only_in_prepare(core, "workspace"));
    if (core->now->workspace_count == TRIAL_MAX || count < 1) {
        return cb__trial_fail(core, CB_INVALID, NULL, "more than %d workspaces, or one of %lld elements", TRIAL_MAX, (long long)count);
    }
    core->now->workspace[core->now->workspace_count++] = cb__trial_tensor(core, "a workspace", dtype, 1, &count);
    return CB_OK;
}

static enum cb_status give_derived(struct cb_core *core, uint32_t dtype, int64_t count)
{
    CB_TRY(only_in_prepare(core, "derived tensor"));
    if (core->now->derived_count == TRIAL_MAX || count < 1) {
        return cb__trial_fail(core, CB_INVALID, NULL, "more than %d derived tensors, or one of %lld elements", TRIAL_MAX,
                         (long long)count);
    }
    core->now->derived[core->now->derived_count++] = cb__trial_tensor(core, "a derived tensor", dtype, 1, &count);
    return CB_OK;
}

static enum cb_status give_launch(struct cb_core *core, struct cb_kernel *kernel, const struct cb_grid *grid,
                                  const struct cb_arg *args, uint32_t arg_count)
{
    struct cb_arg all[66];
    if (kernel == NULL || arg_count > 64) {
        return cb__trial_fail(core, CB_INVALID, NULL, "%s", kernel == NULL ? "it launches a kernel that its variant does not name"
                                                                           : "a kernel with more than 64 arguments");
    }
    memcpy(all, args, arg_count * sizeof(*args));
    if (core->now->chained && cb_kernel_arg_count(kernel) > arg_count && core->now->variant->pass == CB_PASS_BACKWARD) {
        all[arg_count++] = (struct cb_arg)CB_A_F32(TRIAL_SLOPE);
    } else if (core->now->chained && cb_kernel_arg_count(kernel) > arg_count) {
        all[arg_count++] = (struct cb_arg)CB_A_TENSOR(core->chain_scale);
        all[arg_count++] = (struct cb_arg)CB_A_TENSOR(core->chain_add);
    }
    return cb_kernel_launch(core->device, kernel, grid, all, arg_count, core->diag);
}

static enum cb_status give_gemm(struct cb_core *core, const struct cb_gemm *given)
{
    struct cb_gemm copy = {0};
    const struct cb_gemm *gemm = &copy;
    memcpy(&copy, given, given->struct_size < sizeof(copy) ? given->struct_size : sizeof(copy)); /* as src/graph/run.c */
    if (core->now->chained && gemm->y->buffer == core->y[0]->buffer) { /* as src/graph/run.c */
        const struct cb_arg args[] = {CB_A_TENSOR(core->chain_scale), CB_A_TENSOR(core->chain_add)};
        return cb_device_gemm(core->device, gemm, chain_header, args, 2, core->diag);
    }
    return cb_device_gemm(core->device, gemm, NULL, NULL, 0, core->diag);
}

static enum cb_status give_fill(struct cb_core *core, const struct cb_tensor *tensor, float value)
{
    uint32_t pattern;
    memcpy(&pattern, &value, sizeof(pattern));
    return cb_buffer_fill(core->device, tensor->buffer, 0, (uint64_t)cb_tensor_count(tensor) * 4, pattern, core->diag);
}

static enum cb_status give_copy(struct cb_core *core, const struct cb_tensor *to, const struct cb_tensor *from)
{
    return cb_buffer_copy(core->device, to->buffer, 0, from->buffer, 0, (uint64_t)cb_tensor_count(from) * 4,
                          core->diag);
}

static const struct cb_device_facts *host_device(struct cb_core *core)
{
    return cb_device_get_facts(core->device);
}

/* What plugins call: the functions above, outside the plugin's account. */
#define HOST(name, parameters, ...)                                                                \
    static enum cb_status host_##name parameters                                                   \
    {                                                                                              \
        cb__trial_plugin_ends(core);                                                                         \
        const enum cb_status status = give_##name(__VA_ARGS__);                                    \
        cb__trial_plugin_begins(core);                                                                       \
        return status;                                                                             \
    }
HOST(kernel, (struct cb_core *core, const char *source, const char *entry, const char *defines), core, source, entry, defines)
HOST(workspace, (struct cb_core *core, uint32_t dtype, int64_t count), core, dtype, count)
HOST(derived, (struct cb_core *core, uint32_t dtype, int64_t count), core, dtype, count)
HOST(launch, (struct cb_core *core, struct cb_kernel *kernel, const struct cb_grid *grid, const struct cb_arg *args,
              uint32_t arg_count), core, kernel, grid, args, arg_count)
HOST(gemm, (struct cb_core *core, const struct cb_gemm *gemm), core, gemm)
HOST(fill, (struct cb_core *core, const struct cb_tensor *tensor, float value), core, tensor, value)
HOST(copy, (struct cb_core *core, const struct cb_tensor *to, const struct cb_tensor *from), core, to, from)

const struct cb_host cb__trial_host = {
    .struct_size = sizeof(cb__trial_host),
    .abi = CB_ABI,
    .fail = cb__trial_fail,
    .output = host_output,
    .param = host_param,
    .state = host_state,
    .saved = host_saved,
    .kernel = host_kernel,
    .workspace = host_workspace,
    .derived = host_derived,
    .launch = host_launch,
    .gemm = host_gemm,
    .fill = host_fill,
    .copy = host_copy,
    .device = host_device,
};
