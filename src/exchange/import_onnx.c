/* import_onnx.c: an ONNX file as a network: its inputs and their contracts, and the import as a whole. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "exchange/import.h"
#include "exchange/onnx_lower.h"

/* ---- inputs ------------------------------------------------------------------------------------------------------------ */

static struct cb_value *flow_list(struct cb_arena *arena, const double *values, uint32_t count)
{
    struct cb_value *list = cb_value_list(arena, NULL);
    for (uint32_t i = 0; list != NULL && i < count; i++) {
        cb_list_append(arena, list, cb_value_real(arena, values[i], NULL));
    }
    return list;
}

/* Numbers of a text such as "[123.675, 116.28, 103.53]". */
static uint32_t read_numbers(const char *text, double *out, uint32_t most)
{
    uint32_t count = 0;
    while (text != NULL && *text != '\0' && count < most) {
        int used = 0;
        if (sscanf(text, "%lf%n", &out[count], &used) == 1 && used > 0) {
            count++;
            text += used;
        } else {
            text++;
        }
    }
    return count;
}

static const char *model_metadata(const struct cb_lower *low, const char *key)
{
    return cb_onnx_metadata(low->graph->metadata, low->graph->metadata_count, key);
}

/* What `cambium export` wrote beside the graph: the contract that its network has; NULL when there is none that fits. */
static struct cb_value *own_contract(struct cb_lower *low, const struct cb_view *view)
{
    const char *text = model_metadata(low, "contract");
    struct cb_value *file = NULL;
    struct cb_contract contract = {0};
    if (text == NULL || cb_yaml_read_text(low->arena, "contract", text, strlen(text), &file, NULL) != CB_OK) {
        return NULL;
    }
    struct cb_value *input = cb_map_get(file, "input");
    if (input == NULL || cb_contract_read(input, &contract, NULL) != CB_OK || contract.modality != CB_IMAGE ||
        contract.rank != 3 || memcmp(contract.shape, view->wire_dims, 3 * sizeof(contract.shape[0])) != 0) {
        return NULL;
    }
    return cb_contract_to_value(low->arena, &contract);
}

static struct cb_value *picture_contract(struct cb_lower *low, struct cb_imported *m, const struct cb_view *view)
{
    static const double mean3[] = {123.675, 116.28, 103.53}, std3[] = {58.395, 57.12, 57.375};
    struct cb_value *map = cb_value_map(low->arena, NULL), *scale = cb_value_map(low->arena, NULL);
    struct cb_value *shape = cb_value_list(low->arena, NULL);
    if (map == NULL || scale == NULL || shape == NULL) {
        return NULL;
    }
    struct cb_value *own = own_contract(low, view);
    if (own != NULL) {
        return own;
    }
    const int64_t channels = view->wire_dims[2];
    for (uint32_t i = 0; i < 3; i++) {
        cb_list_append(low->arena, shape, cb_value_int(low->arena, view->wire_dims[i], NULL));
    }
    double mean[CB_MAX_CHANNELS], std[CB_MAX_CHANNELS];
    uint32_t means = read_numbers(model_metadata(low, "mean"), mean, CB_MAX_CHANNELS);
    uint32_t stds = read_numbers(model_metadata(low, "std"), std, CB_MAX_CHANNELS);
    const bool told = means > 0 && stds > 0 && (means == 1 || means == channels) && (stds == 1 || stds == channels);
    if (!told && channels == 3) {
        memcpy(mean, mean3, sizeof(mean3));
        memcpy(std, std3, sizeof(std3));
        means = stds = 3;
        cb_imported_note(m, "the file does not say how pictures are scaled: ImageNet's mean and std are assumed; if it was "
                         "trained otherwise, change `scale:` in the line `input:` of the network file");
    } else if (!told) {
        mean[0] = 0;
        std[0] = 255;
        means = stds = 1;
        cb_imported_note(m, "the file does not say how pictures are scaled: values from 0 to 1 are assumed; if it was "
                         "trained otherwise, change `scale:` in the line `input:` of the network file");
    }
    const char *resize = model_metadata(low, "resize");
    cb_map_set(low->arena, map, "modality", cb_value_text(low->arena, "image", NULL));
    cb_map_set(low->arena, map, "shape", shape);
    cb_map_set(low->arena, map, "resize",
               cb_value_text(low->arena, resize != NULL && told ? resize : channels == 3 ? "crop" : "pad", NULL));
    if (channels == 3 && !told) {
        cb_map_set(low->arena, map, "crop_fraction", cb_value_real(low->arena, 0.875, NULL));
    }
    cb_map_set(low->arena, scale, "mean", flow_list(low->arena, mean, means));
    cb_map_set(low->arena, scale, "std", flow_list(low->arena, std, stds));
    cb_map_set(low->arena, map, "scale", scale);
    return map;
}

