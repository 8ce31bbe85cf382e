/* match.c: finding, checking and converting the tensors that a network wants. */
#include "weights/match_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "weights/internal.h"

static enum cb_status no_memory(const struct cb__matching *m)
{
    return cb_fail(m->diag, CB_MEMORY, m->at, "no memory to match the tensors of `%s`", cb_tensors_path(m->file));
}

/* ---- layouts ---------------------------------------------------------------------------------------------------- */

static bool has_dims(const struct cb_tensor_entry *entry, uint32_t rank, const int64_t *dims)
{
    return entry->rank == rank && (rank == 0 || memcmp(entry->dims, dims, rank * sizeof(*dims)) == 0);
}

/* The dims of the wanted param in the foreign layout. */
static uint32_t foreign_dims(const struct cb_wanted *w, int64_t dims[CB_MAX_RANK])
{
    uint32_t rank = w->rank;
    memcpy(dims, w->dims, sizeof(w->dims));
    if (w->role == CB_PARAM_FILTER && rank >= 2) {
        dims[0] = w->dims[rank - 1];
        dims[1] = w->dims[rank - 2];
        memcpy(dims + 2, w->dims, (rank - 2) * sizeof(*dims));
    } else if (w->role == CB_PARAM_MATRIX && rank == 2) {
        dims[0] = w->dims[1];
        dims[1] = w->dims[0];
    }
    return rank;
}

static void set_axis(struct cb_tensor_entry *view, int64_t dim, int64_t stride)
{
    view->dims[view->rank] = dim;
    view->strides[view->rank] = stride;
    view->rank++;
}

/* [K, C, spatial...] read as [spatial..., C, K]. */
static struct cb_tensor_entry channels_last(const struct cb_tensor_entry *entry)
{
    struct cb_tensor_entry view = *entry;
    view.rank = 0;
    for (uint32_t i = 2; i < entry->rank; i++) {
        set_axis(&view, entry->dims[i], entry->strides[i]);
    }
    set_axis(&view, entry->dims[1], entry->strides[1]);
    set_axis(&view, entry->dims[0], entry->strides[0]);
    return view;
}

static bool trailing_ones(const struct cb_tensor_entry *entry, uint32_t from)
{
    for (uint32_t i = from; i < entry->rank; i++) {
        if (entry->dims[i] != 1) {
            return false;
        }
    }
    return true;
}

/* A MATRIX [C,K] from [K,C], from a filter [K,C,1,1], or behind a flatten from [K,C*H*W] or a filter [K,C,H,W]. */
static bool view_matrix(const struct cb_wanted *w, const struct cb_tensor_entry *entry, struct cb_tensor_entry *view)
{
    const int64_t *chw = w->hidden_dims;
    if (w->rank != 2 || entry->rank < 2 || entry->dims[0] != w->dims[1]) {
        return false;
    }
    if (entry->dims[1] == w->dims[0] && trailing_ones(entry, 2)) {
        struct cb_tensor_entry flat = *entry;
        flat.rank = 2;
        if (!chw || (chw[1] == 1 && chw[2] == 1)) {
            *view = channels_last(&flat);
            return true;
        }
        int64_t stride = entry->strides[1];
        *view = flat;
        view->rank = 0;
        set_axis(view, chw[1], stride * chw[2]);
        set_axis(view, chw[2], stride);
        set_axis(view, chw[0], stride * chw[1] * chw[2]);
        set_axis(view, entry->dims[0], entry->strides[0]);
        return true;
    }
    if (chw && entry->rank == 4 && memcmp(entry->dims + 1, chw, 3 * sizeof(*chw)) == 0) {
        *view = channels_last(entry);
        return true;
    }
    return false;
}

