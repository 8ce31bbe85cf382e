/* onnx_write.c: a model's network as an ONNX graph. See onnx_write.h.
 *
 * The layers that the scores need are emitted in the network's order. Before, an affine layer
 * (batchnorm with its running statistics) that alone reads a linear one is folded into it, as a
 * plan for inference does. */
#include "exchange/onnx_write.h"

#include <string.h>

#include "base/file.h"
#include "graph/core.h"

struct writing {
    struct cb_arena *arena;
    struct cb_model *model;
    const struct cb_onnx_request *request;
    struct cb_emit emit;
    bool *needed;      /* by node */
    uint32_t *readers; /* by wire: of needed layers; the scores count as read once more */
    bool *folded;      /* by node: an affine layer that another one has taken in */
    uint32_t folded_count;
};

static enum cb_status no_memory(struct cb_diag *diag)
{
    return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
}

/* ---- which layers
 * ------------------------------------------------------------------------------------------------
 */

static void find_needed(struct writing *w, const uint32_t *outputs, uint32_t output_count)
{
    const struct cb_network *net = w->model->net;
    for (uint32_t i = 0; i < output_count; i++) {
        w->readers[outputs[i]]++;
        if (net->wires[outputs[i]].node != CB_NONE) {
            w->needed[net->wires[outputs[i]].node] = true;
        }
    }
    for (uint32_t i = net->node_count; i-- > 0;) {
        const struct cb_node *node = &net->nodes[i];
        for (uint32_t k = 0; w->needed[i] && k < node->x_count; k++) {
            w->readers[node->x[k]]++;
            if (net->wires[node->x[k]].node != CB_NONE) {
                w->needed[net->wires[node->x[k]].node] = true;
            }
        }
    }
}

/* Every layer that ONNX has no words for is named. */
static enum cb_status check_layers(struct writing *w, struct cb_diag *diag)
{
    const struct cb_network *net = w->model->net;
    enum cb_status status = CB_OK;
    for (uint32_t i = 0; i < net->node_count && !cb_diag_is_full(diag); i++) {
        const char *why;
        if (w->needed[i] && !cb__emit_knows(&w->emit, &net->nodes[i], &why)) {
            status = cb_fail(diag, CB_UNSUPPORTED, &net->nodes[i].at,
                             "layer `%s` (`%s`) cannot be exported: %s", net->nodes[i].name,
                             net->nodes[i].type->layer.name, why);
        }
    }
    return status;
}

/* ---- affine layers
 * -----------------------------------------------------------------------------------------------
 */

static enum cb_status compute_affine(struct writing *w, uint32_t index, struct cb_diag *diag)
{
    const struct cb_network *net = w->model->net;
    const struct cb_node *node = &net->nodes[index];
    const float *params[64] = {NULL}, *state[16] = {NULL};
    struct cb_tensor shape = net->wires[node->x[0]].shape, *x[1] = {&shape};
    const int64_t channels = shape.dims[shape.rank - 1];
    float *scale = CB_NEW_ARRAY(w->arena, float, (size_t)channels),
          *shift = CB_NEW_ARRAY(w->arena, float, (size_t)channels);
    if (scale == NULL || shift == NULL) {
        return no_memory(diag);
    }
    for (uint32_t k = 0; k < node->param_count; k++) {
        params[k] = net->params[node->params[k]].host;
    }
    for (uint32_t k = 0; k < node->state_count; k++) {
        state[k] = net->params[node->states[k]].host;
    }
    struct cb_core core = {.net = net, .node = node, .diag = diag};
    struct cb_instance in = {.struct_size = sizeof(in),
                             .host = &cb__host,
                             .core = &core,
                             .name = node->name,
                             .options = node->options,
                             .x_count = 1,
                             .x = x,
                             .param_count = node->param_count,
                             .state_count = node->state_count};
    CB_TRY(node->type->layer.affine(&in, params, state, scale, shift));
    w->emit.affine_scale[index] = scale;
    w->emit.affine_shift[index] = shift;
    return CB_OK;
}

