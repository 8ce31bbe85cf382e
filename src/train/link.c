/* link.c: predictions of scores: the layer that the loss names as its link, a network of one layer of its own, so that
 * any plugin can be one. */
#include <stdlib.h>

#include "train/engine_internal.h"

#define LINK_BATCH 256

struct cb_link {
    struct cb_network *net;
    struct cb_store *store;
    struct cb_plan *plan;
    uint32_t input, output;
};

void cb__link_destroy(struct cb_link *link)
{
    if (link != NULL) {
        cb_plan_destroy(link->plan);
        cb_store_destroy(link->store);
        cb_network_destroy(link->net);
        free(link);
    }
}

static enum cb_status build(struct cb_engine *e, struct cb_link *link, struct cb_diag *diag)
{
    const struct cb_model *model = e->model;
    const int64_t dims[2] = {1, model->outputs};
    uint32_t node;
    link->net = cb_network_create(model->net->registry, "link");
    if (link->net == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(cb_network_add_input(link->net, "scores", CB_F32, 2, dims, NULL, &link->input, diag));
    CB_TRY(cb_network_add_layer(link->net, model->link, "predictions", NULL, &link->input, 1, false, NULL, &node, diag));
    link->output = link->net->nodes[node].y[0];
    const struct cb_tensor *shape = &link->net->wires[link->output].shape;
    if (link->net->param_count > 0 || shape->rank != 2 || shape->dims[1] != dims[1]) {
        return cb_fail(diag, CB_MISMATCH, NULL,
                       "`%s` cannot make predictions of scores: it has params, or changes their shape", model->link);
    }
    CB_TRY(cb_store_create(link->net, e->device, false, &link->store, diag));
    struct cb_plan_request request = {.outputs = &link->output, .output_count = 1, .batch = LINK_BATCH};
    return cb_plan_create(link->store, &request, &link->plan, diag);
}

enum cb_status cb_engine_link(struct cb_engine *e, float *scores, uint32_t count, struct cb_diag *diag)
{
    const size_t row = e->model->outputs * sizeof(float);
    if (e->model->link == NULL || count == 0) {
        return CB_OK;
    }
    if (e->link == NULL) {
        struct cb_link *link = calloc(1, sizeof(*link));
        enum cb_status status = link != NULL ? build(e, link, diag) : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        if (status != CB_OK) {
            cb__link_destroy(link);
            return status;
        }
        e->link = link;
    }
    struct cb_plan *plan = e->link->plan;
    for (uint32_t at = 0; at < count; at += LINK_BATCH) {
        const uint32_t n = count - at < LINK_BATCH ? count - at : LINK_BATCH;
        const struct cb_plan_run run = {.n = n};
        float *rows = scores + (size_t)at * e->model->outputs;
        CB_TRY(cb_buffer_write(e->device, cb_plan_tensor(plan, e->link->input)->buffer, 0, rows, n * row, diag));
        CB_TRY(cb_plan_forward(plan, &run, diag));
        CB_TRY(cb_buffer_read(e->device, cb_plan_tensor(plan, e->link->output)->buffer, 0, rows, n * row, diag));
    }
    return CB_OK;
}