/* A FILTER [spatial...,C,K] from [K,C,spatial...]; where all spatial dims are 1, also from a matrix [K,C]. */
static bool view_filter(const struct cb_wanted *w, const struct cb_tensor_entry *entry, struct cb_tensor_entry *view)
{
    int64_t dims[CB_MAX_RANK];
    uint32_t rank = foreign_dims(w, dims);
    bool is_pointwise = true;
    for (uint32_t i = 2; i < rank; i++) {
        is_pointwise = is_pointwise && dims[i] == 1;
    }
    if (entry->rank >= 2 && (has_dims(entry, rank, dims) || (is_pointwise && has_dims(entry, 2, dims)))) {
        *view = channels_last(entry);
        return true;
    }
    return false;
}

/* The same dims in the same order; those of 1 may be left out or added on either side: [1,1,C] or [C,1,1] for [C]. */
static bool view_as_it_is(const struct cb_wanted *w, const struct cb_tensor_entry *entry, struct cb_tensor_entry *view)
{
    uint32_t from = 0;
    *view = *entry;
    view->rank = 0;
    for (uint32_t i = 0; i < w->rank; i++) {
        while (from < entry->rank && entry->dims[from] == 1 && w->dims[i] != 1) {
            from++;
        }
        if (w->dims[i] == 1 && (from == entry->rank || entry->dims[from] != 1)) {
            set_axis(view, 1, 1);
        } else if (from < entry->rank && entry->dims[from] == w->dims[i]) {
            set_axis(view, entry->dims[from], entry->strides[from]);
            from++;
        } else {
            return false;
        }
    }
    return trailing_ones(entry, from);
}

bool cb__view_as_ours(const struct cb_wanted *w, const struct cb_tensor_entry *entry, bool is_ours,
                         struct cb_tensor_entry *view)
{
    if (is_ours) {
        *view = *entry;
        return has_dims(entry, w->rank, w->dims);
    }
    if (w->role == CB_PARAM_VECTOR || w->role == CB_PARAM_TABLE) {
        return view_as_it_is(w, entry, view);
    }
    return w->role == CB_PARAM_MATRIX ? view_matrix(w, entry, view) : view_filter(w, entry, view);
}

/* ---- one param -------------------------------------------------------------------------------------------------- */

enum cb_status cb__refuse_shape(const struct cb__matching *m, struct cb_wanted *w, const struct cb_tensor_entry *entry,
                                bool is_ours)
{
    char have[192], want[192], there[192];
    int64_t dims[CB_MAX_RANK];
    cb_format_dims(entry->rank, entry->dims, have);
    cb_format_dims(w->rank, w->dims, want);
    cb_format_dims(foreign_dims(w, dims), dims, there);
    w->status = CB_MATCH_MISMATCH;
    w->reason = is_ours || strcmp(want, there) == 0
                    ? cb_arena_printf(m->arena, "tensor `%s` %s does not fit `%s` %s", entry->name, have, w->name, want)
                    : cb_arena_printf(m->arena, "tensor `%s` %s does not fit `%s` %s, which would be %s there",
                                      entry->name, have, w->name, want, there);
    if (!w->reason) {
        return no_memory(m);
    }
    return cb_fail(m->diag, CB_MISMATCH, m->at, "`%s`: %s", cb_tensors_path(m->file), w->reason);
}

static enum cb_status miss(const struct cb__matching *m, struct cb_wanted *w, const struct cb_name_map *map)
{
    struct cb__candidates names = cb__candidates_of(m, w, map);
    w->status = CB_MATCH_MISSING;
    bool is_one = !names.foreign || strcmp(names.foreign, names.own) == 0;
    w->reason = !is_one ? cb_arena_printf(m->arena, "neither `%s` nor `%s` is there", names.foreign, names.own)
                              : cb_arena_printf(m->arena, "`%s` is not there", names.own);
    return w->reason ? CB_OK : no_memory(m);
}

