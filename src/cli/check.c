/* check.c: `cambium check FILE`: everything that can be wrong in a task or network file, without a device; a backbone by its
 * name, the folder of an import, `hf:OWNER/NAME` likewise. */
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "train/job.h"
#include "weights/fetch.h"
#include "weights/match.h"

static const struct cb_flag flags[] = {
    {"--no-data", NULL, "leave the data out: only the file, the network and its head"},
    {NULL, NULL, NULL},
};

static enum cb_status check_task(struct cb_cli *cli, const char *path)
{
    struct cb_task *task = NULL;
    struct cb_job *job = NULL;
    enum cb_status status = cb_task_read(path, cli->sets, cli->set_count, &task, cli->diag);
    if (status == CB_OK) {
        status = cb_job_open(task, !cb_cli_has(cli, "--no-data"), &job, cli->diag);
    }
    if (status == CB_OK && job->dataset != NULL) {
        struct cb_split split;
        status = cb_split_make(job->arena, job->dataset, &split, cli->diag);
    }
    cb_job_close(job);
    cb_task_destroy(task);
    return status;
}

static enum cb_status check_network(struct cb_cli *cli, const char *path)
{
    struct cb_registry *registry = cb_registry_create(&cb__host);
    struct cb_backbone *backbone = NULL;
    struct cb_model *model = NULL;
    enum cb_status status = cb_backbone_open(path, ".", NULL, &backbone, cli->diag);
    if (status == CB_OK) {
        status = cb_model_outline(backbone, registry, &model, cli->diag);
    }
    if (status == CB_OK) { /* where its weights come from, without going there */
        struct cb_weight_source *sources;
        struct cb_name_map *maps;
        uint32_t count;
        status = cb_weight_sources_read(cli->arena, model->net->weights_value, &sources, &count, cli->diag);
        enum cb_status names = cb_name_maps_read(cli->arena, model->net->names_value, &maps, &count, cli->diag);
        status = status == CB_OK ? names : status;
    }
    cb_model_destroy(model);
    cb_backbone_close(backbone);
    cb_registry_destroy(registry);
    return status;
}

/* Every model of a family. */
static enum cb_status check_models(struct cb_cli *cli, const char *path, const struct cb_value *models)
{
    enum cb_status first = CB_OK;
    for (size_t i = 0; i < models->as.map.count; i++) {
        const struct cb_entry *entry = &models->as.map.entries[i];
        char *model = cb_arena_printf(cli->arena, "%s:%s", path, entry->key);
        const enum cb_status status =
            model != NULL ? check_network(cli, model) : cb_fail(cli->diag, CB_MEMORY, &entry->at, "out of memory");
        if (status != CB_OK) {
            cb_note(cli->diag, &entry->at, "in the model `%s`", entry->key);
        }
        first = first == CB_OK ? status : first;
    }
    return first;
}

static void print_diagnostics(struct cb_cli *cli, enum cb_status status)
{
    struct cb_arena *arena = cli->arena;
    struct cb_value *map = cb_value_map(arena, NULL), *list = cb_value_list(arena, NULL);
    static const char *const names[] = {"note", "warning", "error"};
    for (size_t i = 0; cb_diag_text(cli->diag, i) != NULL; i++) {
        struct cb_value *item = cb_value_map(arena, NULL);
        (void)cb_map_set(arena, item, "severity",
                         cb_value_text(arena, names[cb_diag_severity(cli->diag, i)], NULL));
        (void)cb_map_set(arena, item, "text", cb_value_text(arena, cb_diag_text(cli->diag, i), NULL));
        (void)cb_list_append(arena, list, item);
    }
    (void)cb_map_set(arena, map, "ok", cb_value_bool(arena, status == CB_OK, NULL));
    (void)cb_map_set(arena, map, "diagnostics", list);
    cb_cli_print_json(map);
    cb_diag_clear(cli->diag);
}

static int run(struct cb_cli *cli)
{
    struct cb_value *root = NULL;
    if (cli->argument_count != 1) {
        return cb_cli_misuse(cli, "one file, or the name of a backbone, is needed");
    }
    const char *path = cli->arguments[0];
    const bool is_file = cb_ends_with(path, ".yaml") || cb_ends_with(path, ".yml") ||
                         (cb_path_exists(path) && !cb_path_is_folder(path));
    enum cb_status status = is_file ? cb_yaml_read_file(cli->arena, path, &root, cli->diag) : check_network(cli, path);
    if (status == CB_OK && is_file) {
        bool network = cb_map_get(root, "layers") != NULL && cb_map_get(root, "model") == NULL;
        const struct cb_value *models = cb_map_get(root, "models");
        const bool is_family = network && models != NULL && models->kind == CB_KIND_MAP && models->as.map.count > 0;
        status = is_family ? check_models(cli, path, models) : network ? check_network(cli, path) : check_task(cli, path);
    }
    if (cli->json) {
        print_diagnostics(cli, status);
        return cb_status_exit_code(status);
    }
    if (status == CB_OK && !cli->quiet) {
        printf("%s: ok\n", path);
    }
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_check = {
    .name = "check",
    .usage = "check FILE.yaml|BACKBONE",
    .summary = "what is wrong in a task or network file, without a device",
    .flags = flags,
    .run = run,
};
