/* options_print.c: option tables for people and editors: defaults, filled structs as maps, JSON Schema. */
#include "base/options.h"

#include <math.h>
#include <string.h>

#include "base/option_values.h"

static void load(const struct cb_option *option, const void *options, union cb__option_slot *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out, (const unsigned char *)options + option->offset, cb__option_bytes(option->type));
}

static const char *choice_name(const struct cb_option *option, int32_t choice)
{
    for (int32_t i = 0; option->choices && option->choices[i]; i++) {
        if (i == choice) {
            return option->choices[i];
        }
    }
    return NULL;
}

static struct cb_value *element_to_value(struct cb_arena *arena, uint32_t type, const struct cb_list *list, uint32_t i)
{
    switch (type) {
    case CB_OPT_INTS:
        return cb_value_int(arena, ((const int64_t *)list->items)[i], NULL);
    case CB_OPT_REALS:
        return cb_value_real(arena, ((const double *)list->items)[i], NULL);
    default:
        return cb_value_text(arena, ((const char *const *)list->items)[i], NULL);
    }
}

static struct cb_value *list_to_value(struct cb_arena *arena, const struct cb_option *option,
                                      const struct cb_list *list)
{
    const char *word = list->count == 0 ? choice_name(option, list->choice) : NULL;
    if (word) {
        return cb_value_text(arena, word, NULL);
    }
    struct cb_value *value = cb_value_list(arena, NULL);
    for (uint32_t i = 0; i < list->count; i++) {
        if (!cb_list_append(arena, value, element_to_value(arena, option->type, list, i))) {
            return NULL;
        }
    }
    return value;
}

/* The option's value in `options`; a text that is absent is null. NULL when memory is exhausted. */
static struct cb_value *option_to_value(struct cb_arena *arena, const struct cb_option *option, const void *options)
{
    union cb__option_slot slot;
    const char *word;
    load(option, options, &slot);
    switch (option->type) {
    case CB_OPT_INT:
        return cb_value_int(arena, slot.integer, NULL);
    case CB_OPT_REAL:
        return cb_value_real(arena, slot.real, NULL);
    case CB_OPT_BOOL:
        return cb_value_bool(arena, slot.boolean != 0, NULL);
    case CB_OPT_CHOICE:
        word = choice_name(option, slot.choice);
        return word ? cb_value_text(arena, word, NULL) : CB_NEW(arena, struct cb_value);
    case CB_OPT_TEXT:
        return slot.text ? cb_value_text(arena, slot.text, NULL) : CB_NEW(arena, struct cb_value);
    default:
        return list_to_value(arena, option, &slot.list);
    }
}

static bool lists_are_equal(uint32_t type, const struct cb_list *a, const struct cb_list *b)
{
    if (a->count != b->count || a->choice != b->choice) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        bool is_equal = type == CB_OPT_TEXTS ? strcmp(((const char *const *)a->items)[i],
                                                      ((const char *const *)b->items)[i]) == 0
                                             : memcmp((const char *)a->items + 8 * (size_t)i,
                                                      (const char *)b->items + 8 * (size_t)i, 8) == 0;
        if (!is_equal) {
            return false;
        }
    }
    return true;
}

static bool options_are_equal(const struct cb_option *option, const void *a, const void *b)
{
    union cb__option_slot x, y;
    load(option, a, &x);
    load(option, b, &y);
    switch (option->type) {
    case CB_OPT_TEXT:
        return x.text == y.text || (x.text && y.text && strcmp(x.text, y.text) == 0);
    case CB_OPT_INTS:
    case CB_OPT_REALS:
    case CB_OPT_TEXTS:
        return lists_are_equal(option->type, &x.list, &y.list);
    default:
        return memcmp(&x, &y, cb__option_bytes(option->type)) == 0;
    }
}

struct cb_value *cb_options_to_value(struct cb_arena *arena, const struct cb_array *table, const void *defaults,
                                     const void *filled, bool all)
{
    struct cb_option option;
    struct cb_value *map = cb_value_map(arena, NULL);
    for (uint32_t i = 0; map && i < table->count; i++) {
        cb_options_at(table, i, &option);
        if (cb__option_bytes(option.type) == 0 || (option.flags & CB_OPTION_DEPRECATED) ||
            (!all && defaults && options_are_equal(&option, defaults, filled))) {
            continue;
        }
        struct cb_value *value = option_to_value(arena, &option, filled);
        if (!value) {
            return NULL;
        }
        if (value->kind != CB_KIND_NULL && !cb_map_set(arena, map, option.key, value)) {
            return NULL;
        }
    }
    return map;
}

void cb_options_print_default(const struct cb_array *table, uint32_t i, const void *defaults, struct cb_text *out)
{
    struct cb_option option;
    cb_options_at(table, i, &option);
    struct cb_arena *arena = cb_arena_create();
    struct cb_value *value = NULL;
    if (arena && defaults && cb__option_bytes(option.type) > 0) {
        value = option_to_value(arena, &option, defaults);
    }
    if (value && value->kind == CB_KIND_NULL) {
        cb_text_add(out, "none");
    } else if (value && value->kind == CB_KIND_TEXT) {
        cb_text_add(out, value->text);
    } else if (value) {
        struct cb_text yaml = {0};
        cb_value_to_yaml(value, &yaml);
        if (yaml.length > 0) {
            cb_text_add_bytes(out, yaml.data, yaml.length - 1); /* without its newline */
        }
        cb_text_free(&yaml);
    }
    cb_arena_destroy(arena);
}

