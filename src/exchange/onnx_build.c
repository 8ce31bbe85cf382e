/* onnx_build.c: values and nodes from the unpacked message: names are resolved, calls of local functions written out,
 * branches of an If entered when simplifying has chosen them. */
#include <inttypes.h>
#include <string.h>

#include "exchange/onnx_internal.h"

enum cb_status cb__onnx_no_memory(const struct cb_onnx_graph *graph, struct cb_diag *diag)
{
    return cb_fail(diag, CB_MEMORY, graph->model->at, "no memory for the nodes and values of `%s`", graph->path);
}

/* ---- one node -------------------------------------------------------------------------------------------------- */

static const char *domain_of(const char *domain)
{
    return !domain || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

static const char *prefixed(struct cb_onnx_graph *graph, const struct cb__onnx_scope *scope, const char *name)
{
    return *scope->prefix && *name ? cb_arena_printf(graph->arena, "%s%s", scope->prefix, name) : name;
}

static enum cb_status find_version(const struct cb_onnx_graph *graph, const struct cb__onnx_scope *scope,
                                   struct cb_onnx_node *node, struct cb_diag *diag)
{
    const Onnx__ModelProto *proto = graph->model->proto;
    for (int from = 0; from < 2; from++) {
        Onnx__OperatorSetIdProto **opsets = from == 0 ? scope->opsets : proto->opset_import;
        size_t count = from == 0 ? scope->opset_count : proto->n_opset_import;
        for (size_t i = 0; i < count; i++) {
            if (strcmp(domain_of(opsets[i]->domain), node->domain) == 0) {
                node->version = opsets[i]->version;
                return CB_OK;
            }
        }
    }
    return cb_onnx_fail(graph, node, CB_FORMAT, diag, "the file names no version of its domain `%s`", node->domain);
}

static bool makes(Onnx__NodeProto *const *nodes, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < nodes[i]->n_output; j++) {
            if (strcmp(nodes[i]->output[j], name) == 0) {
                return true;
            }
        }
    }
    return false;
}

static const char *next_name(const void *context, size_t i)
{
    const struct cb_onnx_graph *graph = context;
    return i < graph->value_count ? graph->values[i]->name : NULL;
}

/* `later`: this node and those behind it. */
static enum cb_status find_inputs(struct cb_onnx_graph *graph, const struct cb__onnx_scope *scope,
                                  Onnx__NodeProto *const *later, size_t later_count, struct cb_onnx_node *node,
                                  struct cb_diag *diag)
{
    const Onnx__NodeProto *proto = later[0];
    node->inputs = CB_NEW_ARRAY(graph->arena, struct cb_onnx_value *, proto->n_input);
    if (!node->inputs) {
        return cb__onnx_no_memory(graph, diag);
    }
    for (size_t i = 0; i < proto->n_input; i++) {
        const char *name = proto->input[i];
        if (*name == '\0') {
            continue;
        }
        const struct cb__onnx_name *entry = cb__onnx_find(scope, name);
        if (!entry && makes(later, later_count, name)) {
            return cb_onnx_fail(graph, node, CB_FORMAT, diag,
                                "input `%s` is made by a later node: the nodes are out of order, or run in a circle",
                                name);
        }
        if (!entry) {
            const char *near = cb_nearest(name, next_name, graph);
            return cb_onnx_fail(graph, node, CB_FORMAT, diag, "nothing makes its input `%s`%s%s%s", name,
                                near ? "; the nearest name is `" : "", near ? near : "", near ? "`" : "");
        }
        node->inputs[i] = entry->value;
    }
    node->input_count = (uint32_t)proto->n_input;
    while (node->input_count > 0 && !node->inputs[node->input_count - 1]) {
        node->input_count--; /* those left out at the end say nothing */
    }
    return CB_OK;
}

