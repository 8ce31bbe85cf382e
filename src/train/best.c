/* best.c: early stopping: the values of the best epoch are kept and put back. See fit_internal.h.
 *
 * A batchnorm in training mode moves its running statistics too: params of one epoch with the statistics of another are
 * a network that was never validated, so both are kept together. */
#include <stdlib.h>

#include "train/fit_internal.h"

static bool moves(const struct cb_network *net, const struct cb_param *param)
{
    return param->is_state && !net->nodes[param->node].frozen;
}

uint64_t cb__best_count(const struct cb__fit *fit)
{
    const struct cb_network *net = fit->engine->model->net;
    uint64_t count = fit->engine->store->trainable_count;
    for (uint32_t i = 0; i < net->param_count; i++) {
        count += moves(net, &net->params[i]) ? (uint64_t)net->params[i].count : 0;
    }
    return count;
}

/* Device to best_values, or back. */
static enum cb_status copy(struct cb__fit *fit, bool back)
{
    const struct cb_network *net = fit->engine->model->net;
    const struct cb_store *store = fit->engine->store;
    struct cb_device *device = fit->engine->device;
    uint64_t at = store->trainable_count, bytes = at * sizeof(float);
    CB_TRY(back ? cb_buffer_write(device, store->trainable, 0, fit->best_values, bytes, fit->diag)
                : cb_buffer_read(device, store->trainable, 0, fit->best_values, bytes, fit->diag));
    for (uint32_t i = 0; i < net->param_count; i++) {
        if (!moves(net, &net->params[i])) {
            continue;
        }
        struct cb_buffer *state = store->values[i].buffer;
        float *host = fit->best_values + at;
        bytes = (uint64_t)net->params[i].count * sizeof(float);
        CB_TRY(back ? cb_buffer_write(device, state, 0, host, bytes, fit->diag)
                    : cb_buffer_read(device, state, 0, host, bytes, fit->diag));
        at += (uint64_t)net->params[i].count;
    }
    return CB_OK;
}

enum cb_status cb__best_consider(struct cb__fit *fit, double loss, bool *out_stop)
{
    *out_stop = false;
    if (fit->task->config.patience == 0) {
        return CB_OK;
    }
    if (fit->best_values == NULL || loss < fit->progress.best) {
        if (fit->best_values == NULL) {
            fit->best_values = malloc(cb__best_count(fit) * sizeof(float) + 1);
        }
        if (fit->best_values == NULL) {
            return cb_fail(fit->diag, CB_MEMORY, NULL, "out of memory");
        }
        fit->progress.best = loss;
        fit->progress.best_epoch = fit->progress.epoch;
        return copy(fit, false);
    }
    *out_stop = fit->progress.epoch - fit->progress.best_epoch >= fit->task->config.patience;
    return CB_OK;
}

enum cb_status cb__best_restore(struct cb__fit *fit)
{
    CB_TRY(copy(fit, true));
    cb_store_touch(fit->engine->store);
    return CB_OK;
}
