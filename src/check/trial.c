/* trial.c: the host table of the checks, and the memory with guard words. See trial.h. */
#include "check/trial.h"

#include <math.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/text.h"
#include "check/escape.h"
#include "graph/descriptor.h"

#define GUARD_BYTES 512

void cb__trial_must(struct cb_core *core, enum cb_status status, const char *what)
{
    if (status == CB_OK) {
        return;
    }
    struct cb_text said = {0};
    for (size_t i = 0; i < cb_diag_count(core->diag, CB_NOTE); i++) {
        cb_text_addf(&said, "\n%s", cb_diag_text(core->diag, i));
    }
    char *text = cb_arena_strdup(core->arena, said.length > 0 ? said.data : "");
    cb_text_free(&said);
    cb_diag_clear(core->diag);
    cb__escape("%s failed: %s%s", what, core->message[0] != '\0' ? core->message : cb_status_sentence(status),
               text != NULL ? text : "");
}

/* ---- memory ---- */

static void fill_guards(struct cb_core *core, struct guarded *g)
{
    const uint64_t end = g->before + g->bytes, whole = cb_buffer_bytes(g->whole);
    if (g->before > 0) {
        cb__trial_must(core, cb_buffer_fill(core->device, g->whole, 0, g->before, core->guard, core->diag), "guard words");
    }
    if (whole > end) {
        cb__trial_must(core, cb_buffer_fill(core->device, g->whole, end, whole - end, core->guard, core->diag),
                       "guard words");
    }
}

struct cb_tensor *cb__trial_tensor(struct cb_core *core, const char *name, uint32_t dtype, uint32_t rank, const int64_t *dims)
{
    struct guarded *g = CB_NEW(core->arena, struct guarded);
    if (g == NULL || core->memory_count == sizeof(core->memory) / sizeof(core->memory[0])) {
        cb__trial_must(core, CB_MEMORY, "a tensor");
    }
    const uint64_t align = cb_device_get_info(core->device)->base_align_bytes;
    core->memory[core->memory_count++] = g;
    g->name = name;
    g->tensor = (struct cb_tensor){.struct_size = sizeof(g->tensor), .dtype = dtype, .rank = rank};
    memcpy(g->tensor.dims, dims, rank * sizeof(*dims));
    g->bytes = (uint64_t)cb_tensor_count(&g->tensor) * 4;
    g->before = core->is_exact ? 0 : align > GUARD_BYTES ? align : GUARD_BYTES;
    const uint64_t behind = core->is_exact ? 0 : GUARD_BYTES;
    cb__trial_must(core, cb_buffer_create(core->device, g->before + g->bytes + behind, &g->whole, core->diag), "memory");
    fill_guards(core, g);
    if (!core->is_exact) {
        cb__trial_must(core, cb_buffer_slice(g->whole, g->before, g->bytes, &g->window, core->diag), "a window");
    }
    g->tensor.buffer = core->is_exact ? g->whole : g->window;
    cb__trial_poison(core, &g->tensor);
    return &g->tensor;
}

void cb__trial_poison(struct cb_core *core, const struct cb_tensor *tensor)
{
    cb__trial_must(core,
                   cb_buffer_fill(core->device, tensor->buffer, 0, (uint64_t)cb_tensor_count(tensor) * 4, core->poison,
                                  core->diag),
                   "poison");
}

/* The first word of a part of the whole buffer that is not the pattern, -1 when all are. From the end: the last. */
static int64_t first_other(struct cb_core *core, const struct guarded *g, uint64_t at, uint64_t bytes, bool from_end)
{
    uint32_t *words = cb_arena_alloc(core->arena, bytes);
    cb__trial_must(core, words != NULL ? CB_OK : CB_MEMORY, "guard words");
    cb__trial_must(core, cb_buffer_read(core->device, g->whole, at, words, bytes, core->diag), "guard words");
    for (int64_t i = 0, n = (int64_t)(bytes / 4); i < n; i++) {
        const int64_t w = from_end ? n - 1 - i : i;
        if (words[w] != core->guard) {
            return w;
        }
    }
    return -1;
}

const struct guarded *cb__trial_next_overrun(struct cb_core *core, int64_t *out_offset)
{
    for (uint32_t i = 0; i < core->memory_count && !core->is_exact; i++) {
        struct guarded *g = core->memory[i];
        const int64_t behind = g->is_overrun ? -1 : first_other(core, g, g->before + g->bytes, GUARD_BYTES, false);
        const int64_t before = g->is_overrun ? -1 : first_other(core, g, 0, g->before, true);
        if (behind >= 0 || before >= 0) {
            g->is_overrun = true;
            *out_offset = behind >= 0 ? (int64_t)(g->bytes / 4) + behind : before - (int64_t)(g->before / 4);
            return g;
        }
    }
    return NULL;
}

