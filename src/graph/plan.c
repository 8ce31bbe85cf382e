/* plan.c: making a plan: shapes, needed layers, variants, fusion, kernels, the list of backward parts. See plan.h. */
#include "graph/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "graph/descriptor.h"
#include "graph/step.h"
#include "graph/tuning.h"

static enum cb_status out_of_memory(struct cb_diag *diag)
{
    return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
}

/* ---- which layers, with which shapes ------------------------------------------------------------------------------ */

static void mark_needed(struct cb_plan *plan)
{
    const struct cb_network *net = plan->net;
    bool *needed = CB_NEW_ARRAY(plan->arena, bool, net->wire_count + 1);
    for (uint32_t i = 0; needed != NULL && i < plan->request.output_count; i++) {
        needed[plan->request.outputs[i]] = true;
        plan->is_output[plan->request.outputs[i]] = true;
    }
    for (uint32_t i = net->node_count; needed != NULL && i-- > 0;) {
        const struct cb_node *node = &net->nodes[i];
        bool wanted = false;
        for (uint32_t k = 0; k < node->y_count; k++) {
            wanted = wanted || needed[node->y[k]];
        }
        plan->runs[i] = wanted && (plan->request.nodes == NULL || plan->request.nodes[i]);
        for (uint32_t k = 0; plan->runs[i] && k < node->x_count; k++) {
            const uint32_t lengths = net->wires[node->x[k]].lengths;
            needed[node->x[k]] = true;
            plan->consumers[node->x[k]]++;
            if (lengths != 0) {
                needed[net->inputs[lengths - 1]] = true;
            }
        }
    }
    plan->inputs = CB_NEW_ARRAY(plan->arena, uint32_t, net->wire_count + 1);
    for (uint32_t w = 0; plan->inputs != NULL && needed != NULL && w < net->wire_count; w++) {
        uint32_t node = net->wires[w].node;
        if (needed[w] && (node == CB_NONE || !plan->runs[node])) {
            plan->is_input[w] = true;
            plan->inputs[plan->input_count++] = w;
        }
    }
}

/* Shapes of every wire for this batch; those of layers that do not run come along, as inputs may be among them. */
static enum cb_status infer_shapes(struct cb_plan *plan, struct cb_diag *diag)
{
    const struct cb_network *net = plan->net;
    for (uint32_t w = 0; w < net->wire_count; w++) {
        plan->values[w] = net->wires[w].shape;
        plan->values[w].dims[0] = plan->request.batch;
        if (net->wires[w].lengths != 0) {
            plan->values[w].lengths = &plan->values[net->inputs[net->wires[w].lengths - 1]];
        }
    }
    for (uint32_t i = 0; i < net->node_count; i++) {
        const struct cb_node *node = &net->nodes[i];
        const struct cb_tensor *x[64] = {NULL};
        for (uint32_t k = 0; k < node->x_count; k++) {
            x[k] = &plan->values[node->x[k]];
        }
        CB_TRY(cb__network_infer(net, node, x, &plan->inferred[i], diag));
        for (uint32_t k = 0; k < node->y_count; k++) {
            const struct cb_declared *shape = &plan->inferred[i].outputs[k];
            plan->values[node->y[k]].dtype = shape->dtype;
            plan->values[node->y[k]].rank = shape->rank;
            memcpy(plan->values[node->y[k]].dims, shape->dims, sizeof(shape->dims));
        }
    }
    return CB_OK;
}

static void mark_input_gradients(struct cb_plan *plan)
{
    for (uint32_t i = 0; plan->request.gradients && plan->request.input_gradients && i < plan->input_count; i++) {
        plan->wants_gradient[plan->inputs[i]] = plan->values[plan->inputs[i]].dtype == CB_F32;
    }
    for (uint32_t i = 0; i < plan->net->node_count; i++) {
        const struct cb_node *node = &plan->net->nodes[i];
        for (uint32_t k = 1; (node->type->layer.flags & CB_LAYER_LOSS) != 0 && k < node->x_count; k++) {
            const uint32_t target = node->x[k];
            plan->wants_gradient[target] = plan->wants_gradient[target] && !plan->is_input[target];
        }
    }
}

