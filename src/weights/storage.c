/* storage.c: the bytes of a storage: in the mapping, checked first in a zip, or read of a zip's member. */
#include <stdlib.h>
#include <zip.h>
#include <zlib.h>

#include "weights/internal.h"

static enum cb_status read_member(struct cb_tensor_file *file, const struct cb__storage *storage, unsigned char *data,
                                  struct cb_diag *diag)
{
    const char *why = NULL;
    unsigned char beyond, before[256];
    zip_file_t *member = zip_fopen_index(file->zip, storage->zip_index, 0);
    if (!member) {
        why = zip_strerror(file->zip);
    }
    for (uint64_t left = storage->skip; !why && left > 0;) {
        zip_int64_t got = zip_fread(member, before, left < sizeof(before) ? left : sizeof(before));
        why = got > 0 ? NULL : "it ends too early";
        left -= got > 0 ? (uint64_t)got : 0;
    }
    if (why) {
        /* nothing can be read */
    } else if (zip_fread(member, data, storage->bytes) != (zip_int64_t)storage->bytes) {
        why = "it ends too early";
    } else if (zip_fread(member, &beyond, 1) != 0) { /* libzip checks the CRC when it reaches the end */
        why = zip_error_code_zip(zip_file_get_error(member)) ? zip_file_strerror(member) : "it goes on too long";
    }
    enum cb_status status =
        why ? cb_fail(diag, CB_FORMAT, NULL, "storage `%s` in `%s` is damaged: %s", storage->key, file->path, why)
            : CB_OK;
    if (member) {
        zip_fclose(member);
    }
    return status;
}

/* The checksum of a member that lies in the mapping, in pieces whose memory is given back. */
static enum cb_status check_in_place(const struct cb_tensor_file *file, struct cb__storage *storage,
                                     struct cb_diag *diag)
{
    enum { PIECE = 16 << 20 };
    uLong sum = crc32(0, NULL, 0);
    for (uint64_t at = 0; at < storage->bytes; at += PIECE) {
        uint64_t length = storage->bytes - at < PIECE ? storage->bytes - at : PIECE;
        sum = crc32(sum, storage->unchecked + at, (uInt)length);
        if (storage->bytes > PIECE) {
            cb_file_forget(&file->mapping, storage->unchecked + at, length);
        }
    }
    if (sum != storage->checksum) {
        return cb_fail(diag, CB_FORMAT, NULL, "storage `%s` in `%s` is damaged: CRC error", storage->key, file->path);
    }
    storage->data = storage->unchecked;
    return CB_OK;
}

enum cb_status cb__storage_load(struct cb_tensor_file *file, struct cb__storage *storage,
                                const unsigned char **out_data, unsigned char **out_temporary, struct cb_diag *diag)
{
    *out_temporary = NULL;
    if (storage->data) {
        *out_data = storage->data;
        return CB_OK;
    }
    if (storage->unchecked) {
        CB_TRY(check_in_place(file, storage, diag));
        *out_data = storage->data;
        return CB_OK;
    }
    unsigned char *data = malloc(storage->bytes ? storage->bytes : 1);
    if (!data) {
        return cb_fail(diag, CB_MEMORY, NULL, "no memory for %llu bytes of `%s`", (unsigned long long)storage->bytes,
                       file->path);
    }
    enum cb_status status = read_member(file, storage, data, diag);
    if (status != CB_OK) {
        free(data);
        return status;
    }
    if (storage->users > 1) {
        storage->held = data;
        storage->data = data;
    } else {
        *out_temporary = data;
    }
    *out_data = data;
    return CB_OK;
}