void cb__trial_set_guards(struct cb_core *core, uint32_t pattern)
{
    core->guard = pattern;
    for (uint32_t i = 0; i < core->memory_count; i++) {
        fill_guards(core, core->memory[i]);
    }
}

void cb__trial_write(struct cb_core *core, const struct cb_tensor *tensor, const struct array *values)
{
    cb__trial_must(core,
               cb_buffer_write(core->device, tensor->buffer, 0, values->at.f, (uint64_t)values->count * 4, core->diag),
               "writing a tensor");
}

struct array cb__trial_read(struct cb_core *core, const struct cb_tensor *tensor)
{
    struct array a = cb__array_make(core->arena, tensor->dtype, tensor->rank, tensor->dims);
    cb__trial_must(core, cb_buffer_read(core->device, tensor->buffer, 0, a.at.f, (uint64_t)a.count * 4, core->diag),
               "reading a tensor");
    return a;
}

/* ---- the plugin's share of the heap ---- */

/* Bytes in use, 0 where the C library does not tell. */
static uint64_t heap_bytes(void)
{
#if defined(__GLIBC__) && (__GLIBC__ > 2 || (__GLIBC__ == 2 && __GLIBC_MINOR__ >= 33))
    const struct mallinfo2 info = mallinfo2();
    return (uint64_t)info.uordblks + (uint64_t)info.hblkhd;
#else
    return 0;
#endif
}

/* Around every call of the plugin's code, and the other way round in every host function that takes memory itself. */
static void plugin_begins(struct cb_core *core)
{
    if (core->heap != NULL) {
        (void)cb_device_finish(core->device, NULL); /* its threads are quiet */
        core->heap_mark = heap_bytes();
    }
}

static void plugin_ends(struct cb_core *core)
{
    if (core->heap != NULL) {
        *core->heap += (int64_t)(heap_bytes() - core->heap_mark);
    }
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
        return host_fail(core, CB_INVALID, NULL, "output %u is declared with impossible dims", index);
    }
    declare(&core->outputs[index], dtype, rank, dims);
    core->output_mask |= 1u << index;
    return CB_OK;
}

static enum cb_status host_param(struct cb_core *core, const struct cb_param_decl *decl)
{
    if (core->param_count == TRIAL_MAX || decl->name == NULL || !dims_are_sound(decl->rank, decl->dims)) {
        return host_fail(core, CB_INVALID, NULL, "a param is declared without a name or with impossible dims");
    }
    core->params[core->param_count++] = *decl;
    return CB_OK;
}

static enum cb_status host_state(struct cb_core *core, const struct cb_param_decl *decl)
{
    if (core->state_count == TRIAL_MAX || decl->name == NULL || !dims_are_sound(decl->rank, decl->dims)) {
        return host_fail(core, CB_INVALID, NULL, "a state is declared without a name or with impossible dims");
    }
    core->states[core->state_count++] = *decl;
    return CB_OK;
}

