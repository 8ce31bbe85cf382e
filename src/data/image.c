/* image.c: a picture's life outside the decoders: recognised, read, converted, freed. */
#include "data/image.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/image_internal.h"

/* A file that holds 100 megapixels of 16-bit RGBA without compression. */
#define MAX_FILE_BYTES ((int64_t)1 << 30)

enum cb_image_format cb_image_sniff(const void *data, size_t bytes)
{
    const unsigned char *b = data;
    if (bytes >= 3 && memcmp(b, "\xff\xd8\xff", 3) == 0) {
        return CB_IMAGE_JPEG;
    }
    if (bytes >= 8 && memcmp(b, "\x89PNG\r\n\x1a\n", 8) == 0) {
        return CB_IMAGE_PNG;
    }
    if (bytes >= 12 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0) {
        return CB_IMAGE_WEBP;
    }
    if (bytes >= 12 && memcmp(b + 4, "ftyp", 4) == 0) {
        static const char *const brands[] = {"heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"};
        for (size_t i = 0; i < sizeof brands / sizeof brands[0]; i++) {
            if (memcmp(b + 8, brands[i], 4) == 0) {
                return CB_IMAGE_HEIF;
            }
        }
    }
    return CB_IMAGE_UNKNOWN;
}

const char *cb_image_format_name(enum cb_image_format format)
{
    switch (format) {
    case CB_IMAGE_JPEG:
        return "JPEG";
    case CB_IMAGE_PNG:
        return "PNG";
    case CB_IMAGE_WEBP:
        return "WebP";
    case CB_IMAGE_HEIF:
        return "HEIC";
    case CB_IMAGE_UNKNOWN:
        break;
    }
    return "unknown";
}

