/* core.h: the core's side of a layer, which plugins hold as an opaque pointer. Private to src/graph. */
#ifndef CAMBIUM_GRAPH_CORE_H
#define CAMBIUM_GRAPH_CORE_H

#include "device/device.h"
#include "graph/network.h"

struct cb_step;      /* step.h */
struct cb_step_pass; /* step.h: a pass with its chosen variant */

struct cb_core {
    const struct cb_network *net;
    const struct cb_node *node;
    struct cb_diag *diag;
    struct cb_inference *inference; /* during [check], else NULL */
    struct cb_device *device;       /* from [device] on */
    struct cb_step_pass *pass;      /* the variant that prepares or runs */
    struct cb_step *step;           /* whose pass it is */
    struct cb_arena *arena;         /* of the plan */
};

/* The functions of the host table that need a device (host_run.c). */
enum cb_status cb__host_kernel(struct cb_core *core, const char *source, const char *entry, const char *defines);
enum cb_status cb__host_workspace(struct cb_core *core, uint32_t dtype, int64_t count);
enum cb_status cb__host_derived(struct cb_core *core, uint32_t dtype, int64_t count);
enum cb_status cb__host_launch(struct cb_core *core, struct cb_kernel *kernel, const struct cb_grid *grid,
                               const struct cb_arg *args, uint32_t arg_count);
enum cb_status cb__host_gemm(struct cb_core *core, const struct cb_gemm *gemm);
enum cb_status cb__host_fill(struct cb_core *core, const struct cb_tensor *tensor, float value);
enum cb_status cb__host_copy(struct cb_core *core, const struct cb_tensor *to, const struct cb_tensor *from);
const struct cb_device_facts *cb__host_device(struct cb_core *core);

#endif
