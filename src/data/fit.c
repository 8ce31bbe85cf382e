/* fit.c: the rules by which a picture of any size becomes one of the size that a network takes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/image_internal.h"
#include "data/resize.h"

/* number / 2 rounded to the nearest, halves to the even one: Python's round(), by which torchvision and Pillow centre. */
static uint32_t half_to_even(uint32_t number)
{
    uint32_t below = number / 2;
    return below + (number % 2 != 0 && below % 2 != 0);
}

static void paste(const struct cb_image *from, uint32_t x0, uint32_t y0, uint32_t width, uint8_t *out)
{
    size_t row = (size_t)from->width * from->channels;
    for (uint32_t y = 0; y < from->height; y++) {
        memcpy(out + ((size_t)(y0 + y) * width + x0) * from->channels, from->data + y * row, row);
    }
}

static void fill(uint8_t *out, size_t pixels, uint32_t channels, struct cb_colour colour)
{
    uint8_t rgb[3] = {colour.r, colour.g, colour.b};
    if (channels == 1) {
        memset(out, cb__luma(rgb), pixels);
        return;
    }
    for (size_t i = 0; i < pixels; i++) {
        memcpy(out + i * 3, rgb, 3);
    }
}

/* Pillow's ImageOps.pad. */
static bool fit_pad(const struct cb_image *in, uint32_t height, uint32_t width, enum cb_filter filter,
                    struct cb_colour background, uint8_t *out, struct cb__why *why)
{
    double ratio = (double)in->width / in->height, wanted = (double)width / height;
    uint32_t w = width, h = height;
    if (ratio > wanted) {
        h = (uint32_t)nearbyint((double)in->height / in->width * width);
    } else if (ratio < wanted) {
        w = (uint32_t)nearbyint((double)in->width / in->height * height);
    }
    w = w < 1 ? 1 : w;
    h = h < 1 ? 1 : h;
    struct cb_image resized;
    if (!cb__image_resize(in, NULL, w, h, filter, &resized, why)) {
        return false;
    }
    if (w != width || h != height) {
        fill(out, (size_t)width * height, in->channels, background);
    }
    paste(&resized, half_to_even(width - w), half_to_even(height - h), width, out);
    free(resized.data);
    return true;
}

/* torchvision's Resize(side / crop_fraction) and CenterCrop(side); for other shapes than squares the picture is made
 * just large enough to cover both sides. */
static bool fit_crop(const struct cb_image *in, uint32_t height, uint32_t width, enum cb_filter filter,
                     double crop_fraction, uint8_t *out, struct cb__why *why)
{
    double fraction = crop_fraction > 0 && crop_fraction <= 1 ? crop_fraction : 1;
    uint64_t cover_w = (uint64_t)floor(width / fraction + 1e-6), cover_h = (uint64_t)floor(height / fraction + 1e-6);
    uint64_t w = cover_w, h = cover_h;
    if ((uint64_t)in->width * cover_h >= (uint64_t)in->height * cover_w) {
        w = cover_h * in->width / in->height;
    } else {
        h = cover_w * in->height / in->width;
    }
    w = w < width ? width : w;
    h = h < height ? height : h;
    if (!cb__image_check_size(w, h, why)) {
        return cb__because(why, CB_UNSUPPORTED,
                        "is %u x %u pixels, too long and narrow to be cut to %u x %u: use `resize: pad`", in->width,
                        in->height, width, height);
    }
    struct cb_image resized;
    if (!cb__image_resize(in, NULL, (uint32_t)w, (uint32_t)h, filter, &resized, why)) {
        return false;
    }
    uint32_t left = half_to_even((uint32_t)w - width), top = half_to_even((uint32_t)h - height);
    size_t row = (size_t)width * in->channels;
    for (uint32_t y = 0; y < height; y++) {
        memcpy(out + y * row, resized.data + ((size_t)(top + y) * resized.width + left) * in->channels, row);
    }
    free(resized.data);
    return true;
}

