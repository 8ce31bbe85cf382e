/* table.c: `images:` with `labels: F.csv`: a table names the files and their labels or values. */
#include "base/file.h"
#include "data/roles.h"

enum cb_status cb__table_read(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                              struct cb__draft *draft, struct cb_diag *diag)
{
    struct cb_arena *arena = draft->arena;
    const struct cb_value *labels = cb_map_get(spec->map, "labels");
    struct cb__csv *table = CB_NEW(arena, struct cb__csv);
    struct cb__roles roles;
    if (!table) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(cb__csv_read(arena, cb_path_join(arena, spec->folder, labels->text), &labels->at, table, diag));
    CB_TRY(cb__roles_find(spec, table, &roles, &labels->at, diag));
    const char **paths = CB_NEW_ARRAY(arena, const char *, table->row_count);
    draft->value_count = roles.value_count;
    draft->value_names = cb_arena_copy(arena, roles.value_names, (roles.value_count + 1) * sizeof *roles.value_names);
    float values[CB__MAX_VALUES];
    enum cb_status status = CB_OK;
    uint32_t missing = 0;
    for (uint32_t row = 0; paths && row < table->row_count && !(status != CB_OK && cb_diag_is_full(diag)); row++) {
        const char **cells = table->cells + (size_t)row * table->column_count;
        if (!cb__roles_row(table, row, &roles, false, values, diag)) {
            status = CB_FORMAT;
            continue;
        }
        const char *file = cb_path_join(arena, path, cells[roles.item]);
        if (!file || cb_file_bytes(file) < 0) {
            struct cb_place place = cb__csv_place(table, row);
            missing++;
            if (spec->skips_missing) {
                cb_warn(diag, &place, "`%s` does not exist; the row is left out", file ? file : cells[roles.item]);
            } else {
                status = cb_fail(diag, CB_NOT_FOUND, &place, "`%s` does not exist", file ? file : cells[roles.item]);
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
