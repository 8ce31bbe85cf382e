/* image_png.c: PNG by libpng, in and out. Palettes become colours, tRNS becomes alpha, 16 bits become their upper 8, fewer
 * than 8 bits of grey are spread over 0 to 255. Grey with alpha becomes RGBA. Gamma and colour profiles are not applied
 * (networks were trained on values as they stand in the file). */
#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "base/file.h"
#include "data/image_internal.h"

struct reader {
    const uint8_t *data;
    size_t bytes, at;
    struct cb__why *why;
    const char *complaint; /* before libpng's words */
};

static void on_read(png_structp png, png_bytep to, size_t bytes)
{
    struct reader *reader = png_get_io_ptr(png);
    if (bytes > reader->bytes - reader->at) {
        png_error(png, "the file ends too early");
    }
    memcpy(to, reader->data + reader->at, bytes);
    reader->at += bytes;
}

static void on_error(png_structp png, png_const_charp text)
{
    struct reader *reader = png_get_error_ptr(png);
    cb__because(reader->why, CB_FORMAT, "%s: %s", reader->complaint, text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

/* Asks libpng for 8-bit grey, RGB or RGBA; returns the channels. */
static uint32_t set_transforms(png_structp png, png_infop info)
{
    int type = png_get_color_type(png, info);
    bool transparent = png_get_valid(png, info, PNG_INFO_tRNS) != 0 || (type & PNG_COLOR_MASK_ALPHA) != 0;
    png_set_expand(png);   /* palette, tRNS, grey of 1, 2, 4 bits */
    png_set_strip_16(png); /* the upper byte, as Pillow takes it */
    if (transparent && (type & PNG_COLOR_MASK_COLOR) == 0) {
        png_set_gray_to_rgb(png);
    }
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return png_get_channels(png, info);
}

static int orientation_of(png_structp png, png_infop info)
{
#ifdef PNG_eXIf_SUPPORTED
    png_uint_32 bytes = 0;
    png_bytep exif = NULL;
    if (png_get_eXIf_1(png, info, &bytes, &exif) != 0) {
        return cb__exif_orientation(exif, bytes);
    }
#endif
    (void)png;
    (void)info;
    return 1;
}

/* What decoding makes. It lives in the caller's frame, so that it is defined after a longjmp. */
struct work {
    png_structp png;
    png_infop info;
    struct cb_image image;
    png_bytep *rows;
    int orientation;
};

static void decode(struct work *work, struct cb__why *why)
{
    png_structp png = work->png;
    png_read_info(png, work->info);
    uint32_t width = png_get_image_width(png, work->info), height = png_get_image_height(png, work->info);
    if (!cb__image_check_size(width, height, why)) {
        png_longjmp(png, 1);
    }
    uint32_t channels = set_transforms(png, work->info);
    if (png_get_rowbytes(png, work->info) != (size_t)width * channels || channels == 2 || channels > 4) {
        cb__because(why, CB_UNSUPPORTED, "is a PNG picture of an unknown kind");
        png_longjmp(png, 1);
    }
    if (!cb__image_alloc(&work->image, width, height, channels, why)) {
        png_longjmp(png, 1);
    }
    if (!(work->rows = malloc(height * sizeof *work->rows))) {
        cb__because(why, CB_MEMORY, "cannot be decoded: out of memory");
        png_longjmp(png, 1);
    }
    for (uint32_t y = 0; y < height; y++) {
        work->rows[y] = work->image.data + (size_t)y * width * channels;
    }
    png_read_image(png, work->rows);
    png_read_end(png, work->info);
    work->orientation = orientation_of(png, work->info);
}

static bool try_decode(struct work *work, struct reader *reader, struct cb__why *why)
{
    work->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, on_error, on_warning);
    work->info = work->png ? png_create_info_struct(work->png) : NULL;
    if (!work->info) {
        return cb__because(why, CB_MEMORY, "cannot be decoded: out of memory");
    }
    if (setjmp(png_jmpbuf(work->png))) {
        return false;
    }
    png_set_read_fn(work->png, reader, on_read);
    png_set_user_limits(work->png, 0x7fffffff, 0x7fffffff); /* ours are checked in our own words */
    decode(work, why);
    return true;
}

bool cb__png_decode(const uint8_t *data, size_t bytes, struct cb_image *out, struct cb__why *why)
{
    struct reader reader = {data, bytes, 0, why, "is a damaged PNG picture"};
    struct work work = {.orientation = 1};
    bool ok = try_decode(&work, &reader, why);
    png_destroy_read_struct(&work.png, &work.info, NULL);
    free(work.rows);
    if (!ok || !cb__image_orient(&work.image, work.orientation, why)) {
        free(work.image.data);
        return false;
    }
    *out = work.image;
    return true;
}

static void on_write(png_structp png, png_bytep from, size_t bytes)
{
    if (fwrite(from, 1, bytes, png_get_io_ptr(png)) != bytes) {
        png_error(png, strerror(errno));
    }
}

static void on_flush(png_structp png)
{
    (void)png;
}

static bool try_write(png_structp png, png_infop info, FILE *stream, const struct cb_image *image)
{
    static const int colour[] = {0, PNG_COLOR_TYPE_GRAY, 0, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    if (setjmp(png_jmpbuf(png))) {
        return false;
    }
    png_set_write_fn(png, stream, on_write, on_flush);
    png_set_IHDR(png, info, image->width, image->height, 8, colour[image->channels], PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (uint32_t y = 0; y < image->height; y++) {
        png_write_row(png, image->data + (size_t)y * image->width * image->channels);
    }
    png_write_end(png, NULL);
    return true;
}

static bool write_png(FILE *stream, const struct cb_image *image, struct cb__why *why)
{
    struct reader reader = {.why = why, .complaint = "cannot be written"};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool ok = info ? try_write(png, info, stream, image) : cb__because(why, CB_MEMORY, "cannot be written: out of memory");
    png_destroy_write_struct(&png, &info);
    return ok;
}

enum cb_status cb_image_write_png(const char *path, const struct cb_image *image, struct cb_diag *diag)
{
    if (image->channels != 1 && image->channels != 3 && image->channels != 4) {
        return cb_fail(diag, CB_INVALID, NULL, "`%s`: a picture has 1, 3 or 4 channels, not %u", path,
                       image->channels);
    }
    struct cb_atomic_file file = {0};
    CB_TRY(cb_atomic_open(&file, path, diag));
    struct cb__why why;
    if (!write_png(file.stream, image, &why)) {
        cb_atomic_abandon(&file);
        return cb_fail(diag, CB_IO, NULL, "`%s` %s", path, why.text);
    }
    return cb_atomic_commit(&file, diag);
}
