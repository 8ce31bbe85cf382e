/* onnx_idle.c: nodes that give what they take. */
#include <string.h>

#include "exchange/onnx_work.h"

static bool has_same_shape(const struct cb_onnx_value *a, const struct cb_onnx_value *b)
{
    return a->has_shape && b->has_shape && a->rank == b->rank && a->type == b->type &&
           (a->rank == 0 || memcmp(a->dims, b->dims, a->rank * sizeof(a->dims[0])) == 0);
}

/* Dropout outside of training, with its mask unused. */
static bool is_idle_dropout(const struct cb_onnx_node *node)
{
    const struct cb_onnx_value *training = cb_onnx_input(node, 2);
    bool is_off = !training || (training->constant && !training->is_repeated && !cb_onnx_tensor_int(training->constant, 0));
    return strcmp(node->op, "Dropout") == 0 && is_off && !cb_onnx_output(node, 1);
}

static bool is_full_slice(const struct cb_onnx_node *node)
{
    const struct cb_onnx_tensor *steps = cb_onnx_constant(node, 4);
    for (int64_t i = 0; steps && i < steps->count; i++) {
        if (cb_onnx_tensor_int(steps, i) != 1) {
            return false;
        }
    }
    return steps || !cb_onnx_input(node, 4);
}

static bool is_in_order(const struct cb_onnx_node *node)
{
    uint32_t count;
    const int64_t *order = cb_onnx_ints(node, "perm", &count);
    for (uint32_t i = 0; i < count; i++) {
        if (order[i] != (int64_t)i) {
            return false;
        }
    }
    return order;
}

bool cb__onnx_is_guarded_softmax(const struct cb_onnx_node *node)
{
    const struct cb_onnx_value *condition = cb_onnx_input(node, 0), *x = cb_onnx_input(node, 2);
    const struct cb_onnx_node *asks = condition ? condition->producer : NULL, *made = x ? x->producer : NULL;
    return strcmp(node->op, "Where") == 0 && asks && made && strcmp(asks->op, "IsNaN") == 0 && asks->inputs[0] == x &&
           strcmp(made->op, "Softmax") == 0 && cb_onnx_constant(node, 1);
}

bool cb__onnx_does_nothing(const struct cb_onnx_node *node)
{
    static const char *const by_shape[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile"};
    static const char *const by_count[] = {"Concat", "Sum", "Mean", "Max", "Min"};
    const struct cb_onnx_value *x = cb_onnx_input(node, 0), *y = cb_onnx_output(node, 0);
    if (*node->domain != '\0' || !x || !y) {
        return false;
    }
    if (strcmp(node->op, "Identity") == 0 || is_idle_dropout(node)) {
        return true;
    }
    for (size_t i = 0; i < sizeof(by_count) / sizeof(by_count[0]); i++) {
        if (strcmp(node->op, by_count[i]) == 0) {
            return node->input_count == 1;
        }
    }
    if (!has_same_shape(x, y)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(by_shape) / sizeof(by_shape[0]); i++) {
        if (strcmp(node->op, by_shape[i]) == 0) {
            return true;
        }
    }
    return strcmp(node->op, "Cast") == 0 || strcmp(node->op, "CastLike") == 0 ||
           (strcmp(node->op, "Slice") == 0 && is_full_slice(node)) ||
           (strcmp(node->op, "Transpose") == 0 && is_in_order(node));
}
