/* word.c: see word.h. */
#include "train/word.h"

#include <string.h>

#include "base/expect.h"

/* "`a`, `b` or `c`" */
static void list_words(const char *const *words, size_t count, struct cb_text *out)
{
    for (size_t i = 0; i < count; i++) {
        cb_text_addf(out, "%s`%s`", i == 0 ? "" : i + 1 < count ? ", " : " or ", words[i]);
    }
}

enum cb_status cb__word_read(const struct cb_value *value, const char *what, const char *const *words, size_t count,
                             size_t *out_index, const struct cb_value **out_options, struct cb_diag *diag)
{
    const bool is_map = value->kind == CB_KIND_MAP && value->as.map.count == 1;
    const char *word = is_map ? value->as.map.entries[0].key : value->kind == CB_KIND_TEXT ? value->text : NULL;
    for (size_t i = 0; word && i < count; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out_index = i;
            *out_options = is_map ? value->as.map.entries[0].value : NULL;
            return CB_OK;
        }
    }
    char name[80];
    const char *near = word ? cb_nearest_of(word, words, count) : NULL;
    struct cb_text list = {0};
    list_words(words, count, &list);
    const struct cb_place *at = is_map ? &value->as.map.entries[0].at : &value->at;
    if (value->kind == CB_KIND_MAP && !is_map) {
        cb_fail(diag, CB_INVALID, at, "%s must have one key, %s, not %zu", what, list.data ? list.data : "",
                value->as.map.count);
    } else if (near) {
        cb_fail(diag, CB_INVALID, at, "%s must be %s, not `%s`; did you mean `%s`?", what, list.data ? list.data : "",
                word, near);
    } else if (word) {
        cb_fail(diag, CB_INVALID, at, "%s must be %s, not `%s`", what, list.data ? list.data : "", word);
    } else {
        cb_fail(diag, CB_INVALID, at, "%s must be %s, not %s", what, list.data ? list.data : "",
                cb__name_value(value, name));
    }
    cb_text_free(&list);
    return CB_INVALID;
}

struct cb_value *cb__word_value(struct cb_arena *arena, const char *word, struct cb_value *options)
{
    if (!options) {
        return cb_value_text(arena, word, NULL);
    }
    struct cb_value *map = cb_value_map(arena, NULL);
    return map && cb_map_set(arena, map, word, options) ? map : NULL;
}
