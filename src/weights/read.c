/* read.c: the values of a tensor: widened to float or int64, through any strides. */
#include <stdlib.h>

#include "weights/internal.h"

/* ---- one element ------------------------------------------------------------------------------------------------ */

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* An 8-bit float of `exponent_bits` and `mantissa_bits` widened exactly; `has_infinity` as in IEEE 754, otherwise (E4M3)
 * only all ones is not a number. */
static float widen(uint32_t bits, uint32_t exponent_bits, uint32_t mantissa_bits, bool has_infinity)
{
    uint32_t mantissa_mask = (1u << mantissa_bits) - 1;
    uint32_t exponent_mask = (1u << exponent_bits) - 1;
    uint32_t sign = (bits >> (exponent_bits + mantissa_bits)) << 31;
    uint32_t exponent = (bits >> mantissa_bits) & exponent_mask;
    uint32_t mantissa = bits & mantissa_mask;
    uint32_t bias = exponent_mask >> 1;

    bool is_special = exponent == exponent_mask && (has_infinity || mantissa == mantissa_mask);
    if (is_special) {
        return float_of_bits(sign | 0x7f800000u | (mantissa << (23 - mantissa_bits)));
    }
    if (exponent == 0) {
        /* zero or subnormal: mantissa * 2^(1 - bias - mantissa_bits), exact in float */
        float magnitude = (float)mantissa * float_of_bits((127 + 1 - bias - mantissa_bits) << 23);
        return sign ? -magnitude : magnitude;
    }
    return float_of_bits(sign | ((exponent + 127 - bias) << 23) | (mantissa << (23 - mantissa_bits)));
}

/* Elements are little-endian, as every format here has them, at any alignment. A line of them is `step` bytes apart;
 * where they lie together the compiler makes vector code of it. */
typedef void load_f32_fn(const unsigned char *from, int64_t step, int64_t count, float *out);
typedef bool load_i64_fn(const unsigned char *from, int64_t *out); /* false: it does not fit */

#define DEFINE_F32_LINE(name, size)                                                                \
    static void f32_line_of_##name(const unsigned char *from, int64_t step, int64_t count, float *out) \
    {                                                                                              \
        if (step == (size)) {                                                                      \
            for (int64_t i = 0; i < count; i++) {                                                  \
                out[i] = f32_of_##name(from + i * (size));                                         \
            }                                                                                      \
        } else {                                                                                   \
            for (int64_t i = 0; i < count; i++) {                                                  \
                out[i] = f32_of_##name(from + i * step);                                           \
            }                                                                                      \
        }                                                                                          \
    }
#define DEFINE_F32_OF(name, type)                                                                  \
    static float f32_of_##name(const unsigned char *from)                                          \
    {                                                                                              \
        type value;                                                                                \
        memcpy(&value, from, sizeof(value));                                                       \
        return (float)value;                                                                       \
    }                                                                                              \
    DEFINE_F32_LINE(name, (int64_t)sizeof(type))
#define DEFINE_I64_OF(name, type)                                                                  \
    static bool i64_of_##name(const unsigned char *from, int64_t *out)                             \
    {                                                                                              \
        type value;                                                                                \
        memcpy(&value, from, sizeof(value));                                                       \
        *out = (int64_t)value;                                                                     \
        return true;                                                                               \
    }
DEFINE_F32_OF(f64, double)
DEFINE_F32_OF(f32, float)
#define DEFINE_BOTH(name, type) DEFINE_F32_OF(name, type) DEFINE_I64_OF(name, type)
DEFINE_BOTH(i64, int64_t)
DEFINE_BOTH(i32, int32_t)
DEFINE_BOTH(i16, int16_t)
DEFINE_BOTH(i8, int8_t)
DEFINE_F32_OF(u64, uint64_t)
DEFINE_BOTH(u32, uint32_t)
DEFINE_BOTH(u16, uint16_t)
DEFINE_BOTH(u8, uint8_t)

