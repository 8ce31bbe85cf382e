/* resize.h: pictures of other sizes, as Pillow makes them: antialiased (the filter is stretched when a picture shrinks),
 * separable, in 8-bit fixed point with Pillow's precision, so that results are the same bytes. Source: Pillow's
 * src/libImaging/Resample.c. */
#ifndef CAMBIUM_DATA_RESIZE_H
#define CAMBIUM_DATA_RESIZE_H

#include "data/image.h"
#include "graph/contract.h"

/* A region of a picture in pixels; fractions are allowed. */
struct cb_box {
    double x0, y0, x1, y1;
};

/* Resizes `in` (or only `box` of it; NULL: all) to width x height, all channels alike, into `out` (allocated here).
 * RGBA is not premultiplied: convert first. INVALID: an empty size or box; MEMORY. On failure `*out` is untouched. */
enum cb_status cb_image_resize(const struct cb_image *in, const struct cb_box *box, uint32_t width, uint32_t height,
                               enum cb_filter filter, struct cb_image *out, struct cb_diag *diag);

/* Brings a picture to height x width by a contract's rule, into `out` [height, width, in->channels]:
 *   pad     the whole picture fits, its sides keep their ratio, `background` fills what is left (picture centred)
 *   crop    the shorter side (of the shape that is wanted) becomes side / crop_fraction, then the middle is cut out
 *           (torchvision's Resize and CenterCrop)
 *   squash  both sides are resized, whatever the ratio
 * `in` has 1 or 3 channels. MEMORY, or INVALID for an empty size. */
enum cb_status cb_image_fit(const struct cb_image *in, uint32_t height, uint32_t width, enum cb_resize rule,
                            enum cb_filter filter, double crop_fraction, struct cb_colour background, uint8_t *out,
                            struct cb_diag *diag);

/* Decodes `path` and brings it to `contract` (modality image): `out` has shape[0] * shape[1] * shape[2] bytes, values 0
 * to 255, not normalised. For a single picture: prediction, looking. */
enum cb_status cb_image_for_contract(const char *path, const struct cb_contract *contract, struct cb_colour background,
                                     uint8_t *out, const struct cb_place *at, struct cb_diag *diag);
/* The same for a picture that is there already; it is left as it is. */
enum cb_status cb_image_to_contract(const struct cb_image *image, const struct cb_contract *contract,
                                    struct cb_colour background, uint8_t *out, struct cb_diag *diag);

#endif
