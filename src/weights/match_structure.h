/* match_structure.h: putting a file's tensors onto a network when the names say nothing: by structure and shape.
 *
 * The file's tensors are grouped by layer ("x.weight", "x.bias", "x.running_mean": the layer x); the network's layers
 * stand in running order. A group may become a layer when each of its tensors fits a param by role and shape and none is
 * left over. Then:
 *   - A file that keeps the order of its tensors (PyTorch's) is aligned with the network: the longest common sequence,
 *     where a convolution and the normalisation behind it stay together if they can. It is taken when it is the only one.
 *   - A file that sorts its tensors by name (safetensors as its own library writes it) says nothing about order but by
 *     numbers in names: "block.2" is before "block.10", but "attention.key" neither before nor after "attention.query".
 *   - What is left over is taken where one group and one layer can only be each other.
 *   - A layer whose own last word another group of that shape bears ("key" for `query`, beside a "query") is doubtful.
 * Whatever is not decided so is ambiguous: an error that names the candidates and shows a name map to fill in. */
#ifndef CAMBIUM_WEIGHTS_MATCH_STRUCTURE_H
#define CAMBIUM_WEIGHTS_MATCH_STRUCTURE_H

#include "weights/match.h"

/* `known` (may be NULL): names that are settled. `open_layer` (may be NULL): the layer of the network's output, which may
 * have another number of outputs in the file, or be missing there. Fills `out_map`, in the arena, with a rule for each
 * layer, and sets `foreign` of the wanted params to the file's own words, for cb_weights_match. MISMATCH: there is no such
 * way, or more than one. */
enum cb_status cb_weights_match_structure(struct cb_tensor_file *file, struct cb_wanted *wanted, uint32_t count,
                                          const struct cb_name_map *known, const char *open_layer,
                                          struct cb_arena *arena, struct cb_name_map *out_map, const struct cb_place *at,
                                          struct cb_diag *diag);

#endif