static void mark_gradients(struct cb_plan *plan)
{
    const struct cb_network *net = plan->net;
    mark_input_gradients(plan);
    for (uint32_t i = 0; plan->request.gradients && i < net->node_count; i++) {
        const struct cb_node *node = &net->nodes[i];
        bool wanted = false;
        for (uint32_t k = 0; k < node->param_count; k++) {
            wanted = wanted || net->params[node->params[k]].trainable;
        }
        for (uint32_t k = 0; k < node->x_count; k++) {
            wanted = wanted || plan->wants_gradient[node->x[k]];
        }
        for (uint32_t k = 0; plan->runs[i] && k < node->y_count; k++) {
            plan->wants_gradient[node->y[k]] = wanted;
        }
    }
}

/* ---- variants ------------------------------------------------------------------------------------------------------ */

static bool serves(const struct cb_plan *plan, const struct cb_step *step, const struct cb_variant *v, uint32_t pass)
{
    return v->pass == pass && (v->needs & ~(uint64_t)cb_device_get_facts(plan->device)->caps) == 0 &&
           (v->accepts == NULL || v->accepts(&step->in));
}

/* Variant `v` is faster than `chosen`, as was measured, by more than the noise. One into which less can be fused is no match:
 * the passes over memory that fusion saves are not in the measurement. */
static bool is_faster(const struct cb_value *tuned, const struct cb_variant *v, const struct cb_variant *chosen)
{
    const double before = cb__tuning_seconds(tuned, chosen->name);
    return (chosen->flags & ~v->flags) == 0 && isfinite(before) &&
           cb__tuning_seconds(tuned, v->name) < 0.95 * before;
}

/* The variant that was asked for; else the one that was measured to be the fastest; else the first that serves. */
static const struct cb_variant *choose(const struct cb_plan *plan, const struct cb_step *step, uint32_t pass)
{
    const struct cb_layer_type *type = plan->net->nodes[step->node].type;
    const char *wanted = plan->request.pass_variants != NULL ? plan->request.pass_variants[pass] : plan->request.variant;
    const struct cb_value *tuned = cb__plan_tuned(plan, step->node, pass);
    const struct cb_variant *chosen = NULL, *last = NULL;
    for (uint32_t i = 0; i < type->variant_count; i++) {
        const struct cb_variant *v = &type->variants[i];
        if (!serves(plan, step, v, pass) || cb__network_avoids(plan->net, type, i)) {
            continue;
        }
        if (wanted != NULL && strcmp(wanted, v->name) == 0) {
            return v;
        }
        const bool is_wrong = chosen != NULL && tuned != NULL && cb__tuning_is_wrong(tuned, chosen->name);
        if (chosen == NULL || is_wrong || (tuned != NULL && is_faster(tuned, v, chosen))) {
            chosen = v;
        }
        last = v;
    }
    return wanted != NULL && strcmp(wanted, "plain") == 0 ? last : chosen;
}

static bool any_gradient_of(const struct cb_plan *plan, const struct cb_node *node)
{
    for (uint32_t k = 0; k < node->y_count; k++) {
        if (plan->wants_gradient[node->y[k]]) {
            return true;
        }
    }
    return false;
}

