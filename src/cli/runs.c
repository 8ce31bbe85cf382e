/* runs.c: `cambium runs`: what is in runs/, with results; `cambium runs --delete NAME` tidies up. */
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "train/run.h"

static const struct cb_flag flags[] = {
    {"--delete", "RUN", "remove a run's folder"},
    {NULL, NULL, NULL},
};

static void show(struct cb_cli *cli, const char *name)
{
    struct cb_arena *arena = cli->arena;
    char *folder = cb_arena_printf(arena, "runs/%s", name), *json = cb_arena_printf(arena, "runs/%s/result.json", name);
    char *model = cb_arena_printf(arena, "runs/%s/model.safetensors", name), bytes[32];
    struct cb_value *result = NULL;
    int64_t size = cb_file_bytes(model);
    bool complete = cb_path_exists(json) && cb_json_read_file(arena, json, &result, NULL) == CB_OK;
    const struct cb_value *accuracy = cb_map_get(result, "accuracy"), *strategy = cb_map_get(result, "strategy");
    if (cli->json) {
        struct cb_value *map = complete ? result : cb_value_map(arena, NULL);
        (void)cb_map_set(arena, map, "run", cb_value_text(arena, folder, NULL));
        (void)cb_map_set(arena, map, "complete", cb_value_bool(arena, complete, NULL));
        (void)cb_map_set(arena, map, "bytes", cb_value_int(arena, size > 0 ? size : 0, NULL));
        cb_cli_print_json(map);
        return;
    }
    double value = 0;
    printf("%-28s %-10s ", name, strategy != NULL && strategy->text != NULL ? strategy->text : complete ? "" : "unfinished");
    if (accuracy != NULL && cb_value_number(accuracy, &value)) {
        printf("accuracy %.3f ", value);
    }
    printf("%10s\n", size > 0 ? cb_format_bytes((uint64_t)size, bytes) : "");
}

static int run(struct cb_cli *cli)
{
    const char *doomed = cb_cli_value(cli, "--delete");
    char **names = NULL, *folder = NULL;
    size_t count = 0;
    enum cb_status status = CB_OK;
    if (doomed != NULL) {
        status = cb_run_find(cli->arena, doomed, &folder, cli->diag);
        char *model = status == CB_OK ? cb_path_join(cli->arena, folder, "model.safetensors") : NULL;
        char *state = status == CB_OK ? cb_path_join(cli->arena, folder, "checkpoint") : NULL;
        if (status == CB_OK && !cb_path_exists(model) && !cb_path_exists(state)) {
            status = cb_fail(cli->diag, CB_INVALID, NULL, "`%s` is no run: it is left as it is", folder);
        }
        if (status == CB_OK) {
            status = cb_remove_tree(folder, cli->diag);
        }
        return cb_cli_finish(cli, status);
    }
    if (cb_path_is_folder("runs")) {
        status = cb_folder_list(cli->arena, "runs", &names, &count, NULL, cli->diag);
    }
    for (size_t i = 0; status == CB_OK && i < count; i++) {
        show(cli, names[i]);
    }
    if (count == 0 && !cli->json && status == CB_OK) {
        printf("no runs yet in `runs/`\n");
    }
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_runs = {
    .name = "runs",
    .usage = "runs [--delete RUN]",
    .summary = "the runs in runs/, with their results",
    .flags = flags,
    .run = run,
};
