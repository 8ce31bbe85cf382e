/* onnx_lower.c: the walk over an ONNX graph, what the operators' functions share, and the import as a whole. */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "exchange/import.h"
#include "exchange/onnx_lower.h"

/* ---- what operators share -------------------------------------------------------------------------------------------- */

enum cb_status cb__lower_fail(struct cb_lower *low, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = cb_arena_vprintf(low->arena, fmt, args);
    va_end(args);
    return cb_onnx_fail(low->graph, low->node, CB_UNSUPPORTED, low->diag, "%s", text != NULL ? text : "out of memory");
}

enum cb_status cb__lower_memory(struct cb_lower *low)
{
    return cb_fail(low->diag, CB_MEMORY, NULL, "out of memory");
}

enum cb_status cb__lower_add(struct cb_lower *low, const char *word, const struct cb_flat_wire *inputs, uint32_t count,
                             struct cb_flat_wire *out)
{
    if (cb_flat_add(low->flat, word, low->scope, inputs, count) == NULL) {
        return cb__lower_memory(low);
    }
    if (out != NULL) {
        *out = (struct cb_flat_wire){(int32_t)low->flat->layer_count - 1, 0};
    }
    return CB_OK;
}

static struct cb_flat_layer *last(struct cb_lower *low)
{
    return &low->flat->layers[low->flat->layer_count - 1];
}

static void set_option(struct cb_lower *low, const char *key, struct cb_value *value)
{
    if (value != NULL) {
        cb_map_set(low->arena, last(low)->options, key, value);
    }
}

void cb__lower_int(struct cb_lower *low, const char *key, int64_t value)
{
    set_option(low, key, cb_value_int(low->arena, value, NULL));
}

void cb__lower_real(struct cb_lower *low, const char *key, double value)
{
    set_option(low, key, cb_value_real(low->arena, value, NULL));
}

void cb__lower_bool(struct cb_lower *low, const char *key, bool value)
{
    set_option(low, key, cb_value_bool(low->arena, value, NULL));
}

void cb__lower_text(struct cb_lower *low, const char *key, const char *value)
{
    set_option(low, key, cb_value_text(low->arena, value, NULL));
}

void cb__lower_list(struct cb_lower *low, const char *key, const int64_t *values, uint32_t count)
{
    struct cb_value *list = cb_value_list(low->arena, NULL);
    for (uint32_t i = 0; list != NULL && i < count; i++) {
        cb_list_append(low->arena, list, cb_value_int(low->arena, values[i], NULL));
    }
    if (count > 0) {
        set_option(low, key, list);
    }
}

void cb__lower_ints(struct cb_lower *low, const char *key, const int64_t *values, uint32_t count)
{
    bool equal = true;
    for (uint32_t i = 1; i < count; i++) {
        equal &= values[i] == values[0];
    }
    if (equal) {
        cb__lower_int(low, key, values[0]);
    } else if (count == 4 && values[0] == values[1] && values[2] == values[3]) {
        const int64_t two[] = {values[0], values[2]};
        cb__lower_list(low, key, two, 2);
    } else {
        cb__lower_list(low, key, values, count);
    }
}

enum cb_status cb__lower_param(struct cb_lower *low, const char *name, uint32_t rank, const int64_t *dims, const float *data)
{
    struct cb_flat_param *param = CB_NEW(low->arena, struct cb_flat_param);
    if (param == NULL) {
        return cb__lower_memory(low);
    }
    *param = (struct cb_flat_param){.name = name, .rank = rank, .data = data};
    memcpy(param->dims, dims, rank * sizeof(*dims));
    struct cb_flat_param **end = &last(low)->params;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = param;
    return CB_OK;
}

bool cb__lower_is_trained(const struct cb_onnx_tensor *tensor)
{
    static const char *const made[] = {"onnx::", "/", "_val_", "val_", "scalar_", "lift_", "Constant", "_attn_mask"};
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        if (cb_starts_with(tensor->name, made[i])) {
            return false;
        }
    }
    return strchr(tensor->name, '.') != NULL && cb_onnx_type_is_real(tensor->type) && strstr(tensor->name, "mask") == NULL;
}