static enum cb_status add_outputs(struct cb_onnx_graph *graph, struct cb__onnx_scope *scope,
                                  const Onnx__NodeProto *proto, struct cb_onnx_node *node, struct cb_diag *diag)
{
    node->outputs = CB_NEW_ARRAY(graph->arena, struct cb_onnx_value *, proto->n_output);
    if (!node->outputs) {
        return cb__onnx_no_memory(graph, diag);
    }
    node->output_count = (uint32_t)proto->n_output;
    for (size_t i = 0; i < proto->n_output; i++) {
        const char *name = proto->output[i];
        if (*name == '\0') {
            continue;
        }
        const char *full = prefixed(graph, scope, name);
        struct cb_onnx_value *value = full ? cb__onnx_add_value(graph, full) : NULL;
        if (!value) {
            return cb__onnx_no_memory(graph, diag);
        }
        value->producer = node;
        node->outputs[i] = value;
        CB_TRY(cb__onnx_enter(graph, scope, name, value, diag));
    }
    return CB_OK;
}

static enum cb_status copy_pairs(struct cb_onnx_graph *graph, Onnx__StringStringEntryProto *const *entries,
                                 size_t count, struct cb_onnx_pair **out, uint32_t *out_count, struct cb_diag *diag)
{
    struct cb_onnx_pair *pairs = CB_NEW_ARRAY(graph->arena, struct cb_onnx_pair, count);
    if (!pairs) {
        return cb__onnx_no_memory(graph, diag);
    }
    for (size_t i = 0; i < count; i++) {
        pairs[i] = (struct cb_onnx_pair){entries[i]->key ? entries[i]->key : "",
                                         entries[i]->value ? entries[i]->value : ""};
    }
    *out = pairs;
    *out_count = (uint32_t)count;
    return CB_OK;
}

/* All but its outputs, which a call of a function gets from the function's body. */
static enum cb_status make_node(struct cb_onnx_graph *graph, struct cb__onnx_scope *scope, Onnx__NodeProto **later,
                                size_t later_count, struct cb_onnx_node **out, struct cb_diag *diag)
{
    const Onnx__NodeProto *proto = later[0];
    struct cb_onnx_node *node = CB_NEW(graph->arena, struct cb_onnx_node);
    if (!node) {
        return cb__onnx_no_memory(graph, diag);
    }
    if (++graph->model->made_nodes > CB__ONNX_MAX_NODES) {
        return cb_fail(diag, CB_UNSUPPORTED, graph->model->at, "`%s` has more than %d nodes", graph->path,
                       CB__ONNX_MAX_NODES);
    }
    node->op = proto->op_type ? proto->op_type : "";
    node->domain = domain_of(proto->domain);
    node->name = prefixed(graph, scope, proto->name ? proto->name : "");
    node->scope = scope;
    if (!node->name) {
        return cb__onnx_no_memory(graph, diag);
    }
    if (*node->op == '\0') {
        return cb_onnx_fail(graph, node, CB_FORMAT, diag, "it names no operator");
    }
    /* An unnamed node is named after its first output in messages. */
    if (*node->name == '\0' && proto->n_output > 0) {
        node->name = prefixed(graph, scope, proto->output[0]);
    }
    CB_TRY(find_version(graph, scope, node, diag));
    CB_TRY(find_inputs(graph, scope, later, later_count, node, diag));
    CB_TRY(cb__onnx_read_attributes(graph, scope, proto, node, diag));
    CB_TRY(copy_pairs(graph, proto->metadata_props, proto->n_metadata_props, &node->metadata, &node->metadata_count,
                      diag));
    *out = node;
    return CB_OK;
}

/* ---- calls of local functions ---------------------------------------------------------------------------------- */

static bool is_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static const Onnx__FunctionProto *find_function(const struct cb_onnx_graph *graph, const Onnx__NodeProto *node)
{
    const Onnx__ModelProto *proto = graph->model->proto;
    for (size_t i = 0; i < proto->n_functions; i++) {
        const Onnx__FunctionProto *function = proto->functions[i];
        if (is_same(function->name, node->op_type) && is_same(function->overload, node->overload) &&
            strcmp(domain_of(function->domain), domain_of(node->domain)) == 0) {
            return function;
        }
    }
    return NULL;
}

