/* yaml.c: the strict YAML reader: libyaml's events become a tree of values.
 *
 * libyaml finds the structure (YAML 1.1's, which for what is allowed here is 1.2's); this file resolves plain scalars by
 * the 1.2 core schema and refuses what a task file never needs and a slip often makes: duplicate keys, tags, merge keys,
 * keys that are not words, a second document, numbers beyond 64 bits, and expansions beyond CB_YAML_MAX_NODES. What is
 * wrong with values is collected; libyaml's own errors end the reading. */
#include "base/value.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"
#include "base/number.h"
#include "base/read.h"

struct anchor {
    struct anchor *next;
    const char *name;
    const struct cb_value *value; /* NULL while its node is still being read */
    size_t nodes;                 /* in its subtree, itself included */
    unsigned height;              /* levels of its subtree, 1 for a scalar */
};

struct reader {
    yaml_parser_t parser;
    struct cb_arena *arena;
    struct cb_diag *diag;
    const struct cb_source *source;
    struct anchor *anchors;
    size_t nodes;
    enum cb_status status; /* the first error; reading goes on after those about values */
};

static struct cb_place place_of(const struct reader *reader, yaml_mark_t mark)
{
    return (struct cb_place){reader->source, (int)mark.line + 1, (int)mark.column + 1};
}

/* Remembers an error that was added and after which the reader can go on. */
static void remember(struct reader *reader, enum cb_status status)
{
    if (reader->status == CB_OK) {
        reader->status = status;
    }
}

static enum cb_status fail_memory(struct reader *reader)
{
    return cb__fail_reading_memory(reader->source, reader->diag);
}

/* libyaml's error in our words where its own mislead. */
static enum cb_status fail_syntax(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    if (parser->error == YAML_MEMORY_ERROR) {
        return fail_memory(reader);
    }
    struct cb_place at = place_of(reader, parser->problem_mark);
    const char *problem = parser->problem ? parser->problem : "unknown error";
    if (parser->error == YAML_READER_ERROR) {
        at = cb__place_of_offset(reader->source, parser->problem_offset);
        return cb_fail(reader->diag, CB_FORMAT, &at, "a control character (U+%04X) may not stand in a YAML file",
                       (unsigned)parser->problem_value);
    }
    const char *line = reader->source->text;
    for (int i = 1; i < at.line && line; i++) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    size_t indent = line ? strspn(line, " \t") : 0;
    if (line && memchr(line, '\t', indent) && (size_t)at.column <= indent + 1) {
        at.column = (int)((const char *)memchr(line, '\t', indent) - line) + 1;
        return cb_fail(reader->diag, CB_FORMAT, &at, "a tab in the indentation: YAML is indented with spaces");
    }
    bool is_at_end = !line || line[strspn(line, " \t\r\n")] == '\0';
    if (parser->context && is_at_end) { /* something was never closed: where it was opened says more */
        at = place_of(reader, parser->context_mark);
        return cb_fail(reader->diag, CB_FORMAT, &at, "not valid YAML: %s, %s", problem, parser->context);
    }
    if (parser->context) {
        return cb_fail(reader->diag, CB_FORMAT, &at, "not valid YAML: %s, %s (line %d)", problem, parser->context,
                       (int)parser->context_mark.line + 1);
    }
    return cb_fail(reader->diag, CB_FORMAT, &at, "not valid YAML: %s", problem);
}

static enum cb_status next_event(struct reader *reader, yaml_event_t *event)
{
    return yaml_parser_parse(&reader->parser, event) ? CB_OK : fail_syntax(reader);
}

static enum cb_status count_nodes(struct reader *reader, size_t nodes, unsigned depth, const struct cb_place *at)
{
    if (depth > CB_YAML_MAX_DEPTH) {
        return cb_fail(reader->diag, CB_FORMAT, at, "nested deeper than %u levels", CB_YAML_MAX_DEPTH);
    }
    if (nodes > CB_YAML_MAX_NODES - reader->nodes) {
        return cb_fail(reader->diag, CB_FORMAT, at, "more than %u values once aliases are expanded", CB_YAML_MAX_NODES);
    }
    reader->nodes += nodes;
    return CB_OK;
}

static void refuse_tag(struct reader *reader, const yaml_char_t *tag, const struct cb_place *at)
{
    if (tag && strcmp((const char *)tag, "!") != 0) {
        remember(reader, cb_fail(reader->diag, CB_FORMAT, at, "tags are not read: `%s`", (const char *)tag));
    }
}

