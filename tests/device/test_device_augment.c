/* Pictures are scaled and changed on the device. Two channels of the test picture are ramps, so that the output itself says
 * where it was read: the affine map is taken from three pixels, must be one of the family that was asked for, and all
 * other pixels (the third channel is noise) must be what that map gives in double precision on the host. */
#include "device_common.h"

#include <math.h>

#include "train/augment.h"

#define H 15
#define W 15
#define C 3
#define STEP 16.0 /* grey levels a pixel of the ramps */
#define PICTURE (H * W * C)

static const float background[C] = {7, 100, 250};

/* Pixel (x, y) was read at (a x + b y + c, d x + e y + f). */
struct map {
    double a, b, c, d, e, f;
};

static void make_picture(uint8_t *out)
{
    uint32_t seed = 5;
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            seed = seed * 1664525u + 1013904223u;
            out[(y * W + x) * C] = (uint8_t)(x * STEP);
            out[(y * W + x) * C + 1] = (uint8_t)(y * STEP);
            out[(y * W + x) * C + 2] = (uint8_t)(seed >> 24);
        }
    }
}

static struct cb_contract contract_of(int channels)
{
    return (struct cb_contract){.name = "x", .modality = CB_IMAGE, .rank = 3, .shape = {H, W, channels},
                                .mean = {0, 0, 0}, .std = {1, 1, 1}};
}

/* `out` [n, H, W, C] for the pictures `ids` (all of the same pixels), in parts of `part` pictures. */
static void change(const struct cb_augment *augment, const struct cb_contract *contract, const uint8_t *pictures,
                   const int32_t *ids, int n, int part, uint64_t seed, uint64_t step, bool changed, float *out)
{
    struct cb_augmenter *augmenter;
    struct cb_buffer *x, *y;
    size_t row = (size_t)(H * W * contract->shape[2]);
    must(cb_augmenter_create(device, contract, augment, background, seed, &augmenter, diag));
    must(cb_buffer_create(device, row * (size_t)part, &x, diag));
    must(cb_buffer_create(device, row * (size_t)part * sizeof(float), &y, diag));
    for (int at = 0; at < n; at += part) {
        int count = n - at < part ? n - at : part;
        must(cb_buffer_write(device, x, 0, pictures + (size_t)at * row, row * (size_t)count, diag));
        must(cb_augment_run(augmenter, x, y, ids + at, count, step, changed, diag));
        must(cb_buffer_read(device, y, 0, out + (size_t)at * row, row * (size_t)count * sizeof(float), diag));
    }
    cb_buffer_destroy(x);
    cb_buffer_destroy(y);
    cb_augmenter_destroy(augmenter);
}

#define N 48

/* N changes of the same picture, ids 0 to N - 1. */
static void change_all(const struct cb_augment *augment, float *out)
{
    struct cb_contract contract = contract_of(C);
    uint8_t *pictures = malloc(N * PICTURE);
    int32_t ids[N];
    for (int i = 0; i < N; i++) {
        make_picture(pictures + i * PICTURE);
        ids[i] = i;
    }
    change(augment, &contract, pictures, ids, N, N, 11, 3, true, out);
    free(pictures);
}

static double at(const float *picture, int x, int y, int c)
{
    return picture[(y * W + x) * C + c];
}

/* From three pixels in the middle, which must lie inside of the picture. */
static struct map map_of(const float *p)
{
    int x = W / 2, y = H / 2;
    struct map m;
    m.a = (at(p, x + 1, y, 0) - at(p, x, y, 0)) / STEP;
    m.b = (at(p, x, y + 1, 0) - at(p, x, y, 0)) / STEP;
    m.d = (at(p, x + 1, y, 1) - at(p, x, y, 1)) / STEP;
    m.e = (at(p, x, y + 1, 1) - at(p, x, y, 1)) / STEP;
    m.c = at(p, x, y, 0) / STEP - m.a * x - m.b * y;
    m.f = at(p, x, y, 1) / STEP - m.d * x - m.e * y;
    return m;
}

static double pixel(const uint8_t *picture, int x, int y, int c)
{
    return x < 0 || y < 0 || x >= W || y >= H ? (double)background[c] : picture[(y * W + x) * C + c];
}

