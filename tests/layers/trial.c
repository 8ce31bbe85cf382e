/* trial.c: the host table of the tests, and the memory with guard words. See trial.h. */
#include "trial.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"

#define GUARD_BYTES 512
#define GUARD_PATTERN 0x5a17c0deu
#define POISON 0xffc0deadu

void trial_must(struct cb_core *core, enum cb_status status, const char *what)
{
    if (status == CB_OK) {
        return;
    }
    fprintf(stderr, "%s: %s", what, cb_status_sentence(status));
    for (size_t i = 0; i < cb_diag_count(core->diag, CB_NOTE); i++) {
        fprintf(stderr, "\n%s", cb_diag_text(core->diag, i));
    }
    fprintf(stderr, "\n%s\n", core->message);
    exit(1);
}

/* ---- memory ---- */

struct cb_tensor *trial_tensor(struct cb_core *core, uint32_t dtype, uint32_t rank, const int64_t *dims)
{
    struct guarded *g = CB_NEW(core->arena, struct guarded);
    if (g == NULL || core->memory_count == sizeof(core->memory) / sizeof(core->memory[0])) {
        trial_must(core, CB_MEMORY, "a tensor");
    }
    core->memory[core->memory_count++] = g;
    g->tensor = (struct cb_tensor){.struct_size = sizeof(g->tensor), .dtype = dtype, .rank = rank};
    memcpy(g->tensor.dims, dims, rank * sizeof(*dims));
    g->bytes = (uint64_t)cb_tensor_count(&g->tensor) * 4;
    trial_must(core, cb_buffer_create(core->device, g->bytes + GUARD_BYTES, &g->whole, core->diag), "memory");
    trial_must(core, cb_buffer_fill(core->device, g->whole, 0, g->bytes + GUARD_BYTES, GUARD_PATTERN, core->diag),
               "fill");
    trial_must(core, cb_buffer_slice(g->whole, 0, g->bytes, &g->window, core->diag), "a window");
    g->tensor.buffer = g->window;
    trial_poison(core, &g->tensor);
    return &g->tensor;
}

void trial_poison(struct cb_core *core, const struct cb_tensor *tensor)
{
    trial_must(
        core,
        cb_buffer_fill(core->device, tensor->buffer, 0, (uint64_t)cb_tensor_count(tensor) * 4, POISON, core->diag),
        "poison");
}

uint32_t trial_count_overruns(struct cb_core *core)
{
    uint32_t words[GUARD_BYTES / 4], overruns = 0;
    for (uint32_t i = 0; i < core->memory_count; i++) {
        const struct guarded *g = core->memory[i];
        trial_must(core, cb_buffer_read(core->device, g->whole, g->bytes, words, GUARD_BYTES, core->diag),
                   "guard words");
        for (uint32_t w = 0; w < GUARD_BYTES / 4; w++) {
            if (words[w] != GUARD_PATTERN) {
                overruns++;
                break;
            }
        }
    }
    return overruns;
}

void trial_write(struct cb_core *core, const struct cb_tensor *tensor, const struct array *values)
{
    trial_must(core,
               cb_buffer_write(core->device, tensor->buffer, 0, values->at.f, (uint64_t)values->count * 4, core->diag),
               "writing a tensor");
}

struct array trial_read(struct cb_core *core, const struct cb_tensor *tensor)
{
    struct array a = array_make(core->arena, tensor->dtype, tensor->rank, tensor->dims);
    trial_must(core, cb_buffer_read(core->device, tensor->buffer, 0, a.at.f, (uint64_t)a.count * 4, core->diag),
               "reading a tensor");
    return a;
}

/* ---- host functions ---- */

static enum cb_status host_fail(struct cb_core *core, enum cb_status status, const char *option, const char *fmt, ...)
{
    va_list args;
    (void)option;
    va_start(args, fmt);
    vsnprintf(core->message, sizeof(core->message), fmt, args);
    va_end(args);
    return status;
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
    declare(&core->outputs[index], dtype, rank, dims);
    return CB_OK;
}

static enum cb_status host_param(struct cb_core *core, const struct cb_param_decl *decl)
{
    core->params[core->param_count++] = *decl;
    return CB_OK;
}

static enum cb_status host_state(struct cb_core *core, const struct cb_param_decl *decl)
{
    core->states[core->state_count++] = *decl;
    return CB_OK;
}

static enum cb_status host_saved(struct cb_core *core, uint32_t dtype, uint32_t rank, const int64_t *dims)
{
    declare(&core->saves[core->saved_count++], dtype, rank, dims);
    return CB_OK;
}