static bool is_word_of(const char *text, const char *a, const char *b, const char *c)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0 || strcmp(text, c) == 0;
}

/* YAML 1.2.2, section 10.3.2. */
static void resolve_plain(struct reader *reader, struct cb_value *value)
{
    const char *text = value->text;
    if (*text == '\0' || strcmp(text, "~") == 0 || is_word_of(text, "null", "Null", "NULL")) {
        value->kind = CB_KIND_NULL;
        return;
    }
    if (is_word_of(text, "true", "True", "TRUE") || is_word_of(text, "false", "False", "FALSE")) {
        value->kind = CB_KIND_BOOL;
        value->as.boolean = *text == 't' || *text == 'T';
        return;
    }
    int64_t integer = 0;
    double real = 0;
    switch (cb__read_number(text, &integer, &real)) {
    case CB__NUMBER_INT:
        value->kind = CB_KIND_INT;
        value->as.integer = integer;
        return;
    case CB__NUMBER_REAL:
        value->kind = CB_KIND_REAL;
        value->as.real = real;
        return;
    case CB__NUMBER_TOO_LARGE:
        remember(reader, cb_fail(reader->diag, CB_FORMAT, &value->at,
                                 "the number %s does not fit in 64 bits: quote it if it is a text", text));
        break;
    case CB__NUMBER_NONE:
        break;
    }
    value->kind = CB_KIND_TEXT;
}

static enum cb_status read_scalar(struct reader *reader, const yaml_event_t *event, struct cb_value *value)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (memchr(text, '\0', length)) {
        return cb_fail(reader->diag, CB_FORMAT, &value->at, "a text may not hold the character \\0");
    }
    value->text = cb_arena_strndup(reader->arena, text, length);
    if (!value->text) {
        return fail_memory(reader);
    }
    value->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    refuse_tag(reader, event->data.scalar.tag, &value->at);
    if (value->quoted) {
        value->kind = CB_KIND_TEXT;
    } else {
        resolve_plain(reader, value);
    }
    return CB_OK;
}

static enum cb_status read_node(struct reader *reader, const yaml_event_t *event, unsigned depth,
                                struct cb_value **out, unsigned *out_height);

static enum cb_status read_list(struct reader *reader, unsigned depth, struct cb_value *list, unsigned *out_height)
{
    for (;;) {
        yaml_event_t event;
        struct cb_value *item = NULL;
        unsigned height = 0;
        CB_TRY(next_event(reader, &event));
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return CB_OK;
        }
        enum cb_status status = read_node(reader, &event, depth + 1, &item, &height);
        yaml_event_delete(&event);
        CB_TRY(status);
        if (!cb_list_append(reader->arena, list, item)) {
            return fail_memory(reader);
        }
        if (height + 1 > *out_height) {
            *out_height = height + 1;
        }
    }
}

static enum cb_status read_key(struct reader *reader, const yaml_event_t *event, const char **out_key)
{
    struct cb_place at = place_of(reader, event->start_mark);
    if (event->type != YAML_SCALAR_EVENT) {
        return cb_fail(reader->diag, CB_FORMAT, &at, "a key must be a word, not %s",
                       event->type == YAML_MAPPING_START_EVENT    ? "a map"
                       : event->type == YAML_SEQUENCE_START_EVENT ? "a list"
                                                                  : "an alias");
    }
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (memchr(text, '\0', length)) {
        return cb_fail(reader->diag, CB_FORMAT, &at, "a key may not hold the character \\0");
    }
    if (length == 0 && is_plain) {
        return cb_fail(reader->diag, CB_FORMAT, &at, "a key is missing here");
    }
    if (is_plain && strcmp(text, "<<") == 0) {
        return cb_fail(reader->diag, CB_FORMAT, &at, "merge keys (`<<`) are not part of YAML 1.2");
    }
    if (event->data.scalar.anchor) {
        return cb_fail(reader->diag, CB_FORMAT, &at, "a key may not have an anchor");
    }
    refuse_tag(reader, event->data.scalar.tag, &at);
    *out_key = cb_arena_strndup(reader->arena, text, length);
    return *out_key ? CB_OK : fail_memory(reader);
}

static int compare_entries(const void *a, const void *b)
{
    const struct cb_entry *x = *(const struct cb_entry *const *)a, *y = *(const struct cb_entry *const *)b;
    int order = strcmp(x->key, y->key);
    return order != 0 ? order : x < y ? -1 : x > y; /* equal keys in file order */
}