static enum cb_status choose_passes(struct cb_plan *plan, struct cb_step *step, struct cb_diag *diag)
{
    const struct cb_node *node = &plan->net->nodes[step->node];
    const struct cb_layer *layer = &node->type->layer;
    if (step->is_copy || step->is_view) {
        return CB_OK;
    }
    step->passes[CB_PASS_FORWARD].variant = choose(plan, step, CB_PASS_FORWARD);
    if (step->passes[CB_PASS_FORWARD].variant == NULL) {
        return cb_fail(diag, CB_UNSUPPORTED, &node->at, "layer `%s` (%s) has no kernels for this device", node->name,
                       layer->name);
    }
    if ((layer->flags & CB_LAYER_FITTED) != 0 && !node->frozen) {
        step->passes[CB_PASS_FIT].variant = choose(plan, step, CB_PASS_FIT);
    }
    if (!any_gradient_of(plan, node)) {
        return CB_OK;
    }
    bool wants_dx = false, wants_dw = false;
    for (uint32_t k = 0; k < node->x_count; k++) {
        wants_dx = wants_dx || plan->wants_gradient[node->x[k]];
    }
    for (uint32_t k = 0; k < node->param_count; k++) {
        wants_dw = wants_dw || plan->net->params[node->params[k]].trainable;
    }
    step->passes[CB_PASS_BACKWARD].variant = choose(plan, step, CB_PASS_BACKWARD);
    if (step->passes[CB_PASS_BACKWARD].variant == NULL) {
        step->passes[CB_PASS_DX].variant = wants_dx ? choose(plan, step, CB_PASS_DX) : NULL;
        step->passes[CB_PASS_DW].variant = wants_dw ? choose(plan, step, CB_PASS_DW) : NULL;
        if ((wants_dx && step->passes[CB_PASS_DX].variant == NULL) ||
            (wants_dw && step->passes[CB_PASS_DW].variant == NULL)) {
            return cb_fail(diag, CB_UNSUPPORTED, &node->at,
                           "layer `%s` (%s) has no gradient: it may stand only where everything before it is frozen",
                           node->name, layer->name);
        }
    }
    return CB_OK;
}

/* ---- steps --------------------------------------------------------------------------------------------------------- */

static enum cb_status make_instance(struct cb_plan *plan, struct cb_step *step, struct cb_diag *diag)
{
    const struct cb_node *node = &plan->net->nodes[step->node];
    const struct cb_inference *found = &plan->inferred[step->node];
    step->params = CB_NEW_ARRAY(plan->arena, struct cb_tensor *, node->param_count + 1);
    step->dw = CB_NEW_ARRAY(plan->arena, struct cb_tensor *, node->param_count + 1);
    step->state = CB_NEW_ARRAY(plan->arena, struct cb_tensor *, node->state_count + 1);
    if (step->params == NULL || step->dw == NULL || step->state == NULL) {
        return out_of_memory(diag);
    }
    for (uint32_t k = 0; k < node->x_count; k++) {
        step->x[k] = &plan->values[node->x[k]];
    }
    for (uint32_t k = 0; k < node->y_count; k++) {
        step->y[k] = &plan->values[node->y[k]];
    }
    for (uint32_t k = 0; k < node->param_count; k++) {
        uint32_t param = node->params[k];
        step->params[k] = &plan->store->values[param];
        if (plan->request.gradients && plan->net->params[param].trainable) {
            step->dw[k] = &plan->store->grads[param];
        }
    }
    for (uint32_t k = 0; k < node->state_count; k++) {
        step->state[k] = &plan->store->values[node->states[k]];
    }
    bool keeps = plan->request.gradients && any_gradient_of(plan, node);
    for (uint32_t k = 0; k < found->saved_count && keeps; k++) {
        struct cb_tensor *saved = &step->saved_tensors[k];
        *saved = (struct cb_tensor){.struct_size = sizeof(*saved), .dtype = found->saved[k].dtype,
                                    .rank = found->saved[k].rank};
        memcpy(saved->dims, found->saved[k].dims, sizeof(saved->dims));
        step->saved[k] = saved;
    }
    uint64_t name_hash = cb_hash64(node->name, strlen(node->name));
    step->core = (struct cb_core){.net = plan->net, .node = node, .device = plan->device, .arena = plan->arena};
    step->in = (struct cb_instance){
        .struct_size = sizeof(step->in), .training = plan->request.training && !node->inference_form,
        .host = &cb__host, .core = &step->core, .name = node->name, .options = node->options,
        .x_count = node->x_count, .y_count = node->y_count, .param_count = node->param_count,
        .state_count = node->state_count, .saved_count = found->saved_count, .x = step->x, .y = step->y,
        .params = step->params, .state = step->state, .saved = step->saved, .dy = step->dy, .dx = step->dx,
        .dw = step->dw, .seed = name_hash, .sample_ids = &plan->sample_ids,
    };
    return CB_OK;
}

