/* run.c: running a plan: forward, backward, and deriving params again after they changed. Only enqueues. */
#include <stdlib.h>
#include <string.h>

#include "graph/step.h"

#define MAX_SCRATCH (INT64_C(1) << 40) /* elements */
/* A gemm of the first version. */
#define GEMM_BYTES (offsetof(struct cb_gemm, y_offset) + sizeof(int64_t))

void cb__step_enter(struct cb_step *step, uint32_t pass, struct cb_diag *diag)
{
    struct cb_step_pass *p = &step->passes[pass];
    step->core.pass = p;
    step->core.step = step;
    step->core.diag = diag;
    step->in.self = p->self;
    step->in.kernels = p->kernels;
    step->in.workspace = p->workspace;
    step->in.derived = p->derived;
    step->in.kernel_count = p->kernel_count;
    step->in.workspace_count = p->workspace_count;
    step->in.derived_count = p->derived_count;
}

void cb__step_leave(struct cb_step *step, uint32_t pass)
{
    step->passes[pass].self = step->in.self;
    step->in.self = NULL;
    step->core.pass = NULL;
}

enum cb_status cb__step_call(struct cb_step *step, uint32_t pass, enum cb_status (*function)(struct cb_instance *in),
                             struct cb_diag *diag)
{
    cb_device_profile_label(step->core.device, step->core.node->name);
    const size_t errors = diag != NULL ? cb_diag_count(diag, CB_ERROR) : 0;
    cb__step_enter(step, pass, diag);
    enum cb_status status = function(&step->in);
    if (status != CB_OK && diag != NULL && cb_diag_count(diag, CB_ERROR) == errors) {
        status = cb__host.fail(&step->core, CB_INVALID, NULL, "the plugin fails without saying why");
    }
    cb__step_leave(step, pass);
    return status;
}

static enum cb_status run_pass(struct cb_step *step, uint32_t pass, struct cb_diag *diag)
{
    return cb__step_call(step, pass, step->passes[pass].variant->run, diag);
}

/* ---- derived params --------------------------------------------------------------------------------------------------- */

/* The host's copy of a param, read back where it may have changed. */
static enum cb_status host_values(struct cb_plan *plan, uint32_t index, struct cb_diag *diag)
{
    struct cb_param *param = &plan->net->params[index];
    if (plan->net->nodes[param->node].frozen) {
        return CB_OK;
    }
    return cb_buffer_read(plan->device, plan->store->values[index].buffer, 0, param->host,
                          (uint64_t)param->count * sizeof(float), diag);
}

static enum cb_status compute_affine(struct cb_plan *plan, const struct cb_op *op, float *scale, float *shift,
                                     struct cb_diag *diag)
{
    const struct cb_node *node = &plan->net->nodes[op->node];
    const float *params[64] = {NULL}, *state[16] = {NULL};
    for (uint32_t k = 0; k < node->param_count; k++) {
        CB_TRY(host_values(plan, node->params[k], diag));
        params[k] = plan->net->params[node->params[k]].host;
    }
    for (uint32_t k = 0; k < node->state_count; k++) {
        CB_TRY(host_values(plan, node->states[k], diag));
        state[k] = plan->net->params[node->states[k]].host;
    }
    struct cb_core core = {.net = plan->net, .node = node, .diag = diag};
    struct cb_tensor *x[1] = {&plan->values[op->in]};
    struct cb_instance in = {.struct_size = sizeof(in), .host = &cb__host, .core = &core, .name = node->name,
                             .options = node->options, .x_count = 1, .x = x, .param_count = node->param_count,
                             .state_count = node->state_count};
    return node->type->layer.affine(&in, params, state, scale, shift);
}