static bool i64_of_u64(const unsigned char *from, int64_t *out)
{
    uint64_t value;
    memcpy(&value, from, sizeof(value));
    *out = (int64_t)value;
    return *out >= 0;
}
static float f32_of_f16(const unsigned char *from)
{
    uint16_t value;
    memcpy(&value, from, sizeof(value));
    return cb__f32_of_f16(value);
}
static float f32_of_bf16(const unsigned char *from)
{
    uint16_t value;
    memcpy(&value, from, sizeof(value));
    return float_of_bits((uint32_t)value << 16);
}
static float f32_of_f8_e4m3(const unsigned char *from)
{
    return widen(*from, 4, 3, false);
}
static float f32_of_f8_e5m2(const unsigned char *from)
{
    return widen(*from, 5, 2, true);
}
static float f32_of_bool(const unsigned char *from)
{
    return *from ? 1.0f : 0.0f;
}
DEFINE_F32_LINE(f16, 2)
DEFINE_F32_LINE(bf16, 2)
DEFINE_F32_LINE(f8_e4m3, 1)
DEFINE_F32_LINE(f8_e5m2, 1)
DEFINE_F32_LINE(bool, 1)
static bool i64_of_bool(const unsigned char *from, int64_t *out)
{
    *out = *from ? 1 : 0;
    return true;
}

static load_f32_fn *const load_f32[CB_STORED_COUNT] = {
    [CB_STORED_F64] = f32_line_of_f64,
    [CB_STORED_F32] = f32_line_of_f32,
    [CB_STORED_F16] = f32_line_of_f16,
    [CB_STORED_BF16] = f32_line_of_bf16,
    [CB_STORED_I64] = f32_line_of_i64,
    [CB_STORED_I32] = f32_line_of_i32,
    [CB_STORED_I16] = f32_line_of_i16,
    [CB_STORED_I8] = f32_line_of_i8,
    [CB_STORED_U64] = f32_line_of_u64,
    [CB_STORED_U32] = f32_line_of_u32,
    [CB_STORED_U16] = f32_line_of_u16,
    [CB_STORED_U8] = f32_line_of_u8,
    [CB_STORED_BOOL] = f32_line_of_bool,
    [CB_STORED_F8_E4M3] = f32_line_of_f8_e4m3,
    [CB_STORED_F8_E5M2] = f32_line_of_f8_e5m2,
};

static load_i64_fn *const load_i64[CB_STORED_COUNT] = {
    [CB_STORED_I64] = i64_of_i64, [CB_STORED_I32] = i64_of_i32, [CB_STORED_I16] = i64_of_i16,
    [CB_STORED_I8] = i64_of_i8,   [CB_STORED_U64] = i64_of_u64, [CB_STORED_U32] = i64_of_u32,
    [CB_STORED_U16] = i64_of_u16, [CB_STORED_U8] = i64_of_u8,   [CB_STORED_BOOL] = i64_of_bool,
};

/* ---- views ------------------------------------------------------------------------------------------------------ */

/* A view without dims of 1 and with neighbours merged where one stride continues the other. The last dim is contiguous
 * in the output. */
struct view {
    uint32_t rank;
    int64_t dims[CB_MAX_RANK];
    int64_t strides[CB_MAX_RANK]; /* in the storage, elements */
    int64_t to[CB_MAX_RANK];      /* in the output, elements */
};

static void swap(int64_t *a, int64_t *b)
{
    int64_t old = *a;
    *a = *b;
    *b = old;
}

/* Puts the dim that is densest in the storage beside the one that is densest in the output: a transpose of these two in
 * small squares then reads and writes whole cache lines. */
static void pair_dense_dims(struct view *view)
{
    uint32_t row = 0;
    for (uint32_t i = 1; i + 1 < view->rank; i++) {
        row = view->strides[i] < view->strides[row] ? i : row;
    }
    if (view->rank > 2) {
        swap(&view->dims[row], &view->dims[view->rank - 2]);
        swap(&view->strides[row], &view->strides[view->rank - 2]);
        swap(&view->to[row], &view->to[view->rank - 2]);
    }
}

static struct view simplify(const struct cb_tensor_entry *entry)
{
    struct view view = {.rank = 1, .dims = {1}, .strides = {1}}; /* for one value */
    uint32_t rank = 0;
    for (uint32_t i = 0; i < entry->rank; i++) {
        if (entry->dims[i] == 1) {
            continue;
        }
        if (rank > 0 && view.strides[rank - 1] == entry->strides[i] * entry->dims[i]) {
            view.dims[rank - 1] *= entry->dims[i];
            view.strides[rank - 1] = entry->strides[i];
        } else {
            view.dims[rank] = entry->dims[i];
            view.strides[rank] = entry->strides[i];
            rank++;
        }
    }
    view.rank = rank ? rank : 1;
    cb__dense_strides(view.rank, view.dims, view.to);
    pair_dense_dims(&view);
    return view;
}

