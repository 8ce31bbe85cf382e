/* structure.h: between match_structure.c, which groups and reports, and structure_align.c, which aligns. */
#ifndef CAMBIUM_WEIGHTS_STRUCTURE_H
#define CAMBIUM_WEIGHTS_STRUCTURE_H

#include "weights/match_structure.h"

#define CB__NONE UINT32_MAX

/* Tensors of one layer in the file. */
struct cb__group {
    const char *name;      /* "layer1.0.conv1"; "" for tensors without a dot */
    const uint32_t *items; /* indices of the file's tensors, in its order */
    uint32_t count;
    bool is_vectors;       /* every tensor has one dim or less: a normalisation, a bias, a table of one row */
};

/* Params of one layer of the network. */
struct cb__layer {
    const char *name;
    uint32_t first, count; /* in wanted */
    bool is_vectors;
};

struct cb__structure {
    const struct cb__group *groups;
    uint32_t group_count;
    const struct cb__layer *layers;
    uint32_t layer_count;
    const unsigned char *fits; /* [group_count][layer_count] */
    uint32_t *group_of;        /* per layer: the result; CB__NONE: none yet */
    uint32_t *layer_of;        /* per group, likewise */
    bool *is_doubtful;         /* per layer: it could be one of several groups */
};

static inline bool cb__fits(const struct cb__structure *s, uint32_t group, uint32_t layer)
{
    return s->fits[(size_t)group * s->layer_count + layer] != 0;
}

/* Each takes what is certain among the groups and layers that are free, and marks what is doubtful. MEMORY or OK. */
enum cb_status cb__align_in_order(struct cb__structure *s, struct cb_diag *diag);
enum cb_status cb__align_by_numbers(struct cb__structure *s, struct cb_diag *diag);
/* Free groups and layers that can only be each other. */
void cb__align_rest(struct cb__structure *s);

#endif
