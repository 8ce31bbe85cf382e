/* names.c: what other frameworks call a layer. */
#include <string.h>

#include "weights/match.h"

static size_t part_length(const char *name)
{
    return strcspn(name, ".");
}

static bool is_star(const char *part)
{
    return part[0] == '*' && (part[1] == '.' || part[1] == '\0');
}

/* How well `ours` fits the beginning of `layer`: 0 not at all, more for more parts and fewer stars. `*out_rest` is what
 * of the layer's name is left, without its dot. */
static uint32_t rule_weight(const char *ours, const char *layer, const char **out_rest)
{
    uint32_t weight = 1;
    while (*ours) {
        size_t length = part_length(layer);
        if (*layer == '\0' || (!is_star(ours) && (part_length(ours) != length || memcmp(ours, layer, length) != 0))) {
            return 0;
        }
        weight += is_star(ours) ? 1000 : 1001;
        ours += part_length(ours);
        layer += length;
        if (*ours == '.') {
            ours++;
        }
        if (*layer == '.') {
            layer++;
        }
    }
    *out_rest = layer;
    return weight;
}

/* The parts of `layer` that the stars of `ours` stand for, one after the other. */
static const char *next_star(const char **ours, const char **layer, size_t *out_length)
{
    while (**ours) {
        bool found = is_star(*ours);
        const char *part = *layer;
        *out_length = part_length(part);
        *ours += part_length(*ours);
        *layer += *out_length;
        *ours += **ours == '.';
        *layer += **layer == '.';
        if (found) {
            return part;
        }
    }
    return NULL;
}

static char *rewrite(struct cb_arena *arena, const struct cb_name_rule *rule, const char *layer, const char *rest)
{
    struct cb_text name = {0};
    const char *ours = rule->ours;
    for (const char *theirs = rule->theirs; *theirs;) {
        size_t length = part_length(theirs);
        const char *part = theirs;
        size_t taken = length;
        if (is_star(theirs)) {
            const char *star = next_star(&ours, &layer, &taken);
            part = star ? star : theirs;
            taken = star ? taken : length;
        }
        cb_text_add_bytes(&name, part, taken);
        theirs += length;
        if (*theirs == '.') {
            cb_text_add(&name, ".");
            theirs++;
        }
    }
    if (*rest) {
        cb_text_add(&name, name.length ? "." : "");
        cb_text_add(&name, rest);
    }
    char *result = name.failed ? NULL : cb_arena_strdup(arena, name.data ? name.data : "");
    cb_text_free(&name);
    return result;
}

char *cb_name_map_apply(struct cb_arena *arena, const struct cb_name_map *map, const char *layer)
{
    const struct cb_name_rule *best = NULL;
    const char *best_rest = NULL;
    uint32_t best_weight = 0;
    for (uint32_t i = 0; i < map->count; i++) {
        const char *rest = NULL;
        uint32_t weight = rule_weight(map->rules[i].ours, layer, &rest);
        if (weight > best_weight) {
            best = &map->rules[i];
            best_rest = rest;
            best_weight = weight;
        }
    }
    return best ? rewrite(arena, best, layer, best_rest) : NULL;
}

const struct cb_name_map *cb_name_map_find(const struct cb_name_map *maps, uint32_t count, const char *label)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(maps[i].label, label) == 0) {
            return &maps[i];
        }
    }
    return NULL;
}

static uint32_t count_stars(const char *pattern)
{
    uint32_t stars = 0;
    for (; *pattern; pattern += part_length(pattern), pattern += *pattern == '.') {
        stars += is_star(pattern);
    }
    return stars;
}

static enum cb_status read_map(struct cb_arena *arena, const struct cb_entry *entry, struct cb_name_map *out,
                               struct cb_diag *diag)
{
    const struct cb_value *map = entry->value;
    out->label = entry->key;
    if (map->kind == CB_KIND_NULL) {
        return CB_OK;
    }
    if (map->kind != CB_KIND_MAP) {
        return cb_fail(diag, CB_INVALID, &map->at, "`names` has under `%s` %s, not a map of our names to theirs",
                       entry->key, cb_kind_name(map->kind));
    }
    struct cb_name_rule *rules = CB_NEW_ARRAY(arena, struct cb_name_rule, map->as.map.count + 1);
    if (!rules) {
        return cb_fail(diag, CB_MEMORY, &map->at, "no memory for the names under `%s`", entry->key);
    }
    enum cb_status status = CB_OK;
    for (size_t i = 0; i < map->as.map.count; i++) {
        const struct cb_entry *rule = &map->as.map.entries[i];
        const struct cb_value *theirs = rule->value;
        if (theirs->kind == CB_KIND_LIST || theirs->kind == CB_KIND_MAP || theirs->kind == CB_KIND_NULL) {
            status = cb_fail(diag, CB_INVALID, &theirs->at, "`%s` must be the name of a layer, not %s", rule->key,
                             cb_kind_name(theirs->kind));
            continue;
        }
        if (count_stars(rule->key) != count_stars(theirs->text)) {
            status = cb_fail(diag, CB_INVALID, &theirs->at, "`%s` and `%s` must have the same number of `*`", rule->key,
                             theirs->text);
        }
        rules[i] = (struct cb_name_rule){.ours = rule->key, .theirs = theirs->text};
    }
    out->rules = rules;
    out->count = (uint32_t)map->as.map.count;
    return status;
}

enum cb_status cb_name_maps_read(struct cb_arena *arena, const struct cb_value *value, struct cb_name_map **out_maps,
                                 uint32_t *out_count, struct cb_diag *diag)
{
    if (!value || value->kind == CB_KIND_NULL) {
        *out_maps = NULL;
        *out_count = 0;
        return CB_OK;
    }
    if (value->kind != CB_KIND_MAP) {
        return cb_fail(diag, CB_INVALID, &value->at, "`names` must be a map of name maps, not %s",
                       cb_kind_name(value->kind));
    }
    struct cb_name_map *maps = CB_NEW_ARRAY(arena, struct cb_name_map, value->as.map.count + 1);
    if (!maps) {
        return cb_fail(diag, CB_MEMORY, &value->at, "no memory for `names`");
    }
    enum cb_status status = CB_OK;
    for (size_t i = 0; i < value->as.map.count; i++) {
        enum cb_status one = read_map(arena, &value->as.map.entries[i], &maps[i], diag);
        status = status == CB_OK ? one : status;
    }
    if (status == CB_OK) {
        *out_maps = maps;
        *out_count = (uint32_t)value->as.map.count;
    }
    return status;
}
