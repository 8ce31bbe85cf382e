/* arguments.h: the parameters of a block, and `$name` that stands for one of them. Private to src/graph. */
#ifndef CAMBIUM_GRAPH_ARGUMENTS_H
#define CAMBIUM_GRAPH_ARGUMENTS_H

#include "base/arena.h"
#include "base/value.h"

/* The arguments of one use of the block `word` at `at`: its defaults, then what was given; and for the first repetition
 * `first`. Each of the three is a map, or NULL. `*out`: a map. In the arena. */
enum cb_status cb__arguments_bind(struct cb_arena *arena, const struct cb_value *parameters, const char *word,
                                  const struct cb_value *given, const struct cb_value *first,
                                  const struct cb_place *at, struct cb_value **out, struct cb_diag *diag);
/* Puts arguments (NULL: none) in place of each `$name` in `value`, of keys too: `- $activation:` is a layer's word. */
enum cb_status cb__arguments_substitute(struct cb_arena *arena, const struct cb_value *arguments,
                                        struct cb_value *value, struct cb_diag *diag);

#endif