static enum cb_status check_call(const struct cb_onnx_graph *graph, const struct cb__onnx_scope *scope,
                                 const struct cb_onnx_node *call, const Onnx__NodeProto *proto,
                                 const Onnx__FunctionProto *function, struct cb_diag *diag)
{
    if (scope->depth >= CB__ONNX_MAX_DEPTH) {
        return cb_onnx_fail(graph, call, CB_UNSUPPORTED, diag, "functions call each other more than %d deep",
                            CB__ONNX_MAX_DEPTH);
    }
    if (call->input_count > function->n_input || proto->n_output > function->n_output) {
        return cb_onnx_fail(graph, call, CB_FORMAT, diag,
                            "its function has %zu inputs and %zu outputs, the call %u and %zu", function->n_input,
                            function->n_output, call->input_count, proto->n_output);
    }
    return CB_OK;
}

static enum cb_status write_out_call(struct cb_onnx_graph *graph, struct cb__onnx_scope *scope,
                                     const Onnx__NodeProto *proto, const struct cb_onnx_node *call,
                                     const Onnx__FunctionProto *function, struct cb__onnx_nodes *out,
                                     struct cb_diag *diag)
{
    CB_TRY(check_call(graph, scope, call, proto, function, diag));
    struct cb__onnx_scope *body = CB_NEW(graph->arena, struct cb__onnx_scope);
    char *prefix = cb_arena_printf(graph->arena, "%s/", call->name);
    if (!body || !prefix) {
        return cb__onnx_no_memory(graph, diag);
    }
    *body = (struct cb__onnx_scope){.prefix = prefix, .function = function, .call = call,
                                    .opsets = function->opset_import, .opset_count = function->n_opset_import,
                                    .depth = scope->depth + 1};
    for (size_t i = 0; i < function->n_input; i++) {
        CB_TRY(cb__onnx_enter(graph, body, function->input[i], cb_onnx_input(call, (uint32_t)i), diag));
    }
    CB_TRY(cb__onnx_add_nodes(graph, body, function->node, function->n_node, out, diag));
    for (size_t i = 0; i < proto->n_output; i++) {
        const struct cb__onnx_name *entry = cb__onnx_find(body, function->output[i]);
        if (*proto->output[i] == '\0') {
            continue;
        }
        if (!entry || !entry->value) {
            return cb_onnx_fail(graph, call, CB_FORMAT, diag, "nothing in its function makes its output `%s`",
                                function->output[i]);
        }
        CB_TRY(cb__onnx_enter(graph, scope, proto->output[i], entry->value, diag));
    }
    return CB_OK;
}

enum cb_status cb__onnx_add_nodes(struct cb_onnx_graph *graph, struct cb__onnx_scope *scope, Onnx__NodeProto **nodes,
                                  size_t count, struct cb__onnx_nodes *out, struct cb_diag *diag)
{
    for (size_t i = 0; i < count; i++) {
        struct cb_onnx_node *node = NULL;
        CB_TRY(make_node(graph, scope, nodes + i, count - i, &node, diag));
        const Onnx__FunctionProto *function = *node->domain ? find_function(graph, nodes[i]) : NULL;
        if (function) {
            CB_TRY(write_out_call(graph, scope, nodes[i], node, function, out, diag));
            continue;
        }
        CB_TRY(add_outputs(graph, scope, nodes[i], node, diag));
        if (!cb__onnx_append(graph, out, node)) {
            return cb__onnx_no_memory(graph, diag);
        }
    }
    return CB_OK;
}

/* ---- graphs ---------------------------------------------------------------------------------------------------- */

