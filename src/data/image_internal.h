/* image_internal.h: between image.c and the decoders. A decoder says why it failed in a struct of its own, not in a
 * diagnostics list, because many of them run at once in the loader's threads. */
#ifndef CAMBIUM_DATA_IMAGE_INTERNAL_H
#define CAMBIUM_DATA_IMAGE_INTERNAL_H

#include "base/why.h"
#include "data/image.h"
#include "data/resize.h"

/* True when width x height is within the limits; called before memory is taken. */
bool cb__image_check_size(uint64_t width, uint64_t height, struct cb__why *why);
/* Takes memory for `out` (size checked first); on failure `out` is untouched. */
bool cb__image_alloc(struct cb_image *out, uint64_t width, uint64_t height, uint32_t channels, struct cb__why *why);

/* One decoder each. On failure `out` is untouched. */
bool cb__jpeg_decode(const uint8_t *data, size_t bytes, struct cb_image *out, struct cb__why *why);
bool cb__png_decode(const uint8_t *data, size_t bytes, struct cb_image *out, struct cb__why *why);
bool cb__webp_decode(const uint8_t *data, size_t bytes, struct cb_image *out, struct cb__why *why);
bool cb__heif_decode(const uint8_t *data, size_t bytes, struct cb_image *out, struct cb__why *why);
/* All of them, by content. */
bool cb__image_decode(const uint8_t *data, size_t bytes, struct cb_image *out, struct cb__why *why);
bool cb__image_read(const char *path, struct cb_image *out, struct cb__why *why);
/* cb_image_resize; the sizes are not 0. */
bool cb__image_resize(const struct cb_image *in, const struct cb_box *box, uint32_t width, uint32_t height,
                      enum cb_filter filter, struct cb_image *out, struct cb__why *why);
/* Brings a picture to what a network takes: a contract of modality image with 1 or 3 channels. */
bool cb__image_to_contract(const struct cb_image *image, const struct cb_contract *contract,
                           struct cb_colour background, uint8_t *out, struct cb__why *why);

/* ITU-R 601-2 luma of one RGB pixel, as Pillow's L24 computes it. */
uint8_t cb__luma(const uint8_t *rgb);

/* The orientation (1 to 8) that a TIFF block of EXIF data holds; 1 when there is none or it makes no sense. */
int cb__exif_orientation(const uint8_t *tiff, size_t bytes);
/* Turns and mirrors the picture so that it is upright. Orientation 1 does nothing. */
bool cb__image_orient(struct cb_image *image, int orientation, struct cb__why *why);

#endif
