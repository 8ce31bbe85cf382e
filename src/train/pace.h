/* pace.h: how many rows of a batch are computed at a time. What a sample gives does not depend on it, but the time does: on a
 * processor fewer rows keep the activations in its caches, more use each param more often. So the first batches are
 * computed in parts of several sizes, and the fastest stays. */
#ifndef CAMBIUM_TRAIN_PACE_H
#define CAMBIUM_TRAIN_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define CB_PACE_SIZES 5

struct cb_pace {
    uint32_t sizes[CB_PACE_SIZES], size_count; /* to be tried: most, most / 2, ... */
    double seconds[CB_PACE_SIZES];             /* of a row */
    uint32_t turn;  /* 0: a first batch, which does not count; then sizes[turn - 1] is tried; at the end the best stays */
    uint32_t rows;  /* of this turn so far, */
    double took;    /* and their seconds */
    uint32_t best;  /* index into sizes */
};

/* At most `most` rows at a time; `is_tried` false: always `most`. */
void cb_pace_start(struct cb_pace *pace, uint32_t most, bool is_tried);
/* Rows to be computed next, of `left` that are left. */
uint32_t cb_pace_rows(const struct cb_pace *pace, uint32_t left);
/* They took so long, whatever was waited for included. */
void cb_pace_took(struct cb_pace *pace, uint32_t rows, double seconds);

#endif
