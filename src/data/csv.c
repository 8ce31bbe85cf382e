/* csv.c: the reader of tables in text. Cells are cut out of the file's own text, in place. */
#include "data/csv.h"

#include <string.h>

#include "base/file.h"
#include "base/text.h"

#define MAX_BYTES ((size_t)1 << 30)
#define MAX_COLUMNS 4096

struct parser {
    struct cb_arena *arena;
    struct cb__csv *table;
    struct cb_diag *diag;
    char *at, *end;
    char delimiter;
    uint32_t line;
    bool is_lost; /* where the next row begins is not known */
};

/* What ended a cell. */
enum ending { END_CELL, END_ROW, END_BAD };

static enum ending fail_at(struct parser *parser, uint32_t line, const char *what)
{
    struct cb_place place = {&parser->table->source, (int)line, 1};
    cb_fail(parser->diag, CB_FORMAT, &place, "%s", what);
    parser->is_lost = true;
    return END_BAD;
}

/* Passes over a delimiter or the end of a line. */
static enum ending pass_ending(struct parser *parser)
{
    if (parser->at == parser->end) {
        return END_ROW;
    }
    char c = *parser->at++;
    if (c == parser->delimiter) {
        return END_CELL;
    }
    if (c == '\r' && parser->at < parser->end && *parser->at == '\n') {
        parser->at++;
    }
    parser->line++;
    return END_ROW;
}

static bool ends_cell(const struct parser *parser)
{
    return parser->at == parser->end || *parser->at == parser->delimiter || *parser->at == '\n' || *parser->at == '\r';
}

/* Reads one cell, NUL-terminated in place of the delimiter or quote behind it. */
static enum ending read_cell(struct parser *parser, const char **out)
{
    if (parser->at == parser->end || *parser->at != '"') {
        char *from = parser->at;
        while (!ends_cell(parser)) {
            parser->at++;
        }
        char *to = parser->at;
        enum ending ending = pass_ending(parser);
        *to = '\0'; /* the file's text has one byte more */
        *out = from;
        return ending;
    }
    uint32_t first_line = parser->line;
    char *from = ++parser->at, *to = from;
    for (;;) {
        if (parser->at == parser->end) {
            return fail_at(parser, first_line, "a quote is opened here and never closed");
        }
        char c = *parser->at++;
        if (c == '"') {
            if (parser->at == parser->end || *parser->at != '"') {
                break;
            }
            parser->at++; /* two quotes stand for one */
        }
        parser->line += c == '\n';
        *to++ = c;
    }
    if (!ends_cell(parser)) {
        return fail_at(parser, parser->line, "letters stand behind a closing quote; a quote inside a cell is written "
                                             "twice");
    }
    enum ending ending = pass_ending(parser);
    *to = '\0';
    *out = from;
    return ending;
}

static char guess_delimiter(const char *text, const char *end)
{
    static const char candidates[] = {',', ';', '\t'};
    size_t counts[3] = {0};
    bool quoted = false;
    for (; text < end && (quoted || (*text != '\n' && *text != '\r')); text++) {
        quoted ^= *text == '"';
        for (size_t i = 0; i < 3; i++) {
            counts[i] += !quoted && *text == candidates[i];
        }
    }
    size_t best = counts[1] > counts[0] ? 1 : 0;
    return candidates[counts[2] > counts[best] ? 2 : best];
}

static bool read_header(struct parser *parser)
{
    struct cb__csv *table = parser->table;
    const char **names = CB_NEW_ARRAY(parser->arena, const char *, MAX_COLUMNS);
    enum ending ending = END_CELL;
    if (!names) {
        cb_fail(parser->diag, CB_MEMORY, NULL, "out of memory while reading `%s`", table->source.name);
        return false;
    }
    while (ending == END_CELL) {
        if (table->column_count == MAX_COLUMNS) {
            fail_at(parser, 1, "the table has more than 4096 columns");
            return false;
        }
        ending = read_cell(parser, &names[table->column_count++]);
    }
    table->columns = names;
    for (uint32_t i = 0; ending != END_BAD && i < table->column_count; i++) {
        if (cb__csv_column(table, names[i]) != (int)i) {
            struct cb_place place = {&table->source, 1, 1};
            cb_fail(parser->diag, CB_FORMAT, &place, "two columns are called `%s`", names[i]);
            return false;
        }
    }
    return ending != END_BAD;
}

