/* onnx_inputs.c: the dims of a model's inputs: which are N, which the caller gives, which are missing. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/onnx_work.h"

/* True when a size of the caller names this dim. */
static bool is_named(const struct cb_onnx_size *size, const struct cb_onnx_value *input, uint32_t axis)
{
    char text[32];
    if (input->symbols[axis] && strcmp(size->name, input->symbols[axis]) == 0) {
        return true;
    }
    snprintf(text, sizeof(text), "%u", axis);
    if (strcmp(size->name, text) == 0) {
        return true;
    }
    size_t length = strlen(input->name);
    return strncmp(size->name, input->name, length) == 0 && size->name[length] == ':' &&
           strcmp(size->name + length + 1, text) == 0;
}

static const struct cb_onnx_size *find_size(const struct cb_onnx_options *options, const struct cb_onnx_value *input,
                                            uint32_t axis)
{
    for (uint32_t i = 0; options && i < options->size_count; i++) {
        if (is_named(&options->sizes[i], input, axis)) {
            return &options->sizes[i];
        }
    }
    return NULL;
}

/* Where the batch stands in an input: in front, but behind the steps where a recurrent node reads it as [T,N,C]. */
static uint32_t batch_axis_of(const struct cb_onnx_graph *graph, const struct cb_onnx_value *input)
{
    static const char *const recurrent[] = {"LSTM", "GRU", "RNN"};
    for (uint32_t i = 0; i < graph->node_count && input->rank == 3; i++) {
        const struct cb_onnx_node *node = graph->nodes[i];
        for (size_t k = 0; k < sizeof(recurrent) / sizeof(recurrent[0]); k++) {
            if (strcmp(node->op, recurrent[k]) == 0 && cb_onnx_input(node, 0) == input && cb_onnx_int(node, "layout", 0) == 0) {
                return 1;
            }
        }
    }
    return 0;
}

/* The first input that has a dim, which has the batch. */
static struct cb_onnx_value *first_input(const struct cb_onnx_graph *graph)
{
    for (uint32_t i = 0; i < graph->input_count; i++) {
        if (graph->inputs[i].value->has_shape && graph->inputs[i].value->rank > 0) {
            return graph->inputs[i].value;
        }
    }
    return NULL;
}

static void add_missing(const struct cb_onnx_value *input, uint32_t axis, struct cb_text *missing)
{
    if (input->symbols[axis]) {
        if (missing->data && strstr(missing->data, input->symbols[axis])) {
            return;
        }
        cb_text_addf(missing, "%s%s", missing->length ? "," : "", input->symbols[axis]);
    } else {
        cb_text_addf(missing, "%s%s:%u", missing->length ? "," : "", input->name, axis);
    }
}

static enum cb_status resolve_dim(struct cb_onnx_graph *graph, const struct cb_onnx_options *options,
                                  struct cb_onnx_value *input, uint32_t axis, uint32_t batch_axis,
                                  struct cb_text *missing, struct cb_diag *diag)
{
    struct cb_onnx_dim *dim = &input->dims[axis];
    const struct cb_onnx_size *size = find_size(options, input, axis);
    bool keeps = options && options->keep_batch;
    bool is_open = dim->fixed < 0 || (dim->fixed == 0 && !keeps); /* old exporters wrote 0 for what they did not know */
    if (axis == batch_axis && is_open && (!size || input == first_input(graph))) {
        *dim = (struct cb_onnx_dim){0, 1};
        return CB_OK;
    }
    if (!is_open) {
        if (size && axis != batch_axis && size->size != dim->fixed) {
            return cb_fail(diag, CB_INVALID, NULL,
                           "`%s`: dim %u of input `%s` is %" PRId64 " in the file, it cannot be %" PRId64, graph->path,
                           axis, input->name, dim->fixed, size->size);
        }
        if (axis == batch_axis && !keeps && graph->batch > 0 && dim->fixed == graph->batch) {
            *dim = (struct cb_onnx_dim){0, 1};
        }
        return CB_OK;
    }
    bool is_batch = input->symbols[axis] && graph->batch_symbol &&
                    strcmp(input->symbols[axis], graph->batch_symbol) == 0;
    if (is_batch || (axis == 0 && batch_axis == 0 && !size)) {
        *dim = (struct cb_onnx_dim){0, 1};
    } else if (!size) {
        add_missing(input, axis, missing);
    } else if (size->size < 1 || size->size > INT32_MAX) {
        return cb_fail(diag, CB_INVALID, NULL, "`%s` is no size: %" PRId64, size->name, size->size);
    } else {
        *dim = (struct cb_onnx_dim){size->size, 0};
    }
    return CB_OK;
}

static enum cb_status check_sizes(const struct cb_onnx_graph *graph, const struct cb_onnx_options *options,
                                  struct cb_diag *diag)
{
    for (uint32_t k = 0; options && k < options->size_count; k++) {
        const char *names[64];
        size_t count = 0;
        bool is_used = false;
        for (uint32_t i = 0; i < graph->input_count; i++) {
            const struct cb_onnx_value *input = graph->inputs[i].value;
            for (uint32_t axis = 0; input->has_shape && axis < input->rank; axis++) {
                is_used = is_used || is_named(&options->sizes[k], input, axis);
                if (input->symbols[axis] && count < sizeof(names) / sizeof(names[0])) {
                    names[count++] = input->symbols[axis];
                }
            }
        }
        if (!is_used) {
            const char *near = cb_nearest_of(options->sizes[k].name, names, count);
            return cb_fail(diag, CB_INVALID, NULL, "`%s`: no input has a dim named `%s`%s%s%s", graph->path,
                           options->sizes[k].name, near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
        }
    }
    return CB_OK;
}

enum cb_status cb__onnx_resolve_inputs(struct cb_onnx_graph *graph, const struct cb_onnx_options *options,
                                       struct cb_diag *diag)
{
    struct cb_text missing = {0};
    struct cb_onnx_value *first = first_input(graph);
    enum cb_status status = check_sizes(graph, options, diag);
    if (first) {
        const uint32_t axis = batch_axis_of(graph, first);
        graph->batch_axis = axis;
        graph->batch = first->dims[axis].fixed > 0 ? first->dims[axis].fixed : 0;
        graph->batch_symbol = first->symbols[axis];
    }
    for (uint32_t i = 0; i < graph->input_count; i++) {
        struct cb_onnx_value *input = graph->inputs[i].value;
        for (uint32_t axis = 0; input->has_shape && axis < input->rank && status == CB_OK; axis++) {
            status = resolve_dim(graph, options, input, axis, input == first ? graph->batch_axis : 0, &missing, diag);
        }
    }
    if (status == CB_OK && missing.length > 0) {
        status = cb_fail(diag, CB_INVALID, NULL, "`%s` leaves sizes of its inputs open: give them with --size %s=...",
                         graph->path, missing.data ? missing.data : "");
    }
    cb_text_free(&missing);
    return status;
}
