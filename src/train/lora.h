/* lora.h: low-rank additions beside the linear layers of a backbone (Hu and others 2021): y = x w + b + alpha / rank x A B, of
 * which only A [C,rank] and B [rank,K] are trained. No layer knows of it: the network's description is rewritten before it is
 * read, with layers NAME.lora.down (A), NAME.lora.up (B), NAME.lora.scaled and NAME.lora.sum beside the layer NAME, whose own
 * params keep their names. configs/defaults/lora.yaml has the words. */
#ifndef CAMBIUM_TRAIN_LORA_H
#define CAMBIUM_TRAIN_LORA_H

#include "graph/network.h"

struct cb_lora {
    int64_t rank;
    double alpha, dropout;
    const struct cb_value *layers; /* a list of patterns, of whole names or their last part; NULL: all that are linear */
    struct cb_place at;
};

/* Reads {rank: 8, alpha: 16, layers: linear, dropout: 0}; collects errors. */
enum cb_status cb_lora_read(const struct cb_value *map, struct cb_lora *out, struct cb_diag *diag);
/* Of a network as it was read, its description with the additions, in the arena. `spared` (may be NULL) is a layer that gets
 * none: the one that a head replaces. `*out_count`: how many layers got one. NOT_FOUND where a pattern names no linear
 * layer. */
enum cb_status cb_lora_rewrite(const struct cb_network *net, const struct cb_lora *lora, const char *spared,
                               struct cb_arena *arena, struct cb_value **out, uint32_t *out_count, struct cb_diag *diag);
/* In the network that was read of it: the additions are no part of the weights file and not frozen with the backbone, and B
 * begins as zeros. */
void cb_lora_prepare(struct cb_network *net);
/* Whether the network has additions. */
bool cb_lora_is_in(const struct cb_network *net);
/* Adds them to the layers' own params on the host and takes them out, and what the `keep` wires do not need. Wires get new
 * numbers, those of `keep` in place. */
enum cb_status cb_lora_merge(struct cb_network *net, uint32_t *keep, uint32_t keep_count, struct cb_diag *diag);

#endif