struct reading {
    struct view view;
    const struct cb_mapping *mapping;
    const unsigned char *data; /* of the storage */
    int64_t begin;             /* element 0 of the view in it */
    enum cb_stored type;
    int64_t size;
    float *reals;      /* one of the two */
    int64_t *integers;
    bool does_not_fit; /* an integer left int64 */
};

static void read_reals(const struct reading *r, int64_t from, int64_t stride, int64_t count, float *out)
{
    const unsigned char *data = r->data + (r->begin + from) * r->size;
    if (cb_stored_block(r->type) > 1) {
        cb__widen_blocks(r->type, r->data, r->begin + from, stride, count, out);
    } else if (r->type == CB_STORED_F32 && stride == 1) {
        memcpy(out, data, (size_t)count * sizeof(float));
    } else {
        load_f32[r->type](data, stride * r->size, count, out);
    }
}

enum { GIVEN_BACK = 4 << 20 }; /* bytes of a large tensor that are given back at once while it is read */

/* Elements [*first, end) of the view's storage will not be read again; when they are many their memory is given back. */
static void give_back(const struct reading *r, int64_t *first, int64_t end)
{
    uint64_t begin_bytes = cb_stored_size(r->type, (uint64_t)(r->begin + *first));
    uint64_t end_bytes = cb_stored_size(r->type, (uint64_t)(r->begin + end));
    if (end > *first && end_bytes - begin_bytes >= GIVEN_BACK) {
        cb_file_forget(r->mapping, r->data + begin_bytes, end_bytes - begin_bytes);
        *first = end;
    }
}

/* A long run in pieces, so that no more of the file is in memory than one. */
static void read_long_run(const struct reading *r, int64_t from, int64_t count, float *out)
{
    enum { PIECE = 1 << 20 }; /* a multiple of every block */
    int64_t first = from;
    for (int64_t i = 0; i < count; i += PIECE) {
        int64_t length = count - i < PIECE ? count - i : PIECE;
        read_reals(r, from + i, 1, length, out + i);
        give_back(r, &first, from + i + length);
    }
}

static void read_run(struct reading *r, int64_t from, int64_t stride, int64_t count, int64_t to)
{
    if (!r->integers && stride == 1) {
        read_long_run(r, from, count, r->reals + to);
        return;
    }
    if (!r->integers) {
        read_reals(r, from, stride, count, r->reals + to);
        return;
    }
    const unsigned char *data = r->data + (r->begin + from) * r->size;
    for (int64_t i = 0; i < count; i++) {
        r->does_not_fit |= !load_i64[r->type](data + i * stride * r->size, &r->integers[to + i]);
    }
}

/* The last two dims of a view whose rows lie denser in the storage than its columns: lines of the storage are widened
 * into a tile, which is written transposed. */
static void read_transposed(const struct reading *r, int64_t from, int64_t to)
{
    enum { SIDE = 32, LENGTH = CB_MAX_BLOCK, PITCH = LENGTH + 16 }; /* a pitch of 2^n would share few cache lines */
    float tile[SIDE * PITCH];
    const struct view *v = &r->view;
    uint32_t column = v->rank - 1;
    int64_t row_stride = v->strides[column - 1];
    float *out = r->reals + to;
    int64_t first = from;
    for (int64_t j = 0; j < v->dims[column]; j += SIDE) {
        int64_t width = v->dims[column] - j < SIDE ? v->dims[column] - j : SIDE;
        for (int64_t i = 0; i < v->dims[column - 1]; i += LENGTH) {
            int64_t length = v->dims[column - 1] - i < LENGTH ? v->dims[column - 1] - i : LENGTH;
            for (int64_t c = 0; c < width; c++) {
                read_reals(r, from + i * row_stride + (j + c) * v->strides[column], row_stride, length, tile + c * PITCH);
            }
            for (int64_t k = 0; k < length; k++) {
                float *row = out + (i + k) * v->to[column - 1] + j;
                for (int64_t c = 0; c < width; c++) {
                    row[c] = tile[c * PITCH + k];
                }
            }
        }
        if (v->strides[column] >= row_stride * v->dims[column - 1]) { /* no line comes between those of another */
            give_back(r, &first, from + (j + width) * v->strides[column]);
        }
    }
}

/* The last two dims of the view. */
static void read_plane(struct reading *r, int64_t from, int64_t to)
{
    const struct view *v = &r->view;
    uint32_t column = v->rank - 1;
    int64_t rows = column > 0 ? v->dims[column - 1] : 1;
    if (!r->integers && rows > 1 && v->strides[column] > v->strides[column - 1]) {
        read_transposed(r, from, to);
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        read_run(r, column > 0 ? from + i * v->strides[column - 1] : from, v->strides[column], v->dims[column],
                 column > 0 ? to + i * v->to[column - 1] : to);
    }
}

