/* layers.c: `cambium layers [NAME]`: what layers there are, from the plugins' own tables. */
#include <inttypes.h>
#include <string.h>

#include "base/options.h"
#include "cli/commands.h"
#include "graph/network.h"

static const char *const type_names[] = {"integer", "real", "bool", "choice", "text",
                                         "list of integers", "list of reals", "list of texts"};

static void print_option(const struct cb_layer *layer, uint32_t i)
{
    struct cb_option o;
    struct cb_text text = {0};
    cb_options_at(&layer->options, i, &o);
    cb_options_print_default(&layer->options, i, layer->defaults, &text);
    printf("  %-16s %s", o.key, type_names[o.type <= CB_OPT_TEXTS ? o.type : CB_OPT_TEXT]);
    for (uint32_t k = 0; o.choices != NULL && o.choices[k] != NULL; k++) {
        printf("%s%s", k == 0 ? " (" : " | ", o.choices[k]);
    }
    printf("%s", o.choices != NULL ? ")" : "");
    if (o.min != 0 || o.max != 0) {
        printf(", %g to %g", o.min, o.max);
    }
    if ((o.flags & CB_OPTION_REQUIRED) != 0) {
        printf(", required");
    } else if (text.length > 0) {
        printf(", default %s", text.data);
    }
    printf("\n  %-16s %s%s\n", "", o.help, (o.flags & CB_OPTION_CLASSES) != 0 ? " (default: the number of classes)" : "");
    cb_text_free(&text);
}

static void print_layer(struct cb_registry *registry, const struct cb_layer_type *type)
{
    static const char *const passes[] = {"forward", "backward", "dx", "dw", "fit"};
    const struct cb_layer *l = &type->layer;
    printf("%s: %s\n\n  %s\n\n", l->name, l->summary, l->formula != NULL ? l->formula : "");
    if (l->min_inputs == l->max_inputs) {
        printf("inputs: %u\n", l->min_inputs);
    } else {
        printf("inputs: %u to %u\n", l->min_inputs, l->max_inputs);
    }
    if (l->options.count > 0) {
        printf("options:\n");
    }
    for (uint32_t i = 0; i < l->options.count; i++) {
        print_option(l, i);
    }
    if (l->pointwise != NULL) {
        printf("kernels: made by the core, and fused into the layer above\n");
    } else if (type->variant_count > 0) {
        printf("kernels:");
        for (uint32_t i = 0; i < type->variant_count; i++) {
            printf("%s %s/%s", i > 0 ? "," : "", passes[type->variants[i].pass], type->variants[i].name);
        }
        printf("\n");
    }
    if (l->example != NULL) {
        printf("example: %s\n", l->example);
    }
    printf("plugin: %s\n", type->path);
    const char *shadowed;
    for (uint32_t i = 0; (shadowed = cb_registry_shadowed(registry, l->name, i)) != NULL; i++) {
        printf("shadowed: %s\n", shadowed);
    }
}

static struct cb_value *layer_value(struct cb_arena *arena, const struct cb_layer_type *type)
{
    struct cb_value *map = cb_value_map(arena, NULL), *options = cb_value_list(arena, NULL);
    const struct cb_layer *l = &type->layer;
    (void)cb_map_set(arena, map, "name", cb_value_text(arena, l->name, NULL));
    (void)cb_map_set(arena, map, "summary", cb_value_text(arena, l->summary != NULL ? l->summary : "", NULL));
    (void)cb_map_set(arena, map, "formula", cb_value_text(arena, l->formula != NULL ? l->formula : "", NULL));
    (void)cb_map_set(arena, map, "plugin", cb_value_text(arena, type->path, NULL));
    for (uint32_t i = 0; i < l->options.count; i++) {
        struct cb_option o;
        struct cb_value *item = cb_value_map(arena, NULL);
        cb_options_at(&l->options, i, &o);
        (void)cb_map_set(arena, item, "key", cb_value_text(arena, o.key, NULL));
        (void)cb_map_set(arena, item, "type",
                         cb_value_text(arena, type_names[o.type <= CB_OPT_TEXTS ? o.type : CB_OPT_TEXT], NULL));
        (void)cb_map_set(arena, item, "help", cb_value_text(arena, o.help, NULL));
        (void)cb_list_append(arena, options, item);
    }
    (void)cb_map_set(arena, map, "options", options);
    return map;
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
        if (status != CB_OK) {
            worst = status;
        } else if (cli->json) {
            cb_cli_print_json(layer_value(cli->arena, type));
        } else {
            const char *shadowed = cb_registry_shadowed(registry, words[i], 0);
            printf("%-16s %s\n", words[i], type->layer.summary != NULL ? type->layer.summary : "");
            if (shadowed != NULL) {
                printf("%-16s (%s, in place of %s)\n", "", type->path, shadowed);
            }
        }
    }
    return worst;
}

static int run(struct cb_cli *cli)
{
    struct cb_registry *registry = cb_registry_create(&cb__host);
    enum cb_status status = registry != NULL ? CB_OK : CB_MEMORY;
    if (status == CB_OK && cli->argument_count == 0) {
        status = list(cli, registry);
    }
    for (size_t i = 0; status == CB_OK && i < cli->argument_count; i++) {
        const struct cb_layer_type *type;
        status = cb_registry_find(registry, cli->arguments[i], NULL, &type, cli->diag);
        if (status == CB_OK && cli->json) {
            cb_cli_print_json(layer_value(cli->arena, type));
        } else if (status == CB_OK) {
            print_layer(registry, type);
        }
    }
    int code = cb_cli_finish(cli, status);
    cb_registry_destroy(registry);
    return code;
}

const struct cb_command cb_command_layers = {
    .name = "layers",
    .usage = "layers [NAME]",
    .summary = "the layers there are; or one: formula, options, kernels, example",
    .run = run,
};
