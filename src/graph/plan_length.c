/* plan_length.c: a plan's sequences made shorter, or as long as they were again: shapes are inferred anew, memory, kernels
 * and variants stay those of the longest. */
#include <string.h>

#include "graph/step.h"

/* Shapes of every wire and kept tensor for another length. */
struct shapes {
    struct cb_tensor *wires;
    struct cb_inference *nodes;
};

/* The length that the inputs with lengths have at most; 0: there is none, or they differ. */
static int64_t longest(const struct cb_network *net)
{
    int64_t found = 0;
    for (uint32_t i = 0; i < net->input_count; i++) {
        const struct cb_wire *input = &net->wires[net->inputs[i]];
        if (input->lengths == 0) {
            continue;
        }
        if (found != 0 && found != input->shape.dims[1]) {
            return 0;
        }
        found = input->shape.dims[1];
    }
    return found;
}

/* The dims of a wire at the greatest length, as the plan was made for. */
static const int64_t *largest_dims(const struct cb_plan *plan, uint32_t wire)
{
    const struct cb_wire *w = &plan->net->wires[wire];
    return w->node == CB_NONE ? w->shape.dims : plan->inferred[w->node].outputs[w->output].dims;
}

/* What comes in and goes out is one row after the other of the longest: only dims[1] may be another. */
static bool keeps_rows(const struct cb_plan *plan, uint32_t wire, const struct cb_tensor *shape)
{
    const int64_t *most = largest_dims(plan, wire);
    bool ok = true;
    for (uint32_t d = 2; d < shape->rank; d++) {
        ok = ok && shape->dims[d] == most[d];
    }
    return ok && (shape->rank < 2 || shape->dims[1] <= most[1]);
}

static bool same_params(const struct cb_inference *a, const struct cb_inference *b)
{
    bool same = a->param_count == b->param_count && a->state_count == b->state_count && a->saved_count == b->saved_count &&
                a->output_count == b->output_count;
    for (uint32_t i = 0; same && i < a->param_count; i++) {
        same = a->params[i].rank == b->params[i].rank &&
               memcmp(a->params[i].dims, b->params[i].dims, a->params[i].rank * sizeof(a->params[i].dims[0])) == 0;
    }
    for (uint32_t i = 0; same && i < a->state_count; i++) {
        same = a->states[i].rank == b->states[i].rank &&
               memcmp(a->states[i].dims, b->states[i].dims, a->states[i].rank * sizeof(a->states[i].dims[0])) == 0;
    }
    return same;
}

/* Neither an activation nor what is kept of it may need more memory than there is. */
static bool is_smaller(const struct cb_declared *a, const struct cb_declared *largest)
{
    int64_t count = 1, most = 1;
    for (uint32_t d = 0; d < a->rank; d++) {
        count *= a->dims[d];
    }
    for (uint32_t d = 0; d < largest->rank; d++) {
        most *= largest->dims[d];
    }
    return a->dtype == largest->dtype && a->rank == largest->rank && count <= most;
}

/* Infers the shapes at length `t`; false where a layer of the plan has none. */
static bool infer(struct cb_plan *plan, int64_t t, struct shapes *out)
{
    const struct cb_network *net = plan->net;
    for (uint32_t w = 0; w < net->wire_count; w++) {
        out->wires[w] = plan->values[w];
        memcpy(out->wires[w].dims, largest_dims(plan, w), sizeof(out->wires[w].dims));
        out->wires[w].dims[0] = plan->request.batch;
        if (net->wires[w].node == CB_NONE && net->wires[w].lengths != 0) {
            out->wires[w].dims[1] = t;
        }
    }
    for (uint32_t i = 0; i < net->node_count; i++) {
        const struct cb_node *node = &net->nodes[i];
        const struct cb_tensor *x[64] = {NULL};
        struct cb_inference *found = &out->nodes[i];
        const struct cb_inference *largest = &plan->inferred[i];
        for (uint32_t k = 0; k < node->x_count; k++) {
            x[k] = &out->wires[node->x[k]];
        }
        bool ok = cb__network_infer(net, node, x, found, NULL) == CB_OK && same_params(found, largest);
        for (uint32_t k = 0; ok && k < found->output_count; k++) {
            ok = is_smaller(&found->outputs[k], &largest->outputs[k]);
        }
        for (uint32_t k = 0; ok && k < found->saved_count; k++) {
            ok = is_smaller(&found->saved[k], &largest->saved[k]);
        }
        if (!ok && plan->runs[i]) {
            return false;
        }
        for (uint32_t k = 0; ok && k < node->y_count; k++) {
            memcpy(out->wires[node->y[k]].dims, found->outputs[k].dims, sizeof(found->outputs[k].dims));
        }
    }
    for (uint32_t w = 0; w < net->wire_count; w++) {
        if ((plan->is_input[w] || plan->is_output[w]) && !keeps_rows(plan, w, &out->wires[w])) {
            return false;
        }
    }
    return true;
}

static void apply(struct cb_plan *plan, const struct shapes *shapes)
{
    for (uint32_t w = 0; w < plan->net->wire_count; w++) {
        memcpy(plan->values[w].dims, shapes->wires[w].dims, sizeof(plan->values[w].dims));
        memcpy(plan->gradients[w].dims, shapes->wires[w].dims, sizeof(plan->gradients[w].dims));
        plan->values[w].dims[0] = plan->gradients[w].dims[0] = plan->n;
    }
    for (uint32_t s = 0; s < plan->step_count; s++) {
        struct cb_step *step = &plan->steps[s];
        for (uint32_t k = 0; k < step->in.saved_count; k++) {
            memcpy(step->saved_tensors[k].dims, shapes->nodes[step->node].saved[k].dims,
                   sizeof(step->saved_tensors[k].dims));
        }
    }
}

/* Whether the chosen variants serve these shapes too. */
static bool variants_accept(const struct cb_plan *plan)
{
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct cb_step *step = &plan->steps[s];
        for (uint32_t pass = 0; pass < CB_PASS_COUNT; pass++) {
            const struct cb_variant *variant = step->passes[pass].variant;
            if (variant != NULL && variant->accepts != NULL && !variant->accepts(&step->in)) {
                return false;
            }
        }
    }
    return true;
}

enum cb_status cb_plan_set_length(struct cb_plan *plan, int64_t wanted, int64_t *out, struct cb_diag *diag)
{
    const struct cb_network *net = plan->net;
    const int64_t most = longest(net), now = plan->length > 0 ? plan->length : most;
    const int64_t t = wanted < 1 ? 1 : wanted > most ? most : wanted;
    if (most == 0 || t == now) {
        *out = now;
        return CB_OK;
    }
    if (plan->other_wires == NULL) {
        plan->other_wires = CB_NEW_ARRAY(plan->arena, struct cb_tensor, net->wire_count + 1);
        plan->other_inferred = CB_NEW_ARRAY(plan->arena, struct cb_inference, net->node_count + 1);
        if (plan->other_wires == NULL || plan->other_inferred == NULL) {
            return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        }
    }
    struct shapes shapes = {plan->other_wires, plan->other_inferred};
    bool fits = infer(plan, t, &shapes);
    if (fits) {
        apply(plan, &shapes);
        fits = variants_accept(plan);
    }
    if (!fits) { /* a layer for one length only: then all are padded to it */
        if (!infer(plan, most, &shapes)) {
            return cb_fail(diag, CB_INTERNAL, NULL, "a plan does not fit the length it was made for");
        }
        apply(plan, &shapes);
    }
    *out = plan->length = fits ? t : most;
    return CB_OK;
}
