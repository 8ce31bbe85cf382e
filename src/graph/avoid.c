/* avoid.c: `avoid:` of a network or a task: names of variants that no layer of the network may take, such as `winograd`,
 * which rounds more than a plain sum. Which variants a layer has only its plugin says, so every plugin of the search path is
 * asked. */
#include <string.h>

#include "base/file.h"
#include "graph/network.h"

/* A variant is the plain form where it is the last one of its pass: it runs where nothing else does. */
static bool is_plain(const struct cb_layer_type *type, uint32_t variant)
{
    for (uint32_t i = variant + 1; i < type->variant_count; i++) {
        if (type->variants[i].pass == type->variants[variant].pass) {
            return false;
        }
    }
    return true;
}

bool cb__network_avoids(const struct cb_network *net, const struct cb_layer_type *type, uint32_t variant)
{
    for (uint32_t i = 0; i < net->avoid_count; i++) {
        if (strcmp(net->avoid[i], type->variants[variant].name) == 0) {
            return !is_plain(type, variant);
        }
    }
    return false;
}

/* Names of all variants that the search path offers. */
struct names {
    const char **all;
    size_t count, capacity;
    const char **plain; /* per name: a layer of which it is the plain form; else NULL */
    bool *may_go;       /* per name: it is more than a plain form somewhere */
};

static void add_name(struct names *names, const struct cb_layer_type *type, uint32_t variant)
{
    const char *name = type->variants[variant].name;
    size_t at = 0;
    while (at < names->count && strcmp(names->all[at], name) != 0) {
        at++;
    }
    if (at == names->capacity) {
        return;
    }
    names->all[at] = name;
    names->count = at == names->count ? at + 1 : names->count;
    if (is_plain(type, variant)) {
        names->plain[at] = type->layer.name;
    } else {
        names->may_go[at] = true;
    }
}

static enum cb_status find_names(struct cb_registry *registry, struct cb_arena *arena, struct names *out,
                                 struct cb_diag *diag)
{
    const char **words;
    size_t word_count;
    const struct cb_layer_type *type;
    CB_TRY(cb_registry_words(registry, arena, &words, &word_count, diag));
    *out = (struct names){0};
    for (size_t i = 0; i < word_count; i++) {
        out->capacity += cb_registry_find(registry, words[i], NULL, &type, NULL) == CB_OK ? type->variant_count : 0;
    }
    out->all = CB_NEW_ARRAY(arena, const char *, out->capacity + 1);
    out->plain = CB_NEW_ARRAY(arena, const char *, out->capacity + 1);
    out->may_go = CB_NEW_ARRAY(arena, bool, out->capacity + 1);
    if (out->all == NULL || out->plain == NULL || out->may_go == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (size_t i = 0; i < word_count; i++) {
        if (cb_registry_find(registry, words[i], NULL, &type, NULL) != CB_OK) {
            continue; /* one that cannot be loaded cannot run either */
        }
        for (uint32_t v = 0; v < type->variant_count; v++) {
            add_name(out, type, v);
        }
    }
    return CB_OK;
}

static enum cb_status check_name(const struct names *names, const struct cb_value *item, struct cb_diag *diag)
{
    size_t at = 0;
    if (item->kind != CB_KIND_TEXT) {
        return cb_fail(diag, CB_INVALID, &item->at, "`avoid` takes names of variants, such as [winograd], not %s",
                       cb_kind_name(item->kind));
    }
    while (at < names->count && strcmp(names->all[at], item->text) != 0) {
        at++;
    }
    if (at == names->count) {
        const char *nearest = cb_nearest_of(item->text, names->all, names->count);
        return cb_fail(diag, CB_NOT_FOUND, &item->at, "no layer has a variant `%s`%s%s%s", item->text,
                       nearest != NULL ? "; did you mean `" : "; `cambium layers NAME` lists those of a layer",
                       nearest != NULL ? nearest : "", nearest != NULL ? "`?" : "");
    }
    return names->may_go[at] ? CB_OK
                             : cb_fail(diag, CB_INVALID, &item->at,
                                       "`%s` cannot be avoided: it is the plain form (of `%s`, for one), which runs where "
                                       "nothing else does",
                                       item->text, names->plain[at]);
}

enum cb_status cb_network_avoid(struct cb_network *net, const struct cb_value *what, struct cb_diag *diag)
{
    const bool is_list = what != NULL && what->kind == CB_KIND_LIST;
    const size_t count = what == NULL || what->kind == CB_KIND_NULL ? 0 : is_list ? what->as.list.count : 1;
    struct names names;
    if (count == 0) {
        return CB_OK;
    }
    const char **all = CB_NEW_ARRAY(net->arena, const char *, net->avoid_count + count);
    if (all == NULL) {
        return cb_fail(diag, CB_MEMORY, &what->at, "out of memory");
    }
    CB_TRY(find_names(net->registry, net->arena, &names, diag));
    for (uint32_t i = 0; i < net->avoid_count; i++) {
        all[i] = net->avoid[i];
    }
    enum cb_status status = CB_OK;
    for (size_t i = 0; i < count; i++) { /* all that is wrong is said */
        const struct cb_value *item = is_list ? what->as.list.items[i] : what;
        const enum cb_status one = check_name(&names, item, diag);
        all[net->avoid_count + i] = item->text != NULL ? cb_arena_strdup(net->arena, item->text) : NULL;
        status = status != CB_OK ? status : one;
        if (status == CB_OK && all[net->avoid_count + i] == NULL) {
            status = cb_fail(diag, CB_MEMORY, &item->at, "out of memory");
        }
    }
    net->avoid = status == CB_OK ? all : net->avoid;
    net->avoid_count += status == CB_OK ? (uint32_t)count : 0;
    return status;
}

struct cb_value *cb__network_avoid_value(const struct cb_network *net, struct cb_arena *arena)
{
    struct cb_value *list = cb_value_list(arena, NULL);
    for (uint32_t i = 0; list != NULL && i < net->avoid_count; i++) {
        if (!cb_list_append(arena, list, cb_value_text(arena, net->avoid[i], NULL))) {
            return NULL;
        }
    }
    return list;
}
