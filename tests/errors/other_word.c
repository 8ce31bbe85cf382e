/* A plugin whose file and layer have different names. */
#include <cambium/layer.h>

static const struct cb_pointwise pointwise = {.struct_size = sizeof(pointwise), .df_reads = CB_NEEDS_X};

CB_PLUGIN({.struct_size = sizeof(struct cb_layer), .name = "something_else", .summary = "nothing",
           .pointwise = &pointwise})
