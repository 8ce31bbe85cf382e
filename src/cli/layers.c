/* layers.c: `cambium layers [NAME]`: what layers there are, from the plugins' own tables. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/layer_view.h"

static const struct cb_flag flags[] = {
    {"--pages", "FOLDER", "write a page for each layer of the program, NAME.md, and remove those of layers that are gone"},
    {NULL, NULL, NULL},
};

/* NULL for a plugin that lies where the program's own do. */
static const char *from_where(struct cb_cli *cli, const struct cb_layer_type *type)
{
    const char *own = cb_resource_path(cli->arena, "plugins");
    char *a = own != NULL ? realpath(own, NULL) : NULL, *b = realpath(type->folder, NULL);
    bool is_own = a != NULL && b != NULL && strcmp(a, b) == 0;
    free(a);
    free(b);
    return is_own ? NULL : type->path;
}

static enum cb_status open_view(struct cb_cli *cli, struct cb_registry *registry, const char *word,
                                struct cb_device *device, struct cb_layer_view *out)
{
    *out = (struct cb_layer_view){0};
    CB_TRY(cb_registry_find(registry, word, NULL, &out->type, cli->diag));
    out->registry = registry;
    out->from = from_where(cli, out->type);
    CB_TRY(cb_example_open(registry, out->type, cli->arena, &out->example));
    if (device != NULL && out->example.net != NULL && out->type->variant_count > 0) {
        const char **variants = NULL;
        CB_TRY(cb_example_variants(&out->example, device, cli->arena, &variants, cli->diag));
        out->variants = variants;
        out->device = cb_device_get_info(device)->name;
    }
    return CB_OK;
}

static enum cb_status show(struct cb_cli *cli, struct cb_registry *registry, const char *word, struct cb_device *device)
{
    struct cb_layer_view view;
    enum cb_status status = open_view(cli, registry, word, device, &view);
    if (status == CB_OK && cli->json) {
        cb_cli_print_json(cb_layer_view_json(&view, cli->arena));
    } else if (status == CB_OK) {
        cb_layer_view_text(&view);
    }
    cb_example_close(&view.example);
    return status;
}

static enum cb_status list(struct cb_cli *cli, struct cb_registry *registry)
{
    const char **words;
    size_t count;
    enum cb_status worst = CB_OK;
    CB_TRY(cb_registry_words(registry, cli->arena, &words, &count, cli->diag));
    for (size_t i = 0; i < count; i++) {
        const struct cb_layer_type *type;
        enum cb_status status = cb_registry_find(registry, words[i], NULL, &type, cli->diag);
        if (status == CB_OK && cli->json) {
            status = show(cli, registry, words[i], NULL);
        } else if (status == CB_OK) {
            const char *from = from_where(cli, type), *shadowed = cb_registry_shadowed(registry, words[i], 0);
            printf("%-20s %s%s%s%s%s%s\n", words[i], type->layer.summary != NULL ? type->layer.summary : "",
                   from != NULL ? " (" : "", from != NULL ? from : "", shadowed != NULL ? ", in place of " : "",
                   shadowed != NULL ? shadowed : "", from != NULL ? ")" : "");
        }
        worst = status != CB_OK ? status : worst;
    }
    return worst;
}

/* ---- pages ---- */

static enum cb_status write_page(struct cb_cli *cli, const struct cb_layer_view *view, const char *folder)
{
    struct cb_text text = {0};
    cb_layer_view_page(view, &text);
    const char *path = cb_arena_printf(cli->arena, "%s/%s.md", folder, view->type->layer.name);
    enum cb_status status = path == NULL || text.failed ? CB_MEMORY
                                                        : cb_file_write_atomic(path, text.data, text.length, cli->diag);
    cb_text_free(&text);
    return status;
}

static bool is_word(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static enum cb_status write_pages(struct cb_cli *cli, struct cb_registry *registry, const char *folder)
{
    const char **words;
    char **names = NULL;
    size_t count, name_count = 0, kept = 0;
    CB_TRY(cb_registry_words(registry, cli->arena, &words, &count, cli->diag));
    for (size_t i = 0; i < count; i++) {
        struct cb_layer_view view;
        enum cb_status status = open_view(cli, registry, words[i], NULL, &view);
        if (status == CB_OK && view.from == NULL) {
            status = write_page(cli, &view, folder);
            words[kept++] = words[i];
        }
        cb_example_close(&view.example);
        CB_TRY(status);
    }
    CB_TRY(cb_folder_list(cli->arena, folder, &names, &name_count, NULL, cli->diag));
    for (size_t i = 0; i < name_count; i++) {
        char *word = cb_path_stem(cli->arena, names[i]);
        if (cb_ends_with(names[i], ".md") && word != NULL && !is_word(words, kept, word)) {
            (void)remove(cb_arena_printf(cli->arena, "%s/%s.md", folder, word));
        }
    }
    return CB_OK;
}

static int run(struct cb_cli *cli)
{
    struct cb_registry *registry = cb_registry_create(&cb__host);
    struct cb_device *device = NULL;
    const char *pages = cb_cli_value(cli, "--pages");
    enum cb_status status = registry != NULL ? CB_OK : CB_MEMORY;
    if (status == CB_OK && cli->device != NULL && cli->argument_count > 0) {
        status = cb_cli_open_device(cli, &device);
    }
    if (status == CB_OK && pages != NULL) {
        status = write_pages(cli, registry, pages);
    } else if (status == CB_OK && cli->argument_count == 0) {
        status = list(cli, registry);
    }
    for (size_t i = 0; status == CB_OK && pages == NULL && i < cli->argument_count; i++) {
        status = show(cli, registry, cli->arguments[i], device);
    }
    int code = cb_cli_finish(cli, status);
    cb_cli_close_device(device);
    cb_registry_destroy(registry);
    return code;
}

const struct cb_command cb_command_layers = {
    .name = "layers",
    .usage = "layers [NAME...] [--device N]",
    .summary = "the layers there are; or one: formula, shapes, options, kernels (with --device: on it), example",
    .flags = flags,
    .run = run,
};