static enum cb_status match_one(const struct cb__matching *m, struct cb_wanted *w, const struct cb_name_map *map)
{
    bool is_ours;
    const struct cb_tensor_entry *entry = cb__find_wanted(m, w, map, &is_ours);
    w->from = NULL;
    w->reason = NULL;
    if (entry && !is_ours && cb__parts_of(m, w, map) > 1) {
        return cb__match_parts(m, w, map);
    }
    if (w->replaced) {
        w->status = CB_MATCH_REPLACED;
        if (entry) {
            m->taken_by[entry - cb_tensors_at(m->file, 0)] = w->name;
        }
        return CB_OK;
    }
    if (!entry) {
        return miss(m, w, map);
    }
    const char **taken_by = &m->taken_by[entry - cb_tensors_at(m->file, 0)];
    if (*taken_by) {
        w->status = CB_MATCH_MISMATCH;
        w->reason =
            cb_arena_printf(m->arena, "tensor `%s` would go to `%s` and to `%s`", entry->name, *taken_by, w->name);
        return cb_fail(m->diag, CB_MISMATCH, m->at, "`%s`: %s", cb_tensors_path(m->file), w->reason ? w->reason : "");
    }
    *taken_by = w->name;
    w->from = cb_arena_strdup(m->arena, entry->name);
    if (!w->from) {
        return no_memory(m);
    }
    struct cb_tensor_entry view;
    const bool has_our_layout = is_ours || cb__candidates_of(m, w, map).is_turned;
    w->status = CB_MATCH_KEPT;
    if (!cb__view_as_ours(w, entry, has_our_layout, &view)) {
        return cb__is_other_grid(w, entry, &view) ? cb__read_other_grid(m, w, &view)
                                                  : cb__refuse_shape(m, w, entry, has_our_layout);
    }
    return w->out ? cb_tensors_read_f32(m->file, &view, w->out, m->diag) : CB_OK;
}

/* ---- the report ------------------------------------------------------------------------------------------------- */

static enum cb_status list_wanted(const struct cb__matching *m, enum cb_match status, struct cb_name_list *out)
{
    out->names = CB_NEW_ARRAY(m->arena, const char *, (size_t)m->count + 1);
    if (!out->names) {
        return no_memory(m);
    }
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->wanted[i].status == status) {
            out->names[out->count++] = m->wanted[i].name;
        }
    }
    return CB_OK;
}

static enum cb_status list_changed(const struct cb__matching *m, struct cb_name_list *out)
{
    out->names = CB_NEW_ARRAY(m->arena, const char *, (size_t)m->count + 1);
    for (uint32_t i = 0; i < m->count && out->names; i++) {
        if (m->wanted[i].status == CB_MATCH_KEPT && m->wanted[i].reason) {
            out->names[out->count++] = m->wanted[i].reason;
        }
    }
    return out->names ? CB_OK : no_memory(m);
}

/* What frameworks keep beside the params and make anew: the number of batches seen, Swin's tables of numbers, the positions
 * of texts and GPT-2's masks. */
static bool is_bookkeeping(const char *name)
{
    static const char *const ends[] = {".num_batches_tracked", ".relative_position_index", ".attn_mask", "position_ids",
                                       ".token_type_ids", ".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias"};
    bool is_one = false;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        is_one = is_one || cb_ends_with(name, ends[i]);
    }
    return is_one;
}

static enum cb_status list_unused(const struct cb__matching *m, struct cb_name_list *out)
{
    uint32_t count = cb_tensors_count(m->file);
    out->names = CB_NEW_ARRAY(m->arena, const char *, (size_t)count + 1);
    for (uint32_t i = 0; i < count && out->names; i++) {
        const char *name = cb_tensors_at(m->file, i)->name;
        if (!m->taken_by[i] && !is_bookkeeping(name) && !cb_starts_with(name, "tokenizer/")) {
            out->names[out->count] = cb_arena_strdup(m->arena, name);
            if (!out->names[out->count++]) {
                return no_memory(m);
            }
        }
    }
    return out->names ? CB_OK : no_memory(m);
}

