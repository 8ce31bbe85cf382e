/* image_webp.c: still WebP pictures by libwebp, turned upright by their EXIF chunk.
 * The container: RFC 9649, section 2. */
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>

#include "data/image_internal.h"

static uint32_t little_endian(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static int orientation_of(const uint8_t *data, size_t bytes)
{
    size_t at = 12; /* after RIFF, size, WEBP */
    while (at + 8 <= bytes) {
        size_t size = little_endian(data + at + 4);
        if (size > bytes - at - 8) {
            return 1;
        }
        if (memcmp(data + at, "EXIF", 4) == 0) {
            return cb__exif_orientation(data + at + 8, size);
        }
        at += 8 + size + (size & 1);
    }
    return 1;
}

bool cb__webp_decode(const uint8_t *data, size_t bytes, struct cb_image *out, struct cb__why *why)
{
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(data, bytes, &features) != VP8_STATUS_OK) {
        return cb__because(why, CB_FORMAT, "is a damaged WebP picture: its header cannot be read");
    }
    if (features.has_animation) {
        return cb__because(why, CB_UNSUPPORTED, "is an animated WebP file; only still pictures are read");
    }
    uint32_t channels = features.has_alpha ? 4 : 3;
    struct cb_image image;
    if (!cb__image_alloc(&image, (uint64_t)features.width, (uint64_t)features.height, channels, why)) {
        return false;
    }
    size_t size = (size_t)image.width * image.height * channels;
    int stride = (int)(image.width * channels);
    const uint8_t *done = features.has_alpha ? WebPDecodeRGBAInto(data, bytes, image.data, size, stride)
                                             : WebPDecodeRGBInto(data, bytes, image.data, size, stride);
    if (!done) {
        free(image.data);
        return cb__because(why, CB_FORMAT, "is a damaged WebP picture, or it ends too early");
    }
    if (!cb__image_orient(&image, orientation_of(data, bytes), why)) {
        free(image.data);
        return false;
    }
    *out = image;
    return true;
}
