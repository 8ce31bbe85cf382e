/* table.c: `images:` with `labels: F.csv`: a table names the files and their labels or values. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/csv.h"
#include "data/source.h"

#define MAX_VALUES 64

/* Which columns mean what; indices into the table. */
struct roles {
    int file, label, group;
    uint32_t value_count;
    int values[MAX_VALUES];
    const char *value_names[MAX_VALUES + 1];
};

/* Finds the column that `value` names. */
static bool find_column(const struct cb__csv *table, const struct cb_value *value, const char *key, int *out,
                        struct cb_diag *diag)
{
    if (value->kind == CB_KIND_LIST || value->kind == CB_KIND_MAP || !value->text) {
        cb_fail(diag, CB_INVALID, &value->at, "`%s` must be the name of a column, not %s", key,
                cb_kind_name(value->kind));
        return false;
    }
    *out = cb__csv_column(table, value->text);
    if (*out >= 0) {
        return true;
    }
    const char *near = cb_nearest_of(value->text, table->columns, table->column_count);
    struct cb_text list = {0};
    for (uint32_t i = 0; i < table->column_count && i < 20; i++) {
        cb_text_addf(&list, "%s`%s`", i ? ", " : "", table->columns[i]);
    }
    if (near) {
        cb_fail(diag, CB_NOT_FOUND, &value->at, "`%s` has no column `%s`; did you mean `%s`?", table->source.name,
                value->text, near);
    } else {
        cb_fail(diag, CB_NOT_FOUND, &value->at, "`%s` has no column `%s`; it has %s", table->source.name, value->text,
                list.failed ? "others" : list.data);
    }
    cb_text_free(&list);
    return false;
}

static bool read_values(const struct cb__csv *table, const struct cb_value *value, struct roles *roles,
                        struct cb_diag *diag)
{
    size_t count = value->kind == CB_KIND_LIST ? value->as.list.count : 1;
    if (count < 1 || count > MAX_VALUES) {
        cb_fail(diag, CB_INVALID, &value->at, "`value` names 1 to %d columns, not %zu", MAX_VALUES, count);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct cb_value *item = value->kind == CB_KIND_LIST ? value->as.list.items[i] : value;
        if (!find_column(table, item, "value", &roles->values[i], diag)) {
            return false;
        }
        roles->value_names[i] = table->columns[roles->values[i]];
    }
    roles->value_count = (uint32_t)count;
    return true;
}

static bool read_columns(const struct cb__csv *table, const struct cb_value *columns, struct roles *roles,
                         struct cb_diag *diag)
{
    static const char *const keys[] = {"file", "label", "value"};
    if (!cb_expect_kind(columns, CB_KIND_MAP, "`columns`", diag)) {
        return false;
    }
    for (size_t i = 0; i < columns->as.map.count; i++) {
        const struct cb_entry *entry = &columns->as.map.entries[i];
        if (entry->value->kind == CB_KIND_MAP && cb_map_get(entry->value, "split")) {
            cb_fail(diag, CB_UNSUPPORTED, &entry->at, "several labels in one column (`%s: {split: ...}`) are not read: "
                    "give each a column of 0 and 1, `value: [A, B, ...]`", entry->key);
            return false;
        }
    }
    if (!cb_expect_keys(columns, keys, sizeof keys / sizeof keys[0], "in `columns`", diag)) {
        return false;
    }
    const struct cb_value *file = cb_map_get(columns, "file"), *label = cb_map_get(columns, "label");
    const struct cb_value *value = cb_map_get(columns, "value");
    if (label && value) {
        cb_fail(diag, CB_INVALID, &value->at, "`columns` has both `label` (a class) and `value` (a number): one of them");
        return false;
    }
    return (!file || find_column(table, file, "file", &roles->file, diag)) &&
           (!label || find_column(table, label, "label", &roles->label, diag)) &&
           (!value || read_values(table, value, roles, diag));
}

/* The first of `names` that is a column, -1: none. */
static int usual_column(const struct cb__csv *table, const char *const *names)
{
    for (; *names; names++) {
        int column = cb__csv_column(table, *names);
        if (column >= 0) {
            return column;
        }
    }
    return -1;
}

