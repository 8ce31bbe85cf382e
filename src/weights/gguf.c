/* gguf.c: GGUF files (llama.cpp), versions 2 and 3, little-endian.
 *
 * "GGUF", version (4 bytes), number of tensors and of values (8 bytes each); each value: key, type, value; each tensor:
 * name, number of dims, dims with the densest first, type, offset from the data. A text is its length (8 bytes) and its
 * bytes. The data begins at the next multiple of `general.alignment`. Source: ggml/docs/gguf.md.
 *
 * Everything stays in the mapping: values are found by their position, texts of a list by a table of offsets. */
#include <inttypes.h>
#include <stdlib.h>

#include "weights/internal.h"

#define MAX_ALIGNMENT (1u << 20)
#define MAX_NAME 4096u

/* The types of values. */
enum { U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, LIST, U64, I64, F64, KIND_COUNT };
static const unsigned char kind_bytes[KIND_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* The types of tensors that are read, and the names of the others. */
static const struct {
    uint32_t code;
    enum cb_stored type;
} tensor_types[] = {
    {0, CB_STORED_F32},   {1, CB_STORED_F16},   {2, CB_STORED_Q4_0},  {3, CB_STORED_Q4_1},  {6, CB_STORED_Q5_0},
    {7, CB_STORED_Q5_1},  {8, CB_STORED_Q8_0},  {10, CB_STORED_Q2_K}, {11, CB_STORED_Q3_K}, {12, CB_STORED_Q4_K},
    {13, CB_STORED_Q5_K}, {14, CB_STORED_Q6_K}, {24, CB_STORED_I8},   {25, CB_STORED_I16},  {26, CB_STORED_I32},
    {27, CB_STORED_I64},  {28, CB_STORED_F64},  {30, CB_STORED_BF16},
};
static const char *const other_types[] = {
    [9] = "Q8_1", [15] = "Q8_K", [16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S", [20] = "IQ4_NL",
    [21] = "IQ3_S", [22] = "IQ2_S", [23] = "IQ4_XS", [29] = "IQ1_M", [34] = "TQ1_0", [35] = "TQ2_0", [39] = "MXFP4",
    [40] = "NVFP4", [41] = "Q1_0",
};

struct gguf {
    struct cb_tensor_file *file;
    const unsigned char *data;
    uint64_t bytes, position;
    uint64_t alignment;
    const struct cb_place *at;
    struct cb_diag *diag;
};

/* ---- the input --------------------------------------------------------------------------------------------------- */

static enum cb_status no_memory(const struct gguf *g)
{
    return cb_fail(g->diag, CB_MEMORY, g->at, "no memory for the header of `%s`", g->file->path);
}

static enum cb_status cut_short(const struct gguf *g, const char *what)
{
    return cb_fail(g->diag, CB_FORMAT, g->at, "`%s` is cut short or lies: it ends within %s, at byte %" PRIu64,
                   g->file->path, what, g->position);
}

static uint64_t little(const unsigned char *from, uint32_t bytes)
{
    uint64_t value = 0;
    for (uint32_t i = bytes; i-- > 0;) {
        value = value << 8 | from[i];
    }
    return value;
}

static enum cb_status take(struct gguf *g, uint32_t bytes, const char *what, uint64_t *out)
{
    if (g->bytes - g->position < bytes) {
        return cut_short(g, what);
    }
    *out = little(g->data + g->position, bytes);
    g->position += bytes;
    return CB_OK;
}

static enum cb_status skip(struct gguf *g, uint64_t bytes, const char *what)
{
    if (g->bytes - g->position < bytes) {
        return cut_short(g, what);
    }
    g->position += bytes;
    return CB_OK;
}

/* A key or a name. */
static enum cb_status take_name(struct gguf *g, const char *what, const char **out)
{
    uint64_t length = 0;
    CB_TRY(take(g, 8, what, &length));
    const char *text = (const char *)g->data + g->position;
    uint64_t begin = g->position;
    CB_TRY(skip(g, length, what));
    if (length == 0 || length > MAX_NAME || memchr(text, 0, length)) {
        return cb_fail(g->diag, CB_FORMAT, g->at, "`%s`: %s at byte %" PRIu64 " is %s", g->file->path, what, begin,
                       length == 0 ? "empty" : length > MAX_NAME ? "too long" : "broken by a zero byte");
    }
    *out = cb_arena_strndup(g->file->arena, text, length);
    return *out ? CB_OK : no_memory(g);
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static enum cb_fact_kind kind_of(uint32_t type)
{
    return type == TEXT ? CB_FACT_TEXT
           : type == BOOL ? CB_FACT_BOOL
           : type == F32 || type == F64 ? CB_FACT_REAL : CB_FACT_INTEGER;
}

/* `count` texts, one after the other. */
static enum cb_status take_texts(struct gguf *g, struct cb_fact *fact)
{
    if (fact->count > (g->bytes - g->position) / 8) {
        return cut_short(g, fact->key);
    }
    uint64_t *offsets = CB_NEW_ARRAY(g->file->arena, uint64_t, fact->count + 1);
    if (!offsets) {
        return no_memory(g);
    }
    uint64_t begin = g->position;
    for (uint64_t i = 0; i < fact->count; i++) {
        uint64_t length = 0;
        offsets[i] = g->position - begin;
        CB_TRY(take(g, 8, fact->key, &length));
        CB_TRY(skip(g, length, fact->key));
    }
    fact->offsets = offsets;
    return CB_OK;
}

static enum cb_status take_fact(struct gguf *g, struct cb_fact *fact)
{
    uint64_t type = 0;
    CB_TRY(take_name(g, "a key", &fact->key));
    CB_TRY(take(g, 4, fact->key, &type));
    fact->count = 1;
    if (type == LIST) {
        fact->is_list = true;
        CB_TRY(take(g, 4, fact->key, &type));
        CB_TRY(take(g, 8, fact->key, &fact->count));
    }
    if (type >= KIND_COUNT || type == LIST) {
        return cb_fail(g->diag, type == LIST ? CB_UNSUPPORTED : CB_FORMAT, g->at,
                       type == LIST ? "`%s`: `%s` is a list of lists, which is not read"
                                    : "`%s`: `%s` has a type that is not known, %" PRIu64,
                       g->file->path, fact->key, type);
    }
    fact->type = (uint32_t)type;
    fact->kind = kind_of(fact->type);
    fact->data = g->data + g->position;
    if (type == TEXT) {
        return take_texts(g, fact);
    }
    if (fact->count > (g->bytes - g->position) / kind_bytes[type]) {
        return cut_short(g, fact->key);
    }
    return skip(g, fact->count * kind_bytes[type], fact->key);
}

int64_t cb_fact_integer(const struct cb_fact *fact, uint64_t i)
{
    if (i >= fact->count || fact->kind == CB_FACT_TEXT) {
        return 0;
    }
    const unsigned char *from = fact->data + i * kind_bytes[fact->type];
    uint64_t bits = little(from, kind_bytes[fact->type]);
    switch (fact->type) {
    case I8:
        return (int8_t)bits;
    case I16:
        return (int16_t)bits;
    case I32:
        return (int32_t)bits;
    case I64:
        return (int64_t)bits;
    case U64:
        return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
    case F32:
    case F64: {
        double real = cb_fact_real(fact, i);
        return real != real ? 0 : real >= 0x1p63 ? INT64_MAX : real <= -0x1p63 ? INT64_MIN : (int64_t)real;
    }
    case BOOL:
        return bits != 0;
    default:
        return (int64_t)bits;
    }
}

double cb_fact_real(const struct cb_fact *fact, uint64_t i)
{
    if (i >= fact->count || fact->kind == CB_FACT_TEXT) {
        return 0;
    }
    const unsigned char *from = fact->data + i * kind_bytes[fact->type];
    float single;
    double twice;
    switch (fact->type) {
    case F32:
        memcpy(&single, from, sizeof(single));
        return single;
    case F64:
        memcpy(&twice, from, sizeof(twice));
        return twice;
    case U64:
        return (double)little(from, 8);
    default:
        return (double)cb_fact_integer(fact, i);
    }
}

const char *cb_fact_text(const struct cb_fact *fact, uint64_t i, size_t *out_bytes)
{
    if (i >= fact->count || fact->kind != CB_FACT_TEXT) {
        *out_bytes = 0;
        return NULL;
    }
    const unsigned char *from = fact->data + fact->offsets[i];
    *out_bytes = (size_t)little(from, 8);
    return (const char *)from + 8;
}

static const char *as_text(const struct gguf *g, const struct cb_fact *fact)
{
    size_t bytes;
    const char *text = cb_fact_text(fact, 0, &bytes);
    switch (fact->kind) {
    case CB_FACT_TEXT:
        return cb_arena_strndup(g->file->arena, text, strnlen(text, bytes));
    case CB_FACT_BOOL:
        return cb_fact_integer(fact, 0) ? "true" : "false";
    case CB_FACT_REAL:
        return cb_arena_printf(g->file->arena, "%.9g", cb_fact_real(fact, 0));
    default:
        return fact->type == U64 ? cb_arena_printf(g->file->arena, "%" PRIu64, little(fact->data, 8))
                                  : cb_arena_printf(g->file->arena, "%" PRId64, cb_fact_integer(fact, 0));
    }
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp((*(const struct cb_fact *const *)a)->key, (*(const struct cb_fact *const *)b)->key);
}

static enum cb_status check_keys(const struct gguf *g)
{
    uint32_t count = g->file->fact_count;
    const struct cb_fact **sorted = CB_NEW_ARRAY(g->file->arena, const struct cb_fact *, (size_t)count + 1);
    if (!sorted) {
        return no_memory(g);
    }
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = &g->file->facts[i];
    }
    qsort(sorted, count, sizeof(*sorted), compare_keys);
    for (uint32_t i = 1; i < count; i++) {
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0) {
            return cb_fail(g->diag, CB_FORMAT, g->at, "`%s` has two values named `%s`", g->file->path, sorted[i]->key);
        }
    }
    return CB_OK;
}

static enum cb_status take_facts(struct gguf *g, uint64_t count)
{
    struct cb_tensor_file *file = g->file;
    file->facts = CB_NEW_ARRAY(file->arena, struct cb_fact, count + 1);
    file->metadata = CB_NEW_ARRAY(file->arena, struct cb_key_value, count + 1);
    if (!file->facts || !file->metadata) {
        return no_memory(g);
    }
    for (uint64_t i = 0; i < count; i++) {
        struct cb_fact *fact = &file->facts[i];
        CB_TRY(take_fact(g, fact));
        file->fact_count++;
        if (!fact->is_list) {
            const char *text = as_text(g, fact);
            if (!text) {
                return no_memory(g);
            }
            file->metadata[file->metadata_count++] = (struct cb_key_value){.key = fact->key, .value = text};
        }
    }
    return check_keys(g);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

static enum cb_status take_type(struct gguf *g, struct cb_tensor_entry *entry)
{
    uint64_t code = 0;
    CB_TRY(take(g, 4, entry->name, &code));
    for (size_t i = 0; i < sizeof(tensor_types) / sizeof(tensor_types[0]); i++) {
        if (tensor_types[i].code == code) {
            entry->type = tensor_types[i].type;
            return CB_OK;
        }
    }
    const char *name = code < sizeof(other_types) / sizeof(other_types[0]) ? other_types[code] : NULL;
    return name ? cb_fail(g->diag, CB_UNSUPPORTED, g->at,
                          "`%s`: tensor `%s` has the type %s, which is not read (F32, F16, BF16, Q8_0, Q4_0, Q4_1,"
                          " Q5_0, Q5_1 and Q2_K to Q6_K are)", g->file->path, entry->name, name)
                : cb_fail(g->diag, CB_FORMAT, g->at, "`%s`: tensor `%s` has a type that is not known, %" PRIu64,
                          g->file->path, entry->name, code);
}

/* The file has the densest dim first. */
static enum cb_status take_dims(struct gguf *g, struct cb_tensor_entry *entry)
{
    uint64_t rank = 0, dim = 0;
    CB_TRY(take(g, 4, entry->name, &rank));
    if (rank > CB_MAX_RANK) {
        return cb_fail(g->diag, CB_UNSUPPORTED, g->at, "`%s`: tensor `%s` has %" PRIu64 " dimensions; at most %d are"
                       " read", g->file->path, entry->name, rank, CB_MAX_RANK);
    }
    entry->rank = (uint32_t)rank;
    for (uint32_t i = entry->rank; i-- > 0;) {
        CB_TRY(take(g, 8, entry->name, &dim));
        entry->dims[i] = dim > INT64_MAX ? -1 : (int64_t)dim;
    }
    return CB_OK;
}

static enum cb_status take_tensor(struct gguf *g, struct cb_tensor_entry *entry, uint64_t *out_begin)
{
    const char *path = g->file->path;
    char dims[192];
    CB_TRY(take_name(g, "the name of a tensor", &entry->name));
    CB_TRY(take_dims(g, entry));
    CB_TRY(take_type(g, entry));
    CB_TRY(take(g, 8, entry->name, out_begin));
    cb_format_dims(entry->rank, entry->dims, dims);
    if (!cb__dims_count(entry->rank, entry->dims, &entry->count) ||
        (entry->bytes = cb_stored_size(entry->type, entry->count)) > INT64_MAX) {
        return cb_fail(g->diag, CB_FORMAT, g->at, "`%s`: the size of tensor `%s` %s overflows", path, entry->name, dims);
    }
    uint32_t block = cb_stored_block(entry->type);
    if (block > 1 && (entry->rank == 0 || entry->dims[entry->rank - 1] % block != 0)) {
        return cb_fail(g->diag, CB_FORMAT, g->at, "`%s`: tensor `%s` %s of %s has rows that are not whole blocks of"
                       " %" PRIu32, path, entry->name, dims, cb_stored_name(entry->type), block);
    }
    if (*out_begin % g->alignment != 0) {
        return cb_fail(g->diag, CB_FORMAT, g->at, "`%s`: tensor `%s` begins at byte %" PRIu64 " of the data, which is"
                       " no multiple of %" PRIu64, path, entry->name, *out_begin, g->alignment);
    }
    cb__dense_strides(entry->rank, entry->dims, entry->strides);
    return CB_OK;
}

static int compare_data(const void *a, const void *b)
{
    const struct cb__storage *x = *(const struct cb__storage *const *)a;
    const struct cb__storage *y = *(const struct cb__storage *const *)b;
    return x->data != y->data ? (x->data < y->data ? -1 : 1) : x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* No two tensors share bytes: nothing is larger widened than the file allows. */
static enum cb_status check_overlap(const struct gguf *g)
{
    struct cb_tensor_file *file = g->file;
    const struct cb__storage **sorted = CB_NEW_ARRAY(file->arena, const struct cb__storage *, (size_t)file->count + 1);
    if (!sorted) {
        return no_memory(g);
    }
    for (uint32_t i = 0; i < file->count; i++) {
        sorted[i] = &file->storages[i];
    }
    qsort(sorted, file->count, sizeof(*sorted), compare_data);
    for (uint32_t i = 1; i < file->count; i++) {
        if (sorted[i]->data < sorted[i - 1]->data + sorted[i - 1]->bytes) {
            return cb_fail(g->diag, CB_FORMAT, g->at, "`%s`: tensors `%s` and `%s` share bytes", file->path,
                           sorted[i - 1]->key, sorted[i]->key);
        }
    }
    return CB_OK;
}

/* Where the data of each lies, when all their headers are read. */
static enum cb_status place_data(struct gguf *g, const uint64_t *begins)
{
    struct cb_tensor_file *file = g->file;
    uint64_t data_at = (g->position + g->alignment - 1) / g->alignment * g->alignment;
    for (uint32_t i = 0; i < file->count; i++) {
        struct cb_tensor_entry *entry = &file->entries[i];
        uint64_t there = g->bytes > data_at ? g->bytes - data_at : 0;
        if (begins[i] > there || entry->bytes > there - begins[i]) {
            return cb_fail(g->diag, CB_FORMAT, g->at, "`%s` is cut short or lies: tensor `%s` needs %" PRIu64
                           " bytes at byte %" PRIu64 " of its %" PRIu64 " bytes of data", file->path, entry->name,
                           entry->bytes, begins[i], there);
        }
        const unsigned char *data = entry->bytes > 0 ? g->data + data_at + begins[i] : g->data;
        entry->storage = i;
        file->storages[i] = (struct cb__storage){
            .data = data, .bytes = entry->bytes, .type = entry->type, .users = 1, .key = entry->name};
    }
    file->storage_count = file->count;
    return check_overlap(g);
}

static enum cb_status take_tensors(struct gguf *g, uint64_t count)
{
    struct cb_tensor_file *file = g->file;
    const struct cb_fact *alignment = cb_tensors_fact(file, "general.alignment");
    g->alignment = alignment && alignment->kind == CB_FACT_INTEGER && !alignment->is_list
                       ? (uint64_t)cb_fact_integer(alignment, 0) : 32;
    if (g->alignment == 0 || g->alignment > MAX_ALIGNMENT || g->alignment % 8 != 0) {
        return cb_fail(g->diag, CB_FORMAT, g->at, "`%s`: an alignment of %" PRIu64 " bytes is not one that GGUF allows",
                       file->path, g->alignment);
    }
    file->entries = CB_NEW_ARRAY(file->arena, struct cb_tensor_entry, count + 1);
    file->storages = CB_NEW_ARRAY(file->arena, struct cb__storage, count + 1);
    uint64_t *begins = CB_NEW_ARRAY(file->arena, uint64_t, count + 1);
    if (!file->entries || !file->storages || !begins) {
        return no_memory(g);
    }
    for (uint64_t i = 0; i < count; i++) {
        CB_TRY(take_tensor(g, &file->entries[i], &begins[i]));
        file->count++;
    }
    return place_data(g, begins);
}

static enum cb_status check_split(const struct gguf *g)
{
    const struct cb_fact *parts = cb_tensors_fact(g->file, "split.count");
    if (parts && cb_fact_integer(parts, 0) > 1) {
        return cb_fail(g->diag, CB_UNSUPPORTED, g->at, "`%s` is one of %" PRId64 " parts of a GGUF file; join them with"
                       " `gguf-split --merge` first", g->file->path, cb_fact_integer(parts, 0));
    }
    return CB_OK;
}

enum cb_status cb__gguf_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag)
{
    struct gguf g = {.file = file, .data = file->mapping.data, .bytes = file->mapping.bytes, .position = 4, .at = at,
                     .diag = diag};
    uint64_t version = 0, tensors = 0, facts = 0;
    CB_TRY(take(&g, 4, "its header", &version));
    if (version != 2 && version != 3) {
        const char *why = version == 1 ? "version 1 of GGUF is not read; convert it again"
                          : (version & 0xffff) == 0 && version != 0 ? "it is big-endian, which is not read"
                                                                    : "it has a version of GGUF that is not known";
        return cb_fail(diag, CB_UNSUPPORTED, at, "`%s`: %s", file->path, why);
    }
    CB_TRY(take(&g, 8, "its header", &tensors));
    CB_TRY(take(&g, 8, "its header", &facts));
    /* the least that each takes: a name's length, rank, type and offset; a key's length, type and a byte */
    if (tensors > g.bytes / 24 || facts > g.bytes / 13 || tensors > UINT32_MAX / 2 || facts > UINT32_MAX / 2) {
        return cb_fail(diag, CB_FORMAT, at, "`%s` is cut short or lies: %" PRIu64 " tensors and %" PRIu64 " values do"
                       " not fit into %" PRIu64 " bytes", file->path, tensors, facts, g.bytes);
    }
    CB_TRY(take_facts(&g, facts));
    CB_TRY(check_split(&g));
    return take_tensors(&g, tensors);
}

/* ---- looking values up ------------------------------------------------------------------------------------------ */

uint32_t cb_tensors_fact_count(const struct cb_tensor_file *file)
{
    return file->fact_count;
}

const struct cb_fact *cb_tensors_fact_at(const struct cb_tensor_file *file, uint32_t i)
{
    return i < file->fact_count ? &file->facts[i] : NULL;
}

const struct cb_fact *cb_tensors_fact(const struct cb_tensor_file *file, const char *key)
{
    for (uint32_t i = 0; i < file->fact_count; i++) {
        if (strcmp(file->facts[i].key, key) == 0) {
            return &file->facts[i];
        }
    }
    return NULL;
}