/* ---- JSON Schema ------------------------------------------------------------------------------------------------ */

static void add_bounds(const struct cb_option *option, struct cb_text *out)
{
    if (option->min == 0 && option->max == 0) {
        return;
    }
    if (isfinite(option->min) && option->min > -1e15) {
        cb_text_addf(out, ", \"minimum\": %.10g", option->min);
    }
    if (isfinite(option->max) && option->max < 1e15) {
        cb_text_addf(out, ", \"maximum\": %.10g", option->max);
    }
}

static void add_enum(const struct cb_option *option, struct cb_text *out)
{
    cb_text_add(out, "\"enum\": [");
    for (size_t i = 0; option->choices && option->choices[i]; i++) {
        cb_text_add(out, i > 0 ? ", " : "");
        cb_text_add_json_string(out, option->choices[i]);
    }
    cb_text_add(out, "]");
}

/* The schema of one number or text of the option, without braces. */
static void add_element(const struct cb_option *option, struct cb_text *out)
{
    switch (option->type) {
    case CB_OPT_INT:
    case CB_OPT_INTS:
        cb_text_add(out, "\"type\": \"integer\"");
        add_bounds(option, out);
        break;
    case CB_OPT_REAL:
    case CB_OPT_REALS:
        cb_text_add(out, "\"type\": \"number\"");
        add_bounds(option, out);
        break;
    case CB_OPT_BOOL:
        cb_text_add(out, "\"type\": \"boolean\"");
        break;
    case CB_OPT_CHOICE:
        add_enum(option, out);
        break;
    default: /* a text as it is written: 007, true */
        cb_text_add(out, "\"type\": [\"string\", \"number\", \"boolean\"]");
        break;
    }
}

static void add_list_schema(const struct cb_option *option, struct cb_text *out)
{
    cb_text_add(out, "\"anyOf\": [{");
    add_element(option, out);
    cb_text_add(out, "}, {\"type\": \"array\", \"items\": {");
    add_element(option, out);
    cb_text_add(out, "}");
    if (option->max_count > 0) {
        cb_text_addf(out, ", \"maxItems\": %u", (unsigned)option->max_count);
    }
    cb_text_add(out, "}");
    if (option->choices) {
        cb_text_add(out, ", {");
        add_enum(option, out);
        cb_text_add(out, "}");
    }
    cb_text_add(out, "]");
}

/* A default outside the range means "not said". */
static bool is_in_range(const struct cb_option *option, const struct cb_value *value)
{
    double number;
    return (option->min == 0 && option->max == 0) || !cb_value_number(value, &number) ||
           (number >= option->min && number <= option->max);
}

static void add_property(const struct cb_option *option, const void *defaults, struct cb_text *out)
{
    cb_text_add_json_string(out, option->key);
    cb_text_add(out, ": {");
    if (option->type >= CB_OPT_INTS) {
        add_list_schema(option, out);
    } else {
        add_element(option, out);
    }
    if (option->help) {
        cb_text_add(out, ", \"description\": ");
        cb_text_add_json_string(out, option->help);
    }
    struct cb_arena *arena = cb_arena_create();
    struct cb_value *value =
        arena && defaults && !(option->flags & CB_OPTION_REQUIRED) ? option_to_value(arena, option, defaults) : NULL;
    bool is_empty = value && value->kind == CB_KIND_LIST && value->as.list.count == 0; /* "not said" as well */
    if (value && value->kind != CB_KIND_NULL && !is_empty && is_in_range(option, value)) {
        cb_text_add(out, ", \"default\": ");
        cb_value_to_json(value, out);
    }
    cb_arena_destroy(arena);
    cb_text_add(out, option->flags & CB_OPTION_DEPRECATED ? ", \"deprecated\": true}" : "}");
}

void cb_options_schema(const struct cb_array *table, const void *defaults, struct cb_text *out)
{
    struct cb_option option;
    const char *comma = "";
    cb_text_add(out, "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {");
    for (uint32_t i = 0; i < table->count; i++) {
        cb_options_at(table, i, &option);
        if (cb__option_bytes(option.type) > 0) {
            cb_text_add(out, comma);
            add_property(&option, defaults, out);
            comma = ", ";
        }
    }
    cb_text_add(out, "}");
    comma = ", \"required\": [";
    const char *closing = "}";
    for (uint32_t i = 0; i < table->count; i++) {
        cb_options_at(table, i, &option);
        if ((option.flags & CB_OPTION_REQUIRED) && !(option.flags & CB_OPTION_CLASSES)) {
            cb_text_add(out, comma);
            cb_text_add_json_string(out, option.key);
            comma = ", ";
            closing = "]}";
        }
    }
    cb_text_add(out, closing);
}