bool cb_image_has_extension(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof endings[0]; i++) {
        if (strcasecmp(dot, endings[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool cb__image_check_size(uint64_t width, uint64_t height, struct cb__why *why)
{
    if (width == 0 || height == 0) {
        return cb__because(why, CB_FORMAT, "is an empty picture (%llu x %llu pixels)", (unsigned long long)width,
                        (unsigned long long)height);
    }
    if (width > CB_IMAGE_MAX_SIDE || height > CB_IMAGE_MAX_SIDE || width * height > CB_IMAGE_MAX_PIXELS) {
        return cb__because(why, CB_UNSUPPORTED,
                        "is %llu x %llu pixels; the limits are %u megapixels and %u pixels a side: make it smaller",
                        (unsigned long long)width, (unsigned long long)height, CB_IMAGE_MAX_PIXELS / 1000000,
                        CB_IMAGE_MAX_SIDE);
    }
    return true;
}

bool cb__image_alloc(struct cb_image *out, uint64_t width, uint64_t height, uint32_t channels, struct cb__why *why)
{
    if (!cb__image_check_size(width, height, why)) {
        return false;
    }
    uint8_t *data = malloc((size_t)width * (size_t)height * channels);
    if (!data) {
        return cb__because(why, CB_MEMORY, "needs %llu MB of memory to be decoded, and there is not as much",
                        (unsigned long long)(width * height * channels >> 20) + 1);
    }
    *out = (struct cb_image){(uint32_t)width, (uint32_t)height, channels, data};
    return true;
}

bool cb__image_decode(const uint8_t *data, size_t bytes, struct cb_image *out, struct cb__why *why)
{
    if (bytes == 0) {
        return cb__because(why, CB_FORMAT, "is empty (0 bytes)");
    }
    switch (cb_image_sniff(data, bytes)) {
    case CB_IMAGE_JPEG:
        return cb__jpeg_decode(data, bytes, out, why);
    case CB_IMAGE_PNG:
        return cb__png_decode(data, bytes, out, why);
    case CB_IMAGE_WEBP:
        return cb__webp_decode(data, bytes, out, why);
    case CB_IMAGE_HEIF:
        return cb__heif_decode(data, bytes, out, why);
    case CB_IMAGE_UNKNOWN:
        break;
    }
    return cb__because(why, CB_FORMAT, "is no picture that can be read (JPEG, PNG, WebP or HEIC)");
}

/* Reads a whole file, `*out_data` malloc'd. */
static bool read_file(const char *path, uint8_t **out_data, size_t *out_bytes, struct cb__why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return cb__because(why, errno == ENOENT ? CB_NOT_FOUND : CB_IO, "cannot be opened: %s", strerror(errno));
    }
    struct stat info;
    uint8_t *data = NULL;
    size_t done = 0;
    bool ok = true;
    if (fstat(fd, &info) != 0) {
        ok = cb__because(why, CB_IO, "cannot be read: %s", strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        ok = cb__because(why, CB_INVALID, "is %s, not a picture", S_ISDIR(info.st_mode) ? "a folder" : "no regular file");
    } else if (info.st_size > MAX_FILE_BYTES) {
        ok = cb__because(why, CB_UNSUPPORTED, "has %lld MB; pictures of up to %lld MB are read",
                      (long long)(info.st_size >> 20), (long long)(MAX_FILE_BYTES >> 20));
    } else if (!(data = malloc((size_t)info.st_size + 1))) {
        ok = cb__because(why, CB_MEMORY, "does not fit into memory (%lld MB)", (long long)(info.st_size >> 20) + 1);
    }
    while (ok && done < (size_t)info.st_size) {
        ssize_t got = read(fd, data + done, (size_t)info.st_size - done);
        if (got < 0 && errno != EINTR) {
            ok = cb__because(why, CB_IO, "cannot be read: %s", strerror(errno));
        } else if (got == 0) {
            break; /* it became shorter since; the decoder will say so */
        }
        done += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    if (!ok) {
        free(data);
        return false;
    }
    *out_data = data;
    *out_bytes = done;
    return true;
}

bool cb__image_read(const char *path, struct cb_image *out, struct cb__why *why)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    if (!read_file(path, &data, &bytes, why)) {
        return false;
    }
    bool ok = cb__image_decode(data, bytes, out, why);
    free(data);
    return ok;
}

enum cb_status cb_image_decode(const void *data, size_t bytes, const char *name, struct cb_image *out,
                               struct cb_diag *diag)
{
    struct cb__why why;
    if (!cb__image_decode(data, bytes, out, &why)) {
        return cb_fail(diag, why.status, NULL, "`%s` %s", name, why.text);
    }
    return CB_OK;
}

enum cb_status cb_image_read(const char *path, struct cb_image *out, const struct cb_place *at, struct cb_diag *diag)
{
    struct cb__why why;
    if (!cb__image_read(path, out, &why)) {
        return cb_fail(diag, why.status, at, "`%s` %s", path, why.text);
    }
    return CB_OK;
}

void cb_image_free(struct cb_image *image)
{
    free(image->data);
    *image = (struct cb_image){0};
}

/* Pillow's BLEND: rounded division by 255. */
static uint8_t blend(uint32_t alpha, uint32_t below, uint32_t above)
{
    uint32_t sum = below * (255 - alpha) + above * alpha + 128;
    return (uint8_t)(((sum >> 8) + sum) >> 8);
}

uint8_t cb__luma(const uint8_t *rgb)
{
    return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

bool cb_image_convert(struct cb_image *image, uint32_t channels, struct cb_colour background)
{
    if (image->channels == channels) {
        return true;
    }
    size_t pixels = (size_t)image->width * image->height;
    uint8_t *to = malloc(pixels * channels);
    if (!to) {
        return false;
    }
    for (size_t i = 0; i < pixels; i++) {
        const uint8_t *from = image->data + i * image->channels;
        uint8_t rgb[3];
        if (image->channels == 1) {
            rgb[0] = rgb[1] = rgb[2] = from[0];
        } else if (image->channels == 4) {
            rgb[0] = blend(from[3], background.r, from[0]);
            rgb[1] = blend(from[3], background.g, from[1]);
            rgb[2] = blend(from[3], background.b, from[2]);
        } else {
            memcpy(rgb, from, 3);
        }
        if (channels == 1) {
            to[i] = cb__luma(rgb);
        } else {
            memcpy(to + i * channels, rgb, 3);
        }
    }
    free(image->data);
    image->data = to;
    image->channels = channels;
    return true;
}
