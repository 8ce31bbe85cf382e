/* image_jpeg.c: JPEG by libjpeg-turbo: grey stays grey, CMYK becomes RGB as Pillow converts it, EXIF turns it upright.
 * Warnings that mean lost picture data are errors here; harmless ones (stray bytes between markers) are not. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "data/image_internal.h"

/* A small file can ask for thousands of passes over a large picture. */
#define MAX_SCANS 500

struct decoder {
    struct jpeg_error_mgr errors; /* first: libjpeg hands this struct back */
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    struct cb__why *why;
};

static void on_error(j_common_ptr common)
{
    struct decoder *decoder = (struct decoder *)common->err;
    char text[JMSG_LENGTH_MAX];
    common->err->format_message(common, text);
    cb__because(decoder->why, common->err->msg_code == JERR_OUT_OF_MEMORY ? CB_MEMORY : CB_FORMAT,
             "is a damaged JPEG picture: %s", text);
    longjmp(decoder->failed, 1);
}

static void on_message(j_common_ptr common, int level)
{
    if (level >= 0) {
        return; /* a trace */
    }
    switch (common->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_ARITH_BAD_CODE:
        on_error(common);
        break;
    default:
        break;
    }
}

static void on_progress(j_common_ptr common)
{
    struct decoder *decoder = (struct decoder *)common->err;
    if (((j_decompress_ptr)common)->input_scan_number > MAX_SCANS) {
        cb__because(decoder->why, CB_FORMAT, "is a JPEG picture of more than %d scans", MAX_SCANS);
        longjmp(decoder->failed, 1);
    }
}

/* One row of Adobe's inverted CMYK, as Pillow's cmyk2rgb does it. */
static void cmyk_to_rgb(const uint8_t *from, uint8_t *to, uint32_t width)
{
    for (uint32_t x = 0; x < width; x++, from += 4, to += 3) {
        uint32_t rest = from[3]; /* 255 - black */
        for (int i = 0; i < 3; i++) {
            uint32_t product = (255u - from[i]) * rest + 128;
            to[i] = (uint8_t)(rest - (((product >> 8) + product) >> 8));
        }
    }
}

static int orientation_of(const struct jpeg_decompress_struct *info)
{
    for (jpeg_saved_marker_ptr marker = info->marker_list; marker; marker = marker->next) {
        if (marker->marker == JPEG_APP0 + 1 && marker->data_length > 6 && memcmp(marker->data, "Exif\0\0", 6) == 0) {
            return cb__exif_orientation(marker->data, marker->data_length);
        }
    }
    return 1;
}

/* What decoding makes. It lives in the caller's frame, so that it is defined after a longjmp. */
struct work {
    struct cb_image image;
    uint8_t *row; /* of CMYK */
    int orientation;
};

static void decode(j_decompress_ptr info, struct work *work, struct cb__why *why, jmp_buf failed)
{
    jpeg_save_markers(info, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(info, TRUE);
    if (!cb__image_check_size(info->image_width, info->image_height, why)) {
        longjmp(failed, 1);
    }
    bool cmyk = info->num_components == 4, grey = info->num_components == 1;
    info->out_color_space = cmyk ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(info);
    uint32_t channels = grey ? 1 : 3;
    if (!cb__image_alloc(&work->image, info->output_width, info->output_height, channels, why)) {
        longjmp(failed, 1);
    }
    if (cmyk && !(work->row = malloc((size_t)info->output_width * 4))) {
        cb__because(why, CB_MEMORY, "cannot be decoded: out of memory");
        longjmp(failed, 1);
    }
    while (info->output_scanline < info->output_height) {
        uint8_t *to = work->image.data + (size_t)info->output_scanline * info->output_width * channels;
        uint8_t *line = cmyk ? work->row : to;
        jpeg_read_scanlines(info, &line, 1);
        if (cmyk) {
            cmyk_to_rgb(line, to, info->output_width);
        }
    }
    work->orientation = orientation_of(info);
}

static bool try_decode(const uint8_t *data, size_t bytes, struct work *work, struct cb__why *why)
{
    struct jpeg_decompress_struct info = {0};
    struct decoder decoder = {.why = why};
    info.err = jpeg_std_error(&decoder.errors);
    decoder.errors.error_exit = on_error;
    decoder.errors.emit_message = on_message;
    decoder.progress.progress_monitor = on_progress;
    if (setjmp(decoder.failed)) {
        jpeg_destroy_decompress(&info);
        return false;
    }
    jpeg_create_decompress(&info);
    info.progress = &decoder.progress;
    jpeg_mem_src(&info, data, (unsigned long)bytes);
    decode(&info, work, why, decoder.failed);
    jpeg_destroy_decompress(&info);
    return true;
}

bool cb__jpeg_decode(const uint8_t *data, size_t bytes, struct cb_image *out, struct cb__why *why)
{
    struct work work = {.orientation = 1};
    bool ok = try_decode(data, bytes, &work, why) && cb__image_orient(&work.image, work.orientation, why);
    free(work.row);
    if (!ok) {
        free(work.image.data);
        return false;
    }
    *out = work.image;
    return true;
}
