/* onnx_eval_quantised.c: DequantizeLinear of weights: y = (x - zero_point) * scale, both one
 * number, or one for each place of an axis. So a file with int8 weights is imported with the
 * numbers that they stand for. */
#include "exchange/onnx_work.h"

enum cb_status cb__onnx_infer_dequantize(struct cb__onnx_work *w)
{
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    const enum cb_onnx_type scale = w->in_count > 1 ? w->in[1].type : CB_ONNX_FLOAT;
    return cb__onnx_give(w, 0, cb_onnx_type_is_real(scale) ? scale : CB_ONNX_FLOAT, w->in[0].rank,
                         w->in[0].dims);
}

bool cb__onnx_eval_dequantize(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor,
                                *scale = w->in_count > 1 ? w->in[1].tensor : NULL;
    const struct cb_onnx_tensor *zero = w->in_count > 2 ? w->in[2].tensor : NULL;
    const int64_t given = cb_onnx_int(w->node, "axis", 1),
                  axis = given < 0 ? given + (int64_t)x->rank : given;
    if (scale == NULL || cb_onnx_type_is_real(x->type) || x->type == CB_ONNX_STRING ||
        cb_onnx_int(w->node, "block_size", 0) != 0) {
        return false;
    }
    const bool is_one = scale->count == 1;
    if (!is_one && (scale->rank != 1 || axis < 0 || axis >= (int64_t)x->rank ||
                    scale->count != x->dims[axis])) {
        return false;
    }
    if (zero != NULL && zero->count != scale->count) {
        return false;
    }
    int64_t inner = 1;
    for (int64_t i = axis + 1; !is_one && i < (int64_t)x->rank; i++) {
        inner *= x->dims[i];
    }
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, x);
    for (int64_t i = 0; y != NULL && i < y->count; i++, cb__onnx_walk_next(&walk)) {
        const int64_t k = is_one ? 0 : i / inner % scale->count;
        const double from = zero != NULL ? (double)cb_onnx_tensor_int(zero, k) : 0.0;
        cb__onnx_store_real(y, i,
                            ((double)cb__onnx_load_int(x, walk.offset) - from) *
                                cb_onnx_tensor_real(scale, k));
    }
    return y != NULL;
}