static struct cb_value *other_contract(struct cb_lower *low, const struct cb_view *view, const char *modality)
{
    struct cb_value *map = cb_value_map(low->arena, NULL), *shape = cb_value_list(low->arena, NULL);
    if (map == NULL || shape == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < view->wire_rank; i++) {
        cb_list_append(low->arena, shape, cb_value_int(low->arena, view->wire_dims[i], NULL));
    }
    cb_map_set(low->arena, map, "modality", cb_value_text(low->arena, modality, NULL));
    cb_map_set(low->arena, map, "shape", shape);
    return map;
}

static bool is_op(const struct cb_onnx_node *node, const char *op)
{
    return strcmp(node->op, op) == 0;
}

/* The first of the nodes behind a value that does more than to change each number by itself; NULL: there is none. */
static const struct cb_onnx_node *first_structure(const struct cb_onnx_value *value)
{
    static const char *const pointwise[] = {"Cast", "Sub", "Add", "Mul", "Div", "Neg", "Clip", "Identity"};
    for (int steps = 0; steps < 16 && value != NULL && value->consumer_count > 0; steps++) {
        const struct cb_onnx_node *node = value->consumers[0];
        bool passes = false;
        for (size_t i = 0; i < sizeof(pointwise) / sizeof(pointwise[0]); i++) {
            passes |= is_op(node, pointwise[i]);
        }
        if (!passes) {
            return node;
        }
        value = cb_onnx_output(node, 0);
    }
    return NULL;
}

/* True where an input of four axes has its channels last, as TensorFlow has them: it is transposed to [N,C,H,W], or
 * reshaped so where that is the same (one channel, or a picture of one row or column). */
static bool is_channels_last(const struct cb_onnx_value *value)
{
    static const int64_t to_first[] = {0, 3, 1, 2};
    const struct cb_onnx_node *node = first_structure(value);
    uint32_t count = 0;
    if (node == NULL) {
        return false;
    }
    if (is_op(node, "Transpose")) {
        const int64_t *perm = cb_onnx_ints(node, "perm", &count);
        return perm != NULL && count == 4 && memcmp(perm, to_first, sizeof(to_first)) == 0;
    }
    const struct cb_onnx_value *out = cb_onnx_output(node, 0);
    if (!is_op(node, "Reshape") || !out->has_shape || out->rank != 4) {
        return false;
    }
    const bool moves = value->dims[3].fixed == 1 || (value->dims[1].fixed == 1 && value->dims[2].fixed == 1);
    return moves && out->dims[1].fixed == value->dims[3].fixed && out->dims[2].fixed == value->dims[1].fixed &&
           out->dims[3].fixed == value->dims[2].fixed;
}

