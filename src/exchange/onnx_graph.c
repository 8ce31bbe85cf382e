/* onnx_graph.c: what one asks of nodes and values. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "exchange/onnx_internal.h"

enum cb_status cb_onnx_fail(const struct cb_onnx_graph *graph, const struct cb_onnx_node *node, enum cb_status status,
                            struct cb_diag *diag, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (node == NULL) { /* what holds for the graph as a whole */
        return cb_fail(diag, status, graph->model->at, "`%s`: %s", graph->path, text);
    }
    return cb_fail(diag, status, graph->model->at, "`%s`: node `%s` (%s%s%s): %s", graph->path, node->name,
                   node->domain, *node->domain ? "." : "", node->op, text);
}

const struct cb_onnx_attribute *cb_onnx_attribute(const struct cb_onnx_node *node, const char *name)
{
    for (uint32_t i = 0; i < node->attribute_count; i++) {
        if (strcmp(node->attributes[i].name, name) == 0) {
            return &node->attributes[i];
        }
    }
    return NULL;
}

static const struct cb_onnx_attribute *of_kind(const struct cb_onnx_node *node, const char *name,
                                               enum cb_onnx_kind kind)
{
    const struct cb_onnx_attribute *attribute = cb_onnx_attribute(node, name);
    return attribute && attribute->kind == kind ? attribute : NULL;
}

int64_t cb_onnx_int(const struct cb_onnx_node *node, const char *name, int64_t fallback)
{
    const struct cb_onnx_attribute *attribute = of_kind(node, name, CB_ONNX_A_INT);
    return attribute ? attribute->integer : fallback;
}

double cb_onnx_real(const struct cb_onnx_node *node, const char *name, double fallback)
{
    const struct cb_onnx_attribute *attribute = of_kind(node, name, CB_ONNX_A_FLOAT);
    return attribute ? attribute->real : fallback;
}

const char *cb_onnx_string(const struct cb_onnx_node *node, const char *name, const char *fallback)
{
    const struct cb_onnx_attribute *attribute = of_kind(node, name, CB_ONNX_A_STRING);
    return attribute ? attribute->string : fallback;
}

const int64_t *cb_onnx_ints(const struct cb_onnx_node *node, const char *name, uint32_t *out_count)
{
    const struct cb_onnx_attribute *attribute = of_kind(node, name, CB_ONNX_A_INTS);
    *out_count = attribute ? attribute->count : 0;
    return attribute ? attribute->integers : NULL;
}

const char *cb_onnx_metadata(const struct cb_onnx_pair *pairs, uint32_t count, const char *key)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(pairs[i].key, key) == 0) {
            return pairs[i].value;
        }
    }
    return NULL;
}

struct cb_onnx_value *cb_onnx_input(const struct cb_onnx_node *node, uint32_t i)
{
    return i < node->input_count ? node->inputs[i] : NULL;
}

struct cb_onnx_value *cb_onnx_output(const struct cb_onnx_node *node, uint32_t i)
{
    return i < node->output_count ? node->outputs[i] : NULL;
}

const struct cb_onnx_tensor *cb_onnx_constant(const struct cb_onnx_node *node, uint32_t i)
{
    const struct cb_onnx_value *value = cb_onnx_input(node, i);
    return value && !value->is_repeated ? value->constant : NULL;
}

bool cb_onnx_dim_is(const struct cb_onnx_value *value, uint32_t axis, int64_t size)
{
    return value->has_shape && axis < value->rank && value->dims[axis].batch == 0 && value->dims[axis].fixed == size;
}

bool cb_onnx_dim_is_batch(const struct cb_onnx_value *value, uint32_t axis)
{
    return value->has_shape && axis < value->rank && value->dims[axis].batch == 1 && value->dims[axis].fixed == 0;
}

static int format_dim(const struct cb_onnx_dim *dim, char *out, size_t room)
{
    if (dim->batch == 0) {
        return dim->fixed < 0 ? snprintf(out, room, "?") : snprintf(out, room, "%" PRId64, dim->fixed);
    }
    int at = dim->batch == 1 ? snprintf(out, room, "N") : snprintf(out, room, "%" PRId64 "N", dim->batch);
    if (dim->fixed != 0) {
        at += snprintf(out + at, room - (size_t)at, dim->fixed > 0 ? " + %" PRId64 : " - %" PRId64,
                       dim->fixed > 0 ? dim->fixed : -dim->fixed);
    }
    return at;
}

char *cb_onnx_format_shape(const struct cb_onnx_value *value, char out[512])
{
    if (!value->has_shape) {
        snprintf(out, 512, "?");
        return out;
    }
    int at = snprintf(out, 512, "[");
    for (uint32_t i = 0; i < value->rank; i++) {
        at += snprintf(out + at, 512 - (size_t)at, "%s", i ? ", " : "");
        at += format_dim(&value->dims[i], out + at, 512 - (size_t)at);
    }
    snprintf(out + at, 512 - (size_t)at, "]");
    return out;
}
