/* doctor.c: `cambium doctor`: is this device sound? Each test against the host; the verdict in words and as exit code. */
#include <string.h>

#include "cli/commands.h"

static void print_json(struct cb_cli *cli, const struct cb_doctor_result *r)
{
    struct cb_arena *arena = cli->arena;
    struct cb_value *map = cb_value_map(arena, NULL);
    (void)cb_map_set(arena, map, "test", cb_value_text(arena, r->what, NULL));
    (void)cb_map_set(arena, map, "passed", cb_value_bool(arena, r->passed, NULL));
    (void)cb_map_set(arena, map, "declined", cb_value_bool(arena, r->declined, NULL));
    (void)cb_map_set(arena, map, "detail", cb_value_text(arena, r->detail, NULL));
    cb_cli_print_json(map);
}

static int run(struct cb_cli *cli)
{
    struct cb_device *device = NULL;
    struct cb_doctor_result *results = NULL;
    size_t count = 0, failed = 0, declined = 0;
    enum cb_status status = cb_cli_open_device(cli, &device);
    if (status == CB_OK) {
        status = cb_device_doctor(device, cli->arena, &results, &count, cli->diag);
    }
    for (size_t i = 0; status == CB_OK && i < count; i++) {
        const struct cb_doctor_result *r = &results[i];
        failed += !r->passed && !r->declined;
        declined += r->declined;
        if (cli->json) {
            print_json(cli, r);
        } else {
            printf("%-8s %-32s %s\n", r->passed ? "ok" : r->declined ? "declined" : "FAILED", r->what, r->detail);
        }
    }
    if (status == CB_OK && !cli->json) {
        if (failed > 0) {
            printf("%zu of %zu tests failed: this device gives wrong results, do not use it\n", failed, count);
        } else if (declined > 0) {
            printf("the device is sound; %zu fast forms are declined on it and plainer ones serve\n", declined);
        } else {
            printf("the device is sound\n");
        }
    }
    cb_cli_close_device(device);
    if (status == CB_OK && failed > 0) {
        cb_cli_flush(cli);
        return 1;
    }
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_doctor = {
    .name = "doctor",
    .usage = "doctor",
    .summary = "tests the device: arithmetic, memory, products; a verdict",
    .run = run,
};
