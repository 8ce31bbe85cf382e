/* substitute.c: `$name` and `$(expression)` in trees of values. See expression.h. */
#include <string.h>

#include "base/expression_internal.h"

static enum cb_status add_letters(struct cb_text *text, const struct cb_value *value, const struct cb_place *at,
                                  struct cb_diag *diag)
{
    if (value->text == NULL) {
        return cb_fail(diag, CB_INVALID, at, "%s has no place within a text", cb_kind_name(value->kind));
    }
    cb_text_add(text, value->text);
    return CB_OK;
}

/* A text with expressions in it. `*out` is NULL where there is none. */
static enum cb_status substitute_text(struct cb_arena *arena, const struct cb_names *names, const struct cb_value *value,
                                      struct cb_value **out, struct cb_diag *diag)
{
    struct cb_text spelled = {0};
    enum cb_status status = CB_OK;
    const char *text = value->text, *next;
    bool found = false;
    *out = NULL;
    while (status == CB_OK && (next = strstr(text, "$(")) != NULL) {
        struct cb_place at = value->at;
        struct cb_value *part = NULL;
        const char *end = NULL;
        at.column += (int)(next - value->text) + 2 + (value->quoted ? 1 : 0);
        status = cb__expression_prefix(arena, next + 2, &at, names, &part, &end, diag);
        if (status == CB_OK && *end != ')') {
            at.column += (int)(end - next) - 2;
            status = cb_fail(diag, CB_INVALID, &at, "the expression in `%s` lacks its `)`", value->text);
        }
        if (status == CB_OK && next == value->text && end[1] == '\0') {
            *out = part;
            cb_text_free(&spelled);
            return CB_OK;
        }
        if (status == CB_OK) {
            found = true;
            cb_text_addf(&spelled, "%.*s", (int)(next - text), text);
            status = add_letters(&spelled, part, &at, diag);
            text = end + 1;
        }
    }
    if (status == CB_OK && found) {
        cb_text_add(&spelled, text);
        *out = !spelled.failed ? cb_value_text(arena, spelled.data, &value->at) : NULL;
        status = *out != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, &value->at, "out of memory");
    }
    cb_text_free(&spelled);
    return status;
}

static enum cb_status substitute_key(struct cb_arena *arena, const struct cb_names *names, struct cb_entry *entry,
                                     struct cb_diag *diag)
{
    const struct cb_value *found;
    if (entry->key[0] != '$') {
        return CB_OK;
    }
    CB_TRY(names->find(names->context, entry->key + 1, strlen(entry->key + 1), &entry->at, &found, diag));
    if (found->kind != CB_KIND_TEXT) {
        return cb_fail(diag, CB_INVALID, &entry->at, "`%s` stands for a layer here and must be its word, not %s", entry->key,
                       cb_kind_name(found->kind));
    }
    entry->key = cb_arena_strdup(arena, found->text);
    return entry->key != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, &entry->at, "out of memory");
}

enum cb_status cb_value_substitute(struct cb_arena *arena, const struct cb_names *names, struct cb_value *value,
                                   struct cb_diag *diag)
{
    if (value == NULL) {
        return CB_OK;
    }
    if (value->kind == CB_KIND_LIST) {
        for (size_t i = 0; i < value->as.list.count; i++) {
            CB_TRY(cb_value_substitute(arena, names, value->as.list.items[i], diag));
        }
    } else if (value->kind == CB_KIND_MAP) {
        for (size_t i = 0; i < value->as.map.count; i++) {
            CB_TRY(substitute_key(arena, names, &value->as.map.entries[i], diag));
            CB_TRY(cb_value_substitute(arena, names, value->as.map.entries[i].value, diag));
        }
    } else if (value->kind == CB_KIND_TEXT) {
        const struct cb_place at = value->at;
        struct cb_value *result = NULL;
        if (value->text[0] == '$' && value->text[1] != '(') {
            const struct cb_value *found = NULL;
            CB_TRY(names->find(names->context, value->text + 1, strlen(value->text + 1), &at, &found, diag));
            result = cb_value_clone(arena, found);
            if (result == NULL) {
                return cb_fail(diag, CB_MEMORY, &at, "out of memory");
            }
        } else {
            CB_TRY(substitute_text(arena, names, value, &result, diag));
        }
        if (result != NULL) {
            *value = *result;
            value->at = at;
        }
    }
    return CB_OK;
}
