/* onnx_tidy.c: what feeds no output goes; who reads what. */
#include <string.h>

#include "exchange/onnx_work.h"

/* Backwards: nodes come in an order in which they can run, so that a reader is marked before what it reads. */
static void mark_live(struct cb_onnx_graph *graph, bool *is_used)
{
    for (uint32_t i = 0; i < graph->output_count; i++) {
        is_used[graph->outputs[i].value->index] = true;
        graph->outputs[i].value->is_output = true;
    }
    for (uint32_t i = graph->node_count; i-- > 0;) {
        struct cb_onnx_node *node = graph->nodes[i];
        bool is_live = false;
        for (uint32_t j = 0; j < node->output_count; j++) {
            is_live = is_live || (node->outputs[j] && is_used[node->outputs[j]->index]);
        }
        for (uint32_t j = 0; j < node->input_count && is_live; j++) {
            if (node->inputs[j]) {
                is_used[node->inputs[j]->index] = true;
            }
        }
        graph->nodes[i] = is_live ? node : NULL;
    }
}

static void drop_dead(struct cb_onnx_graph *graph, bool *is_used)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        struct cb_onnx_node *node = graph->nodes[i];
        for (uint32_t j = 0; node && j < node->output_count; j++) {
            if (node->outputs[j]) {
                is_used[node->outputs[j]->index] = true;
            }
        }
        if (node) {
            node->index = count;
            graph->nodes[count++] = node;
        }
    }
    graph->node_count = count;
    for (uint32_t i = 0; i < graph->input_count; i++) {
        is_used[graph->inputs[i].value->index] = true;
    }
    count = 0;
    for (uint32_t i = 0; i < graph->value_count; i++) {
        if (is_used[i]) {
            graph->values[count] = graph->values[i];
            graph->values[count]->index = count;
            count++;
        }
    }
    graph->value_count = count;
}

static bool link_consumers(struct cb_onnx_graph *graph)
{
    for (int pass = 0; pass < 2; pass++) { /* counts, then enters */
        for (uint32_t i = 0; i < graph->node_count; i++) {
            for (uint32_t j = 0; j < graph->nodes[i]->input_count; j++) {
                struct cb_onnx_value *value = graph->nodes[i]->inputs[j];
                if (value && pass == 1) {
                    value->consumers[value->consumer_count] = graph->nodes[i];
                }
                if (value) {
                    value->consumer_count++;
                }
            }
        }
        for (uint32_t i = 0; i < graph->value_count && pass == 0; i++) {
            struct cb_onnx_value *value = graph->values[i];
            value->consumers = CB_NEW_ARRAY(graph->arena, struct cb_onnx_node *, value->consumer_count);
            value->consumer_count = 0;
            if (!value->consumers) {
                return false;
            }
        }
    }
    return true;
}

enum cb_status cb__onnx_tidy(struct cb_onnx_graph *graph, struct cb_diag *diag)
{
    bool *is_used = CB_NEW_ARRAY(graph->arena, bool, graph->value_count);
    if (!is_used) {
        return cb__onnx_no_memory(graph, diag);
    }
    mark_live(graph, is_used);
    drop_dead(graph, is_used);
    return link_consumers(graph) ? CB_OK : cb__onnx_no_memory(graph, diag);
}
