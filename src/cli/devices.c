/* devices.c: `cambium devices`: the OpenCL devices, with the numbers that --device takes. */
#include <string.h>

#include "cli/commands.h"

static void print_json(struct cb_cli *cli, const struct cb_device_info *d, size_t number)
{
    struct cb_arena *arena = cli->arena;
    struct cb_value *map = cb_value_map(arena, NULL);
    (void)cb_map_set(arena, map, "number", cb_value_int(arena, (int64_t)number, NULL));
    (void)cb_map_set(arena, map, "name", cb_value_text(arena, d->name, NULL));
    (void)cb_map_set(arena, map, "platform", cb_value_text(arena, d->platform, NULL));
    (void)cb_map_set(arena, map, "driver", cb_value_text(arena, d->driver, NULL));
    (void)cb_map_set(arena, map, "kind", cb_value_text(arena, d->is_cpu ? "cpu" : d->is_gpu ? "gpu" : "other", NULL));
    (void)cb_map_set(arena, map, "compute_units", cb_value_int(arena, d->compute_units, NULL));
    (void)cb_map_set(arena, map, "memory_bytes", cb_value_int(arena, (int64_t)d->global_bytes, NULL));
    cb_cli_print_json(map);
}

static int run(struct cb_cli *cli)
{
    struct cb_device_info *infos = NULL;
    size_t count = 0;
    enum cb_status status = cb_device_list(cli->arena, &infos, &count, cli->diag);
    if (status == CB_OK && count == 0) {
        status = cb_fail(cli->diag, CB_NOT_FOUND, NULL,
                         "there is no OpenCL device; on Debian `apt install pocl-opencl-icd` makes the processor one");
    }
    for (size_t i = 0; status == CB_OK && i < count; i++) {
        char memory[32];
        const struct cb_device_info *d = &infos[i];
        if (cli->json) {
            print_json(cli, d, i);
        } else {
            printf("%zu  %s, %s (%s, %u compute units, %s)%s\n", i, d->name, d->is_cpu ? "CPU" : d->is_gpu ? "GPU" : "other",
                   d->platform, d->compute_units, cb_format_bytes(d->global_bytes, memory),
                   d->available ? "" : ", not available");
        }
    }
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_devices = {
    .name = "devices",
    .usage = "devices",
    .summary = "the OpenCL devices of this machine",
    .run = run,
};
