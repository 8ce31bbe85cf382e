/* torchfile.c: files of torch.save: the zip form (PyTorch 1.6 and later) and the stream form before it.
 *
 * zip:    NAME/data.pkl is the pickled object, NAME/data/KEY the bytes of each storage, NAME/byteorder "little".
 * stream: five pickles, one after the other (a magic number, the protocol 1001, facts about the machine, the object,
 *         the list of storage keys), then for each key its number of elements (8 bytes) and its elements.
 * Source: torch/serialization.py, `_load` and `_legacy_load`. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "weights/internal.h"
#include "weights/pickle.h"

/* Storages by key, while a pickle is read. */
struct torch_reader {
    struct cb_tensor_file *file;
    const char *folder; /* zip: "NAME/data/"; NULL: stream */
    const struct cb_place *at;
    struct cb_diag *diag;
    uint32_t capacity; /* of file->storages */
    uint32_t *slots;   /* open addressing: index + 1, 0 when free */
    uint32_t slot_count;
    bool *has_data;    /* stream: the data of this storage was found */
};

static enum cb_status no_memory(const struct torch_reader *r)
{
    return cb_fail(r->diag, CB_MEMORY, r->at, "no memory for the tensors of `%s`", r->file->path);
}

/* ---- the table of storages -------------------------------------------------------------------------------------- */

static uint32_t *find_slot(const struct torch_reader *r, const char *key)
{
    uint32_t i = (uint32_t)cb_hash64(key, strlen(key)) & (r->slot_count - 1);
    while (r->slots[i] && strcmp(r->file->storages[r->slots[i] - 1].key, key) != 0) {
        i = (i + 1) & (r->slot_count - 1);
    }
    return &r->slots[i];
}

static enum cb_status grow_table(struct torch_reader *r)
{
    struct cb_tensor_file *file = r->file;
    uint32_t capacity = r->capacity ? 2 * r->capacity : 256;
    struct cb__storage *storages = CB_NEW_ARRAY(file->arena, struct cb__storage, capacity);
    uint32_t *slots = calloc(2 * (size_t)capacity, sizeof(*slots));
    if (!storages || !slots) {
        free(slots);
        return no_memory(r);
    }
    if (file->storage_count > 0) {
        memcpy(storages, file->storages, file->storage_count * sizeof(*storages));
    }
    file->storages = storages;
    free(r->slots);
    r->slots = slots;
    r->slot_count = 2 * capacity;
    r->capacity = capacity;
    for (uint32_t i = 0; i < file->storage_count; i++) {
        *find_slot(r, storages[i].key) = i + 1;
    }
    return CB_OK;
}

static enum cb_status locate_member(struct torch_reader *r, struct cb__storage *storage)
{
    struct cb_tensor_file *file = r->file;
    char *name = cb_arena_printf(file->arena, "%s%s", r->folder, storage->key);
    if (!name) {
        return no_memory(r);
    }
    zip_int64_t index = zip_name_locate(file->zip, name, 0);
    zip_stat_t stat;
    if (index < 0 || zip_stat_index(file->zip, (zip_uint64_t)index, 0, &stat) != 0) {
        return cb_fail(r->diag, CB_FORMAT, r->at, "`%s` has no member `%s`", file->path, name);
    }
    if (stat.comp_method != ZIP_CM_STORE || stat.encryption_method != ZIP_EM_NONE) {
        return cb_fail(r->diag, CB_UNSUPPORTED, r->at,
                       "`%s`: member `%s` is compressed or encrypted, which PyTorch never does", file->path, name);
    }
    if (stat.size != storage->bytes || stat.size > file->mapping.bytes) {
        return cb_fail(r->diag, CB_FORMAT, r->at, "`%s`: member `%s` has %" PRIu64 " bytes, its tensors need %" PRIu64,
                       file->path, name, (uint64_t)stat.size, storage->bytes);
    }
    storage->zip_index = (zip_uint64_t)index;
    storage->checksum = stat.crc;
    storage->unchecked = stat.valid & ZIP_STAT_CRC ? cb__zip_place(file, storage->zip_index, name, storage->bytes) : NULL;
    return CB_OK;
}

