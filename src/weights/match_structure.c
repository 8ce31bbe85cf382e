/* match_structure.c: groups of a file, layers of a network, and what is said of the pairs. See match_structure.h. */
#include "weights/match_structure.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "weights/match_internal.h"
#include "weights/structure.h"

#define MAX_CELLS (16u << 20) /* groups times layers */

struct structure {
    struct cb__structure s;
    struct cb_tensor_file *file;
    struct cb_wanted *wanted;
    uint32_t wanted_count;
    const struct cb_name_map *known;
    const char *open_layer;
    struct cb_arena *arena;
    const struct cb_place *at;
    struct cb_diag *diag;
};

static enum cb_status no_memory(const struct structure *m)
{
    return cb_fail(m->diag, CB_MEMORY, m->at, "no memory to match the tensors of `%s`", cb_tensors_path(m->file));
}

/* ---- groups and layers --------------------------------------------------------------------------------------------- */

static size_t group_length(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL ? (size_t)(dot - name) : 0;
}

static const char *suffix_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL ? dot + 1 : name;
}

/* Counters and integers are no params. */
static bool is_param(const struct cb_tensor_entry *entry)
{
    return cb_stored_is_real(entry->type) && entry->count > 0;
}

static int by_group(const void *a, const void *b, void *context)
{
    struct cb_tensor_file *file = context;
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    const char *one = cb_tensors_at(file, x)->name, *other = cb_tensors_at(file, y)->name;
    const size_t length = group_length(one), other_length = group_length(other);
    int order = memcmp(one, other, length < other_length ? length : other_length);
    order = order != 0 ? order : (length > other_length) - (length < other_length);
    return order != 0 ? order : (x > y) - (x < y);
}

static int by_first_item(const void *a, const void *b)
{
    const uint32_t x = *((const struct cb__group *)a)->items, y = *((const struct cb__group *)b)->items;
    return (x > y) - (x < y);
}

static enum cb_status make_groups(struct structure *m)
{
    const uint32_t count = cb_tensors_count(m->file);
    uint32_t *items = CB_NEW_ARRAY(m->arena, uint32_t, (size_t)count + 1), used = 0;
    struct cb__group *groups = CB_NEW_ARRAY(m->arena, struct cb__group, (size_t)count + 1);
    if (items == NULL || groups == NULL) {
        return no_memory(m);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (is_param(cb_tensors_at(m->file, i))) {
            items[used++] = i;
        }
    }
    qsort_r(items, used, sizeof(*items), by_group, m->file);
    for (uint32_t i = 0; i < used; i++) {
        const struct cb_tensor_entry *entry = cb_tensors_at(m->file, items[i]);
        const size_t length = group_length(entry->name);
        struct cb__group *last = m->s.group_count > 0 ? &groups[m->s.group_count - 1] : NULL;
        if (last == NULL || strlen(last->name) != length || memcmp(last->name, entry->name, length) != 0) {
            last = &groups[m->s.group_count++];
            *last = (struct cb__group){cb_arena_strndup(m->arena, entry->name, length), &items[i], 0, true};
            if (last->name == NULL) {
                return no_memory(m);
            }
        }
        last->count++;
        last->is_vectors = last->is_vectors && entry->rank <= 1;
    }
    qsort(groups, m->s.group_count, sizeof(*groups), by_first_item);
    m->s.groups = groups;
    return CB_OK;
}

static enum cb_status make_layers(struct structure *m)
{
    struct cb__layer *layers = CB_NEW_ARRAY(m->arena, struct cb__layer, (size_t)m->wanted_count + 1);
    if (layers == NULL) {
        return no_memory(m);
    }
    for (uint32_t i = 0; i < m->wanted_count; i++) {
        const struct cb_wanted *w = &m->wanted[i];
        if (w->replaced) {
            continue;
        }
        struct cb__layer *last = m->s.layer_count > 0 ? &layers[m->s.layer_count - 1] : NULL;
        if (last == NULL || strcmp(last->name, w->layer) != 0) {
            last = &layers[m->s.layer_count++];
            *last = (struct cb__layer){w->layer, i, 0, true};
        }
        last->count++;
        last->is_vectors = last->is_vectors && w->rank <= 1;
    }
    m->s.layers = layers;
    return CB_OK;
}

/* ---- does a group fit a layer? ------------------------------------------------------------------------------------- */

