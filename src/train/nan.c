/* nan.c: where a value first left the finite numbers: the batch is run again with every tensor kept. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/fit_internal.h"

static bool has_bad_value(struct cb_engine *e, const struct cb_tensor *t)
{
    size_t count = (size_t)cb_tensor_count(t);
    float *values = malloc(count * sizeof(float) + 1);
    bool bad = false;
    if (values != NULL && t->dtype == CB_F32 &&
        cb_buffer_read(e->device, t->buffer, 0, values, count * sizeof(float), NULL) == CB_OK) {
        for (size_t i = 0; i < count && !bad; i++) {
            bad = !isfinite(values[i]);
        }
    }
    free(values);
    return bad;
}

void cb__find_nan(struct cb__fit *fit, const struct cb_batch *batch, uint64_t draw, uint32_t view, struct cb_text *out)
{
    struct cb_engine *e = fit->engine;
    const struct cb_network *net = e->model->net;
    struct cb_batch one = *batch;
    one.count = batch->count < 16 ? batch->count : 16;
    uint32_t *wires = calloc(net->wire_count + 1u, sizeof(*wires)), count = 0;
    for (uint32_t w = 0; wires != NULL && w < net->wire_count; w++) {
        uint32_t node = net->wires[w].node;
        if (node != CB_NONE && (!e->is_cached || e->rest[node])) {
            wires[count++] = w;
        }
    }
    struct cb_plan_request request = {.training = true, .outputs = wires, .output_count = count, .batch = one.count,
                                      .nodes = e->is_cached ? e->rest : NULL, .no_fusion = true};
    struct cb_plan_run run = {.n = one.count, .seed = e->seed, .step = fit->progress.step + 1};
    struct cb_plan *plan = NULL;
    for (uint32_t i = 0; i < net->param_count; i++) {
        if (has_bad_value(e, &e->store->values[i])) {
            cb_text_addf(out, "the param `%s` holds values that are not finite", net->params[i].name);
            goto free_wires;
        }
    }
    if (wires == NULL || cb_plan_create(e->store, &request, &plan, NULL) != CB_OK ||
        cb_engine_feed(e, plan, &one, true, draw, view, NULL) != CB_OK || cb_plan_forward(plan, &run, NULL) != CB_OK) {
        goto destroy_plan;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (has_bad_value(e, cb_plan_tensor(plan, wires[i]))) {
            const struct cb_node *node = &net->nodes[net->wires[wires[i]].node];
            cb_text_addf(out, "it first appears in the output of layer `%s` (%s)", node->name, node->type->layer.name);
            break;
        }
    }
destroy_plan:
    cb_plan_destroy(plan);
free_wires:
    free(wires);
}
