/* idx.c: MNIST's file format, plain (memory mapped) or gzipped (unpacked into memory). The format: two zero bytes, the type
 * (8: unsigned bytes), the rank, one big-endian 32-bit size per dimension, the values. Source: yann.lecun.com/exdb/mnist.
 * Pictures are [N, H, W] or [N, H, W, 1 or 3], labels [N]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/file.h"
#include "data/source.h"

#define MAX_RANK 4

struct idx_file {
    struct cb_mapping mapping; /* of a plain file */
    uint8_t *unpacked;         /* of a gzipped one */
    const uint8_t *values;
    uint32_t rank;
    uint32_t dims[MAX_RANK];
};

/* Pictures of one or two files (training and test), numbered through. */
struct idx {
    struct cb__source source;
    struct idx_file files[2];
    const char *names[2];
    uint32_t file_count;
};

static void file_free(struct idx_file *file)
{
    cb_file_unmap(&file->mapping);
    free(file->unpacked);
    *file = (struct idx_file){0};
}

/* Reads type, rank and sizes; `*out_bytes` is what the values need. */
static bool parse_header(const uint8_t *data, size_t bytes, struct idx_file *file, uint64_t *out_bytes,
                         struct cb__why *why)
{
    if (bytes < 4 || data[0] != 0 || data[1] != 0) {
        return cb__because(why, CB_FORMAT, "is no IDX file");
    }
    if (data[2] != 8) {
        return cb__because(why, CB_UNSUPPORTED, "holds values of IDX type 0x%02x; only unsigned bytes (0x08) are read",
                           data[2]);
    }
    if (data[3] < 1 || data[3] > MAX_RANK) {
        return cb__because(why, CB_FORMAT, "has %u dimensions; pictures have 3 or 4, labels 1", data[3]);
    }
    file->rank = data[3];
    if (bytes < 4 + 4 * (size_t)file->rank) {
        return cb__because(why, CB_FORMAT, "is an IDX file that ends in its header");
    }
    uint64_t total = 1;
    for (uint32_t i = 0; i < file->rank; i++) {
        const uint8_t *at = data + 4 + 4 * i;
        file->dims[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
        if (file->dims[i] == 0) {
            return cb__because(why, CB_FORMAT, "is an IDX file with a dimension of 0");
        }
        if (total > UINT64_MAX / 2 / file->dims[i]) {
            return cb__because(why, CB_FORMAT, "is an IDX file of impossible size");
        }
        total *= file->dims[i];
    }
    *out_bytes = total;
    return true;
}

static bool open_plain(const char *path, struct idx_file *file, struct cb__why *why)
{
    uint64_t needed;
    if (cb_file_map(path, &file->mapping, NULL, NULL) != CB_OK) {
        return cb__because(why, CB_IO, "cannot be read");
    }
    if (!parse_header(file->mapping.data, file->mapping.bytes, file, &needed, why)) {
        return false;
    }
    uint64_t there = file->mapping.bytes - 4 - 4 * (uint64_t)file->rank;
    if (there != needed) {
        return cb__because(why, CB_FORMAT, "is a damaged IDX file: its header promises %llu bytes, and %llu follow",
                           (unsigned long long)needed, (unsigned long long)there);
    }
    file->values = file->mapping.data + 4 + 4 * (size_t)file->rank;
    return true;
}

/* Reads `bytes` bytes; false at the end, or where the data are damaged. */
static bool read_all(gzFile stream, uint8_t *to, uint64_t bytes)
{
    while (bytes > 0) {
        int got = gzread(stream, to, bytes > 1u << 20 ? 1u << 20 : (unsigned)bytes);
        if (got <= 0) {
            return false;
        }
        to += got;
        bytes -= (uint64_t)got;
    }
    return true;
}

static bool unpack(gzFile stream, int64_t packed, struct idx_file *file, struct cb__why *why)
{
    uint8_t header[4 + 4 * MAX_RANK], extra;
    uint64_t needed;
    if (!read_all(stream, header, 4) || (header[3] <= MAX_RANK && !read_all(stream, header + 4, 4u * header[3]))) {
        return cb__because(why, CB_FORMAT, "is a damaged gzip file, or no IDX file in gzip");
    }
    if (!parse_header(header, sizeof header, file, &needed, why)) {
        return false;
    }
    if (needed / 1032 > (uint64_t)packed) { /* deflate cannot do better */
        return cb__because(why, CB_FORMAT, "is a damaged IDX file: its header promises %llu bytes, more than %lld "
                           "bytes of gzip can hold", (unsigned long long)needed, (long long)packed);
    }
    file->unpacked = malloc(needed);
    if (!file->unpacked) {
        return cb__because(why, CB_MEMORY, "needs %llu MB of memory when unpacked", (unsigned long long)(needed >> 20));
    }
    if (!read_all(stream, file->unpacked, needed)) {
        return cb__because(why, CB_FORMAT, "is a damaged IDX file in gzip: its header promises %llu bytes, and it ends "
                           "before", (unsigned long long)needed);
    }
    if (gzread(stream, &extra, 1) != 0) {
        return cb__because(why, CB_FORMAT, "is a damaged IDX file in gzip: more follows than its header promises");
    }
    file->values = file->unpacked;
    return true;
}

static bool open_file(const char *path, struct idx_file *file, struct cb__why *why)
{
    *file = (struct idx_file){0};
    int64_t bytes = cb_file_bytes(path);
    if (bytes < 0) {
        return cb__because(why, CB_NOT_FOUND, "does not exist");
    }
    FILE *probe = fopen(path, "rb");
    bool gzipped = probe && fgetc(probe) == 0x1f && fgetc(probe) == 0x8b;
    if (probe) {
        fclose(probe);
    }
    if (!gzipped) {
        return open_plain(path, file, why);
    }
    gzFile stream = gzopen(path, "rb");
    if (!stream) {
        return cb__because(why, CB_IO, "cannot be opened");
    }
    bool ok = unpack(stream, bytes, file, why);
    gzclose(stream);
    return ok;
}

bool cb__idx_is_file(const char *path)
{
    unsigned char head[4] = {0};
    FILE *file = fopen(path, "rb");
    bool is = file && fread(head, 1, 4, file) == 4 &&
              ((head[0] == 0 && head[1] == 0 && head[2] >= 8 && head[2] <= 14) || (head[0] == 0x1f && head[1] == 0x8b));
    if (file) {
        fclose(file);
    }
    return is;
}

static const struct idx_file *file_of(const struct idx *idx, uint32_t *item, const char **out_name)
{
    uint32_t i = *item >= idx->files[0].dims[0];
    *item -= i ? idx->files[0].dims[0] : 0;
    *out_name = idx->names[i];
    return &idx->files[i];
}

static void idx_name(const struct cb__source *source, uint32_t item, char *out, size_t room)
{
    const char *name;
    file_of((const struct idx *)source, &item, &name);
    snprintf(out, room, "%s, picture %u", name, item);
}

static bool idx_image(const struct cb__source *source, uint32_t item, struct cb_image *out, struct cb__why *why)
{
    const char *name;
    const struct idx_file *file = file_of((const struct idx *)source, &item, &name);
    uint32_t channels = file->rank == 4 ? file->dims[3] : 1;
    if (!cb__image_alloc(out, file->dims[2], file->dims[1], channels, why)) {
        return false;
    }
    size_t bytes = (size_t)file->dims[1] * file->dims[2] * channels;
    memcpy(out->data, file->values + item * bytes, bytes);
    return true;
}

static void idx_release(struct cb__source *source)
{
    struct idx *idx = (struct idx *)source;
    for (uint32_t i = 0; i < idx->file_count; i++) {
        file_free(&idx->files[i]);
    }
}

static struct idx *idx_create(struct cb_arena *arena, const char *path)
{
    static const struct cb__source_type type = {.name = idx_name, .image = idx_image, .release = idx_release};
    struct idx *idx = CB_NEW(arena, struct idx);
    if (idx) {
        idx->source = (struct cb__source){.type = &type, .path = path};
    }
    return idx;
}

static bool check_pictures(const struct idx_file *file, struct cb__why *why)
{
    if (file->rank < 3 || (file->rank == 4 && file->dims[3] != 1 && file->dims[3] != 3)) {
        return cb__because(why, CB_FORMAT, "holds no pictures: those are [N, H, W], or [N, H, W, 1 or 3]");
    }
    return cb__image_check_size(file->dims[2], file->dims[1], why);
}

/* "0" to "255"; NULL when memory is exhausted. */
static const char **number_texts(struct cb_arena *arena)
{
    const char **texts = CB_NEW_ARRAY(arena, const char *, 256);
    for (uint32_t i = 0; texts && i < 256; i++) {
        texts[i] = cb_arena_printf(arena, "%u", i);
        if (!texts[i]) {
            return NULL;
        }
    }
    return texts;
}

/* Opens a pair of files and adds its samples. Class names are numbers still. */
static enum cb_status add_pair(struct idx *idx, const char *images, const char *labels, enum cb_part part,
                               const struct cb_place *at, struct cb__draft *draft, uint32_t *largest,
                               struct cb_diag *diag)
{
    struct cb__why why;
    struct idx_file names = {0}, *file = &idx->files[idx->file_count];
    enum cb_status status = CB_OK;
    uint32_t first = draft->count;
    idx->names[idx->file_count++] = images;
    if (!open_file(images, file, &why) || !check_pictures(file, &why)) {
        return cb_fail(diag, why.status, at, "`%s` %s", images, why.text);
    }
    if (!open_file(labels, &names, &why)) {
        status = cb_fail(diag, why.status, at, "`%s` %s", labels, why.text);
    } else if (names.rank != 1) {
        status = cb_fail(diag, CB_FORMAT, at, "`%s` holds no labels: those have 1 dimension, not %u", labels,
                         names.rank);
    } else if (names.dims[0] != file->dims[0]) {
        status = cb_fail(diag, CB_MISMATCH, at, "`%s` holds %u pictures, but `%s` holds %u labels", images,
                         file->dims[0], labels, names.dims[0]);
    }
    const char **texts = status == CB_OK ? number_texts(draft->arena) : NULL;
    for (uint32_t i = 0; texts && i < names.dims[0]; i++) {
        *largest = names.values[i] > *largest ? names.values[i] : *largest;
        if (!cb__draft_add(draft, first + i, texts[names.values[i]], NULL, NULL, part)) {
            texts = NULL;
        }
    }
    if (status == CB_OK && !texts) {
        status = cb_fail(diag, CB_MEMORY, at, "out of memory while reading `%s`", labels);
    }
    file_free(&names);
    return status;
}

static enum cb_status finish(struct idx *idx, uint32_t largest, struct cb__draft *draft, struct cb_diag *diag)
{
    draft->source = &idx->source;
    return cb__draft_number_classes(draft, largest + 1) ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
}

enum cb_status cb__idx_read(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                            struct cb__draft *draft, struct cb_diag *diag)
{
    const struct cb_value *labels = cb_map_get(spec->map, "labels");
    if (!labels) {
        return cb_fail(diag, CB_INVALID, at, "`%s` is an IDX file of pictures; name the IDX file of their labels with "
                       "`labels:`", path);
    }
    struct idx *idx = idx_create(draft->arena, path);
    uint32_t largest = 0;
    if (!idx) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    draft->source = &idx->source; /* from now on released with the draft */
    CB_TRY(add_pair(idx, path, cb_path_join(draft->arena, spec->folder, labels->text), CB_PART_ANY, at, draft, &largest,
                    diag));
    return finish(idx, largest, draft, diag);
}

/* The file `folder/SET-KIND-idxR-ubyte`, with or without .gz, a dot for the second dash; NULL when there is none. */
static const char *standard_file(struct cb_arena *arena, const char *folder, const char *set, const char *kind)
{
    char rank = kind[0] == 'i' ? '3' : '1';
    for (size_t i = 0; i < 4; i++) {
        const char *path = cb_arena_printf(arena, "%s/%s-%s%sidx%c-ubyte%s", folder, set, kind, i < 2 ? "-" : ".", rank,
                                           i % 2 ? ".gz" : "");
        if (path && cb_file_bytes(path) >= 0) {
            return path;
        }
    }
    return NULL;
}

bool cb__idx_is_folder(struct cb_arena *arena, const char *path)
{
    return standard_file(arena, path, "train", "images") || standard_file(arena, path, "t10k", "images");
}

enum cb_status cb__idx_read_folder(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                                   struct cb__draft *draft, struct cb_diag *diag)
{
    static const char *const sets[] = {"train", "t10k"};
    static const enum cb_part parts[] = {CB_PART_TRAIN, CB_PART_TEST};
    struct idx *idx = idx_create(draft->arena, path);
    uint32_t largest = 0;
    (void)spec;
    if (!idx) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    draft->source = &idx->source;
    for (int i = 0; i < 2; i++) {
        const char *images = standard_file(draft->arena, path, sets[i], "images");
        const char *labels = standard_file(draft->arena, path, sets[i], "labels");
        if (images && !labels) {
            return cb_fail(diag, CB_NOT_FOUND, at, "`%s` has no labels beside it (%s-labels-idx1-ubyte)", images,
                           sets[i]);
        }
        if (images) {
            CB_TRY(add_pair(idx, images, labels, parts[i], at, draft, &largest, diag));
        }
    }
    return finish(idx, largest, draft, diag);
}
