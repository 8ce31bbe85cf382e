/* onnx_read.c: opens a model, checks what it says of itself, and closes it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/onnx_internal.h"

enum { MAX_FUNCTIONS = 2048, MAX_IR_VERSION = ONNX__VERSION__IR_VERSION };

static void release(void *object)
{
    struct cb__onnx_model *model = object;
    if (model->proto) {
        onnx__model_proto__free_unpacked(model->proto, NULL);
    }
    for (uint32_t i = 0; i < model->external_count; i++) {
        cb_file_unmap(&model->externals[i].mapping);
    }
    cb_file_unmap(&model->mapping);
}

static enum cb_status unpack(struct cb_onnx_graph *graph, struct cb_diag *diag)
{
    struct cb__onnx_model *model = graph->model;
    struct cb_text slim = {0};
    enum cb_status status = cb__onnx_slim(graph->path, &model->mapping, &slim, model->at, diag);
    if (status == CB_OK) {
        model->proto = onnx__model_proto__unpack(NULL, slim.length, (const uint8_t *)(slim.data ? slim.data : ""));
        if (!model->proto) {
            status = cb_fail(diag, CB_FORMAT, model->at, "`%s` is no ONNX model, or a damaged one", graph->path);
        }
    }
    cb_text_free(&slim);
    return status;
}

static enum cb_status check_opset(struct cb_onnx_graph *graph, Onnx__OperatorSetIdProto *const *opsets, size_t count,
                                  int64_t *out, struct cb_diag *diag)
{
    for (size_t i = 0; i < count; i++) {
        const char *domain = opsets[i]->domain ? opsets[i]->domain : "";
        if (*domain != '\0' && strcmp(domain, "ai.onnx") != 0) {
            continue;
        }
        int64_t version = opsets[i]->version;
        if (version < CB_ONNX_OPSET_MIN || version > CB_ONNX_OPSET_MAX) {
            return cb_fail(diag, CB_UNSUPPORTED, graph->model->at,
                           "`%s` is written in opset %" PRId64 " of ONNX; %d to %d are read (onnx.version_converter "
                           "of the Python package converts)",
                           graph->path, version, CB_ONNX_OPSET_MIN, CB_ONNX_OPSET_MAX);
        }
        *out = version;
    }
    return CB_OK;
}

static enum cb_status check_model(struct cb_onnx_graph *graph, struct cb_diag *diag)
{
    const Onnx__ModelProto *proto = graph->model->proto;
    const struct cb_place *at = graph->model->at;
    if (!proto->graph || !proto->has_ir_version) {
        return cb_fail(diag, CB_FORMAT, at, "`%s` is no ONNX model: it has no %s", graph->path,
                       proto->graph ? "version" : "graph");
    }
    graph->ir_version = proto->ir_version;
    if (proto->ir_version < 1 || proto->ir_version > MAX_IR_VERSION) {
        return cb_fail(diag, CB_UNSUPPORTED, at,
                       "`%s` is written in version %" PRId64 " of ONNX's format; 1 to %d are read", graph->path,
                       proto->ir_version, MAX_IR_VERSION);
    }
    CB_TRY(check_opset(graph, proto->opset_import, proto->n_opset_import, &graph->opset, diag));
    if (graph->opset == 0) {
        return cb_fail(diag, CB_UNSUPPORTED, at,
                       "`%s` does not say in which opset of ONNX it is written; %d to %d are read", graph->path,
                       CB_ONNX_OPSET_MIN, CB_ONNX_OPSET_MAX);
    }
    if (proto->n_functions > MAX_FUNCTIONS) {
        return cb_fail(diag, CB_UNSUPPORTED, at, "`%s` has %zu functions; at most %d are read", graph->path,
                       proto->n_functions, MAX_FUNCTIONS);
    }
    for (size_t i = 0; i < proto->n_functions; i++) {
        int64_t opset;
        const Onnx__FunctionProto *function = proto->functions[i];
        CB_TRY(check_opset(graph, function->opset_import, function->n_opset_import, &opset, diag));
    }
    graph->name = proto->graph->name ? proto->graph->name : "";
    graph->producer = proto->producer_name ? proto->producer_name : "";
    graph->producer_version = proto->producer_version ? proto->producer_version : "";
    return CB_OK;
}

static enum cb_status open_graph(struct cb_onnx_graph *graph, const char *path, struct cb_diag *diag)
{
    struct cb__onnx_model *model = graph->model;
    CB_TRY(cb_file_map(path, &model->mapping, model->at, diag));
    model->file_bytes = (int64_t)model->mapping.bytes;
    CB_TRY(unpack(graph, diag));
    CB_TRY(check_model(graph, diag));
    return cb__onnx_build(graph, diag);
}

enum cb_status cb_onnx_open(const char *path, struct cb_onnx_graph **out, const struct cb_place *at,
                            struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_onnx_graph *graph = arena ? CB_NEW(arena, struct cb_onnx_graph) : NULL;
    struct cb__onnx_model *model = arena ? CB_NEW(arena, struct cb__onnx_model) : NULL;
    char *kept = arena ? cb_arena_strdup(arena, path) : NULL;
    if (!graph || !model || !kept || !cb_arena_on_destroy(arena, release, model)) {
        cb_arena_destroy(arena);
        return cb_fail(diag, CB_MEMORY, at, "no memory to read `%s`", path);
    }
    model->at = at;
    *graph = (struct cb_onnx_graph){.arena = arena, .path = kept, .model = model};
    enum cb_status status = open_graph(graph, path, diag);
    model->at = NULL;
    if (status != CB_OK) {
        cb_onnx_close(graph);
        return status;
    }
    *out = graph;
    return CB_OK;
}

void cb_onnx_close(struct cb_onnx_graph *graph)
{
    if (graph) {
        cb_arena_destroy(graph->arena);
    }
}