static enum cb_status fill_report(const struct cb__matching *m, const struct cb_name_map *map,
                                  struct cb_load_report *report)
{
    const char *wrapper = cb_tensors_wrapper(m->file);
    *report = (struct cb_load_report){
        .path = cb_arena_strdup(m->arena, cb_tensors_path(m->file)),
        .format = cb_tensors_format(m->file),
        .wrapper = wrapper,
        .beside = cb_tensors_beside(m->file),
        .map = map ? cb_arena_strdup(m->arena, map->label) : NULL,
        .prefix = *m->prefix ? m->prefix : NULL,
    };
    if (!report->path || (map && !report->map)) {
        return no_memory(m);
    }
    CB_TRY(list_wanted(m, CB_MATCH_KEPT, &report->kept));
    CB_TRY(list_wanted(m, CB_MATCH_REPLACED, &report->replaced));
    CB_TRY(list_wanted(m, CB_MATCH_MISSING, &report->missing));
    CB_TRY(list_wanted(m, CB_MATCH_MISMATCH, &report->mismatched));
    CB_TRY(list_changed(m, &report->changed));
    return list_unused(m, &report->unused);
}

/* One error for all that is missing and not optional. */
static enum cb_status fail_missing(const struct cb__matching *m)
{
    struct cb_text names = {0};
    uint32_t missing = 0, wanted = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct cb_wanted *w = &m->wanted[i];
        wanted += !w->replaced;
        if (w->status == CB_MATCH_MISSING && !w->optional) {
            if (missing++ < 4) {
                cb_text_addf(&names, "%s`%s` (%s)", missing > 1 ? ", " : "", w->name, w->reason);
            }
        }
    }
    enum cb_status status = CB_OK;
    if (missing > 0) {
        char more[48] = "";
        if (missing > 4) {
            snprintf(more, sizeof(more), ", and %" PRIu32 " more", missing - 4);
        }
        const struct cb_tensor_entry *first = cb_tensors_at(m->file, 0);
        status = cb_fail(m->diag, CB_MISMATCH, m->at,
                         "`%s` has no tensor for %" PRIu32 " of %" PRIu32 " params: %s%s; its own begin with `%s`",
                         cb_tensors_path(m->file), missing, wanted, names.data ? names.data : "", more,
                         first ? first->name : "");
    }
    cb_text_free(&names);
    return status;
}

enum cb_status cb_weights_match(struct cb_tensor_file *file, struct cb_wanted *wanted, uint32_t count,
                                const struct cb_name_map *maps, uint32_t map_count, struct cb_arena *arena,
                                struct cb_load_report *out_report, const struct cb_place *at, struct cb_diag *diag)
{
    const char *format = cb_tensors_metadata(file, "format");
    struct cb__matching m = {
        .file = file,
        .wanted = wanted,
        .count = count,
        .arena = arena,
        .prefix = "",
        .skip = "",
        .is_ours = format && strcmp(format, "cambium") == 0,
        .taken_by = calloc((size_t)cb_tensors_count(file) + 1, sizeof(char *)),
        .at = at,
        .diag = diag,
    };
    if (!m.taken_by) {
        return no_memory(&m);
    }
    const struct cb_name_map *numbered = cb__with_layers(&m, maps, map_count);
    if (!numbered) {
        free(m.taken_by);
        return no_memory(&m);
    }
    const struct cb_name_map *map = cb__choose_names(&m, numbered, map_count);
    enum cb_status status = CB_OK;
    for (uint32_t i = 0; i < count && (status == CB_OK || status == CB_MISMATCH); i++) {
        enum cb_status one = match_one(&m, &wanted[i], map);
        status = one == CB_OK ? status : one;
    }
    if (status == CB_OK || status == CB_MISMATCH) {
        enum cb_status missing = fail_missing(&m);
        enum cb_status report = fill_report(&m, map, out_report);
        status = report != CB_OK ? report : status != CB_OK ? status : missing;
    }
    free(m.taken_by);
    return status;
}
