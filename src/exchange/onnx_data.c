/* onnx_data.c: the tensors of a file: raw bytes where they lie, typed lists, external data.
 *
 * External data (docs/ExternalData.md): `location` is a path below the model's folder, `offset` and `length` a part of
 * that file. Each such file is mapped once. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/onnx_internal.h"

static enum cb_status fail_tensor(const struct cb_onnx_graph *graph, const struct cb_onnx_tensor *tensor,
                                  enum cb_status status, struct cb_diag *diag, const char *fmt, ...) CB_PRINTF(5, 6);

static enum cb_status fail_tensor(const struct cb_onnx_graph *graph, const struct cb_onnx_tensor *tensor,
                                  enum cb_status status, struct cb_diag *diag, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return cb_fail(diag, status, graph->model->at, "`%s`: tensor `%s` %s", graph->path, tensor->name, text);
}

/* ---- external data -------------------------------------------------------------------------------------------- */

/* A path that stays below the folder: no absolute one, no `..`, nothing that is one on another system. */
static bool stays_below(const char *location)
{
    if (*location == '\0' || *location == '/' || strchr(location, '\\') || strchr(location, ':')) {
        return false;
    }
    for (const char *part = location; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0')) {
            return false;
        }
    }
    return true;
}

static enum cb_status map_external(struct cb_onnx_graph *graph, const struct cb_onnx_tensor *tensor,
                                   const char *location, const struct cb_mapping **out, struct cb_diag *diag)
{
    struct cb__onnx_model *model = graph->model;
    for (uint32_t i = 0; i < model->external_count; i++) {
        if (strcmp(model->externals[i].location, location) == 0) {
            *out = &model->externals[i].mapping;
            return CB_OK;
        }
    }
    if (!stays_below(location)) {
        return fail_tensor(graph, tensor, CB_FORMAT, diag, "has its values in `%s`, outside of the model's folder",
                           location);
    }
    if (model->external_count == CB__ONNX_MAX_EXTERNALS) {
        return fail_tensor(graph, tensor, CB_UNSUPPORTED, diag, "has its values in a file of its own, after %d others",
                           CB__ONNX_MAX_EXTERNALS);
    }
    if (!model->externals) {
        model->externals = CB_NEW_ARRAY(graph->arena, struct cb__onnx_external, CB__ONNX_MAX_EXTERNALS);
    }
    char *folder = cb_path_folder(graph->arena, graph->path);
    char *path = folder ? cb_path_join(graph->arena, folder, location) : NULL;
    char *kept = cb_arena_strdup(graph->arena, location);
    if (!model->externals || !path || !kept) {
        return cb__onnx_no_memory(graph, diag);
    }
    struct cb__onnx_external *external = &model->externals[model->external_count];
    enum cb_status status = cb_file_map(path, &external->mapping, model->at, diag);
    if (status != CB_OK) {
        cb_note(diag, model->at, "`%s` has the values of tensor `%s` in that file: it belongs beside the model",
                graph->path, tensor->name);
        return status;
    }
    external->location = kept;
    model->external_count++;
    model->file_bytes += (int64_t)external->mapping.bytes;
    *out = &external->mapping;
    return CB_OK;
}

