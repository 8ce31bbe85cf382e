/* image_heif.c: HEIC by libheif, which also turns it upright; a build without libheif says so. */
#include "data/image_internal.h"

#ifdef CB_HAVE_HEIF

#include <stdlib.h>
#include <string.h>

#include <libheif/heif.h>

static bool copy_pixels(const struct heif_image *from, uint32_t channels, struct cb_image *out, struct cb__why *why)
{
    int stride = 0;
    const uint8_t *plane = heif_image_get_plane_readonly(from, heif_channel_interleaved, &stride);
    int width = heif_image_get_width(from, heif_channel_interleaved);
    int height = heif_image_get_height(from, heif_channel_interleaved);
    if (!plane || width <= 0 || height <= 0 || stride < width * (int)channels) {
        return cb__because(why, CB_FORMAT, "is a damaged HEIC picture: no pixels in it");
    }
    if (!cb__image_alloc(out, (uint64_t)width, (uint64_t)height, channels, why)) {
        return false;
    }
    for (uint32_t y = 0; y < out->height; y++) {
        memcpy(out->data + (size_t)y * out->width * channels, plane + (size_t)y * (size_t)stride,
               (size_t)out->width * channels);
    }
    return true;
}

bool cb__heif_decode(const uint8_t *data, size_t bytes, struct cb_image *out, struct cb__why *why)
{
    bool ok = false;
    struct heif_image_handle *handle = NULL;
    struct heif_image *decoded = NULL;
    struct heif_context *context = heif_context_alloc();
    if (!context) {
        return cb__because(why, CB_MEMORY, "cannot be decoded: out of memory");
    }
    struct heif_error error = heif_context_read_from_memory_without_copy(context, data, bytes, NULL);
    if (error.code == heif_error_Ok) {
        error = heif_context_get_primary_image_handle(context, &handle);
    }
    if (error.code != heif_error_Ok) {
        cb__because(why, CB_FORMAT, "is a damaged HEIC picture: %s", error.message);
        goto free_context;
    }
    int width = heif_image_handle_get_width(handle), height = heif_image_handle_get_height(handle);
    if (!cb__image_check_size((uint64_t)(width > 0 ? width : 0), (uint64_t)(height > 0 ? height : 0), why)) {
        goto free_handle;
    }
    bool alpha = heif_image_handle_has_alpha_channel(handle) != 0;
    error = heif_decode_image(handle, &decoded, heif_colorspace_RGB,
                              alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB, NULL);
    if (error.code != heif_error_Ok) {
        cb__because(why, error.code == heif_error_Unsupported_filetype ? CB_UNSUPPORTED : CB_FORMAT,
                 "is a damaged HEIC picture: %s", error.message);
        goto free_handle;
    }
    ok = copy_pixels(decoded, alpha ? 4 : 3, out, why);
    heif_image_release(decoded);
free_handle:
    heif_image_handle_release(handle);
free_context:
    heif_context_free(context);
    return ok;
}

#else

bool cb__heif_decode(const uint8_t *data, size_t bytes, struct cb_image *out, struct cb__why *why)
{
    (void)data;
    (void)bytes;
    (void)out;
    return cb__because(why, CB_UNSUPPORTED, "is a HEIC picture, and this build has no libheif: install it and build "
                                         "again, or save the picture as JPEG");
}

#endif