/* The storage of that key; a new one is entered (and, in a zip, found). */
static enum cb_status intern_storage(struct torch_reader *r, struct cb__pickle *pickle, const char *key,
                                     enum cb_stored type, uint64_t count, uint32_t *out)
{
    struct cb_tensor_file *file = r->file;
    if (file->storage_count == r->capacity) {
        CB_TRY(grow_table(r));
    }
    uint32_t *slot = find_slot(r, key);
    uint64_t bytes;
    if (__builtin_mul_overflow(count, (uint64_t)cb_stored_bytes(type), &bytes) || bytes > INT64_MAX) {
        return cb__pickle_fail(pickle, pickle->position, "the size of storage `%s` overflows", key);
    }
    if (*slot == 0) {
        struct cb__storage *storage = &file->storages[file->storage_count];
        *storage = (struct cb__storage){.key = key, .type = type, .bytes = bytes};
        if (r->folder) {
            CB_TRY(locate_member(r, storage));
        }
        *slot = ++file->storage_count;
    }
    const struct cb__storage *storage = &file->storages[*slot - 1];
    if (storage->type != type || storage->bytes != bytes) {
        return cb__pickle_fail(pickle, pickle->position, "storage `%s` has two types or sizes", key);
    }
    *out = *slot - 1;
    return CB_OK;
}

/* ("storage", type, key, location, count) and, in a stream, None or (view key, offset, count) behind it. */
static enum cb_status on_storage(void *context, struct cb__pickle *pickle, const struct cb__pickle_value *id,
                                 struct cb__pickle_value *out)
{
    struct torch_reader *r = context;
    struct cb__pickle_value *const *items = id->as.list.items;
    uint32_t count = id->as.list.count;
    if (count < 5 || count > 6 || items[4]->kind != CB__PICKLE_INT || items[4]->as.integer < 0 ||
        !cb__pickle_storage_type(items[1], &out->as.storage.type)) {
        return cb__pickle_fail(pickle, pickle->position, "a storage is not named by type, key, location and count");
    }
    const char *key = cb__pickle_text(r->file->arena, items[2]);
    if (!key) {
        return cb__pickle_fail(pickle, pickle->position, "the key of a storage is not a text");
    }
    out->as.storage.offset = 0;
    out->as.storage.count = (uint64_t)items[4]->as.integer;
    CB_TRY(intern_storage(r, pickle, key, out->as.storage.type, out->as.storage.count, &out->as.storage.index));
    if (count == 5 || items[5]->kind == CB__PICKLE_NONE) {
        return CB_OK;
    }
    struct cb__pickle_value *const *view = items[5]->as.list.items;
    if (items[5]->kind != CB__PICKLE_TUPLE || items[5]->as.list.count != 3 || view[1]->kind != CB__PICKLE_INT ||
        view[2]->kind != CB__PICKLE_INT || view[1]->as.integer < 0 || view[2]->as.integer < 0 ||
        (uint64_t)view[1]->as.integer > out->as.storage.count ||
        (uint64_t)view[2]->as.integer > out->as.storage.count - (uint64_t)view[1]->as.integer) {
        return cb__pickle_fail(pickle, pickle->position, "the view of storage `%s` does not lie in it", key);
    }
    out->as.storage.offset = (uint64_t)view[1]->as.integer;
    out->as.storage.count = (uint64_t)view[2]->as.integer;
    return CB_OK;
}

/* ---- the stream form -------------------------------------------------------------------------------------------- */

