/* roles.c: which columns of a table mean what. See roles.h. */
#include "data/roles.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static bool read_values(const struct cb__csv *table, const struct cb_value *value, struct cb__roles *roles,
                        struct cb_diag *diag)
{
    size_t count = value->kind == CB_KIND_LIST ? value->as.list.count : 1;
    if (count < 1 || count > CB__MAX_VALUES) {
        cb_fail(diag, CB_INVALID, &value->at, "`value` names 1 to %d columns, not %zu", CB__MAX_VALUES, count);
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

static bool read_columns(const struct cb__csv *table, const struct cb_value *columns, bool is_text,
                         struct cb__roles *roles, struct cb_diag *diag)
{
    static const char *const files[] = {"file", "label", "value"}, *const texts[] = {"text", "text_pair", "label", "value"};
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
    if (!cb_expect_keys(columns, is_text ? texts : files, is_text ? 4 : 3, "in `columns`", diag)) {
        return false;
    }
    const char *key = is_text ? "text" : "file";
    const struct cb_value *item = cb_map_get(columns, key), *pair = cb_map_get(columns, "text_pair");
    const struct cb_value *label = cb_map_get(columns, "label"), *value = cb_map_get(columns, "value");
    if (label && value) {
        cb_fail(diag, CB_INVALID, &value->at, "`columns` has both `label` (a class) and `value` (a number): one of them");
        return false;
    }
    return (!item || find_column(table, item, key, &roles->item, diag)) &&
           (!pair || find_column(table, pair, "text_pair", &roles->pair, diag)) &&
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

enum cb_status cb__roles_find(const struct cb__spec *spec, const struct cb__csv *table, struct cb__roles *roles,
                              const struct cb_place *at, struct cb_diag *diag)
{
    static const char *const files[] = {"file", "filename", "path", "image", NULL};
    static const char *const texts[] = {"text", "sentence", "body", NULL};
    static const char *const labels[] = {"label", "class", NULL};
    const bool is_text = spec->modality == CB_TEXT;
    *roles = (struct cb__roles){.item = -1, .pair = -1, .label = -1, .group = -1};
    const struct cb_value *columns = cb_map_get(spec->map, "columns"), *group = cb_map_get(spec->map, "group");
    if (columns && !read_columns(table, columns, is_text, roles, diag)) {
        return CB_INVALID;
    }
    if (group && !find_column(table, group, "group", &roles->group, diag)) {
        return CB_INVALID;
    }
    if (roles->item < 0) {
        roles->item = usual_column(table, is_text ? texts : files);
    }
    if (roles->label < 0 && roles->value_count == 0) {
        roles->label = usual_column(table, labels);
        roles->values[0] = cb__csv_column(table, "value");
        if (roles->label < 0 && roles->values[0] >= 0) {
            roles->value_count = 1;
            roles->value_names[0] = "value";
        }
    }
    if (roles->item < 0 || (roles->label < 0 && roles->value_count == 0)) {
        return cb_fail(diag, CB_INVALID, at, "which column of `%s` holds the %s? Say it with `columns: {%s: NAME, "
                       "label: NAME}` (or `value: NAME` for numbers)", table->source.name,
                       roles->item >= 0 ? "labels" : is_text ? "texts" : "files' names", is_text ? "text" : "file");
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

bool cb__roles_row(const struct cb__csv *table, uint32_t row, const struct cb__roles *roles, bool has_texts, float *values,
                   struct cb_diag *diag)
{
    const char **cells = table->cells + (size_t)row * table->column_count;
    struct cb_place place = cb__csv_place(table, row);
    if (!has_texts && cells[roles->item][0] == '\0') { /* an empty text is one, too */
        cb_fail(diag, CB_FORMAT, &place, "the column `%s` names no file here", table->columns[roles->item]);
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