static enum cb_status find_roles(const struct cb__spec *spec, const struct cb__csv *table, struct roles *roles,
                                 const struct cb_place *at, struct cb_diag *diag)
{
    static const char *const files[] = {"file", "filename", "path", "image", NULL};
    static const char *const labels[] = {"label", "class", NULL};
    *roles = (struct roles){.file = -1, .label = -1, .group = -1};
    const struct cb_value *columns = cb_map_get(spec->map, "columns"), *group = cb_map_get(spec->map, "group");
    if (columns && !read_columns(table, columns, roles, diag)) {
        return CB_INVALID;
    }
    if (group && !find_column(table, group, "group", &roles->group, diag)) {
        return CB_INVALID;
    }
    if (roles->file < 0) {
        roles->file = usual_column(table, files);
    }
    if (roles->label < 0 && roles->value_count == 0) {
        roles->label = usual_column(table, labels);
        roles->values[0] = cb__csv_column(table, "value");
        if (roles->label < 0 && roles->values[0] >= 0) {
            roles->value_count = 1;
            roles->value_names[0] = "value";
        }
    }
    if (roles->file < 0 || (roles->label < 0 && roles->value_count == 0)) {
        return cb_fail(diag, CB_INVALID, at, "which column of `%s` holds the %s? Say it with `columns: {file: NAME, "
                       "label: NAME}` (or `value: NAME` for numbers)", table->source.name,
                       roles->file < 0 ? "files' names" : "labels");
    }
    return CB_OK;
}

/* A finite number, and nothing behind it. */
static bool parse_number(const char *text, float *out)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || !isfinite(value) || fabs(value) > 3.4e38) {
        return false;
    }
    end += strspn(end, " \t");
    *out = (float)value;
    return *end == '\0';
}

/* One row's cells; false after an error. `values` has room for value_count. */
static bool check_row(const struct cb__csv *table, uint32_t row, const struct roles *roles, float *values,
                      struct cb_diag *diag)
{
    const char **cells = table->cells + (size_t)row * table->column_count;
    struct cb_place place = cb__csv_place(table, row);
    if (cells[roles->file][0] == '\0') {
        cb_fail(diag, CB_FORMAT, &place, "the column `%s` names no file here", table->columns[roles->file]);
        return false;
    }
    if (roles->label >= 0 && cells[roles->label][0] == '\0') {
        cb_fail(diag, CB_FORMAT, &place, "the column `%s` is empty here", table->columns[roles->label]);
        return false;
    }
    for (uint32_t i = 0; i < roles->value_count; i++) {
        if (!parse_number(cells[roles->values[i]], &values[i])) {
            cb_fail(diag, CB_FORMAT, &place, "`%s` in the column `%s` is not a number", cells[roles->values[i]],
                    roles->value_names[i]);
            return false;
        }
    }
    return true;
}

enum cb_status cb__table_read(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                              struct cb__draft *draft, struct cb_diag *diag)
{
    struct cb_arena *arena = draft->arena;
    const struct cb_value *labels = cb_map_get(spec->map, "labels");
    struct cb__csv *table = CB_NEW(arena, struct cb__csv);
    struct roles roles;
    if (!table) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(cb__csv_read(arena, cb_path_join(arena, spec->folder, labels->text), &labels->at, table, diag));
    CB_TRY(find_roles(spec, table, &roles, &labels->at, diag));
    const char **paths = CB_NEW_ARRAY(arena, const char *, table->row_count);
    draft->value_count = roles.value_count;
    draft->value_names = cb_arena_copy(arena, roles.value_names, (roles.value_count + 1) * sizeof *roles.value_names);
    float values[MAX_VALUES];
    enum cb_status status = CB_OK;
    uint32_t missing = 0;
    for (uint32_t row = 0; paths && row < table->row_count && !(status != CB_OK && cb_diag_is_full(diag)); row++) {
        const char **cells = table->cells + (size_t)row * table->column_count;
        if (!check_row(table, row, &roles, values, diag)) {
            status = CB_FORMAT;
            continue;
        }
        const char *file = cb_path_join(arena, path, cells[roles.file]);
        if (!file || cb_file_bytes(file) < 0) {
            struct cb_place place = cb__csv_place(table, row);
            missing++;
            if (spec->skips_missing) {
                cb_warn(diag, &place, "`%s` does not exist; the row is left out", file ? file : cells[roles.file]);
            } else {
                status = cb_fail(diag, CB_NOT_FOUND, &place, "`%s` does not exist", file ? file : cells[roles.file]);
            }
            continue;
        }
        const char *group = roles.group >= 0 && cells[roles.group][0] ? cells[roles.group] : NULL;
        paths[draft->count] = file;
        if (!cb__draft_add(draft, draft->count, roles.label >= 0 ? cells[roles.label] : NULL, values, group,
                           CB_PART_ANY)) {
            paths = NULL;
        }
    }
    CB_TRY(status);
    if (paths && draft->count == 0) {
        return cb_fail(diag, CB_NOT_FOUND, at, "none of the %u files that `%s` names is in `%s`", missing,
                       table->source.name, path);
    }
    draft->source = paths ? cb__files_source(arena, path, paths, spec->modality) : NULL;
    return draft->source ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading `%s`",
                                           table->source.name);
}
