/* memory.h: where tensors that live for a while lie: a pure function of their sizes and lifetimes, no device needed. */
#ifndef CAMBIUM_GRAPH_MEMORY_H
#define CAMBIUM_GRAPH_MEMORY_H

#include "base/arena.h"

/* One tensor to be placed: it is alive from `first` to `last`, both inclusive. */
struct cb_lifetime {
    uint64_t bytes; /* 0: needs no place */
    int32_t first, last;
    /* results */
    uint32_t slab;
    uint64_t offset;
};

/* Places each lifetime so that no two that are alive together overlap: the largest first, each into the smallest gap
 * that holds it (Pisarchyk and Lee 2020, "greedy by size"). Offsets are multiples of `align`. No slab exceeds
 * `slab_limit` bytes; a single tensor that does is MEMORY. `*out_slabs`: bytes of each slab, in the arena. */
enum cb_status cb_memory_plan(struct cb_arena *arena, struct cb_lifetime *items, uint32_t count, uint64_t align,
                              uint64_t slab_limit, uint64_t **out_slabs, uint32_t *out_slab_count,
                              struct cb_diag *diag);

#endif
