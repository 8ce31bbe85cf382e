/* charsmap.c: SentencePiece's table of replacements (`precompiled_charsmap`: T5, XLM-R): 4 bytes, the length of a double
 * array (Darts-clone) that leads from letters to places in the texts that follow it, each ended by NUL. Applied as the
 * crate `tokenizers` does: to each grapheme of fewer than 6 bytes as a whole, else to its letters, and of the keys that
 * begin it the shortest counts. */
#include "text/internal.h"

#include <utf8proc.h>

struct cb__charsmap {
    const uint32_t *units;
    uint32_t unit_count;
    const char *texts;
    size_t text_bytes;
};

static int sextet(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base64 (RFC 4648) into the arena; NULL where it is none, or memory is exhausted. */
static unsigned char *unpack(struct cb_arena *arena, const char *text, size_t *out_bytes)
{
    size_t bytes = 0;
    unsigned char *data = cb_arena_alloc(arena, strlen(text) / 4 * 3 + 8);
    uint32_t held = 0;
    int bits = 0;
    for (; data && *text && *text != '='; text++) {
        int six = sextet(*text);
        if (six < 0) {
            return NULL;
        }
        held = held << 6 | (uint32_t)six;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            data[bytes++] = (unsigned char)(held >> bits);
        }
    }
    *out_bytes = bytes;
    return data;
}

enum cb_status cb__charsmap_create(struct cb_arena *arena, const char *base64, const struct cb__charsmap **out,
                                   const struct cb_place *at, struct cb_diag *diag)
{
    size_t bytes = 0;
    unsigned char *data = unpack(arena, base64, &bytes);
    uint32_t length = 0;
    for (int i = 3; data && bytes >= 4 && i >= 0; i--) {
        length = length << 8 | data[i];
    }
    if (!data || bytes < 4 || length % 4 != 0 || length == 0 || length > bytes - 4) {
        return cb_fail(diag, CB_FORMAT, at, "`precompiled_charsmap` is damaged");
    }
    uint32_t *units = CB_NEW_ARRAY(arena, uint32_t, length / 4);
    struct cb__charsmap *map = CB_NEW(arena, struct cb__charsmap);
    if (!units || !map) {
        return cb_fail(diag, CB_MEMORY, at, "out of memory while reading `precompiled_charsmap`");
    }
    for (uint32_t i = 0; i < length / 4; i++) {
        const unsigned char *p = data + 4 + 4 * (size_t)i;
        units[i] = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    }
    *map = (struct cb__charsmap){units, length / 4, (const char *)data + 4 + length, bytes - 4 - length};
    if (cb__valid_bytes(map->texts, map->text_bytes) != map->text_bytes) {
        return cb_fail(diag, CB_FORMAT, at, "the texts of `precompiled_charsmap` are not UTF-8");
    }
    *out = map;
    return CB_OK;
}

static uint32_t offset_of(uint32_t unit)
{
    return unit >> 10 << ((unit & 1u << 9) >> 6);
}

/* What takes the place of a text; NULL: it stays. */
static const char *find(const struct cb__charsmap *map, const char *text, size_t bytes, size_t *out_bytes)
{
    uint32_t at = offset_of(map->units[0]);
    for (size_t i = 0; i < bytes && text[i] != '\0'; i++) {
        at ^= (uint8_t)text[i];
        uint32_t unit = at < map->unit_count ? map->units[at] : 0;
        if (at >= map->unit_count || (unit & (1u << 31 | 0xff)) != (uint8_t)text[i]) {
            return NULL;
        }
        at ^= offset_of(unit);
        if (unit >> 8 & 1) {
            uint32_t place = at < map->unit_count ? map->units[at] & 0x7fffffff : UINT32_MAX;
            if (place >= map->text_bytes) {
                return NULL;
            }
            *out_bytes = strnlen(map->texts + place, map->text_bytes - place);
            return map->texts + place;
        }
    }
    return NULL;
}

static void put(const struct cb__charsmap *map, const struct cb__strand *in, size_t begin, size_t end,
                struct cb__strand *out)
{
    size_t bytes = 0;
    const char *whole = end - begin < 6 ? find(map, in->bytes + begin, end - begin, &bytes) : NULL;
    if (whole) {
        cb__strand_add(out, whole, bytes, cb__strand_origin(in, begin));
        return;
    }
    for (size_t i = begin; i < end;) {
        size_t length = cb__letter_bytes(in->bytes[i]);
        const char *other = find(map, in->bytes + i, length, &bytes);
        if (other) {
            cb__strand_add(out, other, bytes, cb__strand_origin(in, i));
        } else {
            cb__strand_copy(out, in, i, i + length);
        }
        i += length;
    }
}

void cb__normalize_charsmap(const struct cb__charsmap *map, const struct cb__strand *in, struct cb__strand *out)
{
    int32_t before = -1, state = 0;
    size_t begin = 0;
    for (size_t i = 0; i < in->length;) {
        int32_t code;
        size_t length = cb__decode(in->bytes + i, &code);
        if (before >= 0 && utf8proc_grapheme_break_stateful(before, code, &state)) {
            put(map, in, begin, i, out);
            begin = i;
        }
        before = code;
        i += length;
    }
    put(map, in, begin, in->length, out);
}
