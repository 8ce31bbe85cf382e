/* blocks.c: see blocks.h. */
#include "cli/blocks.h"

#include <string.h>

#include "base/file.h"
#include "cli/layer_view.h"
#include "cli/wrap.h"

enum cb_status cb_blocks_find(struct cb_cli *cli, struct cb_registry *registry, const struct cb_library_block ***out,
                              size_t *out_count)
{
    const char **words;
    size_t count, kept = 0;
    CB_TRY(cb_library_words(cli->arena, NULL, &words, &count, cli->diag));
    const struct cb_library_block **blocks = CB_NEW_ARRAY(cli->arena, const struct cb_library_block *, count + 1);
    if (blocks == NULL) {
        return cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        const struct cb_layer_type *type;
        if (cb_registry_find(registry, words[i], NULL, &type, NULL) == CB_NOT_FOUND) {
            CB_TRY(cb_library_find(cli->arena, words[i], NULL, &blocks[kept], cli->diag));
            kept += blocks[kept] != NULL;
        }
    }
    *out = blocks;
    *out_count = kept;
    return CB_OK;
}

const char *cb_block_from(struct cb_cli *cli, const struct cb_library_block *block)
{
    const char *own = cb_resource_path(cli->arena, "configs/blocks");
    return own != NULL && cb_starts_with(block->path, own) ? NULL : block->path;
}

void cb_block_print_line(struct cb_cli *cli, const struct cb_library_block *block, int column)
{
    const char *from = cb_block_from(cli, block);
    struct cb_text line = {0};
    cb_text_add(&line, block->summary != NULL ? block->summary : "");
    if (from != NULL) {
        cb_text_addf(&line, " (%s)", from);
    }
    printf("  %-*s", column - 2, block->word);
    cb_wrap_print(line.data != NULL ? line.data : "", column, column + 2);
    cb_text_free(&line);
}

static enum cb_status read_text(struct cb_cli *cli, const struct cb_library_block *block, char **out)
{
    size_t length;
    return cb_file_read(cli->arena, block->path, 1 << 20, out, &length, NULL, cli->diag);
}

static void print_json(struct cb_cli *cli, const struct cb_library_block *block)
{
    struct cb_arena *arena = cli->arena;
    struct cb_value *map = cb_value_map(arena, NULL), *options = cb_value_list(arena, NULL);
    const struct cb_value *parameters = block->parameters, *layers = cb_map_get(block->map, "layers");
    for (size_t i = 0; parameters != NULL && i < parameters->as.map.count; i++) {
        const struct cb_entry *entry = &parameters->as.map.entries[i];
        const bool is_required = entry->value->kind == CB_KIND_NULL;
        struct cb_value *option = cb_value_map(arena, NULL);
        (void)cb_map_set(arena, option, "key", cb_value_text(arena, entry->key, NULL));
        (void)cb_map_set(arena, option, "required", cb_value_bool(arena, is_required, NULL));
        if (!is_required) {
            (void)cb_map_set(arena, option, "default", entry->value);
        }
        (void)cb_list_append(arena, options, option);
    }
    (void)cb_map_set(arena, map, "name", cb_value_text(arena, block->word, NULL));
    (void)cb_map_set(arena, map, "summary", cb_value_text(arena, block->summary != NULL ? block->summary : "", NULL));
    (void)cb_map_set(arena, map, "block", cb_value_text(arena, block->path, NULL));
    (void)cb_map_set(arena, map, "built_in", cb_value_bool(arena, cb_block_from(cli, block) == NULL, NULL));
    (void)cb_map_set(arena, map, "options", options);
    if (layers != NULL) {
        (void)cb_map_set(arena, map, "layers", (struct cb_value *)(uintptr_t)layers);
    }
    cb_cli_print_json(map);
}

enum cb_status cb_block_show(struct cb_cli *cli, const struct cb_library_block *block)
{
    char *text;
    if (cli->json) {
        print_json(cli, block);
        return CB_OK;
    }
    CB_TRY(read_text(cli, block, &text));
    printf("%s: %s\n\nA block: a list of layers under one word, that stands in a network or a head as a layer does.\n\n"
           "%s\nblock: %s%s\n", block->word, block->summary != NULL ? block->summary : "", text, block->path,
           cb_block_from(cli, block) == NULL ? " (built in)" : "");
    return CB_OK;
}

/* ---- pages ---- */

static void add_options(const struct cb_library_block *block, struct cb_text *out)
{
    const struct cb_value *parameters = block->parameters;
    if (parameters == NULL || parameters->as.map.count == 0) {
        cb_text_add(out, "None.\n");
        return;
    }
    cb_text_add(out, "| option | default |\n|---|---|\n");
    for (size_t i = 0; i < parameters->as.map.count; i++) {
        const struct cb_entry *entry = &parameters->as.map.entries[i];
        struct cb_text value = {0};
        cb_value_to_json(entry->value, &value);
        cb_text_addf(out, "| `%s` | %s |\n", entry->key,
                     entry->value->kind == CB_KIND_NULL ? "required"
                     : entry->value->kind == CB_KIND_TEXT ? entry->value->text : value.data);
        cb_text_free(&value);
    }
}

enum cb_status cb_block_page(struct cb_cli *cli, const struct cb_library_block *block, struct cb_text *out)
{
    const struct cb_value *example = cb_map_get(block->map, "example");
    char *text;
    CB_TRY(read_text(cli, block, &text));
    cb_text_addf(out, CB_PAGE_MARK " from configs/blocks/%s.yaml: change that. -->\n# %s\n\nA block of layers: %s.\n\n"
                 "Family: [blocks](README.md#blocks)\n", block->word, block->word,
                 block->summary != NULL ? block->summary : block->word);
    cb_text_add(out, "\n## Options\n\n");
    add_options(block, out);
    cb_text_addf(out, "\n## Layers\n\n```yml\n%s```\n", text);
    cb_text_addf(out, "\n## Example\n\n```yaml\n%s```\n",
                 example != NULL && example->text != NULL ? example->text : "");
    cb_text_addf(out, "\n## Source\n\n[configs/blocks/%s.yaml](../../configs/blocks/%s.yaml)\n", block->word,
                 block->word);
    return CB_OK;
}

void cb_block_index(const struct cb_library_block *const *blocks, size_t count, struct cb_text *out)
{
    if (count > 0) {
        cb_text_add(out, "\n## Blocks\n\nLists of layers under one word, that stand in a network or a head as a layer "
                         "does.\n\n| | |\n|---|---|\n");
    }
    for (size_t i = 0; i < count; i++) {
        cb_text_addf(out, "| [%s](%s.md) | %s |\n", blocks[i]->word, blocks[i]->word,
                     blocks[i]->summary != NULL ? blocks[i]->summary : "");
    }
}