/* "layer1.0.conv1" of "layer1.0.conv1.weight"; NULL when it is no name of a module's. */
static char *module_of(struct cb_lower *low, const char *tensor)
{
    static const char *const endings[] = {".weight", ".weight_bias", ".bias", ".gamma", ".beta"};
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        const size_t length = strlen(tensor), end = strlen(endings[i]);
        if (length > end && cb_ends_with(tensor, endings[i])) {
            return cb_arena_strndup(low->arena, tensor, length - end);
        }
    }
    return NULL;
}

static bool is_good_name(const char *name)
{
    for (const char *c = name; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '.' && *c != '-') {
            return false;
        }
    }
    return name[0] != '\0' && name[0] != '.' && strlen(name) <= 150 && strstr(name, "..") == NULL &&
           name[strlen(name) - 1] != '.';
}

void cb__lower_owner(struct cb_lower *low, const struct cb_onnx_tensor *tensor)
{
    struct cb_flat_layer *layer = last(low);
    const char *module = tensor != NULL && cb__lower_is_trained(tensor) ? module_of(low, tensor->name) : NULL;
    /* Tensors of equal values may have been made one: only one below or beside the node's own scope is believed. */
    if (module != NULL && is_good_name(module)) {
        const char *dot = strrchr(module, '.');
        const size_t length = dot != NULL ? (size_t)(dot - module) : 0;
        if (layer->scope[0] == '\0' || (strncmp(layer->scope, module, length) == 0 &&
                                        strchr(layer->scope + length + (layer->scope[length] == '.'), '.') == NULL) ||
            cb_starts_with(module, layer->scope)) {
            layer->scope = module;
            layer->is_leaf = true;
        }
    }
}

void cb__lower_freeze(struct cb_lower *low)
{
    last(low)->frozen = true;
}

void cb__lower_set(struct cb_lower *low, const struct cb_onnx_value *value, const struct cb_view *view)
{
    if (value == NULL) {
        return;
    }
    low->views[value->index] = *view;
    low->views[value->index].is_set = true;
    bool fits = !value->has_shape || value->rank == view->rank;
    for (uint32_t d = 0; value->has_shape && fits && d < view->rank && !view->is_expanded; d++) {
        const struct cb_onnx_dim dim = value->dims[d];
        fits = (dim.batch != 0) == cb__atoms_have(&view->axes[d], 0) &&
               (dim.batch != 0 ? dim.batch : dim.fixed) == cb__atoms_size(view, &view->axes[d]);
    }
    int64_t wire = 1;
    for (uint32_t d = 0; d < view->wire_rank; d++) {
        wire *= view->wire_dims[d];
    }
    low->is_wrong |= !fits || wire != cb__atoms_size(view, &view->order);
}

enum cb_status cb__lower_map(struct cb_lower *low, struct cb_view *view, const char *word)
{
    return cb__lower_add(low, word, &view->wire, 1, &view->wire);
}

enum cb_status cb__lower_affine(struct cb_lower *low, struct cb_view *view, double scale, double shift)
{
    if (scale == 1.0 && shift == 0.0) {
        return CB_OK;
    }
    CB_TRY(cb__lower_map(low, view, "affine"));
    cb__lower_real(low, "scale", scale);
    cb__lower_real(low, "shift", shift);
    return CB_OK;
}

bool cb__lower_uniform(const struct cb_onnx_tensor *tensor, double *out)
{
    if (tensor == NULL || tensor->count < 1) {
        return false;
    }
    *out = cb_onnx_tensor_real(tensor, 0);
    for (int64_t i = 1; i < tensor->count; i++) {
        if (cb_onnx_tensor_real(tensor, i) != *out) {
            return false;
        }
    }
    return true;
}

