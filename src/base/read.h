/* read.h: what the YAML and the JSON reader share. */
#ifndef CAMBIUM_BASE_READ_H
#define CAMBIUM_BASE_READ_H

#include "base/value.h"

/* Appends an entry without looking for its key: the readers check for duplicates themselves. `key` is not copied. */
bool cb__map_append(struct cb_arena *arena, struct cb_value *map, const char *key, const struct cb_place *at,
                    struct cb_value *value);
/* A source in the arena that holds copies of `name` and the text. NULL when memory is exhausted. */
struct cb_source *cb__source_create(struct cb_arena *arena, const char *name, const char *text, size_t length);
/* The same around a text that already lives in the arena and is NUL-terminated. */
struct cb_source *cb__source_around(struct cb_arena *arena, const char *name, const char *text, size_t length);
/* Line and column (in letters) of a byte offset. */
struct cb_place cb__place_of_offset(const struct cb_source *source, size_t offset);
/* Refuses NUL bytes and what is not UTF-8. */
enum cb_status cb__check_encoding(const struct cb_source *source, struct cb_diag *diag);
/* "out of memory while reading `name`". `source` may be NULL. */
enum cb_status cb__fail_reading_memory(const struct cb_source *source, struct cb_diag *diag);

#endif
