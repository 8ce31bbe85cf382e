/* json.c: the strict JSON reader. jansson decides what is valid (RFC 8259, no duplicate keys) and makes the values; it
 * tells no positions, so a second walk over the text, which is then known to be valid, finds where each value begins. */
#include "base/value.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/read.h"
#include "base/utf8.h"

/* Where the walk is in the text. */
struct walk {
    struct cb_arena *arena;
    struct cb_diag *diag;
    const struct cb_source *source;
    const char *p;

    const char *counted;    /* columns are counted up to here, so that a file of one line takes linear time */
    int line, column;
};

static struct cb_place place_here(struct walk *walk)
{
    for (; walk->counted < walk->p; walk->counted++) {
        if (*walk->counted == '\n') {
            walk->line++;
            walk->column = 1;
        } else if (!cb__utf8_continues(*walk->counted)) {
            walk->column++;
        }
    }
    return (struct cb_place){walk->source, walk->line, walk->column};
}

static void skip_blanks(struct walk *walk)
{
    walk->p += strspn(walk->p, " \t\r\n");
}

static void skip_string(struct walk *walk)
{
    for (walk->p++; *walk->p != '"'; walk->p++) {
        if (*walk->p == '\\') {
            walk->p++;
        }
    }
    walk->p++;
}

/* The text of a number or word as written. */
static const char *take_word(struct walk *walk)
{
    size_t length = strcspn(walk->p, " \t\r\n,]}");
    const char *word = cb_arena_strndup(walk->arena, walk->p, length);
    walk->p += length;
    return word;
}

static enum cb_status fail_memory(struct walk *walk)
{
    return cb__fail_reading_memory(walk->source, walk->diag);
}

static enum cb_status convert(struct walk *walk, json_t *json, unsigned depth, struct cb_value **out);

static enum cb_status convert_list(struct walk *walk, json_t *json, unsigned depth, struct cb_value *list)
{
    walk->p++;
    for (size_t i = 0; i < json_array_size(json); i++) {
        struct cb_value *item = NULL;
        CB_TRY(convert(walk, json_array_get(json, i), depth + 1, &item));
        if (!cb_list_append(walk->arena, list, item)) {
            return fail_memory(walk);
        }
        skip_blanks(walk);
        walk->p += *walk->p == ',';
    }
    skip_blanks(walk);
    walk->p++;
    return CB_OK;
}

/* jansson iterates in the order in which keys were inserted, that is, of the text. */
static enum cb_status convert_map(struct walk *walk, json_t *json, unsigned depth, struct cb_value *map)
{
    walk->p++;
    for (void *entry = json_object_iter(json); entry; entry = json_object_iter_next(json, entry)) {
        struct cb_value *value = NULL;
        skip_blanks(walk);
        struct cb_place at = place_here(walk);
        skip_string(walk);
        skip_blanks(walk);
        walk->p++; /* the colon */
        const char *key = cb_arena_strdup(walk->arena, json_object_iter_key(entry));
        if (!key) {
            return fail_memory(walk);
        }
        CB_TRY(convert(walk, json_object_iter_value(entry), depth + 1, &value));
        if (!cb__map_append(walk->arena, map, key, &at, value)) {
            return fail_memory(walk);
        }
        skip_blanks(walk);
        walk->p += *walk->p == ',';
    }
    skip_blanks(walk);
    walk->p++;
    return CB_OK;
}

static enum cb_status convert_scalar(struct walk *walk, const json_t *json, struct cb_value *value)
{
    switch (json_typeof(json)) {
    case JSON_STRING:
        value->kind = CB_KIND_TEXT;
        value->quoted = true;
        value->text = cb_arena_strndup(walk->arena, json_string_value(json), json_string_length(json));
        skip_string(walk);
        return value->text ? CB_OK : fail_memory(walk);
    case JSON_INTEGER:
        value->kind = CB_KIND_INT;
        value->as.integer = json_integer_value(json);
        break;
    case JSON_REAL:
        value->kind = CB_KIND_REAL;
        value->as.real = json_real_value(json);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        value->kind = CB_KIND_BOOL;
        value->as.boolean = json_is_true(json);
        break;
    default:
        value->kind = CB_KIND_NULL;
        break;
    }
    value->text = take_word(walk);
    return value->text ? CB_OK : fail_memory(walk);
}

static enum cb_status convert(struct walk *walk, json_t *json, unsigned depth, struct cb_value **out)
{
    struct cb_value *value = CB_NEW(walk->arena, struct cb_value);
    if (!value) {
        return fail_memory(walk);
    }
    skip_blanks(walk);
    value->at = place_here(walk);
    *out = value;
    if (depth > CB_YAML_MAX_DEPTH) {
        return cb_fail(walk->diag, CB_FORMAT, &value->at, "nested deeper than %u levels", CB_YAML_MAX_DEPTH);
    }
    if (json_is_array(json)) {
        value->kind = CB_KIND_LIST;
        return convert_list(walk, json, depth, value);
    }
    if (json_is_object(json)) {
        value->kind = CB_KIND_MAP;
        return convert_map(walk, json, depth, value);
    }
    return convert_scalar(walk, json, value);
}

/* jansson's sentence ends in " near '...'", which the source line shows better. */
static enum cb_status fail_syntax(const struct cb_source *source, const json_error_t *error, struct cb_diag *diag)
{
    size_t offset = error->position > 0 ? (size_t)error->position : 0;
    if (offset > 0 && offset <= source->length && error->line > 0) {
        offset--; /* jansson has read one letter past the place */
    }
    struct cb_place at = cb__place_of_offset(source, offset);
    const char *near = strstr(error->text, " near ");
    int length = near ? (int)(near - error->text) : (int)strlen(error->text);
    if (json_error_code(error) == json_error_out_of_memory) {
        return cb__fail_reading_memory(source, diag);
    }
    return cb_fail(diag, CB_FORMAT, &at, "not valid JSON: %.*s", length, error->text);
}

static enum cb_status read_source(struct cb_arena *arena, const struct cb_source *source, struct cb_value **out,
                                  struct cb_diag *diag)
{
    json_error_t error;
    struct cb_value *value = NULL;
    if (!source) {
        return cb__fail_reading_memory(NULL, diag);
    }
    CB_TRY(cb__check_encoding(source, diag));
    json_t *json = json_loadb(source->text, source->length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!json) {
        return fail_syntax(source, &error, diag);
    }
    struct walk walk = {.arena = arena, .diag = diag, .source = source, .p = source->text,
                        .counted = source->text, .line = 1, .column = 1};
    enum cb_status status = convert(&walk, json, 1, &value);
    json_decref(json);
    if (status == CB_OK) {
        *out = value;
    }
    return status;
}

enum cb_status cb_json_read_text(struct cb_arena *arena, const char *name, const char *text, size_t length,
                                 struct cb_value **out, struct cb_diag *diag)
{
    return read_source(arena, cb__source_create(arena, name, text, length), out, diag);
}

enum cb_status cb_json_read_file(struct cb_arena *arena, const char *path, struct cb_value **out, struct cb_diag *diag)
{
    char *text = NULL;
    size_t length = 0;
    CB_TRY(cb_file_read(arena, path, CB_YAML_MAX_BYTES, &text, &length, NULL, diag));
    return read_source(arena, cb__source_around(arena, path, text, length), out, diag);
}