static enum cb_status make_steps(struct cb_plan *plan, struct cb_diag *diag)
{
    const struct cb_network *net = plan->net;
    bool *fused = CB_NEW_ARRAY(plan->arena, bool, net->node_count + 1);
    plan->steps = CB_NEW_ARRAY(plan->arena, struct cb_step, net->node_count + 1);
    if (fused == NULL || plan->steps == NULL) {
        return out_of_memory(diag);
    }
    for (uint32_t i = 0; i < net->node_count; i++) {
        if (!plan->runs[i] || fused[i]) {
            continue;
        }
        const struct cb_layer *layer = &net->nodes[i].type->layer;
        struct cb_step *step = &plan->steps[plan->step_count++];
        step->node = i;
        step->is_copy = layer->pointwise != NULL;
        step->is_view = (layer->flags & CB_LAYER_VIEW) != 0;
        step->keeps_panels = !plan->request.gradients || net->nodes[i].frozen;
        CB_TRY(make_instance(plan, step, diag));
        /* A random layer is the identity in inference, as is one that is frozen. */
        if ((layer->flags & CB_LAYER_RANDOM) != 0 && !step->in.training) {
            step->is_view = true;
        }
        CB_TRY(choose_passes(plan, step, diag));
        CB_TRY(cb__plan_fuse(plan, step, fused, diag));
        CB_TRY(cb__plan_header(plan, step, diag));
        step->y[0] = &plan->values[step->final_wire];
    }
    return CB_OK;
}

/* Memory for folded params and affine vectors, which refresh fills. */
static enum cb_status prepare_affines(struct cb_plan *plan, struct cb_step *step, struct cb_diag *diag)
{
    const struct cb_node *node = &plan->net->nodes[step->node];
    for (uint32_t n = 0; n < step->op_count; n++) {
        struct cb_op *op = &step->ops[n];
        if (op->kind == CB_OP_SUM) {
            op->other_tensor = &plan->values[op->other];
        }
        if (op->kind != CB_OP_AFFINE) {
            continue;
        }
        const struct cb_tensor *value = &plan->values[op->out];
        int64_t channels = value->dims[value->rank - 1];
        op->scale = op->shift = (struct cb_tensor){.struct_size = sizeof(op->scale), .dtype = CB_F32, .rank = 1,
                                                   .dims = {channels}};
        CB_TRY(cb__plan_own(plan, (uint64_t)channels * sizeof(float), &op->scale.buffer, diag));
        CB_TRY(cb__plan_own(plan, (uint64_t)channels * sizeof(float), &op->shift.buffer, diag));
        if (op->folded) {
            step->folded = CB_NEW_ARRAY(plan->arena, struct cb_tensor, node->param_count + 1);
            if (step->folded == NULL) {
                return out_of_memory(diag);
            }
            for (uint32_t k = 0; k < node->param_count; k++) {
                step->folded[k] = plan->store->values[node->params[k]];
                step->folded[k].buffer = NULL;
                uint64_t bytes = (uint64_t)plan->net->params[node->params[k]].count * sizeof(float);
                CB_TRY(cb__plan_own(plan, bytes, &step->folded[k].buffer, diag));
                step->params[k] = &step->folded[k];
            }
        }
    }
    return CB_OK;
}

