/* match_parts.c: a param whose outputs, its last axis, a file has in several tensors: the queries, keys and values of an
 * attention, which are one dense layer here. */
#include <stdlib.h>
#include <string.h>

#include "weights/match_internal.h"

uint32_t cb__parts_of(const struct cb__matching *m, const struct cb_wanted *w, const struct cb_name_map *map)
{
    return map && w->foreign && !m->is_ours ? cb_name_map_parts(map, w->layer, w->name) : 1;
}

/* Rows of `outputs` floats into the columns from `first` on of those of `w`. */
static enum cb_status read_part(const struct cb__matching *m, const struct cb_wanted *w,
                                const struct cb_tensor_entry *view, int64_t first, int64_t outputs)
{
    const int64_t all = w->dims[w->rank - 1];
    int64_t rows = 1;
    for (uint32_t i = 0; i + 1 < w->rank; i++) {
        rows *= w->dims[i];
    }
    float *held = calloc((size_t)(rows * outputs), sizeof(*held));
    enum cb_status status = held ? cb_tensors_read_f32(m->file, view, held, m->diag)
                                 : cb_fail(m->diag, CB_MEMORY, m->at, "no memory to read `%s`", view->name);
    for (int64_t row = 0; row < rows && status == CB_OK; row++) {
        memcpy(w->out + row * all + first, held + row * outputs, (size_t)outputs * sizeof(*held));
    }
    free(held);
    return status;
}

/* The tensor `entry` as outputs `*first` and on of `w`; moves `*first` behind them. */
static enum cb_status match_part(const struct cb__matching *m, struct cb_wanted *w, const struct cb_tensor_entry *entry,
                                 int64_t *first)
{
    struct cb_wanted part = *w;
    struct cb_tensor_entry view;
    const int64_t outputs = entry->rank > 0 ? entry->dims[0] : 0;
    part.dims[w->rank - 1] = outputs;
    if (outputs <= 0 || outputs > w->dims[w->rank - 1] - *first || !cb__view_as_ours(&part, entry, false, &view)) {
        return cb__refuse_shape(m, w, entry, false);
    }
    CB_TRY(w->out ? read_part(m, w, &view, *first, outputs) : CB_OK);
    *first += outputs;
    return CB_OK;
}

enum cb_status cb__match_parts(const struct cb__matching *m, struct cb_wanted *w, const struct cb_name_map *map)
{
    struct cb__matching at = *m;
    const struct cb_tensor_entry *entry = NULL;
    int64_t first = 0;
    w->status = w->replaced ? CB_MATCH_REPLACED : CB_MATCH_KEPT;
    for (at.part = 0; at.part < cb__parts_of(m, w, map); at.part++) {
        bool is_ours;
        entry = cb__find_wanted(&at, w, map, &is_ours);
        if (!entry || is_ours) {
            w->reason = cb_arena_printf(m->arena, "its part `%s` is not there",
                                        cb__candidates_of(&at, w, map).foreign);
            w->status = w->replaced ? w->status : CB_MATCH_MISSING;
            return CB_OK;
        }
        const char **taken_by = &m->taken_by[entry - cb_tensors_at(m->file, 0)];
        if (w->replaced) {
            *taken_by = w->name;
            continue;
        }
        if (*taken_by) {
            w->status = CB_MATCH_MISMATCH;
            w->reason = cb_arena_printf(m->arena, "tensor `%s` would go to `%s` and to `%s`", entry->name, *taken_by,
                                        w->name);
            return cb_fail(m->diag, CB_MISMATCH, m->at, "`%s`: %s", cb_tensors_path(m->file),
                           w->reason ? w->reason : "");
        }
        *taken_by = w->name;
        w->from = w->from ? w->from : cb_arena_strdup(m->arena, entry->name);
        CB_TRY(match_part(m, w, entry, &first));
    }
    return w->replaced || first == w->dims[w->rank - 1] ? CB_OK : cb__refuse_shape(m, w, entry, false);
}
