/* freeze.c: what is frozen, and the part of the network that therefore never changes. Freezing is the core's work alone:
 * no plugin knows of it. */
#include <string.h>

#include "graph/network.h"

static bool has_statistics(const struct cb_node *node)
{
    return node->state_count > 0 && (node->type->layer.flags & CB_LAYER_MODE_DEPENDENT) != 0;
}

struct search {
    const struct cb_network *net;
};

static const char *node_name(const void *context, size_t i)
{
    const struct cb_network *net = ((const struct search *)context)->net;
    return i < net->node_count ? net->nodes[i].name : NULL;
}

/* A pattern freezes the layers whose name it matches, and those of a block whose name it matches ("layer1"). */
static bool names_layer(const char *pattern, const char *name)
{
    if (cb_pattern_matches(pattern, name)) {
        return true;
    }
    char part[512];
    for (size_t i = 0; name[i] != '\0' && i + 1 < sizeof(part); i++) {
        if (name[i] == '.') {
            part[i] = '\0';
            if (cb_pattern_matches(pattern, part)) {
                return true;
            }
        }
        part[i] = name[i];
    }
    return false;
}

static enum cb_status nothing_named(const struct cb_network *net, const struct cb_value *value, const char *what,
                                    struct cb_diag *diag)
{
    struct search search = {net};
    const char *nearest = cb_nearest(value->text, node_name, &search);
    return cb_fail(diag, CB_NOT_FOUND, &value->at, "%s `%s` matches no layer of `%s`%s%s%s", what, value->text, net->name,
                   nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "`?" : "");
}

static enum cb_status freeze_pattern(struct cb_network *net, const struct cb_value *pattern, struct cb_diag *diag)
{
    if (pattern->kind != CB_KIND_TEXT) {
        return cb_fail(diag, CB_INVALID, &pattern->at, "`frozen` must list names of layers, not %s",
                       cb_kind_name(pattern->kind));
    }
    bool found = false;
    for (uint32_t i = 0; i < net->node_count; i++) {
        if (names_layer(pattern->text, net->nodes[i].name)) {
            net->nodes[i].frozen = found = true;
        }
    }
    return found ? CB_OK : nothing_named(net, pattern, "the pattern", diag);
}

/* Everything from the input up to and with the last layer that the name matches, along the order of the network. */
static enum cb_status freeze_up_to(struct cb_network *net, const struct cb_value *name, struct cb_diag *diag)
{
    if (name->kind != CB_KIND_TEXT) {
        return cb_fail(diag, CB_INVALID, &name->at, "`up_to` must name a layer, not %s", cb_kind_name(name->kind));
    }
    uint32_t last = CB_NONE;
    for (uint32_t i = 0; i < net->node_count; i++) {
        if (names_layer(name->text, net->nodes[i].name)) {
            last = i;
        }
    }
    if (last == CB_NONE) {
        return nothing_named(net, name, "`up_to`", diag);
    }
    for (uint32_t i = 0; i <= last; i++) {
        net->nodes[i].frozen = true;
    }
    return CB_OK;
}

static enum cb_status read_what(struct cb_network *net, const struct cb_value *what, struct cb_diag *diag)
{
    if (what == NULL || what->kind == CB_KIND_NULL ||
        (what->kind == CB_KIND_TEXT && strcmp(what->text, "backbone") == 0)) {
        for (uint32_t i = 0; i < net->node_count; i++) {
            net->nodes[i].frozen = !net->nodes[i].in_head && !net->nodes[i].added;
        }
        return CB_OK;
    }
    if (what->kind == CB_KIND_TEXT && strcmp(what->text, "none") == 0) {
        return CB_OK;
    }
    if (what->kind == CB_KIND_LIST) {
        for (size_t i = 0; i < what->as.list.count; i++) {
            CB_TRY(freeze_pattern(net, what->as.list.items[i], diag));
        }
        return CB_OK;
    }
    if (what->kind == CB_KIND_MAP) {
        static const char *const keys[] = {"up_to"};
        if (!cb_expect_keys(what, keys, 1, "in `frozen`", diag)) {
            return CB_INVALID;
        }
        const struct cb_value *name = cb_map_get(what, "up_to");
        if (name != NULL) {
            return freeze_up_to(net, name, diag);
        }
    }
    return cb_fail(diag, CB_INVALID, &what->at,
                   "`frozen` must be `backbone`, `none`, `{up_to: LAYER}` or a list of layer-name patterns");
}

enum cb_status cb_network_freeze(struct cb_network *net, const struct cb_value *what, enum cb_batchnorm_mode batchnorm,
                                 struct cb_diag *diag)
{
    for (uint32_t i = 0; i < net->node_count; i++) {
        net->nodes[i].frozen = false;
    }
    CB_TRY(read_what(net, what, diag));
    for (uint32_t i = 0; i < net->node_count; i++) {
        struct cb_node *node = &net->nodes[i];
        node->frozen = node->frozen || node->frozen_in_yaml;
        if (!node->in_head && !node->frozen && has_statistics(node)) {
            node->frozen = batchnorm == CB_BATCHNORM_FROZEN;
            node->inference_form = batchnorm == CB_BATCHNORM_AFFINE;
        } else {
            node->inference_form = false;
        }
        node->inference_form = node->inference_form || node->frozen;
    }
    for (uint32_t i = 0; i < net->param_count; i++) {
        net->params[i].trainable = !net->params[i].is_state && !net->nodes[net->params[i].node].frozen;
    }
    return cb__network_check_shared(net, diag);
}

bool *cb_network_frozen_prefix(struct cb_network *net, struct cb_arena *arena)
{
    bool *prefix = CB_NEW_ARRAY(arena, bool, net->node_count + 1);
    for (uint32_t i = 0; prefix != NULL && i < net->node_count; i++) {
        const struct cb_node *node = &net->nodes[i];
        uint32_t flags = node->type->layer.flags;
        bool fixed = node->frozen || node->param_count == 0;
        if (!node->frozen && (flags & (CB_LAYER_RANDOM | CB_LAYER_FITTED)) != 0) {
            fixed = false;
        }
        fixed = fixed && (flags & CB_LAYER_LOSS) == 0 && (node->frozen || !has_statistics(node));
        for (uint32_t k = 0; k < node->x_count; k++) {
            uint32_t source = net->wires[node->x[k]].node;
            fixed = fixed && (source == CB_NONE || prefix[source]);
        }
        prefix[i] = fixed;
    }
    return prefix;
}
