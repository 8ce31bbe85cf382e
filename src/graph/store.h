/* store.h: a network's params and states on a device.
 *
 * The trainable params lie in one contiguous range, each at a multiple of the device's alignment (the gaps are zero and
 * stay zero), so that an optimizer is one kernel over it; gradients lie in a range of the same layout. */
#ifndef CAMBIUM_GRAPH_STORE_H
#define CAMBIUM_GRAPH_STORE_H

#include "device/device.h"
#include "graph/network.h"

struct cb_store_segment {
    uint32_t param;  /* index into net->params */
    uint64_t offset; /* elements, in the trainable range */
    uint64_t count;
};

struct cb_store {
    struct cb_network *net;
    struct cb_device *device;
    struct cb_tensor *values; /* per param and state of the network */
    struct cb_tensor *grads;  /* per param; buffer NULL where nothing is trained or wanted */
    struct cb_buffer *trainable, *gradients; /* the ranges; NULL when nothing is trainable */
    uint64_t trainable_count;                /* elements of the range, gaps counted */
    struct cb_store_segment *segments;
    uint32_t segment_count;
    struct cb_tuning *tuning; /* which variants were measured (graph/tuning.h); its owner sets it. NULL: nothing was */
    uint64_t version; /* counts changes of params; plans that hold derived params compare it */
};

/* Allocates and uploads. `with_gradients`: for training. The struct lives in the network's arena;
 * destroy it before the device and the network. */
enum cb_status cb_store_create(struct cb_network *net, struct cb_device *device, bool with_gradients,
                               struct cb_store **out, struct cb_diag *diag);
void cb_store_destroy(struct cb_store *store); /* accepts NULL */
/* Host to device, everything. */
enum cb_status cb_store_upload(struct cb_store *store, struct cb_diag *diag);
/* Device to host, everything: frozen values too, so that what is hashed is what the device held. */
enum cb_status cb_store_download(struct cb_store *store, struct cb_diag *diag);
/* Says that trainable params or states changed on the device. */
void cb_store_touch(struct cb_store *store);

#endif