static enum cb_status fold_affines(struct writing *w, struct cb_diag *diag)
{
    const struct cb_network *net = w->model->net;
    for (uint32_t i = 0; i < net->node_count; i++) {
        const struct cb_node *node = &net->nodes[i];
        if (!w->needed[i] || node->type->layer.affine == NULL || node->x_count != 1) {
            continue;
        }
        CB_TRY(compute_affine(w, i, diag));
        const uint32_t above = net->wires[node->x[0]].node;
        if (w->request->keep_affine || above == CB_NONE || w->readers[node->x[0]] != 1 ||
            (net->nodes[above].type->layer.flags & CB_LAYER_LINEAR) == 0) {
            continue;
        }
        w->emit.fold_scale[above] = w->emit.affine_scale[i];
        w->emit.fold_shift[above] = w->emit.affine_shift[i];
        w->folded[i] = true;
        w->folded_count++;
    }
    return CB_OK;
}

/* ---- inputs and outputs
 * ------------------------------------------------------------------------------------------ */

static bool is_lengths(const struct cb_network *net, uint32_t input)
{
    for (uint32_t i = 0; i < net->wire_count; i++) {
        if (net->wires[i].lengths == input + 1) {
            return true;
        }
    }
    return false;
}

/* (value - mean) / std of bytes. */
static const char *scale_bytes(struct writing *w, const char *bytes, int64_t channels)
{
    struct cb_draft *b = &w->emit.draft;
    const struct cb_contract *c = &w->model->contract;
    float *mean = CB_NEW_ARRAY(w->arena, float, (size_t)channels),
          *std = CB_NEW_ARRAY(w->arena, float, (size_t)channels);
    if (mean == NULL || std == NULL) {
        return cb__draft_no_memory(b);
    }
    for (int64_t i = 0; i < channels; i++) {
        mean[i] = (float)c->mean[i];
        std[i] = (float)c->std[i];
    }
    const char *values = cb__draft_node(b, "scaling", "Cast", CB_DRAFT_IN(bytes),
                                        CB_DRAFT_WITH(CB_DRAFT_INT("to", CB_DRAFT_F32)));
    const char *middle = cb__draft_initializer(b, "scaling/mean", CB_DRAFT_F32, 1, &channels, mean);
    const char *unit = cb__draft_initializer(b, "scaling/std", CB_DRAFT_F32, 1, &channels, std);
    const char *centred =
        cb__draft_node(b, "scaling", "Sub", CB_DRAFT_IN(values, middle), CB_DRAFT_PLAIN);
    return cb__draft_node(b, "scaling", "Div", CB_DRAFT_IN(centred, unit), CB_DRAFT_PLAIN);
}

static void add_input(struct writing *w, uint32_t number, bool is_only)
{
    const struct cb_network *net = w->model->net;
    const uint32_t index = net->inputs[number];
    const struct cb_wire *wire = &net->wires[index];
    const struct cb_tensor *shape = &wire->shape;
    struct cb_emitted *value = &w->emit.wires[index];
    const bool is_picture = shape->rank == 4 && shape->dtype != CB_I32,
               from_bytes = w->request->from_bytes && is_picture;
    const bool is_first = is_picture && !w->request->channels_last && !from_bytes;
    int64_t dims[CB_MAX_RANK] = {-1};
    for (uint32_t i = 1; i < shape->rank; i++) {
        dims[i] = is_first ? shape->dims[i == 1 ? shape->rank - 1 : i - 1] : shape->dims[i];
    }
    const char *name =
        cb__draft_name(&w->emit.draft, is_only && !is_lengths(net, number) ? "input" : wire->name);
    const int type = from_bytes               ? CB_DRAFT_U8
                     : shape->dtype == CB_I32 ? CB_DRAFT_I64
                                              : CB_DRAFT_F32;
    cb__draft_input(&w->emit.draft, name, type, shape->rank, dims, NULL);
    value->native = is_first ? CB_FIRST : CB_LAST;
    value->value[value->native] = from_bytes ? scale_bytes(w, name, shape->dims[3]) : name;
}

