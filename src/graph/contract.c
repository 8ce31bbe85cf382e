/* contract.c: reading and writing what a network expects of its input. */
#include "graph/contract.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/schema.h"

#define MAX_SIDE 65536

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

#define CHANNELS "{anyOf: [{type: number}, {type: array, minItems: 1, items: {type: number}}]}"
#define SPREADS "{anyOf: [{type: number, exclusiveMinimum: 0}, {type: array, minItems: 1, items: {type: number, " \
    "exclusiveMinimum: 0}}]}"
const struct cb_key cb_contract_keys[] = {
    {"modality", "what goes in", "{enum: [image, text, audio, tensor]}"},
    {"shape", "without the batch: [height, width, channels] of a picture",
     "{type: array, minItems: 1, maxItems: 7, items: {type: integer, minimum: 1}}"},
    {"scale", "values 0 to 255 become (value - mean) / std; one number, or one for each channel",
     "{type: object, additionalProperties: false, properties: {mean: " CHANNELS ", std: " SPREADS "}}"},
    {"resize", "how a picture of another shape is fitted", "{enum: [pad, crop, squash]}"},
    {"filter", "how pixels between pixels are found", "{enum: [bilinear, bicubic, nearest]}"},
    {"crop_fraction", "with `resize: crop`: the part of the shorter side that is kept",
     "{type: number, minimum: 0.1, maximum: 1}"},
    {NULL, NULL, NULL},
};

static const char *const modality_names[] = {"image", "text", "audio", "tensor"};
static const char *const resize_names[] = {"pad", "crop", "squash"};
static const char *const filter_names[] = {"bilinear", "bicubic", "nearest"};

const char *cb_modality_name(enum cb_modality modality)
{
    return modality_names[modality];
}

const char *cb_resize_name(enum cb_resize resize)
{
    return resize_names[resize];
}

/* Index of a word among `names`; `*out` is left as it is when `value` is NULL. Adds an error when it is none of them. */
static bool read_choice(const struct cb_value *value, const char *key, const char *const *names, size_t count,
                        int *out, struct cb_diag *diag)
{
    char what[32];
    snprintf(what, sizeof what, "`%s`", key);
    if (!value) {
        return true;
    }
    if (!cb_expect_kind(value, CB_KIND_TEXT, what, diag)) {
        return false;
    }
    struct cb_text list = {0};
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value->text, names[i]) == 0) {
            cb_text_free(&list);
            *out = (int)i;
            return true;
        }
        cb_text_addf(&list, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = cb_nearest_of(value->text, names, count);
    if (near) {
        cb_fail(diag, CB_INVALID, &value->at, "`%s` has no `%s`; did you mean `%s`?", key, value->text, near);
    } else {
        cb_fail(diag, CB_INVALID, &value->at, "`%s` has no `%s`; it is one of %s", key, value->text,
                list.failed ? "a few words" : list.data);
    }
    cb_text_free(&list);
    return false;
}

static bool read_shape(const struct cb_value *list, struct cb_contract *out, struct cb_diag *diag)
{
    if (!cb_expect_kind(list, CB_KIND_LIST, "`shape`", diag)) {
        return false;
    }
    size_t count = list->as.list.count;
    if (out->modality == CB_IMAGE && count != 3) {
        cb_fail(diag, CB_INVALID, &list->at, "`shape` of an image input is [height, width, channels], not %zu number%s",
                count, count == 1 ? "" : "s");
        return false;
    }
    if (count < 1 || count > 7) {
        cb_fail(diag, CB_INVALID, &list->at, "`shape` has 1 to 7 numbers (without the batch), not %zu", count);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct cb_value *item = list->as.list.items[i];
        int64_t most = out->modality == CB_IMAGE && i == 2 ? CB_MAX_CHANNELS
                       : out->modality == CB_IMAGE         ? MAX_SIDE
                                                           : (int64_t)1 << 31;
        if (!cb_expect_kind(item, CB_KIND_INT, "each number of `shape`", diag)) {
            return false;
        }
        if (item->as.integer < 1 || item->as.integer > most) {
            cb_fail(diag, CB_INVALID, &item->at, "%s must be between 1 and %lld, not %lld",
                    out->modality == CB_IMAGE && i == 2 ? "the channels of `shape`" : "each number of `shape`",
                    (long long)most, (long long)item->as.integer);
            return false;
        }
        out->shape[i] = item->as.integer;
    }
    out->rank = (uint32_t)count;
    return true;
}

/* One number for all channels, or one for each. */
static bool read_channels(const struct cb_value *value, const char *key, int64_t channels, bool positive, double *out,
                          struct cb_diag *diag)
{
    char what[32];
    snprintf(what, sizeof what, "`%s`", key);
    bool list = value->kind == CB_KIND_LIST;
    size_t count = list ? value->as.list.count : 1;
    if (list && count != 1 && ((int64_t)count != channels || count > CB_MAX_CHANNELS)) {
        cb_fail(diag, CB_MISMATCH, &value->at, "`%s` has %zu numbers, but `shape` has %lld channel%s: give one, or one "
                "for each channel", key, count, (long long)channels, channels == 1 ? "" : "s");
        return false;
    }
    for (size_t i = 0; i < CB_MAX_CHANNELS; i++) {
        const struct cb_value *item = !list ? value : value->as.list.items[count == 1 ? 0 : i < count ? i : count - 1];
        if (!cb_value_number(item, &out[i])) {
            return cb_expect_kind(item, CB_KIND_REAL, what, diag);
        }
        if (!isfinite(out[i]) || (positive && out[i] <= 0)) {
            cb_fail(diag, CB_INVALID, &item->at, "`%s` must be %s, not %s", key, positive ? "above 0" : "finite",
                    item->text ? item->text : "this");
            return false;
        }
    }
    return true;
}

