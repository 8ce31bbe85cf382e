/* match_find.c: under which name a file has a tensor, and whose names the file has. */
#include <string.h>

#include "base/text.h"
#include "weights/match_internal.h"

#define CB__TURNED "^T"

/* ---- finding ---------------------------------------------------------------------------------------------------- */

static const struct cb_tensor_entry *find_named(const struct cb__matching *m, const char *name)
{
    if (*m->prefix == '\0') {
        return cb_tensors_find(m->file, name);
    }
    struct cb_text whole = {0};
    cb_text_addf(&whole, "%s%s", m->prefix, name);
    const struct cb_tensor_entry *entry = whole.failed ? NULL : cb_tensors_find(m->file, whole.data);
    cb_text_free(&whole);
    return entry;
}

struct cb__candidates cb__candidates_of(const struct cb__matching *m, const struct cb_wanted *wanted,
                                       const struct cb_name_map *map)
{
    struct cb__candidates names = {.own = wanted->name};
    if (m->is_ours || !wanted->foreign) {
        return names;
    }
    if (map) {
        names.foreign =
            cb_name_map_tensor(m->arena, map, wanted->layer, wanted->name, wanted->foreign, m->part);
    }
    if (!names.foreign) {
        names.foreign = cb_arena_printf(m->arena, "%s.%s", wanted->layer, wanted->foreign);
    }
    if (names.foreign && cb_ends_with(names.foreign, CB__TURNED)) {
        names.is_turned = true;
        names.foreign = cb_arena_strndup(m->arena, names.foreign, strlen(names.foreign) - strlen(CB__TURNED));
    }
    if (map && names.foreign && *m->skip && cb_starts_with(names.foreign, m->skip)) {
        names.foreign += strlen(m->skip);
    }
    return names;
}

const struct cb_tensor_entry *cb__find_wanted(const struct cb__matching *m, const struct cb_wanted *wanted,
                                                 const struct cb_name_map *map, bool *out_is_ours)
{
    struct cb__candidates names = cb__candidates_of(m, wanted, map);
    const struct cb_tensor_entry *entry = names.foreign ? find_named(m, names.foreign) : NULL;
    *out_is_ours = entry == NULL;
    return entry ? entry : find_named(m, names.own);
}

static uint32_t count_found(const struct cb__matching *m, const struct cb_name_map *map)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        bool is_ours;
        found += cb__find_wanted(m, &m->wanted[i], map, &is_ours) != NULL && !is_ours;
    }
    return found;
}

const struct cb_name_map *cb__with_layers(const struct cb__matching *m, const struct cb_name_map *maps,
                                          uint32_t map_count)
{
    const char **layers = CB_NEW_ARRAY(m->arena, const char *, (size_t)m->count + 1);
    struct cb_name_map *copies = CB_NEW_ARRAY(m->arena, struct cb_name_map, (size_t)map_count + 1);
    uint32_t layer_count = 0;
    for (uint32_t i = 0; i < m->count && layers && copies; i++) {
        if (layer_count == 0 || strcmp(layers[layer_count - 1], m->wanted[i].layer) != 0) {
            layers[layer_count++] = m->wanted[i].layer;
        }
    }
    for (uint32_t i = 0; i < map_count && layers && copies; i++) {
        copies[i] = maps[i];
        copies[i].layers = layers;
        copies[i].layer_count = layer_count;
    }
    return layers ? copies : NULL;
}

/* ---- whose names they are --------------------------------------------------------------------------------------- */

enum { MAX_PREFIXES = 32 };

/* What training code puts around a network: wrappers of PyTorch's own, and the names under which people keep one. */
static const char *const wrappers[] = {"module.", "_orig_mod.", "model.", "backbone.", "encoder.", "net.", "network.",
                                       "base_model."};

static size_t wrapper_length(const char *name)
{
    for (size_t i = 0; i < sizeof(wrappers) / sizeof(wrappers[0]); i++) {
        if (cb_starts_with(name, wrappers[i])) {
            return strlen(wrappers[i]);
        }
    }
    return 0;
}

/* The beginnings of names in the file that are wrappers only, the empty one first. */
static uint32_t list_prefixes(const struct cb__matching *m, const char *out[MAX_PREFIXES])
{
    uint32_t count = 1;
    out[0] = "";
    for (uint32_t i = 0; i < cb_tensors_count(m->file) && count < MAX_PREFIXES; i++) {
        const char *name = cb_tensors_at(m->file, i)->name;
        size_t length = 0, next;
        while ((next = wrapper_length(name + length)) > 0 && count < MAX_PREFIXES) {
            length += next;
            uint32_t k = 1;
            while (k < count && (strlen(out[k]) != length || memcmp(out[k], name, length) != 0)) {
                k++;
            }
            out[count] = k == count ? cb_arena_strndup(m->arena, name, length) : NULL;
            count += out[count] != NULL;
        }
    }
    return count;
}

static bool has_name_below(const struct cb__matching *m, const char *beginning)
{
    for (uint32_t i = 0; i < cb_tensors_count(m->file); i++) {
        const char *name = cb_tensors_at(m->file, i)->name;
        if (cb_starts_with(name, m->prefix) && cb_starts_with(name + strlen(m->prefix), beginning)) {
            return true;
        }
    }
    return false;
}

/* A network saved without its head has lost the name under which the head knew it: the first part of the map's names
 * that nothing in the file begins with. */
static const char *absent_beginning(const struct cb__matching *m, const struct cb_name_map *map)
{
    for (uint32_t i = 0; i < map->count; i++) {
        size_t length = strcspn(map->rules[i].theirs, ".");
        if (map->rules[i].theirs[length] == '.') {
            char *beginning = cb_arena_strndup(m->arena, map->rules[i].theirs, length + 1);
            if (beginning && !has_name_below(m, beginning)) {
                return beginning;
            }
        }
    }
    return "";
}

struct choice {
    const struct cb_name_map *map;
    const char *prefix, *skip;
    uint32_t found;
};

static void try_names(struct cb__matching *m, const struct cb_name_map *map, const char *prefix, const char *skip,
                      struct choice *best)
{
    m->prefix = prefix;
    m->skip = skip;
    uint32_t found = count_found(m, map);
    if (found > best->found) {
        *best = (struct choice){map, prefix, skip, found};
    }
}

const struct cb_name_map *cb__choose_names(struct cb__matching *m, const struct cb_name_map *maps, uint32_t map_count)
{
    const char *prefixes[MAX_PREFIXES];
    uint32_t prefix_count = list_prefixes(m, prefixes);
    struct choice best = {NULL, "", "", 0};
    for (uint32_t p = 0; p < prefix_count && (m->count == 0 || best.found < m->count); p++) {
        for (uint32_t i = 0; i < map_count && !m->is_ours; i++) {
            try_names(m, &maps[i], prefixes[p], "", &best);
            if (best.found < m->count) {
                m->skip = "";
                const char *skip = absent_beginning(m, &maps[i]);
                if (*skip) {
                    try_names(m, &maps[i], prefixes[p], skip, &best);
                }
            }
        }
        try_names(m, NULL, prefixes[p], "", &best);
    }
    m->prefix = best.prefix;
    m->skip = best.skip;
    return best.map;
}
