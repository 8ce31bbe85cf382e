/* resize.c: Pillow's resampling, step by step, so that the bytes come out the same. Per axis: for each output position
 * a window of input positions and their weights, rounded to 22 bits; one pass resizes all rows, one all columns, and each
 * rounds its results to 8 bits. Source: Pillow, src/libImaging/Resample.c, and Geometry.c for nearest. */
#include "data/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/image_internal.h"

#define PRECISION_BITS (32 - 8 - 2)

/* For output i: inputs first[i] to first[i] + count[i] - 1, with weights[i * stride ...]. */
struct axis {
    uint32_t *first, *count;
    int32_t *weights;
    uint32_t stride;
};

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Keys' cubic with a = -0.5. */
static double bicubic(double x)
{
    x = fabs(x);
    if (x < 1.0) {
        return (1.5 * x - 2.5) * x * x + 1.0;
    }
    return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5 : 0.0;
}

static void axis_free(struct axis *axis)
{
    free(axis->first);
    free(axis->count);
    free(axis->weights);
}

/* False when memory is exhausted; axis_free is due either way. */
static bool axis_make(struct axis *axis, uint32_t in_size, double from, double to, uint32_t out_size,
                      enum cb_filter filter)
{
    double scale = (to - from) / out_size, stretch = scale < 1.0 ? 1.0 : scale;
    double support = (filter == CB_FILTER_BICUBIC ? 2.0 : 1.0) * stretch;
    *axis = (struct axis){.stride = (uint32_t)ceil(support) * 2 + 1};
    axis->first = malloc(out_size * sizeof *axis->first);
    axis->count = malloc(out_size * sizeof *axis->count);
    axis->weights = calloc((size_t)out_size * axis->stride, sizeof *axis->weights);
    double *exact = malloc(axis->stride * sizeof *exact);
    if (!axis->first || !axis->count || !axis->weights || !exact) {
        free(exact);
        return false;
    }
    for (uint32_t i = 0; i < out_size; i++) {
        double centre = from + (i + 0.5) * scale, sum = 0.0;
        int64_t begin = (int64_t)(centre - support + 0.5), end = (int64_t)(centre + support + 0.5);
        begin = begin < 0 ? 0 : begin;
        end = end > in_size ? in_size : end;
        for (int64_t x = begin; x < end; x++) {
            double at = ((double)x - centre + 0.5) * (1.0 / stretch);
            exact[x - begin] = filter == CB_FILTER_BICUBIC ? bicubic(at) : bilinear(at);
            sum += exact[x - begin];
        }
        axis->first[i] = (uint32_t)begin;
        axis->count[i] = (uint32_t)(end - begin);
        for (int64_t x = 0; x < end - begin; x++) {
            double weight = (sum != 0.0 ? exact[x] / sum : exact[x]) * (1 << PRECISION_BITS);
            axis->weights[(size_t)i * axis->stride + (size_t)x] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
        }
    }
    free(exact);
    return true;
}

