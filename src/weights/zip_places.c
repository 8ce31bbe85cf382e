/* zip_places.c: where the bytes of a zip's stored members lie in the mapped file. libzip reads members but does not tell;
 * read in place, a storage that many tensors share is never copied. Where anything is not as it should be there is no
 * place, and libzip reads the member. Source: PKWARE's APPNOTE.TXT, 4.3.7, 4.3.12, 4.3.14 to 4.3.16, 4.5.3. */
#include <zip.h>

#include "weights/internal.h"

static uint64_t number(const unsigned char *from, uint32_t bytes)
{
    uint64_t value = 0;
    for (uint32_t i = bytes; i-- > 0;) {
        value = value << 8 | from[i];
    }
    return value;
}

static bool is_signature(const struct cb_mapping *m, uint64_t at, uint64_t bytes, const char *signature)
{
    return at <= m->bytes && bytes <= m->bytes - at && memcmp(m->data + at, signature, 4) == 0;
}

/* Where the directory begins, by its end record. */
static bool find_directory(const struct cb_mapping *m, uint64_t *out)
{
    for (uint64_t back = 22; back <= m->bytes && back <= 22 + 65535; back++) {
        uint64_t at = m->bytes - back;
        if (!is_signature(m, at, 22, "PK\5\6") || number(m->data + at + 20, 2) != back - 22) {
            continue;
        }
        *out = number(m->data + at + 16, 4);
        if (at >= 20 && is_signature(m, at - 20, 20, "PK\6\7")) {
            uint64_t large = number(m->data + at - 20 + 8, 8);
            if (!is_signature(m, large, 56, "PK\6\6")) {
                return false;
            }
            *out = number(m->data + large + 48, 8);
        }
        return true;
    }
    return false;
}

/* Where the member's own header lies, of an entry of the directory whose extra fields are there. */
static bool read_offset(const unsigned char *entry, uint64_t *out)
{
    *out = number(entry + 42, 4);
    if (*out != UINT32_MAX) {
        return true;
    }
    const unsigned char *extra = entry + 46 + number(entry + 28, 2);
    const unsigned char *end = extra + number(entry + 30, 2);
    while (end - extra >= 4) {
        uint64_t length = number(extra + 2, 2);
        if (length > (uint64_t)(end - extra) - 4) {
            return false;
        }
        if (number(extra, 2) == 1) { /* only the numbers that did not fit stand here */
            uint64_t before = (number(entry + 24, 4) == UINT32_MAX ? 8u : 0u) + (number(entry + 20, 4) == UINT32_MAX ? 8u : 0u);
            if (length < before + 8) {
                return false;
            }
            *out = number(extra + 4 + before, 8);
            return true;
        }
        extra += 4 + length;
    }
    return false;
}

void cb__zip_find_places(struct cb_tensor_file *file)
{
    const struct cb_mapping *m = &file->mapping;
    zip_int64_t count = zip_get_num_entries(file->zip, 0);
    uint64_t at = 0;
    if (count <= 0 || !find_directory(m, &at)) {
        return;
    }
    uint64_t *places = CB_NEW_ARRAY(file->arena, uint64_t, (size_t)count);
    for (zip_int64_t i = 0; places && i < count; i++) {
        if (!is_signature(m, at, 46, "PK\1\2")) {
            return;
        }
        const unsigned char *entry = m->data + at;
        uint64_t bytes = 46 + number(entry + 28, 2) + number(entry + 30, 2) + number(entry + 32, 2);
        if (bytes > m->bytes - at || !read_offset(entry, &places[i])) {
            return;
        }
        at += bytes;
    }
    file->zip_places = places;
}

const unsigned char *cb__zip_place(const struct cb_tensor_file *file, uint64_t index, const char *name, uint64_t bytes)
{
    const struct cb_mapping *m = &file->mapping;
    uint64_t at = file->zip_places ? file->zip_places[index] : UINT64_MAX;
    if (!is_signature(m, at, 30, "PK\3\4")) {
        return NULL;
    }
    uint64_t name_bytes = number(m->data + at + 26, 2);
    uint64_t begin = 30 + name_bytes + number(m->data + at + 28, 2);
    if (begin > m->bytes - at || bytes > m->bytes - at - begin || name_bytes != strlen(name) ||
        memcmp(m->data + at + 30, name, name_bytes) != 0) {
        return NULL;
    }
    return m->data + at + begin;
}