static bool read_scale(const struct cb_value *scale, struct cb_contract *out, struct cb_diag *diag)
{
    static const char *const keys[] = {"mean", "std"};
    if (!cb_expect_kind(scale, CB_KIND_MAP, "`scale`", diag) ||
        !cb_expect_keys(scale, keys, COUNT_OF(keys), "in `scale`", diag)) {
        return false;
    }
    int64_t channels = out->shape[out->rank - 1];
    const struct cb_value *mean = cb_map_get(scale, "mean"), *std = cb_map_get(scale, "std");
    bool ok = true;
    if (mean) {
        ok = read_channels(mean, "mean", channels, false, out->mean, diag) && ok;
    }
    if (std) {
        ok = read_channels(std, "std", channels, true, out->std, diag) && ok;
    }
    return ok;
}

static bool read_fraction(const struct cb_value *value, struct cb_contract *out, struct cb_diag *diag)
{
    double fraction;
    if (!cb_value_number(value, &fraction)) {
        return cb_expect_kind(value, CB_KIND_REAL, "`crop_fraction`", diag);
    }
    if (!(fraction >= 0.1 && fraction <= 1.0)) {
        cb_fail(diag, CB_INVALID, &value->at, "`crop_fraction` must be between 0.1 and 1, not %g", fraction);
        return false;
    }
    out->crop_fraction = fraction;
    return true;
}

enum cb_status cb_contract_read(const struct cb_value *map, struct cb_contract *out, struct cb_diag *diag)
{
    if (!cb_expect_kind(map, CB_KIND_MAP, "`input`", diag)) {
        return CB_INVALID;
    }
    bool ok = cb_expect_known(map, cb_contract_keys, "in an input contract", diag);
    struct cb_contract contract = {.name = "x", .crop_fraction = 0.875, .at = map->at};
    for (size_t i = 0; i < CB_MAX_CHANNELS; i++) {
        contract.std[i] = 1.0;
    }
    int modality = CB_IMAGE, resize = CB_RESIZE_PAD, filter = CB_FILTER_BILINEAR;
    const struct cb_value *said = cb_map_get(map, "modality"), *shape = cb_map_get(map, "shape");
    const struct cb_value *scale = cb_map_get(map, "scale"), *fraction = cb_map_get(map, "crop_fraction");
    if (!said || !shape) {
        return cb_fail(diag, CB_INVALID, &map->at, "an input contract needs `%s`, for example "
                       "{modality: image, shape: [224, 224, 3]}", said ? "shape" : "modality");
    }
    if (!read_choice(said, "modality", modality_names, COUNT_OF(modality_names), &modality, diag)) {
        return CB_INVALID;
    }
    contract.modality = (enum cb_modality)modality;
    bool sized = read_shape(shape, &contract, diag);
    ok = sized && ok;
    ok = read_choice(cb_map_get(map, "resize"), "resize", resize_names, COUNT_OF(resize_names), &resize, diag) && ok;
    ok = read_choice(cb_map_get(map, "filter"), "filter", filter_names, COUNT_OF(filter_names), &filter, diag) && ok;
    ok = (!scale || !sized || read_scale(scale, &contract, diag)) && ok;
    ok = (!fraction || read_fraction(fraction, &contract, diag)) && ok;
    if (!ok) {
        return CB_INVALID;
    }
    contract.resize = (enum cb_resize)resize;
    contract.filter = (enum cb_filter)filter;
    *out = contract;
    return CB_OK;
}

static struct cb_value *numbers(struct cb_arena *arena, const double *values, size_t count)
{
    struct cb_value *list = cb_value_list(arena, NULL);
    for (size_t i = 0; list && i < count; i++) {
        if (!cb_list_append(arena, list, cb_value_real(arena, values[i], NULL))) {
            return NULL;
        }
    }
    return list;
}

struct cb_value *cb_contract_to_value(struct cb_arena *arena, const struct cb_contract *contract)
{
    struct cb_value *map = cb_value_map(arena, NULL), *shape = cb_value_list(arena, NULL);
    struct cb_value *scale = cb_value_map(arena, NULL);
    if (!map || !shape || !scale) {
        return NULL;
    }
    for (uint32_t i = 0; i < contract->rank; i++) {
        if (!cb_list_append(arena, shape, cb_value_int(arena, contract->shape[i], NULL))) {
            return NULL;
        }
    }
    size_t channels = (size_t)contract->shape[contract->rank - 1];
    size_t count = channels > CB_MAX_CHANNELS ? 1 : channels; /* more can only have been given as one number */
    bool ok = cb_map_set(arena, map, "modality", cb_value_text(arena, modality_names[contract->modality], NULL)) &&
              cb_map_set(arena, map, "shape", shape) &&
              cb_map_set(arena, scale, "mean", numbers(arena, contract->mean, count)) &&
              cb_map_set(arena, scale, "std", numbers(arena, contract->std, count)) &&
              cb_map_set(arena, map, "scale", scale) &&
              cb_map_set(arena, map, "resize", cb_value_text(arena, resize_names[contract->resize], NULL)) &&
              cb_map_set(arena, map, "filter", cb_value_text(arena, filter_names[contract->filter], NULL)) &&
              cb_map_set(arena, map, "crop_fraction", cb_value_real(arena, contract->crop_fraction, NULL));
    return ok ? map : NULL;
}
