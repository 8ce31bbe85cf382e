/* onnx_int8.c: weights of linear maps as int8, a scale for each output channel. See onnx_write.h.
 */
#include <math.h>

#include "exchange/onnx_write.h"

enum { MOST = 127 }; /* -128 is left out, so that a sign can be turned */

/* value[.., k] = q[.., k] * scale[k] */
static void quantise(float *values, int64_t count, int64_t channels, int8_t *q, float *scale)
{
    for (int64_t i = 0; i < count; i++) {
        const float size = fabsf(values[i]);
        scale[i % channels] = size > scale[i % channels] ? size : scale[i % channels];
    }
    for (int64_t k = 0; k < channels; k++) {
        scale[k] = scale[k] > 0.0f ? scale[k] / (float)MOST : 1.0f;
    }
    for (int64_t i = 0; i < count; i++) {
        const float nearest = nearbyintf(values[i] / scale[i % channels]);
        q[i] = (int8_t)(nearest > MOST ? MOST : nearest < -MOST ? -MOST : nearest);
        values[i] = (float)q[i] * scale[i % channels];
    }
}

enum cb_status cb_onnx_quantise(struct cb_model *model, struct cb_quantised **out,
                                uint64_t *out_values, struct cb_diag *diag)
{
    struct cb_network *net = model->net;
    struct cb_quantised *list = CB_NEW_ARRAY(net->arena, struct cb_quantised, net->param_count + 1);
    *out_values = 0;
    if (list == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (uint32_t i = 0; i < net->node_count; i++) {
        const struct cb_node *node = &net->nodes[i];
        if ((node->type->layer.flags & CB_LAYER_LINEAR) == 0 || node->param_count == 0 ||
            list[node->params[0]].q != NULL) {
            continue;
        }
        struct cb_param *param = &net->params[node->params[0]];
        const int64_t channels = param->decl.dims[param->decl.rank - 1];
        int8_t *q = CB_NEW_ARRAY(net->arena, int8_t, (size_t)param->count + 1);
        float *scale = CB_NEW_ARRAY(net->arena, float, (size_t)channels + 1);
        if (q == NULL || scale == NULL) {
            return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        }
        quantise(param->host, param->count, channels, q, scale);
        list[node->params[0]] = (struct cb_quantised){q, scale};
        *out_values += (uint64_t)param->count;
    }
    *out = list;
    return CB_OK;
}