int64_t cb__lower_axis(int64_t axis, uint32_t rank)
{
    axis = axis < 0 ? axis + rank : axis;
    return axis >= 0 && axis < rank ? axis : -1;
}

bool cb__lower_constant_ints(const struct cb_onnx_node *node, uint32_t input, int64_t *out, uint32_t most, uint32_t *count)
{
    const struct cb_onnx_tensor *tensor = cb_onnx_constant(node, input);
    if (tensor == NULL || tensor->count > most) {
        return false;
    }
    cb_onnx_tensor_i64(tensor, out);
    *count = (uint32_t)tensor->count;
    return true;
}

/* ---- scopes ------------------------------------------------------------------------------------------------------------ */

/* "['', 'layer1', 'layer1.0', 'layer1.0.relu', 'relu_1']": the last but one is the module. */
static char *scope_of_list(struct cb_lower *low, const char *list)
{
    const char *begin[2] = {NULL, NULL};
    size_t length[2] = {0, 0};
    for (const char *c = strchr(list, '\''); c != NULL; c = strchr(c + 1, '\'')) {
        const char *end = strchr(c + 1, '\'');
        if (end == NULL) {
            break;
        }
        begin[0] = begin[1];
        length[0] = length[1];
        begin[1] = c + 1;
        length[1] = (size_t)(end - c) - 1;
        c = end;
    }
    return begin[0] != NULL ? cb_arena_strndup(low->arena, begin[0], length[0]) : NULL;
}

/* "/layer1/layer1.0/conv1/Conv" is "layer1.0.conv1": a part that begins with the whole one before it replaces it. */
static char *scope_of_path(struct cb_lower *low, const char *path)
{
    struct cb_text scope = {0};
    char *last_part = NULL;
    const char *end = strrchr(path, '/');
    for (const char *c = path; end != NULL && c < end;) {
        const char *next = strchr(c + 1, '/');
        char *part = cb_arena_strndup(low->arena, c + (*c == '/'), (size_t)(next - c) - (*c == '/'));
        if (part == NULL) {
            break;
        }
        const size_t before = last_part != NULL ? strlen(last_part) : 0;
        if (before > 0 && strncmp(part, last_part, before) == 0 && part[before] == '.') {
            cb_text_add(&scope, part + before);
        } else {
            cb_text_addf(&scope, "%s%s", scope.length > 0 ? "." : "", part);
        }
        last_part = part;
        c = next;
    }
    char *out = scope.length > 0 && !scope.failed ? cb_arena_strdup(low->arena, scope.data) : NULL;
    cb_text_free(&scope);
    return out;
}

static const char *scope_of(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const char *list = cb_onnx_metadata(node->metadata, node->metadata_count, "pkg.torch.onnx.name_scopes");
    char *scope = list != NULL ? scope_of_list(low, list) : scope_of_path(low, node->name);
    return scope != NULL && is_good_name(scope) ? scope : "";
}

/* ---- the walk ---------------------------------------------------------------------------------------------------------- */

static cb_lower_function *find_operator(const struct cb_onnx_node *node)
{
    const struct cb_lower_operator *const tables[] = {cb__lower_pointwise, cb__lower_arithmetic, cb__lower_pictures,
                                                      cb__lower_norms, cb__lower_shapes, cb__lower_products,
                                                      cb__lower_reductions};
    if (node->domain[0] != '\0' && strcmp(node->domain, "com.microsoft") != 0) {
        return NULL;
    }
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
        for (const struct cb_lower_operator *op = tables[t]; op->op != NULL; op++) {
            if (strcmp(op->op, node->op) == 0) {
                return op->lower;
            }
        }
    }
    return NULL;
}

