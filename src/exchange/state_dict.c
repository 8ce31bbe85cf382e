/* state_dict.c: the tensors of a file onto a network that is known here: `cambium import weights.pth --as BACKBONE`, and
 * what a folder's own configuration made a network of.
 *
 * First by name: equal names, the backbone's own name maps, a map of the user's; with what training code puts in front
 * left off. Where that does not find every layer, by structure and shape (weights/match_structure.h). The layer with the
 * network's outputs may have another number of them in the file, or be missing. */
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "exchange/build.h"
#include "exchange/onto.h"
#include "exchange/unused.h"
#include "train/engine.h"
#include "weights/match_structure.h"

struct importing {
    const struct cb_import_request *request;
    struct cb_imported *imported;
    const struct cb__onto *onto;
    struct cb_backbone *backbone;
    struct cb_tensor_file *file;
    struct cb__built built;
    struct cb_wanted *wanted;
    const char *open_layer; /* with the outputs; NULL: not one layer */
    struct cb_name_map *maps;
    uint32_t map_count;
    const struct cb_name_map *own_map; /* the user's; NULL: none */
    struct cb_name_map structure;
    bool by_structure;
    struct cb_load_report report;
    struct cb_diag *diag;
};

static enum cb_status no_memory(const struct importing *m)
{
    return cb_fail(m->diag, CB_MEMORY, NULL, "out of memory");
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

/* The user's file: one map of our names to theirs, or several by label as in a network file. */
static enum cb_status read_own_names(struct importing *m, struct cb_value *all)
{
    struct cb_arena *arena = m->imported->arena;
    struct cb_value *file;
    if (m->request->names == NULL) {
        return CB_OK;
    }
    CB_TRY(cb_yaml_read_file(arena, m->request->names, &file, m->diag));
    if (file->kind != CB_KIND_MAP || file->as.map.count == 0) {
        return cb_fail(m->diag, CB_INVALID, &file->at, "a file of names is a map: `our.layer: their.layer`");
    }
    if (file->as.map.entries[0].value->kind == CB_KIND_MAP) {
        file = file->as.map.entries[0].value;
    }
    return cb_map_set(arena, all, m->request->names, file) ? CB_OK : no_memory(m);
}

static enum cb_status read_names(struct importing *m)
{
    struct cb_arena *arena = m->imported->arena;
    struct cb_value *all = cb_value_map(arena, NULL);
    const struct cb_value *known = cb_map_get(m->backbone->file, "names");
    if (all == NULL) {
        return no_memory(m);
    }
    CB_TRY(read_own_names(m, all));
    const bool has_own = all->as.map.count > 0;
    for (size_t i = 0; known != NULL && known->kind == CB_KIND_MAP && i < known->as.map.count; i++) {
        if (!cb_map_set(arena, all, known->as.map.entries[i].key, known->as.map.entries[i].value)) {
            return no_memory(m);
        }
    }
    CB_TRY(cb_name_maps_read(arena, all, &m->maps, &m->map_count, m->diag));
    m->own_map = has_own ? &m->maps[0] : NULL;
    return CB_OK;
}

/* ---- matching ------------------------------------------------------------------------------------------------------- */

static bool is_open(const struct importing *m, const struct cb_wanted *w)
{
    return m->open_layer != NULL && strcmp(w->layer, m->open_layer) == 0;
}

static void prepare(struct importing *m, bool fill)
{
    const struct cb_network *net = m->built.net;
    for (uint32_t i = 0; i < net->param_count; i++) {
        m->wanted[i].out = fill ? net->params[i].host : NULL;
        m->wanted[i].optional = is_open(m, &m->wanted[i]);
    }
}

/* What is there of all but the output layer. */
static uint32_t count_kept(const struct importing *m, uint32_t *out_of, uint32_t *out_misfits)
{
    uint32_t kept = 0;
    *out_of = *out_misfits = 0;
    for (uint32_t i = 0; i < m->built.net->param_count; i++) {
        const struct cb_wanted *w = &m->wanted[i];
        if (!is_open(m, w)) {
            kept += w->status == CB_MATCH_KEPT;
            *out_misfits += w->status == CB_MATCH_MISMATCH;
            ++*out_of;
        }
    }
    return kept;
}

static enum cb_status match(struct importing *m, bool fill, struct cb_diag *diag)
{
    prepare(m, fill);
    return cb_weights_match(m->file, m->wanted, m->built.net->param_count, m->by_structure ? &m->structure : m->maps,
                            m->by_structure ? 1 : m->map_count, m->imported->arena, &m->report, NULL, diag);
}

static bool is_cambium_file(const struct importing *m)
{
    const char *format = cb_tensors_metadata(m->file, "format");
    return format != NULL && strcmp(format, "cambium") == 0;
}

/* By structure; when that fails too, what names found is said beside it, because it may be the likelier cause. */
static enum cb_status match_structure(struct importing *m, uint32_t kept, uint32_t of)
{
    enum cb_status status =
        cb_weights_match_structure(m->file, m->wanted, m->built.net->param_count, m->own_map, m->open_layer,
                                   m->imported->arena, &m->structure, NULL, m->diag);
    m->by_structure = status == CB_OK;
    if (status == CB_OK) { /* fits by construction, but for the number of outputs */
        status = match(m, false, NULL);
        return status == CB_MISMATCH ? CB_OK : status;
    }
    if (status != CB_MISMATCH) {
        return status;
    }
    if (kept * 2 > of) {
        struct cb_diag *aside = cb_diag_create();
        (void)match(m, false, aside);
        const char *text = aside != NULL ? cb_diag_text(aside, 0) : NULL;
        cb_note(m->diag, NULL, "by name %" PRIu32 " of %" PRIu32 " tensors were found%s%s", kept, of,
                text != NULL ? "; the rest: " : "", text != NULL ? text : "");
        cb_diag_destroy(aside);
    } else {
        cb_note(m->diag, NULL, "by name %" PRIu32 " of %" PRIu32 " tensors were found", kept, of);
    }
    return status;
}

/* Which tensor is which, without reading any. */
static enum cb_status find_all(struct importing *m)
{
    uint32_t of, misfits;
    struct cb_diag *aside = cb_diag_create();
    if (aside == NULL) {
        return no_memory(m);
    }
    enum cb_status status = match(m, false, aside);
    cb_diag_destroy(aside);
    if (status != CB_OK && status != CB_MISMATCH) {
        return cb_fail(m->diag, status, NULL, "`%s` cannot be read", m->onto->weights);
    }
    const uint32_t kept = count_kept(m, &of, &misfits);
    if (kept == of) {
        return CB_OK;
    }
    if (is_cambium_file(m) || kept + misfits == of) { /* every name is there: then the shapes are the news */
        return match(m, false, m->diag);
    }
    return match_structure(m, kept, of);
}

/* ---- the number of outputs ------------------------------------------------------------------------------------------ */

/* The outputs of the file's own last layer; 0: it has none, or they are as many as the network's. */
static int64_t other_outputs(const struct importing *m, int64_t *out_old)
{
    for (uint32_t i = 0; i < m->built.net->param_count; i++) {
        const struct cb_wanted *w = &m->wanted[i];
        const struct cb_tensor_entry *entry = w->from != NULL ? cb_tensors_find(m->file, w->from) : NULL;
        if (!is_open(m, w) || w->status != CB_MATCH_MISMATCH || entry == NULL || entry->rank == 0 || w->rank == 0) {
            continue;
        }
        *out_old = w->dims[w->rank - 1];
        return is_cambium_file(m) ? entry->dims[entry->rank - 1] : entry->dims[0];
    }
    return 0;
}

static enum cb_status take_outputs(struct importing *m, struct cb_network_changes *changes)
{
    int64_t old = 0, outputs = other_outputs(m, &old);
    if (outputs == 0) {
        return CB_OK;
    }
    const struct cb_wanted *before = m->wanted;
    changes->output_layer = m->open_layer;
    changes->outputs = outputs;
    changes->old_outputs = old;
    struct cb_value *file = cb_value_map(m->backbone->arena, &m->backbone->file->at);
    if (file != NULL) {
        file->as.map = m->backbone->file->as.map;
    }
    if (file == NULL || !cb_network_set_outputs(m->backbone->arena, file, changes)) {
        return cb_fail(m->diag, CB_MISMATCH, NULL,
                       "`%s` has %" PRId64 " outputs where `%s` has %" PRId64 ", and the network's file does not say that "
                       "number beside `%s`", m->onto->weights, outputs, m->onto->as, old, m->open_layer);
    }
    m->backbone->file = file;
    CB_TRY(cb__build(&m->built, m->imported, m->backbone, m->request->size, m->diag));
    m->wanted = cb_network_wanted(m->built.net);
    if (m->wanted == NULL) {
        return no_memory(m);
    }
    for (uint32_t i = 0; i < m->built.net->param_count; i++) {
        m->wanted[i].foreign = before[i].foreign; /* the file's own words */
    }
    m->open_layer = cb__output_layer(m->built.net);
    if (!m->onto->is_described) {
        cb_imported_note(m->imported, "the file has %" PRId64 " outputs where `%s` has %" PRId64 ": `%s` has that many",
                         outputs, m->onto->as, old, m->open_layer);
    }
    return CB_OK;
}

/* ---- the result ------------------------------------------------------------------------------------------------------ */

static enum cb_status fill_pairs(struct importing *m)
{
    struct cb_imported *out = m->imported;
    const uint32_t count = m->built.net->param_count;
    out->pairs = CB_NEW_ARRAY(out->arena, struct cb_import_pair, (size_t)count + 1);
    if (out->pairs == NULL) {
        return no_memory(m);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct cb_wanted *w = &m->wanted[i];
        if (w->status == CB_MATCH_KEPT) {
            out->pairs[out->pair_count++] = (struct cb_import_pair){w->name, w->from};
        } else if (!cb_imported_add_name(out, &out->random, w->name)) {
            return no_memory(m);
        }
    }
    out->unused = m->report.unused;
    out->show_pairs = m->by_structure;
    out->format = m->report.format;
    out->prefix = m->report.prefix;
    out->matched_by = m->by_structure          ? "structure and shape"
                      : is_cambium_file(m)     ? "Cambium's own names"
                      : m->report.map != NULL  ? cb_arena_printf(out->arena, "names of %s", m->report.map)
                                               : "equal names";
    return CB_OK;
}

static void add_notes(struct importing *m)
{
    struct cb_imported *out = m->imported;
    (void)cb__note_unused_modules(out);
    if (out->random.count > 0) {
        cb_imported_note(out, "the file has nothing for `%s`: its values are random. A task replaces that layer with a head "
                         "of its own, as it does by itself; predict and `head: keep` need a trained one", m->open_layer);
    }
    if (m->by_structure) {
        cb_imported_note(out, "the names of the file are not known here: its tensors were matched by order and shape; look "
                         "at the pairs");
    }
    if (!m->onto->is_described) {
        cb_imported_note(out, "a weights file says nothing of its input: size, scale and resize are those of `%s`; compare "
                         "them with how the file's own network was trained", m->onto->as);
    }
}

static enum cb_status rewrite(struct importing *m, struct cb_network_changes *changes)
{
    struct cb_imported *out = m->imported;
    struct cb_contract contract = m->backbone->contract;
    changes->name = out->name;
    changes->comment = m->onto->comment;
    changes->is_settled = m->onto->is_described;
    changes->contract = m->onto->is_described || m->request->size != NULL ? &contract : NULL;
    if (m->request->size != NULL) {
        contract.shape[0] = m->request->size[0];
        contract.shape[1] = m->request->size[1];
    }
    const int64_t outputs = m->built.net->wires[m->built.net->backbone_output].shape.dims[1];
    if (m->onto->labels != NULL && m->onto->labels->as.list.count == (size_t)outputs) {
        changes->labels = m->onto->labels;
    }
    char *yaml;
    CB_TRY(cb_network_rewrite(out->arena, m->backbone, changes, m->built.net, &yaml, m->diag));
    out->yaml = yaml;
    return CB_OK;
}

static enum cb_status import(struct importing *m)
{
    struct cb_network_changes changes = {0};
    CB_TRY(cb__build(&m->built, m->imported, m->backbone, m->request->size, m->diag));
    m->open_layer = cb__output_layer(m->built.net);
    m->wanted = cb_network_wanted(m->built.net);
    if (m->wanted == NULL) {
        return no_memory(m);
    }
    CB_TRY(read_names(m));
    CB_TRY(cb_tensors_open(m->onto->weights, &m->file, NULL, m->diag));
    cb_watch_progress(m->request->watch, "matching", 0, 1);
    CB_TRY(find_all(m));
    CB_TRY(take_outputs(m, &changes));
    if (cb_watch_cancelled(m->request->watch)) {
        return CB_INTERRUPTED;
    }
    cb_watch_progress(m->request->watch, "reading tensors", 0, 1);
    cb__draw_params(m->built.net);
    CB_TRY(match(m, true, m->diag));
    CB_TRY(fill_pairs(m));
    CB_TRY(cb__take_entries(m->imported, m->built.net, m->diag));
    add_notes(m);
    return rewrite(m, &changes);
}

enum cb_status cb__import_onto(const struct cb_import_request *request, const struct cb__onto *onto,
                               struct cb_imported *imported, struct cb_diag *diag)
{
    struct importing m = {.request = request, .onto = onto, .backbone = onto->backbone, .imported = imported, .diag = diag};
    enum cb_status status = import(&m);
    cb_tensors_close(m.file);
    return status;
}

enum cb_status cb_import_weights(const struct cb_import_request *request, struct cb_imported *imported,
                                 struct cb_diag *diag)
{
    struct cb__onto onto = {.as = request->as, .weights = request->path};
    onto.comment = cb_arena_printf(imported->arena, "%s as %s, by cambium import.", cb_path_base(request->path), request->as);
    enum cb_status status = cb_backbone_open(request->as, ".", NULL, &onto.backbone, diag);
    if (status == CB_OK) {
        status = cb__import_onto(request, &onto, imported, diag);
    }
    cb_backbone_close(onto.backbone);
    return status;
}
