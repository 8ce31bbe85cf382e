/* names.c: what other frameworks call a layer. */
#include <inttypes.h>
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

/* ---- running numbers --------------------------------------------------------------------------------------------- */

/* How many bytes of `layer` the first `parts` parts of its name take. */
static size_t prefix_length(const char *layer, uint32_t parts)
{
    size_t length = 0;
    for (uint32_t i = 0; i < parts && layer[length]; i++) {
        length += i > 0;
        length += part_length(layer + length);
    }
    return length;
}

/* True when the first `parts` parts of `layer` are those of `ours`, whose stars fit any. */
static bool begins_like(const char *ours, const char *layer, uint32_t parts)
{
    for (uint32_t i = 0; i < parts; i++) {
        size_t length = part_length(layer);
        if (length == 0 || (!is_star(ours) && (part_length(ours) != length || memcmp(ours, layer, length) != 0))) {
            return false;
        }
        ours += part_length(ours);
        ours += *ours == '.';
        layer += length;
        layer += *layer == '.';
    }
    return true;
}

static bool same_block(const char *a, const char *b, uint32_t parts)
{
    size_t length = prefix_length(a, parts);
    return length == prefix_length(b, parts) && memcmp(a, b, length) == 0;
}

/* A block is what the first `parts` parts of a layer's name say. The position of `layer`'s among those that fit `ours`
 * and lie in the same block of `parent_parts` parts, in the order of the map's layers. */
static uint32_t number_of(const struct cb_name_map *map, const char *ours, const char *layer, uint32_t parts,
                          uint32_t parent_parts)
{
    uint32_t number = 0;
    for (uint32_t i = 0; i < map->layer_count && !same_block(map->layers[i], layer, parts); i++) {
        const char *other = map->layers[i];
        bool is_new = begins_like(ours, other, parts) && same_block(other, layer, parent_parts);
        for (uint32_t k = i; k-- > 0 && is_new;) { /* backwards: most blocks are whole */
            is_new = !same_block(map->layers[k], other, parts);
        }
        number += is_new;
    }
    return number;
}

/* ---- their name -------------------------------------------------------------------------------------------------- */

/* A sign of `theirs` that takes stars of `ours`: `*`, or `#K+S`; or `##`, which takes none. */
struct sign {
    size_t length; /* of its text */
    bool is_number, is_again;
    int64_t first, step;
};

#define MAX_NUMBER 1000000

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int64_t read_number(const char **at)
{
    int64_t number = 0;
    for (; is_digit(**at); (*at)++) {
        number = number < MAX_NUMBER ? number * 10 + (**at - '0') : MAX_NUMBER;
    }
    return number;
}

/* False: at `text` is an ordinary letter. */
static bool read_sign(const char *text, struct sign *out)
{
    *out = (struct sign){.length = 1, .step = 1};
    if (*text == '*') {
        return true;
    }
    if (*text != '#') {
        return false;
    }
    const char *at = text + 1;
    out->is_number = true;
    out->is_again = *at == '#';
    if (out->is_again) {
        at++;
    } else {
        bool is_negative = *at == '-' && is_digit(at[1]);
        at += is_negative;
        out->first = read_number(&at) * (is_negative ? -1 : 1);
        if (at > text + 1 && *at == '+' && is_digit(at[1])) {
            at++;
            out->step = read_number(&at);
        }
    }
    out->length = (size_t)(at - text);
    return true;
}

static uint32_t count_stars(const char *pattern)
{
    uint32_t stars = 0;
    for (; *pattern; pattern += part_length(pattern), pattern += *pattern == '.') {
        stars += is_star(pattern);
    }
    return stars;
}

/* How many signs from `text` on take a star of `ours`. */
static uint32_t count_takers(const char *text)
{
    uint32_t takers = 0;
    struct sign sign;
    while (*text) {
        bool found = read_sign(text, &sign);
        takers += found && !sign.is_again;
        text += sign.length;
    }
    return takers;
}

/* How many parts of `ours` there are up to its star number `stars`, that one with it; 0 for no star. */
static uint32_t parts_to_star(const char *ours, uint32_t stars)
{
    uint32_t parts = 0;
    for (; stars > 0 && *ours; ours += part_length(ours), ours += *ours == '.') {
        stars -= is_star(ours);
        parts++;
    }
    return parts;
}

