/* build.c: a network of ours that an importer fills. See build.h. */
#include "exchange/build.h"

#include <string.h>

#include "train/random.h"

static void destroy_network(void *net)
{
    cb_network_destroy(net);
}

static void destroy_registry(void *registry)
{
    cb_registry_destroy(registry);
}

enum cb_status cb__build(struct cb__built *built, struct cb_imported *imported, const struct cb_backbone *backbone,
                         const int64_t *size, struct cb_diag *diag)
{
    if (built->registry == NULL) {
        struct cb_registry *registry = cb_registry_create(&cb__host);
        if (registry == NULL || !cb_arena_on_destroy(imported->arena, destroy_registry, registry)) {
            return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        }
        built->registry = registry;
    }
    struct cb_network *net = cb_network_create(built->registry, imported->name);
    if (net == NULL || !cb_arena_on_destroy(imported->arena, destroy_network, net)) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(cb_network_read(net, backbone->file, size, backbone->folder, diag));
    built->net = net;
    return CB_OK;
}

void cb__draw_params(struct cb_network *net)
{
    for (uint32_t i = 0; i < net->param_count; i++) {
        cb_param_init(&net->params[i].decl, 0, net->params[i].name, net->params[i].host);
    }
}

const char *cb__output_layer(const struct cb_network *net)
{
    uint32_t wire = net->backbone_output;
    while (wire != CB_NONE && net->wires[wire].node != CB_NONE) {
        const struct cb_node *node = &net->nodes[net->wires[wire].node];
        if (node->param_count > 0) { /* a norm has no outputs of its own: it is a part of the network like any other */
            return (node->type->layer.flags & CB_LAYER_LINEAR) != 0 ? node->name : NULL;
        }
        wire = node->x_count == 1 ? node->x[0] : CB_NONE;
    }
    return NULL;
}

enum cb_status cb__take_entries(struct cb_imported *imported, const struct cb_network *net, struct cb_diag *diag)
{
    imported->entries = CB_NEW_ARRAY(imported->arena, struct cb_safetensors_entry, (size_t)net->param_count + 1);
    if (imported->entries == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    imported->entry_count = net->param_count;
    for (uint32_t i = 0; i < net->param_count; i++) {
        const struct cb_param *param = &net->params[i];
        imported->entries[i] = (struct cb_safetensors_entry){.name = param->name, .type = CB_STORED_F32,
                                                             .rank = param->decl.rank, .data = param->host};
        memcpy(imported->entries[i].dims, param->decl.dims, sizeof(imported->entries[i].dims));
    }
    return CB_OK;
}
