/* onnx_lower.c: the walk over an ONNX graph, and what the operators' functions share. */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
    const char *name = tensor->source != NULL ? tensor->source : tensor->name;
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        if (cb_starts_with(name, made[i])) {
            return false;
        }
    }
    return strchr(name, '.') != NULL && cb_onnx_type_is_real(tensor->type) && strstr(name, "mask") == NULL;
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

bool cb__lower_is_good_name(const char *name)
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
    if (module != NULL && cb__lower_is_good_name(module)) {
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
    CB_TRY(cb__lower_map(low, view, "scale_shift"));
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

const struct cb_onnx_tensor *cb__lower_one_sample(struct cb_lower *low, const struct cb_onnx_tensor *constant)
{
    const int64_t batch = low->graph->batch;
    if (constant->rank < 1 || constant->dims[0] != batch || batch < 2) {
        return constant;
    }
    const int64_t one = constant->count / batch;
    for (int64_t i = one; i < constant->count; i++) {
        if (cb_onnx_tensor_real(constant, i) != cb_onnx_tensor_real(constant, i % one)) {
            return constant;
        }
    }
    struct cb_onnx_tensor *sample = CB_NEW(low->arena, struct cb_onnx_tensor);
    if (sample == NULL) {
        return constant;
    }
    *sample = *constant;
    sample->dims[0] = 1;
    sample->count = one;
    return sample;
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

/* "model/tf.math.maximum_1/Maximum" of TensorFlow is "tf_math_maximum_1": the first part names the model, a dot is a
 * letter of a layer's name. */
static char *scope_of_tensorflow(struct cb_lower *low, const char *path)
{
    const char *first = strchr(path, '/');
    if (cb_starts_with(path, "StatefulPartitionedCall/")) {
        path = first + 1;
        first = strchr(path, '/');
    }
    const char *name = first != NULL && strchr(first + 1, '/') != NULL ? first + 1 : path;
    char *plain = cb_arena_strdup(low->arena, name);
    for (char *c = plain; c != NULL && *c != '\0'; c++) {
        *c = *c == '.' ? '_' : *c;
    }
    return plain != NULL ? scope_of_path(low, plain) : NULL;
}

static const char *scope_of(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const char *list = cb_onnx_metadata(node->metadata, node->metadata_count, "pkg.torch.onnx.name_scopes");
    const bool tensorflow = low->graph->producer != NULL && strcmp(low->graph->producer, "tf2onnx") == 0;
    char *scope = list != NULL ? scope_of_list(low, list)
                  : tensorflow ? scope_of_tensorflow(low, node->name)
                               : scope_of_path(low, node->name);
    return scope != NULL && cb__lower_is_good_name(scope) ? scope : "";
}

/* ---- the walk ---------------------------------------------------------------------------------------------------------- */

static cb_lower_function *find_operator(const struct cb_onnx_node *node)
{
    const struct cb_lower_operator *const tables[] = {cb__lower_pointwise, cb__lower_arithmetic, cb__lower_pictures,
                                                      cb__lower_norms, cb__lower_shapes, cb__lower_products,
                                                      cb__lower_reductions, cb__lower_joins, cb__lower_recurrent};
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
                                                      cb__lower_reductions, cb__lower_joins, cb__lower_recurrent};
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
void cb__lower_find_needed(struct cb_lower *low, const struct cb_onnx_value *output)
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
        const uint32_t inputs = cb__lower_is_recurrent(node) && node->input_count > 4 ? 4 : node->input_count;
        for (uint32_t k = 0; match == NULL && k < inputs; k++) { /* first states are zero, or refused */
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

enum cb_status cb__lower_nodes(struct cb_lower *low)
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
