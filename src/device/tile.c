/* tile.c: may this device run kernels of explicit register tiles (CB_CAP_TILE)? */
#include <string.h>

#include "device/internal.h"

enum cb__tile cb__tile_expectation(const struct cb_device_info *info, const char **out_reason)
{
    if (!info->is_cpu) {
        *out_reason = "not a processor";
        return CB__TILE_NO;
    }
    if (strstr(info->name, "llvmpipe") || strstr(info->platform, "rusticl")) {
        *out_reason = "llvmpipe needs minutes for large register tiles and gets some wrong";
        return CB__TILE_NO;
    }
    if (strstr(info->name, "Oclgrind") || strstr(info->platform, "Oclgrind")) {
        *out_reason = "a simulator";
        return CB__TILE_NO;
    }
    *out_reason = "a compiler for processors";
    return CB__TILE_TRY_HERE;
}

void cb__tile_decide(struct cb_device *device, size_t number)
{
    const char *reason = "";
    (void)number;
    if (cb__tile_expectation(&device->info, &reason) == CB__TILE_TRY_HERE) {
        device->facts.caps |= CB_CAP_TILE;
        device->info.caps |= CB_CAP_TILE;
    }
    device->tile_reason = reason;
}