static void read_all(struct reading *r)
{
    const struct view *v = &r->view;
    uint32_t outer_rank = v->rank > 2 ? v->rank - 2 : 0;
    int64_t index[CB_MAX_RANK] = {0};
    for (;;) {
        int64_t from = 0;
        int64_t to = 0;
        for (uint32_t i = 0; i < outer_rank; i++) {
            from += index[i] * v->strides[i];
            to += index[i] * v->to[i];
        }
        read_plane(r, from, to);
        uint32_t i = outer_rank;
        while (i > 0 && ++index[i - 1] == v->dims[i - 1]) {
            index[--i] = 0;
        }
        if (i == 0) {
            return;
        }
    }
}

/* The file of an index in which the entry's storage lies; `*out` is the entry as that file has it. */
static struct cb_tensor_file *part_of(struct cb_tensor_file *file, const struct cb_tensor_entry *entry,
                                      struct cb_tensor_entry *out)
{
    *out = *entry;
    for (uint32_t i = file->part_count; i-- > 0;) {
        if (entry->storage >= file->parts[i]->first_storage) {
            out->storage = entry->storage - file->parts[i]->first_storage;
            return file->parts[i];
        }
    }
    return file;
}

/* Pages of the file that were read stay in the process's memory until they are given back: of a file of 500 MB all of
 * them, beside the values. */
static void forget(const struct cb_tensor_file *file, const struct cb__storage *storage,
                   const struct cb_tensor_entry *entry)
{
    enum { LARGE = 1 << 20 };
    if (entry->bytes < LARGE) {
        return; /* a row of a dataset, read again soon */
    }
    if (storage->data) { /* in the mapping, else nothing happens */
        cb_file_forget(&file->mapping, storage->data, storage->bytes);
    } else if (file->zip) {
        cb_file_forget(&file->mapping, file->mapping.data, file->mapping.bytes);
    }
}

static enum cb_status read_entry(struct cb_tensor_file *whole, const struct cb_tensor_entry *wanted, struct reading *r,
                                 struct cb_diag *diag)
{
    struct cb_tensor_entry here;
    struct cb_tensor_file *file = part_of(whole, wanted, &here);
    const struct cb_tensor_entry *entry = &here;
    struct cb__storage *storage = entry->storage < file->storage_count ? &file->storages[entry->storage] : NULL;
    r->size = cb_stored_bytes(entry->type);
    if (!storage || entry->rank > CB_MAX_RANK ||
        !cb__view_fits(entry, cb__stored_count(entry->type, storage->bytes))) {
        char dims[192];
        return cb_fail(diag, CB_INVALID, NULL, "tensor `%s` %s reaches outside its storage in `%s`", entry->name,
                       cb_format_dims(entry->rank, entry->dims, dims), file->path);
    }
    if (entry->count == 0) {
        return CB_OK;
    }
    const unsigned char *data;
    unsigned char *temporary;
    CB_TRY(cb__storage_load(file, storage, &data, &temporary, diag));
    r->mapping = &file->mapping;
    r->data = data;
    r->begin = (int64_t)entry->offset;
    r->type = entry->type;
    r->view = simplify(entry);
    read_all(r);
    free(temporary);
    forget(file, storage, entry);
    return CB_OK;
}

enum cb_status cb_tensors_read_f32(struct cb_tensor_file *file, const struct cb_tensor_entry *entry, float *out,
                                   struct cb_diag *diag)
{
    struct reading reading = {.reals = out};
    return read_entry(file, entry, &reading, diag);
}

enum cb_status cb_tensors_read_i64(struct cb_tensor_file *file, const struct cb_tensor_entry *entry, int64_t *out,
                                   struct cb_diag *diag)
{
    if (cb_stored_is_real(entry->type)) {
        return cb_fail(diag, CB_MISMATCH, NULL, "tensor `%s` in `%s` has type %s where integers are wanted",
                       entry->name, file->path, cb_stored_name(entry->type));
    }
    struct reading reading = {.integers = out};
    CB_TRY(read_entry(file, entry, &reading, diag));
    if (reading.does_not_fit) {
        return cb_fail(diag, CB_MISMATCH, NULL, "tensor `%s` in `%s` has values over 2^63", entry->name, file->path);
    }
    return CB_OK;
}
