/* arguments.h: what names stand for in a list of layers: variables of `for`, arguments of the block, parameters of the file,
 * and the sizes of what flows there. Private to src/graph. */
#ifndef CAMBIUM_GRAPH_ARGUMENTS_H
#define CAMBIUM_GRAPH_ARGUMENTS_H

#include "base/expression.h"
#include "graph/network_names.h"

/* The names that an item may use, from the inside out. Built in are C, H, W, T, sizes of what feeds the item; input.C and so
 * on, of what feeds the block or the network; and index, the number of the repetition. */
struct cb__item_names {
    const struct cb_network *net;
    const struct scope *scope;
    const struct cb_value *loop; /* the variables of `for`, or NULL */
    uint32_t feed;               /* wire; CB_NONE: none */
    int64_t index;
};
struct cb_names cb__item_names(struct cb__item_names *names);

/* The arguments of one use of the block `word` at `at`: its defaults, then what was given; and for the first repetition
 * `first`. Each of the three is a map, or NULL. `*out`: a map. In the arena. */
enum cb_status cb__arguments_bind(struct cb_arena *arena, const struct cb_value *parameters, const char *word,
                                  const struct cb_value *given, const struct cb_value *first,
                                  const struct cb_place *at, struct cb_value **out, struct cb_diag *diag);
/* Computes the defaults among scope->arguments, in their order, in the scope of the block. */
enum cb_status cb__arguments_settle(struct cb_network *net, const struct scope *scope, const struct cb_value *given,
                                    const struct cb_value *first, struct cb_diag *diag);

#endif