/* Params of the step with the scale folded in: the last dimension of param 0, and param 1, are the output channels. */
static enum cb_status fold(struct cb_plan *plan, struct cb_step *step, const float *scale, int64_t channels,
                           struct cb_diag *diag)
{
    const struct cb_node *node = &plan->net->nodes[step->node];
    for (uint32_t k = 0; k < node->param_count; k++) {
        const struct cb_param *param = &plan->net->params[node->params[k]];
        CB_TRY(host_values(plan, node->params[k], diag));
        float *folded = calloc((size_t)param->count, sizeof(float));
        if (folded == NULL) {
            return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        }
        for (int64_t i = 0; i < param->count; i++) {
            folded[i] = param->host[i] * scale[i % channels];
        }
        enum cb_status status = cb_buffer_write(plan->device, step->folded[k].buffer, 0, folded,
                                                (uint64_t)param->count * sizeof(float), diag);
        free(folded);
        CB_TRY(status);
    }
    return CB_OK;
}

/* Scale and shift of one affine onto the device; `values` has room for both. */
static enum cb_status refresh_affine(struct cb_plan *plan, struct cb_step *step, struct cb_op *op, float *values,
                                     struct cb_diag *diag)
{
    int64_t channels = op->scale.dims[0];
    uint64_t bytes = (uint64_t)channels * sizeof(float);
    CB_TRY(compute_affine(plan, op, values, values + channels, diag));
    CB_TRY(cb_buffer_write(plan->device, op->scale.buffer, 0, values, bytes, diag));
    CB_TRY(cb_buffer_write(plan->device, op->shift.buffer, 0, values + channels, bytes, diag));
    return op->folded ? fold(plan, step, values, channels, diag) : CB_OK;
}

static enum cb_status refresh_affines(struct cb_plan *plan, struct cb_step *step, struct cb_diag *diag)
{
    for (uint32_t n = 0; n < step->op_count; n++) {
        struct cb_op *op = &step->ops[n];
        if (op->kind != CB_OP_AFFINE) {
            continue;
        }
        bool fixed = plan->net->nodes[op->node].frozen && plan->net->nodes[step->node].frozen;
        if (plan->version != 0 && (fixed || (!op->folded && plan->net->nodes[op->node].frozen))) {
            continue;
        }
        float *values = calloc((size_t)op->scale.dims[0] * 2, sizeof(float));
        if (values == NULL) {
            return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        }
        enum cb_status status = refresh_affine(plan, step, op, values, diag);
        free(values);
        CB_TRY(status);
    }
    return CB_OK;
}

enum cb_status cb__plan_refresh(struct cb_plan *plan, struct cb_diag *diag)
{
    if (plan->version == plan->store->version) {
        return CB_OK;
    }
    for (uint32_t s = 0; s < plan->step_count; s++) {
        struct cb_step *step = &plan->steps[s];
        bool fixed = plan->net->nodes[step->node].frozen;
        CB_TRY(refresh_affines(plan, step, diag));
        for (uint32_t pass = 0; pass < CB_PASS_COUNT; pass++) {
            const struct cb_variant *variant = step->passes[pass].variant;
            for (uint32_t k = 0; k < CB_MAX_KEPT_PANELS && !(fixed && step->folded == NULL); k++) {
                step->passes[pass].panels[k].is_current = false;
            }
            if (variant == NULL || variant->derive == NULL ||
                (plan->version != 0 && fixed && step->folded == NULL)) {
                continue;
            }
            CB_TRY(cb__step_call(step, pass, variant->derive, diag));
        }
    }
    plan->version = plan->store->version;
    return CB_OK;
}

/* ---- running ---------------------------------------------------------------------------------------------------------- */

static void set_rows(struct cb_plan *plan, int64_t n)
{
    if (plan->n == n) {
        return;
    }
    plan->n = n;
    for (uint32_t w = 0; w < plan->net->wire_count; w++) {
        plan->values[w].dims[0] = n;
        plan->gradients[w].dims[0] = n;
    }
    plan->sample_ids.dims[0] = n;
}