static enum cb_status lower_inputs(struct cb_lower *low, struct cb_imported *m)
{
    static const uint32_t picture[] = {0, 2, 3, 1}, sequence[] = {0, 2, 1}, plain[] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const uint32_t steps_first[] = {1, 0, 2};
    struct cb_flat *flat = low->flat;
    flat->contracts = CB_NEW_ARRAY(low->arena, struct cb_value *, (size_t)low->graph->input_count + 1);
    flat->input_names = CB_NEW_ARRAY(low->arena, const char *, (size_t)low->graph->input_count + 1);
    if (flat->contracts == NULL || flat->input_names == NULL) {
        return cb__lower_memory(low);
    }
    for (uint32_t i = 0; i < low->graph->input_count; i++) {
        const struct cb_onnx_value *value = low->graph->inputs[i].value;
        if (value->constant != NULL) {
            continue;
        }
        if (value->consumer_count == 0 && low->graph->input_count > 1) {
            continue;
        }
        if (!value->has_shape || value->rank < (low->request->one_sample ? 1 : 2)) {
            return cb_fail(low->diag, CB_UNSUPPORTED, NULL, "`%s`: input `%s` has no axis behind the batch", low->graph->path,
                           value->name);
        }
        const bool whole = !cb_onnx_type_is_real(value->type);
        const bool last = value->rank == 4 && !whole && is_channels_last(value);
        /* One channel of unequal height and width, from TensorFlow: frames of sound as often as a picture. */
        const bool is_picture = value->rank == 4 && !whole &&
                                (last ? value->dims[3].fixed == 3 || value->dims[3].fixed == 4 ||
                                            (value->dims[3].fixed == 1 && value->dims[1].fixed == value->dims[2].fixed)
                                      : value->dims[1].fixed <= 4);
        bool convolved = false;
        for (uint32_t k = 0; k < value->consumer_count; k++) {
            convolved |= strcmp(value->consumers[k]->op, "Conv") == 0;
        }
        struct cb_view view;
        CB_TRY(cb__lower_fresh(low, value, i == 0 && low->graph->batch_axis == 1 && !low->request->one_sample ? steps_first
                                           : low->request->file_order                ? plain
                                           : last                                    ? plain
                                           : value->rank == 4 && !whole              ? picture
                                           : value->rank == 3 && !whole && convolved ? sequence
                                                                                     : plain, &view));
        view.wire = (struct cb_flat_wire){-1 - (int32_t)flat->input_count, 0};
        flat->contracts[flat->input_count] = is_picture && !low->request->file_order
                                                 ? picture_contract(low, m, &view)
                                                 : other_contract(low, &view, whole ? "text" : "tensor");
        /* A single one is `x`, as in our own files; a name with a dot would look like a layer's output. */
        const bool keeps = low->graph->input_count > 1 && cb__lower_is_good_name(value->name) && strcmp(value->name, "input") != 0 &&
                           strchr(value->name, '.') == NULL;
        flat->input_names[flat->input_count] = keeps ? value->name : flat->input_count == 0 ? "x"
                                               : cb_arena_printf(low->arena, "x%u", (unsigned)flat->input_count + 1);
        if (flat->contracts[flat->input_count] == NULL || flat->input_names[flat->input_count] == NULL) {
            return cb__lower_memory(low);
        }
        flat->input_count++;
        cb__lower_set(low, value, &view);
    }
    return flat->input_count > 0 ? CB_OK : cb_fail(low->diag, CB_UNSUPPORTED, NULL, "`%s` has no input", low->graph->path);
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

static enum cb_status lower_graph(struct cb_lower *low, struct cb_imported *m)
{
    struct cb_onnx_graph *graph = low->graph;
    uint32_t values = 0;
    for (uint32_t i = 0; i < graph->value_count; i++) {
        values = graph->values[i]->index >= values ? graph->values[i]->index + 1 : values;
    }
    for (uint32_t i = 0; i < graph->input_count; i++) {
        values = graph->inputs[i].value->index >= values ? graph->inputs[i].value->index + 1 : values;
    }
    low->views = CB_NEW_ARRAY(low->arena, struct cb_view, (size_t)values + 1);
    low->needed = CB_NEW_ARRAY(low->arena, bool, (size_t)graph->node_count + 1);
    low->matches = CB_NEW_ARRAY(low->arena, const struct cb_lower_match *, (size_t)graph->node_count + 1);
    if (low->views == NULL || low->needed == NULL || low->matches == NULL) {
        return cb__lower_memory(low);
    }
    if (graph->output_count == 0) {
        return cb_fail(low->diag, CB_UNSUPPORTED, NULL, "`%s` has no output", graph->path);
    }
    const struct cb_onnx_value *output = graph->outputs[0].value;
    if (graph->output_count > 1) {
        cb_imported_note(m, "the file has %u outputs; the first, `%s`, is taken", graph->output_count, graph->outputs[0].name);
    }
    CB_TRY(lower_inputs(low, m));
    CB_TRY(cb__lower_find_matches(low));
    cb__lower_find_needed(low, output);
    CB_TRY(cb__lower_nodes(low));
    low->scope = "";
    struct cb_view view;
    if (output->constant != NULL || !low->views[output->index].is_set) {
        return cb_fail(low->diag, CB_UNSUPPORTED, NULL, "`%s`: the output `%s` does not depend on the input", graph->path,
                       graph->outputs[0].name);
    }
    view = low->views[output->index];
    if (view.is_expanded) {
        return cb_fail(low->diag, CB_UNSUPPORTED, NULL, "`%s`: the output `%s` is repeated by an Expand, for which there is no "
                       "layer", graph->path, graph->outputs[0].name);
    }
    if (low->request->file_order && low->graph->batch != 0 && !low->request->one_sample &&
        low->graph->batch_axis == 0 && (output->rank == 0 || !cb_onnx_dim_is_batch(output, 0))) {
        return cb_fail(low->diag, CB_UNSUPPORTED, NULL, "`%s`: the batch of the output `%s` is not its first axis", graph->path,
                       graph->outputs[0].name);
    }
    const uint32_t first = output->rank > 0 && cb_onnx_dim_is_batch(output, 0) ? 1 : 0;
    if ((first == 1 && output->rank == 2) || low->request->file_order) { /* scores: [N,K], however they came about */
        uint32_t axes[CB_MAX_RANK], count = 0;
        for (uint32_t a = 0; a < output->rank; a++) {
            if (!cb_onnx_dim_is_batch(output, a)) {
                axes[count++] = a;
            }
        }
        CB_TRY(cb__lower_arrange_axes(low, &view, axes, count));
    }
    low->flat->output = view.wire;
    return CB_OK;
}

static enum cb_status take_params(struct cb_lower *low, struct cb_imported *m)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < low->flat->layer_count; i++) {
        for (const struct cb_flat_param *p = low->flat->layers[i].params; p != NULL; p = p->next) {
            count++;
        }
    }
    m->entries = CB_NEW_ARRAY(m->arena, struct cb_safetensors_entry, (size_t)count + 1);
    if (m->entries == NULL) {
        return cb__lower_memory(low);
    }
    for (uint32_t i = 0; i < low->flat->layer_count; i++) {
        for (const struct cb_flat_param *p = low->flat->layers[i].params; p != NULL; p = p->next) {
            struct cb_safetensors_entry *entry = &m->entries[m->entry_count++];
            *entry = (struct cb_safetensors_entry){
                .name = cb_arena_printf(m->arena, "%s.%s", low->flat->layers[i].name, p->name), .type = CB_STORED_F32,
                .rank = p->rank, .data = p->data};
            memcpy(entry->dims, p->dims, sizeof(entry->dims));
            if (entry->name == NULL) {
                return cb__lower_memory(low);
            }
        }
    }
    return CB_OK;
}

