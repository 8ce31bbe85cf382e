/* library.h: blocks that any network may name as it names a layer: WORD.yaml in a folder `blocks`, written as a block
 * stands under `blocks:`, with a line `summary`.
 *
 * First match wins: `blocks` beside the YAML file that names it (or that file's own folder, if it is a block itself),
 * the user's data folder (blocks/), configs/blocks of the program. A block of the file's own `blocks:` and a layer of that
 * word come before. */
#ifndef CAMBIUM_GRAPH_LIBRARY_H
#define CAMBIUM_GRAPH_LIBRARY_H

#include "base/value.h"
#include "graph/registry.h"

struct cb_library_block {
    const char *word, *path;
    const char *summary;              /* may be NULL */
    const struct cb_value *parameters; /* a map of defaults, null where there is none; may be NULL */
    const struct cb_value *map;        /* the whole file */
};

/* The block of that word, asked for at `at` (may be NULL: not beside a file). `*out` is NULL where there is none. Lives
 * in the arena. */
enum cb_status cb_library_find(struct cb_arena *arena, const char *word, const struct cb_place *at,
                               const struct cb_library_block **out, struct cb_diag *diag);
/* The words of all that cb_library_find finds there, sorted, each once. In the arena. */
enum cb_status cb_library_words(struct cb_arena *arena, const struct cb_place *at, const char ***out_words,
                                size_t *out_count, struct cb_diag *diag);
/* "there is no layer `x`; did you mean `y`?": of the layers, the blocks `own` (a map, may be NULL) of a file, and the
 * library's. Returns NOT_FOUND. */
enum cb_status cb_library_fail_unknown(struct cb_arena *arena, struct cb_registry *registry, const char *word,
                                       const struct cb_value *own, const struct cb_place *at, struct cb_diag *diag);

#endif