static enum cb_status prepare_core_kernels(struct cb_plan *plan, struct cb_step *step, struct cb_diag *diag)
{
    char *path = cb_kernel_path(plan->arena, "core/pointwise", NULL);
    if (path == NULL) {
        return cb_fail(diag, CB_NOT_FOUND, NULL, "the kernel file `core/pointwise.cl` is missing");
    }
    if (step->is_copy) {
        CB_TRY(cb_kernel_get(plan->device, step->chain_header, path, NULL, "pointwise_forward", &step->copy_kernel, diag));
    }
    for (uint32_t n = 0; n < step->op_count; n++) {
        struct cb_op *op = &step->ops[n];
        if (!plan->request.gradients || !plan->wants_gradient[op->out]) {
            continue;
        }
        if (op->kind == CB_OP_POINTWISE && !cb__step_has_prologue(step)) {
            CB_TRY(cb__plan_pointwise_backward(plan, op, diag));
        } else if (op->kind == CB_OP_AFFINE) {
            CB_TRY(cb_kernel_get(plan->device, NULL, path, NULL, "affine_backward", &op->backward, diag));
        }
    }
    if (plan->request.gradients && plan->sum_backward == NULL) {
        CB_TRY(cb_kernel_get(plan->device, NULL, path, NULL, "sum_backward", &plan->sum_backward, diag));
    }
    return CB_OK;
}

static enum cb_status prepare_kernels(struct cb_instance *in)
{
    return cb__variant_kernels(in, in->core->pass->variant);
}

static enum cb_status prepare_step(struct cb_plan *plan, struct cb_step *step, struct cb_diag *diag)
{
    CB_TRY(prepare_affines(plan, step, diag));
    CB_TRY(prepare_core_kernels(plan, step, diag));
    for (uint32_t pass = 0; pass < CB_PASS_COUNT; pass++) {
        const struct cb_variant *variant = step->passes[pass].variant;
        if (variant != NULL && variant->kernels != NULL) {
            CB_TRY(cb__step_call(step, pass, prepare_kernels, diag));
        }
        if (variant != NULL && variant->prepare != NULL) {
            CB_TRY(cb__step_call(step, pass, variant->prepare, diag));
        }
    }
    return CB_OK;
}

static enum cb_status prepare_steps(struct cb_plan *plan, struct cb_diag *diag)
{
    for (uint32_t i = 0; i < plan->step_count; i++) {
        struct cb_step *step = &plan->steps[i];
        const struct cb_node *node = &plan->net->nodes[step->node];
        cb__step_write_text(plan, step);
        enum cb_status status = prepare_step(plan, step, diag);
        if (status == CB_DEVICE && diag != NULL && step->variant_text != NULL) {
            /* A mistake in a fused function shows in the kernels of the layer above it. */
            cb_note(diag, node->at.source != NULL ? &node->at : NULL, "layer `%s` (%s) was to be computed by: %s", node->name,
                    node->type->layer.name, step->variant_text);
        }
        CB_TRY(status);
    }
    return CB_OK;
}

/* ---- backward ------------------------------------------------------------------------------------------------------ */

/* Notes that `wire` gets a contribution; returns whether it must be added to earlier ones. */
static bool contribute(const struct cb_plan *plan, uint32_t *contributions, uint32_t wire, bool *out_wanted)
{
    *out_wanted = plan->wants_gradient[wire];
    return *out_wanted && contributions[wire]++ > 0;
}

/* By the caller, where nothing else gives it: then backward must leave it alone. */
static bool gradient_is_given(const struct cb_plan *plan, uint32_t wire)
{
    return plan->request.output_gradients && plan->is_output[wire];
}