/* An upper bound of the rows that are left. */
static size_t count_lines(const struct parser *parser)
{
    size_t lines = 1;
    for (const char *p = parser->at; p < parser->end; p++) {
        lines += *p == '\n' || *p == '\r';
    }
    return lines;
}

static bool read_row(struct parser *parser)
{
    struct cb__csv *table = parser->table;
    const char **cells = table->cells + (size_t)table->row_count * table->column_count;
    uint32_t line = parser->line, count = 0;
    enum ending ending = END_CELL;
    const char *extra;
    while (ending == END_CELL) {
        ending = read_cell(parser, count < table->column_count ? &cells[count] : &extra);
        count++;
    }
    if (ending == END_BAD) {
        return false;
    }
    if (count == 1 && cells[0][0] == '\0') {
        return true; /* an empty line */
    }
    if (count != table->column_count) {
        struct cb_place place = {&table->source, (int)line, 1};
        cb_fail(parser->diag, CB_FORMAT, &place, "this row has %u cell%s, but the first line names %u column%s", count,
                count == 1 ? "" : "s", table->column_count, table->column_count == 1 ? "" : "s");
        return false;
    }
    table->lines[table->row_count++] = line;
    return true;
}

enum cb_status cb__csv_read(struct cb_arena *arena, const char *path, const struct cb_place *at, struct cb__csv *out,
                            struct cb_diag *diag)
{
    char *text;
    size_t bytes;
    CB_TRY(cb_file_read(arena, path, MAX_BYTES, &text, &bytes, at, diag));
    *out = (struct cb__csv){.source = {.name = cb_arena_strdup(arena, path)}};
    struct parser parser = {arena, out, diag, text, text + bytes, ',', 1, false};
    const char *nul = memchr(text, '\0', bytes);
    if (nul) {
        for (const char *p = text; p < nul; p++) {
            parser.line += *p == '\n';
        }
        fail_at(&parser, parser.line, "there is a NUL byte here: this is no table in text");
        return CB_FORMAT;
    }
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        parser.at += 3;
    }
    if (parser.at == parser.end) {
        return cb_fail(diag, CB_FORMAT, at, "`%s` is empty", path);
    }
    bool has_tabs = cb_ends_with(path, ".tsv") || cb_ends_with(path, ".tab");
    parser.delimiter = has_tabs ? '\t' : guess_delimiter(parser.at, parser.end);
    if (!read_header(&parser)) {
        return CB_FORMAT;
    }
    size_t most = count_lines(&parser);
    out->lines = CB_NEW_ARRAY(arena, uint32_t, most);
    out->cells = CB_NEW_ARRAY(arena, const char *, most * out->column_count);
    if (!out->lines || !out->cells) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading `%s`", path);
    }
    bool ok = true;
    while (parser.at < parser.end && !parser.is_lost && (ok || !cb_diag_is_full(diag))) {
        ok = read_row(&parser) && ok;
    }
    if (ok && out->row_count == 0) {
        return cb_fail(diag, CB_FORMAT, at, "`%s` has no rows", path);
    }
    return ok ? CB_OK : CB_FORMAT;
}

int cb__csv_column(const struct cb__csv *table, const char *name)
{
    for (uint32_t i = 0; i < table->column_count; i++) {
        if (strcmp(table->columns[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

struct cb_place cb__csv_place(const struct cb__csv *table, uint32_t row)
{
    return (struct cb_place){&table->source, (int)table->lines[row], 1};
}
