/* blocks.h: the blocks of the library (graph/library.h) for `cambium layers`: listed, shown, as pages. */
#ifndef CAMBIUM_CLI_BLOCKS_H
#define CAMBIUM_CLI_BLOCKS_H

#include "cli/cli.h"
#include "graph/library.h"
#include "graph/registry.h"

/* All blocks whose word is no layer's, by word. In the command's arena. */
enum cb_status cb_blocks_find(struct cb_cli *cli, struct cb_registry *registry, const struct cb_library_block ***out,
                              size_t *out_count);
/* NULL: it is one of the program's own. */
const char *cb_block_from(struct cb_cli *cli, const struct cb_library_block *block);
/* A line of the list, whose summary begins at `column`. */
void cb_block_print_line(struct cb_cli *cli, const struct cb_library_block *block, int column);
/* As text, or with --json as a value. */
enum cb_status cb_block_show(struct cb_cli *cli, const struct cb_library_block *block);
enum cb_status cb_block_page(struct cb_cli *cli, const struct cb_library_block *block, struct cb_text *out);
void cb_block_index(const struct cb_library_block *const *blocks, size_t count, struct cb_text *out);

#endif