/* A chain reads per channel only where it holds an affine; else the tensor is one long row. */
static enum cb_status run_copy(struct cb_plan *plan, struct cb_step *step, struct cb_diag *diag)
{
    const struct cb_tensor *x = step->x[0];
    int64_t columns = cb_tensor_count(x), rows = 1;
    for (uint32_t n = 0; n < step->op_count; n++) {
        if (step->ops[n].kind == CB_OP_AFFINE && rows == 1) {
            columns = x->dims[x->rank - 1];
            rows = cb_tensor_count(x) / columns;
        }
    }
    struct cb_arg args[4 + CB_CHAIN_ARGS] = {CB_A_TENSOR(step->y[0]), CB_A_TENSOR(x), CB_A_I64(rows), CB_A_I64(columns)};
    uint32_t count = 4 + cb__step_chain_args(step, args + 4);
    return cb_kernel_launch(plan->device, step->copy_kernel,
                            CB_GRID((uint64_t)(columns + 15) / 16, (uint64_t)rows, 1), args, count, diag);
}

enum cb_status cb_plan_forward(struct cb_plan *plan, const struct cb_plan_run *run, struct cb_diag *diag)
{
    if (run->n < 1 || run->n > plan->request.batch) {
        return cb_fail(diag, CB_INTERNAL, NULL, "a plan for %lld rows cannot run %lld", (long long)plan->request.batch,
                       (long long)run->n);
    }
    set_rows(plan, run->n);
    CB_TRY(cb__plan_refresh(plan, diag));
    for (uint32_t s = 0; s < plan->step_count; s++) {
        struct cb_step *step = &plan->steps[s];
        if (step->is_view) {
            continue;
        }
        if (step->is_copy) {
            CB_TRY(run_copy(plan, step, diag));
            continue;
        }
        const struct cb_node *node = &plan->net->nodes[step->node];
        uint64_t key[2] = {run->seed, cb_hash64(node->name, strlen(node->name))};
        step->in.seed = cb_hash64(key, sizeof(key));
        step->in.step = run->step;
        if (run->fit && step->passes[CB_PASS_FIT].variant != NULL) {
            CB_TRY(run_pass(step, CB_PASS_FIT, diag));
        }
        CB_TRY(run_pass(step, CB_PASS_FORWARD, diag));
    }
    return CB_OK;
}

static enum cb_status backward_layer(struct cb_plan *plan, struct cb_bop *bop, const struct cb_plan_run *run,
                                     struct cb_diag *diag)
{
    struct cb_step *step = bop->step;
    const struct cb_node *node = &plan->net->nodes[step->node];
    for (uint32_t k = 0; k < node->y_count; k++) {
        step->dy[k] = &plan->gradients[node->y[k]];
    }
    for (uint32_t k = 0; k < node->x_count; k++) {
        step->dx[k] = bop->wants[k] ? &plan->gradients[node->x[k]] : NULL;
    }
    step->in.dx_accumulate = bop->dx_accumulate;
    step->in.dw_accumulate = run->accumulate ? UINT32_MAX : bop->dw_accumulate;
    if ((node->type->layer.flags & CB_LAYER_LOSS) != 0) {
        float one = 1.0f;
        uint32_t pattern;
        memcpy(&pattern, &one, sizeof(pattern));
        CB_TRY(cb_buffer_fill(plan->device, step->dy[0]->buffer, 0, (uint64_t)plan->n * sizeof(float), pattern, diag));
    }
    if (step->is_view) {
        if (step->dx[0] == NULL || bop->in_place) {
            return CB_OK;
        }
        return cb_kernel_launch(
            plan->device, plan->sum_backward, CB_GRID((uint64_t)(cb_tensor_count(step->dx[0]) + 15) / 16, 1, 1),
            (const struct cb_arg[]){CB_A_TENSOR(step->dx[0]), CB_A_TENSOR(step->dy[0]),
                                    CB_A_I64(cb_tensor_count(step->dx[0])), CB_A_I32(bop->dx_accumulate & 1)},
            4, diag);
    }
    static const uint32_t passes[] = {CB_PASS_BACKWARD, CB_PASS_DW, CB_PASS_DX};
    for (uint32_t i = 0; i < 3; i++) {
        if (step->passes[passes[i]].variant != NULL) {
            CB_TRY(run_pass(step, passes[i], diag));
        }
    }
    return CB_OK;
}