/* The classes that the file names in `labels`, a list in JSON, at the end of the network file: as many as it has scores. */
static enum cb_status add_labels(struct cb_lower *low, struct cb_imported *m)
{
    const char *text = model_metadata(low, "labels");
    const struct cb_onnx_value *output = low->graph->outputs[0].value;
    struct cb_value *list = NULL, *map = cb_value_map(low->arena, NULL);
    if (text == NULL || cb_json_read_text(low->arena, "labels", text, strlen(text), &list, NULL) != CB_OK ||
        list->kind != CB_KIND_LIST || output->rank != 2 || output->dims[1].fixed != (int64_t)list->as.list.count) {
        return CB_OK;
    }
    struct cb_text yaml = {0};
    if (map != NULL && cb_map_set(low->arena, map, "labels", list)) {
        cb_value_to_yaml(map, &yaml);
    }
    m->yaml = yaml.data != NULL ? cb_arena_printf(m->arena, "%s\n%s", m->yaml, yaml.data) : NULL;
    cb_text_free(&yaml);
    return m->yaml != NULL ? CB_OK : cb__lower_memory(low);
}

static enum cb_status finish(struct cb_lower *low, struct cb_imported *m)
{
    struct cb_flat *flat = low->flat;
    const struct cb_onnx_graph *graph = low->graph;
    if (!cb_flat_prune(flat) || !cb__flat_tidy(flat) || !cb_flat_prune(flat)) {
        return cb__lower_memory(low);
    }
    if (flat->layer_count == 0) {
        return cb_fail(low->diag, CB_UNSUPPORTED, NULL, "`%s` computes nothing: its output is its input", graph->path);
    }
    const char *file = strrchr(graph->path, '/');
    flat->comment = cb_arena_printf(m->arena, "# Imported from %s (ONNX, opset %" PRId64 "%s%s%s%s).\n# Layers are named "
                                    "after the modules that its nodes came from; pictures are channels-last here, [N,H,W,C].\n",
                                    file != NULL ? file + 1 : graph->path, graph->opset,
                                    graph->producer != NULL && graph->producer[0] != '\0' ? ", written by " : "",
                                    graph->producer != NULL ? graph->producer : "",
                                    graph->producer_version != NULL && graph->producer_version[0] != '\0' ? " " : "",
                                    graph->producer_version != NULL ? graph->producer_version : "");
    bool folded;
    if (flat->comment == NULL || !cb_flat_group(flat) || !cb_flat_name(flat)) {
        return cb__lower_memory(low);
    }
    CB_TRY(cb_flat_yaml(flat, &folded, &m->yaml, low->diag));
    CB_TRY(add_labels(low, m));
    return take_params(low, m);
}

enum cb_status cb_import_onnx(const struct cb_import_request *request, struct cb_imported *m, struct cb_diag *diag)
{
    struct cb_onnx_graph *graph;
    const struct cb_onnx_size sizes[] = {{"2", request->size != NULL ? request->size[0] : 0},
                                         {"3", request->size != NULL ? request->size[1] : 0}};
    const struct cb_onnx_options options = {.sizes = sizes, .size_count = request->size != NULL ? 2 : 0,
                                            .keep_batch = request->one_sample};
    CB_TRY(cb_onnx_open(request->path, &graph, NULL, diag));
    enum cb_status status = cb_onnx_simplify(graph, &options, diag);
    if (status == CB_OK) {
        struct cb_flat flat = {.arena = m->arena, .name = m->name};
        struct cb_lower low = {.arena = m->arena, .graph = graph, .flat = &flat, .diag = diag, .request = request, .scope = ""};
        m->format = cb_arena_printf(m->arena, "ONNX opset %" PRId64, graph->opset);
        status = lower_graph(&low, m);
        if (status == CB_OK) {
            status = finish(&low, m);
        }
    }
    cb_onnx_close(graph);
    return status;
}
