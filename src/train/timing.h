/* timing.h: how long a network takes, for `cambium bench`: on random values, nothing read or written. */
#ifndef CAMBIUM_TRAIN_TIMING_H
#define CAMBIUM_TRAIN_TIMING_H

#include "device/device.h"
#include "graph/network.h"
#include "graph/tuning.h"

enum cb_timing_work {
    CB_TIMING_INFERENCE, /* forward in inference form: batchnorm folded, nothing kept */
    CB_TIMING_GRADIENTS, /* forward and backward to the inputs and to all params */
    CB_TIMING_STEP,      /* a training step: forward, backward to all params, AdamW */
};

struct cb_timing {
    double median, least, most; /* seconds of one run */
    uint32_t runs;
    const char *variants;  /* that ran (cb_plan_count_variants); in the network's arena */
    uint64_t device_bytes; /* params, activations and whatever else the device held */
};

/* Adds a loss to `net` for a training step, makes it all trainable where gradients are wanted, and runs it on `batch` samples of random values:
 * once without counting, then for `seconds` and at least three times, waiting for the device after each run.
 * `tuning` (may be NULL): the table of measured variants; seconds below 0: only the plan is made, which may measure them. */
enum cb_status cb_network_time(struct cb_network *net, struct cb_device *device, uint32_t output, enum cb_timing_work work,
                               int64_t batch, struct cb_tuning *tuning, double seconds, struct cb_timing *out,
                               struct cb_diag *diag);

/* What the work is at least: operations (a multiply-add is two) of the products with params, each layer's number of places
 * times its filters or matrix, and bytes of all inputs, outputs and params of the network, each moved once. With
 * gradients: as many again for those of params, and for those of inputs where they are wanted. Layers without params
 * (attention, pooling) count no operations. */
struct cb_network_work {
    double operations, bytes;
};
struct cb_network_work cb_network_work(const struct cb_network *net, uint32_t output, enum cb_timing_work work, int64_t batch);

#endif
