/* augment.h: pictures become the network's input on the device: u8 [N,H,W,C] to f32 [N,H,W,C], (v - mean[c]) / std[c],
 * and in training, before that, a random change of each picture.
 *
 * A change is one affine warp (flip, rotation, shear, shift, scale, crop) sampled bilinearly, with a background colour
 * where the picture ends, then brightness, contrast and saturation. It is drawn from (seed, step, sample id) alone: the
 * same bits however samples are batched and after a resume. */
#ifndef CAMBIUM_TRAIN_AUGMENT_H
#define CAMBIUM_TRAIN_AUGMENT_H

#include "base/value.h"
#include "device/device.h"
#include "graph/contract.h"

/* All zero means: no change. Ranges are of uniform draws. */
struct cb_augment {
    bool flip_horizontal, flip_vertical; /* each with probability 1/2 */
    double rotate;                  /* degrees, in +- */
    double shear;                   /* degrees, in +- */
    double shift[2];                /* vertical, horizontal: share of height and width, in +- */
    double scale[2];                /* factor of size, from .. to (logarithmically uniform); both 0: none */
    double crop[2];                 /* share of the area that is kept, from .. to; both 0: none */
    double crop_ratio[2];           /* width / height of what is kept, relative to the picture's */
    double brightness, contrast, saturation; /* factor in 1 +- value */
};

bool cb_augment_is_none(const struct cb_augment *augment);
/* Reads `none`, `photo`, or a list: flip, {flip: vertical}, {rotate: 10}, {shear: 10}, {shift: 0.1}, {scale: [0.8, 1.2]},
 * {crop: {scale: [0.3, 1], ratio: [0.75, 1.33]}}, {colour: {brightness: 0.2, contrast: 0.2, saturation: 0.2}}, and photo
 * as a first item that later ones change. NULL gives none. Errors are collected in `diag`. */
enum cb_status cb_augment_read(const struct cb_value *value, struct cb_augment *out, struct cb_diag *diag);
struct cb_augmenter;

/* Compiles the kernels for pictures of the contract's shape [H,W,C] (modality image), with its mean and std. `augment`
 * NULL or none: plain normalisation. `background` [C] (0 to 255) fills what lies outside a picture; NULL: white. */
enum cb_status cb_augmenter_create(struct cb_device *device, const struct cb_contract *contract,
                                   const struct cb_augment *augment, const float *background, uint64_t seed,
                                   struct cb_augmenter **out, struct cb_diag *diag);
void cb_augmenter_destroy(struct cb_augmenter *augmenter); /* accepts NULL */

/* Enqueues: `pictures` u8 [n,H,W,C] -> `out` f32 [n,H,W,C]. `sample_ids` [n] on the host (may be NULL without
 * augmentation). `step` keys the draw: the epoch, or the number of a view. `changed` false: plain normalisation (for
 * evaluation). */
enum cb_status cb_augment_run(struct cb_augmenter *augmenter, struct cb_buffer *pictures, struct cb_buffer *out,
                              const int32_t *sample_ids, int64_t n, uint64_t step, bool changed, struct cb_diag *diag);

#endif