static uint8_t to_byte(int32_t sum)
{
    int32_t value = sum >> PRECISION_BITS;
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

/* One row of `channels` values a pixel; inlined with constant channels. */
static inline void resize_row(const uint8_t *in, uint8_t *out, uint32_t out_width, const struct axis *axis,
                              uint32_t channels)
{
    for (uint32_t i = 0; i < out_width; i++) {
        const int32_t *weights = axis->weights + (size_t)i * axis->stride;
        const uint8_t *from = in + (size_t)axis->first[i] * channels;
        int32_t sum[4];
        for (uint32_t c = 0; c < channels; c++) {
            sum[c] = 1 << (PRECISION_BITS - 1);
        }
        for (uint32_t x = 0; x < axis->count[i]; x++) {
            for (uint32_t c = 0; c < channels; c++) {
                sum[c] += from[(size_t)x * channels + c] * weights[x];
            }
        }
        for (uint32_t c = 0; c < channels; c++) {
            out[(size_t)i * channels + c] = to_byte(sum[c]);
        }
    }
}

/* Rows `first` to `first + out->height - 1` of `in`, made out->width wide. */
static void resize_rows(const struct cb_image *in, uint32_t first, const struct axis *axis, struct cb_image *out)
{
    for (uint32_t y = 0; y < out->height; y++) {
        const uint8_t *from = in->data + (size_t)(first + y) * in->width * in->channels;
        uint8_t *to = out->data + (size_t)y * out->width * out->channels;
        switch (in->channels) {
        case 1:
            resize_row(from, to, out->width, axis, 1);
            break;
        case 3:
            resize_row(from, to, out->width, axis, 3);
            break;
        default:
            resize_row(from, to, out->width, axis, 4);
            break;
        }
    }
}

/* All columns of `in`, whose first row is row `skipped` of the axis. `sums` has room for a row. */
static void resize_columns(const struct cb_image *in, uint32_t skipped, const struct axis *axis, int32_t *sums,
                           struct cb_image *out)
{
    size_t row = (size_t)in->width * in->channels;
    for (uint32_t y = 0; y < out->height; y++) {
        for (size_t x = 0; x < row; x++) {
            sums[x] = 1 << (PRECISION_BITS - 1);
        }
        for (uint32_t k = 0; k < axis->count[y]; k++) {
            const uint8_t *from = in->data + (size_t)(axis->first[y] - skipped + k) * row;
            int32_t weight = axis->weights[(size_t)y * axis->stride + k];
            for (size_t x = 0; x < row; x++) {
                sums[x] += from[x] * weight;
            }
        }
        for (size_t x = 0; x < row; x++) {
            out->data[y * row + x] = to_byte(sums[x]);
        }
    }
}

/* The input position of each output position along one axis. Steps are added up, as Pillow does. */
static uint32_t *nearest_positions(uint32_t in_size, double from, double to, uint32_t out_size)
{
    uint32_t *positions = malloc(out_size * sizeof *positions);
    double step = (to - from) / out_size, at = from + step * 0.5;
    for (uint32_t i = 0; positions && i < out_size; i++, at += step) {
        positions[i] = at < 0 ? 0 : at >= in_size ? in_size - 1 : (uint32_t)at;
    }
    return positions;
}

static bool resize_nearest(const struct cb_image *in, const struct cb_box *box, struct cb_image *out,
                           struct cb__why *why)
{
    uint32_t *columns = nearest_positions(in->width, box->x0, box->x1, out->width);
    uint32_t *rows = nearest_positions(in->height, box->y0, box->y1, out->height);
    bool ok = columns && rows;
    for (uint32_t y = 0; ok && y < out->height; y++) {
        for (uint32_t x = 0; x < out->width; x++) {
            memcpy(out->data + ((size_t)y * out->width + x) * in->channels,
                   in->data + ((size_t)rows[y] * in->width + columns[x]) * in->channels, in->channels);
        }
    }
    free(columns);
    free(rows);
    return ok ? true : cb__because(why, CB_MEMORY, "cannot be resized: out of memory");
}

/* Only rows that `down` reads are resized. */
static bool rows_then_columns(const struct cb_image *in, const struct axis *across, const struct axis *down,
                              int32_t *sums, struct cb_image *out, struct cb__why *why)
{
    uint32_t last = out->height - 1, first = down->first[0];
    struct cb_image between;
    if (!cb__image_alloc(&between, out->width, down->first[last] + down->count[last] - first, in->channels, why)) {
        return false;
    }
    resize_rows(in, first, across, &between);
    resize_columns(&between, first, down, sums, out);
    free(between.data);
    return true;
}

static bool columns_then_rows(const struct cb_image *in, const struct axis *across, const struct axis *down,
                              int32_t *sums, struct cb_image *out, struct cb__why *why)
{
    struct cb_image between;
    if (!cb__image_alloc(&between, in->width, out->height, in->channels, why)) {
        return false;
    }
    resize_columns(in, 0, down, sums, &between);
    resize_rows(&between, 0, across, out);
    free(between.data);
    return true;
}

/* Both passes; one that would change nothing is left out. Rows come first, except where the height shrinks by more than
 * twice as many pixels as the width: so does Pillow since 13 (pull request 9549; the bound was found by trying). */
static bool resize_filtered(const struct cb_image *in, const struct cb_box *box, enum cb_filter filter,
                            struct cb_image *out, struct cb__why *why)
{
    struct axis across = {0}, down = {0};
    bool rows = out->width != in->width || box->x0 != 0 || box->x1 != in->width;
    bool columns = out->height != in->height || box->y0 != 0 || box->y1 != in->height;
    bool tall = out->height < in->height &&
                (int64_t)in->height - out->height > 2 * ((int64_t)in->width - (int64_t)out->width);
    size_t widest = (in->width > out->width ? in->width : out->width) * (size_t)in->channels;
    int32_t *sums = malloc(widest * sizeof *sums);
    bool ok = sums && axis_make(&across, in->width, box->x0, box->x1, out->width, filter) &&
              axis_make(&down, in->height, box->y0, box->y1, out->height, filter);
    if (!ok) {
        cb__because(why, CB_MEMORY, "cannot be resized: out of memory");
    } else if (rows && columns) {
        ok = tall ? columns_then_rows(in, &across, &down, sums, out, why)
                  : rows_then_columns(in, &across, &down, sums, out, why);
    } else if (rows) {
        resize_rows(in, 0, &across, out);
    } else if (columns) {
        resize_columns(in, 0, &down, sums, out);
    } else {
        memcpy(out->data, in->data, (size_t)in->width * in->height * in->channels);
    }
    free(sums);
    axis_free(&across);
    axis_free(&down);
    return ok;
}

bool cb__image_resize(const struct cb_image *in, const struct cb_box *box, uint32_t width, uint32_t height,
                      enum cb_filter filter, struct cb_image *out, struct cb__why *why)
{
    struct cb_box whole = {0, 0, in->width, in->height};
    box = box ? box : &whole;
    if (!(box->x0 >= 0 && box->y0 >= 0 && box->x1 <= in->width && box->y1 <= in->height && box->x1 > box->x0 &&
          box->y1 > box->y0)) {
        return cb__because(why, CB_INVALID, "has no region (%g, %g) to (%g, %g)", box->x0, box->y0, box->x1, box->y1);
    }
    struct cb_image made;
    if (!cb__image_alloc(&made, width, height, in->channels, why)) {
        return false;
    }
    if (!(filter == CB_FILTER_NEAREST ? resize_nearest(in, box, &made, why)
                                      : resize_filtered(in, box, filter, &made, why))) {
        free(made.data);
        return false;
    }
    *out = made;
    return true;
}

enum cb_status cb_image_resize(const struct cb_image *in, const struct cb_box *box, uint32_t width, uint32_t height,
                               enum cb_filter filter, struct cb_image *out, struct cb_diag *diag)
{
    struct cb__why why;
    if (width == 0 || height == 0) {
        return cb_fail(diag, CB_INVALID, NULL, "a picture cannot be made %u x %u pixels", width, height);
    }
    if (!cb__image_resize(in, box, width, height, filter, out, &why)) {
        return cb_fail(diag, why.status, NULL, "a picture of %u x %u pixels %s", in->width, in->height, why.text);
    }
    return CB_OK;
}
