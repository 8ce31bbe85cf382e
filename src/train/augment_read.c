/* augment_read.c: `augment:` in YAML. See augment.h. */
#include <string.h>

#include "base/keys.h"
#include "train/augment.h"
#include "train/word.h"

static const struct cb_augment photo = {.flip_horizontal = true, .rotate = 10, .crop = {0.5, 1.0},
                                        .crop_ratio = {0.75, 1.0 / 0.75}, .brightness = 0.2, .contrast = 0.2,
                                        .saturation = 0.2};
#define RANGE(least, most)                                                                         \
    "{type: array, minItems: 2, maxItems: 2, items: {type: number, minimum: " least ", maximum: " most "}}"
#define NUMBER(most) "{type: number, minimum: 0, maximum: " most "}"
static const struct cb_key words[] = {
    {"flip", "mirrors: horizontal, vertical or both", "{enum: [null, horizontal, vertical, both]}"},
    {"rotate", "up to so many degrees either way", NUMBER("180")},
    {"shear", "up to so many degrees either way", NUMBER("60")},
    {"shift", "up to this part of a side; or [vertical, horizontal]",
     "{anyOf: [" NUMBER("1") ", {type: array, minItems: 2, maxItems: 2, items: " NUMBER("1") "}]}"},
    {"scale", "a factor of the size, from and to", RANGE("0.1", "10")},
    {"crop", "a part of the picture, of the area from `scale` and of a shape from `ratio` (width to height)",
     "{anyOf: [{type: 'null'}, {type: object, additionalProperties: false, properties: {scale: " RANGE("0.01", "1")
     ", ratio: " RANGE("0.1", "10") "}}]}"},
    {"colour", "up to this part more or less; 0.2 each by default",
     "{anyOf: [{type: 'null'}, {type: object, additionalProperties: false, properties: {brightness: " NUMBER("1")
     ", contrast: " NUMBER("1") ", saturation: " NUMBER("1") "}}]}"},
    {"photo", "the usual for photos: flip, rotate, crop and colour", "{type: 'null'}"},
    {NULL, NULL, NULL},
};

struct cb_value *cb__augment_schema(struct cb_arena *arena)
{
    struct cb_value *item = cb_schema_parse(arena, "{anyOf: [{enum: [flip, crop, colour, photo]}]}");
    struct cb_value *schema = cb_schema_parse(arena, "{anyOf: [{enum: [null, none]}, {type: array}]}");
    struct cb_value *either = cb_map_get(schema, "anyOf");
    bool ok = either != NULL && item != NULL &&
              cb_list_append(arena, cb_map_get(item, "anyOf"),
                             cb_schema_of_keys(arena, words, "{minProperties: 1, maxProperties: 1}")) &&
              cb_map_set(arena, either->as.list.items[1], "items", item) && cb_list_append(arena, either, item);
    return ok ? schema : NULL;
}

bool cb_augment_is_none(const struct cb_augment *g)
{
    return !g->flip_horizontal && !g->flip_vertical && g->rotate == 0 && g->shear == 0 && g->shift[0] == 0 &&
           g->shift[1] == 0 && g->scale[1] == 0 && g->crop[1] == 0 && g->brightness == 0 && g->contrast == 0 &&
           g->saturation == 0;
}

static enum cb_status read_range(const struct cb_value *value, const char *what, double least, double most, double out[2],
                                 struct cb_diag *diag)
{
    double low, high;
    if (value == NULL || value->kind != CB_KIND_LIST || value->as.list.count != 2 ||
        !cb_value_number(value->as.list.items[0], &low) || !cb_value_number(value->as.list.items[1], &high) ||
        !(low >= least && low <= high && high <= most)) {
        return cb_fail(diag, CB_INVALID, &value->at, "`%s` must be two numbers, from and to, between %g and %g", what,
                       least, most);
    }
    out[0] = low;
    out[1] = high;
    return CB_OK;
}

static enum cb_status read_number(const struct cb_value *value, const char *what, double most, double *out,
                                  struct cb_diag *diag)
{
    double number;
    if (!cb_value_number(value, &number) || !(number >= 0 && number <= most)) {
        return cb_fail(diag, CB_INVALID, &value->at, "`%s` must be a number from 0 to %g", what, most);
    }
    *out = number;
    return CB_OK;
}

static enum cb_status read_flip(const struct cb_value *value, struct cb_augment *out, struct cb_diag *diag)
{
    const char *which = value == NULL || value->kind == CB_KIND_NULL ? "horizontal" : value->text;
    bool both = which != NULL && strcmp(which, "both") == 0;
    if (which == NULL || (!both && strcmp(which, "horizontal") != 0 && strcmp(which, "vertical") != 0)) {
        return cb_fail(diag, CB_INVALID, &value->at, "`flip` must be horizontal, vertical or both");
    }
    out->flip_horizontal = both || which[0] == 'h';
    out->flip_vertical = both || which[0] == 'v';
    return CB_OK;
}