static void expect_map(const float *got, const struct map *m)
{
    uint8_t picture[PICTURE];
    make_picture(picture);
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            double sx = m->a * x + m->b * y + m->c, sy = m->d * x + m->e * y + m->f;
            int px = (int)floor(sx), py = (int)floor(sy);
            double wx = sx - px, wy = sy - py;
            for (int c = 0; c < C; c++) {
                double expected =
                    (pixel(picture, px, py, c) * (1 - wx) + pixel(picture, px + 1, py, c) * wx) * (1 - wy) +
                    (pixel(picture, px, py + 1, c) * (1 - wx) + pixel(picture, px + 1, py + 1, c) * wx) * wy;
                if (fabs(expected - at(got, x, y, c)) > 0.05) { /* the map is known to about 1e-5 of a pixel */
                    fail_msg("pixel %d, %d, channel %d is %g, not %g", x, y, c, at(got, x, y, c), expected);
                }
            }
        }
    }
}

static void expect_near(double got, double expected)
{
    if (fabs(got - expected) > 1e-4) {
        fail_msg("%g, not %g", got, expected);
    }
}

/* What the middle of the picture was read at, less the middle: 0, 0 when the change is about it. */
static void expect_centred(const struct map *m)
{
    double cx = (W - 1) / 2.0, cy = (H - 1) / 2.0;
    expect_near(m->a * cx + m->b * cy + m->c, cx);
    expect_near(m->d * cx + m->e * cy + m->f, cy);
}

static void values_are_scaled(void **state)
{
    (void)state;
    struct cb_contract contract = contract_of(C);
    uint8_t picture[PICTURE];
    float out[PICTURE];
    static const double mean[C] = {123.675, 0, 127}, std[C] = {58.395, 255, 128};
    static const int32_t id = 0;
    make_picture(picture);
    memcpy(contract.mean, mean, sizeof(mean));
    memcpy(contract.std, std, sizeof(std));
    change(NULL, &contract, picture, &id, 1, 1, 0, 0, false, out);
    for (int i = 0; i < PICTURE; i++) {
        double expected = (picture[i] - mean[i % C]) / std[i % C];
        assert_true(fabs(out[i] - expected) <= 1e-6 * (1 + fabs(expected)));
    }
    /* Evaluation is not changed, whatever training does. */
    float plain[PICTURE];
    struct cb_augment all = {.flip_horizontal = true, .rotate = 20, .brightness = 0.5};
    change(&all, &contract, picture, &id, 1, 1, 0, 0, false, plain);
    assert_memory_equal(out, plain, sizeof(out));
}

static void flips_are_exact(void **state)
{
    (void)state;
    float *out = malloc(N * PICTURE * sizeof(float));
    uint8_t picture[PICTURE];
    make_picture(picture);
    for (int which = 1; which <= 3; which++) {
        int seen[2][2] = {{0}};
        struct cb_augment augment = {.flip_horizontal = which & 1, .flip_vertical = which & 2};
        change_all(&augment, out);
        for (int i = 0; i < N; i++) {
            const float *got = out + i * PICTURE;
            bool h = at(got, 0, 0, 0) != 0, v = at(got, 0, 0, 1) != 0;
            seen[h][v]++;
            for (int y = 0; y < H; y++) {
                for (int x = 0; x < W; x++) {
                    for (int c = 0; c < C; c++) {
                        assert_true(at(got, x, y, c) == pixel(picture, h ? W - 1 - x : x, v ? H - 1 - y : y, c));
                    }
                }
            }
        }
        int horizontal = seen[1][0] + seen[1][1], vertical = seen[0][1] + seen[1][1];
        assert_true(which & 1 ? horizontal > N / 4 && horizontal < N * 3 / 4 : horizontal == 0);
        assert_true(which & 2 ? vertical > N / 4 && vertical < N * 3 / 4 : vertical == 0);
    }
    free(out);
}

static void rotations(void **state)
{
    (void)state;
    float *out = malloc(N * PICTURE * sizeof(float));
    double low = 0, high = 0;
    struct cb_augment augment = {.rotate = 60};
    change_all(&augment, out);
    for (int i = 0; i < N; i++) {
        struct map m = map_of(out + i * PICTURE);
        double angle = atan2(m.b, m.a) * 180 / 3.14159265358979;
        expect_near(m.a, m.e);
        expect_near(m.b, -m.d);
        expect_near(m.a * m.a + m.b * m.b, 1);
        expect_centred(&m);
        expect_map(out + i * PICTURE, &m);
        assert_true(fabs(angle) <= 60.01);
        low = angle < low ? angle : low;
        high = angle > high ? angle : high;
    }
    assert_true(low < -40 && high > 40);
    free(out);
}