static void add_part(struct cb_text *name, const char *layer, uint32_t part)
{
    size_t before = prefix_length(layer, part - 1), after = prefix_length(layer, part);
    before += part > 1;
    cb_text_add_bytes(name, layer + before, after - before);
}

static char *rewrite(struct cb_arena *arena, const struct cb_name_map *map, const struct cb_name_rule *rule,
                     const char *layer, const char *rest)
{
    struct cb_text name = {0};
    const char *theirs = rule->theirs;
    const uint32_t stars = count_stars(rule->ours);
    uint32_t taken = 0;
    int64_t number = 0;
    struct sign sign;
    for (const char *at = theirs; *at; at += sign.length) {
        if (!read_sign(at, &sign)) {
            cb_text_add_bytes(&name, at, 1);
        } else if (sign.is_again) {
            cb_text_addf(&name, "%" PRId64, number);
        } else if (sign.is_number) { /* the last takes all that are left */
            uint32_t parent = parts_to_star(rule->ours, taken);
            taken = count_takers(at + sign.length) == 0 ? stars : taken + 1;
            uint32_t parts = parts_to_star(rule->ours, taken);
            number = sign.first + sign.step * number_of(map, rule->ours, layer, parts, parent);
            cb_text_addf(&name, "%" PRId64, number);
        } else {
            add_part(&name, layer, parts_to_star(rule->ours, ++taken));
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

static bool ends_with_star(const char *pattern)
{
    size_t length = strlen(pattern);
    return length > 0 && pattern[length - 1] == '*' && (length == 1 || pattern[length - 2] == '.');
}

/* The rule that wins for `name`, and what it leaves of it; NULL: none speaks of it. `is_param`: only rules that name all
 * of it, its last part in letters. */
static const struct cb_name_rule *find_rule(const struct cb_name_map *map, const char *name, bool is_param,
                                            const char **out_rest)
{
    const struct cb_name_rule *best = NULL;
    uint32_t best_weight = 0;
    for (uint32_t i = 0; i < map->count; i++) {
        const char *rest = NULL, *ours = map->rules[i].ours;
        uint32_t weight = rule_weight(ours, name, &rest);
        if (weight > best_weight && !(is_param && (*rest != '\0' || ends_with_star(ours)))) {
            best = &map->rules[i];
            *out_rest = rest;
            best_weight = weight;
        }
    }
    return best;
}

/* How many rules of one `ours` stand behind each other from `first` on. */
static uint32_t count_parts(const struct cb_name_map *map, const struct cb_name_rule *first)
{
    const struct cb_name_rule *rule = first + 1;
    while (rule < map->rules + map->count && strcmp(rule->ours, first->ours) == 0) {
        rule++;
    }
    return (uint32_t)(rule - first);
}

static char *apply(struct cb_arena *arena, const struct cb_name_map *map, const char *name, bool is_param, uint32_t part)
{
    const char *rest = NULL;
    const struct cb_name_rule *rule = find_rule(map, name, is_param, &rest);
    return rule && part < count_parts(map, rule) ? rewrite(arena, map, rule + part, name, rest) : NULL;
}

char *cb_name_map_apply(struct cb_arena *arena, const struct cb_name_map *map, const char *layer)
{
    return apply(arena, map, layer, false, 0);
}

uint32_t cb_name_map_parts(const struct cb_name_map *map, const char *layer, const char *param)
{
    const char *rest = NULL;
    const struct cb_name_rule *rule = find_rule(map, param, true, &rest);
    rule = rule ? rule : find_rule(map, layer, false, &rest);
    return rule ? count_parts(map, rule) : 1;
}

char *cb_name_map_tensor(struct cb_arena *arena, const struct cb_name_map *map, const char *layer, const char *param,
                         const char *foreign, uint32_t part)
{
    const char *rest = NULL;
    if (find_rule(map, param, true, &rest)) {
        return apply(arena, map, param, true, part);
    }
    const char *theirs = apply(arena, map, layer, false, part);
    return theirs ? cb_arena_printf(arena, "%s%s%s", theirs, *theirs ? "." : "", foreign) : NULL;
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

/* Every `*` of `ours` must be taken by a `*` or `#` of `theirs`. */
static enum cb_status check_signs(const char *ours, const struct cb_value *theirs, struct cb_diag *diag)
{
    const char *text = theirs->text;
    uint32_t stars = count_stars(ours), takers = count_takers(text);
    bool ends_with_number = false, has_number = false;
    struct sign sign;
    for (const char *at = text; *at; at += sign.length) {
        if (!read_sign(at, &sign)) {
            continue;
        }
        if (sign.is_again && !has_number) {
            return cb_fail(diag, CB_INVALID, &theirs->at, "`##` in `%s` has no `#` before it whose number it could repeat",
                           text);
        }
        if (sign.first >= MAX_NUMBER || sign.first <= -MAX_NUMBER || sign.step >= MAX_NUMBER) {
            return cb_fail(diag, CB_INVALID, &theirs->at, "`%.*s` in `%s` must stay below %d", (int)sign.length, at, text,
                           MAX_NUMBER);
        }
        has_number = has_number || sign.is_number;
        ends_with_number = sign.is_again ? ends_with_number : sign.is_number;
    }
    if (has_number && stars == 0) {
        return cb_fail(diag, CB_INVALID, &theirs->at, "`#` in `%s` numbers what `*` stands for, but `%s` has no `*`", text,
                       ours);
    }
    if (takers > stars || (takers < stars && !ends_with_number)) {
        return cb_fail(diag, CB_INVALID, &theirs->at,
                       has_number ? "`%s` and `%s` must have the same number of `*` or `#`"
                                  : "`%s` and `%s` must have the same number of `*`", ours, text);
    }
    return CB_OK;
}

/* How many rules the lists of `map` make. */
static size_t count_rules(const struct cb_value *map)
{
    size_t count = 0;
    for (size_t i = 0; i < map->as.map.count; i++) {
        const struct cb_value *theirs = map->as.map.entries[i].value;
        count += theirs->kind == CB_KIND_LIST ? theirs->as.list.count : 1;
    }
    return count;
}

static enum cb_status read_rule(struct cb_name_map *map, struct cb_name_rule *rules, const char *ours,
                                const struct cb_value *theirs, struct cb_diag *diag)
{
    if (theirs->kind == CB_KIND_LIST || theirs->kind == CB_KIND_MAP || theirs->kind == CB_KIND_NULL) {
        return cb_fail(diag, CB_INVALID, &theirs->at, "`%s` must be the name of a layer, or a list of several, not %s",
                       ours, cb_kind_name(theirs->kind));
    }
    rules[map->count++] = (struct cb_name_rule){.ours = ours, .theirs = theirs->text};
    return check_signs(ours, theirs, diag);
}

static enum cb_status read_map(struct cb_arena *arena, const struct cb_entry *entry, struct cb_name_map *out,
                               struct cb_diag *diag)
{
    const struct cb_value *map = entry->value;
    *out = (struct cb_name_map){.label = entry->key};
    if (map->kind == CB_KIND_NULL) {
        return CB_OK;
    }
    if (map->kind != CB_KIND_MAP) {
        return cb_fail(diag, CB_INVALID, &map->at, "`names` has under `%s` %s, not a map of our names to theirs",
                       entry->key, cb_kind_name(map->kind));
    }
    struct cb_name_rule *rules = CB_NEW_ARRAY(arena, struct cb_name_rule, count_rules(map) + 1);
    if (!rules) {
        return cb_fail(diag, CB_MEMORY, &map->at, "no memory for the names under `%s`", entry->key);
    }
    enum cb_status status = CB_OK;
    for (size_t i = 0; i < map->as.map.count; i++) {
        const char *ours = map->as.map.entries[i].key;
        const struct cb_value *theirs = map->as.map.entries[i].value;
        const bool is_list = theirs->kind == CB_KIND_LIST && theirs->as.list.count > 0;
        for (size_t k = 0; k < (is_list ? theirs->as.list.count : 1); k++) {
            enum cb_status one = read_rule(out, rules, ours, is_list ? theirs->as.list.items[k] : theirs, diag);
            status = status == CB_OK ? one : status;
        }
    }
    out->rules = rules;
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
