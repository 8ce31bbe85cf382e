/* network_item.h: one item of a list of layers: a word with its options and the keys beside it. Private to src/graph. */
#ifndef CAMBIUM_GRAPH_NETWORK_ITEM_H
#define CAMBIUM_GRAPH_NETWORK_ITEM_H

#include "graph/network.h"

struct item {
    const char *word;
    const struct cb_value *options;
    const struct cb_value *at_value;
    struct cb_place at;
    const struct cb_value *name, *inputs, *first, *share;
    bool frozen;
    double lr_scale;
    int64_t start;
    bool has_repeat;
    bool is_from_library; /* a block that knows nothing of the file's own */
};

/* Reads an item in which nothing is left to substitute. `repeat`, `if` and `for` are not looked at. */
enum cb_status cb__item_read(const struct cb_value *value, struct item *out, struct cb_diag *diag);
/* The item's `repeat:` (NULL: 1). */
enum cb_status cb__item_repeat(const struct cb_value *value, int64_t *out, struct cb_diag *diag);

#endif
