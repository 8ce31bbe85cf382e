/* cambium-probe: tries register tiles on one device, `cambium-probe NUMBER`; exit code 0 when they work.
 *
 * Started by libcambium (src/device/tile.c) for a driver that it does not know, because such a driver may crash, or compile
 * for minutes: then this process dies and not the user's. */
#include "device/device.h"

int main(int argc, char **argv)
{
    return argc == 2 && cb_device_probe_tile(argv[1], NULL) == CB_OK ? 0 : 1;
}
