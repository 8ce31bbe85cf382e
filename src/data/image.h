/* image.h: pictures from files: JPEG, PNG, WebP, and HEIC where the build has libheif. What a file is, its content
 * says, never its name. Turned upright by EXIF; 16-bit values become their upper byte; a palette becomes colours.
 *
 * A damaged or cut-off picture is an error, also where a decoder would give half of it. All functions may be called
 * from several threads at once. */
#ifndef CAMBIUM_DATA_IMAGE_H
#define CAMBIUM_DATA_IMAGE_H

#include <cambium/status.h>

#include "base/arena.h"

/* Larger pictures are refused before any memory is taken for them. */
#define CB_IMAGE_MAX_PIXELS 100000000u /* 100 megapixels */
#define CB_IMAGE_MAX_SIDE 65535u

struct cb_image {
    uint32_t width, height;
    uint32_t channels; /* 1 grey, 3 RGB, 4 RGBA (colours not multiplied by alpha) */
    uint8_t *data;     /* [height, width, channels], malloc'd; cb_image_free */
};

/* A colour behind transparent pixels. */
struct cb_colour {
    uint8_t r, g, b;
};
#define CB_WHITE ((struct cb_colour){255, 255, 255})

enum cb_image_format { CB_IMAGE_UNKNOWN, CB_IMAGE_JPEG, CB_IMAGE_PNG, CB_IMAGE_WEBP, CB_IMAGE_HEIF };

/* What the first bytes say; 32 are enough. */
enum cb_image_format cb_image_sniff(const void *data, size_t bytes);
const char *cb_image_format_name(enum cb_image_format format); /* "JPEG" */
/* True for names that end like a picture that can be read (.jpg .jpeg .png .webp .heic ..., any case). */
bool cb_image_has_extension(const char *name);

/* Decodes a picture in memory. `name` is the file's, for messages. FORMAT: damaged or no picture; UNSUPPORTED: too large
 * or a kind that this build cannot read. On failure `*out` is untouched. */
enum cb_status cb_image_decode(const void *data, size_t bytes, const char *name, struct cb_image *out,
                               struct cb_diag *diag);
/* The same from a file; `at` (may be NULL): where it was named. */
enum cb_status cb_image_read(const char *path, struct cb_image *out, const struct cb_place *at, struct cb_diag *diag);
void cb_image_free(struct cb_image *image); /* accepts an all-zero one */

/* Changes the picture to 1 or 3 channels as Pillow's convert does: grey is the ITU-R 601-2 luma in Pillow's fixed point;
 * RGBA is first laid on `background`. False when memory is exhausted (the picture is then unchanged). */
bool cb_image_convert(struct cb_image *image, uint32_t channels, struct cb_colour background);

/* Writes an 8-bit PNG (grey, RGB or RGBA), atomically: for reports and tests. */
enum cb_status cb_image_write_png(const char *path, const struct cb_image *image, struct cb_diag *diag);

#endif
