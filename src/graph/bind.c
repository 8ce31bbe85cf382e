/* bind.c: when each tensor of a plan is alive, where it lies, and the buffers. Time counts the forward steps and then
 * the parts of backward. */
#include <stdlib.h>
#include <string.h>

#include "graph/memory.h"
#include "graph/step.h"

struct binding {
    struct cb_lifetime *lives; /* one per root tensor */
    struct cb_tensor **tensors; /* tensors[i] shares lives[root[i]] */
    uint32_t *root;
    uint32_t count, capacity, life_count;
    int32_t end; /* the last moment */
    uint32_t *value_life, *gradient_life; /* per wire; CB_NONE: none */
};

/* Makes the plan destroy `buffer`. */
static enum cb_status take(struct cb_plan *plan, struct cb_buffer *buffer, struct cb_diag *diag)
{
    if (plan->owned_count == plan->owned_capacity) {
        uint32_t wanted = plan->owned_capacity == 0 ? 256 : plan->owned_capacity * 2;
        struct cb_buffer **more = CB_NEW_ARRAY(plan->arena, struct cb_buffer *, wanted);
        if (more == NULL) {
            cb_buffer_destroy(buffer);
            return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        }
        if (plan->owned_count > 0) {
            memcpy(more, plan->owned, plan->owned_count * sizeof(*more));
        }
        plan->owned = more;
        plan->owned_capacity = wanted;
    }
    plan->owned[plan->owned_count++] = buffer;
    return CB_OK;
}

enum cb_status cb__plan_own(struct cb_plan *plan, uint64_t bytes, struct cb_buffer **out, struct cb_diag *diag)
{
    struct cb_buffer *buffer;
    CB_TRY(cb_buffer_create(plan->device, bytes, &buffer, diag));
    CB_TRY(take(plan, buffer, diag));
    *out = buffer;
    return CB_OK;
}

static uint64_t tensor_bytes(const struct cb_tensor *tensor)
{
    static const uint64_t sizes[] = {4, 2, 4, 1};
    return (uint64_t)cb_tensor_count(tensor) * sizes[tensor->dtype];
}

/* A tensor with a life of its own; or, when `life` is given, one that shares another's memory. Returns its life. */
static uint32_t add(struct binding *b, struct cb_tensor *tensor, int32_t first, int32_t last, uint32_t life)
{
    b->tensors[b->count] = tensor;
    if (life == CB_NONE) {
        life = b->life_count++;
        b->lives[life] = (struct cb_lifetime){.bytes = tensor_bytes(tensor), .first = first, .last = last};
    } else {
        struct cb_lifetime *l = &b->lives[life];
        l->first = first < l->first ? first : l->first;
        l->last = last > l->last ? last : l->last;
    }
    b->root[b->count++] = life;
    return life;
}

static void use(struct binding *b, uint32_t life, int32_t moment)
{
    if (life != CB_NONE && moment > b->lives[life].last) {
        b->lives[life].last = moment;
    }
}

/* ---- values --------------------------------------------------------------------------------------------------------- */

static void live_forward(struct cb_plan *plan, struct binding *b)
{
    for (uint32_t i = 0; i < plan->input_count; i++) {
        uint32_t w = plan->inputs[i];
        b->value_life[w] = add(b, &plan->values[w], -1, b->end, CB_NONE);
    }
    for (uint32_t s = 0; s < plan->step_count; s++) {
        struct cb_step *step = &plan->steps[s];
        const struct cb_node *node = &plan->net->nodes[step->node];
        int32_t now = (int32_t)s;
        for (uint32_t k = 0; k < node->x_count; k++) {
            use(b, b->value_life[node->x[k]], now);
        }
        for (uint32_t n = 0; n < step->op_count; n++) {
            if (step->ops[n].kind == CB_OP_SUM) {
                use(b, b->value_life[step->ops[n].other], now);
            }
        }
        for (uint32_t k = 0; k < node->y_count; k++) {
            uint32_t w = k == 0 ? step->final_wire : node->y[k];
            uint32_t shared = step->is_view ? b->value_life[node->x[0]] : CB_NONE;
            b->value_life[w] = add(b, &plan->values[w], now, plan->is_output[w] ? b->end : now, shared);
        }
        for (uint32_t k = 0; k < step->in.saved_count; k++) {
            if (step->saved[k] != NULL) {
                add(b, step->saved[k], now, now, CB_NONE);
            }
        }
    }
}

