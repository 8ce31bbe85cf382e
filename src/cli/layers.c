/* layers.c: `cambium layers [NAME]`: what layers there are, from the plugins' own tables. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/blocks.h"
#include "cli/commands.h"
#include "cli/layer_view.h"
#include "cli/wrap.h"

static const struct cb_flag flags[] = {
    {"--pages", "FOLDER", "write a page for each layer of the program, NAME.md, and README.md that lists them; those of layers that are gone are removed"},
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
    const struct cb_layer_type *type;
    const struct cb_library_block *block = NULL;
    if (cb_registry_find(registry, word, NULL, &type, NULL) == CB_NOT_FOUND) {
        CB_TRY(cb_library_find(cli->arena, word, NULL, &block, cli->diag));
        return block != NULL ? cb_block_show(cli, block)
                             : cb_library_fail_unknown(cli->arena, registry, word, NULL, NULL, cli->diag);
    }
    enum cb_status status = open_view(cli, registry, word, device, &view);
    if (status == CB_OK && cli->json) {
        cb_cli_print_json(cb_layer_view_json(&view, cli->arena));
    } else if (status == CB_OK) {
        cb_layer_view_text(&view);
    }
    cb_example_close(&view.example);
    return status;
}

static int by_family(const void *a, const void *b)
{
    const struct cb_layer *x = &(*(const struct cb_layer_type *const *)a)->layer;
    const struct cb_layer *y = &(*(const struct cb_layer_type *const *)b)->layer;
    const int order = strcmp(cb_layer_family(x), cb_layer_family(y));
    return order != 0 ? order : strcmp(x->name, y->name);
}

/* All that load, by family and name. The status is the worst: a plugin that does not load is said and left out. */
static enum cb_status find_all(struct cb_cli *cli, struct cb_registry *registry, const struct cb_layer_type ***out,
                               size_t *out_count)
{
    const char **words;
    size_t count;
    enum cb_status worst = CB_OK;
    CB_TRY(cb_registry_words(registry, cli->arena, &words, &count, cli->diag));
    *out = CB_NEW_ARRAY(cli->arena, const struct cb_layer_type *, count + 1);
    *out_count = 0;
    if (*out == NULL) {
        return cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        const enum cb_status status = cb_registry_find(registry, words[i], NULL, &(*out)[*out_count], cli->diag);
        *out_count += status == CB_OK;
        worst = status != CB_OK ? status : worst;
    }
    qsort(*out, *out_count, sizeof(**out), by_family);
    return worst;
}

/* `column`: where the summary begins. */
static void print_line(struct cb_cli *cli, struct cb_registry *registry, const struct cb_layer_type *type, int column)
{
    const char *from = from_where(cli, type), *shadowed = cb_registry_shadowed(registry, type->layer.name, 0);
    struct cb_text line = {0};
    cb_text_add(&line, type->layer.summary != NULL ? type->layer.summary : "");
    if (from != NULL) {
        cb_text_addf(&line, " (%s%s%s)", from, shadowed != NULL ? ", in place of " : "", shadowed != NULL ? shadowed : "");
    }
    printf("  %-*s", column - 2, type->layer.name);
    cb_wrap_print(line.data != NULL ? line.data : "", column, column + 2);
    cb_text_free(&line);
}

static enum cb_status list_blocks(struct cb_cli *cli, struct cb_registry *registry, int column)
{
    const struct cb_library_block **blocks;
    size_t count;
    CB_TRY(cb_blocks_find(cli, registry, &blocks, &count));
    printf("%s", count > 0 && !cli->json ? "\nblocks of layers\n" : "");
    for (size_t i = 0; i < count; i++) {
        if (cli->json) {
            CB_TRY(cb_block_show(cli, blocks[i]));
        } else {
            cb_block_print_line(cli, blocks[i], column);
        }
    }
    return CB_OK;
}

static enum cb_status list(struct cb_cli *cli, struct cb_registry *registry)
{
    const struct cb_layer_type **types = NULL;
    const char *family = NULL;
    size_t count = 0;
    enum cb_status worst = find_all(cli, registry, &types, &count);
    int column = 20;
    for (size_t i = 0; i < count; i++) {
        const int least = (int)strlen(types[i]->layer.name) + 4;
        column = column < least ? least : column;
    }
    for (size_t i = 0; i < count; i++) {
        const struct cb_layer *l = &types[i]->layer;
        if (cli->json) {
            const enum cb_status status = show(cli, registry, l->name, NULL);
            worst = status != CB_OK ? status : worst;
            continue;
        }
        if (family == NULL || strcmp(family, cb_layer_family(l)) != 0) {
            printf("%s%s\n", family != NULL ? "\n" : "", cb_layer_family(l));
            family = cb_layer_family(l);
        }
        print_line(cli, registry, types[i], column);
    }
    return worst != CB_OK ? worst : list_blocks(cli, registry, column);
}

