/* A plugin whose table of layers promises more than there is. */
#include <cambium/layer.h>

const struct cb_plugin *cb_plugin_entry(const struct cb_host *host);
const struct cb_plugin *cb_plugin_entry(const struct cb_host *host)
{
    static const struct cb_plugin plugin = {sizeof(plugin), CB_ABI, {NULL, 1000000000u, sizeof(struct cb_layer)}};
    (void)host;
    return &plugin;
}
