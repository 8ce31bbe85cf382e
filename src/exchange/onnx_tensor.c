/* onnx_tensor.c: elements of every type that is read, in views with strides. */
#include <math.h>
#include <string.h>

#include "exchange/onnx_internal.h"

struct type_row {
    const char *name;
    uint32_t bytes;
};

static const struct type_row types[] = {
    [CB_ONNX_FLOAT] = {"float", 4},   [CB_ONNX_UINT8] = {"uint8", 1},     [CB_ONNX_INT8] = {"int8", 1},
    [CB_ONNX_UINT16] = {"uint16", 2}, [CB_ONNX_INT16] = {"int16", 2},     [CB_ONNX_INT32] = {"int32", 4},
    [CB_ONNX_INT64] = {"int64", 8},   [CB_ONNX_STRING] = {"string", 0},   [CB_ONNX_BOOL] = {"bool", 1},
    [CB_ONNX_FLOAT16] = {"float16", 2}, [CB_ONNX_DOUBLE] = {"double", 8}, [CB_ONNX_UINT32] = {"uint32", 4},
    [CB_ONNX_UINT64] = {"uint64", 8}, [CB_ONNX_BFLOAT16] = {"bfloat16", 2},
};

static const struct type_row *row_of(enum cb_onnx_type type)
{
    return (size_t)type < sizeof(types) / sizeof(types[0]) && types[type].name ? &types[type] : NULL;
}

const char *cb_onnx_type_name(enum cb_onnx_type type)
{
    const struct type_row *row = row_of(type);
    return row ? row->name : "?";
}

uint32_t cb_onnx_type_bytes(enum cb_onnx_type type)
{
    const struct type_row *row = row_of(type);
    return row ? row->bytes : 0;
}

bool cb_onnx_type_is_real(enum cb_onnx_type type)
{
    return type == CB_ONNX_FLOAT || type == CB_ONNX_FLOAT16 || type == CB_ONNX_DOUBLE || type == CB_ONNX_BFLOAT16;
}

/* ---- half and bfloat16 ---------------------------------------------------------------------------------------- */

static float from_half(uint16_t half)
{
    uint32_t exponent = half >> 10 & 31, mantissa = half & 1023;
    float magnitude;
    if (exponent == 31) {
        magnitude = mantissa ? NAN : INFINITY;
    } else if (exponent == 0) {
        magnitude = ldexpf((float)mantissa, -24);
    } else {
        magnitude = ldexpf((float)(mantissa | 1024), (int)exponent - 25);
    }
    return half >> 15 ? -magnitude : magnitude;
}

/* To the nearest multiple of the last place at this magnitude, ties to even (rint's mode). */
static uint16_t to_half(double value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    double magnitude = fabs(value);
    if (isnan(value)) {
        return 0x7e00;
    }
    if (magnitude >= 65520.0) {
        return sign | 0x7c00;
    }
    int exponent;
    frexp(magnitude, &exponent);
    exponent = exponent < -13 ? -13 : exponent; /* subnormal from 2^-14 down */
    uint32_t scaled = (uint32_t)rint(ldexp(magnitude, 11 - exponent));
    /* scaled has its leading bit at 1024 where it is normal; a carry into 2048 moves the exponent by itself. */
    return (uint16_t)(sign + (scaled < 1024 ? scaled : ((uint32_t)(exponent + 13) << 10) + scaled));
}

static float from_bfloat(uint16_t value)
{
    uint32_t bits = (uint32_t)value << 16;
    float out;
    memcpy(&out, &bits, sizeof(out));
    return out;
}

static uint16_t to_bfloat(double value)
{
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof(bits));
    if (isnan(narrow)) {
        return 0x7fc0;
    }
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* ---- one element --------------------------------------------------------------------------------------------- */

#define LOAD(ctype)                                                                                \
    {                                                                                              \
        ctype value;                                                                               \
        memcpy(&value, at, sizeof(value));                                                         \
        return value;                                                                              \
    }

static const unsigned char *element(const struct cb_onnx_tensor *tensor, int64_t offset)
{
    return tensor->data + offset * (int64_t)cb_onnx_type_bytes(tensor->type);
}

/* Out of range, and NaN, go to the nearest number that there is (0 for NaN): C leaves it undefined. */
static int64_t cut(double value)
{
    if (isnan(value)) {
        return 0;
    }
    return value >= 9223372036854775808.0 ? INT64_MAX : value < -9223372036854775808.0 ? INT64_MIN : (int64_t)value;
}