static void live_workspace(struct cb_step *step, uint32_t pass, struct binding *b, int32_t now)
{
    for (uint32_t k = 0; k < step->passes[pass].workspace_count; k++) {
        add(b, step->passes[pass].workspace[k], now, now, CB_NONE);
    }
}

/* ---- gradients ------------------------------------------------------------------------------------------------------ */

static void need_gradient(struct cb_plan *plan, struct binding *b, uint32_t wire, int32_t now, uint32_t shared)
{
    if (b->gradient_life[wire] == CB_NONE) {
        plan->gradients[wire] = plan->values[wire];
        plan->gradients[wire].buffer = NULL;
        const bool stays = plan->request.output_gradients && plan->is_output[wire] && shared == CB_NONE;
        b->gradient_life[wire] = add(b, &plan->gradients[wire], stays ? 0 : now, stays ? b->end : now, shared);
    }
    use(b, b->gradient_life[wire], now);
}

static void live_layer_backward(struct cb_plan *plan, struct cb_bop *bop, struct binding *b, int32_t now)
{
    struct cb_step *step = bop->step;
    const struct cb_node *node = &plan->net->nodes[step->node];
    const struct cb_layer *layer = &node->type->layer;
    uint32_t needs = layer->dx_needs;
    for (uint32_t k = 0; k < node->param_count; k++) {
        needs |= step->dw[k] != NULL ? layer->dw_needs : 0;
    }
    for (uint32_t k = 0; k < node->y_count; k++) {
        if (k == 0 || (layer->flags & CB_LAYER_LOSS) == 0) {
            need_gradient(plan, b, node->y[k], now, CB_NONE);
        }
        if ((needs & CB_NEEDS_Y) != 0) {
            use(b, b->value_life[k == 0 ? step->final_wire : node->y[k]], now);
        }
    }
    for (uint32_t k = 0; k < node->x_count; k++) {
        if ((needs & CB_NEEDS_X) != 0 || (layer->flags & CB_LAYER_LOSS) != 0) {
            use(b, b->value_life[node->x[k]], now);
        }
        if (bop->wants[k]) {
            uint32_t shared = bop->in_place && k == 0 ? b->gradient_life[node->y[0]] : CB_NONE;
            need_gradient(plan, b, node->x[k], now, shared);
        }
    }
    live_workspace(step, CB_PASS_BACKWARD, b, now);
    live_workspace(step, CB_PASS_DX, b, now);
    live_workspace(step, CB_PASS_DW, b, now);
    for (uint32_t i = 0; i < b->count; i++) { /* its saved tensors live on */
        for (uint32_t k = 0; k < step->in.saved_count; k++) {
            if (step->saved[k] != NULL && b->tensors[i] == step->saved[k]) {
                use(b, b->root[i], now);
            }
        }
    }
}

static void live_backward(struct cb_plan *plan, struct binding *b)
{
    for (uint32_t i = 0; i < plan->bop_count; i++) {
        struct cb_bop *bop = &plan->bops[i];
        int32_t now = (int32_t)(plan->step_count + i);
        if (bop->kind == CB_BOP_LAYER) {
            live_layer_backward(plan, bop, b, now);
            continue;
        }
        need_gradient(plan, b, bop->op->out, now, CB_NONE);
        if (bop->wants[0]) {
            need_gradient(plan, b, bop->op->in, now, bop->in_place ? b->gradient_life[bop->op->out] : CB_NONE);
        }
        if (bop->kind == CB_BOP_SUM && bop->wants[1]) {
            need_gradient(plan, b, bop->op->other, now, CB_NONE);
        }
        if (bop->kind == CB_BOP_POINTWISE && !bop->fused) {
            const struct cb_layer *layer = &plan->net->nodes[bop->op->node].type->layer;
            use(b, b->value_life[layer->pointwise->df_reads == CB_NEEDS_Y ? bop->op->out : bop->op->in], now);
        }
    }
}

