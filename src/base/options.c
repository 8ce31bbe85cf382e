/* options.c: reads a map of a config into an options struct as its table says. Every error is reported, with the caret
 * below the value that is wrong. */
#include "base/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/expect.h"
#include "base/option_values.h"

void cb_options_at(const struct cb_array *table, uint32_t i, struct cb_option *out)
{
    size_t stride = table->stride;
    memset(out, 0, sizeof(*out));
    memcpy(out, (const unsigned char *)table->items + i * stride, stride < sizeof(*out) ? stride : sizeof(*out));
}

int cb_options_find(const struct cb_array *table, const char *key)
{
    struct cb_option option;
    for (uint32_t i = 0; i < table->count; i++) {
        cb_options_at(table, i, &option);
        if (strcmp(option.key, key) == 0) {
            return (int)i;
        }
    }
    return -1;
}

size_t cb__option_bytes(uint32_t type)
{
    switch (type) {
    case CB_OPT_INT:
        return sizeof(int64_t);
    case CB_OPT_REAL:
        return sizeof(double);
    case CB_OPT_BOOL:
        return sizeof(uint32_t);
    case CB_OPT_CHOICE:
        return sizeof(int32_t);
    case CB_OPT_TEXT:
        return sizeof(const char *);
    case CB_OPT_INTS:
    case CB_OPT_REALS:
    case CB_OPT_TEXTS:
        return sizeof(struct cb_list);
    default:
        return 0;
    }
}

/* One option that is being read. */
struct reading {
    struct cb_arena *arena;
    const struct cb_option *option;
    const struct cb_value *value; /* what stands in the file */
    struct cb_diag *diag;
};

static enum cb_status fail_must_be(const struct reading *r, const struct cb_value *value, const char *expected)
{
    char name[80];
    const char *prefix = value == r->value ? "" : "each of ";
    return cb_fail(r->diag, CB_INVALID, &value->at, "%s`%s` must be %s, not %s", prefix, r->option->key, expected,
                   cb__name_value(value, name));
}

/* A bound as a person writes it: 1, 0.5. */
static const char *print_bound(double bound, char out[32])
{
    snprintf(out, 32, "%.10g", bound);
    return out;
}

static enum cb_status check_range(const struct reading *r, const struct cb_value *value, double number)
{
    const double no_bound = 1e15; /* a table writes INFINITY, INT64_MAX or the like for an open side */
    double min = r->option->min, max = r->option->max;
    char low[32], high[32], expected[96];
    if ((min == 0 && max == 0) || (number >= min && number <= max)) {
        return CB_OK;
    }
    print_bound(min, low);
    print_bound(max, high);
    if (max >= no_bound) {
        snprintf(expected, sizeof(expected), "at least %s", low);
    } else if (min <= -no_bound) {
        snprintf(expected, sizeof(expected), "at most %s", high);
    } else {
        snprintf(expected, sizeof(expected), "between %s and %s", low, high);
    }
    return fail_must_be(r, value, expected);
}

static enum cb_status read_int(const struct reading *r, const struct cb_value *value, int64_t *out)
{
    if (value->kind != CB_KIND_INT) {
        return fail_must_be(r, value, "an integer");
    }
    CB_TRY(check_range(r, value, (double)value->as.integer));
    *out = value->as.integer;
    return CB_OK;
}

static enum cb_status read_real(const struct reading *r, const struct cb_value *value, double *out)
{
    double number = 0;
    if (!cb_value_number(value, &number)) {
        return fail_must_be(r, value, "a number");
    }
    if (!isfinite(number)) {
        return fail_must_be(r, value, "a finite number");
    }
    CB_TRY(check_range(r, value, number));
    *out = number;
    return CB_OK;
}

/* A scalar's text as it is written: `name: 007` is "007". */
static enum cb_status read_text(const struct reading *r, const struct cb_value *value, const char **out)
{
    if (value->kind == CB_KIND_LIST || value->kind == CB_KIND_MAP || value->kind == CB_KIND_NULL) {
        return fail_must_be(r, value, "a text");
    }
    *out = cb_arena_strdup(r->arena, value->text);
    return *out ? CB_OK : cb_fail(r->diag, CB_MEMORY, NULL, "out of memory while reading `%s`", r->option->key);
}

static const char *next_choice(const void *context, size_t i)
{
    return ((const char *const *)context)[i];
}

static int find_choice(const struct cb_option *option, const struct cb_value *value)
{
    for (int i = 0; value->text && option->choices && option->choices[i]; i++) {
        if (strcmp(option->choices[i], value->text) == 0) {
            return i;
        }
    }
    return -1;
}