static enum cb_status list_backward(struct cb_plan *plan, struct cb_diag *diag)
{
    const struct cb_network *net = plan->net;
    if (!plan->request.gradients) {
        return CB_OK;
    }
    uint32_t *contributions = CB_NEW_ARRAY(plan->arena, uint32_t, net->wire_count + 1);
    plan->bops = CB_NEW_ARRAY(plan->arena, struct cb_bop, net->node_count + 1);
    bool *written = CB_NEW_ARRAY(plan->arena, bool, net->param_count + 1); /* per param: it has a gradient already */
    if (contributions == NULL || written == NULL || plan->bops == NULL) {
        return out_of_memory(diag);
    }
    for (uint32_t s = plan->step_count; s-- > 0;) {
        struct cb_step *step = &plan->steps[s];
        const struct cb_node *node = &net->nodes[step->node];
        if (!any_gradient_of(plan, node) && !plan->wants_gradient[step->final_wire]) {
            continue;
        }
        bool is_held = false; /* the layer's dy is one that is given, seen through a fused prologue */
        for (uint32_t n = step->op_count; n-- > 0;) {
            struct cb_op *op = &step->ops[n];
            if (!plan->wants_gradient[op->out]) {
                continue;
            }
            struct cb_bop bop = {.kind = op->kind == CB_OP_SUM       ? CB_BOP_SUM
                                         : op->kind == CB_OP_AFFINE ? CB_BOP_AFFINE
                                                                    : CB_BOP_POINTWISE,
                                 .step = step, .op = op};
            bool is_given = contributions[op->out] == 0 && gradient_is_given(plan, op->out);
            bop.unread = contributions[op->out] == 0 && !is_given ? 1u : 0u;
            bop.dx_accumulate = contribute(plan, contributions, op->in, &bop.wants[0]);
            bop.fused = bop.kind == CB_BOP_POINTWISE && cb__step_has_prologue(step);
            is_held = is_given && bop.fused;
            bop.in_place = bop.wants[0] && bop.dx_accumulate == 0 && (!is_given || bop.fused);
            if (op->kind == CB_OP_SUM && contribute(plan, contributions, op->other, &bop.wants[1])) {
                bop.dx_accumulate |= 2u;
            }
            plan->bops[plan->bop_count++] = bop;
        }
        if (step->is_copy || !any_gradient_of(plan, node)) {
            continue;
        }
        struct cb_bop bop = {.kind = CB_BOP_LAYER, .step = step};
        for (uint32_t k = 0; k < node->y_count && (node->type->layer.flags & CB_LAYER_LOSS) == 0; k++) {
            bop.unread |= contributions[node->y[k]] == 0 && !gradient_is_given(plan, node->y[k]) ? UINT64_C(1) << k : 0;
        }
        for (uint32_t k = 0; k < node->x_count; k++) {
            if (contribute(plan, contributions, node->x[k], &bop.wants[k])) {
                bop.dx_accumulate |= 1u << k;
            }
        }
        for (uint32_t k = 0; k < node->param_count && k < 32; k++) {
            bop.dw_accumulate |= written[node->params[k]] ? 1u << k : 0;
            written[node->params[k]] = true;
        }
        uint32_t inplace = node->type->layer.inplace_grad | (step->is_view ? 1u : 0u);
        bop.in_place = node->x_count > 0 && bop.wants[0] && (inplace & 1u) != 0 && (bop.dx_accumulate & 1u) == 0 &&
                       !is_held && !(contributions[node->y[0]] == 0 && gradient_is_given(plan, node->y[0])) &&
                       (step->is_view || step->passes[CB_PASS_BACKWARD].variant != NULL);
        plan->bops[plan->bop_count++] = bop;
    }
    return CB_OK;
}

/* ---- creating, destroying ------------------------------------------------------------------------------------------- */

static bool allocate_tables(struct cb_plan *plan)
{
    struct cb_arena *arena = plan->arena;
    uint32_t wires = plan->net->wire_count + 1, nodes = plan->net->node_count + 1;
    plan->inferred = CB_NEW_ARRAY(arena, struct cb_inference, nodes);
    plan->runs = CB_NEW_ARRAY(arena, bool, nodes);
    plan->is_output = CB_NEW_ARRAY(arena, bool, wires);
    plan->is_input = CB_NEW_ARRAY(arena, bool, wires);
    plan->consumers = CB_NEW_ARRAY(arena, uint32_t, wires);
    plan->wants_gradient = CB_NEW_ARRAY(arena, bool, wires);
    plan->values = CB_NEW_ARRAY(arena, struct cb_tensor, wires);
    plan->gradients = CB_NEW_ARRAY(arena, struct cb_tensor, wires);
    return plan->inferred != NULL && plan->runs != NULL && plan->is_output != NULL && plan->is_input != NULL &&
           plan->consumers != NULL && plan->wants_gradient != NULL && plan->values != NULL && plan->gradients != NULL;
}

