/* contract.h: what a network expects of its input. Stands in the backbone file and in the weights' metadata; task,
 * backbone, weights and data must agree on it. */
#ifndef CAMBIUM_GRAPH_CONTRACT_H
#define CAMBIUM_GRAPH_CONTRACT_H

#include "base/value.h"

enum cb_modality { CB_IMAGE, CB_TEXT, CB_AUDIO, CB_TENSOR };
enum cb_resize { CB_RESIZE_PAD, CB_RESIZE_CROP, CB_RESIZE_SQUASH };
enum cb_filter { CB_FILTER_BILINEAR, CB_FILTER_BICUBIC, CB_FILTER_NEAREST };

#define CB_MAX_CHANNELS 16

/* input: {modality: image, shape: [224, 224, 3], scale: {mean: [127.0], std: [128.0]}, resize: pad, filter: bilinear,
 *         crop_fraction: 0.875}
 * A picture becomes x = (value - mean[c]) / std[c] with values 0 to 255; one number stands for all channels. */
struct cb_contract {
    const char *name; /* of the network's input: "x" unless named */
    enum cb_modality modality;
    uint32_t rank;    /* without N */
    int64_t shape[8]; /* image: H, W, C */
    double mean[CB_MAX_CHANNELS], std[CB_MAX_CHANNELS];
    enum cb_resize resize;
    enum cb_filter filter;
    double crop_fraction; /* crop: the shorter side is resized to side / crop_fraction first (0.875: 256 for 224) */
    struct cb_place at;
};

const char *cb_modality_name(enum cb_modality modality); /* "image" */
const char *cb_resize_name(enum cb_resize resize);
/* Reads the map; collects errors. */
enum cb_status cb_contract_read(const struct cb_value *map, struct cb_contract *out, struct cb_diag *diag);
/* Back to a map, all keys written. NULL when memory is exhausted. */
struct cb_value *cb_contract_to_value(struct cb_arena *arena, const struct cb_contract *contract);

#endif