/* ---- buffers -------------------------------------------------------------------------------------------------------- */

static enum cb_status place(struct cb_plan *plan, struct binding *b, struct cb_diag *diag)
{
    const struct cb_device_info *info = cb_device_get_info(plan->device);
    uint64_t align = info->base_align_bytes < 128 ? 128 : info->base_align_bytes;
    uint64_t *slabs;
    uint32_t slab_count;
    CB_TRY(cb_memory_plan(plan->arena, b->lives, b->life_count, align, info->largest_allocation_bytes, &slabs,
                          &slab_count, diag));
    plan->slabs = CB_NEW_ARRAY(plan->arena, struct cb_buffer *, slab_count + 1);
    if (plan->slabs == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (uint32_t i = 0; i < slab_count; i++) {
        CB_TRY(cb_buffer_create(plan->device, slabs[i], &plan->slabs[i], diag));
        plan->slab_count = i + 1;
        plan->bytes += slabs[i];
    }
    for (uint32_t i = 0; i < b->count; i++) {
        const struct cb_lifetime *life = &b->lives[b->root[i]];
        struct cb_buffer *slice;
        CB_TRY(cb_buffer_slice(plan->slabs[life->slab], life->offset, life->bytes, &slice, diag));
        CB_TRY(take(plan, slice, diag));
        b->tensors[i]->buffer = slice;
    }
    return CB_OK;
}

static enum cb_status bind_derived(struct cb_plan *plan, struct cb_diag *diag)
{
    for (uint32_t s = 0; s < plan->step_count; s++) {
        for (uint32_t pass = 0; pass < CB_PASS_COUNT; pass++) {
            struct cb_step_pass *p = &plan->steps[s].passes[pass];
            for (uint32_t k = 0; k < p->derived_count; k++) {
                CB_TRY(cb__plan_own(plan, tensor_bytes(p->derived[k]), &p->derived[k]->buffer, diag));
            }
        }
    }
    return CB_OK;
}

enum cb_status cb__plan_bind(struct cb_plan *plan, struct cb_diag *diag)
{
    struct binding b = {.end = (int32_t)(plan->step_count + plan->bop_count)};
    b.capacity = plan->net->wire_count * 2 + plan->step_count * (16 + CB_PASS_COUNT * CB_MAX_PASS_TENSORS) + 1;
    b.lives = CB_NEW_ARRAY(plan->arena, struct cb_lifetime, b.capacity);
    b.tensors = CB_NEW_ARRAY(plan->arena, struct cb_tensor *, b.capacity);
    b.root = CB_NEW_ARRAY(plan->arena, uint32_t, b.capacity);
    b.value_life = CB_NEW_ARRAY(plan->arena, uint32_t, plan->net->wire_count + 1);
    b.gradient_life = CB_NEW_ARRAY(plan->arena, uint32_t, plan->net->wire_count + 1);
    if (b.lives == NULL || b.tensors == NULL || b.root == NULL || b.value_life == NULL || b.gradient_life == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    memset(b.value_life, 0xff, plan->net->wire_count * sizeof(uint32_t));
    memset(b.gradient_life, 0xff, plan->net->wire_count * sizeof(uint32_t));
    live_forward(plan, &b);
    for (uint32_t s = 0; s < plan->step_count; s++) {
        live_workspace(&plan->steps[s], CB_PASS_FORWARD, &b, (int32_t)s);
        live_workspace(&plan->steps[s], CB_PASS_FIT, &b, (int32_t)s);
    }
    live_backward(plan, &b);
    CB_TRY(place(plan, &b, diag));
    CB_TRY(bind_derived(plan, diag));
    return cb__plan_own(plan, (uint64_t)plan->request.batch * sizeof(int32_t), &plan->sample_ids.buffer, diag);
}
