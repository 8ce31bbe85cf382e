/* Pictures against Pillow: every kind of file that is read, turned upright, on a background, and made another size. The
 * files and what Pillow makes of them: tests/reference/make_picture_files.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/image.h"
#include "data/resize.h"

#define PICTURES CB_SOURCE_ROOT "/tests/data/pictures/"

static const struct cb_colour background = {30, 60, 90};

/* The lines of expected.txt that begin with `kind`, each with its bytes. */
struct reference {
    FILE *lines, *bytes;
    char line[256];
    uint8_t *expected;
};

static void open_reference(struct reference *r)
{
    *r = (struct reference){fopen(PICTURES "expected.txt", "r"), fopen(PICTURES "expected.bin", "rb"), "", NULL};
    assert_non_null(r->lines);
    assert_non_null(r->bytes);
}

static void read_expected(struct reference *r, size_t bytes)
{
    free(r->expected);
    r->expected = malloc(bytes);
    assert_int_equal(fread(r->expected, 1, bytes, r->bytes), bytes);
}

static void close_reference(struct reference *r)
{
    free(r->expected);
    assert_int_equal(fgetc(r->bytes), EOF); /* all of them were compared */
    fclose(r->lines);
    fclose(r->bytes);
}

static int largest_difference(const uint8_t *a, const uint8_t *b, size_t count)
{
    int largest = 0;
    for (size_t i = 0; i < count; i++) {
        int difference = abs(a[i] - b[i]);
        largest = difference > largest ? difference : largest;
    }
    return largest;
}

static bool is_unsupported(const char *name)
{
#ifndef CB_HAVE_HEIF
    return strstr(name, ".heic") != NULL;
#else
    (void)name;
    return false;
#endif
}

static void compare_file(struct reference *r)
{
    char name[64], mode[16], path[512];
    unsigned width, height, channels;
    int tolerance;
    assert_int_equal(sscanf(r->line, "file %63s %15s %u %u %u %d", name, mode, &width, &height, &channels, &tolerance), 6);
    size_t count = (size_t)width * height * channels;
    read_expected(r, count);
    if (is_unsupported(name)) {
        return;
    }
    struct cb_diag *diag = cb_diag_create();
    struct cb_image image = {0};
    snprintf(path, sizeof(path), PICTURES "%s", name);
    if (cb_image_read(path, &image, NULL, diag) != CB_OK) {
        fail_msg("%s", cb_diag_text(diag, 0));
    }
    if (strcmp(mode, "as-it-is") != 0) {
        assert_true(cb_image_convert(&image, channels, background));
    }
    if (image.width != width || image.height != height || image.channels != channels) {
        fail_msg("%s %s is %u x %u x %u, not %u x %u x %u", name, mode, image.width, image.height, image.channels, width,
                 height, channels);
    }
    int difference = largest_difference(image.data, r->expected, count);
    if (difference > tolerance) {
        fail_msg("%s %s differs by %d from Pillow's", name, mode, difference);
    }
    cb_image_free(&image);
    cb_diag_destroy(diag);
}

/* The picture of make_picture_files.py's `noise`. */
static struct cb_image noise(uint32_t width, uint32_t height, uint32_t channels)
{
    struct cb_image image = {width, height, channels, malloc((size_t)width * height * channels)};
    uint32_t state = width * 65536 + height * 16 + channels;
    for (uint32_t i = 0; i < width * height * channels; i++) {
        uint32_t pixel = i / channels;
        state = state * 1664525u + 1013904223u;
        uint32_t ramp = pixel % width * 5 + pixel / width * 3 + i % channels * 40;
        image.data[i] = (uint8_t)((state >> 16) % 3 == 0 ? state >> 24 : ramp);
    }
    return image;
}

static enum cb_filter filter_of(const char *name)
{
    return strcmp(name, "bicubic") == 0   ? CB_FILTER_BICUBIC
           : strcmp(name, "nearest") == 0 ? CB_FILTER_NEAREST
                                          : CB_FILTER_BILINEAR;
}

static void compare_resize(struct reference *r)
{
    char filter[16];
    unsigned w, h, c, to_w, to_h;
    assert_int_equal(sscanf(r->line, "resize %15s %u %u %u %u %u", filter, &w, &h, &c, &to_w, &to_h), 6);
    size_t count = (size_t)to_w * to_h * c;
    read_expected(r, count);
    struct cb_image in = noise(w, h, c), out = {0};
    assert_int_equal(cb_image_resize(&in, NULL, to_w, to_h, filter_of(filter), &out, NULL), CB_OK);
    assert_int_equal(out.width, to_w);
    assert_int_equal(out.height, to_h);
    int difference = largest_difference(out.data, r->expected, count);
    if (difference > (strcmp(filter, "nearest") == 0 ? 0 : 1)) {
        fail_msg("%sdiffers by %d from Pillow's", r->line, difference);
    }
    cb_image_free(&in);
    cb_image_free(&out);
}

