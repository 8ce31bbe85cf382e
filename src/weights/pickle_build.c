/* pickle_build.c: the few globals that a pickled state dict may call, and what they make. */
#include "weights/pickle_build.h"

#include <string.h>

#include "weights/internal.h"

enum global_kind { ORDERED_DICT, SIZE, REBUILD_TENSOR, REBUILD_TENSOR_V2, REBUILD_PARAMETER, STORAGE };

struct cb__pickle_global {
    const char *module, *name;
    enum global_kind kind;
    enum cb_stored type; /* of a storage */
};

static const struct cb__pickle_global globals[] = {
    {"collections", "OrderedDict", ORDERED_DICT, 0},
    {"torch", "Size", SIZE, 0},
    {"torch._utils", "_rebuild_tensor", REBUILD_TENSOR, 0},
    {"torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR_V2, 0},
    {"torch._utils", "_rebuild_parameter", REBUILD_PARAMETER, 0},
    {"torch", "DoubleStorage", STORAGE, CB_STORED_F64},
    {"torch", "FloatStorage", STORAGE, CB_STORED_F32},
    {"torch", "HalfStorage", STORAGE, CB_STORED_F16},
    {"torch", "BFloat16Storage", STORAGE, CB_STORED_BF16},
    {"torch", "LongStorage", STORAGE, CB_STORED_I64},
    {"torch", "IntStorage", STORAGE, CB_STORED_I32},
    {"torch", "ShortStorage", STORAGE, CB_STORED_I16},
    {"torch", "CharStorage", STORAGE, CB_STORED_I8},
    {"torch", "ByteStorage", STORAGE, CB_STORED_U8},
    {"torch", "BoolStorage", STORAGE, CB_STORED_BOOL},
};

static bool same(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

const struct cb__pickle_global *cb__pickle_find_global(const char *module, size_t module_length, const char *name,
                                                       size_t name_length)
{
    for (size_t i = 0; i < sizeof(globals) / sizeof(globals[0]); i++) {
        if (same(module, module_length, globals[i].module) && same(name, name_length, globals[i].name)) {
            return &globals[i];
        }
    }
    return NULL;
}

bool cb__pickle_storage_type(const struct cb__pickle_value *value, enum cb_stored *out)
{
    if (value->kind != CB__PICKLE_GLOBAL || value->as.global->kind != STORAGE) {
        return false;
    }
    *out = value->as.global->type;
    return true;
}

bool cb__pickle_text_is(const struct cb__pickle_value *value, const char *text)
{
    return value->kind == CB__PICKLE_TEXT && same(value->as.text.data, value->as.text.length, text);
}

const char *cb__pickle_text(struct cb_arena *arena, const struct cb__pickle_value *value)
{
    if (value->kind != CB__PICKLE_TEXT ||
        (value->as.text.length > 0 && memchr(value->as.text.data, 0, value->as.text.length))) {
        return NULL;
    }
    return cb_arena_strndup(arena, value->as.text.data, value->as.text.length);
}

const struct cb__pickle_value *cb__pickle_get(const struct cb__pickle_value *dict, const char *key)
{
    if (dict->kind != CB__PICKLE_DICT) {
        return NULL;
    }
    for (uint32_t i = 0; i + 1 < dict->as.list.count; i += 2) {
        if (cb__pickle_text_is(dict->as.list.items[i], key)) {
            return dict->as.list.items[i + 1];
        }
    }
    return NULL;
}

/* OrderedDict() or, from Python 2, OrderedDict([[key, value], ...]). */
static enum cb_status call_ordered_dict(struct cb__pickle *p, size_t opcode, const struct cb__pickle_value *args,
                                        struct cb__pickle_value **out)
{
    CB_TRY(cb__pickle_new(p, CB__PICKLE_DICT, out));
    if (args->as.list.count == 0) {
        return CB_OK;
    }
    const struct cb__pickle_value *pairs = args->as.list.items[0];
    if (args->as.list.count != 1 || pairs->kind != CB__PICKLE_LIST) {
        return cb__pickle_fail(p, opcode, "OrderedDict is called with something that is not a list of pairs");
    }
    for (uint32_t i = 0; i < pairs->as.list.count; i++) {
        const struct cb__pickle_value *pair = pairs->as.list.items[i];
        if ((pair->kind != CB__PICKLE_LIST && pair->kind != CB__PICKLE_TUPLE) || pair->as.list.count != 2) {
            return cb__pickle_fail(p, opcode, "OrderedDict is called with something that is not a list of pairs");
        }
        CB_TRY(cb__pickle_append(p, *out, pair->as.list.items, 2));
    }
    return CB_OK;
}

/* A tuple of up to CB_MAX_RANK counts. */
static bool read_counts(const struct cb__pickle_value *tuple, uint32_t *out_rank, int64_t *out)
{
    if (tuple->kind != CB__PICKLE_TUPLE || tuple->as.list.count > CB_MAX_RANK) {
        return false;
    }
    for (uint32_t i = 0; i < tuple->as.list.count; i++) {
        const struct cb__pickle_value *item = tuple->as.list.items[i];
        if (item->kind != CB__PICKLE_INT || item->as.integer < 0) {
            return false;
        }
        out[i] = item->as.integer;
    }
    *out_rank = tuple->as.list.count;
    return true;
}

/* (storage, offset, size, stride, ...): torch/_utils.py. */
static enum cb_status call_rebuild_tensor(struct cb__pickle *p, size_t opcode, const struct cb__pickle_value *args,
                                          struct cb__pickle_value **out)
{
    struct cb__pickle_value *const *items = args->as.list.items;
    if (args->as.list.count < 4 || items[0]->kind != CB__PICKLE_STORAGE || items[1]->kind != CB__PICKLE_INT ||
        items[1]->as.integer < 0) {
        return cb__pickle_fail(p, opcode, "a tensor is not made of storage, offset, size and stride");
    }
    struct cb_tensor_entry *entry = CB_NEW(p->arena, struct cb_tensor_entry);
    if (!entry) {
        return cb_fail(p->diag, CB_MEMORY, p->at, "no memory for the names and shapes in `%s`", p->path);
    }
    uint32_t stride_rank;
    if (!read_counts(items[2], &entry->rank, entry->dims) || !read_counts(items[3], &stride_rank, entry->strides) ||
        stride_rank != entry->rank || !cb__dims_count(entry->rank, entry->dims, &entry->count)) {
        return cb__pickle_fail(p, opcode, "a tensor's size and stride are not two tuples of up to %d counts",
                               CB_MAX_RANK);
    }
    const struct cb__pickle_value *storage = items[0];
    entry->type = storage->as.storage.type;
    entry->storage = storage->as.storage.index;
    entry->offset = (uint64_t)items[1]->as.integer;
    if (!cb__view_fits(entry, storage->as.storage.count) ||
        __builtin_mul_overflow(entry->count, (uint64_t)cb_stored_bytes(entry->type), &entry->bytes)) {
        char dims[192];
        return cb__pickle_fail(p, opcode, "a tensor %s at %llu reaches outside its storage of %llu elements",
                               cb_format_dims(entry->rank, entry->dims, dims), (unsigned long long)entry->offset,
                               (unsigned long long)storage->as.storage.count);
    }
    entry->offset += storage->as.storage.offset;
    CB_TRY(cb__pickle_new(p, CB__PICKLE_TENSOR, out));
    (*out)->as.tensor = entry;
    return CB_OK;
}

enum cb_status cb__pickle_call(struct cb__pickle *p, size_t opcode, const struct cb__pickle_value *function,
                               struct cb__pickle_value *args, struct cb__pickle_value **out)
{
    if (function->kind != CB__PICKLE_GLOBAL || args->kind != CB__PICKLE_TUPLE) {
        return cb__pickle_fail(p, opcode, "REDUCE calls something that is not a function with a tuple");
    }
    switch (function->as.global->kind) {
    case ORDERED_DICT:
        return call_ordered_dict(p, opcode, args, out);
    case SIZE:
        if (args->as.list.count == 1 && args->as.list.items[0]->kind == CB__PICKLE_TUPLE) {
            *out = args->as.list.items[0];
            return CB_OK;
        }
        return cb__pickle_fail(p, opcode, "Size is called with something that is not a tuple");
    case REBUILD_TENSOR:
    case REBUILD_TENSOR_V2:
        return call_rebuild_tensor(p, opcode, args, out);
    case REBUILD_PARAMETER: /* (tensor, requires_grad, hooks) */
        if (args->as.list.count >= 1 && args->as.list.items[0]->kind == CB__PICKLE_TENSOR) {
            *out = args->as.list.items[0];
            return CB_OK;
        }
        return cb__pickle_fail(p, opcode, "a parameter is not made of a tensor");
    case STORAGE:
        break;
    }
    return cb__pickle_fail(p, opcode, "`%s` is not a function", function->as.global->name);
}