static enum cb_status fail_unknown(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const struct cb_lower_operator *const tables[] = {cb__lower_pointwise, cb__lower_arithmetic, cb__lower_pictures,
                                                      cb__lower_norms, cb__lower_shapes, cb__lower_products,
                                                      cb__lower_reductions};
    const char *words[256];
    size_t count = 0;
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
        for (const struct cb_lower_operator *op = tables[t]; op->op != NULL && count < 256; op++) {
            words[count++] = op->op;
        }
    }
    const char *nearest = cb_nearest_of(node->op, words, count);
    if (nearest != NULL && strcmp(nearest, node->op) != 0) {
        return cb__lower_fail(low, "there is no layer for this operator; the nearest that can be read is `%s`", nearest);
    }
    return cb__lower_fail(low, "there is no layer for this operator%s%s", node->domain[0] != '\0' ? " of the domain " : "",
                          node->domain);
}

static void need(struct cb_lower *low, const struct cb_onnx_value *value)
{
    if (value != NULL && value->constant == NULL && value->producer != NULL) {
        low->needed[value->producer->index] = true;
    }
}

/* Which nodes are to be lowered: from the output backwards, past what a pattern swallows. */
static void find_needed(struct cb_lower *low, const struct cb_onnx_value *output)
{
    need(low, output);
    for (uint32_t i = low->graph->node_count; i-- > 0;) {
        const struct cb_onnx_node *node = low->graph->nodes[i];
        const struct cb_lower_match *match = low->matches[i];
        if (!low->needed[i]) {
            continue;
        }
        for (uint32_t k = 0; match != NULL && k < match->input_count; k++) {
            need(low, match->inputs[k]);
        }
        for (uint32_t k = 0; match == NULL && k < node->input_count; k++) {
            need(low, node->inputs[k]);
        }
    }
}

/* What was made must have the shape that the reader found: nothing wrong is ever written. */
static enum cb_status check_shape(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const struct cb_onnx_value *out = cb_onnx_output(node, 0);
    char shape[512];
    return !low->is_wrong ? CB_OK
                          : cb__lower_fail(low, "a result of shape %s cannot be made of its inputs here",
                                           out != NULL ? cb_onnx_format_shape(out, shape) : "?");
}

static enum cb_status lower_nodes(struct cb_lower *low)
{
    for (uint32_t i = 0; i < low->graph->node_count; i++) {
        const struct cb_onnx_node *node = low->graph->nodes[i];
        if (!low->needed[i]) {
            continue;
        }
        low->node = node;
        low->scope = scope_of(low, node);
        if (low->matches[i] != NULL) {
            CB_TRY(low->matches[i]->lower(low, node, low->matches[i]));
            CB_TRY(check_shape(low, node));
            continue;
        }
        cb_lower_function *function = find_operator(node);
        if (function == NULL) {
            return fail_unknown(low, node);
        }
        CB_TRY(function(low, node));
        CB_TRY(check_shape(low, node));
    }
    return CB_OK;
}

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

