/* pixel_shuffle.h: what pixel_shuffle and pixel_unshuffle share. A picture of H x W with C r r channels, and one of
 * H r x W r with C: channel c r r + i r + j of place (h, w) is channel c of place (h r + i, w r + j), PyTorch's order
 * with the channels last (Shi et al. 2016). */
#ifndef CAMBIUM_PIXEL_SHUFFLE_H
#define CAMBIUM_PIXEL_SHUFFLE_H

#include "box.h"

struct pixel_options {
    int64_t factor;
};

/* From the deep one [N,H,W,C r r] to the wide one [N,H r,W r,C]; `deep` are the dims of the first. */
static inline struct box pixel_box(const int64_t *deep, int64_t r)
{
    const int64_t n = deep[0], h = deep[1], w = deep[2], d = deep[3], c = d / (r * r), wide_row = w * r * c;
    struct box b = {.rank = 0};
    box_add_axis(&b, n * h, r * wide_row, w * d);
    box_add_axis(&b, r, wide_row, r);
    box_add_axis(&b, w, r * c, d);
    box_add_axis(&b, r, c, 1);
    box_add_axis(&b, c, 1, r * r);
    return b;
}

#endif
