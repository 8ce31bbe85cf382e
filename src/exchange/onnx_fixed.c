/* onnx_fixed.c: what an export with a fixed batch of two or more leaves in a file, where it is not a number in a shape:
 * constants that hold the same once for each sample, and elements picked one by one where a reshape was meant. */
#include <string.h>

#include "exchange/onnx_work.h"

/* ---- constants of a whole batch --------------------------------------------------------------------------------- */

static bool samples_are_equal(struct cb_onnx_graph *graph, const struct cb_onnx_tensor *tensor)
{
    struct cb__onnx_walk walk;
    int64_t size = tensor->count / tensor->dims[0];
    if (!cb__onnx_spend(graph, tensor->count)) {
        return false;
    }
    cb__onnx_walk_begin(&walk, tensor);
    for (int64_t i = 0; i < tensor->count; i++) {
        int64_t first = walk.offset - walk.index[0] * tensor->strides[0];
        if (i >= size && cb__onnx_load_real(tensor, walk.offset) != cb__onnx_load_real(tensor, first)) {
            return false;
        }
        cb__onnx_walk_next(&walk);
    }
    return true;
}

/* The constant as one sample, repeated N times. NULL: its samples differ, or memory is exhausted. */
static struct cb_onnx_value *repeat(struct cb_onnx_graph *graph, const struct cb_onnx_value *value)
{
    struct cb_onnx_tensor *one = NULL;
    if (samples_are_equal(graph, value->constant)) {
        one = cb__onnx_view(graph, value->constant);
    }
    if (!one) {
        return NULL;
    }
    one->count /= one->dims[0];
    one->dims[0] = 1;
    struct cb_onnx_value *repeated = cb__onnx_add_constant(graph, value->name, one);
    if (repeated) {
        repeated->is_repeated = true;
        repeated->dims[0] = (struct cb_onnx_dim){0, 1};
    }
    return repeated;
}

static bool is_of_batch(const struct cb_onnx_value *value, int64_t file_batch)
{
    return value && value->constant && !value->is_repeated && value->rank > 0 &&
           cb_onnx_dim_is(value, 0, file_batch) && value->constant->count > 0;
}

/* True when an input beside `i` has N where input `i` has the number. */
static bool meets_batch(const struct cb_onnx_node *node, uint32_t i)
{
    for (uint32_t j = 0; j < node->input_count; j++) {
        const struct cb_onnx_value *other = node->inputs[j];
        if (j != i && other && other->rank == node->inputs[i]->rank && cb_onnx_dim_is_batch(other, 0)) {
            return true;
        }
    }
    return false;
}

void cb__onnx_repeat_constants(struct cb_onnx_graph *graph, struct cb_onnx_node *node,
                               const struct cb__onnx_operator *operator, int64_t file_batch)
{
    bool joins = (operator->flags & CB__ONNX_SAMPLEWISE && operator->infer != cb__onnx_infer_gather) || operator->infer == cb__onnx_infer_concat ||
                 operator->infer == cb__onnx_infer_matmul;
    for (uint32_t i = 0; i < node->input_count && file_batch > 1; i++) {
        bool is_data = i == 0 && !operator->eval; /* a convolution of a constant is not computed here */
        if (is_of_batch(node->inputs[i], file_batch) && (is_data || (joins && meets_batch(node, i)))) {
            struct cb_onnx_value *repeated = repeat(graph, node->inputs[i]);
            node->inputs[i] = repeated ? repeated : node->inputs[i];
        }
    }
}

/* ---- reshapes that are written as Gather ------------------------------------------------------------------------ */

static bool counts_up(const struct cb_onnx_tensor *indices)
{
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, indices);
    for (int64_t i = 0; i < indices->count; i++) {
        if (cb__onnx_load_int(indices, walk.offset) != i) {
            return false;
        }
        cb__onnx_walk_next(&walk);
    }
    return true;
}

/* PyTorch's as_strided: all elements of a list, in order, in a shape that has the batch as a number. */
void cb__onnx_unpick(struct cb_onnx_graph *graph, struct cb_onnx_node *node, int64_t file_batch)
{
    const struct cb_onnx_value *x = cb_onnx_input(node, 0);
    const struct cb_onnx_tensor *indices = cb_onnx_constant(node, 1);
    if (file_batch < 1 || strcmp(node->op, "Gather") != 0 || *node->domain != '\0' || !x || x->rank != 1 || !indices ||
        x->dims[0].fixed != 0 || x->dims[0].batch < 1 || indices->rank < 1 ||
        cb__onnx_times(x->dims[0].batch, file_batch) != indices->count || !cb__onnx_spend(graph, indices->count) ||
        !counts_up(indices)) {
        return;
    }
    struct cb_onnx_tensor *shape = cb__onnx_make_tensor(graph, CB_ONNX_INT64, 1, (int64_t[]){indices->rank});
    struct cb_onnx_value *value = shape ? cb__onnx_add_constant(graph, indices->name, shape) : NULL;
    if (!value) {
        return;
    }
    for (uint32_t i = 0; i < indices->rank; i++) {
        cb__onnx_store_int(shape, i, indices->dims[i]);
    }
    shape->name = indices->name;
    node->op = "Reshape";
    node->inputs[1] = value;
    node->attribute_count = 0;
}
