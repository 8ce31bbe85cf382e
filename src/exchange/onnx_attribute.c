/* onnx_attribute.c: the attributes of nodes; inside a function, those that refer to the calling node's. */
#include <string.h>

#include "exchange/onnx_internal.h"

/* IR version 1 files name no kind; then the field that is there tells. */
static Onnx__AttributeProto__AttributeType kind_of(const Onnx__AttributeProto *proto)
{
    if (proto->has_type && proto->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED) {
        return proto->type;
    }
    return proto->has_f        ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT
           : proto->has_i      ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT
           : proto->has_s      ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING
           : proto->t          ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR
           : proto->g          ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH
           : proto->n_floats   ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS
           : proto->n_ints     ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS
           : proto->n_strings  ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS
                               : ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED;
}

/* NULL: memory is exhausted, or a zero byte is inside. */
static const char *copy_bytes(struct cb_onnx_graph *graph, const ProtobufCBinaryData *bytes)
{
    if (bytes->len > 0 && memchr(bytes->data, 0, bytes->len)) {
        return NULL;
    }
    return cb_arena_strndup(graph->arena, (const char *)bytes->data, bytes->len);
}

static bool read_reals(struct cb_onnx_graph *graph, const Onnx__AttributeProto *proto, struct cb_onnx_attribute *out)
{
    double *reals = CB_NEW_ARRAY(graph->arena, double, proto->n_floats);
    for (size_t i = 0; reals && i < proto->n_floats; i++) {
        reals[i] = (double)proto->floats[i];
    }
    out->reals = reals;
    out->count = (uint32_t)proto->n_floats;
    return reals;
}

static bool read_strings(struct cb_onnx_graph *graph, const Onnx__AttributeProto *proto,
                         struct cb_onnx_attribute *out)
{
    const char **strings = CB_NEW_ARRAY(graph->arena, const char *, proto->n_strings);
    for (size_t i = 0; strings && i < proto->n_strings; i++) {
        strings[i] = copy_bytes(graph, &proto->strings[i]);
        if (!strings[i]) {
            return false;
        }
    }
    out->strings = strings;
    out->count = (uint32_t)proto->n_strings;
    return strings;
}

static enum cb_status read_attribute(struct cb_onnx_graph *graph, const struct cb_onnx_node *node,
                                     const Onnx__AttributeProto *proto, struct cb_onnx_attribute *out,
                                     struct cb_diag *diag)
{
    bool is_read = true;
    Onnx__AttributeProto__AttributeType kind = kind_of(proto);
    out->kind = (enum cb_onnx_kind)kind;
    switch (kind) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
        out->real = (double)proto->f;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
        out->integer = proto->i;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
        out->string = copy_bytes(graph, &proto->s);
        is_read = out->string;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR: {
        char *name = cb_arena_printf(graph->arena, "%s of node %s", out->name, node->name);
        if (!name || !proto->t) {
            is_read = false;
            break;
        }
        return cb__onnx_read_tensor(graph, proto->t, name, &out->tensor, diag);
    }
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH:
        out->graph = proto->g;
        is_read = proto->g;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
        is_read = read_reals(graph, proto, out);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        out->integers = proto->ints; /* the message lives as long as the graph */
        out->count = (uint32_t)proto->n_ints;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS:
        is_read = read_strings(graph, proto, out);
        break;
    default:
        return cb_onnx_fail(graph, node, CB_UNSUPPORTED, diag, "attribute `%s` is of a kind that is not read",
                            out->name);
    }
    return is_read ? CB_OK : cb_onnx_fail(graph, node, CB_FORMAT, diag, "attribute `%s` has no value", out->name);
}

/* The function that surrounds a scope; branches of an If in it see its attributes too. */
static const struct cb__onnx_scope *function_of(const struct cb__onnx_scope *scope)
{
    while (scope && !scope->function) {
        scope = scope->parent;
    }
    return scope;
}

/* What an attribute that refers to one of the function's is: the caller's, the function's default, or nothing. */
static enum cb_status resolve(struct cb_onnx_graph *graph, const struct cb__onnx_scope *scope,
                              const struct cb_onnx_node *node, const char *reference, struct cb_onnx_attribute *out,
                              bool *out_is_there, struct cb_diag *diag)
{
    const struct cb__onnx_scope *around = function_of(scope);
    *out_is_there = true;
    const char *name = out->name;
    if (!around) {
        return cb_onnx_fail(graph, node, CB_FORMAT, diag, "attribute `%s` refers to `%s` of a function; there is none",
                            name, reference);
    }
    const struct cb_onnx_attribute *given = cb_onnx_attribute(around->call, reference);
    if (given) {
        *out = *given;
        out->name = name;
        return CB_OK;
    }
    for (size_t i = 0; i < around->function->n_attribute_proto; i++) {
        const Onnx__AttributeProto *standard = around->function->attribute_proto[i];
        if (standard->name && strcmp(standard->name, reference) == 0) {
            return read_attribute(graph, node, standard, out, diag);
        }
    }
    *out_is_there = false;
    return CB_OK;
}

enum cb_status cb__onnx_read_attributes(struct cb_onnx_graph *graph, const struct cb__onnx_scope *scope,
                                        const Onnx__NodeProto *proto, struct cb_onnx_node *node, struct cb_diag *diag)
{
    node->attributes = CB_NEW_ARRAY(graph->arena, struct cb_onnx_attribute, proto->n_attribute);
    if (!node->attributes) {
        return cb__onnx_no_memory(graph, diag);
    }
    for (size_t i = 0; i < proto->n_attribute; i++) {
        const Onnx__AttributeProto *attribute = proto->attribute[i];
        struct cb_onnx_attribute *out = &node->attributes[node->attribute_count];
        if (!attribute->name || !*attribute->name) {
            return cb_onnx_fail(graph, node, CB_FORMAT, diag, "an attribute has no name");
        }
        if (cb_onnx_attribute(node, attribute->name)) {
            return cb_onnx_fail(graph, node, CB_FORMAT, diag, "attribute `%s` is there twice", attribute->name);
        }
        out->name = attribute->name;
        bool is_there = true;
        if (attribute->ref_attr_name && *attribute->ref_attr_name) {
            CB_TRY(resolve(graph, scope, node, attribute->ref_attr_name, out, &is_there, diag));
        } else {
            CB_TRY(read_attribute(graph, node, attribute, out, diag));
        }
        node->attribute_count += is_there;
    }
    return CB_OK;
}
