/* A pointwise layer whose kernel file is not beside it. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {.struct_size = sizeof(pointwise), .df_reads = CB_NEEDS_X};

CB_PLUGIN({.struct_size = sizeof(struct cb_layer), .name = "no_kernel", .summary = "nothing", .pointwise = &pointwise})