/* What others call the same param. */
static const char *const synonyms[][2] = {
    {"weight", "gamma"}, {"bias", "beta"}, {"running_mean", "moving_mean"}, {"running_var", "moving_variance"},
};

static bool means_the_same(const char *wanted, const char *suffix)
{
    if (strcmp(wanted, suffix) == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++) {
        if (strcmp(wanted, synonyms[i][0]) == 0 && strcmp(suffix, synonyms[i][1]) == 0) {
            return true;
        }
    }
    return false;
}

static const struct cb_tensor_entry *param_in_group(const struct structure *m, const struct cb__group *group,
                                                    const struct cb__layer *layer, const struct cb_wanted *w)
{
    if (group->count == 1 && layer->count == 1) {
        return cb_tensors_at(m->file, group->items[0]);
    }
    for (uint32_t i = 0; i < group->count; i++) {
        const struct cb_tensor_entry *entry = cb_tensors_at(m->file, group->items[i]);
        if (means_the_same(w->foreign != NULL ? w->foreign : suffix_of(w->name), suffix_of(entry->name))) {
            return entry;
        }
    }
    return NULL;
}

static bool fits_param(const struct structure *m, const struct cb_wanted *w, const struct cb_tensor_entry *entry)
{
    struct cb_wanted as = *w;
    struct cb_tensor_entry view;
    if (m->open_layer != NULL && strcmp(w->layer, m->open_layer) == 0 && w->rank > 0 && entry->rank > 0) {
        as.dims[w->rank - 1] = entry->dims[0]; /* as many outputs as the file has */
    }
    return cb__view_as_ours(&as, entry, false, &view);
}

static bool fits(const struct structure *m, const struct cb__group *group, const struct cb__layer *layer)
{
    uint32_t used = 0;
    if (group->count > layer->count) {
        return false;
    }
    for (uint32_t i = layer->first; i < layer->first + layer->count; i++) {
        const struct cb_wanted *w = &m->wanted[i];
        const struct cb_tensor_entry *entry = param_in_group(m, group, layer, w);
        if (entry != NULL && !fits_param(m, w, entry)) {
            return false;
        }
        if (entry == NULL && !w->optional) {
            return false;
        }
        used += entry != NULL;
    }
    return used == group->count;
}

static enum cb_status compare_all(struct structure *m)
{
    struct cb__structure *s = &m->s;
    const size_t cells = (size_t)s->group_count * s->layer_count;
    if (cells > MAX_CELLS) {
        return cb_fail(m->diag, CB_UNSUPPORTED, m->at, "`%s` has too many layers (%u) to be matched by structure",
                       cb_tensors_path(m->file), s->group_count);
    }
    unsigned char *table = CB_NEW_ARRAY(m->arena, unsigned char, cells + 1);
    s->group_of = CB_NEW_ARRAY(m->arena, uint32_t, (size_t)s->layer_count + 1);
    s->layer_of = CB_NEW_ARRAY(m->arena, uint32_t, (size_t)s->group_count + 1);
    s->is_doubtful = CB_NEW_ARRAY(m->arena, bool, (size_t)s->layer_count + 1);
    if (table == NULL || s->group_of == NULL || s->layer_of == NULL || s->is_doubtful == NULL) {
        return no_memory(m);
    }
    for (uint32_t i = 0; i < s->group_count; i++) {
        s->layer_of[i] = CB__NONE;
        for (uint32_t j = 0; j < s->layer_count; j++) {
            table[(size_t)i * s->layer_count + j] = fits(m, &s->groups[i], &s->layers[j]);
        }
    }
    for (uint32_t j = 0; j < s->layer_count; j++) {
        s->group_of[j] = CB__NONE;
    }
    s->fits = table;
    return CB_OK;
}

/* ---- what is settled, what order says -------------------------------------------------------------------------------- */