static enum cb_status host_saved(struct cb_core *core, uint32_t dtype, uint32_t rank, const int64_t *dims)
{
    if (core->saved_count == TRIAL_MAX || !dims_are_sound(rank, dims)) {
        return host_fail(core, CB_INVALID, NULL, "a saved tensor is declared with impossible dims");
    }
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

static enum cb_status give_kernel(struct cb_core *core, const char *source, const char *entry, const char *defines)
{
    struct prepared *p = core->now;
    char *path = cb_kernel_path(core->arena, source != NULL ? source : core->type->layer.name, core->type->folder);
    const char *header = p->chained ? chain_header : NULL;
    if (core->type->layer.pointwise != NULL) {
        header = cb__trial_pointwise_header(core, path);
        path = cb_kernel_path(core->arena, "core/trial_pointwise", NULL);
    }
    if (path == NULL || p->kernel_count == TRIAL_MAX) {
        return host_fail(core, CB_NOT_FOUND, NULL, "no kernel file for `%s`, or too many kernels", entry);
    }
    return cb_kernel_get(core->device, header, path, defines, entry, &p->kernels[p->kernel_count++], core->diag);
}

static enum cb_status give_workspace(struct cb_core *core, uint32_t dtype, int64_t count)
{
    if (core->now->workspace_count == TRIAL_MAX || count < 1) {
        return host_fail(core, CB_INVALID, NULL, "more than %d workspaces, or one of %lld elements", TRIAL_MAX, (long long)count);
    }
    core->now->workspace[core->now->workspace_count++] = cb__trial_tensor(core, "a workspace", dtype, 1, &count);
    return CB_OK;
}

static enum cb_status give_derived(struct cb_core *core, uint32_t dtype, int64_t count)
{
    if (core->now->derived_count == TRIAL_MAX || count < 1) {
        return host_fail(core, CB_INVALID, NULL, "more than %d derived tensors, or one of %lld elements", TRIAL_MAX,
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
        return host_fail(core, CB_INVALID, NULL, "%s", kernel == NULL ? "it launches a kernel that its variant does not name"
                                                                      : "a kernel with more than 64 arguments");
    }
    memcpy(all, args, arg_count * sizeof(*args));
    if (core->now->chained && cb_kernel_arg_count(kernel) > arg_count) {
        all[arg_count++] = (struct cb_arg)CB_A_TENSOR(core->chain_scale);
        all[arg_count++] = (struct cb_arg)CB_A_TENSOR(core->chain_add);
    }
    return cb_kernel_launch(core->device, kernel, grid, all, arg_count, core->diag);
}

static enum cb_status give_gemm(struct cb_core *core, const struct cb_gemm *gemm)
{
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
        plugin_ends(core);                                                                         \
        const enum cb_status status = give_##name(__VA_ARGS__);                                    \
        plugin_begins(core);                                                                       \
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

enum cb_status cb__trial_infer(struct cb_core *core, struct cb_device *device, const struct cb_layer_type *type,
                           const struct cb_value *options, const struct array *x, uint32_t x_count,
                           struct cb_arena *arena, struct cb_diag *diag)
{
    *core = (struct cb_core){.arena = arena, .device = device, .diag = diag, .type = type, .poison = TRIAL_POISON,
                             .guard = TRIAL_GUARD, .case_name = "", .is_exact = core->is_exact, .stage = core->stage, .heap = core->heap};
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
        if (!cb__layer_takes(layer, i, x[i].dtype)) {
            return host_fail(core, CB_MISMATCH, NULL, "input %u holds whole numbers (ids), but it computes with values", i + 1);
        }
        struct cb_tensor *t = CB_NEW(arena, struct cb_tensor);
        *t = (struct cb_tensor){.struct_size = sizeof(*t), .dtype = x[i].dtype, .rank = x[i].rank};
        memcpy(t->dims, x[i].dims, sizeof(t->dims));
        core->x[i] = t;
    }
    core->in = (struct cb_instance){.struct_size = sizeof(core->in),
                                    .host = &cb__trial_host,
                                    .core = core,
                                    .name = "trial",
                                    .options = filled,
                                    .x_count = x_count,
                                    .x = core->x};
    if (layer->check != NULL) {
        plugin_begins(core);
        const enum cb_status status = layer->check(&core->in);
        plugin_ends(core);
        CB_TRY(status);
    }
    core->output_count = 1;
    if (layer->infer == NULL) {
        return host_output(core, 0, CB_F32, x[0].rank, x[0].dims);
    }
    plugin_begins(core);
    const enum cb_status inferred = layer->infer(&core->in);
    plugin_ends(core);
    CB_TRY(inferred);
    core->output_count = layer->output_count == 0 ? 1 : layer->output_count;
    while ((layer->flags & CB_LAYER_FEWER_OUTPUTS) != 0 && core->output_count > 1 &&
           (core->output_count > TRIAL_MAX || (core->output_mask >> (core->output_count - 1) & 1u) == 0)) {
        core->output_count--;
    }
    for (uint32_t i = 0; i < core->output_count; i++) {
        if ((core->output_mask >> i & 1u) == 0) {
            return host_fail(core, CB_INVALID, NULL, "infer did not declare output %u", i);
        }
    }
    return CB_OK;
}

static const char *named(struct cb_core *core, const char *what, uint32_t index)
{
    const char *name = cb_arena_printf(core->arena, "%s %u", what, index);
    return name != NULL ? name : what;
}

static void allocate_params(struct cb_core *core)
{
    for (uint32_t i = 0; i < core->param_count; i++) {
        core->param[i] = cb__trial_tensor(core, named(core, "param", i), CB_F32, core->params[i].rank, core->params[i].dims);
        core->dw[i] = cb__trial_tensor(core, named(core, "dw", i), CB_F32, core->params[i].rank, core->params[i].dims);
    }
    for (uint32_t i = 0; i < core->state_count; i++) {
        core->state[i] = cb__trial_tensor(core, named(core, "state", i), CB_F32, core->states[i].rank, core->states[i].dims);
    }
}

void cb__trial_allocate(struct cb_core *core)
{
    struct cb_instance *in = &core->in;
    const uint32_t y_count = core->output_count;
    for (uint32_t i = 0; i < in->x_count; i++) {
        core->dx[i] = cb__trial_tensor(core, named(core, "dx", i), CB_F32, core->x[i]->rank, core->x[i]->dims);
        core->x[i] = cb__trial_tensor(core, named(core, "input", i), core->x[i]->dtype, core->x[i]->rank, core->x[i]->dims);
    }
    for (uint32_t i = 0; i < y_count; i++) {
        core->y[i] = cb__trial_tensor(core, named(core, "y", i), core->outputs[i].dtype, core->outputs[i].rank, core->outputs[i].dims);
        core->dy[i] = cb__trial_tensor(core, named(core, "dy", i), CB_F32, core->outputs[i].rank, core->outputs[i].dims);
    }
    for (uint32_t i = 0; i < core->saved_count; i++) {
        core->saved[i] = cb__trial_tensor(core, named(core, "saved tensor", i), core->saves[i].dtype, core->saves[i].rank, core->saves[i].dims);
    }
    allocate_params(core);
    core->sample_ids = cb__trial_tensor(core, "the tensor of sample ids", CB_I32, 1, core->x[0]->dims);
    const struct cb_tensor *y = core->y[0];
    core->chain_scale = cb__trial_tensor(core, "the epilogue's scale", CB_F32, 1, &y->dims[y->rank - 1]);
    core->chain_add = cb__trial_tensor(core, "the epilogue's addend", CB_F32, y->rank, y->dims);
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

void cb__trial_finish(struct cb_core *core)
{
    if (core->type->layer.release != NULL) {
        plugin_begins(core);
        core->type->layer.release(&core->in);
        plugin_ends(core);
    }
    for (uint32_t i = 0; i < core->memory_count; i++) {
        cb_buffer_destroy(core->memory[i]->window);
        cb_buffer_destroy(core->memory[i]->whole);
    }
    core->memory_count = 0;
}

static void enter(struct cb_core *core, struct prepared *p, const char *doing)
{
    static const char *const passes[] = {"forward", "backward", "dx", "dw", "fit"};
    if (core->stage != NULL) {
        snprintf(core->stage, CB__STAGE_BYTES, "%s %s, variant `%s` (%s)", doing, passes[p->variant->pass], p->variant->name,
                 core->case_name);
    }
    core->now = p;
    core->in.kernels = p->kernels;
    core->in.workspace = p->workspace;
    core->in.derived = p->derived;
    core->in.kernel_count = p->kernel_count;
    core->in.workspace_count = p->workspace_count;
    core->in.derived_count = p->derived_count;
}

static enum cb_status call(struct cb_core *core, enum cb_status (*function)(struct cb_instance *in))
{
    plugin_begins(core);
    const enum cb_status status = function(&core->in);
    plugin_ends(core);
    return status;
}

struct prepared *cb__trial_prepare(struct cb_core *core, const struct cb_variant *variant, bool chained)
{
    struct prepared *p = CB_NEW(core->arena, struct prepared);
    p->variant = variant;
    p->chained = chained;
    enter(core, p, "preparing");
    plugin_begins(core);
    const enum cb_status compiled = cb__variant_kernels(&core->in, variant);
    plugin_ends(core);
    cb__trial_must(core, compiled, variant->name);
    if (variant->prepare != NULL) {
        cb__trial_must(core, call(core, variant->prepare), variant->name);
    }
    return p;
}

void cb__trial_run(struct cb_core *core, struct prepared *p)
{
    enter(core, p, "running");
    for (uint32_t i = 0; i < p->workspace_count; i++) {
        cb__trial_poison(core, p->workspace[i]);
    }
    for (uint32_t i = 0; i < p->derived_count; i++) {
        cb__trial_poison(core, p->derived[i]);
    }
    if (p->variant->derive != NULL) {
        cb__trial_must(core, call(core, p->variant->derive), p->variant->name);
    }
    cb__trial_must(core, call(core, p->variant->run), p->variant->name);
    cb__trial_must(core, cb_device_finish(core->device, core->diag), p->variant->name);
}

const struct cb_variant *cb__trial_variants(const struct cb_layer_type *type, uint32_t *out_count)
{
    *out_count = type->layer.pointwise != NULL ? 6 : type->variant_count;
    return type->layer.pointwise != NULL ? cb__trial_pointwise_variants : type->variants;
}
