/* keys.h: a map's keys as one table, for the reader that refuses others and for the JSON Schema that editors use. */
#ifndef CAMBIUM_BASE_KEYS_H
#define CAMBIUM_BASE_KEYS_H

#include "base/value.h"

struct cb_key {
    const char *name;   /* a table ends with NULL */
    const char *help;   /* one sentence */
    const char *schema; /* of the value: a JSON Schema in YAML; NULL: settled for later versions, not supported yet */
};
/* As a schema: the reader knows the key and refuses it in words of its own; editors do not offer it. */
#define CB_KEY_REFUSED ""

/* Every key of the map must be in the table and supported; errors are collected, false after one. `where`: "in `train`". */
bool cb_expect_known(const struct cb_value *map, const struct cb_key *table, const char *where, struct cb_diag *diag);

/* Key `i` of those that may be suggested, for cb_nearest; `table` is a struct cb_key *. */
const char *cb_next_key(const void *table, size_t i);

/* Schemas are trees of values; each function returns NULL when memory is exhausted (or, a fault of the program, where the
 * table's text is no YAML). */
struct cb_value *cb_schema_parse(struct cb_arena *arena, const char *yaml);
/* {type: object, additionalProperties: false, properties: ...} with the members of `more` (YAML of a map; may be NULL). */
struct cb_value *cb_schema_of_keys(struct cb_arena *arena, const struct cb_key *table, const char *more);
/* The schema of a table of options (base/options.h). */
struct cb_array;
struct cb_value *cb_schema_of_options(struct cb_arena *arena, const struct cb_array *table, const void *defaults);
/* One of `words`, or a map with one of them as its key and `options[i]` (a schema) under it. Words beside which options
 * are required may not stand alone. */
struct cb_value *cb_schema_of_words(struct cb_arena *arena, const char *const *words, struct cb_value *const *options,
                                    size_t count);
/* The schema of what may be absent: a null or `schema`. */
struct cb_value *cb_schema_or_null(struct cb_arena *arena, struct cb_value *schema);
/* True when the schema of a map (as cb_schema_of_options gives it) requires a key. */
bool cb_schema_has_required(const struct cb_value *schema);

#endif