enum cb_status cb_plan_create(struct cb_store *store, const struct cb_plan_request *request, struct cb_plan **out,
                              struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_plan *plan = arena != NULL ? CB_NEW(arena, struct cb_plan) : NULL;
    if (plan == NULL) {
        cb_arena_destroy(arena);
        return out_of_memory(diag);
    }
    plan->arena = arena;
    plan->net = store->net;
    plan->store = store;
    plan->device = store->device;
    plan->request = *request;
    if (plan->request.variant == NULL) {
        plan->request.variant = getenv("CAMBIUM_VARIANT");
    }
    plan->n = request->batch;
    plan->sample_ids = (struct cb_tensor){.struct_size = sizeof(struct cb_tensor), .dtype = CB_I32, .rank = 1,
                                          .dims = {request->batch}};
    enum cb_status status = allocate_tables(plan) ? CB_OK : out_of_memory(diag);
    if (status == CB_OK) {
        mark_needed(plan);
        status = infer_shapes(plan, diag);
    }
    if (status == CB_OK) {
        mark_gradients(plan);
        cb__plan_tune(plan);
        status = make_steps(plan, diag);
    }
    if (status == CB_OK) {
        status = prepare_steps(plan, diag);
    }
    if (status == CB_OK) {
        status = list_backward(plan, diag);
    }
    if (status == CB_OK) {
        status = cb__plan_bind(plan, diag);
    }
    if (status != CB_OK) {
        cb_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return CB_OK;
}

void cb_plan_destroy(struct cb_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        struct cb_step *step = &plan->steps[i];
        const struct cb_layer *layer = &plan->net->nodes[step->node].type->layer;
        for (uint32_t pass = 0; pass < CB_PASS_COUNT && layer->release != NULL; pass++) {
            if (step->passes[pass].self != NULL) {
                cb__step_enter(step, pass, NULL);
                layer->release(&step->in);
                cb__step_leave(step, pass);
            }
        }
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        for (uint32_t k = 0; k < CB_PASS_COUNT * CB_MAX_KEPT_PANELS; k++) {
            cb_buffer_destroy(plan->steps[i].passes[k / CB_MAX_KEPT_PANELS].panels[k % CB_MAX_KEPT_PANELS].buffer);
        }
    }
    for (uint32_t i = plan->owned_count; i-- > 0;) {
        cb_buffer_destroy(plan->owned[i]);
    }
    for (uint32_t i = 0; i < plan->slab_count; i++) {
        cb_buffer_destroy(plan->slabs[i]);
    }
    cb_arena_destroy(plan->arena);
}

const struct cb_tensor *cb_plan_tensor(const struct cb_plan *plan, uint32_t wire)
{
    return plan->is_input[wire] || plan->is_output[wire] ? &plan->values[wire] : NULL;
}

const uint32_t *cb_plan_inputs(const struct cb_plan *plan, uint32_t *out_count)
{
    *out_count = plan->input_count;
    return plan->inputs;
}

const struct cb_tensor *cb_plan_sample_ids(const struct cb_plan *plan)
{
    return &plan->sample_ids;
}

const struct cb_tensor *cb_plan_gradient(const struct cb_plan *plan, uint32_t wire)
{
    return plan->gradients[wire].buffer != NULL ? &plan->gradients[wire] : NULL;
}

uint64_t cb_plan_bytes(const struct cb_plan *plan)
{
    return plan->bytes;
}
