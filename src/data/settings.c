/* settings.c: the keys of `data:` that are simple values. */
#include <stdio.h>
#include <string.h>

#include "data/data_keys.h"
#include "data/dataset_internal.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static bool read_whole(const struct cb_value *value, const char *what, int64_t min, int64_t max, int64_t *out,
                       struct cb_diag *diag)
{
    if (!cb_expect_kind(value, CB_KIND_INT, what, diag)) {
        return false;
    }
    if (value->as.integer < min || value->as.integer > max) {
        cb_fail(diag, CB_INVALID, &value->at, "%s must be between %lld and %lld, not %lld", what, (long long)min,
                (long long)max, (long long)value->as.integer);
        return false;
    }
    *out = value->as.integer;
    return true;
}

/* Index of a word among `words`, -1 after an error. */
static int read_word(const struct cb_value *value, const char *what, const char *const *words, size_t count,
                     struct cb_diag *diag)
{
    if (!cb_expect_kind(value, CB_KIND_TEXT, what, diag)) {
        return -1;
    }
    struct cb_text list = {0};
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value->text, words[i]) == 0) {
            cb_text_free(&list);
            return (int)i;
        }
        cb_text_addf(&list, "%s%s", i ? ", " : "", words[i]);
    }
    cb_fail(diag, CB_INVALID, &value->at, "%s must be one of %s, not `%s`", what, list.failed ? "its words" : list.data,
            value->text);
    cb_text_free(&list);
    return -1;
}

/* A word, "#rrggbb", or [r, g, b]. */
static bool read_background(const struct cb_value *value, struct cb_colour *out, struct cb_diag *diag)
{
    static const struct {
        const char *name;
        struct cb_colour colour;
    } named[] = {{"white", {255, 255, 255}}, {"black", {0, 0, 0}}, {"grey", {128, 128, 128}}, {"gray", {128, 128, 128}}};
    if (value->kind == CB_KIND_LIST && value->as.list.count == 3) {
        int64_t rgb[3];
        for (int i = 0; i < 3; i++) {
            if (!read_whole(value->as.list.items[i], "each number of `background`", 0, 255, &rgb[i], diag)) {
                return false;
            }
        }
        *out = (struct cb_colour){(uint8_t)rgb[0], (uint8_t)rgb[1], (uint8_t)rgb[2]};
        return true;
    }
    unsigned r, g, b;
    char more;
    if (value->kind == CB_KIND_TEXT) {
        for (size_t i = 0; i < COUNT_OF(named); i++) {
            if (strcmp(value->text, named[i].name) == 0) {
                *out = named[i].colour;
                return true;
            }
        }
        if (strlen(value->text) == 7 && strspn(value->text + 1, "0123456789abcdefABCDEF") == 6 &&
            sscanf(value->text, "#%2x%2x%2x%c", &r, &g, &b, &more) == 3) {
            *out = (struct cb_colour){(uint8_t)r, (uint8_t)g, (uint8_t)b};
            return true;
        }
    }
    cb_fail(diag, CB_INVALID, &value->at, "`background` must be white, black, grey, \"#rrggbb\" or [red, green, blue]");
    return false;
}

/* `size: 160` or `size: [height, width]`. */
static bool read_size(const struct cb_value *value, struct cb_contract *contract, struct cb_diag *diag)
{
    bool list = value->kind == CB_KIND_LIST;
    if (list && value->as.list.count != 2) {
        cb_fail(diag, CB_INVALID, &value->at, "`size` is one number or [height, width]");
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if (!read_whole(list ? value->as.list.items[i] : value, "`size`", 1, 8192, &contract->shape[i], diag)) {
            return false;
        }
    }
    return true;
}

/* `size` and `resize`: only pictures have them. */
static bool read_preparation(const struct cb_value *data, struct cb_contract *contract, struct cb_diag *diag)
{
    static const char *const rules[] = {"pad", "crop", "squash"};
    const struct cb_value *size = cb_map_get(data, "size"), *resize = cb_map_get(data, "resize");
    const struct cb_value *first = size ? size : resize;
    if (first && contract->rank > 0 && contract->modality != CB_IMAGE) {
        cb_fail(diag, CB_MISMATCH, &first->at, "`%s` is for pictures, but the network's input `%s` is of modality `%s`",
                size ? "size" : "resize", contract->name, cb_modality_name(contract->modality));
        return false;
    }
    if (size && !read_size(size, contract, diag)) {
        return false;
    }
    int rule = resize ? read_word(resize, "`resize`", rules, COUNT_OF(rules), diag) : (int)contract->resize;
    contract->resize = rule >= 0 ? (enum cb_resize)rule : contract->resize;
    return rule >= 0;
}