int64_t cb__onnx_load_int(const struct cb_onnx_tensor *tensor, int64_t offset)
{
    const unsigned char *at = element(tensor, offset);
    switch (tensor->type) {
    case CB_ONNX_UINT8: return *at;
    case CB_ONNX_BOOL: return *at != 0;
    case CB_ONNX_INT8: return (int8_t)*at;
    case CB_ONNX_UINT16: LOAD(uint16_t)
    case CB_ONNX_INT16: LOAD(int16_t)
    case CB_ONNX_INT32: LOAD(int32_t)
    case CB_ONNX_UINT32: LOAD(uint32_t)
    case CB_ONNX_INT64: LOAD(int64_t)
    case CB_ONNX_UINT64: {
        uint64_t value;
        memcpy(&value, at, sizeof(value));
        return (int64_t)value;
    }
    default: return cut(cb__onnx_load_real(tensor, offset));
    }
}

double cb__onnx_load_real(const struct cb_onnx_tensor *tensor, int64_t offset)
{
    const unsigned char *at = element(tensor, offset);
    uint16_t half;
    switch (tensor->type) {
    case CB_ONNX_FLOAT: LOAD(float)
    case CB_ONNX_DOUBLE: LOAD(double)
    case CB_ONNX_FLOAT16: memcpy(&half, at, sizeof(half)); return from_half(half);
    case CB_ONNX_BFLOAT16: memcpy(&half, at, sizeof(half)); return from_bfloat(half);
    case CB_ONNX_UINT64: return (double)(uint64_t)cb__onnx_load_int(tensor, offset);
    case CB_ONNX_STRING:
    case CB_ONNX_UNDEFINED: return 0;
    default: return (double)cb__onnx_load_int(tensor, offset);
    }
}

#define STORE(ctype, value)                                                                        \
    do {                                                                                           \
        ctype narrow = (ctype)(value);                                                             \
        memcpy(at, &narrow, sizeof(narrow));                                                       \
    } while (0)

void cb__onnx_store_int(struct cb_onnx_tensor *tensor, int64_t i, int64_t value)
{
    unsigned char *at = (unsigned char *)element(tensor, i);
    switch (tensor->type) {
    case CB_ONNX_BOOL: *at = value != 0; break;
    case CB_ONNX_UINT8:
    case CB_ONNX_INT8: *at = (unsigned char)value; break;
    case CB_ONNX_UINT16:
    case CB_ONNX_INT16: STORE(uint16_t, value); break;
    case CB_ONNX_INT32:
    case CB_ONNX_UINT32: STORE(uint32_t, value); break;
    case CB_ONNX_INT64:
    case CB_ONNX_UINT64: STORE(int64_t, value); break;
    default: cb__onnx_store_real(tensor, i, (double)value); break;
    }
}

void cb__onnx_store_real(struct cb_onnx_tensor *tensor, int64_t i, double value)
{
    unsigned char *at = (unsigned char *)element(tensor, i);
    switch (tensor->type) {
    case CB_ONNX_FLOAT: STORE(float, value); break;
    case CB_ONNX_DOUBLE: STORE(double, value); break;
    case CB_ONNX_FLOAT16: STORE(uint16_t, to_half(value)); break;
    case CB_ONNX_BFLOAT16: STORE(uint16_t, to_bfloat(value)); break;
    case CB_ONNX_BOOL: *at = value != 0; break;
    case CB_ONNX_UINT64:
        STORE(uint64_t, value >= 9223372036854775808.0 && value < 18446744073709551616.0 ? (uint64_t)value
                                                                                      : (uint64_t)cut(value));
        break;
    case CB_ONNX_STRING:
    case CB_ONNX_UNDEFINED: break;
    default: cb__onnx_store_int(tensor, i, cut(value)); break;
    }
}

/* ---- views --------------------------------------------------------------------------------------------------- */

bool cb__onnx_count(uint32_t rank, const int64_t *dims, int64_t *out)
{
    int64_t count = 1;
    bool is_empty = false;
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] < 0) {
            return false;
        }
        is_empty = is_empty || dims[i] == 0;
        if (dims[i] > 0 && (__builtin_mul_overflow(count, dims[i], &count) || count > (int64_t)1 << 48)) {
            return false;
        }
    }
    *out = is_empty ? 0 : count;
    return true;
}

void cb__onnx_dense_strides(struct cb_onnx_tensor *tensor)
{
    int64_t stride = 1;
    for (uint32_t i = tensor->rank; i-- > 0;) {
        tensor->strides[i] = stride;
        stride *= tensor->dims[i] > 0 ? tensor->dims[i] : 1;
    }
}

