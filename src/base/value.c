/* value.c: access to value trees, and building and changing them. */
#include "base/value.h"

#include <string.h>

#include "base/number.h"
#include "base/read.h"

struct cb_value *cb_map_get(const struct cb_value *map, const char *key)
{
    const struct cb_entry *entry = cb_map_entry(map, key);
    return entry ? entry->value : NULL;
}

const struct cb_entry *cb_map_entry(const struct cb_value *map, const char *key)
{
    if (!map || map->kind != CB_KIND_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->as.map.count; i++) {
        if (strcmp(map->as.map.entries[i].key, key) == 0) {
            return &map->as.map.entries[i];
        }
    }
    return NULL;
}

const char *cb_kind_name(enum cb_kind kind)
{
    static const char *const NAMES[] = {
        [CB_KIND_NULL] = "nothing", [CB_KIND_BOOL] = "true or false", [CB_KIND_INT] = "an integer",
        [CB_KIND_REAL] = "a number", [CB_KIND_TEXT] = "a text",       [CB_KIND_LIST] = "a list",
        [CB_KIND_MAP] = "a map",
    };
    return (size_t)kind < sizeof(NAMES) / sizeof(NAMES[0]) ? NAMES[kind] : "a value";
}

bool cb_value_number(const struct cb_value *value, double *out)
{
    if (value && value->kind == CB_KIND_INT) {
        *out = (double)value->as.integer;
        return true;
    }
    if (value && value->kind == CB_KIND_REAL) {
        *out = value->as.real;
        return true;
    }
    return false;
}

static struct cb_value *new_value(struct cb_arena *arena, enum cb_kind kind, const struct cb_place *at)
{
    struct cb_value *value = CB_NEW(arena, struct cb_value);
    if (value) {
        value->kind = kind;
        if (at) {
            value->at = *at;
        }
    }
    return value;
}

/* The scalar's `text` is its form in YAML, as if it had been read. */
static struct cb_value *with_text_form(struct cb_arena *arena, struct cb_value *value)
{
    if (!value) {
        return NULL;
    }
    struct cb_text form = {0};
    if (value->kind == CB_KIND_REAL) {
        cb__add_real(&form, value->as.real); /* JSON has no infinity */
    } else {
        cb_value_to_json(value, &form);
    }
    if (!form.failed && form.data) {
        value->text = cb_arena_strdup(arena, form.data);
    }
    cb_text_free(&form);
    return value->text ? value : NULL;
}

struct cb_value *cb_value_text(struct cb_arena *arena, const char *text, const struct cb_place *at)
{
    struct cb_value *value = new_value(arena, CB_KIND_TEXT, at);
    if (value) {
        value->text = cb_arena_strdup(arena, text);
    }
    return value && value->text ? value : NULL;
}

struct cb_value *cb_value_int(struct cb_arena *arena, int64_t integer, const struct cb_place *at)
{
    struct cb_value *value = new_value(arena, CB_KIND_INT, at);
    if (value) {
        value->as.integer = integer;
    }
    return with_text_form(arena, value);
}

struct cb_value *cb_value_real(struct cb_arena *arena, double real, const struct cb_place *at)
{
    struct cb_value *value = new_value(arena, CB_KIND_REAL, at);
    if (value) {
        value->as.real = real;
    }
    return with_text_form(arena, value);
}

struct cb_value *cb_value_bool(struct cb_arena *arena, bool boolean, const struct cb_place *at)
{
    struct cb_value *value = new_value(arena, CB_KIND_BOOL, at);
    if (value) {
        value->as.boolean = boolean;
    }
    return with_text_form(arena, value);
}

struct cb_value *cb_value_list(struct cb_arena *arena, const struct cb_place *at)
{
    return new_value(arena, CB_KIND_LIST, at);
}

struct cb_value *cb_value_map(struct cb_arena *arena, const struct cb_place *at)
{
    return new_value(arena, CB_KIND_MAP, at);
}

/* An array in the arena doubles whenever its count is a power of two: no capacity needs to be stored. */
static void *grow(struct cb_arena *arena, void *items, size_t count, size_t size)
{
    if (count > 0 && (count < 4 || (count & (count - 1)) != 0)) {
        return items;
    }
    void *grown = cb_arena_array(arena, count == 0 ? 4 : count * 2, size);
    if (grown && count > 0) {
        memcpy(grown, items, count * size);
    }
    return grown;
}

bool cb_list_append(struct cb_arena *arena, struct cb_value *list, struct cb_value *item)
{
    if (!list || list->kind != CB_KIND_LIST || !item) {
        return false;
    }
    struct cb_value **items = grow(arena, list->as.list.items, list->as.list.count, sizeof(*items));
    if (!items) {
        return false;
    }
    items[list->as.list.count++] = item;
    list->as.list.items = items;
    return true;
}

bool cb__map_append(struct cb_arena *arena, struct cb_value *map, const char *key, const struct cb_place *at,
                    struct cb_value *value)
{
    struct cb_entry *entries = grow(arena, map->as.map.entries, map->as.map.count, sizeof(*entries));
    if (!entries) {
        return false;
    }
    entries[map->as.map.count++] = (struct cb_entry){key, *at, value};
    map->as.map.entries = entries;
    return true;
}

bool cb_map_set(struct cb_arena *arena, struct cb_value *map, const char *key, struct cb_value *value)
{
    if (!map || map->kind != CB_KIND_MAP || !value) {
        return false;
    }
    for (size_t i = 0; i < map->as.map.count; i++) {
        if (strcmp(map->as.map.entries[i].key, key) == 0) {
            map->as.map.entries[i].value = value;
            map->as.map.entries[i].at = value->at;
            return true;
        }
    }
    const char *copy = cb_arena_strdup(arena, key);
    return copy && cb__map_append(arena, map, copy, &value->at, value);
}

/* The depth of any tree is bounded by the readers and by the code that builds one, so recursion is. */
struct cb_value *cb_value_clone(struct cb_arena *arena, const struct cb_value *value)
{
    if (!value) {
        return NULL;
    }
    struct cb_value *clone = cb_arena_copy(arena, value, sizeof(*value));
    if (!clone) {
        return NULL;
    }
    if (value->text && !(clone->text = cb_arena_strdup(arena, value->text))) {
        return NULL;
    }
    if (value->kind == CB_KIND_LIST) {
        clone->as.list.items = NULL;
        clone->as.list.count = 0;
        for (size_t i = 0; i < value->as.list.count; i++) {
            if (!cb_list_append(arena, clone, cb_value_clone(arena, value->as.list.items[i]))) {
                return NULL;
            }
        }
    } else if (value->kind == CB_KIND_MAP) {
        clone->as.map.entries = NULL;
        clone->as.map.count = 0;
        for (size_t i = 0; i < value->as.map.count; i++) {
            const struct cb_entry *entry = &value->as.map.entries[i];
            const char *key = cb_arena_strdup(arena, entry->key);
            struct cb_value *child = cb_value_clone(arena, entry->value);
            if (!key || !child || !cb__map_append(arena, clone, key, &entry->at, child)) {
                return NULL;
            }
        }
    }
    return clone;
}
