/* text.c: `text:`: a table of texts with their labels or values (CSV, TSV, JSON lines), or a folder of text files per
 * class. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "data/roles.h"

struct texts {
    struct cb__source source;
    const struct cb__csv *table;
    int text, pair; /* columns; -1: none */
};

static void texts_name(const struct cb__source *source, uint32_t item, char *out, size_t room)
{
    const struct texts *texts = (const struct texts *)source;
    snprintf(out, room, "%s:%u", source->path, texts->table->lines[item]);
}

static bool copy_cell(const struct texts *texts, uint32_t row, int column, char **out, size_t *out_bytes)
{
    const char *cell = texts->table->cells[(size_t)row * texts->table->column_count + (size_t)column];
    *out_bytes = strlen(cell);
    *out = malloc(*out_bytes + 1);
    if (*out) {
        memcpy(*out, cell, *out_bytes + 1);
    }
    return *out != NULL;
}

static bool texts_words(const struct cb__source *source, uint32_t item, struct cb__words *out, struct cb__why *why)
{
    const struct texts *texts = (const struct texts *)source;
    *out = (struct cb__words){0};
    if (!copy_cell(texts, item, texts->text, &out->text, &out->bytes) ||
        (texts->pair >= 0 && !copy_cell(texts, item, texts->pair, &out->pair, &out->pair_bytes))) {
        cb__words_free(out);
        return cb__because(why, CB_MEMORY, "does not fit into memory");
    }
    return true;
}

static bool has_ending(const char *path, const char *const *endings)
{
    for (; *endings; endings++) {
        if (strcasecmp(cb_path_extension(path), *endings) == 0) {
            return true;
        }
    }
    return false;
}

static enum cb_status read_file(struct cb_arena *arena, const char *path, const struct cb_place *at, struct cb__csv *table,
                                struct cb_diag *diag)
{
    static const char *const tables[] = {".csv", ".tsv", ".tab", NULL}, *const lines[] = {".jsonl", ".ndjson", NULL};
    static const char *const plain[] = {".txt", ".text", ".md", NULL};
    if (cb_file_bytes(path) < 0) {
        char *prepare = cb_path_join(arena, cb_path_folder(arena, path), "prepare");
        if (prepare && cb_file_bytes(prepare) > 0) {
            return cb_fail(diag, CB_NOT_FOUND, at, "`%s` is not there yet: run `%s` once to get it", path, prepare);
        }
        return cb_fail(diag, CB_NOT_FOUND, at, "`%s` does not exist", path);
    }
    if (has_ending(path, lines)) {
        return cb__jsonl_read(arena, path, at, table, diag);
    }
    if (has_ending(path, tables)) {
        return cb__csv_read(arena, path, at, table, diag);
    }
    if (has_ending(path, plain)) {
        return cb_fail(diag, CB_MISMATCH, at, "`%s` is one text without a label: name a table of texts (.csv, .tsv, .jsonl) "
                       "or a folder with a folder of text files per class", path);
    }
    return cb_fail(diag, CB_MISMATCH, at, "`text` names a table of texts (.csv, .tsv, .jsonl) or a folder with a folder of "
                   "text files per class; `%s` is neither by its name", path);
}

static enum cb_status read_table(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                                 struct cb__draft *draft, struct cb_diag *diag)
{
    static const struct cb__source_type type = {.name = texts_name, .words = texts_words};
    struct cb_arena *arena = draft->arena;
    struct cb__csv *table = CB_NEW(arena, struct cb__csv);
    struct texts *texts = CB_NEW(arena, struct texts);
    struct cb__roles roles;
    float values[CB__MAX_VALUES];
    if (!table || !texts) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(read_file(arena, path, at, table, diag));
    CB_TRY(cb__roles_find(spec, table, &roles, at, diag));
    draft->value_count = roles.value_count;
    draft->value_names = cb_arena_copy(arena, roles.value_names, (roles.value_count + 1) * sizeof *roles.value_names);
    enum cb_status status = CB_OK;
    for (uint32_t row = 0; row < table->row_count && !(status != CB_OK && cb_diag_is_full(diag)); row++) {
        const char **cells = table->cells + (size_t)row * table->column_count;
        if (!cb__roles_row(table, row, &roles, true, values, diag)) {
            status = CB_FORMAT;
            continue;
        }
        const char *group = roles.group >= 0 && cells[roles.group][0] ? cells[roles.group] : NULL;
        if (!cb__draft_add(draft, row, roles.label >= 0 ? cells[roles.label] : NULL, values, group, CB_PART_ANY)) {
            return cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading `%s`", path);
        }
    }
    *texts = (struct texts){{.type = &type, .path = path}, table, roles.item, roles.pair};
    draft->source = &texts->source;
    return status;
}

enum cb_status cb__text_read(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                             struct cb__draft *draft, struct cb_diag *diag)
{
    static const char *const others[] = {"labels", "sheet"}, *const of_tables[] = {"columns", "group"};
    bool folder = cb_path_is_folder(path);
    for (size_t i = 0; i < 2; i++) {
        const struct cb_entry *other = cb_map_entry(spec->map, others[i]), *column = cb_map_entry(spec->map, of_tables[i]);
        if (other) {
            return cb_fail(diag, CB_INVALID, &other->at, "`%s` does not go with `text`: a table of texts has the labels in a "
                           "column of its own, a folder has a folder per class", other->key);
        }
        if (column && folder) {
            return cb_fail(diag, CB_INVALID, &column->at, "`%s` names columns of a table, but `%s` is a folder", column->key,
                           path);
        }
    }
    return folder ? cb__folder_read(spec, path, at, draft, diag) : read_table(spec, path, at, draft, diag);
}
