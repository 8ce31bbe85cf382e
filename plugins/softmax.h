/* softmax.h: what softmax and log_softmax share: rows [rows, classes] of the last axis, a work-item each, in a fixed
 * order. Kernel 0 is forward(y, x, rows, classes), or dx(dx, dy, y, rows, classes, accumulate). */
#ifndef CAMBIUM_SOFTMAX_H
#define CAMBIUM_SOFTMAX_H

#include <cambium/layer.h>

static inline enum cb_status softmax_infer(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    return in->host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

static inline enum cb_status softmax_run_forward(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    const int64_t classes = x->dims[x->rank - 1], rows = cb_tensor_count(x) / classes;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)rows), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(x), CB_A_I64(rows),
                     CB_A_I64(classes));
}

static inline enum cb_status softmax_run_dx(struct cb_instance *in)
{
    const struct cb_tensor *y = in->y[0];
    const int64_t classes = y->dims[y->rank - 1], rows = cb_tensor_count(y) / classes;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)rows), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(y),
                     CB_A_I64(rows), CB_A_I64(classes), CB_A_I32(in->dx_accumulate & 1u));
}

#endif
