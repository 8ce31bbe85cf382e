/* onnx_common.h: what the tests of ONNX models share. */
#ifndef ONNX_COMMON_H
#define ONNX_COMMON_H

#include "weights_common.h"

#include "base/file.h"
#include "exchange/onnx.h"

#define ONNX CB_SOURCE_ROOT "/tests/data/onnx/"

/* Opens a committed model; the caller closes it. */
static inline struct cb_onnx_graph *open_model(const char *name)
{
    struct cb_diag *diag = cb_diag_create();
    struct cb_onnx_graph *graph = NULL;
    char path[4096];
    snprintf(path, sizeof(path), "%s%s", ONNX, name);
    if (cb_onnx_open(path, &graph, NULL, diag) != CB_OK) {
        fail_msg("%s", first_message(diag));
    }
    cb_diag_destroy(diag);
    return graph;
}

static inline struct cb_onnx_value *find_value(const struct cb_onnx_graph *graph, const char *name)
{
    for (uint32_t i = 0; i < graph->value_count; i++) {
        if (strcmp(graph->values[i]->name, name) == 0) {
            return graph->values[i];
        }
    }
    fail_msg("%s has no value %s", graph->path, name);
    return NULL;
}

#endif
