/* onnx_eval_norm.c: BatchNormalization of constants: exporters write standardized weights (torch's batch_norm of the filters
 * with the statistics of their own) as one in training mode. */
#include <math.h>
#include <stdlib.h>

#include "exchange/onnx_work.h"

/* Mean and variance of each channel (axis 1) over all other axes. */
static void measure(const struct cb_onnx_tensor *x, double *mean, double *variance)
{
    const int64_t channels = x->dims[1], count = x->count / (channels > 0 ? channels : 1);
    struct cb__onnx_walk walk;
    for (int pass = 0; pass < 2; pass++) {
        cb__onnx_walk_begin(&walk, x);
        for (int64_t i = 0; i < x->count; i++, cb__onnx_walk_next(&walk)) {
            const int64_t c = walk.index[1];
            const double value = cb__onnx_load_real(x, walk.offset);
            if (pass == 0) {
                mean[c] += value / (double)count;
            } else {
                variance[c] += (value - mean[c]) * (value - mean[c]) / (double)count;
            }
        }
    }
}

bool cb__onnx_eval_batchnorm(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    if (w->in_count < 5 || x == NULL || x->rank < 2 || !cb_onnx_type_is_real(x->type)) {
        return false;
    }
    const int64_t channels = x->dims[1];
    for (uint32_t i = 1; i < 5; i++) {
        if (w->in[i].tensor == NULL || w->in[i].tensor->count != channels) {
            return false;
        }
    }
    const bool training = cb_onnx_int(w->node, "training_mode", 0) != 0;
    const double epsilon = cb_onnx_real(w->node, "epsilon", 1e-5), momentum = cb_onnx_real(w->node, "momentum", 0.9);
    double *mean = calloc((size_t)channels + 1, sizeof(*mean)), *variance = calloc((size_t)channels + 1, sizeof(*variance));
    bool ok = mean != NULL && variance != NULL;
    if (ok && training) {
        measure(x, mean, variance);
    }
    for (int64_t c = 0; ok && !training && c < channels; c++) {
        mean[c] = cb_onnx_tensor_real(w->in[3].tensor, c);
        variance[c] = cb_onnx_tensor_real(w->in[4].tensor, c);
    }
    struct cb_onnx_tensor *y = ok ? cb__onnx_make_output(w, 0) : NULL;
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, x);
    for (int64_t i = 0; y != NULL && i < x->count; i++, cb__onnx_walk_next(&walk)) {
        const int64_t c = walk.index[1];
        const double scale = cb_onnx_tensor_real(w->in[1].tensor, c) / sqrt(variance[c] + epsilon);
        cb__onnx_store_real(y, i, (cb__onnx_load_real(x, walk.offset) - mean[c]) * scale + cb_onnx_tensor_real(w->in[2].tensor, c));
    }
    for (uint32_t i = 1; y != NULL && i < w->out_count && i < 3; i++) { /* the running statistics, moved */
        struct cb_onnx_tensor *running = w->out[i].has_shape ? cb__onnx_make_output(w, i) : NULL;
        for (int64_t c = 0; running != NULL && c < channels; c++) {
            const double old = cb_onnx_tensor_real(w->in[i + 2].tensor, c), now = i == 1 ? mean[c] : variance[c];
            cb__onnx_store_real(running, c, training ? old * momentum + now * (1.0 - momentum) : old);
        }
    }
    free(mean);
    free(variance);
    return y != NULL;
}
