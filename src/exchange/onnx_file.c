/* onnx_file.c: a ModelProto to disk, packed straight into the file; values beside it where they are
 * too many for one. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "exchange/onnx_write.h"

enum { ALIGNMENT = 64, SMALL = 1024 }; /* bytes; smaller values stay in the file */

/* What protobuf-c packs into. */
struct sink {
    ProtobufCBuffer base;
    FILE *stream;
    bool failed;
};

static void append(ProtobufCBuffer *buffer, size_t bytes, const uint8_t *data)
{
    struct sink *sink = (struct sink *)buffer;
    sink->failed = sink->failed || fwrite(data, 1, bytes, sink->stream) != bytes;
}

static Onnx__StringStringEntryProto *entry_of(struct cb_arena *arena, const char *key,
                                              const char *value)
{
    Onnx__StringStringEntryProto *entry = CB_NEW(arena, Onnx__StringStringEntryProto);
    if (entry != NULL) {
        onnx__string_string_entry_proto__init(entry);
        entry->key = (char *)key;
        entry->value = (char *)value;
    }
    return entry;
}

/* The tensor's values lie at `offset` of the file `location`. */
static bool place_beside(struct cb_arena *arena, Onnx__TensorProto *tensor, const char *location,
                         uint64_t offset)
{
    Onnx__StringStringEntryProto **list = CB_NEW_ARRAY(arena, Onnx__StringStringEntryProto *, 3);
    const char *at = cb_arena_printf(arena, "%" PRIu64, offset),
               *length = cb_arena_printf(arena, "%zu", tensor->raw_data.len);
    if (list == NULL || at == NULL || length == NULL) {
        return false;
    }
    list[0] = entry_of(arena, "location", location);
    list[1] = entry_of(arena, "offset", at);
    list[2] = entry_of(arena, "length", length);
    tensor->external_data = list;
    tensor->n_external_data = 3;
    tensor->has_data_location = 1;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    tensor->has_raw_data = 0;
    tensor->raw_data = (ProtobufCBinaryData){0, NULL};
    return list[0] != NULL && list[1] != NULL && list[2] != NULL;
}

static enum cb_status write_beside(Onnx__GraphProto *graph, const char *path,
                                   struct cb_arena *arena, struct cb_onnx_summary *out,
                                   struct cb_diag *diag)
{
    static const char zeros[ALIGNMENT];
    struct cb_atomic_file file = {0};
    uint64_t offset = 0;
    CB_TRY(cb_atomic_open(&file, path, diag));
    for (size_t i = 0; i < graph->n_initializer; i++) {
        Onnx__TensorProto *tensor = graph->initializer[i];
        const size_t bytes = tensor->raw_data.len, rest = bytes % ALIGNMENT,
                     gap = rest > 0 ? ALIGNMENT - rest : 0;
        if (bytes < SMALL) {
            continue;
        }
        if (fwrite(tensor->raw_data.data, 1, bytes, file.stream) != bytes ||
            fwrite(zeros, 1, gap, file.stream) != gap) {
            int number = errno;
            cb_atomic_abandon(&file);
            return cb_fail(diag, CB_IO, NULL, "writing `%s`: %s", path, strerror(number));
        }
        if (!place_beside(arena, tensor, cb_path_base(path), offset)) {
            cb_atomic_abandon(&file);
            return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        }
        offset += bytes + gap;
    }
    out->bytes += offset;
    return cb_atomic_commit(&file, diag);
}

enum cb_status cb__draft_file_write(Onnx__ModelProto *model, uint64_t value_bytes,
                                    const struct cb_onnx_request *request, struct cb_arena *arena,
                                    struct cb_onnx_summary *out, struct cb_diag *diag)
{
    struct cb_atomic_file file = {0};
    CB_TRY(cb_atomic_open(&file, request->path, diag));
    enum cb_status status = CB_OK;
    if (request->data_beside || value_bytes > CB_DRAFT_MOST_BYTES) {
        out->data_path = cb_arena_printf(arena, "%s.data", request->path);
        status = out->data_path != NULL
                     ? write_beside(model->graph, out->data_path, arena, out, diag)
                     : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    const size_t bytes = status == CB_OK ? protobuf_c_message_get_packed_size(&model->base) : 0;
    if (status == CB_OK && bytes >= INT32_MAX) {
        status = cb_fail(diag, CB_UNSUPPORTED, NULL,
                         "`%s` would have %zu bytes; a file of ONNX ends at 2 GiB", request->path,
                         bytes);
    }
    if (status != CB_OK) {
        cb_atomic_abandon(&file);
        return status;
    }
    struct sink sink = {.base = {append}, .stream = file.stream};
    (void)protobuf_c_message_pack_to_buffer(&model->base, &sink.base);
    if (sink.failed) {
        int number = errno;
        cb_atomic_abandon(&file);
        return cb_fail(diag, CB_IO, NULL, "writing `%s`: %s", request->path, strerror(number));
    }
    out->bytes += bytes;
    return cb_atomic_commit(&file, diag);
}
