/* verify.h: each variant of each layer against the plain one, on the device at hand: what `cambium doctor` says of them. */
#ifndef CAMBIUM_GRAPH_VERIFY_H
#define CAMBIUM_GRAPH_VERIFY_H

#include "device/device.h"
#include "graph/registry.h"

/* Runs the trials of every layer that has some (cb_layer.trials), forward and backward, on pictures [3,9,10,32] of fixed
 * random values: once with the plain variants, once with each other variant wherever it can run. A variant passes when the
 * output and all gradients differ by less than 1e-4 of their norm; one that no trial could use on this device is declined.
 * `*out` [*out_count] lives in the arena. Fails only when a trial cannot be run at all. */
enum cb_status cb_layers_verify(struct cb_registry *registry, struct cb_device *device, struct cb_arena *arena,
                                struct cb_doctor_result **out, size_t *out_count, struct cb_diag *diag);

#endif