static bool fit(const struct cb_image *in, uint32_t height, uint32_t width, enum cb_resize rule, enum cb_filter filter,
                double crop_fraction, struct cb_colour background, uint8_t *out, struct cb__why *why)
{
    switch (rule) {
    case CB_RESIZE_PAD:
        return fit_pad(in, height, width, filter, background, out, why);
    case CB_RESIZE_CROP:
        return fit_crop(in, height, width, filter, crop_fraction, out, why);
    case CB_RESIZE_SQUASH:
        break;
    }
    struct cb_image resized;
    if (!cb__image_resize(in, NULL, width, height, filter, &resized, why)) {
        return false;
    }
    memcpy(out, resized.data, (size_t)width * height * in->channels);
    free(resized.data);
    return true;
}

bool cb__image_to_contract(const struct cb_image *image, const struct cb_contract *contract,
                           struct cb_colour background, uint8_t *out, struct cb__why *why)
{
    uint32_t channels = (uint32_t)contract->shape[2];
    struct cb_image copy = *image;
    if (image->channels != channels) {
        size_t bytes = (size_t)image->width * image->height * image->channels;
        if (!(copy.data = malloc(bytes))) {
            return cb__because(why, CB_MEMORY, "cannot be converted: out of memory");
        }
        memcpy(copy.data, image->data, bytes);
        if (!cb_image_convert(&copy, channels, background)) {
            free(copy.data);
            return cb__because(why, CB_MEMORY, "cannot be converted: out of memory");
        }
    }
    bool ok = fit(&copy, (uint32_t)contract->shape[0], (uint32_t)contract->shape[1], contract->resize,
                  contract->filter, contract->crop_fraction, background, out, why);
    if (copy.data != image->data) {
        free(copy.data);
    }
    return ok;
}

enum cb_status cb_image_fit(const struct cb_image *in, uint32_t height, uint32_t width, enum cb_resize rule,
                            enum cb_filter filter, double crop_fraction, struct cb_colour background, uint8_t *out,
                            struct cb_diag *diag)
{
    struct cb__why why;
    if (height == 0 || width == 0 || (in->channels != 1 && in->channels != 3)) {
        return cb_fail(diag, CB_INVALID, NULL, "a picture of %u channels cannot be made %u x %u pixels", in->channels,
                       width, height);
    }
    if (!fit(in, height, width, rule, filter, crop_fraction, background, out, &why)) {
        return cb_fail(diag, why.status, NULL, "a picture %s", why.text);
    }
    return CB_OK;
}

/* Only what can be decoded to: the network's reader has checked the rest. */
static enum cb_status check_contract(const struct cb_contract *contract, struct cb_diag *diag)
{
    if (contract->modality != CB_IMAGE || contract->rank != 3 || (contract->shape[2] != 1 && contract->shape[2] != 3)) {
        return cb_fail(diag, CB_MISMATCH, &contract->at,
                       "a picture cannot be an input of modality `%s`; it fits inputs of shape [height, width, 1 or 3]",
                       cb_modality_name(contract->modality));
    }
    return CB_OK;
}

enum cb_status cb_image_to_contract(const struct cb_image *image, const struct cb_contract *contract,
                                    struct cb_colour background, uint8_t *out, struct cb_diag *diag)
{
    struct cb__why why;
    CB_TRY(check_contract(contract, diag));
    if (!cb__image_to_contract(image, contract, background, out, &why)) {
        return cb_fail(diag, why.status, NULL, "a picture %s", why.text);
    }
    return CB_OK;
}

enum cb_status cb_image_for_contract(const char *path, const struct cb_contract *contract, struct cb_colour background,
                                     uint8_t *out, const struct cb_place *at, struct cb_diag *diag)
{
    struct cb__why why;
    struct cb_image image;
    CB_TRY(check_contract(contract, diag));
    if (!cb__image_read(path, &image, &why)) {
        return cb_fail(diag, why.status, at, "`%s` %s", path, why.text);
    }
    bool ok = cb__image_to_contract(&image, contract, background, out, &why);
    cb_image_free(&image);
    return ok ? CB_OK : cb_fail(diag, why.status, at, "`%s` %s", path, why.text);
}