static enum cb_status read_shift(const struct cb_value *value, struct cb_augment *out, struct cb_diag *diag)
{
    if (value->kind == CB_KIND_LIST && value->as.list.count == 2) {
        CB_TRY(read_number(value->as.list.items[0], "shift", 1, &out->shift[0], diag));
        return read_number(value->as.list.items[1], "shift", 1, &out->shift[1], diag);
    }
    CB_TRY(read_number(value, "shift", 1, &out->shift[0], diag));
    out->shift[1] = out->shift[0];
    return CB_OK;
}

static enum cb_status read_crop(const struct cb_value *value, struct cb_augment *out, struct cb_diag *diag)
{
    static const char *const keys[] = {"scale", "ratio"};
    out->crop[0] = 0.5;
    out->crop[1] = 1.0;
    out->crop_ratio[0] = 0.75;
    out->crop_ratio[1] = 1.0 / 0.75;
    if (value == NULL || value->kind == CB_KIND_NULL) {
        return CB_OK;
    }
    if (!cb_expect_kind(value, CB_KIND_MAP, "`crop`", diag) || !cb_expect_keys(value, keys, 2, "in `crop`", diag)) {
        return CB_INVALID;
    }
    const struct cb_value *scale = cb_map_get(value, "scale"), *ratio = cb_map_get(value, "ratio");
    if (scale != NULL) {
        CB_TRY(read_range(scale, "scale", 0.01, 1, out->crop, diag));
    }
    return ratio != NULL ? read_range(ratio, "ratio", 0.1, 10, out->crop_ratio, diag) : CB_OK;
}

static enum cb_status read_colour(const struct cb_value *value, struct cb_augment *out, struct cb_diag *diag)
{
    static const char *const keys[] = {"brightness", "contrast", "saturation"};
    double *fields[] = {&out->brightness, &out->contrast, &out->saturation};
    if (value == NULL || value->kind == CB_KIND_NULL) {
        out->brightness = out->contrast = out->saturation = 0.2;
        return CB_OK;
    }
    if (!cb_expect_kind(value, CB_KIND_MAP, "`colour`", diag) || !cb_expect_keys(value, keys, 3, "in `colour`", diag)) {
        return CB_INVALID;
    }
    for (int i = 0; i < 3; i++) {
        const struct cb_value *number = cb_map_get(value, keys[i]);
        if (number != NULL) {
            CB_TRY(read_number(number, keys[i], 1, fields[i], diag));
        }
    }
    return CB_OK;
}

static enum cb_status read_item(const struct cb_value *item, struct cb_augment *out, struct cb_diag *diag)
{
    const char *word = item->kind == CB_KIND_TEXT ? item->text : NULL;
    const struct cb_value *value = NULL;
    if (item->kind == CB_KIND_MAP && item->as.map.count == 1) {
        word = item->as.map.entries[0].key;
        value = item->as.map.entries[0].value;
    }
    if (word == NULL) {
        return cb_fail(diag, CB_INVALID, &item->at, "an augmentation is a word (`flip`) or a map with one ({rotate: 10})");
    }
    bool needs_value = strcmp(word, "rotate") == 0 || strcmp(word, "shear") == 0 || strcmp(word, "shift") == 0 ||
                       strcmp(word, "scale") == 0;
    if (needs_value && value == NULL) {
        return cb_fail(diag, CB_INVALID, &item->at, "`%s` needs a number: {%s: ...}", word, word);
    }
    if (strcmp(word, "photo") == 0 && value != NULL && value->kind != CB_KIND_NULL) {
        return cb_fail(diag, CB_INVALID, &value->at, "`photo` takes no value; what follows it in the list changes it");
    }
    if (strcmp(word, "photo") == 0) {
        *out = photo;
        return CB_OK;
    }
    if (strcmp(word, "flip") == 0) {
        return read_flip(value, out, diag);
    }
    if (strcmp(word, "rotate") == 0) {
        return read_number(value, word, 180, &out->rotate, diag);
    }
    if (strcmp(word, "shear") == 0) {
        return read_number(value, word, 60, &out->shear, diag);
    }
    if (strcmp(word, "shift") == 0) {
        return read_shift(value, out, diag);
    }
    if (strcmp(word, "scale") == 0) {
        return read_range(value, word, 0.1, 10, out->scale, diag);
    }
    if (strcmp(word, "crop") == 0) {
        return read_crop(value, out, diag);
    }
    if (strcmp(word, "colour") == 0) {
        return read_colour(value, out, diag);
    }
    const char *nearest = cb_nearest(word, cb_next_key, words);
    return cb_fail(diag, CB_INVALID, &item->at, "there is no augmentation `%s`%s%s%s", word,
                   nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "`?" : "");
}

enum cb_status cb_augment_read(const struct cb_value *value, struct cb_augment *out, struct cb_diag *diag)
{
    struct cb_augment result = {0};
    if (value == NULL || value->kind == CB_KIND_NULL ||
        (value->kind == CB_KIND_TEXT && strcmp(value->text, "none") == 0)) {
        *out = result;
        return CB_OK;
    }
    if (value->kind != CB_KIND_LIST) {
        CB_TRY(read_item(value, &result, diag));
    }
    for (size_t i = 0; value->kind == CB_KIND_LIST && i < value->as.list.count; i++) {
        CB_TRY(read_item(value->as.list.items[i], &result, diag));
    }
    *out = result;
    return CB_OK;
}
