/* onnx_wire.c: looks over the bytes of a model before protobuf-c does.
 *
 * protobuf-c calls itself for each message within a message, makes a struct for each, and copies what is bytes. A file of
 * a few kilobytes could so overflow the stack, one of megabytes fill the memory, and one of 500 MB would be in memory
 * twice. Therefore the wire format is walked here first, by protobuf-c's own descriptors: depth and counts are bounded,
 * texts checked, and a copy is written in which each tensor's bytes are replaced by where they lie.
 *
 * Format: protobuf.dev/programming-guides/encoding. */
#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"
#include "exchange/onnx_internal.h"

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

/* Fields of TensorProto. */
enum { FLOAT_DATA = 4, RAW_DATA = 9, DOUBLE_DATA = 10 };

struct walker {
    const char *path;
    const unsigned char *data;
    size_t bytes;
    struct cb_text *out;
    uint64_t messages, numbers;
    const struct cb_place *at;
    struct cb_diag *diag;
};

static enum cb_status damaged(const struct walker *w, size_t position, const char *what)
{
    return cb_fail(w->diag, CB_FORMAT, w->at, "`%s` is no ONNX model, or a damaged one: %s at byte %zu of %zu", w->path,
                   what, position, w->bytes);
}

static bool read_varint(const struct walker *w, size_t *position, size_t end, uint64_t *out)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 70 && *position < end; shift += 7) {
        unsigned char byte = w->data[(*position)++];
        value |= shift < 64 ? (uint64_t)(byte & 127) << shift : 0;
        if (!(byte & 128)) {
            *out = value;
            return true;
        }
    }
    return false;
}

static void put_varint(struct cb_text *out, uint64_t value)
{
    unsigned char bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (unsigned char)((value & 127) | (value > 127 ? 128 : 0));
        value >>= 7;
    } while (value);
    cb_text_add_bytes(out, bytes, count);
}

/* The wire type of a field that is not packed. */
static int wire_type(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return FIXED32;
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return LENGTH;
    default:
        return VARINT;
    }
}

/* What is not read: it need not be unpacked. */
static bool is_left_out(const ProtobufCFieldDescriptor *field)
{
    static const char *const names[] = {"doc_string", "value_info", "quantization_annotation", "training_info",
                                        "configuration", "device_configurations", "denotation"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(field->name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* No zero byte, valid UTF-8: names become names in a YAML file. */
static bool is_text(const unsigned char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        size_t length = data[i] ? cb__utf8_sequence((const char *)data + i, bytes - i) : 0;
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

/* The varints of a packed field end where it ends; there are at most as many as a file may have. */
static enum cb_status check_packed(struct walker *w, const ProtobufCFieldDescriptor *field, size_t begin, size_t end)
{
    int type = wire_type(field);
    if (type == LENGTH || field->label != PROTOBUF_C_LABEL_REPEATED) {
        return damaged(w, begin, "a field has the wrong form");
    }
    size_t size = type == FIXED32 ? 4 : 8;
    if (type != VARINT) {
        w->numbers += (end - begin) / size;
        return (end - begin) % size ? damaged(w, begin, "a list of numbers ends within one") : CB_OK;
    }
    uint64_t value;
    for (size_t position = begin; position < end; w->numbers++) {
        if (!read_varint(w, &position, end, &value)) {
            return damaged(w, begin, "a list of numbers ends within one");
        }
    }
    return CB_OK;
}

static enum cb_status walk_message(struct walker *w, const ProtobufCMessageDescriptor *message, size_t begin,
                                   size_t end, uint32_t depth);

static enum cb_status walk_submessage(struct walker *w, const ProtobufCFieldDescriptor *field, size_t begin, size_t end,
                                      uint32_t depth)
{
    static const unsigned char room[5];
    if (depth >= CB__ONNX_MAX_DEPTH) {
        return damaged(w, begin, "messages are nested too deep");
    }
    if (++w->messages > CB__ONNX_MAX_MESSAGES) {
        return cb_fail(w->diag, CB_UNSUPPORTED, w->at, "`%s` has more than %d messages", w->path,
                       CB__ONNX_MAX_MESSAGES);
    }
    put_varint(w->out, (uint64_t)field->id << 3 | LENGTH);
    size_t length_at = w->out->length;
    cb_text_add_bytes(w->out, room, sizeof(room));
    CB_TRY(walk_message(w, field->descriptor, begin, end, depth + 1));
    if (w->out->failed) {
        return cb_fail(w->diag, CB_MEMORY, w->at, "no memory for the nodes of `%s`", w->path);
    }
    /* Known only now: five bytes whether it needs them or not, which the encoding allows. */
    uint64_t length = w->out->length - length_at - sizeof(room);
    if (length > INT32_MAX) {
        return cb_fail(w->diag, CB_UNSUPPORTED, w->at, "`%s` has a message of over 2 GB besides its weights", w->path);
    }
    for (size_t i = 0; i < sizeof(room); i++) {
        w->out->data[length_at + i] = (char)((length >> (7 * i) & 127) | (i + 1 < sizeof(room) ? 128 : 0));
    }
    return CB_OK;
}

static void put_reference(struct walker *w, uint32_t field, size_t begin, size_t end)
{
    struct cb__onnx_ref ref = {begin, end - begin, field};
    put_varint(w->out, RAW_DATA << 3 | LENGTH);
    put_varint(w->out, sizeof(ref));
    cb_text_add_bytes(w->out, &ref, sizeof(ref));
}

/* A field of known length that is not a number. `*data_fields`: how many of the tensor's fields held its bytes. */
static enum cb_status walk_length(struct walker *w, const ProtobufCMessageDescriptor *message,
                                  const ProtobufCFieldDescriptor *field, size_t begin, size_t end, uint32_t depth,
                                  uint32_t *data_fields)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return walk_submessage(w, field, begin, end, depth);
    }
    if (message == &onnx__tensor_proto__descriptor &&
        (field->id == RAW_DATA || field->id == FLOAT_DATA || field->id == DOUBLE_DATA)) {
        if (field->id != RAW_DATA) {
            CB_TRY(check_packed(w, field, begin, end));
            w->numbers -= (end - begin) / (field->id == FLOAT_DATA ? 4 : 8); /* they stay where they are */
        }
        if (++*data_fields > 1) {
            return damaged(w, begin, "a tensor has its values twice");
        }
        put_reference(w, field->id, begin, end);
        return CB_OK;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING && !is_text(w->data + begin, end - begin)) {
        return damaged(w, begin, "a text that is not UTF-8");
    }
    if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_BYTES) {
        CB_TRY(check_packed(w, field, begin, end));
    }
    w->numbers += field->label == PROTOBUF_C_LABEL_REPEATED;
    put_varint(w->out, (uint64_t)field->id << 3 | LENGTH);
    put_varint(w->out, end - begin);
    cb_text_add_bytes(w->out, w->data + begin, end - begin);
    return CB_OK;
}

/* A message may stand once where the schema has one: protobuf-c would merge two. */
static bool is_second(const ProtobufCMessageDescriptor *message, const ProtobufCFieldDescriptor *field, uint64_t *seen)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED || field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return false;
    }
    size_t i = field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF ? 63 : (size_t)(field - message->fields);
    bool is = *seen >> i & 1;
    *seen |= (uint64_t)1 << i;
    return is;
}