/* Enough of an epilogue to see that indices, channels and trailing arguments are right. */
static const char *const chain_header =
    "#define CB_EPILOGUE 1\n"
    "#define CB_EPILOGUE_PARAMS , __global const float *cbe0_s, __global const float *cbe1_a\n"
    "#define CB_EPILOGUE_ARGS , cbe0_s, cbe1_a\n"
    "static inline float cb_epilogue1(float v, long i, long k CB_EPILOGUE_PARAMS)\n"
    "{\n    return v * cbe0_s[k] + cbe1_a[i];\n}\n"
    "static inline float16 cb_epilogue16(float16 v, long i, long k CB_EPILOGUE_PARAMS)\n"
    "{\n    return v * vload16(0, cbe0_s + k) + vload16(0, cbe1_a + i);\n}\n";

static enum cb_status host_kernel(struct cb_core *core, const char *source, const char *entry, const char *defines)
{
    struct prepared *p = core->now;
    char *path = cb_kernel_path(core->arena, source != NULL ? source : core->type->layer.name, core->type->folder);
    const char *header = p->chained ? chain_header : NULL;
    if (core->type->layer.pointwise != NULL) {
        header = trial_pointwise_header(core, path);
        path = CB_SOURCE_ROOT "/tests/layers/pointwise.cl";
    }
    if (path == NULL || p->kernel_count == TRIAL_MAX) {
        return host_fail(core, CB_NOT_FOUND, NULL, "no kernel file for `%s`, or too many kernels", entry);
    }
    return cb_kernel_get(core->device, header, path, defines, entry, &p->kernels[p->kernel_count++], core->diag);
}

static enum cb_status host_workspace(struct cb_core *core, uint32_t dtype, int64_t count)
{
    core->now->workspace[core->now->workspace_count++] = trial_tensor(core, dtype, 1, &count);
    return CB_OK;
}

static enum cb_status host_derived(struct cb_core *core, uint32_t dtype, int64_t count)
{
    core->now->derived[core->now->derived_count++] = trial_tensor(core, dtype, 1, &count);
    return CB_OK;
}

static enum cb_status host_launch(struct cb_core *core, struct cb_kernel *kernel, const struct cb_grid *grid,
                                  const struct cb_arg *args, uint32_t arg_count)
{
    struct cb_arg all[66];
    memcpy(all, args, arg_count * sizeof(*args));
    if (core->now->chained && cb_kernel_arg_count(kernel) > arg_count) {
        all[arg_count++] = (struct cb_arg)CB_A_TENSOR(core->chain_scale);
        all[arg_count++] = (struct cb_arg)CB_A_TENSOR(core->chain_add);
    }
    return cb_kernel_launch(core->device, kernel, grid, all, arg_count, core->diag);
}

static enum cb_status host_gemm(struct cb_core *core, const struct cb_gemm *gemm)
{
    if (core->now->chained) {
        const struct cb_arg args[] = {CB_A_TENSOR(core->chain_scale), CB_A_TENSOR(core->chain_add)};
        return cb_device_gemm(core->device, gemm, chain_header, args, 2, core->diag);
    }
    return cb_device_gemm(core->device, gemm, NULL, NULL, 0, core->diag);
}

static enum cb_status host_fill(struct cb_core *core, const struct cb_tensor *tensor, float value)
{
    uint32_t pattern;
    memcpy(&pattern, &value, sizeof(pattern));
    return cb_buffer_fill(core->device, tensor->buffer, 0, (uint64_t)cb_tensor_count(tensor) * 4, pattern, core->diag);
}

static enum cb_status host_copy(struct cb_core *core, const struct cb_tensor *to, const struct cb_tensor *from)
{
    return cb_buffer_copy(core->device, to->buffer, 0, from->buffer, 0, (uint64_t)cb_tensor_count(from) * 4,
                          core->diag);
}

static const struct cb_device_facts *host_device(struct cb_core *core)
{
    return cb_device_get_facts(core->device);
}