static void shears_and_scales(void **state)
{
    (void)state;
    float *out = malloc(N * PICTURE * sizeof(float));
    double low = 9, high = -9;
    change_all(&(struct cb_augment){.shear = 30}, out);
    for (int i = 0; i < N; i++) {
        struct map m = map_of(out + i * PICTURE);
        expect_near(m.a, 1);
        expect_near(m.d, 0);
        expect_near(m.e, 1);
        expect_centred(&m);
        expect_map(out + i * PICTURE, &m);
        low = m.b < low ? m.b : low;
        high = m.b > high ? m.b : high;
    }
    assert_true(low >= -0.5774 && low < -0.3 && high <= 0.5774 && high > 0.3);
    low = 9, high = 0;
    change_all(&(struct cb_augment){.scale = {0.5, 1.5}}, out);
    for (int i = 0; i < N; i++) {
        struct map m = map_of(out + i * PICTURE);
        double size = 1 / m.a;
        expect_near(m.e, m.a);
        expect_near(m.b, 0);
        expect_near(m.d, 0);
        expect_centred(&m);
        expect_map(out + i * PICTURE, &m);
        low = size < low ? size : low;
        high = size > high ? size : high;
    }
    assert_true(low >= 0.4999 && low < 0.65 && high <= 1.5001 && high > 1.25);
    free(out);
}

static void shifts(void **state)
{
    (void)state;
    float *out = malloc(N * PICTURE * sizeof(float));
    double most_x = 0, most_y = 0, sum_x = 0, sum_y = 0;
    change_all(&(struct cb_augment){.shift = {0.3, 0.1}}, out);
    for (int i = 0; i < N; i++) {
        struct map m = map_of(out + i * PICTURE);
        expect_near(m.a, 1);
        expect_near(m.b, 0);
        expect_near(m.d, 0);
        expect_near(m.e, 1);
        expect_map(out + i * PICTURE, &m);
        most_x = fmax(most_x, fabs(m.c));
        most_y = fmax(most_y, fabs(m.f));
        sum_x += m.c / N;
        sum_y += m.f / N;
    }
    assert_true(most_x <= 0.1001 * W && most_x > 0.08 * W && fabs(sum_x) < 0.05 * W);
    assert_true(most_y <= 0.3001 * H && most_y > 0.24 * H && fabs(sum_y) < 0.15 * H);
    free(out);
}

/* Windows of the picture that fill it: of the area and ratio that were asked for, never beyond the edge. */
static void crops(void **state)
{
    (void)state;
    float *out = malloc(N * PICTURE * sizeof(float));
    double smallest = 1, largest = 0;
    change_all(&(struct cb_augment){.crop = {0.3, 0.7}, .crop_ratio = {0.8, 1.25}}, out);
    for (int i = 0; i < N; i++) {
        struct map m = map_of(out + i * PICTURE);
        expect_near(m.b, 0);
        expect_near(m.d, 0);
        assert_true(m.c - m.a / 2 >= -0.5001 && m.a * (W - 0.5) + m.c <= W - 0.5 + 1e-4);
        assert_true(m.f - m.e / 2 >= -0.5001 && m.e * (H - 0.5) + m.f <= H - 0.5 + 1e-4);
        assert_true(m.a / m.e > 0.7999 && m.a / m.e < 1.2501);
        smallest = fmin(smallest, m.a * m.e);
        largest = fmax(largest, m.a * m.e);
        expect_map(out + i * PICTURE, &m);
    }
    assert_true(smallest >= 0.2999 && smallest < 0.38 && largest <= 0.7001 && largest > 0.6);
    free(out);
}

