/* numpy.c: arrays of NumPy: a .npy file (one array) and a .npz file (a zip of them).
 *
 * .npy: "\x93NUMPY", version, length of the header (2 bytes, from version 2 on 4), the header, the values. The header is
 * a dict as Python writes it, {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }; it is read by the grammar
 * below, nothing else. Arrays of objects hold a pickle and are refused. Source: numpy/lib/format.py. */
#include <inttypes.h>
#include <stdlib.h>
#include <zip.h>

#include "weights/internal.h"

#define MAX_HEADER 65536u /* bytes, with what stands before it; NumPy itself stops at 10000 */

struct header {
    struct cb_tensor_entry entry;
    uint64_t bytes; /* before the values */
};

struct reader {
    const struct cb_tensor_file *file;
    const char *name; /* of the array */
    const char *next, *end;
    const struct cb_place *at;
    struct cb_diag *diag;
};

/* ---- the header -------------------------------------------------------------------------------------------------- */

static enum cb_status bad(const struct reader *r, const char *what)
{
    return cb_fail(r->diag, CB_FORMAT, r->at, "`%s`: the header of array `%s` %s", r->file->path, r->name, what);
}

static void skip_blanks(struct reader *r)
{
    while (r->next < r->end && (*r->next == ' ' || *r->next == '\n')) {
        r->next++;
    }
}

static bool take(struct reader *r, char letter)
{
    skip_blanks(r);
    if (r->next == r->end || *r->next != letter) {
        return false;
    }
    r->next++;
    return true;
}

static bool take_word(struct reader *r, const char *word)
{
    skip_blanks(r);
    size_t length = strlen(word);
    if ((size_t)(r->end - r->next) < length || memcmp(r->next, word, length) != 0) {
        return false;
    }
    r->next += length;
    return true;
}

/* 'text' or "text", without escapes. */
static bool take_text(struct reader *r, char out[32])
{
    char quote = take(r, '\'') ? '\'' : take(r, '"') ? '"' : '\0';
    const char *close = quote ? memchr(r->next, quote, (size_t)(r->end - r->next)) : NULL;
    if (!close || close - r->next > 31 || memchr(r->next, '\\', (size_t)(close - r->next))) {
        return false;
    }
    memcpy(out, r->next, (size_t)(close - r->next));
    out[close - r->next] = '\0';
    r->next = close + 1;
    return true;
}

static const struct {
    const char *name;
    enum cb_stored type;
} types[] = {
    {"f8", CB_STORED_F64}, {"f4", CB_STORED_F32}, {"f2", CB_STORED_F16}, {"i8", CB_STORED_I64}, {"i4", CB_STORED_I32},
    {"i2", CB_STORED_I16}, {"i1", CB_STORED_I8},  {"u8", CB_STORED_U64}, {"u4", CB_STORED_U32}, {"u2", CB_STORED_U16},
    {"u1", CB_STORED_U8},  {"b1", CB_STORED_BOOL},
};

static enum cb_status refuse_type(const struct reader *r, const char *descr)
{
    const char *why = "which is not read";
    switch (descr[0] ? descr[1] : '\0') {
    case 'O':
        why = "an array of objects: they are a pickle, and nothing is executed; save arrays of numbers";
        break;
    case 'c':
        why = "complex numbers, which are not read";
        break;
    case 'S':
    case 'U':
        why = "texts, which are not read";
        break;
    case 'V':
        why = "raw bytes (perhaps of a bfloat16 or 8-bit type that NumPy does not know); save it as float32";
        break;
    default:
        break;
    }
    return cb_fail(r->diag, CB_UNSUPPORTED, r->at, "`%s`: array `%s` has the type `%s`, %s", r->file->path, r->name,
                   descr, why);
}

static enum cb_status take_type(struct reader *r, enum cb_stored *out)
{
    char descr[32];
    skip_blanks(r);
    if (r->next < r->end && *r->next == '[') {
        return cb_fail(r->diag, CB_UNSUPPORTED, r->at, "`%s`: array `%s` has records, which are not read; save each"
                       " field by itself", r->file->path, r->name);
    }
    if (!take_text(r, descr)) {
        return bad(r, "names no type");
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (descr[0] && strchr("<|=>", descr[0]) && strcmp(descr + 1, types[i].name) == 0) {
            if (descr[0] == '>' && descr[2] != '1') {
                return cb_fail(r->diag, CB_UNSUPPORTED, r->at, "`%s`: array `%s` is big-endian (`%s`), which is not"
                               " read; save it with .astype('<%s')", r->file->path, r->name, descr, types[i].name);
            }
            *out = types[i].type;
            return CB_OK;
        }
    }
    return refuse_type(r, descr);
}

