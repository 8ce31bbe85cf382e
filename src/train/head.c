/* head.c: the exact solution of a linear head on features: softmax regression by L-BFGS, or ridge regression. */
#include <stdlib.h>
#include <string.h>

#include "train/fit_internal.h"
#include "train/lbfgs.h"

struct problem {
    float *x;
    int32_t *labels;
    float *values;
    uint32_t *groups;
};

/* `given`: features [count, row] of the samples; NULL: the kept ones. With augmentation each view of a sample is a row;
 * views of one sample stay together in a fold. */
static bool gather(const struct cb_engine *e, const float *given, const uint32_t *samples, uint32_t count, uint32_t views,
                   size_t row, struct problem *p)
{
    const struct cb_features *f = &e->features;
    const struct cb_dataset *d = e->dataset;
    uint32_t first = given == NULL && f->views > 1 ? 1 : 0;
    size_t rows = (size_t)count * views;
    p->x = malloc(rows * row * sizeof(float) + 1);
    p->labels = d->labels != NULL ? malloc(rows * sizeof(int32_t) + 1) : NULL;
    p->values = d->values != NULL ? malloc(rows * d->value_count * sizeof(float) + 1) : NULL;
    p->groups = d->groups != NULL || views > 1 ? malloc(rows * sizeof(uint32_t) + 1) : NULL;
    if (p->x == NULL || (d->labels != NULL && p->labels == NULL) || (d->values != NULL && p->values == NULL)) {
        return false;
    }
    for (size_t r = 0; r < rows; r++) {
        uint32_t sample = samples[r / views], view = first + (uint32_t)(r % views);
        const float *from = given != NULL ? given + r * row : f->data[0] + ((size_t)view * f->samples + sample) * row;
        memcpy(p->x + r * row, from, row * sizeof(float));
        if (p->labels != NULL) {
            p->labels[r] = d->labels[sample];
        }
        if (p->values != NULL) {
            memcpy(p->values + r * d->value_count, d->values + (size_t)sample * d->value_count,
                   d->value_count * sizeof(float));
        }
        if (p->groups != NULL) {
            p->groups[r] = d->groups != NULL ? (uint32_t)d->groups[sample] : sample;
        }
    }
    return true;
}

static bool is_cancelled(void *context)
{
    return cb_watch_cancelled(context);
}

enum cb_status cb__fit_head(const struct cb_task *task, struct cb_engine *e, const float *given, const uint32_t *samples,
                            uint32_t count, double l2, struct cb_fit_result *out, struct cb_diag *diag)
{
    struct cb_network *net = e->model->net;
    const struct cb_node *node = &net->nodes[e->model->head_dense];
    struct cb_param *w = &net->params[node->params[0]];
    struct cb_param *b = node->param_count > 1 ? &net->params[node->params[1]] : NULL;
    struct problem p = {0};
    uint32_t outputs = e->model->outputs;
    uint32_t views = given == NULL && e->features.views > 1 ? e->features.views - 1 : 1;
    size_t row = (size_t)w->decl.dims[0];
    float *bias = calloc(outputs + 1u, sizeof(float));
    enum cb_status status = bias != NULL && gather(e, given, samples, count, views, row, &p)
                                ? CB_OK
                                : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    /* Views of a sample are no more evidence than the sample. */
    struct cb_softmax_options options = {.l2 = l2 >= 0 ? l2 * views : l2, .groups = p.groups, .seed = task->config.seed,
                                         .cancelled = is_cancelled, .context = (void *)(uintptr_t)e->watch};
    struct cb_softmax_info info = {0};
    if (status == CB_OK && p.values != NULL) {
        status = cb_ridge_fit(p.x, p.values, (size_t)count * views, row, outputs, &options,
                              w->host, bias, &info, diag);
    } else if (status == CB_OK) {
        status = cb_softmax_regression_fit(p.x, p.labels, (size_t)count * views, row, outputs,
                                           &options, w->host, bias, &info, diag);
    }
    if (status == CB_OK) {
        if (b != NULL) {
            memcpy(b->host, bias, outputs * sizeof(float));
        }
        status = cb_buffer_write(e->device, e->store->values[node->params[0]].buffer, 0, w->host,
                                 (uint64_t)w->count * sizeof(float), diag);
    }
    if (status == CB_OK && b != NULL) {
        status = cb_buffer_write(e->device, e->store->values[node->params[1]].buffer, 0, b->host,
                                 outputs * sizeof(float), diag);
    }
    if (status == CB_OK) {
        cb_store_touch(e->store);
        out->is_exact = true;
        out->loss = info.loss;
        out->l2 = info.l2 / views;
        out->l2_was_chosen = info.cross_validated;
        out->steps = info.iterations;
    }
    free(p.x);
    free(p.labels);
    free(p.values);
    free(p.groups);
    free(bias);
    return status;
}

enum cb_status cb__fit_head_first(const struct cb_task *task, struct cb_engine *e, const uint32_t *samples, uint32_t count,
                                  struct cb_diag *diag)
{
    const struct cb_network *net = e->model->net;
    size_t row = (size_t)net->params[net->nodes[e->model->head_dense].params[0]].decl.dims[0];
    float *x = malloc(row * count * sizeof(float) + 1);
    uint32_t *readable = malloc(count * sizeof(*readable) + 1);
    struct cb_fit_result result = {0};
    enum cb_status status = x != NULL && readable != NULL
                                ? cb_engine_extract(e, net->nodes[e->model->head_dense].x[0], samples, count, x, diag)
                                : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    if (status == CB_OK) {
        memcpy(readable, samples, count * sizeof(*readable));
        count = cb_dataset_keep_readable(e->dataset, readable, count, x, row * sizeof(float));
        status = cb__fit_head(task, e, x, readable, count, -1, &result, diag);
    }
    free(readable);
    free(x);
    return status;
}
