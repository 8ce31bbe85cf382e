/* arguments.c: see arguments.h. */
#include "graph/arguments.h"

enum cb_status cb__arguments_bind(struct cb_arena *arena, const struct cb_value *parameters, const char *word,
                                  const struct cb_value *given, const struct cb_value *first,
                                  const struct cb_place *at, struct cb_value **out, struct cb_diag *diag)
{
    struct cb_value *arguments =
        parameters != NULL && parameters->kind == CB_KIND_MAP ? cb_value_clone(arena, parameters)
                                                              : cb_value_map(arena, at);
    if (arguments == NULL) {
        return cb_fail(diag, CB_MEMORY, at, "out of memory");
    }
    const struct cb_value *sources[2] = {given, first};
    for (int s = 0; s < 2; s++) {
        const struct cb_value *map = sources[s];
        if (map == NULL || map->kind == CB_KIND_NULL) {
            continue;
        }
        if (map->kind != CB_KIND_MAP) {
            return cb_fail(diag, CB_INVALID, &map->at, "the parameters of block `%s` must be a map", word);
        }
        for (size_t i = 0; i < map->as.map.count; i++) {
            const struct cb_entry *entry = &map->as.map.entries[i];
            if (cb_map_entry(arguments, entry->key) == NULL) {
                const char *keys[64];
                size_t count = 0;
                for (size_t k = 0; k < arguments->as.map.count && k < 64; k++) {
                    keys[count++] = arguments->as.map.entries[k].key;
                }
                const char *nearest = cb_nearest_of(entry->key, keys, count);
                return cb_fail(diag, CB_INVALID, &entry->at, "block `%s` has no parameter `%s`%s%s%s", word, entry->key,
                               nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                               nearest != NULL ? "`?" : "");
            }
            if (!cb_map_set(arena, arguments, entry->key, entry->value)) {
                return cb_fail(diag, CB_MEMORY, at, "out of memory");
            }
        }
    }
    for (size_t i = 0; i < arguments->as.map.count; i++) {
        if (arguments->as.map.entries[i].value->kind == CB_KIND_NULL) {
            return cb_fail(diag, CB_INVALID, at, "block `%s` needs its parameter `%s`", word,
                           arguments->as.map.entries[i].key);
        }
    }
    *out = arguments;
    return CB_OK;
}

/* The argument that `$name` at `at` stands for. */
static enum cb_status find_argument(const struct cb_value *arguments, const char *name, const struct cb_place *at,
                                    const struct cb_value **out, struct cb_diag *diag)
{
    *out = cb_map_get(arguments, name);
    if (*out != NULL) {
        return CB_OK;
    }
    const char *keys[64];
    size_t count = 0;
    for (size_t i = 0; arguments != NULL && i < arguments->as.map.count && i < 64; i++) {
        keys[count++] = arguments->as.map.entries[i].key;
    }
    const char *nearest = cb_nearest_of(name, keys, count);
    return cb_fail(diag, CB_INVALID, at, "the block has no parameter `%s`%s%s%s", name,
                   nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "`?" : "");
}

/* `- $activation: {...}`: a layer's word may be an argument as well. */
static enum cb_status substitute_key(const struct cb_value *arguments, struct cb_entry *entry, struct cb_diag *diag)
{
    const struct cb_value *argument;
    if (entry->key[0] != '$') {
        return CB_OK;
    }
    CB_TRY(find_argument(arguments, entry->key + 1, &entry->at, &argument, diag));
    if (argument->kind != CB_KIND_TEXT) {
        return cb_fail(diag, CB_INVALID, &entry->at, "`%s` stands for a layer here and must be its word, not %s",
                       entry->key, cb_kind_name(argument->kind));
    }
    entry->key = argument->text;
    return CB_OK;
}

enum cb_status cb__arguments_substitute(struct cb_arena *arena, const struct cb_value *arguments,
                                        struct cb_value *value, struct cb_diag *diag)
{
    if (value == NULL) {
        return CB_OK;
    }
    if (value->kind == CB_KIND_LIST) {
        for (size_t i = 0; i < value->as.list.count; i++) {
            CB_TRY(cb__arguments_substitute(arena, arguments, value->as.list.items[i], diag));
        }
    } else if (value->kind == CB_KIND_MAP) {
        for (size_t i = 0; i < value->as.map.count; i++) {
            CB_TRY(substitute_key(arguments, &value->as.map.entries[i], diag));
            CB_TRY(cb__arguments_substitute(arena, arguments, value->as.map.entries[i].value, diag));
        }
    } else if (value->kind == CB_KIND_TEXT && value->text[0] == '$') {
        const struct cb_value *argument;
        CB_TRY(find_argument(arguments, value->text + 1, &value->at, &argument, diag));
        struct cb_place at = value->at;
        struct cb_value *copy = cb_value_clone(arena, argument);
        if (copy == NULL) {
            return cb_fail(diag, CB_MEMORY, &at, "out of memory");
        }
        *value = *copy;
        value->at = at;
    }
    return CB_OK;
}