/* Outputs that no gradient comes to, such as a part that nobody reads: theirs is zero. */
static enum cb_status clear_unread(struct cb_plan *plan, const struct cb_bop *bop, struct cb_diag *diag)
{
    const struct cb_node *node = &plan->net->nodes[bop->step->node];
    for (uint32_t k = 0; k < 64 && bop->unread >> k != 0; k++) {
        const uint32_t wire = bop->kind == CB_BOP_LAYER ? node->y[k] : bop->op->out;
        const struct cb_tensor *dy = &plan->gradients[wire];
        if ((bop->unread >> k & 1u) != 0) {
            CB_TRY(cb_buffer_fill(plan->device, dy->buffer, 0, (uint64_t)cb_tensor_count(dy) * sizeof(float), 0, diag));
        }
    }
    return CB_OK;
}

static enum cb_status backward_op(struct cb_plan *plan, struct cb_bop *bop, struct cb_diag *diag)
{
    const struct cb_op *op = bop->op;
    cb_device_profile_label(plan->device, plan->net->nodes[op->node].name);
    const struct cb_tensor *dy = &plan->gradients[op->out];
    const struct cb_tensor *dx = bop->wants[0] ? &plan->gradients[op->in] : NULL;
    int64_t count = cb_tensor_count(dy), columns = dy->dims[dy->rank - 1];
    uint32_t accumulate = bop->dx_accumulate & 1;
    uint64_t pieces = (uint64_t)(count + 15) / 16;
    switch (bop->kind) {
    case CB_BOP_POINTWISE: {
        if (dx == NULL || bop->fused) {
            return CB_OK;
        }
        const struct cb_layer *layer = &plan->net->nodes[op->node].type->layer;
        const struct cb_tensor *xy = &plan->values[layer->pointwise->df_reads == CB_NEEDS_Y ? op->out : op->in];
        struct cb_arg args[5 + 16] = {CB_A_TENSOR(dx), CB_A_TENSOR(dy), CB_A_TENSOR(xy), CB_A_I64(count),
                                      CB_A_I32(accumulate)};
        uint32_t n = 5;
        for (uint32_t i = 0; i < op->option_count; i++) {
            args[n++] = (struct cb_arg)CB_A_F32(op->options[i]);
        }
        return cb_kernel_launch(plan->device, op->backward, CB_GRID(pieces, 1, 1), args, n, diag);
    }
    case CB_BOP_AFFINE:
        if (dx == NULL) {
            return CB_OK;
        }
        return cb_kernel_launch(plan->device, op->backward,
                                CB_GRID((uint64_t)(columns + 15) / 16, (uint64_t)(count / columns), 1),
                                (const struct cb_arg[]){CB_A_TENSOR(dx), CB_A_TENSOR(dy), CB_A_TENSOR(&op->scale),
                                                        CB_A_I64(count / columns), CB_A_I64(columns),
                                                        CB_A_I32(accumulate)},
                                6, diag);
    case CB_BOP_SUM:
        if (bop->wants[1]) {
            CB_TRY(cb_kernel_launch(plan->device, plan->sum_backward, CB_GRID(pieces, 1, 1),
                                    (const struct cb_arg[]){CB_A_TENSOR(&plan->gradients[op->other]), CB_A_TENSOR(dy),
                                                            CB_A_I64(count), CB_A_I32((bop->dx_accumulate >> 1) & 1)},
                                    4, diag));
        }
        if (dx == NULL || bop->in_place) {
            return CB_OK;
        }
        return cb_kernel_launch(plan->device, plan->sum_backward, CB_GRID(pieces, 1, 1),
                                (const struct cb_arg[]){CB_A_TENSOR(dx), CB_A_TENSOR(dy), CB_A_I64(count),
                                                        CB_A_I32(accumulate)},
                                4, diag);
    case CB_BOP_LAYER:
        break;
    }
    return CB_OK;
}