/* LONG1 of ten bytes: 0x1950a86a20f9469cfc6c. */
static const unsigned char magic[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

bool cb__is_torch_stream(const struct cb_mapping *mapping)
{
    /* behind PROTO, and in protocol 4 and later behind FRAME */
    return mapping->bytes > 2 && mapping->data[0] == 0x80 &&
           ((mapping->bytes >= 2 + sizeof(magic) && memcmp(mapping->data + 2, magic, sizeof(magic)) == 0) ||
            (mapping->bytes >= 11 + sizeof(magic) && memcmp(mapping->data + 11, magic, sizeof(magic)) == 0));
}

static enum cb_status read_prologue(const struct torch_reader *r, struct cb__pickle *pickle)
{
    struct cb__pickle_value *value;
    CB_TRY(cb__pickle_read(pickle, &value)); /* the magic number, already seen */
    size_t position = pickle->position;
    CB_TRY(cb__pickle_read(pickle, &value));
    if (value->kind != CB__PICKLE_INT || value->as.integer != 1001) {
        return cb__pickle_fail(pickle, position, "the protocol of the stream is not 1001");
    }
    position = pickle->position;
    CB_TRY(cb__pickle_read(pickle, &value));
    const struct cb__pickle_value *little = cb__pickle_get(value, "little_endian");
    if (!little || little->kind != CB__PICKLE_BOOL) {
        return cb__pickle_fail(pickle, position, "the stream does not say its byte order");
    }
    if (!little->as.integer) {
        return cb_fail(r->diag, CB_UNSUPPORTED, r->at, "`%s` was written on a big-endian machine", r->file->path);
    }
    return CB_OK;
}

/* Where each storage's elements lie, in the order of the list of keys. */
static enum cb_status read_stream_data(struct torch_reader *r, struct cb__pickle *pickle,
                                       const struct cb__pickle_value *keys)
{
    struct cb_tensor_file *file = r->file;
    uint64_t position = pickle->position;
    if (keys->kind != CB__PICKLE_LIST) {
        return cb__pickle_fail(pickle, pickle->position, "the list of storages is not a list");
    }
    for (uint32_t i = 0; i < keys->as.list.count; i++) {
        const char *key = cb__pickle_text(file->arena, keys->as.list.items[i]);
        uint32_t slot = key && file->storage_count > 0 ? *find_slot(r, key) : 0;
        if (slot == 0 || r->has_data[slot - 1]) {
            return cb_fail(r->diag, CB_FORMAT, r->at, "`%s`: storage `%s` is in the list %s", file->path,
                           key ? key : "?", slot ? "twice" : "but no tensor uses it");
        }
        struct cb__storage *storage = &file->storages[slot - 1];
        uint64_t left = file->mapping.bytes - position;
        if (left < 8 || storage->bytes > left - 8) {
            return cb_fail(r->diag, CB_FORMAT, r->at,
                           "`%s` is cut short: storage `%s` needs %" PRIu64 " bytes at byte %" PRIu64
                           ", there are %" PRIu64,
                           file->path, key, storage->bytes + 8, position, left);
        }
        uint64_t count = 0;
        for (int byte = 7; byte >= 0; byte--) {
            count = count << 8 | file->mapping.data[position + (uint64_t)byte];
        }
        if (count != storage->bytes / cb_stored_bytes(storage->type)) {
            return cb_fail(r->diag, CB_FORMAT, r->at,
                           "`%s`: storage `%s` has %" PRIu64 " elements at byte %" PRIu64 ", its tensors say %" PRIu64,
                           file->path, key, count, position, storage->bytes / cb_stored_bytes(storage->type));
        }
        storage->data = file->mapping.data + position + 8;
        r->has_data[slot - 1] = true;
        position += 8 + storage->bytes;
    }
    for (uint32_t i = 0; i < file->storage_count; i++) {
        if (!r->has_data[i]) {
            return cb_fail(r->diag, CB_FORMAT, r->at, "`%s` has no data for storage `%s`", file->path,
                           file->storages[i].key);
        }
    }
    return CB_OK;
}

static enum cb_status read_stream(struct torch_reader *r, struct cb__pickle *pickle)
{
    struct cb__pickle_value *top, *keys;
    CB_TRY(read_prologue(r, pickle));
    CB_TRY(cb__pickle_read(pickle, &top));
    CB_TRY(cb__pickle_read(pickle, &keys));
    r->has_data = calloc((size_t)r->file->storage_count + 1, sizeof(bool));
    if (!r->has_data) {
        return no_memory(r);
    }
    CB_TRY(read_stream_data(r, pickle, keys));
    return cb__torch_take(r->file, top, r->at, r->diag);
}

enum cb_status cb__torch_stream_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag)
{
    struct torch_reader reader = {.file = file, .at = at, .diag = diag};
    struct cb__pickle pickle = {.arena = cb_arena_create(), .path = file->path, .data = file->mapping.data,
                                .bytes = file->mapping.bytes, .at = at, .diag = diag, .storage = on_storage,
                                .context = &reader};
    enum cb_status status = pickle.arena ? read_stream(&reader, &pickle) : no_memory(&reader);
    cb_arena_destroy(pickle.arena);
    free(reader.slots);
    free(reader.has_data);
    return status;
}

/* ---- the zip form ----------------------------------------------------------------------------------------------- */

