/* network_names.c: what the names in a list of layers mean: inputs, outputs of blocks, params that are shared. See
 * network_names.h. */
#include "graph/network_names.h"

#include <stdio.h>
#include <string.h>

uint32_t cb__name_block_output(const struct cb_network *net, const struct scope *scope, const char *name)
{
    char prefix[520];
    snprintf(prefix, sizeof(prefix), "%.512s.", name);
    for (uint32_t i = net->node_count; i-- > 0 && !cb_starts_with(scope->prefix, prefix);) {
        if (cb_starts_with(net->nodes[i].name, prefix)) {
            return net->nodes[i].y[0];
        }
    }
    return CB_NONE;
}

static uint32_t find_in_scopes(const struct cb_network *net, const struct scope *scope, const char *name)
{
    for (const struct scope *s = scope; s != NULL; s = s->outer) {
        if (strcmp(name, "input") == 0) {
            return s->input;
        }
        char full[512];
        snprintf(full, sizeof(full), "%s%s", s->prefix, name);
        uint32_t wire = cb_network_find_wire(net, full);
        wire = wire != CB_NONE ? wire : cb__name_block_output(net, scope, full);
        if (wire != CB_NONE) {
            return wire;
        }
    }
    return cb_network_find_wire(net, name);
}

struct name_search {
    const struct cb_network *net;
    const struct scope *scope;
};

static const char *candidate_name(const void *context, size_t i)
{
    const struct name_search *search = context;
    if (i >= search->net->wire_count) {
        return NULL;
    }
    const char *name = search->net->wires[i].name;
    return cb_starts_with(name, search->scope->prefix) ? name + strlen(search->scope->prefix) : name;
}

const char *cb__name_nearest(const struct cb_network *net, const struct scope *scope, const char *name)
{
    const struct name_search search = {net, scope};
    return cb_nearest(name, candidate_name, &search);
}

/* True when a later item of the list has this name: then the reference would close a cycle. */
static bool stands_below(const struct cb_value *list, size_t index, const char *name)
{
    for (size_t i = index; i < list->as.list.count; i++) {
        const struct cb_value *other = cb_map_get(list->as.list.items[i], "name");
        if (other != NULL && other->text != NULL && strcmp(other->text, name) == 0) {
            return true;
        }
    }
    return false;
}

enum cb_status cb__name_inputs(const struct cb_network *net, const struct scope *scope, const struct cb_value *list,
                               size_t index, const struct cb_value *inputs, uint32_t above, uint32_t *out_wires,
                               uint32_t *out_count, struct cb_diag *diag)
{
    if (inputs == NULL || inputs->kind == CB_KIND_NULL) {
        out_wires[0] = above;
        *out_count = 1;
        return CB_OK;
    }
    struct cb_value *single[1] = {(struct cb_value *)(uintptr_t)inputs};
    struct cb_value *const *items = inputs->kind == CB_KIND_LIST ? inputs->as.list.items : single;
    size_t count = inputs->kind == CB_KIND_LIST ? inputs->as.list.count : 1;
    if (count == 0 || count > CB__MAX_INPUTS) {
        return cb_fail(diag, CB_INVALID, &inputs->at, "`inputs` must name 1 to %d layers", CB__MAX_INPUTS);
    }
    for (size_t i = 0; i < count; i++) {
        if (items[i]->kind != CB_KIND_TEXT) {
            return cb_fail(diag, CB_INVALID, &items[i]->at, "`inputs` must be names of layers, not %s",
                           cb_kind_name(items[i]->kind));
        }
        const char *name = items[i]->text;
        uint32_t wire = find_in_scopes(net, scope, name);
        if (wire != CB_NONE) {
            out_wires[i] = wire;
            continue;
        }
        if (stands_below(list, index, name)) {
            return cb_fail(diag, CB_INVALID, &items[i]->at,
                           "`inputs` names `%s`, which does not stand above this layer: that would be a cycle", name);
        }
        const char *nearest = cb__name_nearest(net, scope, name);
        return cb_fail(diag, CB_NOT_FOUND, &items[i]->at, "`inputs` names `%s`, but no layer above has that name%s%s%s",
                       name, nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                       nearest != NULL ? "`?" : "");
    }
    *out_count = (uint32_t)count;
    return CB_OK;
}

static const char *param_name(const void *context, size_t i)
{
    const struct cb_network *net = context;
    return i < net->param_count ? net->params[i].name : NULL;
}

enum cb_status cb__name_share(struct cb_network *net, const struct scope *scope, const struct cb_value *share,
                              struct cb_diag *diag)
{
    if (share == NULL) {
        return CB_OK;
    }
    if (!cb_expect_kind(share, CB_KIND_MAP, "`share`", diag)) {
        return CB_INVALID;
    }
    for (size_t i = 0; i < share->as.map.count; i++) {
        const struct cb_entry *entry = &share->as.map.entries[i];
        const char *name = entry->value->text;
        if (name == NULL) {
            return cb_fail(diag, CB_INVALID, &entry->value->at,
                           "`share` takes the name of a param: `share: {w: conv1.w}`");
        }
        uint32_t target = CB_NONE;
        for (const struct scope *s = scope; s != NULL && target == CB_NONE; s = s->outer) {
            char full[512];
            snprintf(full, sizeof(full), "%s%s", s->prefix, name);
            target = cb_network_find_param(net, full);
        }
        if (target == CB_NONE) {
            const char *nearest = cb_nearest(name, param_name, net);
            return cb_fail(diag, CB_NOT_FOUND, &entry->value->at,
                           "`share` names `%s`, but no layer above has that param%s%s%s", name,
                           nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                           nearest != NULL ? "`?" : "");
        }
        CB_TRY(cb_network_share(net, entry->key, target, &entry->at, diag));
    }
    return CB_OK;
}