bool cb_onnx_tensor_is_dense(const struct cb_onnx_tensor *tensor)
{
    int64_t stride = 1;
    for (uint32_t i = tensor->rank; i-- > 0;) {
        if (tensor->dims[i] != 1 && tensor->strides[i] != stride && tensor->count > 0) {
            return false;
        }
        stride *= tensor->dims[i];
    }
    return true;
}

void cb__onnx_walk_begin(struct cb__onnx_walk *walk, const struct cb_onnx_tensor *tensor)
{
    *walk = (struct cb__onnx_walk){.tensor = tensor};
}

void cb__onnx_walk_next(struct cb__onnx_walk *walk)
{
    const struct cb_onnx_tensor *t = walk->tensor;
    for (uint32_t i = t->rank; i-- > 0;) {
        walk->offset += t->strides[i];
        if (++walk->index[i] < t->dims[i]) {
            return;
        }
        walk->offset -= t->strides[i] * t->dims[i];
        walk->index[i] = 0;
    }
}

void cb_onnx_tensor_f32(const struct cb_onnx_tensor *tensor, float *out)
{
    if (tensor->type == CB_ONNX_FLOAT && cb_onnx_tensor_is_dense(tensor)) {
        memcpy(out, tensor->data, (size_t)tensor->count * sizeof(float));
        return;
    }
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, tensor);
    for (int64_t i = 0; i < tensor->count; i++) {
        out[i] = (float)cb__onnx_load_real(tensor, walk.offset);
        cb__onnx_walk_next(&walk);
    }
}

void cb_onnx_tensor_i64(const struct cb_onnx_tensor *tensor, int64_t *out)
{
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, tensor);
    for (int64_t i = 0; i < tensor->count; i++) {
        out[i] = cb__onnx_load_int(tensor, walk.offset);
        cb__onnx_walk_next(&walk);
    }
}

static int64_t offset_of(const struct cb_onnx_tensor *tensor, int64_t i)
{
    int64_t offset = 0;
    for (uint32_t axis = tensor->rank; axis-- > 0;) {
        offset += i % tensor->dims[axis] * tensor->strides[axis];
        i /= tensor->dims[axis];
    }
    return offset;
}

double cb_onnx_tensor_real(const struct cb_onnx_tensor *tensor, int64_t i)
{
    return i >= 0 && i < tensor->count ? cb__onnx_load_real(tensor, offset_of(tensor, i)) : 0;
}

int64_t cb_onnx_tensor_int(const struct cb_onnx_tensor *tensor, int64_t i)
{
    return i >= 0 && i < tensor->count ? cb__onnx_load_int(tensor, offset_of(tensor, i)) : 0;
}

bool cb__onnx_spend(struct cb_onnx_graph *graph, int64_t amount)
{
    struct cb__onnx_model *model = graph->model;
    if (amount > 8 * model->file_bytes + ((int64_t)256 << 20) - model->spent) {
        return false;
    }
    model->spent += amount;
    return true;
}

struct cb_onnx_tensor *cb__onnx_make_tensor(struct cb_onnx_graph *graph, enum cb_onnx_type type, uint32_t rank,
                                            const int64_t *dims)
{
    int64_t count;
    if (rank > CB_MAX_RANK || cb_onnx_type_bytes(type) == 0 || !cb__onnx_count(rank, dims, &count)) {
        return NULL;
    }
    int64_t bytes = count * (int64_t)cb_onnx_type_bytes(type);
    if (!cb__onnx_spend(graph, bytes)) {
        return NULL;
    }
    struct cb_onnx_tensor *tensor = CB_NEW(graph->arena, struct cb_onnx_tensor);
    unsigned char *data = cb_arena_alloc(graph->arena, (size_t)bytes);
    if (!tensor || !data) {
        return NULL;
    }
    *tensor = (struct cb_onnx_tensor){.name = "", .type = type, .rank = rank, .count = count, .data = data};
    if (rank > 0) {
        memcpy(tensor->dims, dims, rank * sizeof(*dims));
    }
    cb__onnx_dense_strides(tensor);
    return tensor;
}

struct cb_onnx_tensor *cb__onnx_view(struct cb_onnx_graph *graph, const struct cb_onnx_tensor *tensor)
{
    struct cb_onnx_tensor *view = CB_NEW(graph->arena, struct cb_onnx_tensor);
    if (view) {
        *view = *tensor;
    }
    return view;
}
