/* fit_setup.c: what a training run needs before its first step: the plan, the optimizer, fitted states. See
 * fit_internal.h. */
#include <math.h>
#include <stdlib.h>

#include "train/fit_internal.h"

/* Depth of a node as a share of the backbone, for layer_decay: stages are counted from the output down. */
static double rate_scale(const struct cb__fit *fit, uint32_t param)
{
    const struct cb_network *net = fit->engine->model->net;
    const struct cb_node *node = &net->nodes[net->params[param].node];
    double scale = node->lr_scale;
    if (node->in_head) {
        return scale;
    }
    scale *= fit->task->config.backbone_rate;
    if (fit->task->config.layer_decay < 1.0) {
        uint32_t above = 0; /* layers with params between this one and the head */
        for (uint32_t i = net->params[param].node + 1; i < net->node_count; i++) {
            above += !net->nodes[i].in_head && net->nodes[i].param_count > 0;
        }
        scale *= pow(fit->task->config.layer_decay, above);
    }
    return scale;
}

static enum cb_status create_optimizer(struct cb__fit *fit)
{
    const struct cb_store *store = fit->engine->store;
    struct cb_optimizer_config config = fit->task->config.optimizer;
    if (config.kind == CB_OPTIMIZER_AUTO || config.kind == CB_OPTIMIZER_LBFGS) {
        config = (struct cb_optimizer_config){.kind = CB_OPTIMIZER_ADAMW, .rate = 1e-3, .weight_decay = 0.01,
                                              .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8,
                                              .clip = fit->task->config.clip};
    }
    fit->segments = calloc(store->segment_count + 1u, sizeof(*fit->segments));
    if (fit->segments == NULL) {
        return cb_fail(fit->diag, CB_MEMORY, NULL, "out of memory");
    }
    fit->segment_count = store->segment_count;
    for (uint32_t i = 0; i < store->segment_count; i++) {
        const struct cb_store_segment *s = &store->segments[i];
        fit->segments[i] = (struct cb_segment){
            .offset = s->offset, .count = s->count, .rate_scale = rate_scale(fit, s->param),
            .decay = store->net->params[s->param].decl.role != CB_PARAM_VECTOR};
    }
    return cb_optimizer_create(fit->engine->device, &config, store->trainable_count, fit->segments, fit->segment_count,
                               &fit->optimizer, fit->diag);
}

/* True when a layer takes statistics from the batch, or its loss compares the batch's samples: then a smaller batch is
 * another computation. */
static bool depends_on_batch(const struct cb_network *net)
{
    for (uint32_t i = 0; i < net->node_count; i++) {
        if ((net->nodes[i].type->layer.flags & CB_LAYER_BATCH) != 0) {
            return true;
        }
        if (net->nodes[i].state_count > 0 && !net->nodes[i].inference_form &&
            (net->nodes[i].type->layer.flags & CB_LAYER_MODE_DEPENDENT) != 0) {
            return true;
        }
    }
    return false;
}

/* The plan of a training step, in parts small enough for the memory. */
static enum cb_status create_plan(struct cb__fit *fit)
{
    struct cb_engine *e = fit->engine;
    const uint32_t outputs[2] = {e->model->loss_value, e->model->loss_weight};
    int64_t batch = fit->task->config.batch < (int64_t)fit->request->train_count ? fit->task->config.batch
                                                                                : (int64_t)fit->request->train_count;
    int64_t accumulate = fit->task->config.accumulate > 0 ? fit->task->config.accumulate : 1;
    struct cb_plan_request request = {.training = true, .gradients = true, .outputs = outputs, .output_count = 2,
                                      .nodes = e->is_cached ? e->rest : NULL,
                                      .batch = (batch + accumulate - 1) / accumulate};
    int64_t wanted = request.batch;
    for (;;) {
        struct cb_diag *attempt = cb_diag_create();
        enum cb_status status = cb_plan_create(e->store, &request, &fit->plan, attempt);
        cb_diag_destroy(attempt);
        if (status == CB_OK) {
            break;
        }
        if (status != CB_MEMORY || request.batch == 1) {
            status = cb_plan_create(e->store, &request, &fit->plan, fit->diag);
            if (status == CB_MEMORY) {
                cb_note(fit->diag, NULL, "a batch of %lld was asked for, and not even one sample fits",
                        (long long)wanted);
            }
            return status;
        }
        request.batch /= 2;
    }
    if (request.batch < wanted && depends_on_batch(e->model->net)) {
        return cb_fail(fit->diag, CB_MEMORY, NULL,
                       "a batch of %lld does not fit into the device's memory, and as its samples depend on each other "
                       "(a trained normalisation of the batch, or the loss) it cannot be computed in parts: `batch: %lld` "
                       "fits",
                       (long long)wanted, (long long)request.batch);
    }
    if (request.batch < wanted) {
        cb_watch_say(e->watch, "a batch of %lld does not fit into the device's memory: computed in parts of %lld, "
                               "which changes no result", (long long)wanted, (long long)request.batch);
    }
    fit->micro = request.batch;
    return CB_OK;
}

/* Layers whose state comes from the training features (standardize) see them once, in order. */
static enum cb_status fit_states(struct cb__fit *fit)
{
    struct cb_engine *e = fit->engine;
    const struct cb_network *net = e->model->net;
    bool any = false;
    for (uint32_t i = 0; i < net->node_count; i++) {
        any = any || (!net->nodes[i].frozen && (net->nodes[i].type->layer.flags & CB_LAYER_FITTED) != 0);
    }
    for (uint32_t at = 0; any && at < fit->request->train_count; at += (uint32_t)fit->micro) {
        uint32_t n = fit->request->train_count - at;
        n = n < (uint32_t)fit->micro ? n : (uint32_t)fit->micro;
        struct cb_loader *loader;
        struct cb_loader_options options = {.batch = n};
        const struct cb_batch *batch;
        CB_TRY(cb_loader_create(e->dataset, fit->request->train + at, n, &options, &loader, fit->diag));
        enum cb_status status = cb_loader_next(loader, &batch, fit->diag);
        if (status == CB_OK && batch != NULL) {
            struct cb_plan_run run = {.n = batch->count, .seed = e->seed, .fit = true};
            status = cb_engine_feed(e, fit->plan, batch, false, 0, 0, fit->diag);
            if (status == CB_OK) {
                status = cb_plan_forward(fit->plan, &run, fit->diag);
            }
        }
        cb_loader_destroy(loader);
        CB_TRY(status);
    }
    return CB_OK;
}

enum cb_status cb__fit_set_up(struct cb__fit *fit)
{
    CB_TRY(create_plan(fit));
    CB_TRY(create_optimizer(fit));
    return fit->request->resume ? cb__checkpoint_read(fit) : fit_states(fit);
}