/* Sorted, equal keys are neighbours: also a map of a hundred thousand keys is quick. */
static enum cb_status check_duplicates(struct reader *reader, const struct cb_value *map)
{
    size_t count = map->as.map.count;
    if (count < 2) {
        return CB_OK;
    }
    const struct cb_entry **sorted = malloc(count * sizeof(const struct cb_entry *));
    if (!sorted) {
        return fail_memory(reader);
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &map->as.map.entries[i];
    }
    qsort(sorted, count, sizeof(const struct cb_entry *), compare_entries);
    for (size_t i = 1; i < count && !cb_diag_is_full(reader->diag); i++) {
        if (strcmp(sorted[i]->key, sorted[i - 1]->key) == 0) {
            remember(reader, cb_fail(reader->diag, CB_FORMAT, &sorted[i]->at,
                                     "the key `%s` stands twice; the first is in line %d", sorted[i]->key,
                                     sorted[i - 1]->at.line));
        }
    }
    free(sorted);
    return CB_OK;
}

static enum cb_status read_map(struct reader *reader, unsigned depth, struct cb_value *map, unsigned *out_height)
{
    for (;;) {
        yaml_event_t event;
        const char *key = NULL;
        struct cb_value *value = NULL;
        unsigned height = 0;
        CB_TRY(next_event(reader, &event));
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return check_duplicates(reader, map);
        }
        struct cb_place at = place_of(reader, event.start_mark);
        enum cb_status status = read_key(reader, &event, &key);
        yaml_event_delete(&event);
        CB_TRY(status);
        CB_TRY(next_event(reader, &event));
        status = read_node(reader, &event, depth + 1, &value, &height);
        yaml_event_delete(&event);
        CB_TRY(status);
        if (!cb__map_append(reader->arena, map, key, &at, value)) {
            return fail_memory(reader);
        }
        if (height + 1 > *out_height) {
            *out_height = height + 1;
        }
    }
}

static struct anchor *find_anchor(const struct reader *reader, const char *name)
{
    struct anchor *anchor = reader->anchors;
    while (anchor && strcmp(anchor->name, name) != 0) {
        anchor = anchor->next;
    }
    return anchor;
}

/* The copy keeps the places of the original, so that an error in it points to where it is written. */
static enum cb_status read_alias(struct reader *reader, const yaml_event_t *event, unsigned depth,
                                 struct cb_value **out, unsigned *out_height)
{
    const char *name = (const char *)event->data.alias.anchor;
    struct cb_place at = place_of(reader, event->start_mark);
    const struct anchor *anchor = find_anchor(reader, name);
    if (!anchor) {
        return cb_fail(reader->diag, CB_FORMAT, &at, "no anchor `&%s` stands above this alias", name);
    }
    if (!anchor->value) {
        return cb_fail(reader->diag, CB_FORMAT, &at, "the alias `*%s` stands inside the value that it repeats", name);
    }
    CB_TRY(count_nodes(reader, anchor->nodes, depth + anchor->height - 1, &at));
    *out = cb_value_clone(reader->arena, anchor->value);
    *out_height = anchor->height;
    return *out ? CB_OK : fail_memory(reader);
}

/* A later anchor of the same name hides the earlier one, as YAML wants it. */
static enum cb_status add_anchor(struct reader *reader, const yaml_char_t *name, struct anchor **out)
{
    *out = NULL;
    if (!name) {
        return CB_OK;
    }
    struct anchor *anchor = CB_NEW(reader->arena, struct anchor);
    const char *copy = anchor ? cb_arena_strdup(reader->arena, (const char *)name) : NULL;
    if (!copy) {
        return fail_memory(reader);
    }
    anchor->name = copy;
    anchor->next = reader->anchors;
    reader->anchors = anchor;
    *out = anchor;
    return CB_OK;
}

