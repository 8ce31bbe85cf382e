/* trial.c: the memory with guard words, and a layer in it. See trial.h. */
#include "check/trial.h"

#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/text.h"
#include "check/escape.h"
#include "graph/descriptor.h"

#define GUARD_BYTES 16384 /* before and behind each tensor: what goes astray mostly lands near */

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

struct cb_arena *cb__trial_scratch(struct cb_core *core)
{
    cb_arena_destroy(core->scratch);
    core->scratch = cb_arena_create();
    cb__trial_must(core, core->scratch != NULL ? CB_OK : CB_MEMORY, "memory");
    return core->scratch;
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
    uint32_t *words = core->guard_words;
    if (words == NULL || core->guard_bytes < bytes) {
        words = core->guard_words = cb_arena_alloc(core->arena, bytes);
        core->guard_bytes = bytes;
    }
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
            return cb__trial_fail(core, CB_MISMATCH, NULL, "input %u holds whole numbers (ids), but it computes with values", i + 1);
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
        cb__trial_plugin_begins(core);
        const enum cb_status status = layer->check(&core->in);
        cb__trial_plugin_ends(core);
        CB_TRY(status);
    }
    core->output_count = 1;
    if (layer->infer == NULL) {
        return cb__trial_host.output(core, 0, CB_F32, x[0].rank, x[0].dims);
    }
    cb__trial_plugin_begins(core);
    const enum cb_status inferred = layer->infer(&core->in);
    cb__trial_plugin_ends(core);
    CB_TRY(inferred);
    core->output_count = layer->output_count == 0 ? 1 : layer->output_count;
    while ((layer->flags & CB_LAYER_FEWER_OUTPUTS) != 0 && core->output_count > 1 &&
           (core->output_count > TRIAL_MAX || (core->output_mask >> (core->output_count - 1) & 1u) == 0)) {
        core->output_count--;
    }
    for (uint32_t i = 0; i < core->output_count; i++) {
        if ((core->output_mask >> i & 1u) == 0) {
            return cb__trial_fail(core, CB_INVALID, NULL, "infer did not declare output %u", i);
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
        if (core->stage != NULL) {
            snprintf(core->stage, CB__STAGE_BYTES, "it is released (%s)", core->case_name);
        }
        cb__trial_plugin_begins(core);
        core->type->layer.release(&core->in);
        cb__trial_plugin_ends(core);
    }
    for (uint32_t i = 0; i < core->memory_count; i++) {
        cb_buffer_destroy(core->memory[i]->window);
        cb_buffer_destroy(core->memory[i]->whole);
    }
    core->memory_count = 0;
    cb_arena_destroy(core->scratch);
    core->scratch = NULL;
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
    cb__trial_plugin_begins(core);
    const enum cb_status status = function(&core->in);
    cb__trial_plugin_ends(core);
    return status;
}

struct prepared *cb__trial_prepare(struct cb_core *core, const struct cb_variant *variant, bool chained)
{
    struct prepared *p = CB_NEW(core->arena, struct prepared);
    p->variant = variant;
    p->chained = chained;
    enter(core, p, "preparing");
    core->is_preparing = true;
    cb__trial_plugin_begins(core);
    const enum cb_status compiled = cb__variant_kernels(&core->in, variant);
    cb__trial_plugin_ends(core);
    cb__trial_must(core, compiled, variant->name);
    if (variant->prepare != NULL) {
        cb__trial_must(core, call(core, variant->prepare), variant->name);
    }
    core->is_preparing = false;
    return p;
}

void cb__trial_run(struct cb_core *core, struct prepared *p)
{
    enter(core, p, "running");
    core->is_preparing = false;
    for (uint32_t i = 0; i < p->workspace_count; i++) {
        cb__trial_poison(core, p->workspace[i]);
    }
    for (uint32_t i = 0; i < p->derived_count && !core->keeps_derived; i++) {
        cb__trial_poison(core, p->derived[i]);
    }
    if (p->variant->derive != NULL && !core->keeps_derived) {
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