static enum cb_status fail_choice(const struct reading *r, const char *besides)
{
    struct cb_text expected = {0};
    const char *const *choices = r->option->choices;
    cb_text_add(&expected, besides);
    for (size_t i = 0; choices && choices[i]; i++) {
        const char *joint = i == 0 ? "" : choices[i + 1] ? ", " : " or ";
        cb_text_addf(&expected, "%s`%s`", joint, choices[i]);
    }
    char name[80];
    const char *near = choices && r->value->text ? cb_nearest(r->value->text, next_choice, choices) : NULL;
    enum cb_status status =
        cb_fail(r->diag, CB_INVALID, &r->value->at, "`%s` must be %s, not %s%s%s%s", r->option->key,
                expected.data ? expected.data : "one of its words", cb__name_value(r->value, name),
                near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
    cb_text_free(&expected);
    return status;
}

/* The elements of a list option; one scalar is a list of one. */
static enum cb_status read_elements(const struct reading *r, struct cb_value *const *items, size_t count,
                                    struct cb_list *out)
{
    uint32_t type = r->option->type;
    size_t bytes = type == CB_OPT_TEXTS ? sizeof(const char *) : 8;
    unsigned char *elements = cb_arena_array(r->arena, count, bytes);
    enum cb_status first = CB_OK;
    if (!elements) {
        return cb_fail(r->diag, CB_MEMORY, NULL, "out of memory while reading `%s`", r->option->key);
    }
    for (size_t i = 0; i < count; i++) {
        void *element = elements + i * bytes;
        enum cb_status status = type == CB_OPT_INTS    ? read_int(r, items[i], element)
                                : type == CB_OPT_REALS ? read_real(r, items[i], element)
                                                       : read_text(r, items[i], element);
        first = first == CB_OK ? status : first;
    }
    if (first == CB_OK) {
        *out = (struct cb_list){elements, (uint32_t)count, -1};
    }
    return first;
}

static enum cb_status read_list(const struct reading *r, struct cb_list *out)
{
    static const char *const NAMES[][2] = {{"an integer", "integers"}, {"a number", "numbers"}, {"a text", "texts"}};
    const char *const *names = NAMES[r->option->type - CB_OPT_INTS];
    const struct cb_value *value = r->value;
    uint32_t max_count = r->option->max_count;
    char besides[80];
    if (value->kind == CB_KIND_LIST) {
        if (value->as.list.count > UINT32_MAX || (max_count > 0 && value->as.list.count > max_count)) {
            return cb_fail(r->diag, CB_INVALID, &value->at, "`%s` takes at most %u %s, not %zu", r->option->key,
                           (unsigned)max_count, max_count == 1 ? names[0] + strcspn(names[0], " ") + 1 : names[1],
                           value->as.list.count);
        }
        return read_elements(r, value->as.list.items, value->as.list.count, out);
    }
    int choice = find_choice(r->option, value);
    if (choice >= 0) {
        *out = (struct cb_list){NULL, 0, choice};
        return CB_OK;
    }
    if (value->kind == CB_KIND_TEXT && r->option->type != CB_OPT_TEXTS && r->option->choices) {
        snprintf(besides, sizeof(besides), "%s, a list of %s or ", names[0], names[1]);
        return fail_choice(r, besides);
    }
    if (value->kind == CB_KIND_MAP || value->kind == CB_KIND_NULL) {
        snprintf(besides, sizeof(besides), "%s or a list of %s", names[0], names[1]);
        return fail_must_be(r, value, besides);
    }
    struct cb_value *only = (struct cb_value *)value;
    return read_elements(r, &only, 1, out);
}

static enum cb_status read_choice(const struct reading *r, int32_t *out)
{
    int choice = find_choice(r->option, r->value);
    if (choice < 0) {
        return fail_choice(r, "");
    }
    *out = choice;
    return CB_OK;
}

static enum cb_status read_bool(const struct reading *r, uint32_t *out)
{
    if (r->value->kind != CB_KIND_BOOL) {
        return fail_must_be(r, r->value, "true or false");
    }
    *out = r->value->as.boolean ? 1 : 0;
    return CB_OK;
}

/* Reads into `*slot`, which has room for any option and is copied to its (perhaps unaligned) place by the caller. */
static enum cb_status read_value(const struct reading *r, union cb__option_slot *slot)
{
    switch (r->option->type) {
    case CB_OPT_INT:
        return read_int(r, r->value, &slot->integer);
    case CB_OPT_REAL:
        return read_real(r, r->value, &slot->real);
    case CB_OPT_BOOL:
        return read_bool(r, &slot->boolean);
    case CB_OPT_CHOICE:
        return read_choice(r, &slot->choice);
    case CB_OPT_TEXT:
        if (r->value->kind == CB_KIND_NULL) { /* `weights: null`: absent, as its default may be */
            slot->text = NULL;
            return CB_OK;
        }
        return read_text(r, r->value, &slot->text);
    default:
        return read_list(r, &slot->list);
    }
}

/* Key `i` of those that are not deprecated: what may be suggested. */
static const char *next_option(const void *context, size_t i)
{
    const struct cb_array *table = context;
    struct cb_option option;
    uint32_t shown = 0;
    for (uint32_t k = 0; k < table->count; k++) {
        cb_options_at(table, k, &option);
        if (!(option.flags & CB_OPTION_DEPRECATED) && shown++ == i) {
            return option.key;
        }
    }
    return NULL;
}

static enum cb_status read_entry(struct cb_arena *arena, const struct cb_array *table, size_t options_size,
                                 const struct cb_entry *entry, const char *what, void *out, uint64_t *given,
                                 struct cb_diag *diag)
{
    struct cb_option option;
    union cb__option_slot slot;
    char where[160];
    int index = cb_options_find(table, entry->key);
    if (index < 0) {
        snprintf(where, sizeof(where), "in %s", what);
        cb__fail_unknown_key(entry, where, next_option, table, diag);
        return CB_INVALID;
    }
    cb_options_at(table, (uint32_t)index, &option);
    size_t bytes = cb__option_bytes(option.type);
    if (bytes == 0 || bytes > options_size || option.offset > options_size - bytes) {
        return cb_fail(diag, CB_INTERNAL, &entry->at, "the option table of %s is wrong at `%s`", what, option.key);
    }
    if (index < 64) {
        *given |= UINT64_C(1) << index;
    }
    if (option.flags & CB_OPTION_DEPRECATED) {
        cb_warn(diag, &entry->at, "`%s` in %s is deprecated: %s", option.key, what, option.help ? option.help : "");
    }
    if (entry->value->kind == CB_KIND_NULL && option.type != CB_OPT_TEXT) {
        return cb_fail(diag, CB_INVALID, &entry->at, "`%s` in %s has no value", option.key, what);
    }
    struct reading reading = {arena, &option, entry->value, diag};
    CB_TRY(read_value(&reading, &slot));
    memcpy((unsigned char *)out + option.offset, &slot, bytes);
    return CB_OK;
}

static enum cb_status check_required(const struct cb_array *table, const struct cb_value *map, const char *what,
                                     struct cb_diag *diag)
{
    enum cb_status first = CB_OK;
    struct cb_option option;
    for (uint32_t i = 0; i < table->count; i++) {
        cb_options_at(table, i, &option);
        bool is_needed = (option.flags & CB_OPTION_REQUIRED) && !(option.flags & CB_OPTION_CLASSES);
        if (is_needed && !cb_map_get(map, option.key)) {
            enum cb_status status = cb_fail(diag, CB_INVALID, map ? &map->at : NULL, "%s needs `%s`: %s", what,
                                            option.key, option.help ? option.help : "it has no default");
            first = first == CB_OK ? status : first;
        }
    }
    return first;
}

enum cb_status cb_options_read(struct cb_arena *arena, const struct cb_array *table, const void *defaults,
                               size_t options_size, const struct cb_value *map, const char *what, void *out,
                               uint64_t *out_given, struct cb_diag *diag)
{
    enum cb_status first = CB_OK;
    uint64_t given = 0;
    if (options_size > 0 && defaults) {
        memcpy(out, defaults, options_size);
    } else if (options_size > 0) {
        memset(out, 0, options_size);
    }
    if (map && map->kind != CB_KIND_MAP && map->kind != CB_KIND_NULL) {
        char name[80];
        return cb_fail(diag, CB_INVALID, &map->at, "%s takes its options as a map, not %s", what,
                       cb__name_value(map, name));
    }
    for (size_t i = 0; map && map->kind == CB_KIND_MAP && i < map->as.map.count && !cb_diag_is_full(diag); i++) {
        enum cb_status status =
            read_entry(arena, table, options_size, &map->as.map.entries[i], what, out, &given, diag);
        first = first == CB_OK ? status : first;
    }
    enum cb_status status = check_required(table, map, what, diag);
    if (out_given) {
        *out_given = given;
    }
    return first == CB_OK ? status : first;
}
