/* network_item.c: see network_item.h. */
#include "graph/network_item.h"

#include <inttypes.h>
#include <string.h>

#include "graph/schema.h"

static bool is_sibling(const char *key)
{
    for (size_t i = 0; cb_item_keys[i].name != NULL; i++) {
        if (strcmp(key, cb_item_keys[i].name) == 0) {
            return true;
        }
    }
    return false;
}

static enum cb_status read_number(const struct cb_value *value, const char *key, int64_t least, int64_t most,
                                  int64_t *out, struct cb_diag *diag)
{
    if (value == NULL) {
        return CB_OK;
    }
    if (value->kind != CB_KIND_INT || value->as.integer < least || value->as.integer > most) {
        return cb_fail(diag, CB_INVALID, &value->at, "`%s` must be an integer from %" PRId64 " to %" PRId64, key, least,
                       most);
    }
    *out = value->as.integer;
    return CB_OK;
}

enum cb_status cb__item_read(const struct cb_value *value, struct item *out, struct cb_diag *diag)
{
    *out = (struct item){.at = value->at, .at_value = value, .lr_scale = 1.0};
    if (value->kind == CB_KIND_TEXT) {
        out->word = value->text;
        return CB_OK;
    }
    if (value->kind != CB_KIND_MAP) {
        return cb_fail(diag, CB_INVALID, &value->at,
                       "a layer is a word (`- WORD`) or a map with one (`- WORD: {OPTION: VALUE}`), not %s",
                       cb_kind_name(value->kind));
    }
    for (size_t i = 0; i < value->as.map.count; i++) {
        const struct cb_entry *entry = &value->as.map.entries[i];
        if (is_sibling(entry->key)) {
            continue;
        }
        if (out->word != NULL) {
            const char *nearest = cb_nearest(entry->key, cb_next_key, cb_item_keys);
            return cb_fail(diag, CB_INVALID, &entry->at, "an item holds one layer, here are `%s` and `%s`%s%s%s",
                           out->word, entry->key, nearest != NULL ? "; did you mean `" : "",
                           nearest != NULL ? nearest : "", nearest != NULL ? "`?" : "");
        }
        out->word = entry->key;
        out->at = entry->at;
        out->options = entry->value;
    }
    if (out->word == NULL) {
        return cb_fail(diag, CB_INVALID, &value->at, "this item names no layer");
    }
    out->share = cb_map_get(value, "share");
    out->name = cb_map_get(value, "name");
    if (out->name != NULL && (out->name->text == NULL || out->name->text[0] == '\0' || strlen(out->name->text) > 200)) {
        return cb_fail(diag, CB_INVALID, &out->name->at, "`name` must be a text of 1 to 200 letters");
    }
    out->inputs = cb_map_get(value, "inputs");
    out->first = cb_map_get(value, "first");
    out->has_repeat = cb_map_get(value, "repeat") != NULL;
    CB_TRY(read_number(cb_map_get(value, "start"), "start", 0, 1000000, &out->start, diag));
    const struct cb_value *frozen = cb_map_get(value, "frozen");
    if (frozen != NULL) {
        if (frozen->kind != CB_KIND_BOOL) {
            return cb_fail(diag, CB_INVALID, &frozen->at, "`frozen` beside a layer must be true or false");
        }
        out->frozen = frozen->as.boolean;
    }
    const struct cb_value *scale = cb_map_get(value, "lr_scale");
    if (scale != NULL && (!cb_value_number(scale, &out->lr_scale) || !(out->lr_scale >= 0) || out->lr_scale > 1e6)) {
        return cb_fail(diag, CB_INVALID, &scale->at, "`lr_scale` must be a number from 0 to 1e6");
    }
    return CB_OK;
}

enum cb_status cb__item_repeat(const struct cb_value *value, int64_t *out, struct cb_diag *diag)
{
    *out = 1;
    return read_number(value, "repeat", 0, 1000, out, diag);
}
