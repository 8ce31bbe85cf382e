/* expect.c: what a reader of a config demands of values, and the sentences when it is not there. */
#include "base/expect.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

const char *cb__name_value(const struct cb_value *value, char out[80])
{
    enum { MAX_BYTES = 60 };
    if (!value->text || *value->text == '\0') {
        bool is_empty_text = value->kind == CB_KIND_TEXT;
        snprintf(out, 80, "%s", is_empty_text ? "an empty text" : cb_kind_name(value->kind));
        return out;
    }
    size_t length = strlen(value->text), shown = length;
    if (length > MAX_BYTES) {
        shown = MAX_BYTES;
        while (shown > 0 && cb__utf8_continues(value->text[shown])) {
            shown--;
        }
    }
    const char *mark = value->kind == CB_KIND_TEXT ? "`" : "";
    snprintf(out, 80, "%s%.*s%s%s", mark, (int)shown, value->text, shown < length ? "..." : "", mark);
    return out;
}

bool cb_expect_kind(const struct cb_value *value, enum cb_kind kind, const char *what, struct cb_diag *diag)
{
    char name[80];
    if (!value) {
        cb_fail(diag, CB_INVALID, NULL, "%s is missing: it must be %s", what, cb_kind_name(kind));
        return false;
    }
    if (value->kind == kind || (kind == CB_KIND_REAL && value->kind == CB_KIND_INT)) {
        return true;
    }
    cb_fail(diag, CB_INVALID, &value->at, "%s must be %s, not %s", what, cb_kind_name(kind),
            cb__name_value(value, name));
    return false;
}

void cb__fail_unknown_key(const struct cb_entry *entry, const char *where,
                          const char *(*next)(const void *context, size_t i), const void *context,
                          struct cb_diag *diag)
{
    enum { MAX_LISTED = 16 };
    const char *near = cb_nearest(entry->key, next, context);
    if (near) {
        cb_fail(diag, CB_INVALID, &entry->at, "unknown key `%s` %s; did you mean `%s`?", entry->key, where, near);
        return;
    }
    struct cb_text list = {0};
    for (size_t i = 0; next(context, i); i++) {
        if (i == MAX_LISTED) {
            cb_text_add(&list, ", ...");
            break;
        }
        cb_text_addf(&list, "%s`%s`", i > 0 ? ", " : "", next(context, i));
    }
    if (list.length > 0) {
        cb_fail(diag, CB_INVALID, &entry->at, "unknown key `%s` %s; there are %s", entry->key, where, list.data);
    } else {
        cb_fail(diag, CB_INVALID, &entry->at, "unknown key `%s` %s, which takes none", entry->key, where);
    }
    cb_text_free(&list);
}

struct key_array {
    const char *const *keys;
    size_t count;
};

static const char *next_key(const void *context, size_t i)
{
    const struct key_array *array = context;
    return i < array->count ? array->keys[i] : NULL;
}

bool cb_expect_keys(const struct cb_value *map, const char *const *keys, size_t key_count, const char *where,
                    struct cb_diag *diag)
{
    bool all_known = true;
    for (size_t i = 0; map && map->kind == CB_KIND_MAP && i < map->as.map.count; i++) {
        const struct cb_entry *entry = &map->as.map.entries[i];
        size_t k = 0;
        while (k < key_count && strcmp(keys[k], entry->key) != 0) {
            k++;
        }
        if (k == key_count) {
            all_known = false;
            cb__fail_unknown_key(entry, where, next_key, &(struct key_array){keys, key_count}, diag);
        }
    }
    return all_known;
}
