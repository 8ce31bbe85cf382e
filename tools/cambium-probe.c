/* cambium-probe: tries what may crash, so that this process dies and not the user's.
 *
 *     cambium-probe NUMBER          register tiles on one device; exit code 0 when they work. Started by src/device/tile.c
 *                                   for a driver that it does not know, which may crash or compile for minutes.
 *     cambium-probe --plugin PATH   loads a plugin and looks through its tables; says "cambium-probe: done" when it got
 *                                   to the end, whatever it found. Started by src/graph/plugin_trial.c. */
#include <stdio.h>
#include <string.h>

#include "device/device.h"
#include "graph/network.h"

static int try_plugin(const char *path)
{
    cb_registry_try_plugin(&cb__host, path);
    printf("cambium-probe: done\n");
    fflush(stdout);
    return 0; /* what the plugin does at exit, it would do at the end of each command */
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--plugin") == 0) {
        return try_plugin(argv[2]);
    }
    return argc == 2 && cb_device_probe_tile(argv[1], NULL) == CB_OK ? 0 : 1;
}