static enum cb_status read_node(struct reader *reader, const yaml_event_t *event, unsigned depth,
                                struct cb_value **out, unsigned *out_height)
{
    struct anchor *anchor = NULL;
    size_t nodes_before = reader->nodes;
    if (event->type == YAML_ALIAS_EVENT) {
        return read_alias(reader, event, depth, out, out_height);
    }
    struct cb_value *value = CB_NEW(reader->arena, struct cb_value);
    if (!value) {
        return fail_memory(reader);
    }
    value->at = place_of(reader, event->start_mark);
    CB_TRY(count_nodes(reader, 1, depth, &value->at));
    *out_height = 1;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        CB_TRY(add_anchor(reader, event->data.scalar.anchor, &anchor));
        CB_TRY(read_scalar(reader, event, value));
        break;
    case YAML_SEQUENCE_START_EVENT:
        value->kind = CB_KIND_LIST;
        refuse_tag(reader, event->data.sequence_start.tag, &value->at);
        CB_TRY(add_anchor(reader, event->data.sequence_start.anchor, &anchor));
        CB_TRY(read_list(reader, depth, value, out_height));
        break;
    case YAML_MAPPING_START_EVENT:
        value->kind = CB_KIND_MAP;
        refuse_tag(reader, event->data.mapping_start.tag, &value->at);
        CB_TRY(add_anchor(reader, event->data.mapping_start.anchor, &anchor));
        CB_TRY(read_map(reader, depth, value, out_height));
        break;
    default:
        return cb_fail(reader->diag, CB_INTERNAL, &value->at, "libyaml gave an event of type %d", (int)event->type);
    }
    if (anchor) {
        anchor->value = value;
        anchor->nodes = reader->nodes - nodes_before;
        anchor->height = *out_height;
    }
    *out = value;
    return CB_OK;
}

/* STREAM-START, then DOCUMENT-START node DOCUMENT-END or nothing, then STREAM-END. */
static enum cb_status read_document(struct reader *reader, struct cb_value **out)
{
    yaml_event_t event;
    unsigned height = 0;
    CB_TRY(next_event(reader, &event));
    yaml_event_delete(&event);
    CB_TRY(next_event(reader, &event));
    yaml_event_type_t type = event.type;
    yaml_event_delete(&event);
    if (type == YAML_STREAM_END_EVENT) {
        struct cb_value *empty = CB_NEW(reader->arena, struct cb_value);
        if (!empty) {
            return fail_memory(reader);
        }
        empty->at = (struct cb_place){reader->source, 1, 1};
        empty->text = "";
        *out = empty;
        return CB_OK;
    }
    CB_TRY(next_event(reader, &event));
    enum cb_status status = read_node(reader, &event, 1, out, &height);
    yaml_event_delete(&event);
    CB_TRY(status);
    CB_TRY(next_event(reader, &event));
    yaml_event_delete(&event);
    CB_TRY(next_event(reader, &event));
    struct cb_place at = place_of(reader, event.start_mark);
    type = event.type;
    yaml_event_delete(&event);
    if (type != YAML_STREAM_END_EVENT) {
        return cb_fail(reader->diag, CB_FORMAT, &at, "a second document begins here; only one is read");
    }
    return CB_OK;
}

static enum cb_status read_source(struct cb_arena *arena, struct cb_source *source, struct cb_value **out,
                                  struct cb_diag *diag)
{
    struct reader reader = {.arena = arena, .diag = diag, .source = source};
    struct cb_value *value = NULL;
    if (!source) {
        return cb__fail_reading_memory(NULL, diag);
    }
    if (source->length > CB_YAML_MAX_BYTES) {
        return cb_fail(diag, CB_FORMAT, NULL, "`%s` is larger than %u MB, too large for YAML", source->name,
                       CB_YAML_MAX_BYTES >> 20);
    }
    CB_TRY(cb__check_encoding(source, diag));
    if (cb_starts_with(source->text, "\xEF\xBB\xBF")) { /* a byte order mark is no letter of the first line */
        source->text += 3;
        source->length -= 3;
    }
    if (!yaml_parser_initialize(&reader.parser)) {
        return cb__fail_reading_memory(source, diag);
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)source->text, source->length);
    enum cb_status status = read_document(&reader, &value);
    yaml_parser_delete(&reader.parser);
    if (reader.status != CB_OK) {
        return reader.status;
    }
    if (status == CB_OK) {
        *out = value;
    }
    return status;
}

enum cb_status cb_yaml_read_text(struct cb_arena *arena, const char *name, const char *text, size_t length,
                                 struct cb_value **out, struct cb_diag *diag)
{
    return read_source(arena, cb__source_create(arena, name, text, length), out, diag);
}

enum cb_status cb_yaml_read_file(struct cb_arena *arena, const char *path, struct cb_value **out, struct cb_diag *diag)
{
    char *text = NULL;
    size_t length = 0;
    CB_TRY(cb_file_read(arena, path, CB_YAML_MAX_BYTES, &text, &length, NULL, diag));
    return read_source(arena, cb__source_around(arena, path, text, length), out, diag);
}