static bool read_count(const char *text, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

static enum cb_status read_external(struct cb_onnx_graph *graph, const Onnx__TensorProto *proto,
                                    struct cb_onnx_tensor *tensor, int64_t bytes, struct cb_diag *diag)
{
    const char *location = NULL;
    uint64_t offset = 0, length = (uint64_t)bytes;
    for (size_t i = 0; i < proto->n_external_data; i++) {
        const char *key = proto->external_data[i]->key, *value = proto->external_data[i]->value;
        if (!key || !value) {
            continue;
        }
        if (strcmp(key, "location") == 0) {
            location = value;
        } else if ((strcmp(key, "offset") == 0 && !read_count(value, &offset)) ||
                   (strcmp(key, "length") == 0 && !read_count(value, &length))) {
            return fail_tensor(graph, tensor, CB_FORMAT, diag, "has `%s` as the %s of its external data", value, key);
        }
    }
    if (!location) {
        return fail_tensor(graph, tensor, CB_FORMAT, diag, "has external data without a location");
    }
    const struct cb_mapping *mapping = NULL;
    CB_TRY(map_external(graph, tensor, location, &mapping, diag));
    if (length != (uint64_t)bytes) {
        return fail_tensor(graph, tensor, CB_FORMAT, diag, "needs %" PRId64 " bytes, but has %" PRIu64 " in `%s`",
                           bytes, length, location);
    }
    if (offset > mapping->bytes || (uint64_t)bytes > mapping->bytes - offset) {
        return fail_tensor(graph, tensor, CB_FORMAT, diag,
                           "ends past the end of `%s`: %" PRId64 " bytes at byte %" PRIu64 " of %zu", location, bytes,
                           offset, mapping->bytes);
    }
    tensor->data = mapping->data + offset;
    return CB_OK;
}

/* ---- data in the model's file --------------------------------------------------------------------------------- */

static enum cb_status wrong_count(struct cb_onnx_graph *graph, const struct cb_onnx_tensor *tensor, uint64_t has,
                                  const char *unit, uint64_t needs, struct cb_diag *diag)
{
    char dims[192];
    int at = snprintf(dims, sizeof(dims), "[");
    for (uint32_t i = 0; i < tensor->rank; i++) {
        at += snprintf(dims + at, sizeof(dims) - (size_t)at, "%s%" PRId64, i ? ", " : "", tensor->dims[i]);
    }
    return fail_tensor(graph, tensor, CB_FORMAT, diag, "%s] of %s needs %" PRIu64 " %s, but has %" PRIu64, dims,
                       cb_onnx_type_name(tensor->type), needs, unit, has);
}

/* The field in which the values of a type stand one by one. */
static int field_of(enum cb_onnx_type type)
{
    switch (type) {
    case CB_ONNX_FLOAT: return 4;
    case CB_ONNX_INT64: return 7;
    case CB_ONNX_DOUBLE: return 10;
    case CB_ONNX_UINT32:
    case CB_ONNX_UINT64: return 11;
    default: return 5; /* int32_data; halves by their bits */
    }
}

static enum cb_status read_typed(struct cb_onnx_graph *graph, const Onnx__TensorProto *proto,
                                 struct cb_onnx_tensor *tensor, struct cb_diag *diag)
{
    int field = field_of(tensor->type);
    size_t has = field == 4 ? proto->n_float_data : field == 5 ? proto->n_int32_data : field == 7 ? proto->n_int64_data
               : field == 10 ? proto->n_double_data : proto->n_uint64_data;
    if (has != (uint64_t)tensor->count) {
        return wrong_count(graph, tensor, has, "values", (uint64_t)tensor->count, diag);
    }
    struct cb_onnx_tensor *made = cb__onnx_make_tensor(graph, tensor->type, tensor->rank, tensor->dims);
    if (!made) {
        return cb__onnx_no_memory(graph, diag);
    }
    tensor->data = made->data;
    bool is_half = tensor->type == CB_ONNX_FLOAT16 || tensor->type == CB_ONNX_BFLOAT16;
    for (int64_t i = 0; i < made->count; i++) {
        if (field == 4) {
            cb__onnx_store_real(made, i, (double)proto->float_data[i]);
        } else if (field == 10) {
            cb__onnx_store_real(made, i, proto->double_data[i]);
        } else if (is_half) {
            uint16_t bits = (uint16_t)proto->int32_data[i];
            memcpy((unsigned char *)made->data + 2 * i, &bits, sizeof(bits));
        } else {
            cb__onnx_store_int(made, i, field == 5   ? proto->int32_data[i]
                                        : field == 7 ? proto->int64_data[i]
                                                     : (int64_t)proto->uint64_data[i]);
        }
    }
    return CB_OK;
}

/* What stands in raw_data is where the bytes are (onnx_wire.c). */
static enum cb_status read_mapped(struct cb_onnx_graph *graph, const Onnx__TensorProto *proto,
                                  struct cb_onnx_tensor *tensor, int64_t bytes, struct cb_diag *diag)
{
    struct cb__onnx_ref ref;
    memcpy(&ref, proto->raw_data.data, sizeof(ref));
    if (ref.field != 9 && ref.field != (uint64_t)field_of(tensor->type)) {
        return fail_tensor(graph, tensor, CB_FORMAT, diag, "of %s has its values as %s",
                           cb_onnx_type_name(tensor->type), ref.field == 4 ? "floats" : "doubles");
    }
    if (ref.length != (uint64_t)bytes) {
        return wrong_count(graph, tensor, ref.length, "bytes", (uint64_t)bytes, diag);
    }
    tensor->data = graph->model->mapping.data + ref.offset;
    return CB_OK;
}

static bool has_lists(const Onnx__TensorProto *proto)
{
    return proto->n_float_data + proto->n_double_data + proto->n_int32_data + proto->n_int64_data +
               proto->n_uint64_data > 0;
}

static enum cb_status read_values(struct cb_onnx_graph *graph, const Onnx__TensorProto *proto,
                                  struct cb_onnx_tensor *tensor, struct cb_diag *diag)
{
    uint32_t size = cb_onnx_type_bytes(tensor->type);
    if (tensor->type == CB_ONNX_STRING) {
        tensor->data = (const unsigned char *)"";
        return CB_OK;
    }
    int64_t bytes = tensor->count * (int64_t)size;
    bool is_external = proto->has_data_location && proto->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    if (is_external && (proto->has_raw_data || has_lists(proto))) {
        return fail_tensor(graph, tensor, CB_FORMAT, diag, "has values in the model's file and external ones");
    }
    if (is_external) {
        return read_external(graph, proto, tensor, bytes, diag);
    }
    if (proto->has_raw_data && has_lists(proto)) {
        return fail_tensor(graph, tensor, CB_FORMAT, diag, "has its values twice");
    }
    if (proto->has_raw_data && proto->raw_data.len == sizeof(struct cb__onnx_ref)) {
        return read_mapped(graph, proto, tensor, bytes, diag);
    }
    if (tensor->count == 0) {
        tensor->data = (const unsigned char *)"";
        return CB_OK;
    }
    return read_typed(graph, proto, tensor, diag);
}

enum cb_status cb__onnx_read_tensor(struct cb_onnx_graph *graph, const Onnx__TensorProto *proto, const char *name,
                                    const struct cb_onnx_tensor **out, struct cb_diag *diag)
{
    struct cb_onnx_tensor *tensor = CB_NEW(graph->arena, struct cb_onnx_tensor);
    if (!tensor) {
        return cb__onnx_no_memory(graph, diag);
    }
    tensor->name = name;
    tensor->type = (enum cb_onnx_type)(proto->has_data_type ? proto->data_type : 0);
    if (cb_onnx_type_bytes(tensor->type) == 0 && tensor->type != CB_ONNX_STRING) {
        const ProtobufCEnumValue *type =
            protobuf_c_enum_descriptor_get_value(&onnx__tensor_proto__data_type__descriptor, (int)tensor->type);
        return fail_tensor(graph, tensor, CB_UNSUPPORTED, diag, "has the type %s, which is not read",
                           type ? type->name : "of no number that ONNX has");
    }
    if (proto->segment) {
        return fail_tensor(graph, tensor, CB_UNSUPPORTED, diag, "is a segment of a larger one");
    }
    if (proto->n_dims > CB_MAX_RANK) {
        return fail_tensor(graph, tensor, CB_UNSUPPORTED, diag, "has %zu dimensions; at most %d are read",
                           proto->n_dims, CB_MAX_RANK);
    }
    tensor->rank = (uint32_t)proto->n_dims;
    if (tensor->rank > 0) {
        memcpy(tensor->dims, proto->dims, tensor->rank * sizeof(int64_t));
    }
    if (!cb__onnx_count(tensor->rank, tensor->dims, &tensor->count)) {
        return fail_tensor(graph, tensor, CB_FORMAT, diag, "has a size that overflows, or a negative dimension");
    }
    cb__onnx_dense_strides(tensor);
    CB_TRY(read_values(graph, proto, tensor, diag));
    *out = tensor;
    return CB_OK;
}