/* Reads what follows a tag; `*position` goes behind it. `*out_begin`: where the content begins. */
static bool skip_content(const struct walker *w, uint64_t type, size_t *position, size_t end, size_t *out_begin)
{
    uint64_t value;
    *out_begin = *position;
    if (type == VARINT) {
        return read_varint(w, position, end, &value);
    }
    if (type == LENGTH) {
        if (!read_varint(w, position, end, &value)) {
            return false;
        }
        *out_begin = *position;
    } else {
        value = type == FIXED32 ? 4 : 8;
    }
    if (value > end - *position) {
        return false;
    }
    *position += (size_t)value;
    return true;
}

static enum cb_status walk_message(struct walker *w, const ProtobufCMessageDescriptor *message, size_t begin,
                                   size_t end, uint32_t depth)
{
    uint64_t seen = 0;
    uint32_t data_fields = 0;
    for (size_t position = begin; position < end;) {
        uint64_t tag;
        size_t tag_at = position, content;
        if (!read_varint(w, &position, end, &tag) || tag >> 3 == 0 || tag >> 3 > (1u << 29) - 1) {
            return damaged(w, tag_at, "no field begins");
        }
        uint64_t type = tag & 7;
        if (type != VARINT && type != FIXED64 && type != LENGTH && type != FIXED32) {
            return damaged(w, tag_at, "a field of an unknown type");
        }
        if (!skip_content(w, type, &position, end, &content)) {
            return damaged(w, tag_at, "a field ends past the end of what holds it,");
        }
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(message, (unsigned)(tag >> 3));
        if (!field || is_left_out(field)) {
            continue;
        }
        if (is_second(message, field, &seen)) {
            return damaged(w, tag_at, "a part that may be there once is there twice");
        }
        if (type == LENGTH) {
            CB_TRY(walk_length(w, message, field, content, position, depth, &data_fields));
        } else if (type != (uint64_t)wire_type(field)) {
            return damaged(w, tag_at, "a field has the wrong form");
        } else {
            put_varint(w->out, tag);
            cb_text_add_bytes(w->out, w->data + content, position - content);
            w->numbers += field->label == PROTOBUF_C_LABEL_REPEATED;
        }
        if (w->numbers > CB__ONNX_MAX_NUMBERS) {
            return cb_fail(w->diag, CB_UNSUPPORTED, w->at, "`%s` has more than %d numbers in lists", w->path,
                           CB__ONNX_MAX_NUMBERS);
        }
    }
    return CB_OK;
}

enum cb_status cb__onnx_slim(const char *path, const struct cb_mapping *mapping, struct cb_text *out,
                             const struct cb_place *at, struct cb_diag *diag)
{
    struct walker w = {path, mapping->data, mapping->bytes, out, 0, 0, at, diag};
    if (mapping->bytes == 0) {
        return cb_fail(diag, CB_FORMAT, at, "`%s` is empty", path);
    }
    CB_TRY(walk_message(&w, &onnx__model_proto__descriptor, 0, mapping->bytes, 0));
    if (out->failed) {
        return cb_fail(diag, CB_MEMORY, at, "no memory for the nodes of `%s`", path);
    }
    return CB_OK;
}
