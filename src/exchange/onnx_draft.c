/* onnx_draft.c: an ONNX graph under construction. See onnx_draft.h. */
#include "exchange/onnx_draft.h"

#include <string.h>

#include "base/text.h"

void cb__draft_begin(struct cb_draft *draft, struct cb_arena *arena, struct cb_diag *diag)
{
    *draft = (struct cb_draft){.arena = arena, .diag = diag};
    onnx__graph_proto__init(&draft->graph);
}

const char *cb__draft_no_memory(struct cb_draft *draft)
{
    if (draft->status == CB_OK) {
        draft->status = cb_fail(draft->diag, CB_MEMORY, NULL, "out of memory");
    }
    return "";
}

size_t cb__draft_bytes(int type)
{
    return type == CB_DRAFT_I64 ? 8 : type == CB_DRAFT_F32 || type == CB_DRAFT_I32 ? 4 : 1;
}

/* ---- names
 * -------------------------------------------------------------------------------------------------------
 */

/* The place of `name`, or the free one where it would stand. */
static size_t place_of(const struct cb_draft *draft, const char *name)
{
    size_t at = (size_t)cb_hash64(name, strlen(name)) & (draft->name_capacity - 1);
    while (draft->names[at] != NULL && strcmp(draft->names[at], name) != 0) {
        at = (at + 1) & (draft->name_capacity - 1);
    }
    return at;
}

static bool make_room(struct cb_draft *draft)
{
    if (draft->name_capacity > 0 && draft->name_count < draft->name_capacity / 2) {
        return true;
    }
    const char **old = draft->names;
    size_t old_capacity = draft->name_capacity,
           capacity = old_capacity > 0 ? old_capacity * 2 : 256;
    const char **names = CB_NEW_ARRAY(draft->arena, const char *, capacity);
    if (names == NULL) {
        return false;
    }
    draft->names = names;
    draft->name_capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i] != NULL) {
            names[place_of(draft, old[i])] = old[i];
        }
    }
    return true;
}

const char *cb__draft_name(struct cb_draft *draft, const char *wanted)
{
    if (draft->status != CB_OK || !make_room(draft)) {
        return cb__draft_no_memory(draft);
    }
    const char *name = wanted;
    for (int number = 2; draft->names[place_of(draft, name)] != NULL; number++) {
        name = cb_arena_printf(draft->arena, "%s_%d", wanted, number);
        if (name == NULL) {
            return cb__draft_no_memory(draft);
        }
    }
    name = name == wanted ? cb_arena_strdup(draft->arena, wanted) : name;
    if (name == NULL) {
        return cb__draft_no_memory(draft);
    }
    draft->names[place_of(draft, name)] = name;
    draft->name_count++;
    return name;
}

/* ---- nodes
 * -------------------------------------------------------------------------------------------------------
 */

/* One more pointer in a growing list of the graph. */
static bool append(struct cb_draft *draft, void ***list, size_t *count, size_t *capacity,
                   void *item)
{
    if (*count == *capacity) {
        size_t more = *capacity > 0 ? *capacity * 2 : 64;
        void **items = CB_NEW_ARRAY(draft->arena, void *, more);
        if (items == NULL) {
            return false;
        }
        if (*count > 0) {
            memcpy(items, *list, *count * sizeof(*items));
        }
        *list = items;
        *capacity = more;
    }
    (*list)[(*count)++] = item;
    return true;
}

static Onnx__AttributeProto *attribute_of(struct cb_draft *draft,
                                          const struct cb_draft_attribute *a)
{
    Onnx__AttributeProto *out = CB_NEW(draft->arena, Onnx__AttributeProto);
    if (out == NULL) {
        return NULL;
    }
    onnx__attribute_proto__init(out);
    out->name = cb_arena_strdup(draft->arena, a->name);
    out->has_type = 1;
    out->type = (Onnx__AttributeProto__AttributeType)a->kind;
    if (a->kind == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT) {
        out->has_i = 1;
        out->i = a->integer;
    } else if (a->kind == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT) {
        out->has_f = 1;
        out->f = a->real;
    } else if (a->kind == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING) {
        out->has_s = 1;
        out->s.data = (uint8_t *)cb_arena_strdup(draft->arena, a->text);
        out->s.len = strlen(a->text);
    } else {
        out->n_ints = a->count;
        out->ints = cb_arena_copy(draft->arena, a->ints, a->count * sizeof(*a->ints));
    }
    return out;
}