/* A small member whole, in `arena`, with a zero behind it. */
static enum cb_status read_small(struct torch_reader *r, struct cb_arena *arena, zip_uint64_t index, size_t max_bytes,
                                 char **out, size_t *out_bytes)
{
    struct cb_tensor_file *file = r->file;
    zip_stat_t stat;
    if (zip_stat_index(file->zip, index, 0, &stat) != 0 || stat.size > max_bytes ||
        stat.comp_method != ZIP_CM_STORE || stat.size > file->mapping.bytes) {
        return cb_fail(r->diag, CB_FORMAT, r->at, "`%s`: its member `%s` is compressed or too large", file->path,
                       zip_get_name(file->zip, index, 0));
    }
    unsigned char *bytes = NULL;
    const unsigned char *data;
    struct cb__storage member = {.bytes = stat.size, .zip_index = index, .key = stat.name};
    CB_TRY(cb__storage_load(file, &member, &data, &bytes, r->diag));
    *out = cb_arena_alloc(arena, stat.size + 1);
    if (*out) {
        memcpy(*out, data, stat.size);
    }
    free(bytes);
    *out_bytes = stat.size;
    return *out ? CB_OK : no_memory(r);
}

/* NAME/data.pkl; sets the folder. */
static enum cb_status find_pickle(struct torch_reader *r, zip_uint64_t *out)
{
    struct cb_tensor_file *file = r->file;
    zip_int64_t count = zip_get_num_entries(file->zip, 0);
    for (zip_int64_t i = 0; i < count; i++) {
        const char *name = zip_get_name(file->zip, (zip_uint64_t)i, 0);
        const char *slash = name ? strchr(name, '/') : NULL;
        if (slash && strcmp(slash, "/data.pkl") == 0) {
            char *prefix = cb_arena_strndup(file->arena, name, (size_t)(slash - name));
            char *constants = prefix ? cb_arena_printf(file->arena, "%s/constants.pkl", prefix) : NULL;
            r->folder = constants ? cb_arena_printf(file->arena, "%s/data/", prefix) : NULL;
            if (!r->folder) {
                return no_memory(r);
            }
            if (zip_name_locate(file->zip, constants, 0) >= 0) {
                return cb_fail(r->diag, CB_UNSUPPORTED, r->at, "`%s` is a TorchScript program, not a state dict (save"
                               " one with torch.save(model.state_dict(), ...))", file->path);
            }
            *out = (zip_uint64_t)i;
            return CB_OK;
        }
    }
    return cb_fail(r->diag, CB_FORMAT, r->at, "`%s` is a zip archive without a `data.pkl`, so not from torch.save",
                   file->path);
}

static enum cb_status check_byte_order(struct torch_reader *r, struct cb_arena *arena)
{
    struct cb_tensor_file *file = r->file;
    char *name = cb_arena_printf(arena, "%.*sbyteorder", (int)(strlen(r->folder) - strlen("data/")), r->folder);
    if (!name) {
        return no_memory(r);
    }
    zip_int64_t index = zip_name_locate(file->zip, name, 0);
    if (index < 0) {
        return CB_OK; /* older files have none and are little-endian */
    }
    char *order;
    size_t bytes;
    CB_TRY(read_small(r, arena, (zip_uint64_t)index, 16, &order, &bytes));
    if (strcmp(order, "little") != 0) {
        return cb_fail(r->diag, CB_UNSUPPORTED, r->at, "`%s` has the byte order `%s`; only `little` is read",
                       file->path, order);
    }
    return CB_OK;
}

static enum cb_status read_zip(struct torch_reader *r, struct cb__pickle *pickle)
{
    zip_uint64_t index = 0;
    char *data;
    struct cb__pickle_value *top;
    CB_TRY(find_pickle(r, &index));
    cb__zip_find_places(r->file);
    CB_TRY(check_byte_order(r, pickle->arena));
    CB_TRY(read_small(r, pickle->arena, index, CB__PICKLE_MAX_BYTES, &data, &pickle->bytes));
    pickle->data = (const unsigned char *)data;
    CB_TRY(cb__pickle_read(pickle, &top));
    return cb__torch_take(r->file, top, r->at, r->diag);
}

enum cb_status cb__torch_zip_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag)
{
    struct torch_reader reader = {.file = file, .at = at, .diag = diag};
    struct cb__pickle pickle = {.arena = cb_arena_create(), .path = file->path, .at = at, .diag = diag,
                                .storage = on_storage, .context = &reader};
    enum cb_status status = pickle.arena ? read_zip(&reader, &pickle) : no_memory(&reader);
    cb_arena_destroy(pickle.arena);
    free(reader.slots);
    return status;
}