static double clamped(double value)
{
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

static void colours(void **state)
{
    (void)state;
    float *out = malloc(N * PICTURE * sizeof(float));
    uint8_t picture[PICTURE];
    make_picture(picture);
    static const struct cb_augment changes[] = {{.brightness = 0.6}, {.contrast = 0.6}, {.saturation = 0.6}};
    for (int k = 0; k < 3; k++) {
        double low = 9, high = 0;
        change_all(&changes[k], out);
        for (int i = 0; i < N; i++) {
            const float *got = out + i * PICTURE;
            /* The factor, from one pixel whose changed values are within 0 to 255: (4, 5) is 64, 80 and noise. */
            const uint8_t *from = picture + (5 * W + 4) * C;
            double luma = 0.299 * from[0] + 0.587 * from[1] + 0.114 * from[2];
            double zero = k == 0 ? 0 : k == 1 ? 127.5 : luma;
            double factor = (at(got, 4, 5, 0) - zero) / (from[0] - zero);
            for (int p = 0; p < H * W; p++) {
                const uint8_t *x = picture + p * C;
                luma = 0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2];
                for (int c = 0; c < C; c++) {
                    zero = k == 0 ? 0 : k == 1 ? 127.5 : luma;
                    double expected = clamped(zero + (x[c] - zero) * factor);
                    if (fabs(expected - got[p * C + c]) > 0.02) {
                        fail_msg("change %d: %g, not %g", k, got[p * C + c], expected);
                    }
                }
            }
            low = fmin(low, factor);
            high = fmax(high, factor);
        }
        assert_true(low >= 0.3999 && low < 0.6 && high <= 1.6001 && high > 1.4);
    }
    free(out);
}

/* A change is a function of seed, step and the sample's number: of nothing else. */
static void batches_change_nothing(void **state)
{
    (void)state;
    const struct cb_augment augment = {.flip_horizontal = true, .rotate = 20, .shear = 10, .shift = {0.1, 0.1},
                                       .scale = {0.8, 1.2}, .crop = {0.5, 1}, .crop_ratio = {0.8, 1.25},
                                       .brightness = 0.2, .contrast = 0.2, .saturation = 0.2};
    struct cb_contract contract = contract_of(C);
    uint8_t *pictures = malloc(10 * PICTURE);
    float *first = malloc(10 * PICTURE * sizeof(float)), *again = malloc(10 * PICTURE * sizeof(float));
    static const int32_t ids[10] = {4, 0, 7, 900000, 3, 4, 2, 11, 12, 13}, turned[10] = {13, 12, 11, 2, 4, 3, 900000, 7, 0, 4};
    for (int i = 0; i < 10; i++) {
        make_picture(pictures + i * PICTURE);
    }
    size_t bytes = 10 * PICTURE * sizeof(float), one = PICTURE * sizeof(float);
    change(&augment, &contract, pictures, ids, 10, 10, 1, 1, true, first);
    assert_memory_equal(first, first + 5 * PICTURE, one); /* the same number: the same change */
    assert_memory_not_equal(first, first + PICTURE, one);
    for (int part = 1; part < 10; part += 3) {
        change(&augment, &contract, pictures, ids, 10, part, 1, 1, true, again);
        assert_memory_equal(first, again, bytes);
    }
    change(&augment, &contract, pictures, turned, 10, 10, 1, 1, true, again);
    for (int i = 0; i < 10; i++) {
        assert_memory_equal(first + i * PICTURE, again + (9 - i) * PICTURE, one);
    }
    change(&augment, &contract, pictures, ids, 10, 10, 1, 2, true, again);
    assert_memory_not_equal(first, again, one);
    change(&augment, &contract, pictures, ids, 10, 10, 2, 1, true, again);
    assert_memory_not_equal(first, again, one);
    free(pictures);
    free(first);
    free(again);
}

/* One channel: warped like three, and saturation means nothing. */
static void grey_pictures(void **state)
{
    (void)state;
    struct cb_contract contract = contract_of(1);
    uint8_t picture[H * W];
    float out[H * W], plain[H * W];
    static const int32_t id = 0;
    for (int i = 0; i < H * W; i++) {
        picture[i] = (uint8_t)(i * 31);
    }
    change(NULL, &contract, picture, &id, 1, 1, 0, 1, false, plain);
    change(&(struct cb_augment){.saturation = 0.9}, &contract, picture, &id, 1, 1, 0, 1, true, out);
    assert_memory_equal(out, plain, sizeof(out));
}

int main(void)
{
    open_device_or_skip();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_scaled),
        cmocka_unit_test(flips_are_exact),
        cmocka_unit_test(rotations),
        cmocka_unit_test(shears_and_scales),
        cmocka_unit_test(shifts),
        cmocka_unit_test(crops),
        cmocka_unit_test(colours),
        cmocka_unit_test(batches_change_nothing),
        cmocka_unit_test(grey_pictures),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    close_device();
    return failed;
}