static bool fill_inputs(struct cb_draft *draft, Onnx__NodeProto *node, const char *const *inputs,
                        size_t count)
{
    while (count > 0 && inputs[count - 1] == NULL) {
        count--;
    }
    node->input = CB_NEW_ARRAY(draft->arena, char *, count + 1);
    for (size_t i = 0; node->input != NULL && i < count; i++) {
        node->input[i] = (char *)(inputs[i] != NULL ? inputs[i] : "");
    }
    node->n_input = count;
    return node->input != NULL;
}

static bool fill_attributes(struct cb_draft *draft, Onnx__NodeProto *node,
                            const struct cb_draft_attribute *attributes, size_t count)
{
    node->attribute = CB_NEW_ARRAY(draft->arena, Onnx__AttributeProto *, count + 1);
    node->n_attribute = count;
    for (size_t i = 0; node->attribute != NULL && i < count; i++) {
        node->attribute[i] = attribute_of(draft, &attributes[i]);
        if (node->attribute[i] == NULL) {
            return false;
        }
    }
    return node->attribute != NULL;
}

void cb__draft_node_outputs(struct cb_draft *draft, const char *layer, const char *op,
                            const char *const *inputs, size_t input_count,
                            const struct cb_draft_attribute *attributes, size_t attribute_count,
                            const char **out, size_t out_count)
{
    for (size_t i = 0; i < out_count; i++) {
        out[i] = "";
    }
    Onnx__NodeProto *node = draft->status == CB_OK ? CB_NEW(draft->arena, Onnx__NodeProto) : NULL;
    const char *wanted = cb_arena_printf(draft->arena, "%s/%s", layer, op);
    if (node == NULL || wanted == NULL) {
        cb__draft_no_memory(draft);
        return;
    }
    onnx__node_proto__init(node);
    node->op_type = cb_arena_strdup(draft->arena, op);
    node->output = CB_NEW_ARRAY(draft->arena, char *, out_count);
    if (node->op_type == NULL || node->output == NULL ||
        !fill_inputs(draft, node, inputs, input_count) ||
        !fill_attributes(draft, node, attributes, attribute_count) ||
        !append(draft, (void ***)&draft->graph.node, &draft->graph.n_node, &draft->node_capacity,
                node)) {
        cb__draft_no_memory(draft);
        return;
    }
    node->n_output = out_count;
    for (size_t i = 0; i < out_count; i++) {
        out[i] = cb__draft_name(draft, wanted);
        node->output[i] = (char *)out[i];
    }
    node->name = node->output[0];
}

const char *cb__draft_node(struct cb_draft *draft, const char *layer, const char *op,
                           const char *const *inputs, size_t input_count,
                           const struct cb_draft_attribute *attributes, size_t attribute_count)
{
    const char *out;
    cb__draft_node_outputs(draft, layer, op, inputs, input_count, attributes, attribute_count, &out,
                           1);
    return out;
}

void cb__draft_rename(struct cb_draft *draft, const char *from, const char *to)
{
    for (size_t i = 0; i < draft->graph.n_node; i++) {
        Onnx__NodeProto *node = draft->graph.node[i];
        for (size_t k = 0; k < node->n_input; k++) {
            node->input[k] = strcmp(node->input[k], from) == 0 ? (char *)to : node->input[k];
        }
        for (size_t k = 0; k < node->n_output; k++) {
            node->output[k] = strcmp(node->output[k], from) == 0 ? (char *)to : node->output[k];
        }
    }
}

/* ---- initializers, inputs, outputs
 * ------------------------------------------------------------------------------- */