static void add_inputs(struct writing *w)
{
    const struct cb_network *net = w->model->net;
    uint32_t real = 0;
    for (uint32_t i = 0; i < net->input_count; i++) {
        real += net->inputs[i] != w->model->target && !is_lengths(net, i);
    }
    for (uint32_t i = 0; i < net->input_count; i++) {
        if (w->readers[net->inputs[i]] > 0 || is_lengths(net, i)) {
            add_input(w, i, real == 1);
        }
    }
}

/* The wire's value as an output of the graph; channels-first where it has places, as other tools
 * expect. */
static void add_output(struct writing *w, uint32_t index, const char *name, const char *doc)
{
    const struct cb_tensor *shape = &w->model->net->wires[index].shape;
    struct cb_emitted *wire = &w->emit.wires[index];
    struct cb_draft *b = &w->emit.draft;
    const bool is_first = wire->native == CB_FIRST && shape->rank > 2 && !w->request->channels_last;
    int64_t dims[CB_MAX_RANK] = {-1}, order[CB_MAX_RANK] = {0};
    for (uint32_t i = 1; i < shape->rank; i++) {
        dims[i] = is_first ? shape->dims[i == 1 ? shape->rank - 1 : i - 1] : shape->dims[i];
        order[i] = i + 1 == shape->rank ? 1 : i + 1;
    }
    const char *value = wire->value[wire->native];
    if (wire->native == CB_FIRST && shape->rank > 2 && !is_first) {
        value = cb__draft_node(b, name, "Transpose", CB_DRAFT_IN(value),
                               CB_DRAFT_WITH(CB_DRAFT_INTS("perm", shape->rank, order)));
    }
    for (size_t i = 0; i < b->graph.n_input && value != NULL; i++) {
        if (strcmp(b->graph.input[i]->name, value) == 0) {
            value = cb__draft_node(b, name, "Identity", CB_DRAFT_IN(value), CB_DRAFT_PLAIN);
            break;
        }
    }
    for (size_t i = 0; i < b->graph.n_output && value != NULL; i++) {
        if (strcmp(b->graph.output[i]->name, value) == 0) {
            value = cb__draft_node(b, name, "Identity", CB_DRAFT_IN(value), CB_DRAFT_PLAIN);
            break;
        }
    }
    if (value != NULL) {
        cb__draft_rename(b, value, cb__draft_name(b, name));
    }
    cb__draft_output(b, name, shape->dtype == CB_I32 ? CB_DRAFT_I64 : CB_DRAFT_F32, shape->rank,
                     dims, doc);
}

/* ---- the graph
 * ---------------------------------------------------------------------------------------------------
 */

static enum cb_status emit_layers(struct writing *w)
{
    const struct cb_network *net = w->model->net;
    struct cb_emit *e = &w->emit;
    for (uint32_t i = 0; i < net->node_count; i++) {
        const struct cb_node *node = &net->nodes[i];
        if (!w->needed[i]) {
            continue;
        }
        if (w->folded[i]) {
            e->wires[node->y[0]] = e->wires[node->x[0]];
            continue;
        }
        e->node = node;
        CB_TRY(cb__emit_layer(e));
    }
    return e->draft.status;
}

