/* fetch.c: `cambium fetch NAME`: gets a backbone's weights into the user's cache. */
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/fetch.h"
#include "cli/import.h"
#include "exchange/hub.h"
#include "train/model.h"

static const struct cb_flag flags[] = {
    {"--list", NULL, "the networks there are, or those of the names, patterns or modalities given: params, input, time, licence, "
                     "source"},
    {"--time", NULL, "with --list: measure one sample of each on this device, where that was not done yet"},
    {NULL, NULL, NULL},
};

static int run(struct cb_cli *cli)
{
    if (cb_cli_has(cli, "--list")) {
        return cb_cli_list_networks(cli);
    }
    if (cb_cli_has(cli, "--time")) {
        return cb_cli_misuse(cli, "--time goes with --list");
    }
    struct cb_backbone *backbone = NULL;
    struct cb_watch watch = cb_cli_watch(cli);
    char *path = NULL, hex[65];
    if (cli->argument_count != 1) {
        return cb_cli_misuse(cli, "one backbone is needed");
    }
    const char *name = cli->arguments[0];
    enum cb_status status = CB_OK;
    if (cb_starts_with(name, "hf:")) {
        struct cb_imported *imported = NULL;
        status = cb_hub_fetch(name, &watch, &imported, cli->diag);
        cb_cli_clear_progress(cli);
        if (status == CB_OK) {
            cb_cli_print_import(cli, imported);
        }
        cb_imported_destroy(imported);
        return cb_cli_finish(cli, status);
    }
    if (status == CB_OK) {
        status = cb_backbone_open(name, ".", NULL, &backbone, cli->diag);
    }
    if (status == CB_OK) {
        backbone->watch = &watch;
        status = cb_backbone_weights(backbone, &path, cli->diag);
        cb_cli_clear_progress(cli);
    }
    if (status == CB_OK) {
        status = cb_sha256_of_file(path, hex, cli->diag);
    }
    if (status == CB_OK && cli->json) {
        struct cb_value *map = cb_value_map(cli->arena, NULL);
        (void)cb_map_set(cli->arena, map, "name", cb_value_text(cli->arena, backbone->name, NULL));
        (void)cb_map_set(cli->arena, map, "path", cb_value_text(cli->arena, path, NULL));
        (void)cb_map_set(cli->arena, map, "sha256", cb_value_text(cli->arena, hex, NULL));
        cb_cli_print_json(map);
    } else if (status == CB_OK) {
        char bytes[32];
        printf("%s: %s (%s)\n", backbone->name, path, cb_format_bytes((uint64_t)cb_file_bytes(path), bytes));
    }
    cb_backbone_close(backbone);
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_fetch = {
    .name = "fetch",
    .usage = "fetch NAME|hf:OWNER/NAME[@REVISION] | --list [NAME|PATTERN|MODALITY...]",
    .flags = flags,
    .summary = "gets a backbone's pretrained weights into the cache, once",
    .help = "A backbone file lists its sources in order. A file whose SHA-256 differs from the one written there is\n"
            "refused. Without a network the error says which file to put where by hand.\n"
            "\n"
            "  cambium fetch hf:facebook/dinov2-small     a model of the Hugging Face hub, imported into the cache;\n"
            "                                             then in a task  model: {backbone: \"hf:facebook/dinov2-small\"}\n"
            "\n"
            "What came first is trusted, and from then on no other. HF_ENDPOINT names another server.\n"
            "\n"
            "  cambium fetch --list --time 'resnet*'      these networks, and how long a sample takes on this device\n",
    .run = run,
};
