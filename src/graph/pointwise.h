/* pointwise.h: the text of a layer that maps each element on its own, as it stands in programs that it is fused into. */
#ifndef CAMBIUM_GRAPH_POINTWISE_H
#define CAMBIUM_GRAPH_POINTWISE_H

#include "base/text.h"
#include "device/device.h"
#include "graph/registry.h"

/* Appends the file at `path` twice, for float and float16, every identifier NAME_... renamed to NAME_...__1 and __16,
 * and exp to cb_exp, the fast one (cl/include/exp.clh), the same at every width. */
enum cb_status cb_pointwise_text(struct cb_arena *arena, const struct cb_layer *layer, const char *path,
                                 const struct cb_place *at, struct cb_text *out, struct cb_diag *diag);
/* Does that text compile, and has it the two functions with the options' arguments? If not, a note says what the file must
 * define. `path` NULL: where the layer's kernels are found. */
enum cb_status cb_pointwise_compiles(const struct cb_layer_type *type, const char *path, struct cb_device *device,
                                     struct cb_diag *diag);

#endif
