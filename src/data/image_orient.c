/* image_orient.c: which way is up. Source: CIPA DC-008 (Exif 2.32), tag 0x0112; TIFF 6.0 for the block's layout. */
#include <stdlib.h>
#include <string.h>

#include "data/image_internal.h"

static uint32_t read_uint(const uint8_t *at, int bytes, bool big_endian)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value |= (uint32_t)at[i] << 8 * (big_endian ? bytes - 1 - i : i);
    }
    return value;
}

int cb__exif_orientation(const uint8_t *tiff, size_t bytes)
{
    if (bytes >= 6 && memcmp(tiff, "Exif\0\0", 6) == 0) {
        tiff += 6;
        bytes -= 6;
    }
    if (bytes < 8 || (memcmp(tiff, "II*\0", 4) != 0 && memcmp(tiff, "MM\0*", 4) != 0)) {
        return 1;
    }
    bool big = tiff[0] == 'M';
    size_t directory = read_uint(tiff + 4, 4, big);
    if (directory > bytes - 2) {
        return 1;
    }
    uint32_t count = read_uint(tiff + directory, 2, big);
    for (uint32_t i = 0; i < count; i++) {
        size_t entry = directory + 2 + (size_t)i * 12;
        if (entry + 12 > bytes) {
            return 1;
        }
        uint32_t tag = read_uint(tiff + entry, 2, big), type = read_uint(tiff + entry + 2, 2, big);
        if (tag == 0x0112 && (type == 3 || type == 4)) { /* SHORT; some software writes LONG */
            uint32_t orientation = read_uint(tiff + entry + 8, type == 3 ? 2 : 4, big);
            return orientation >= 1 && orientation <= 8 ? (int)orientation : 1;
        }
    }
    return 1;
}

bool cb__image_orient(struct cb_image *image, int orientation, struct cb__why *why)
{
    if (orientation <= 1 || orientation > 8) {
        return true;
    }
    bool swapped = orientation >= 5; /* rows become columns */
    uint32_t w = image->width, h = image->height, channels = image->channels;
    struct cb_image to;
    if (!cb__image_alloc(&to, swapped ? h : w, swapped ? w : h, channels, why)) {
        return false;
    }
    for (uint32_t y = 0; y < to.height; y++) {
        for (uint32_t x = 0; x < to.width; x++) {
            /* 2 mirrored, 3 turned by 180, 4 upside down, 5 transposed, 6 turned right, 7 transverse, 8 turned left */
            uint32_t u = swapped ? y : x, v = swapped ? x : y;
            if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) {
                u = w - 1 - u;
            }
            if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) {
                v = h - 1 - v;
            }
            memcpy(to.data + ((size_t)y * to.width + x) * channels, image->data + ((size_t)v * w + u) * channels,
                   channels);
        }
    }
    free(image->data);
    *image = to;
    return true;
}