enum cb_status cb_plan_backward(struct cb_plan *plan, const struct cb_plan_run *run, struct cb_diag *diag)
{
    for (uint32_t i = 0; i < plan->bop_count; i++) {
        struct cb_bop *bop = &plan->bops[i];
        CB_TRY(clear_unread(plan, bop, diag));
        CB_TRY(bop->kind == CB_BOP_LAYER ? backward_layer(plan, bop, run, diag) : backward_op(plan, bop, diag));
    }
    return CB_OK;
}

/* ---- what plugins call ------------------------------------------------------------------------------------------------ */

/* The device's messages know no layers. */
static enum cb_status name_layer(const struct cb_core *core, enum cb_status status)
{
    if (status != CB_OK && core->diag != NULL) {
        const struct cb_node *node = core->node;
        cb_note(core->diag, node->at.source != NULL ? &node->at : NULL, "layer `%s` (%s) asked for it", node->name,
                node->type->layer.name);
    }
    return status;
}

enum cb_status cb__host_kernel(struct cb_core *core, const char *source, const char *entry, const char *defines)
{
    struct cb_step_pass *p = core->pass;
    const struct cb_layer_type *type = core->node->type;
    if (p == NULL || p->kernel_count == CB_MAX_PASS_TENSORS || entry == NULL) {
        return cb__host.fail(core, CB_INVALID, NULL, "the plugin asks for a kernel outside prepare, for too many, or for "
                             "one without a name");
    }
    const char *name = source != NULL ? source : type->layer.name;
    char *path = cb_kernel_path(core->arena, name, type->folder);
    if (path == NULL) {
        return cb__host.fail(core, CB_NOT_FOUND, NULL, "its kernel file `%s.cl` is missing", name);
    }
    enum cb_status status = cb_kernel_get(core->device, p->header, path, defines,
                                          entry, &p->kernels[p->kernel_count], core->diag);
    CB_TRY(status == CB_NOT_FOUND ? name_layer(core, status) : status);
    p->kernel_count++;
    core->step->in.kernel_count = p->kernel_count;
    return CB_OK;
}

static enum cb_status add_scratch(struct cb_core *core, uint32_t dtype, int64_t count, struct cb_tensor **list,
                                  uint32_t *list_count)
{
    if (count < 1 || count > MAX_SCRATCH || dtype > CB_U8 || *list_count == CB_MAX_PASS_TENSORS) {
        return cb__host.fail(core, CB_INVALID, NULL, "the plugin asks for impossible scratch memory");
    }
    struct cb_tensor *tensor = CB_NEW(core->arena, struct cb_tensor);
    if (tensor == NULL) {
        return cb__host.fail(core, CB_MEMORY, NULL, "out of memory");
    }
    *tensor = (struct cb_tensor){.struct_size = sizeof(*tensor), .dtype = dtype, .rank = 1, .dims = {count}};
    list[(*list_count)++] = tensor;
    return CB_OK;
}

static enum cb_status fail_outside(struct cb_core *core, const char *what, const char *where)
{
    return cb__host.fail(core, CB_INVALID, NULL, "the plugin calls `%s` outside %s, or with NULL", what, where);
}

enum cb_status cb__host_workspace(struct cb_core *core, uint32_t dtype, int64_t count)
{
    return core->pass != NULL ? add_scratch(core, dtype, count, core->pass->workspace, &core->pass->workspace_count)
                              : fail_outside(core, "workspace", "prepare");
}

enum cb_status cb__host_derived(struct cb_core *core, uint32_t dtype, int64_t count)
{
    return core->pass != NULL ? add_scratch(core, dtype, count, core->pass->derived, &core->pass->derived_count)
                              : fail_outside(core, "derived", "prepare");
}