static bool take_count(struct reader *r, int64_t *out)
{
    skip_blanks(r);
    const char *begin = r->next;
    int64_t value = 0;
    for (; r->next < r->end && *r->next >= '0' && *r->next <= '9'; r->next++) {
        if (value > (INT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (*r->next - '0');
    }
    bool has_digits = r->next > begin;
    if (has_digits && r->next < r->end && *r->next == 'L') { /* Python 2 */
        r->next++;
    }
    *out = value;
    return has_digits;
}

static enum cb_status take_shape(struct reader *r, struct cb_tensor_entry *entry)
{
    bool is_open = take(r, '(');
    while (is_open && !take(r, ')')) {
        if (entry->rank == CB_MAX_RANK) {
            return cb_fail(r->diag, CB_UNSUPPORTED, r->at, "`%s`: array `%s` has over %d dimensions", r->file->path,
                           r->name, CB_MAX_RANK);
        }
        if (!take_count(r, &entry->dims[entry->rank++])) {
            return bad(r, "has a dimension that is not a count");
        }
        if (!take(r, ',')) {
            is_open = take(r, ')');
            return is_open ? CB_OK : bad(r, "has a shape that does not end");
        }
    }
    return is_open ? CB_OK : bad(r, "has no shape");
}

static enum cb_status take_dict(struct reader *r, struct cb_tensor_entry *entry)
{
    bool has_type = false, has_order = false, has_shape = false, is_fortran = false;
    bool is_open = take(r, '{');
    while (is_open && !take(r, '}')) {
        char key[32];
        if (!take_text(r, key) || !take(r, ':')) {
            return bad(r, "is not a dict");
        }
        if (strcmp(key, "descr") == 0 && !has_type) {
            has_type = true;
            CB_TRY(take_type(r, &entry->type));
        } else if (strcmp(key, "fortran_order") == 0 && !has_order) {
            is_fortran = take_word(r, "True");
            has_order = is_fortran || take_word(r, "False");
        } else if (strcmp(key, "shape") == 0 && !has_shape) {
            has_shape = true;
            CB_TRY(take_shape(r, entry));
        } else {
            return bad(r, "has a key that has no place there");
        }
        is_open = take(r, ',');
        if (!is_open && !take(r, '}')) {
            return bad(r, "is not a dict");
        }
    }
    if (!has_type || !has_order || !has_shape) {
        return bad(r, "lacks `descr`, `fortran_order` or `shape`");
    }
    skip_blanks(r);
    if (r->next != r->end) {
        return bad(r, "goes on after its dict");
    }
    cb__dense_strides(entry->rank, entry->dims, entry->strides);
    int64_t stride = 1;
    for (uint32_t i = 0; is_fortran && i < entry->rank; i++) {
        entry->strides[i] = stride;
        if (entry->dims[i] > 1 && __builtin_mul_overflow(stride, entry->dims[i], &stride)) {
            stride = 0; /* refused by its size, or nothing is in it */
        }
    }
    return CB_OK;
}

/* `data` has `there` bytes of an array file of `total` bytes. */
static enum cb_status read_header(struct reader *r, const unsigned char *data, uint64_t there, uint64_t total,
                                  struct header *out)
{
    *out = (struct header){0};
    if (there < 10 || memcmp(data, "\x93NUMPY", 6) != 0 || data[6] < 1 || data[6] > 3 || (data[6] > 1 && there < 12)) {
        return bad(r, "does not begin as one of NumPy does");
    }
    uint64_t before = data[6] == 1 ? 10 : 12;
    uint64_t length = data[8] | (uint64_t)data[9] << 8;
    if (data[6] > 1) {
        length |= (uint64_t)data[10] << 16 | (uint64_t)data[11] << 24;
    }
    if (length > MAX_HEADER - 12 || length > there - before) {
        return bad(r, length > MAX_HEADER - 12 ? "is too long" : "is cut short");
    }
    struct cb_tensor_entry *entry = &out->entry;
    out->bytes = before + length;
    r->next = (const char *)data + before;
    r->end = r->next + length;
    CB_TRY(take_dict(r, entry));
    char dims[192];
    cb_format_dims(entry->rank, entry->dims, dims);
    if (!cb__dims_count(entry->rank, entry->dims, &entry->count) ||
        (entry->bytes = cb_stored_size(entry->type, entry->count)) > INT64_MAX) {
        return cb_fail(r->diag, CB_FORMAT, r->at, "`%s`: the size of array `%s` %s overflows", r->file->path, r->name,
                       dims);
    }
    if (entry->bytes != total - out->bytes) {
        return cb_fail(r->diag, CB_FORMAT, r->at, "`%s`: array `%s` %s of %s needs %" PRIu64 " bytes, but has %" PRIu64,
                       r->file->path, r->name, dims, cb_stored_name(entry->type), entry->bytes, total - out->bytes);
    }
    return CB_OK;
}

/* ---- one array --------------------------------------------------------------------------------------------------- */

enum cb_status cb__npy_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag)
{
    const struct cb_mapping *m = &file->mapping;
    char *name = cb_path_stem(file->arena, file->path);
    struct header header;
    file->entries = CB_NEW(file->arena, struct cb_tensor_entry);
    file->storages = CB_NEW(file->arena, struct cb__storage);
    if (!name || !file->entries || !file->storages) {
        return cb_fail(diag, CB_MEMORY, at, "no memory to open `%s`", file->path);
    }
    struct reader reader = {.file = file, .name = name, .at = at, .diag = diag};
    CB_TRY(read_header(&reader, m->data, m->bytes, m->bytes, &header));
    file->entries[0] = header.entry;
    file->entries[0].name = name;
    file->storages[0] = (struct cb__storage){.data = m->data + header.bytes, .bytes = header.entry.bytes,
                                             .type = header.entry.type, .users = 1, .key = name};
    file->count = file->storage_count = 1;
    return CB_OK;
}

/* ---- a zip of arrays --------------------------------------------------------------------------------------------- */

static enum cb_status read_member_header(struct cb_tensor_file *file, zip_uint64_t index, const zip_stat_t *stat,
                                         struct reader *r, struct header *out)
{
    zip_file_t *member = zip_fopen_index(file->zip, index, 0);
    if (!member) {
        return cb_fail(r->diag, CB_FORMAT, r->at, "`%s`: array `%s` cannot be read: %s", file->path, r->name,
                       zip_strerror(file->zip));
    }
    enum cb_status status = CB_OK;
    uint64_t wanted = stat->size < MAX_HEADER ? stat->size : MAX_HEADER;
    unsigned char *data = malloc(wanted + 1);
    zip_int64_t got = data ? zip_fread(member, data, 12 < wanted ? 12 : wanted) : -1;
    if (got == 12) { /* no more than there is of the header */
        uint64_t length = data[8] | (uint64_t)data[9] << 8;
        uint64_t more = length < wanted - 12 ? length : wanted - 12;
        zip_int64_t rest = zip_fread(member, data + 12, more);
        got = rest < 0 ? -1 : 12 + rest;
    }
    if (!data) {
        status = cb_fail(r->diag, CB_MEMORY, r->at, "no memory to open `%s`", file->path);
    } else if (got < 0) {
        status = cb_fail(r->diag, CB_FORMAT, r->at, "`%s`: array `%s` is damaged: %s", file->path, r->name,
                         zip_file_strerror(member));
    } else {
        status = read_header(r, data, (uint64_t)got, stat->size, out);
    }
    free(data);
    zip_fclose(member);
    return status;
}

static enum cb_status add_member(struct cb_tensor_file *file, zip_uint64_t index, const struct cb_place *at,
                                 struct cb_diag *diag)
{
    zip_stat_t stat;
    if (zip_stat_index(file->zip, index, 0, &stat) != 0 || !stat.name) {
        return cb_fail(diag, CB_FORMAT, at, "`%s`: a member of the zip archive cannot be read", file->path);
    }
    size_t length = strlen(stat.name);
    if (length > 0 && stat.name[length - 1] == '/') {
        return CB_OK; /* a folder */
    }
    length -= cb_ends_with(stat.name, ".npy") ? strlen(".npy") : 0;
    char *name = cb_arena_strndup(file->arena, stat.name, length);
    if (!name) {
        return cb_fail(diag, CB_MEMORY, at, "no memory to open `%s`", file->path);
    }
    if ((stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE) ||
        stat.encryption_method != ZIP_EM_NONE) {
        return cb_fail(diag, CB_UNSUPPORTED, at, "`%s`: array `%s` is encrypted, or compressed in a way that NumPy"
                       " never does", file->path, name);
    }
    /* deflate cannot do better than 1032 to 1 */
    if (stat.size / 1032 > stat.comp_size + 1 || stat.comp_size > file->mapping.bytes) {
        return cb_fail(diag, CB_FORMAT, at, "`%s`: array `%s` claims %" PRIu64 " bytes in %" PRIu64 " compressed ones",
                       file->path, name, (uint64_t)stat.size, (uint64_t)stat.comp_size);
    }
    struct header header;
    struct reader reader = {.file = file, .name = name, .at = at, .diag = diag};
    CB_TRY(read_member_header(file, index, &stat, &reader, &header));
    struct cb_tensor_entry *entry = &file->entries[file->count];
    *entry = header.entry;
    entry->name = name;
    entry->storage = file->count;
    file->storages[file->count++] = (struct cb__storage){
        .bytes = entry->bytes, .skip = header.bytes, .type = entry->type, .users = 1, .zip_index = index, .key = name};
    file->storage_count = file->count;
    return CB_OK;
}

bool cb__is_npz(struct zip *zip)
{
    zip_int64_t count = zip_get_num_entries(zip, 0);
    for (zip_int64_t i = 0; i < count; i++) {
        const char *name = zip_get_name(zip, (zip_uint64_t)i, 0);
        if (name && cb_ends_with(name, ".npy")) {
            return true;
        }
    }
    return false;
}

enum cb_status cb__npz_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag)
{
    zip_int64_t count = zip_get_num_entries(file->zip, 0);
    file->entries = CB_NEW_ARRAY(file->arena, struct cb_tensor_entry, (size_t)count + 1);
    file->storages = CB_NEW_ARRAY(file->arena, struct cb__storage, (size_t)count + 1);
    if (!file->entries || !file->storages) {
        return cb_fail(diag, CB_MEMORY, at, "no memory to open `%s`", file->path);
    }
    for (zip_int64_t i = 0; i < count; i++) {
        CB_TRY(add_member(file, (zip_uint64_t)i, at, diag));
    }
    return CB_OK;
}