static void compare_fit(struct reference *r)
{
    char rule[16], filter[16];
    unsigned w, h, c, to_w, to_h;
    double fraction;
    assert_int_equal(sscanf(r->line, "fit %15s %15s %u %u %u %u %u %lf", rule, filter, &w, &h, &c, &to_w, &to_h, &fraction),
                     8);
    size_t count = (size_t)to_w * to_h * c;
    read_expected(r, count);
    struct cb_image in = noise(w, h, c);
    uint8_t *out = malloc(count);
    enum cb_resize how = rule[0] == 'p' ? CB_RESIZE_PAD : rule[0] == 'c' ? CB_RESIZE_CROP : CB_RESIZE_SQUASH;
    assert_int_equal(cb_image_fit(&in, to_h, to_w, how, filter_of(filter), fraction, background, out, NULL), CB_OK);
    int difference = largest_difference(out, r->expected, count);
    if (difference > 1) {
        fail_msg("%sdiffers by %d from Pillow's", r->line, difference);
    }
    free(out);
    cb_image_free(&in);
}

static void pictures_are_what_pillow_makes_of_them(void **state)
{
    (void)state;
    struct reference r;
    unsigned compared = 0;
    open_reference(&r);
    while (fgets(r.line, sizeof(r.line), r.lines) != NULL) {
        void (*compare)(struct reference *) = strncmp(r.line, "file ", 5) == 0     ? compare_file
                                              : strncmp(r.line, "resize ", 7) == 0 ? compare_resize
                                              : strncmp(r.line, "fit ", 4) == 0    ? compare_fit
                                                                                   : NULL;
        if (compare != NULL) {
            compare(&r);
            compared++;
        }
    }
    close_reference(&r);
    assert_true(compared > 200);
}

static uint8_t *read_whole(const char *name, size_t *out_bytes)
{
    char path[512];
    snprintf(path, sizeof(path), PICTURES "%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint8_t *data = malloc(1 << 20);
    *out_bytes = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

/* Half a picture is no picture, whatever a decoder would give of it. */
static void cut_off_pictures_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "rgb8.png",
                                        "interlaced_rgba.png", "lossy.webp", "lossless_alpha.webp"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t bytes;
        uint8_t *data = read_whole(names[i], &bytes);
        for (size_t part = 1; part <= 9; part++) {
            struct cb_diag *diag = cb_diag_create();
            struct cb_image image = {0};
            enum cb_status status = cb_image_decode(data, bytes * part / 10, names[i], &image, diag);
            if (status == CB_OK) {
                fail_msg("%s: %zu tenths of it are read as a picture", names[i], part);
            }
            assert_null(image.data);
            assert_int_equal(cb_diag_count(diag, CB_ERROR), 1);
            cb_diag_destroy(diag);
        }
        free(data);
    }
}

/* Wrong bytes anywhere must never crash; what comes out has the size it says. */
static void damaged_pictures_are_survived(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb.jpg", "turned5.jpg", "progressive.jpg", "palette_alpha8.png",
                                        "interlaced_rgb.png", "turned6.png", "lossy_alpha.webp", "turned8.webp"};
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t bytes;
        uint8_t *data = read_whole(names[i], &bytes), *damaged = malloc(bytes);
        for (int round = 0; round < 200; round++) {
            memcpy(damaged, data, bytes);
            for (int k = 0; k < 3; k++) {
                seed = seed * 1664525u + 1013904223u;
                damaged[(seed >> 8) % bytes] = (uint8_t)(seed >> 24);
            }
            struct cb_image image = {0};
            struct cb_diag *diag = cb_diag_create();
            if (cb_image_decode(damaged, bytes, names[i], &image, diag) == CB_OK) {
                uint32_t sum = 0;
                for (size_t k = 0; k < (size_t)image.width * image.height * image.channels; k++) {
                    sum += image.data[k];
                }
                assert_true(sum <= 255u * image.width * image.height * image.channels);
                cb_image_free(&image);
            } else {
                assert_int_equal(cb_diag_count(diag, CB_ERROR), 1);
            }
            cb_diag_destroy(diag);
        }
        free(damaged);
        free(data);
    }
}

static void written_pictures_come_back(void **state)
{
    (void)state;
    char path[] = "/tmp/cambium-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    fclose(fdopen(fd, "w"));
    static const uint32_t channels[] = {1, 3, 4};
    for (int i = 0; i < 3; i++) {
        struct cb_image image = noise(19, 7, channels[i]), back = {0};
        assert_int_equal(cb_image_write_png(path, &image, NULL), CB_OK);
        assert_int_equal(cb_image_read(path, &back, NULL, NULL), CB_OK);
        assert_int_equal(back.channels, channels[i]);
        assert_memory_equal(back.data, image.data, 19 * 7 * channels[i]);
        cb_image_free(&image);
        cb_image_free(&back);
    }
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_are_what_pillow_makes_of_them),
        cmocka_unit_test(cut_off_pictures_are_refused),
        cmocka_unit_test(damaged_pictures_are_survived),
        cmocka_unit_test(written_pictures_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
