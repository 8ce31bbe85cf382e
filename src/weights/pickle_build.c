/* pickle_build.c: the few globals that a pickled state dict may call, and what they make. */
#include "weights/pickle_build.h"

#include <string.h>

#include "weights/internal.h"

enum global_kind {
    ORDERED_DICT,
    DEFAULT_DICT,
    SIZE,
    REBUILD_TENSOR,
    REBUILD_TENSOR_V2,
    REBUILD_TENSOR_V3,
    REBUILD_PARAMETER,
    REBUILD_FROM_TYPE,
    TENSOR_CLASS,
    STORAGE,
    DTYPE,
    REFUSED
};

struct cb__pickle_global {
    const char *module, *name;
    enum global_kind kind;
    enum cb_stored type; /* of a storage or a dtype; COUNT: one that is not read */
    const char *why;     /* of one that is refused */
};

#define COMPLEX "complex numbers, which are not read"
#define QUANTISED "a quantised tensor, which is not read; save the model before it is quantised, or t.dequantize()"
#define SPARSE "a sparse tensor, which is not read; save t.to_dense()"

static const struct cb__pickle_global globals[] = {
    {"collections", "OrderedDict", ORDERED_DICT, 0},
    {"torch", "Size", SIZE, 0},
    {"torch._utils", "_rebuild_tensor", REBUILD_TENSOR, 0},
    {"torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR_V2, 0},
    {"torch._utils", "_rebuild_tensor_v3", REBUILD_TENSOR_V3, 0},
    {"torch._utils", "_rebuild_parameter", REBUILD_PARAMETER, 0},
    {"torch._utils", "_rebuild_parameter_with_state", REBUILD_PARAMETER, 0},
    {"torch._tensor", "_rebuild_from_type_v2", REBUILD_FROM_TYPE, 0},
    {"torch", "Tensor", TENSOR_CLASS, 0},
    {"torch.nn.parameter", "Parameter", TENSOR_CLASS, 0},
    {"torch.nn.parameter", "Buffer", TENSOR_CLASS, 0},
    {"collections", "defaultdict", DEFAULT_DICT, 0},
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
    {"torch.storage", "UntypedStorage", STORAGE, CB_STORED_U8},
    {"torch", "float64", DTYPE, CB_STORED_F64},
    {"torch", "float32", DTYPE, CB_STORED_F32},
    {"torch", "float16", DTYPE, CB_STORED_F16},
    {"torch", "bfloat16", DTYPE, CB_STORED_BF16},
    {"torch", "int64", DTYPE, CB_STORED_I64},
    {"torch", "int32", DTYPE, CB_STORED_I32},
    {"torch", "int16", DTYPE, CB_STORED_I16},
    {"torch", "int8", DTYPE, CB_STORED_I8},
    {"torch", "uint64", DTYPE, CB_STORED_U64},
    {"torch", "uint32", DTYPE, CB_STORED_U32},
    {"torch", "uint16", DTYPE, CB_STORED_U16},
    {"torch", "uint8", DTYPE, CB_STORED_U8},
    {"torch", "bool", DTYPE, CB_STORED_BOOL},
    {"torch", "float8_e4m3fn", DTYPE, CB_STORED_F8_E4M3},
    {"torch", "float8_e5m2", DTYPE, CB_STORED_F8_E5M2},
    {"torch", "float8_e4m3fnuz", DTYPE, CB_STORED_COUNT},
    {"torch", "float8_e5m2fnuz", DTYPE, CB_STORED_COUNT},
    {"torch", "float8_e8m0fnu", DTYPE, CB_STORED_COUNT},
    {"torch", "float4_e2m1fn_x2", DTYPE, CB_STORED_COUNT},
    {"torch", "complex32", DTYPE, CB_STORED_COUNT},
    {"torch", "complex64", DTYPE, CB_STORED_COUNT},
    {"torch", "complex128", DTYPE, CB_STORED_COUNT},
    {"torch", "ComplexFloatStorage", REFUSED, 0, COMPLEX},
    {"torch", "ComplexDoubleStorage", REFUSED, 0, COMPLEX},
    {"torch", "QInt8Storage", REFUSED, 0, QUANTISED},
    {"torch", "QUInt8Storage", REFUSED, 0, QUANTISED},
    {"torch", "QInt32Storage", REFUSED, 0, QUANTISED},
    {"torch._utils", "_rebuild_qtensor", REFUSED, 0, QUANTISED},
    {"torch._utils", "_rebuild_sparse_tensor", REFUSED, 0, SPARSE},
    {"torch._utils", "_rebuild_sparse_csr_tensor", REFUSED, 0, SPARSE},
    {"torch._utils", "_rebuild_nested_tensor", REFUSED, 0, "a nested tensor, which is not read"},
    {"torch._utils", "_rebuild_meta_tensor_no_storage", REFUSED, 0,
     "a tensor on the `meta` device, which has a shape but no values"},
};

/* What stands beside weights in checkpoints: settings, dates, numbers of NumPy. None of it is made, let alone run. With a
 * name of NULL, all that is in the module. */
static const struct {
    const char *module, *name;
} harmless[] = {
    {"argparse", "Namespace"}, {"types", "SimpleNamespace"}, {"collections", "Counter"}, {"collections", "deque"},
    {"numpy", "dtype"}, {"numpy", "ndarray"}, {"numpy.core.multiarray", "scalar"}, {"numpy._core.multiarray", "scalar"},
    {"numpy.core.multiarray", "_reconstruct"}, {"numpy._core.multiarray", "_reconstruct"},
    {"numpy._core.numeric", "_frombuffer"}, {"numpy.core.numeric", "_frombuffer"}, {"_codecs", "encode"},
    {"pathlib", NULL}, {"pathlib._local", NULL}, {"datetime", NULL}, {"torch", "device"}, {"torch", "strided"},
    {"builtins", "set"}, {"builtins", "frozenset"}, {"builtins", "range"},
    {"builtins", "bytearray"}, {"builtins", "list"}, {"builtins", "dict"}, {"builtins", "int"}, {"builtins", "float"},
    {"builtins", "str"}, {"builtins", "tuple"}, {"__builtin__", "set"}, {"__builtin__", "frozenset"},
    {"__builtin__", "xrange"}, {"__builtin__", "bytearray"}, {"__builtin__", "list"},
    {"__builtin__", "dict"}, {"__builtin__", "int"}, {"__builtin__", "float"}, {"__builtin__", "unicode"},
    {"__builtin__", "tuple"}, {"omegaconf.dictconfig", NULL}, {"omegaconf.listconfig", NULL}, {"omegaconf.base", NULL},
    {"omegaconf.nodes", NULL}, {"easydict", "EasyDict"}, {"yacs.config", "CfgNode"}, {"addict.addict", "Dict"},
    {"pytorch_lightning.utilities.parsing", "AttributeDict"}, {"lightning.pytorch.utilities.parsing", "AttributeDict"},
    {"lightning_fabric.utilities.data", "AttributeDict"}, {"lightning.fabric.utilities.data", "AttributeDict"},
    {"pytorch_lightning.callbacks.model_checkpoint", NULL}, {"lightning.pytorch.callbacks.model_checkpoint", NULL},
    {"typing", "Any"},
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

const char *cb__pickle_harmless(const char *module, size_t module_length, const char *name, size_t name_length)
{
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        if (same(module, module_length, harmless[i].module) &&
            (!harmless[i].name || same(name, name_length, harmless[i].name))) {
            return harmless[i].module;
        }
    }
    return NULL;
}

const char *cb__pickle_refusal(const struct cb__pickle_global *global)
{
    return global->kind == REFUSED ? global->why : NULL;
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

static bool is_true(const struct cb__pickle_value *value)
{
    return value && value->kind == CB__PICKLE_BOOL && value->as.integer != 0;
}

/* The last argument of _rebuild_tensor_v2 and v3: how the values are meant. */
static enum cb_status check_meaning(const struct cb__pickle *p, size_t opcode, const struct cb__pickle_value *args,
                                    uint32_t at)
{
    const struct cb__pickle_value *meaning = args->as.list.count > at ? args->as.list.items[at] : NULL;
    if (meaning && (is_true(cb__pickle_get(meaning, "neg")) || is_true(cb__pickle_get(meaning, "conj")))) {
        return cb__pickle_fail(p, opcode, "a tensor is a negated or conjugated view, which is not read; save"
                               " t.resolve_neg().resolve_conj()");
    }
    return CB_OK;
}

/* The type of the elements, and how many of them the storage has: of version 3 the storage has bytes. */
static enum cb_status element_type(const struct cb__pickle *p, size_t opcode, const struct cb__pickle_value *args,
                                   bool is_v3, enum cb_stored *out_type, uint64_t *out_count)
{
    const struct cb__pickle_value *storage = args->as.list.items[0];
    *out_type = storage->as.storage.type;
    *out_count = storage->as.storage.count;
    if (!is_v3) {
        return CB_OK;
    }
    const struct cb__pickle_value *dtype = args->as.list.count > 6 ? args->as.list.items[6] : NULL;
    if (!dtype || dtype->kind != CB__PICKLE_GLOBAL || dtype->as.global->kind != DTYPE ||
        storage->as.storage.type != CB_STORED_U8 || storage->as.storage.offset != 0) {
        return cb__pickle_fail(p, opcode, "a tensor is not made of bytes and a type");
    }
    if (dtype->as.global->type == CB_STORED_COUNT) {
        return cb__pickle_fail(p, opcode, "a tensor has the type `torch.%s`, which is not read", dtype->as.global->name);
    }
    *out_type = dtype->as.global->type;
    *out_count = storage->as.storage.count / cb_stored_bytes(*out_type);
    return CB_OK;
}

/* (storage, offset, size, stride, ...): torch/_utils.py. */
static enum cb_status call_rebuild_tensor(struct cb__pickle *p, size_t opcode, const struct cb__pickle_value *args,
                                          bool is_v3, struct cb__pickle_value **out)
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
    uint64_t there = 0;
    CB_TRY(check_meaning(p, opcode, args, is_v3 ? 7 : 6));
    CB_TRY(element_type(p, opcode, args, is_v3, &entry->type, &there));
    entry->storage = items[0]->as.storage.index;
    entry->offset = (uint64_t)items[1]->as.integer;
    if (!cb__view_fits(entry, there) || (entry->bytes = cb_stored_size(entry->type, entry->count)) == UINT64_MAX) {
        char dims[192];
        return cb__pickle_fail(p, opcode, "a tensor %s at %llu reaches outside its storage of %llu elements",
                               cb_format_dims(entry->rank, entry->dims, dims), (unsigned long long)entry->offset,
                               (unsigned long long)there);
    }
    p->expanded_count += entry->count > there ? entry->count : 0; /* each is below 2^62 and the sum is looked at */
    if (p->expanded_count > CB__PICKLE_MAX_EXPANDED) {
        return cb__pickle_fail(p, opcode, "tensors that repeat their storage have over %llu elements",
                               (unsigned long long)CB__PICKLE_MAX_EXPANDED);
    }
    entry->offset += items[0]->as.storage.offset;
    CB_TRY(cb__pickle_new(p, CB__PICKLE_TENSOR, out));
    (*out)->as.tensor = entry;
    return CB_OK;
}

/* (function, class, its arguments, attributes): a tensor of a class of its own, or with attributes. */
static enum cb_status call_rebuild_from_type(struct cb__pickle *p, size_t opcode, const struct cb__pickle_value *args,
                                             struct cb__pickle_value **out)
{
    struct cb__pickle_value *const *items = args->as.list.items;
    if (args->as.list.count < 3 || items[0]->kind != CB__PICKLE_GLOBAL || items[0]->as.global->kind < REBUILD_TENSOR ||
        items[0]->as.global->kind > REBUILD_PARAMETER || items[1]->kind != CB__PICKLE_GLOBAL ||
        items[1]->as.global->kind != TENSOR_CLASS) {
        return cb__pickle_fail(p, opcode, "a tensor is made in a way that is not known");
    }
    return cb__pickle_call(p, opcode, items[0], items[2], out);
}

enum cb_status cb__pickle_call(struct cb__pickle *p, size_t opcode, const struct cb__pickle_value *function,
                               struct cb__pickle_value *args, struct cb__pickle_value **out)
{
    if (function->kind == CB__PICKLE_FOREIGN) {
        CB_TRY(cb__pickle_new(p, CB__PICKLE_FOREIGN, out));
        (*out)->as.foreign = function->as.foreign;
        return CB_OK;
    }
    if (function->kind != CB__PICKLE_GLOBAL || args->kind != CB__PICKLE_TUPLE) {
        return cb__pickle_fail(p, opcode, "REDUCE calls something that is not a function with a tuple");
    }
    switch (function->as.global->kind) {
    case ORDERED_DICT:
        return call_ordered_dict(p, opcode, args, out);
    case DEFAULT_DICT: /* what makes its values */
        return cb__pickle_new(p, CB__PICKLE_DICT, out);
    case SIZE:
        if (args->as.list.count == 1 && args->as.list.items[0]->kind == CB__PICKLE_TUPLE) {
            *out = args->as.list.items[0];
            return CB_OK;
        }
        return cb__pickle_fail(p, opcode, "Size is called with something that is not a tuple");
    case REBUILD_TENSOR:
    case REBUILD_TENSOR_V2:
    case REBUILD_TENSOR_V3:
        return call_rebuild_tensor(p, opcode, args, function->as.global->kind == REBUILD_TENSOR_V3, out);
    case REBUILD_FROM_TYPE:
        return call_rebuild_from_type(p, opcode, args, out);
    case REBUILD_PARAMETER: /* (tensor, requires_grad, hooks, ...) */
        if (args->as.list.count >= 1 && args->as.list.items[0]->kind == CB__PICKLE_TENSOR) {
            *out = args->as.list.items[0];
            return CB_OK;
        }
        return cb__pickle_fail(p, opcode, "a parameter is not made of a tensor");
    case TENSOR_CLASS:
    case STORAGE:
    case DTYPE:
    case REFUSED:
        break;
    }
    return cb__pickle_fail(p, opcode, "`%s` is not a function", function->as.global->name);
}