/* ---- pages ---- */

static enum cb_status write_page(struct cb_cli *cli, const char *folder, const char *name, struct cb_text *text)
{
    const char *path = cb_arena_printf(cli->arena, "%s/%s.md", folder, name);
    enum cb_status status = path == NULL || text->failed
                                ? cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory")
                                : cb_file_write_atomic(path, text->data, text->length, cli->diag);
    cb_text_free(text);
    return status;
}

/* Pages that this command once wrote, of layers that are gone. */
static enum cb_status remove_old(struct cb_cli *cli, const char *folder, const char *const *words, size_t count)
{
    char **names = NULL;
    size_t name_count = 0;
    CB_TRY(cb_folder_list(cli->arena, folder, &names, &name_count, NULL, cli->diag));
    for (size_t i = 0; i < name_count; i++) {
        char *word = cb_path_stem(cli->arena, names[i]), *text = NULL;
        char *path = cb_arena_printf(cli->arena, "%s/%s", folder, names[i]);
        bool is_kept = word == NULL || path == NULL || !cb_ends_with(names[i], ".md") || strcmp(word, "README") == 0;
        for (size_t k = 0; !is_kept && k < count; k++) {
            is_kept = strcmp(words[k], word) == 0;
        }
        size_t bytes;
        if (!is_kept && cb_file_read(cli->arena, path, 1 << 20, &text, &bytes, NULL, NULL) == CB_OK &&
            cb_starts_with(text, CB_PAGE_MARK)) {
            (void)remove(path);
        }
    }
    return CB_OK;
}

/* Of the program's own layers; `types` becomes those. */
static enum cb_status write_layers(struct cb_cli *cli, struct cb_registry *registry, const char *folder,
                                   const struct cb_layer_type **types, size_t *count)
{
    size_t own = 0;
    for (size_t i = 0; i < *count; i++) {
        struct cb_layer_view view;
        struct cb_text text = {0};
        enum cb_status status = open_view(cli, registry, types[i]->layer.name, NULL, &view);
        if (status == CB_OK && view.from == NULL) {
            cb_layer_view_page(&view, &text);
            status = write_page(cli, folder, types[i]->layer.name, &text);
            types[own++] = types[i];
        }
        cb_example_close(&view.example);
        CB_TRY(status);
    }
    *count = own;
    return CB_OK;
}

static enum cb_status write_blocks(struct cb_cli *cli, const char *folder, const struct cb_library_block **blocks,
                                   size_t *count)
{
    size_t own = 0;
    for (size_t i = 0; i < *count; i++) {
        struct cb_text text = {0};
        if (cb_block_from(cli, blocks[i]) == NULL) {
            CB_TRY(cb_block_page(cli, blocks[i], &text));
            CB_TRY(write_page(cli, folder, blocks[i]->word, &text));
            blocks[own++] = blocks[i];
        }
    }
    *count = own;
    return CB_OK;
}

static enum cb_status write_pages(struct cb_cli *cli, struct cb_registry *registry, const char *folder)
{
    const struct cb_layer_type **types = NULL;
    const struct cb_library_block **blocks = NULL;
    size_t count = 0, block_count = 0;
    CB_TRY(find_all(cli, registry, &types, &count));
    CB_TRY(cb_blocks_find(cli, registry, &blocks, &block_count));
    CB_TRY(write_layers(cli, registry, folder, types, &count));
    CB_TRY(write_blocks(cli, folder, blocks, &block_count));
    struct cb_text index = {0};
    cb_layer_index_page(types, count, &index);
    cb_block_index(blocks, block_count, &index);
    CB_TRY(write_page(cli, folder, "README", &index));
    const char **words = CB_NEW_ARRAY(cli->arena, const char *, count + block_count + 1);
    if (words == NULL) {
        return cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    for (size_t i = 0; i < count + block_count; i++) {
        words[i] = i < count ? types[i]->layer.name : blocks[i - count]->word;
    }
    return remove_old(cli, folder, words, count + block_count);
}

static int run(struct cb_cli *cli)
{
    struct cb_registry *registry = cb_registry_create(&cb__host);
    struct cb_device *device = NULL;
    const char *pages = cb_cli_value(cli, "--pages");
    enum cb_status status = registry != NULL ? CB_OK : CB_MEMORY;
    if (status == CB_OK && cli->argument_count > 0 && pages == NULL) { /* without a device only what depends on it is missing */
        status = cli->device != NULL ? cb_cli_open_device(cli, &device) : CB_OK;
        (void)(cli->device == NULL && cb_device_open(NULL, &device, NULL));
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
    .summary = "the layers there are; or one: formula, shapes, options, kernels on this device, example",
    .flags = flags,
    .run = run,
};