enum cb_status cb__host_launch(struct cb_core *core, struct cb_kernel *kernel, const struct cb_grid *grid,
                               const struct cb_arg *args, uint32_t arg_count)
{
    if (core->device == NULL || kernel == NULL || grid == NULL || (args == NULL && arg_count > 0)) {
        return core->device != NULL && kernel == NULL
                   ? cb__host.fail(core, CB_INVALID, NULL, "the plugin launches a kernel that its variant does not name")
                   : fail_outside(core, "launch", "run");
    }
    if (core->pass != NULL && core->pass->takes_chain && cb_kernel_arg_count(kernel) > arg_count) {
        struct cb_arg all[64 + CB_CHAIN_ARGS];
        if (arg_count > 64) {
            return cb__host.fail(core, CB_INVALID, NULL, "a kernel with more than 64 arguments");
        }
        memcpy(all, args, arg_count * sizeof(*args));
        uint32_t count = arg_count + cb__step_chain_args(core->step, all + arg_count);
        return name_layer(core, cb_kernel_launch(core->device, kernel, grid, all, count, core->diag));
    }
    return name_layer(core, cb_kernel_launch(core->device, kernel, grid, args, arg_count, core->diag));
}

static bool is_bound(const struct cb_tensor *tensor)
{
    return tensor != NULL && tensor->buffer != NULL;
}

/* Where the panels of a product's right operand are kept, if it is a param of the layer that stays as it is; else NULL. */
static struct cb_gemm_panels *panels_of(struct cb_core *core, const struct cb_gemm *gemm)
{
    const struct cb_step *step = core->step;
    bool is_param = false;
    for (uint32_t k = 0; core->pass != NULL && step->keeps_panels && k < step->in.param_count; k++) {
        is_param = is_param || (step->params[k] == gemm->b && gemm->b_offset == 0);
    }
    for (uint32_t k = 0; is_param && k < CB_MAX_KEPT_PANELS; k++) {
        struct cb_gemm_panels *panels = &core->pass->panels[k];
        if (panels->b == NULL || panels->b == gemm->b) {
            panels->b = gemm->b;
            return panels;
        }
    }
    return NULL;
}

enum cb_status cb__host_gemm(struct cb_core *core, const struct cb_gemm *given)
{
    struct cb_gemm gemm = {0};
    if (core->device == NULL || given == NULL || given->struct_size < GEMM_BYTES || !is_bound(given->a) ||
        !is_bound(given->b) || !is_bound(given->y)) {
        return fail_outside(core, "gemm", "run, without struct_size");
    }
    memcpy(&gemm, given, given->struct_size < sizeof(gemm) ? given->struct_size : sizeof(gemm));
    struct cb_arg args[CB_CHAIN_ARGS];
    /* What follows the layer goes into the product that stores its output, not into those before it. */
    const struct cb_step_pass *pass = core->pass;
    const bool is_output = pass != NULL && gemm.y->buffer == core->step->y[0]->buffer;
    const uint32_t count = is_output && pass->takes_chain ? cb__step_chain_args(core->step, args) : 0;
    return name_layer(core, cb_device_gemm_kept(core->device, &gemm, panels_of(core, &gemm), is_output ? pass->header : NULL,
                                                count > 0 ? args : NULL, count, core->diag));
}

enum cb_status cb__host_fill(struct cb_core *core, const struct cb_tensor *tensor, float value)
{
    uint32_t pattern;
    if (core->device == NULL || !is_bound(tensor)) {
        return fail_outside(core, "fill", "run");
    }
    memcpy(&pattern, &value, sizeof(pattern));
    return name_layer(core, cb_buffer_fill(core->device, tensor->buffer, 0,
                                           (uint64_t)cb_tensor_count(tensor) * sizeof(float), pattern, core->diag));
}

enum cb_status cb__host_copy(struct cb_core *core, const struct cb_tensor *to, const struct cb_tensor *from)
{
    if (core->device == NULL || !is_bound(to) || !is_bound(from)) {
        return fail_outside(core, "copy", "run");
    }
    return name_layer(core, cb_buffer_copy(core->device, to->buffer, 0, from->buffer, 0,
                                           (uint64_t)cb_tensor_count(from) * sizeof(float), core->diag));
}

const struct cb_device_facts *cb__host_device(struct cb_core *core)
{
    return core->device != NULL ? cb_device_get_facts(core->device) : NULL;
}