static enum cb_status add_initializers(struct cb_onnx_graph *graph, struct cb__onnx_scope *scope,
                                       const Onnx__GraphProto *proto, struct cb_diag *diag)
{
    for (size_t i = 0; i < proto->n_initializer; i++) {
        const char *name = proto->initializer[i]->name;
        if (!name || !*name) {
            return cb_fail(diag, CB_FORMAT, graph->model->at, "`%s`: initializer %zu has no name", graph->path, i);
        }
        const struct cb_onnx_tensor *tensor;
        CB_TRY(cb__onnx_read_tensor(graph, proto->initializer[i], name, &tensor, diag));
        struct cb_onnx_value *value = cb__onnx_add_constant(graph, name, tensor);
        if (!value) {
            return cb__onnx_no_memory(graph, diag);
        }
        CB_TRY(cb__onnx_enter(graph, scope, name, value, diag));
    }
    if (proto->n_sparse_initializer > 0) {
        const Onnx__SparseTensorProto *sparse = proto->sparse_initializer[0];
        const char *name = sparse->values && sparse->values->name ? sparse->values->name : "";
        return cb_fail(diag, CB_UNSUPPORTED, graph->model->at, "`%s`: tensor `%s` is sparse, which is not read",
                       graph->path, name);
    }
    return CB_OK;
}

enum cb_status cb__onnx_add_branch(struct cb_onnx_graph *graph, const struct cb_onnx_node *node,
                                   const Onnx__GraphProto *branch, struct cb__onnx_nodes *out,
                                   struct cb_onnx_value **outputs, struct cb_diag *diag)
{
    const struct cb__onnx_scope *around = node->scope;
    struct cb__onnx_scope *scope = CB_NEW(graph->arena, struct cb__onnx_scope);
    if (!scope) {
        return cb__onnx_no_memory(graph, diag);
    }
    *scope = (struct cb__onnx_scope){.parent = around, .prefix = around->prefix, .opsets = around->opsets,
                                     .opset_count = around->opset_count, .depth = around->depth + 1};
    if (scope->depth > CB__ONNX_MAX_DEPTH) {
        return cb_onnx_fail(graph, node, CB_UNSUPPORTED, diag, "branches are nested more than %d deep",
                            CB__ONNX_MAX_DEPTH);
    }
    if (branch->n_input > 0 || branch->n_output < node->output_count) {
        return cb_onnx_fail(graph, node, CB_FORMAT, diag, "its branch has %zu inputs and %zu outputs, not 0 and %u",
                            branch->n_input, branch->n_output, node->output_count);
    }
    CB_TRY(add_initializers(graph, scope, branch, diag));
    CB_TRY(cb__onnx_add_nodes(graph, scope, branch->node, branch->n_node, out, diag));
    for (uint32_t i = 0; i < node->output_count; i++) {
        const char *name = branch->output[i]->name ? branch->output[i]->name : "";
        const struct cb__onnx_name *entry = cb__onnx_find(scope, name);
        if (!entry || !entry->value) {
            return cb_onnx_fail(graph, node, CB_FORMAT, diag, "nothing in its branch makes the output `%s`", name);
        }
        outputs[i] = entry->value;
    }
    return CB_OK;
}

static enum cb_status read_shape(const struct cb_onnx_graph *graph, const Onnx__TensorShapeProto *shape,
                                 struct cb_onnx_value *value, struct cb_diag *diag)
{
    if (shape->n_dim > CB_MAX_RANK) {
        return cb_fail(diag, CB_UNSUPPORTED, graph->model->at,
                       "`%s`: input `%s` has %zu dimensions; at most %d are read", graph->path, value->name,
                       shape->n_dim, CB_MAX_RANK);
    }
    value->has_shape = true;
    value->rank = (uint32_t)shape->n_dim;
    for (uint32_t i = 0; i < value->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
        bool is_open = dim->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE || dim->dim_value < 0;
        value->dims[i].fixed = is_open ? -1 : dim->dim_value;
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM && dim->dim_param &&
            *dim->dim_param) {
            value->symbols[i] = dim->dim_param;
        }
    }
    return CB_OK;
}