static struct cb_value *picture_contract(struct cb_lower *low, struct cb_imported *m, const struct cb_view *view)
{
    static const double mean3[] = {123.675, 116.28, 103.53}, std3[] = {58.395, 57.12, 57.375};
    struct cb_value *map = cb_value_map(low->arena, NULL), *scale = cb_value_map(low->arena, NULL);
    struct cb_value *shape = cb_value_list(low->arena, NULL);
    if (map == NULL || scale == NULL || shape == NULL) {
        return NULL;
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

static enum cb_status lower_inputs(struct cb_lower *low, struct cb_imported *m)
{
    static const uint32_t picture[] = {0, 2, 3, 1}, sequence[] = {0, 2, 1}, plain[] = {0, 1, 2, 3, 4, 5, 6, 7};
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
        if (!value->has_shape || value->rank < 2) {
            return cb_fail(low->diag, CB_UNSUPPORTED, NULL, "`%s`: input `%s` has no axis behind the batch", low->graph->path,
                           value->name);
        }
        const bool whole = !cb_onnx_type_is_real(value->type);
        const bool is_picture = value->rank == 4 && !whole && value->dims[1].fixed <= 4;
        bool convolved = false;
        for (uint32_t k = 0; k < value->consumer_count; k++) {
            convolved |= strcmp(value->consumers[k]->op, "Conv") == 0;
        }
        struct cb_view view;
        CB_TRY(cb__lower_fresh(low, value, value->rank == 4 && !whole              ? picture
                                           : value->rank == 3 && !whole && convolved ? sequence
                                                                                     : plain, &view));
        view.wire = (struct cb_flat_wire){-1 - (int32_t)flat->input_count, 0};
        flat->contracts[flat->input_count] = is_picture ? picture_contract(low, m, &view)
                                                        : other_contract(low, &view, whole ? "text" : "tensor");
        flat->input_names[flat->input_count] = is_good_name(value->name) && strcmp(value->name, "input") != 0
                                                   ? value->name
                                                   : cb_arena_printf(low->arena, "x%u", (unsigned)flat->input_count);
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
    find_needed(low, output);
    CB_TRY(lower_nodes(low));
    low->scope = "";
    struct cb_view view;
    if (output->constant != NULL || !low->views[output->index].is_set) {
        return cb_fail(low->diag, CB_UNSUPPORTED, NULL, "`%s`: the output `%s` does not depend on the input", graph->path,
                       graph->outputs[0].name);
    }
    view = low->views[output->index];
    if (output->rank == 2 && cb_onnx_dim_is_batch(output, 0)) { /* scores: [N,K], however they came about */
        static const uint32_t classes[] = {1};
        CB_TRY(cb__lower_arrange_axes(low, &view, classes, 1));
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

static enum cb_status finish(struct cb_lower *low, struct cb_imported *m)
{
    struct cb_flat *flat = low->flat;
    const struct cb_onnx_graph *graph = low->graph;
    if (!cb_flat_prune(flat) || !cb__flat_tidy(flat) || !cb_flat_prune(flat) || !cb_flat_name(flat)) {
        return cb__lower_memory(low);
    }
    const char *file = strrchr(graph->path, '/');
    flat->comment = cb_arena_printf(m->arena, "# Imported from %s (ONNX, opset %" PRId64 "%s%s%s%s). Layers are named after the "
                                    "modules that its nodes\n# came from; pictures are channels-last here, [N,H,W,C].\n",
                                    file != NULL ? file + 1 : graph->path, graph->opset,
                                    graph->producer != NULL && graph->producer[0] != '\0' ? ", written by " : "",
                                    graph->producer != NULL ? graph->producer : "",
                                    graph->producer_version != NULL && graph->producer_version[0] != '\0' ? " " : "",
                                    graph->producer_version != NULL ? graph->producer_version : "");
    bool folded;
    CB_TRY(cb_flat_yaml(flat, &folded, &m->yaml, low->diag));
    return take_params(low, m);
}

enum cb_status cb_import_onnx(const struct cb_import_request *request, struct cb_imported *m, struct cb_diag *diag)
{
    struct cb_onnx_graph *graph;
    const struct cb_onnx_size sizes[] = {{"2", request->size != NULL ? request->size[0] : 0},
                                         {"3", request->size != NULL ? request->size[1] : 0}};
    const struct cb_onnx_options options = {.sizes = sizes, .size_count = request->size != NULL ? 2 : 0};
    CB_TRY(cb_onnx_open(request->path, &graph, NULL, diag));
    enum cb_status status = cb_onnx_simplify(graph, &options, diag);
    if (status == CB_OK) {
        struct cb_flat flat = {.arena = m->arena, .name = m->name};
        struct cb_lower low = {.arena = m->arena, .graph = graph, .flat = &flat, .diag = diag, .scope = ""};
        m->format = cb_arena_printf(m->arena, "ONNX opset %" PRId64, graph->opset);
        status = lower_graph(&low, m);
        if (status == CB_OK) {
            status = finish(&low, m);
        }
    }
    cb_onnx_close(graph);
    return status;
}