static enum cb_status take_known(struct structure *m)
{
    struct cb__structure *s = &m->s;
    for (uint32_t j = 0; j < s->layer_count && m->known != NULL; j++) {
        const char *name = cb_name_map_apply(m->arena, m->known, s->layers[j].name);
        uint32_t i = 0;
        while (name != NULL && i < s->group_count && strcmp(s->groups[i].name, name) != 0) {
            i++;
        }
        if (name == NULL) {
            continue;
        }
        if (i == s->group_count) {
            return cb_fail(m->diag, CB_NOT_FOUND, m->at, "the names say `%s` for `%s`, but `%s` has no such layer", name,
                           s->layers[j].name, cb_tensors_path(m->file));
        }
        if (!cb__fits(s, i, j)) {
            return cb_fail(m->diag, CB_MISMATCH, m->at, "the names say `%s` for `%s`, but it does not fit that in `%s`",
                           name, s->layers[j].name, cb_tensors_path(m->file));
        }
        if (s->layer_of[i] != CB__NONE) {
            return cb_fail(m->diag, CB_MISMATCH, m->at, "the names say `%s` for `%s` and for `%s`", name,
                           s->layers[s->layer_of[i]].name, s->layers[j].name);
        }
        s->group_of[j] = i;
        s->layer_of[i] = j;
    }
    return CB_OK;
}

/* Safetensors' own library sorts by size of the elements, then by name: no order of the network's. */
static bool is_sorted(const struct structure *m)
{
    bool is_by_name = strncmp(cb_tensors_format(m->file), "PyTorch", 7) != 0 && m->s.group_count > 1;
    for (uint32_t i = 1; is_by_name && i < cb_tensors_count(m->file); i++) {
        const struct cb_tensor_entry *a = cb_tensors_at(m->file, i - 1), *b = cb_tensors_at(m->file, i);
        is_by_name = a->type != b->type || strcmp(a->name, b->name) < 0;
    }
    return is_by_name;
}

/* "key" for `query` beside another "query" of the same parent that fits as well: order says one thing, words another. */
static bool is_contradicted(const struct cb__structure *s, uint32_t layer)
{
    const uint32_t group = s->group_of[layer];
    const char *ours = suffix_of(s->layers[layer].name), *theirs = s->groups[group].name;
    const size_t parent = group_length(theirs);
    if (strcmp(ours, suffix_of(theirs)) == 0) {
        return false;
    }
    for (uint32_t i = 0; i < s->group_count; i++) {
        const char *name = s->groups[i].name;
        if (i != group && cb__fits(s, i, layer) && group_length(name) == parent && memcmp(name, theirs, parent) == 0 &&
            strcmp(suffix_of(name), ours) == 0) {
            return true;
        }
    }
    return false;
}

static void doubt_contradictions(struct cb__structure *s, const struct structure *m)
{
    for (uint32_t j = 0; j < s->layer_count; j++) {
        bool is_known = m->known != NULL && cb_name_map_apply(m->arena, m->known, s->layers[j].name) != NULL;
        s->is_doubtful[j] = s->group_of[j] == CB__NONE ? s->is_doubtful[j] : !is_known && is_contradicted(s, j);
    }
}

/* ---- what is said ---------------------------------------------------------------------------------------------------- */

/* A doubtful layer's candidates: groups that fit it and are no certain layer's. */
static bool is_candidate(const struct cb__structure *s, uint32_t group, uint32_t layer)
{
    const uint32_t owner = s->layer_of[group];
    return cb__fits(s, group, layer) && (owner == CB__NONE || owner == layer || s->is_doubtful[owner]);
}

static void shape_of(const struct structure *m, uint32_t layer, char out[192])
{
    const struct cb_wanted *w = &m->wanted[m->s.layers[layer].first];
    cb_format_dims(w->rank, w->dims, out);
}

static enum cb_status fail_ambiguous(const struct structure *m)
{
    const struct cb__structure *s = &m->s;
    struct cb_text choices = {0}, map = {0};
    uint32_t doubtful = 0, listed = 0, first = CB__NONE;
    cb_text_add(&map, "a file for --names, to be completed (a few of them may settle the rest):");
    for (uint32_t j = 0; j < s->layer_count; j++) {
        if (!s->is_doubtful[j]) {
            continue;
        }
        first = first == CB__NONE ? j : first;
        if (doubtful++ >= 8) {
            continue;
        }
        uint32_t ways = 0;
        cb_text_addf(&map, "\n  %s: ", s->layers[j].name);
        for (uint32_t i = 0; i < s->group_count; i++) {
            if (is_candidate(s, i, j) && ways++ < 6) {
                cb_text_addf(&map, "%s%s", ways == 1 ? "" : ways == 2 ? "  # or " : ", ", s->groups[i].name);
                if (j == first) {
                    cb_text_addf(&choices, "%s`%s`", listed++ > 0 ? " or " : "", s->groups[i].name);
                }
            }
        }
    }
    char shape[192];
    shape_of(m, first, shape);
    enum cb_status status = cb_fail(m->diag, CB_MISMATCH, m->at,
        "`%s` fits the network in more than one way: `%s` %s could be %s%s; the file's order and names do not say which. "
        "Say it with --names FILE, a YAML file of our names to the file's",
        cb_tensors_path(m->file), s->layers[first].name, shape, choices.data != NULL ? choices.data : "one of several",
        doubtful > 1 ? cb_arena_printf(m->arena, ", and %" PRIu32 " more layers likewise", doubtful - 1) : "");
    if (!map.failed) {
        cb_diag_attach(m->diag, map.data);
    }
    cb_text_free(&choices);
    cb_text_free(&map);
    return status;
}