const char *cb__draft_initializer(struct cb_draft *draft, const char *wanted, int type,
                                  uint32_t rank, const int64_t *dims, const void *data)
{
    Onnx__TensorProto *tensor =
        draft->status == CB_OK ? CB_NEW(draft->arena, Onnx__TensorProto) : NULL;
    if (tensor == NULL) {
        return cb__draft_no_memory(draft);
    }
    size_t bytes = cb__draft_bytes(type);
    for (uint32_t i = 0; i < rank; i++) {
        bytes *= (size_t)dims[i];
    }
    onnx__tensor_proto__init(tensor);
    tensor->name = (char *)cb__draft_name(draft, wanted);
    tensor->has_data_type = 1;
    tensor->data_type = type;
    tensor->n_dims = rank;
    tensor->dims = CB_NEW_ARRAY(draft->arena, int64_t, rank + 1);
    if (tensor->dims == NULL) {
        return cb__draft_no_memory(draft);
    }
    for (uint32_t i = 0; i < rank; i++) {
        tensor->dims[i] = dims[i];
    }
    tensor->has_raw_data = 1;
    tensor->raw_data.len = bytes;
    tensor->raw_data.data = (uint8_t *)data;
    draft->value_bytes += bytes;
    if (!append(draft, (void ***)&draft->graph.initializer, &draft->graph.n_initializer,
                &draft->initializer_capacity, tensor)) {
        return cb__draft_no_memory(draft);
    }
    return tensor->name;
}

static Onnx__ValueInfoProto *value_of(struct cb_draft *draft, const char *name, int type,
                                      uint32_t rank, const int64_t *dims, const char *doc)
{
    struct cb_arena *arena = draft->arena;
    Onnx__ValueInfoProto *value = CB_NEW(arena, Onnx__ValueInfoProto);
    Onnx__TypeProto *kind = CB_NEW(arena, Onnx__TypeProto);
    Onnx__TypeProto__Tensor *tensor = CB_NEW(arena, Onnx__TypeProto__Tensor);
    Onnx__TensorShapeProto *shape = CB_NEW(arena, Onnx__TensorShapeProto);
    Onnx__TensorShapeProto__Dimension **list =
        CB_NEW_ARRAY(arena, Onnx__TensorShapeProto__Dimension *, rank + 1);
    Onnx__TensorShapeProto__Dimension *items =
        CB_NEW_ARRAY(arena, Onnx__TensorShapeProto__Dimension, rank + 1);
    if (value == NULL || kind == NULL || tensor == NULL || shape == NULL || list == NULL ||
        items == NULL) {
        return NULL;
    }
    onnx__value_info_proto__init(value);
    onnx__type_proto__init(kind);
    onnx__type_proto__tensor__init(tensor);
    onnx__tensor_shape_proto__init(shape);
    for (uint32_t i = 0; i < rank; i++) {
        list[i] = &items[i];
        onnx__tensor_shape_proto__dimension__init(list[i]);
        list[i]->value_case = dims[i] >= 0 ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
                                           : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        if (dims[i] >= 0) {
            list[i]->dim_value = dims[i];
        } else {
            list[i]->dim_param = (char *)"N";
        }
    }
    shape->n_dim = rank;
    shape->dim = list;
    tensor->has_elem_type = 1;
    tensor->elem_type = type;
    tensor->shape = shape;
    kind->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    kind->tensor_type = tensor;
    value->name = cb_arena_strdup(arena, name);
    value->type = kind;
    value->doc_string = doc != NULL ? cb_arena_strdup(arena, doc) : NULL;
    return value;
}

/* Graphs have few of these: the list is copied for each. */
static void add_value(struct cb_draft *draft, Onnx__ValueInfoProto ***list, size_t *count,
                      Onnx__ValueInfoProto *value)
{
    Onnx__ValueInfoProto **items = CB_NEW_ARRAY(draft->arena, Onnx__ValueInfoProto *, *count + 1);
    if (value == NULL || items == NULL) {
        cb__draft_no_memory(draft);
        return;
    }
    for (size_t i = 0; i < *count; i++) {
        items[i] = (*list)[i];
    }
    items[(*count)++] = value;
    *list = items;
}

void cb__draft_input(struct cb_draft *draft, const char *name, int type, uint32_t rank,
                     const int64_t *dims, const char *doc)
{
    add_value(draft, &draft->graph.input, &draft->graph.n_input,
              value_of(draft, name, type, rank, dims, doc));
}

void cb__draft_output(struct cb_draft *draft, const char *name, int type, uint32_t rank,
                      const int64_t *dims, const char *doc)
{
    add_value(draft, &draft->graph.output, &draft->graph.n_output,
              value_of(draft, name, type, rank, dims, doc));
}
