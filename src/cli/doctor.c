/* doctor.c: `cambium doctor`: is this device sound? Each test against the host; the verdict in words and as exit code. */
#include <string.h>

#include "cli/commands.h"
#include "graph/network.h"
#include "graph/verify.h"

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

struct verdict {
    size_t count, failed, declined;
};

static void print_results(struct cb_cli *cli, const struct cb_doctor_result *results, size_t count, struct verdict *verdict)
{
    for (size_t i = 0; i < count; i++) {
        const struct cb_doctor_result *r = &results[i];
        verdict->failed += !r->passed && !r->declined;
        verdict->declined += r->declined;
        if (cli->json) {
            print_json(cli, r);
        } else {
            printf("%-8s %-32s %s\n", r->passed ? "ok" : r->declined ? "declined" : "FAILED", r->what, r->detail);
        }
    }
    verdict->count += count;
}

/* The device itself, then each layer's variants on it. */
static enum cb_status examine(struct cb_cli *cli, struct cb_device *device, struct verdict *verdict)
{
    struct cb_doctor_result *results = NULL;
    size_t count = 0;
    CB_TRY(cb_device_doctor(device, cli->arena, &results, &count, cli->diag));
    print_results(cli, results, count, verdict);
    struct cb_registry *registry = cb_registry_create(&cb__host);
    if (registry == NULL) {
        return cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    enum cb_status status = cb_layers_verify(registry, device, cli->arena, &results, &count, cli->diag);
    if (status == CB_OK) {
        print_results(cli, results, count, verdict);
    }
    cb_registry_destroy(registry);
    return status;
}

static int run(struct cb_cli *cli)
{
    struct cb_device *device = NULL;
    struct verdict verdict = {0};
    enum cb_status status = cb_cli_open_device(cli, &device);
    if (status == CB_OK) {
        status = examine(cli, device, &verdict);
    }
    if (status == CB_OK && !cli->json) {
        if (verdict.failed > 0) {
            printf("%zu of %zu tests failed: this device gives wrong results, do not use it\n", verdict.failed, verdict.count);
        } else if (verdict.declined > 0) {
            printf("the device is sound; %zu fast forms are declined on it and plainer ones serve\n", verdict.declined);
        } else {
            printf("the device is sound\n");
        }
    }
    cb_cli_close_device(device);
    if (status == CB_OK && verdict.failed > 0) {
        cb_cli_flush(cli);
        return 1;
    }
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_doctor = {
    .name = "doctor",
    .usage = "doctor",
    .summary = "tests the device: arithmetic, memory, products, each variant of each layer; a verdict",
    .run = run,
};
