/* example_attempt.h: a layer's example over inputs of chosen forms, as example.c tries it and example_symbols.c varies
 * it. */
#ifndef CAMBIUM_GRAPH_EXAMPLE_ATTEMPT_H
#define CAMBIUM_GRAPH_EXAMPLE_ATTEMPT_H

#include "graph/example.h"

#define MAX_INPUTS 4

struct form {
    const char *symbols; /* a letter a dimension, without N */
    const char *modality;
    enum cb_dtype dtype;
    int64_t dims[3]; /* 0: the channels that are tried */
};

struct attempt {
    struct cb_registry *registry;
    const struct cb_layer_type *type;
    const struct cb_value *options;
    const char *names[MAX_INPUTS];
    const struct form *forms[MAX_INPUTS];
    uint32_t input_count;
    int64_t channels;
    bool has_own_t, has_own_w; /* inputs after the first may differ in it: there it is called S, or V */
};

/* Which size is doubled: one of the inputs' letters, or an option. */
struct variable {
    char letter;
    const char *option;
};

/* What dimension `d` behind N of an input is called. */
char cb__attempt_letter(const struct attempt *a, uint32_t input, uint32_t d);

/* A network of that one layer, with a size doubled (may be NULL); NULL when the layer refuses. */
struct cb_network *cb__attempt_build(const struct attempt *a, const struct variable *doubled,
                                     const struct cb_value *options);

/* Fills `out`'s shapes; `net` is the attempt as built. False: out of memory. */
bool cb__attempt_symbols(struct attempt *a, struct cb_network *net, struct cb_example *out, struct cb_arena *arena);

#endif
