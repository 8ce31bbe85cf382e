/* A plugin of another ABI: refused before anything but its first two numbers is read. */
#include <cambium/layer.h>

const struct cb_plugin *cb_plugin_entry(const struct cb_host *host);
const struct cb_plugin *cb_plugin_entry(const struct cb_host *host)
{
    static const struct cb_plugin plugin = {.struct_size = sizeof(plugin), .abi = CB_ABI + 1};
    (void)host;
    return &plugin;
}
