/* jsonl.c: JSON lines, an object a line, as a table: the keys are the columns, in the order in which they first appear; what
 * a line lacks, or is null, is an empty cell. */
#include <string.h>

#include "base/file.h"
#include "base/value.h"
#include "data/csv.h"

#define MAX_BYTES ((size_t)1 << 30)
#define MAX_COLUMNS 256

struct reader {
    struct cb_arena *arena;
    struct cb__csv *table;
    struct cb_diag *diag;
    struct cb_value **objects; /* [row_count] */
};

static enum cb_status no_memory(const struct reader *r)
{
    return cb_fail(r->diag, CB_MEMORY, NULL, "out of memory while reading `%s`", r->table->source.name);
}

static struct cb_place place_of(const struct reader *r, uint32_t line)
{
    return (struct cb_place){&r->table->source, (int)line, 1};
}

/* A line's object; what is wrong with it is said with the line's own number. */
static enum cb_status read_object(const struct reader *r, const char *text, size_t bytes, uint32_t line,
                                  struct cb_value **out)
{
    const struct cb_place place = place_of(r, line);
    struct cb_diag *why = cb_diag_create();
    enum cb_status status = why ? cb_json_read_text(r->arena, r->table->source.name, text, bytes, out, why) : CB_MEMORY;
    if (status != CB_OK) {
        const char *said = why ? cb_diag_text(why, 0) : NULL, *error = said ? strstr(said, "error: ") : NULL;
        int length = error ? (int)strcspn(error + 7, "\n") : 0;
        cb_fail(r->diag, CB_FORMAT, &place, "this line is no JSON object: %.*s", error ? length : 18,
                error ? error + 7 : "it cannot be read");
        status = CB_FORMAT;
    } else if ((*out)->kind != CB_KIND_MAP) {
        status = cb_fail(r->diag, CB_FORMAT, &place, "this line must be a JSON object, {\"text\": ..., \"label\": ...}, "
                         "not %s", cb_kind_name((*out)->kind));
    }
    cb_diag_destroy(why);
    return status;
}

static bool add_columns(struct reader *r, const struct cb_value *object, const char **columns)
{
    struct cb__csv *table = r->table;
    for (size_t i = 0; i < object->as.map.count; i++) {
        const char *key = object->as.map.entries[i].key;
        if (cb__csv_column(table, key) >= 0) {
            continue;
        }
        if (table->column_count == MAX_COLUMNS) {
            const struct cb_place place = place_of(r, table->lines[table->row_count]);
            cb_fail(r->diag, CB_FORMAT, &place, "the objects have more than %d different keys", MAX_COLUMNS);
            return false;
        }
        columns[table->column_count++] = key;
    }
    return true;
}

static enum cb_status read_lines(struct reader *r, const char *text, size_t bytes)
{
    struct cb__csv *table = r->table;
    const char *end = text + bytes, **columns = CB_NEW_ARRAY(r->arena, const char *, MAX_COLUMNS);
    enum cb_status status = CB_OK;
    if (!columns) {
        return no_memory(r);
    }
    table->columns = columns;
    for (uint32_t line = 1; text < end && !(status != CB_OK && cb_diag_is_full(r->diag)); line++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text)), *next = newline ? newline + 1 : end;
        size_t length = (size_t)((newline ? newline : end) - text);
        struct cb_value *object = NULL;
        if (strspn(text, " \t\r") < length) {
            enum cb_status result = read_object(r, text, length, line, &object);
            status = result != CB_OK ? result : status;
            object = result == CB_OK ? object : NULL;
        }
        if (object) {
            table->lines[table->row_count] = line;
            if (!add_columns(r, object, columns)) {
                return CB_FORMAT;
            }
            r->objects[table->row_count++] = object;
        }
        text = next;
    }
    return status;
}

/* Texts, numbers and truth values are cells; lists and maps are not. */
static enum cb_status fill_cells(struct reader *r)
{
    struct cb__csv *table = r->table;
    table->cells = CB_NEW_ARRAY(r->arena, const char *, (size_t)table->row_count * table->column_count + 1);
    if (!table->cells) {
        return no_memory(r);
    }
    for (uint32_t row = 0; row < table->row_count; row++) {
        for (uint32_t c = 0; c < table->column_count; c++) {
            const struct cb_value *value = cb_map_get(r->objects[row], table->columns[c]);
            bool is_scalar = value && value->kind != CB_KIND_NULL && value->text;
            table->cells[(size_t)row * table->column_count + c] = is_scalar ? value->text : "";
        }
    }
    return CB_OK;
}

enum cb_status cb__jsonl_read(struct cb_arena *arena, const char *path, const struct cb_place *at, struct cb__csv *out,
                              struct cb_diag *diag)
{
    char *text;
    size_t bytes, lines = 1;
    CB_TRY(cb_file_read(arena, path, MAX_BYTES, &text, &bytes, at, diag));
    *out = (struct cb__csv){.source = {.name = cb_arena_strdup(arena, path)}};
    size_t bom = bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    for (size_t i = 0; i < bytes; i++) {
        lines += text[i] == '\n';
    }
    if (lines > UINT32_MAX / 2) {
        return cb_fail(diag, CB_UNSUPPORTED, at, "`%s` has too many lines", path);
    }
    struct reader r = {arena, out, diag, CB_NEW_ARRAY(arena, struct cb_value *, lines)};
    out->lines = CB_NEW_ARRAY(arena, uint32_t, lines);
    if (!r.objects || !out->lines) {
        return no_memory(&r);
    }
    CB_TRY(read_lines(&r, text + bom, bytes - bom));
    if (out->row_count == 0) {
        return cb_fail(diag, CB_FORMAT, at, "`%s` has no lines", path);
    }
    return fill_cells(&r);
}