static enum cb_status prepare(struct writing *w, uint32_t predictions, struct cb_diag *diag)
{
    const struct cb_network *net = w->model->net;
    struct cb_emit *e = &w->emit;
    struct cb_arena *arena = w->arena;
    const uint32_t outputs[2] = {w->model->scores, predictions};
    cb__draft_begin(&e->draft, arena, diag);
    e->net = net;
    e->quantised = w->request->quantised;
    e->wires = CB_NEW_ARRAY(arena, struct cb_emitted, net->wire_count + 1);
    e->params = CB_NEW_ARRAY(arena, struct cb_emitted_param, net->param_count + 1);
    e->affine_scale = CB_NEW_ARRAY(arena, const float *, net->node_count + 1);
    e->affine_shift = CB_NEW_ARRAY(arena, const float *, net->node_count + 1);
    e->fold_scale = CB_NEW_ARRAY(arena, const float *, net->node_count + 1);
    e->fold_shift = CB_NEW_ARRAY(arena, const float *, net->node_count + 1);
    w->needed = CB_NEW_ARRAY(arena, bool, net->node_count + 1);
    w->folded = CB_NEW_ARRAY(arena, bool, net->node_count + 1);
    w->readers = CB_NEW_ARRAY(arena, uint32_t, net->wire_count + 1);
    if (e->wires == NULL || e->params == NULL || e->affine_scale == NULL ||
        e->affine_shift == NULL || e->fold_scale == NULL || e->fold_shift == NULL ||
        w->needed == NULL || w->folded == NULL || w->readers == NULL) {
        return no_memory(diag);
    }
    find_needed(w, outputs, predictions != CB_NONE ? 2 : 1);
    return CB_OK;
}

static enum cb_status make_graph(struct writing *w, uint32_t predictions, struct cb_diag *diag)
{
    CB_TRY(prepare(w, predictions, diag));
    CB_TRY(check_layers(w, diag));
    CB_TRY(fold_affines(w, diag));
    add_inputs(w);
    CB_TRY(emit_layers(w));
    if (predictions != CB_NONE) {
        add_output(w, w->model->scores, "logits",
                   "scores, before what makes probabilities of them");
        add_output(w, predictions, "probabilities",
                   w->model->classes != NULL ? "of each class" : NULL);
    } else {
        add_output(w, w->model->scores, "output", NULL);
    }
    w->emit.draft.graph.name = cb_arena_strdup(w->arena, w->model->net->name);
    return w->emit.draft.status;
}

static enum cb_status finish(struct writing *w, struct cb_onnx_summary *out, struct cb_diag *diag)
{
    Onnx__ModelProto proto;
    Onnx__OperatorSetIdProto opset, *opsets[1] = {&opset};
    onnx__model_proto__init(&proto);
    onnx__operator_set_id_proto__init(&opset);
    opset.domain = (char *)"";
    opset.has_version = 1;
    opset.version = CB_DRAFT_OPSET;
    proto.has_ir_version = 1;
    proto.ir_version = CB_DRAFT_IR;
    proto.n_opset_import = 1;
    proto.opset_import = opsets;
    proto.graph = &w->emit.draft.graph;
    CB_TRY(cb__draft_describe(w->model, w->request, &proto, w->arena, diag));
    out->node_count = (uint32_t)w->emit.draft.graph.n_node;
    out->folded_count = w->folded_count;
    CB_TRY(
        cb__draft_file_write(&proto, w->emit.draft.value_bytes, w->request, w->arena, out, diag));
    out->data_path =
        out->data_path != NULL ? cb_arena_strdup(w->model->net->arena, out->data_path) : NULL;
    return CB_OK;
}

/* The layer that makes predictions of scores. */
static enum cb_status add_link(struct cb_model *model, uint32_t *out_wire, struct cb_diag *diag)
{
    uint32_t node;
    *out_wire = CB_NONE;
    if (model->link == NULL) {
        return CB_OK;
    }
    CB_TRY(cb_network_add_layer(model->net, model->link, NULL, NULL, &model->scores, 1, true, NULL,
                                &node, diag));
    *out_wire = model->net->nodes[node].y[0];
    return CB_OK;
}

enum cb_status cb_onnx_write(struct cb_model *model, const struct cb_onnx_request *request,
                             struct cb_onnx_summary *out, struct cb_diag *diag)
{
    uint32_t predictions;
    *out = (struct cb_onnx_summary){0};
    CB_TRY(add_link(model, &predictions, diag));
    struct writing w = {.arena = cb_arena_create(), .model = model, .request = request};
    if (w.arena == NULL) {
        return no_memory(diag);
    }
    enum cb_status status = make_graph(&w, predictions, diag);
    if (status == CB_OK) {
        status = finish(&w, out, diag);
    }
    cb_arena_destroy(w.arena);
    return status;
}