static enum cb_status fail_missing(const struct structure *m, uint32_t layer, uint32_t missing)
{
    char shape[192];
    shape_of(m, layer, shape);
    return cb_fail(m->diag, CB_MISMATCH, m->at,
                   "`%s` has no tensors of the shapes of %" PRIu32 " of the network's %" PRIu32 " layers with params; the "
                   "first is `%s` %s: another network, or another size of this one?",
                   cb_tensors_path(m->file), missing, m->s.layer_count, m->s.layers[layer].name, shape);
}

static enum cb_status judge(const struct structure *m)
{
    const struct cb__structure *s = &m->s;
    uint32_t missing = 0, first = CB__NONE, doubtful = 0;
    for (uint32_t j = 0; j < s->layer_count; j++) {
        bool is_open = m->open_layer != NULL && strcmp(s->layers[j].name, m->open_layer) == 0;
        doubtful += s->is_doubtful[j];
        if (s->group_of[j] == CB__NONE && !s->is_doubtful[j] && !is_open) {
            first = missing++ == 0 ? j : first;
        }
    }
    if (missing > 0) {
        return fail_missing(m, first, missing);
    }
    return doubtful > 0 ? fail_ambiguous(m) : CB_OK;
}

/* The pairs as a name map, the params under the file's words. */
static enum cb_status write_map(const struct structure *m, struct cb_name_map *out)
{
    const struct cb__structure *s = &m->s;
    struct cb_name_rule *rules = CB_NEW_ARRAY(m->arena, struct cb_name_rule, (size_t)s->layer_count + 1);
    if (rules == NULL) {
        return no_memory(m);
    }
    *out = (struct cb_name_map){.label = "structure and shape", .rules = rules};
    for (uint32_t j = 0; j < s->layer_count; j++) {
        if (s->group_of[j] == CB__NONE) {
            continue;
        }
        const struct cb__group *group = &s->groups[s->group_of[j]];
        const struct cb__layer *layer = &s->layers[j];
        rules[out->count++] = (struct cb_name_rule){layer->name, group->name};
        for (uint32_t i = layer->first; i < layer->first + layer->count; i++) {
            const struct cb_tensor_entry *entry = param_in_group(m, group, layer, &m->wanted[i]);
            m->wanted[i].foreign = entry != NULL ? cb_arena_strdup(m->arena, suffix_of(entry->name)) : m->wanted[i].foreign;
        }
    }
    return CB_OK;
}

enum cb_status cb_weights_match_structure(struct cb_tensor_file *file, struct cb_wanted *wanted, uint32_t count,
                                          const struct cb_name_map *known, const char *open_layer,
                                          struct cb_arena *arena, struct cb_name_map *out_map, const struct cb_place *at,
                                          struct cb_diag *diag)
{
    struct structure m = {.file = file, .wanted = wanted, .wanted_count = count, .known = known,
                          .open_layer = open_layer, .arena = arena, .at = at, .diag = diag};
    CB_TRY(make_groups(&m));
    CB_TRY(make_layers(&m));
    CB_TRY(compare_all(&m));
    CB_TRY(take_known(&m));
    CB_TRY(is_sorted(&m) ? cb__align_by_numbers(&m.s, diag) : cb__align_in_order(&m.s, diag));
    doubt_contradictions(&m.s, &m);
    CB_TRY(judge(&m));
    return write_map(&m, out_map);
}
