/* fold.h: shared by fold.c and fold_blocks.c. */
#ifndef CAMBIUM_EXCHANGE_FOLD_H
#define CAMBIUM_EXCHANGE_FOLD_H

#include "exchange/flat.h"

struct cb_fold_group {
    const char *prefix; /* "layer1.0.", with the dot */
    uint32_t first, last;
    bool ok;            /* may be a block */
    bool banned;        /* its block would be used once */
    struct cb_flat_wire outside;
    const char *signature;
    uint32_t block;     /* once chosen */
    bool chosen;
};

struct cb_folding {
    struct cb_flat *flat;
    struct cb_fold_group *groups;
    uint32_t count, capacity;
    uint32_t *picks; /* groups, in the order of the layers */
    uint32_t pick_count;
};

/* A number that differs between the uses of a block. */
struct cb_fold_parameter {
    const char *name;
    const char **texts; /* of each use */
    struct cb_value **values;
    const char *usual;  /* the default, NULL: none */
};

struct cb_fold_parameters {
    struct cb_fold_parameter items[64];
    uint32_t count;
};

bool cb__fold_make_block(struct cb_folding *f, struct cb_flat_block *block, const uint32_t *uses, uint32_t use_count,
                         struct cb_fold_parameters *p);
/* A word for the block: after what its uses are called. */
const char *cb__fold_word_of(struct cb_folding *f, const struct cb_flat_file *file, const struct cb_fold_group *g);
/* Where it is used, for a comment; may be NULL. */
const char *cb__fold_comment_of(struct cb_folding *f, const uint32_t *uses, uint32_t count);

#endif
