/* plugin_new.c: `cambium plugin new NAME [--pointwise|--loss]`: a working layer to change, from the examples that are
 * installed: examples/plugin/my_pool.*, swoosh.* and my_loss.*, in which the layer's word is replaced. */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/plugin.h"
#include "graph/network.h"

#define MAX_BYTES (1u << 20)

/* An example: its word, what it computes, and what stands behind the word in YAML. */
struct model {
    const char *flag, *word, *what, *options;
};

static const struct model models[] = {
    {NULL, "my_pool", "a mean over positions with a trained weight", ""},
    {"--pointwise", "swoosh", "y = x / (1 + exp(-beta x))", ": {beta: 1.5}"},
    {"--loss", "my_loss", "log cosh of the errors", ""},
};

static bool is_word(const char *name)
{
    return name[0] >= 'a' && name[0] <= 'z' && strlen(name) < 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

/* Words are looked for, plugins are not loaded. */
static enum cb_status refuse_known(struct cb_cli *cli, const char *name)
{
    struct cb_registry *registry = cb_registry_create(&cb__host);
    const char **words = NULL;
    size_t count = 0;
    enum cb_status status = registry == NULL ? cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory")
                                             : cb_registry_words(registry, cli->arena, &words, &count, cli->diag);
    for (size_t i = 0; status == CB_OK && i < count; i++) {
        if (strcmp(words[i], name) == 0) {
            status = cb_fail(cli->diag, CB_INVALID, NULL, "there is a layer `%s` already (`cambium layers %s`); take another word",
                             name, name);
        }
    }
    cb_registry_destroy(registry);
    return status;
}

static enum cb_status write_one(struct cb_cli *cli, const char *model, const char *name, const char *ending)
{
    char *relative = cb_arena_printf(cli->arena, "examples/plugin/%s%s", model, ending);
    char *from = relative != NULL ? cb_resource_path(cli->arena, relative) : NULL;
    char *to = cb_arena_printf(cli->arena, "%s%s", name, ending), *text = NULL;
    size_t bytes = 0;
    if (from == NULL) {
        return cb_fail(cli->diag, CB_NOT_FOUND, NULL, "`%s`, which is installed with Cambium, is missing", relative);
    }
    CB_TRY(cb_file_read(cli->arena, from, MAX_BYTES, &text, &bytes, NULL, cli->diag));
    struct cb_text out = {0};
    const char *rest = text;
    for (const char *at; (at = strstr(rest, model)) != NULL; rest = at + strlen(model)) {
        cb_text_add_bytes(&out, rest, (size_t)(at - rest));
        cb_text_add(&out, name);
    }
    cb_text_add(&out, rest);
    enum cb_status status = out.failed ? cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory")
                                       : cb_file_write_atomic(to, out.data, out.length, cli->diag);
    cb_text_free(&out);
    return status;
}

static void say(struct cb_cli *cli, const char *name, const struct model *model)
{
    if (cli->json) {
        struct cb_value *map = cb_value_map(cli->arena, NULL), *files = cb_value_list(cli->arena, NULL);
        (void)cb_list_append(cli->arena, files, cb_value_text(cli->arena, cb_arena_printf(cli->arena, "%s.c", name), NULL));
        (void)cb_list_append(cli->arena, files, cb_value_text(cli->arena, cb_arena_printf(cli->arena, "%s.cl", name), NULL));
        (void)cb_map_set(cli->arena, map, "layer", cb_value_text(cli->arena, name, NULL));
        (void)cb_map_set(cli->arena, map, "files", files);
        cb_cli_print_json(map);
        return;
    }
    printf("wrote %s.c and %s.cl: %s; make them yours\n"
           "next: cambium plugin build %s.c --install   compiles them; from then on every task knows the word\n"
           "      cambium plugin check %s               tests gradients, shapes, variants\n",
           name, name, model->what, name, name);
    if (strcmp(model->word, "my_loss") == 0) {
        printf("in a task:  train: {loss: %s}\n", name);
    } else {
        printf("in a network or a head:  - %s%s\n", name, model->options);
    }
    const char *page = cb_resource_path(cli->arena, "docs/plugin-abi.md");
    if (page != NULL) {
        printf("all of it is explained in %s\n", page);
    }
}

static const struct model *asked_for(struct cb_cli *cli)
{
    const struct model *found = NULL;
    for (size_t i = 1; i < sizeof(models) / sizeof(models[0]); i++) {
        if (cb_cli_has(cli, models[i].flag)) {
            found = found == NULL ? &models[i] : &models[0];
        }
    }
    return found == NULL ? &models[0] : found == &models[0] ? NULL : found;
}

int cb_cli_plugin_new(struct cb_cli *cli)
{
    const struct model *model = asked_for(cli);
    if (cli->argument_count != 2) {
        return cb_cli_misuse(cli, "the name of one layer is needed");
    }
    if (model == NULL) {
        return cb_cli_misuse(cli, "a loss is not pointwise: either --loss or --pointwise");
    }
    const char *name = cli->arguments[1];
    if (!is_word(name)) {
        return cb_cli_misuse(cli, "`%s` is no word for a layer: small letters, digits and _, a letter first", name);
    }
    enum cb_status status = refuse_known(cli, name);
    for (int i = 0; i < 2 && status == CB_OK; i++) {
        char *path = cb_arena_printf(cli->arena, "%s%s", name, i == 0 ? ".c" : ".cl");
        if (cb_path_exists(path)) {
            status = cb_fail(cli->diag, CB_INVALID, NULL, "`%s` is there already; it is left as it is", path);
        }
    }
    if (status == CB_OK) {
        status = write_one(cli, model->word, name, ".c");
    }
    if (status == CB_OK) {
        status = write_one(cli, model->word, name, ".cl");
    }
    if (status == CB_OK) {
        say(cli, name, model);
    }
    return cb_cli_finish(cli, status);
}
