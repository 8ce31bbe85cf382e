/* family.h: one network file for a family of networks: `parameters:` with defaults, `models:` with the members.
 *
 *     parameters: {depths: null, block: basic}
 *     models:
 *       resnet18: {depths: [2, 2, 2, 2], weights: [{file: resnet18.pth}]}
 *
 * A member's keys are parameters, or keys of the file (input, whose keys are laid over the file's; weights, names, labels,
 * licence, source, output), which replace the file's. Everything but the layers and blocks is computed when the member is
 * chosen; layers use the parameters as they are read (network_read.c). */
#ifndef CAMBIUM_GRAPH_FAMILY_H
#define CAMBIUM_GRAPH_FAMILY_H

#include "base/value.h"

/* The plain network file of `member`: parameters settled, no `models`, `name` is the member's. `member` NULL is for files
 * without `models` (settling twice changes nothing). NOT_FOUND names the members there are. In the arena. */
enum cb_status cb_family_settle(struct cb_arena *arena, const struct cb_value *file, const char *member,
                                struct cb_value **out, struct cb_diag *diag);

/* The file in `folder` that describes `name`: NAME.yaml, else the one whose `models:` has it. `*out_member` is NULL where
 * the file describes one network. NOT_FOUND without a message where there is none; other files' errors are passed over. */
enum cb_status cb_family_find(struct cb_arena *arena, const char *folder, const char *name, char **out_path,
                              struct cb_value **out_file, const char **out_member, struct cb_diag *diag);
/* The names of all networks that the files in `folder` describe, sorted. */
enum cb_status cb_family_names(struct cb_arena *arena, const char *folder, const char ***out_names, size_t *out_count,
                               struct cb_diag *diag);

#endif
