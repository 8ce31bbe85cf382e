/* A layer that refuses every input and does not say why. */
#include <cambium/layer.h>

static enum cb_status infer(struct cb_instance *in)
{
    (void)in;
    return CB_INVALID;
}

CB_PLUGIN({.struct_size = sizeof(struct cb_layer), .flags = CB_LAYER_VIEW, .name = "silent", .summary = "nothing",
           .min_inputs = 1, .max_inputs = 1, .infer = infer})