const struct cb_host trial_host = {
    .struct_size = sizeof(trial_host),
    .abi = CB_ABI,
    .fail = host_fail,
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

/* ---- a layer ---- */

enum cb_status trial_infer(struct cb_core *core, struct cb_device *device, const struct cb_layer_type *type,
                           const struct cb_value *options, const struct array *x, uint32_t x_count,
                           struct cb_arena *arena, struct cb_diag *diag)
{
    *core = (struct cb_core){.arena = arena, .device = device, .diag = diag, .type = type};
    const struct cb_layer *layer = &type->layer;
    void *filled = cb_arena_alloc(arena, layer->options_size + 16);
    if (layer->options_size > 0) {
        cb_diag_clear(diag);
        enum cb_status status = cb_options_read(arena, &layer->options, layer->defaults, layer->options_size, options,
                                                layer->name, filled, NULL, diag);
        if (status != CB_OK) {
            snprintf(core->message, sizeof(core->message), "%s", cb_diag_text(diag, 0));
            return status;
        }
    }
    for (uint32_t i = 0; i < x_count; i++) {
        struct cb_tensor *t = CB_NEW(arena, struct cb_tensor);
        *t = (struct cb_tensor){.struct_size = sizeof(*t), .dtype = x[i].dtype, .rank = x[i].rank};
        memcpy(t->dims, x[i].dims, sizeof(t->dims));
        core->x[i] = t;
    }
    core->in = (struct cb_instance){.struct_size = sizeof(core->in),
                                    .host = &trial_host,
                                    .core = core,
                                    .name = "trial",
                                    .options = filled,
                                    .x_count = x_count,
                                    .x = core->x};
    if (layer->check != NULL) {
        CB_TRY(layer->check(&core->in));
    }
    if (layer->infer == NULL) {
        declare(&core->outputs[0], CB_F32, x[0].rank, x[0].dims);
        return CB_OK;
    }
    return layer->infer(&core->in);
}

static void allocate_params(struct cb_core *core)
{
    for (uint32_t i = 0; i < core->param_count; i++) {
        core->param[i] = trial_tensor(core, CB_F32, core->params[i].rank, core->params[i].dims);
        core->dw[i] = trial_tensor(core, CB_F32, core->params[i].rank, core->params[i].dims);
    }
    for (uint32_t i = 0; i < core->state_count; i++) {
        core->state[i] = trial_tensor(core, CB_F32, core->states[i].rank, core->states[i].dims);
    }
}

void trial_allocate(struct cb_core *core)
{
    struct cb_instance *in = &core->in;
    const uint32_t y_count = core->type->layer.output_count == 0 ? 1 : core->type->layer.output_count;
    for (uint32_t i = 0; i < in->x_count; i++) {
        core->dx[i] = trial_tensor(core, CB_F32, core->x[i]->rank, core->x[i]->dims);
        core->x[i] = trial_tensor(core, core->x[i]->dtype, core->x[i]->rank, core->x[i]->dims);
    }
    for (uint32_t i = 0; i < y_count; i++) {
        core->y[i] = trial_tensor(core, core->outputs[i].dtype, core->outputs[i].rank, core->outputs[i].dims);
        core->dy[i] = trial_tensor(core, CB_F32, core->outputs[i].rank, core->outputs[i].dims);
    }
    for (uint32_t i = 0; i < core->saved_count; i++) {
        core->saved[i] = trial_tensor(core, core->saves[i].dtype, core->saves[i].rank, core->saves[i].dims);
    }
    allocate_params(core);
    core->sample_ids = trial_tensor(core, CB_I32, 1, core->x[0]->dims);
    const struct cb_tensor *y = core->y[0];
    core->chain_scale = trial_tensor(core, CB_F32, 1, &y->dims[y->rank - 1]);
    core->chain_add = trial_tensor(core, CB_F32, y->rank, y->dims);
    in->y_count = y_count;
    in->param_count = core->param_count;
    in->state_count = core->state_count;
    in->saved_count = core->saved_count;
    in->y = core->y;
    in->params = core->param;
    in->state = core->state;
    in->saved = core->saved;
    in->dy = core->dy;
    in->dx = core->dx;
    in->dw = core->dw;
    in->sample_ids = core->sample_ids;
}

void trial_finish(struct cb_core *core)
{
    if (core->type->layer.release != NULL) {
        core->type->layer.release(&core->in);
    }
    for (uint32_t i = 0; i < core->memory_count; i++) {
        cb_buffer_destroy(core->memory[i]->window);
        cb_buffer_destroy(core->memory[i]->whole);
    }
    core->memory_count = 0;
}

static void enter(struct cb_core *core, struct prepared *p)
{
    core->now = p;
    core->in.kernels = p->kernels;
    core->in.workspace = p->workspace;
    core->in.derived = p->derived;
    core->in.kernel_count = p->kernel_count;
    core->in.workspace_count = p->workspace_count;
    core->in.derived_count = p->derived_count;
}

struct prepared *trial_prepare(struct cb_core *core, const struct cb_variant *variant, bool chained)
{
    struct prepared *p = CB_NEW(core->arena, struct prepared);
    p->variant = variant;
    p->chained = chained;
    enter(core, p);
    if (variant->prepare != NULL) {
        trial_must(core, variant->prepare(&core->in), variant->name);
    }
    return p;
}

void trial_run(struct cb_core *core, struct prepared *p)
{
    enter(core, p);
    for (uint32_t i = 0; i < p->workspace_count; i++) {
        trial_poison(core, p->workspace[i]);
    }
    for (uint32_t i = 0; i < p->derived_count; i++) {
        trial_poison(core, p->derived[i]);
    }
    if (p->variant->derive != NULL) {
        trial_must(core, p->variant->derive(&core->in), p->variant->name);
    }
    trial_must(core, p->variant->run(&core->in), p->variant->name);
    trial_must(core, cb_device_finish(core->device, core->diag), p->variant->name);
}

const struct cb_variant *trial_variants(const struct cb_layer_type *type, uint32_t *out_count)
{
    *out_count = type->layer.pointwise != NULL ? 6 : type->variant_count;
    return type->layer.pointwise != NULL ? trial_pointwise_variants : type->variants;
}