static enum cb_status add_input(struct cb_onnx_graph *graph, struct cb__onnx_scope *scope,
                                const Onnx__ValueInfoProto *proto, struct cb_diag *diag)
{
    const char *name = proto->name ? proto->name : "";
    const struct cb__onnx_name *entry = cb__onnx_find(scope, name);
    if (entry && entry->value->constant && !entry->value->is_input) {
        entry->value->is_input = true; /* a default that may be replaced: it is not; a second such input fails below */
        return CB_OK;
    }
    if (*name == '\0' || !proto->type || proto->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) {
        return cb_fail(diag, CB_UNSUPPORTED, graph->model->at, "`%s`: input `%s` is no tensor", graph->path, name);
    }
    struct cb_onnx_value *value = cb__onnx_add_value(graph, name);
    if (!value) {
        return cb__onnx_no_memory(graph, diag);
    }
    CB_TRY(cb__onnx_enter(graph, scope, name, value, diag));
    value->is_input = true;
    value->type = (enum cb_onnx_type)proto->type->tensor_type->elem_type;
    if (strcmp(cb_onnx_type_name(value->type), "?") == 0) {
        return cb_fail(diag, CB_UNSUPPORTED, graph->model->at, "`%s`: input `%s` has type number %d, which is not read",
                       graph->path, name, (int)value->type);
    }
    if (proto->type->tensor_type->shape) {
        CB_TRY(read_shape(graph, proto->type->tensor_type->shape, value, diag));
    }
    graph->inputs[graph->input_count++] = (struct cb_onnx_port){name, value};
    return CB_OK;
}

static enum cb_status find_outputs(struct cb_onnx_graph *graph, const struct cb__onnx_scope *scope,
                                   const Onnx__GraphProto *proto, struct cb_diag *diag)
{
    for (size_t i = 0; i < proto->n_output; i++) {
        const char *name = proto->output[i]->name ? proto->output[i]->name : "";
        const struct cb__onnx_name *entry = cb__onnx_find(scope, name);
        if (!entry || !entry->value) {
            return cb_fail(diag, CB_FORMAT, graph->model->at, "`%s`: nothing makes the model's output `%s`",
                           graph->path, name);
        }
        graph->outputs[graph->output_count++] = (struct cb_onnx_port){name, entry->value};
    }
    if (graph->output_count == 0) {
        return cb_fail(diag, CB_FORMAT, graph->model->at, "`%s` has no output", graph->path);
    }
    return CB_OK;
}

enum cb_status cb__onnx_build(struct cb_onnx_graph *graph, struct cb_diag *diag)
{
    Onnx__ModelProto *model = graph->model->proto;
    Onnx__GraphProto *proto = model->graph;
    struct cb__onnx_scope *scope = CB_NEW(graph->arena, struct cb__onnx_scope);
    graph->inputs = CB_NEW_ARRAY(graph->arena, struct cb_onnx_port, proto->n_input);
    graph->outputs = CB_NEW_ARRAY(graph->arena, struct cb_onnx_port, proto->n_output);
    if (!scope || !graph->inputs || !graph->outputs) {
        return cb__onnx_no_memory(graph, diag);
    }
    *scope = (struct cb__onnx_scope){.prefix = "", .opsets = model->opset_import, .opset_count = model->n_opset_import};
    CB_TRY(copy_pairs(graph, model->metadata_props, model->n_metadata_props, &graph->metadata, &graph->metadata_count,
                      diag));
    CB_TRY(add_initializers(graph, scope, proto, diag));
    for (size_t i = 0; i < proto->n_input; i++) {
        CB_TRY(add_input(graph, scope, proto->input[i], diag));
    }
    struct cb__onnx_nodes nodes = {0};
    CB_TRY(cb__onnx_add_nodes(graph, scope, proto->node, proto->n_node, &nodes, diag));
    graph->nodes = nodes.items;
    graph->node_count = nodes.count;
    CB_TRY(find_outputs(graph, scope, proto, diag));
    return CB_OK;
}
