/* source.c: the text of a file that is being read: its copy in the arena, places in it, its encoding. */
#include "base/read.h"

#include <string.h>

#include "base/utf8.h"

struct cb_source *cb__source_around(struct cb_arena *arena, const char *name, const char *text, size_t length)
{
    struct cb_source *source = CB_NEW(arena, struct cb_source);
    if (!source) {
        return NULL;
    }
    source->name = cb_arena_strdup(arena, name);
    source->text = text;
    source->length = length;
    return source->name ? source : NULL;
}

struct cb_source *cb__source_create(struct cb_arena *arena, const char *name, const char *text, size_t length)
{
    const char *copy = cb_arena_strndup(arena, text, length);
    return copy ? cb__source_around(arena, name, copy, length) : NULL;
}

struct cb_place cb__place_of_offset(const struct cb_source *source, size_t offset)
{
    struct cb_place place = {source, 1, 1};
    for (size_t i = 0; i < offset && i < source->length; i++) {
        if (source->text[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if (!cb__utf8_continues(source->text[i])) {
            place.column++;
        }
    }
    return place;
}

enum cb_status cb__check_encoding(const struct cb_source *source, struct cb_diag *diag)
{
    size_t offset = 0;
    while (offset < source->length) {
        unsigned char byte = (unsigned char)source->text[offset];
        size_t bytes = byte < 0x80 ? 1 : cb__utf8_sequence(source->text + offset, source->length - offset);
        if (bytes == 0 || byte == 0) {
            struct cb_place at = cb__place_of_offset(source, offset);
            return cb_fail(diag, CB_FORMAT, &at,
                           byte == 0 ? "a byte 0x%02x: this is not a text file"
                                     : "the byte 0x%02x is not UTF-8: save the file in that encoding",
                           (unsigned)byte);
        }
        offset += bytes;
    }
    return CB_OK;
}

enum cb_status cb__fail_reading_memory(const struct cb_source *source, struct cb_diag *diag)
{
    return cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading `%s`", source ? source->name : "a file");
}