/* `max_length` and `long`: only texts have them. */
static bool read_lengths(const struct cb_value *data, struct cb_contract *contract, struct cb_diag *diag)
{
    const struct cb_value *length = cb_map_get(data, "max_length"), *rule = cb_map_get(data, "long");
    const struct cb_value *first = length ? length : rule;
    int64_t most = contract->shape[0];
    if (first && contract->rank > 0 && contract->modality != CB_TEXT) {
        cb_fail(diag, CB_MISMATCH, &first->at, "`%s` is for texts, but the network's input `%s` is of modality `%s`",
                length ? "max_length" : "long", contract->name, cb_modality_name(contract->modality));
        return false;
    }
    if (contract->rank == 0 || contract->modality != CB_TEXT) {
        return true;
    }
    if (length && !read_whole(length, "`max_length`", 1, INT64_MAX, &contract->max_length, diag)) {
        return false;
    }
    if (contract->max_length > most) {
        cb_fail(diag, CB_MISMATCH, &length->at, "`max_length` is %lld tokens, but the network takes %lld at most",
                (long long)contract->max_length, (long long)most);
        cb_note(diag, &contract->at, "the network's input is described here");
        return false;
    }
    contract->shape[0] = contract->max_length;
    if (!cb_long_read(rule, &contract->long_rule, diag)) {
        return false;
    }
    if (contract->long_rule == CB_LONG_WINDOWS) {
        cb_fail(diag, CB_UNSUPPORTED, rule ? &rule->at : &contract->at, "`long: windows` is not read by this version: a longer "
                "text is cut off (`truncate`) or refused (`refuse`)");
        return false;
    }
    return true;
}

static bool read_classes(struct cb_arena *arena, const struct cb_value *list, struct cb__settings *out,
                         struct cb_diag *diag)
{
    if (!cb_expect_kind(list, CB_KIND_LIST, "`classes`", diag)) {
        return false;
    }
    size_t count = list->as.list.count;
    out->classes = list;
    out->class_names = CB_NEW_ARRAY(arena, const char *, count + 1);
    for (size_t i = 0; out->class_names && i < count; i++) {
        const struct cb_value *item = list->as.list.items[i];
        if (!item->text) {
            cb_fail(diag, CB_INVALID, &item->at, "each of `classes` must be a name, not %s", cb_kind_name(item->kind));
            return false;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(out->class_names[j], item->text) == 0) {
                cb_fail(diag, CB_INVALID, &item->at, "`classes` names `%s` twice", item->text);
                return false;
            }
        }
        out->class_names[i] = item->text;
    }
    if (count == 0) {
        cb_fail(diag, CB_INVALID, &list->at, "`classes` is empty");
    }
    return count > 0 && out->class_names;
}

bool cb__settings_read(struct cb_arena *arena, const struct cb_value *data, const struct cb_contract *contract,
                       struct cb_dataset *dataset, struct cb__settings *out, struct cb_diag *diag)
{
    static const char *const bad_files[] = {"skip", "fail"};
    const struct cb_value *seed = cb_map_get(data, "seed"), *shuffle = cb_map_get(data, "shuffle");
    const struct cb_value *views = cb_map_get(data, "views"), *bad = cb_map_get(data, "bad_files");
    const struct cb_value *background = cb_map_get(data, "background"), *classes = cb_map_get(data, "classes");
    int64_t number;
    *out = (struct cb__settings){.skips_bad = true};
    dataset->background = CB_WHITE;
    dataset->shuffle = true;
    dataset->views = 1;
    dataset->augment = cb_map_get(data, "augment");
    dataset->map = data;
    dataset->contract = contract ? *contract : (struct cb_contract){0};
    bool ok = cb_expect_known(data, cb_data_keys, "in `data`", diag);
    ok = read_preparation(data, &dataset->contract, diag) && ok;
    ok = read_lengths(data, &dataset->contract, diag) && ok;
    if (seed) {
        bool good = read_whole(seed, "`seed`", 0, INT64_MAX, &number, diag);
        dataset->seed = good ? (uint64_t)number : 0;
        ok = good && ok;
    }
    if (views) {
        bool good = read_whole(views, "`views`", 1, 1000, &number, diag);
        dataset->views = good ? (uint32_t)number : 1;
        ok = good && ok;
    }
    if (shuffle) {
        bool good = cb_expect_kind(shuffle, CB_KIND_BOOL, "`shuffle`", diag);
        dataset->shuffle = good ? shuffle->as.boolean : true;
        ok = good && ok;
    }
    if (bad) {
        int word = read_word(bad, "`bad_files`", bad_files, COUNT_OF(bad_files), diag);
        out->skips_bad = word != 1;
        ok = word >= 0 && ok;
    }
    ok = (!background || read_background(background, &dataset->background, diag)) && ok;
    ok = (!classes || read_classes(arena, classes, out, diag)) && ok;
    return ok;
}
