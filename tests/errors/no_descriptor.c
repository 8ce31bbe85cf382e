/* A plugin whose entry gives nothing. */
#include <cambium/layer.h>

const struct cb_plugin *cb_plugin_entry(const struct cb_host *host);
const struct cb_plugin *cb_plugin_entry(const struct cb_host *host)
{
    (void)host;
    return NULL;
}
