/* share.c: one param in two layers (`share: {w: embedding.w}`, tied weights). It stays a param of the first layer: saved,
 * counted and hashed once; in backward the gradients of all its layers add. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "graph/network.h"

static uint32_t own_param(const struct cb_network *net, const struct cb_node *node, const char *name)
{
    for (uint32_t k = 0; k < node->param_count; k++) {
        if (strcmp(net->params[node->params[k]].decl.name, name) == 0) {
            return k;
        }
    }
    return CB_NONE;
}

static bool same_shape(const struct cb_param_decl *a, const struct cb_param_decl *b)
{
    bool same = a->role == b->role && a->rank == b->rank;
    for (uint32_t i = 0; same && i < a->rank; i++) {
        same = a->dims[i] == b->dims[i];
    }
    return same;
}

static const char *shape_text(const struct cb_param_decl *decl, char out[160])
{
    size_t used = (size_t)snprintf(out, 160, "[");
    for (uint32_t i = 0; i < decl->rank && used < 130; i++) {
        used += (size_t)snprintf(out + used, 160 - used, "%s%" PRId64, i > 0 ? ", " : "", decl->dims[i]);
    }
    snprintf(out + used, 160 - used, "]");
    return out;
}

/* Takes a param of the last layer away; the layer's others move up by one. */
static void remove_param(struct cb_network *net, struct cb_node *node, uint32_t param)
{
    memmove(net->params + param, net->params + param + 1, (net->param_count - param - 1) * sizeof(*net->params));
    net->param_count--;
    for (uint32_t k = 0; k < node->param_count; k++) {
        node->params[k] -= node->params[k] > param ? 1 : 0;
    }
    for (uint32_t k = 0; k < node->state_count; k++) {
        node->states[k] -= node->states[k] > param ? 1 : 0;
    }
}

enum cb_status cb_network_share(struct cb_network *net, const char *own, uint32_t target, const struct cb_place *at,
                                struct cb_diag *diag)
{
    struct cb_node *node = &net->nodes[net->node_count - 1];
    uint32_t k = own_param(net, node, own);
    if (k == CB_NONE) {
        return cb_fail(diag, CB_NOT_FOUND, at, "`share` names `%s`, but layer `%s` (%s) has no such param", own,
                       node->name, node->type->layer.name);
    }
    const struct cb_param *mine = &net->params[node->params[k]], *theirs = &net->params[target];
    if (theirs->is_state || !same_shape(&mine->decl, &theirs->decl)) {
        char have[160], want[160];
        return cb_fail(diag, CB_MISMATCH, at,
                       "`%s` of layer `%s` is %s, but `%s` is %s%s: only params of one shape can be shared", own,
                       node->name, shape_text(&mine->decl, want), theirs->name,
                       theirs->is_state ? "a state of " : "", shape_text(&theirs->decl, have));
    }
    if (mine->node != net->node_count - 1) {
        return cb_fail(diag, CB_INVALID, at, "`share` names `%s` twice", own);
    }
    uint32_t removed = node->params[k];
    node->params[k] = target;
    remove_param(net, node, removed);
    return CB_OK;
}

enum cb_status cb__network_check_shared(const struct cb_network *net, struct cb_diag *diag)
{
    for (uint32_t i = 0; i < net->node_count; i++) {
        const struct cb_node *node = &net->nodes[i];
        for (uint32_t k = 0; k < node->param_count; k++) {
            const struct cb_param *param = &net->params[node->params[k]];
            const struct cb_node *owner = &net->nodes[param->node];
            if (owner->frozen != node->frozen) {
                return cb_fail(diag, CB_INVALID, &node->at,
                               "layers `%s` and `%s` share `%s`, but only `%s` is frozen: freeze both or neither",
                               owner->name, node->name, param->name, owner->frozen ? owner->name : node->name);
            }
        }
    }
    return CB_OK;
}
