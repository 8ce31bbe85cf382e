/* arguments.c: see arguments.h. */
#include "graph/arguments.h"

#include <string.h>

#include "base/text.h"

enum cb_status cb__arguments_bind(struct cb_arena *arena, const struct cb_value *parameters, const char *word,
                                  const struct cb_value *given, const struct cb_value *first,
                                  const struct cb_place *at, struct cb_value **out, struct cb_diag *diag)
{
    struct cb_value *arguments =
        parameters != NULL && parameters->kind == CB_KIND_MAP ? cb_value_clone(arena, parameters)
                                                              : cb_value_map(arena, at);
    if (arguments == NULL) {
        return cb_fail(diag, CB_MEMORY, at, "out of memory");
    }
    const struct cb_value *sources[2] = {given, first};
    for (int s = 0; s < 2; s++) {
        const struct cb_value *map = sources[s];
        if (map == NULL || map->kind == CB_KIND_NULL) {
            continue;
        }
        if (map->kind != CB_KIND_MAP) {
            return cb_fail(diag, CB_INVALID, &map->at, "the parameters of block `%s` must be a map", word);
        }
        for (size_t i = 0; i < map->as.map.count; i++) {
            const struct cb_entry *entry = &map->as.map.entries[i];
            if (cb_map_entry(arguments, entry->key) == NULL) {
                const char *keys[64];
                size_t count = 0;
                for (size_t k = 0; k < arguments->as.map.count && k < 64; k++) {
                    keys[count++] = arguments->as.map.entries[k].key;
                }
                const char *nearest = cb_nearest_of(entry->key, keys, count);
                return cb_fail(diag, CB_INVALID, &entry->at, "block `%s` has no parameter `%s`%s%s%s", word, entry->key,
                               nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                               nearest != NULL ? "`?" : "");
            }
            if (!cb_map_set(arena, arguments, entry->key, entry->value)) {
                return cb_fail(diag, CB_MEMORY, at, "out of memory");
            }
        }
    }
    for (size_t i = 0; i < arguments->as.map.count; i++) {
        if (arguments->as.map.entries[i].value->kind == CB_KIND_NULL) {
            return cb_fail(diag, CB_INVALID, at, "block `%s` needs its parameter `%s`", word,
                           arguments->as.map.entries[i].key);
        }
    }
    *out = arguments;
    return CB_OK;
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

static const char *const built_in[] = {"C", "H", "W", "T", "input.C", "input.H", "input.W", "input.T", "index"};
#define BUILT_IN_COUNT (sizeof(built_in) / sizeof(built_in[0]))
#define MAX_NAMES 256

static enum cb_status fail_unknown(const struct cb__item_names *names, const char *name, const struct cb_place *at,
                                   struct cb_diag *diag)
{
    const struct cb_value *maps[] = {names->loop, names->scope->arguments, names->scope->parameters};
    const char *words[MAX_NAMES];
    size_t count = 0;
    for (size_t m = 0; m < 3; m++) {
        for (size_t i = 0; maps[m] != NULL && i < maps[m]->as.map.count && count < MAX_NAMES; i++) {
            words[count++] = maps[m]->as.map.entries[i].key;
        }
    }
    for (size_t i = 0; i < BUILT_IN_COUNT && count < MAX_NAMES; i++) {
        words[count++] = built_in[i];
    }
    const char *nearest = cb_nearest_of(name, words, count);
    return cb_fail(diag, CB_NOT_FOUND, at, "there is no parameter `%s` here%s%s%s", name,
                   nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "", nearest != NULL ? "`?" : "");
}

/* C, H, W or T of what `wire` carries. */
static enum cb_status find_size(const struct cb__item_names *names, char which, uint32_t wire, const struct cb_place *at,
                                const struct cb_value **out, struct cb_diag *diag)
{
    const struct cb_tensor *shape = wire != CB_NONE ? &names->net->wires[wire].shape : NULL;
    const uint32_t rank = shape != NULL ? shape->rank : 0;
    const bool is_there = which == 'C' ? rank >= 2 : which == 'T' ? rank == 3 : rank == 4;
    if (!is_there) {
        return cb_fail(diag, CB_INVALID, at, "`%c` is a size of %s; what comes here has %u axes", which,
                       which == 'C' ? "[N,...,C]" : which == 'T' ? "[N,T,C]" : "[N,H,W,C]", rank);
    }
    const uint32_t axis = which == 'C' ? rank - 1 : which == 'W' ? 2 : 1;
    *out = cb_value_int(names->net->arena, shape->dims[axis], at);
    return *out != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, at, "out of memory");
}

static enum cb_status find_name(void *context, const char *text, size_t length, const struct cb_place *at,
                                const struct cb_value **out, struct cb_diag *diag)
{
    const struct cb__item_names *names = context;
    const struct cb_value *maps[] = {names->loop, names->scope->arguments, names->scope->parameters};
    char name[128];
    if (length >= sizeof(name)) {
        return cb_fail(diag, CB_INVALID, at, "a name of %zu letters is none of a parameter", length);
    }
    memcpy(name, text, length);
    name[length] = '\0';
    for (size_t m = 0; m < 3; m++) {
        const struct cb_value *found = cb_map_get(maps[m], name);
        if (found != NULL && found->kind == CB_KIND_TEXT && strchr(found->text, '$') != NULL) {
            return cb_fail(diag, CB_INVALID, at, "`%s` is not settled yet: a default may use the parameters above it", name);
        }
        if (found != NULL) {
            *out = found;
            return CB_OK;
        }
    }
    for (size_t i = 0; i < BUILT_IN_COUNT; i++) {
        if (strcmp(name, built_in[i]) != 0) {
            continue;
        }
        if (i == BUILT_IN_COUNT - 1) {
            *out = cb_value_int(names->net->arena, names->index, at);
            return *out != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, at, "out of memory");
        }
        return find_size(names, name[length - 1], i < 4 ? names->feed : names->scope->input, at, out, diag);
    }
    return fail_unknown(names, name, at, diag);
}

struct cb_names cb__item_names(struct cb__item_names *names)
{
    return (struct cb_names){find_name, names};
}

enum cb_status cb__arguments_settle(struct cb_network *net, const struct scope *scope, const struct cb_value *given,
                                    const struct cb_value *first, struct cb_diag *diag)
{
    struct cb__item_names inner = {.net = net, .scope = scope, .feed = scope->input};
    const struct cb_names names = cb__item_names(&inner);
    for (size_t i = 0; i < scope->arguments->as.map.count; i++) {
        const struct cb_entry *entry = &scope->arguments->as.map.entries[i];
        if (cb_map_entry(given, entry->key) == NULL && cb_map_entry(first, entry->key) == NULL) {
            struct cb_value *value = cb_value_clone(net->arena, entry->value);
            if (value == NULL) {
                return cb_fail(diag, CB_MEMORY, &entry->at, "out of memory");
            }
            CB_TRY(cb_value_substitute(net->arena, &names, value, diag));
            *entry->value = *value;
        }
    }
    return CB_OK;
}
