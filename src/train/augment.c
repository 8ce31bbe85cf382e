/* augment.c: draws a change for each picture and runs the kernels. See augment.h. */
#include "train/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/random.h"

#define DRAW_FLOATS 12
#define RADIANS 0.017453292519943295

struct cb_augmenter {
    struct cb_device *device;
    struct cb_augment augment;
    struct cb_kernel *normalize, *warp;
    struct cb_buffer *mean, *std, *background, *draws;
    uint64_t draws_capacity; /* pictures */
    int64_t height, width, channels;
    uint64_t seed;
};

/* ---- drawing ------------------------------------------------------------------------------------------------------------ */

static double between(struct cb_random *r, double low, double high)
{
    return low + (high - low) * cb_random_uniform_double(r);
}

/* 2x3 matrices of maps from output to source, in pixels relative to the centre. */
struct map {
    double a, b, c, d, e, f;
};

static struct map then(struct map outer, struct map inner)
{
    return (struct map){outer.a * inner.a + outer.b * inner.d, outer.a * inner.b + outer.b * inner.e,
                        outer.a * inner.c + outer.b * inner.f + outer.c,
                        outer.d * inner.a + outer.e * inner.d, outer.d * inner.b + outer.e * inner.e,
                        outer.d * inner.c + outer.e * inner.f + outer.f};
}

/* The part that is kept fills the picture: a random window of `share` of the area. */
static struct map draw_crop(const struct cb_augment *g, struct cb_random *r, double width, double height)
{
    double share = between(r, g->crop[0], g->crop[1]);
    double ratio = exp(between(r, log(g->crop_ratio[0]), log(g->crop_ratio[1])));
    double w = sqrt(share * ratio), h = sqrt(share / ratio);
    w = w > 1 ? 1 : w;
    h = h > 1 ? 1 : h;
    double left = between(r, 0, 1 - w), top = between(r, 0, 1 - h);
    return (struct map){w, 0, (left + w / 2 - 0.5) * width, 0, h, (top + h / 2 - 0.5) * height};
}

static void draw(const struct cb_augmenter *a, int32_t sample, uint64_t step, float out[DRAW_FLOATS])
{
    const struct cb_augment *g = &a->augment;
    struct cb_random r;
    struct map m = {1, 0, 0, 0, 1, 0};
    double width = (double)a->width, height = (double)a->height;
    cb_random_start(&r, a->seed, "augment", (step << 32) ^ (uint32_t)sample);
    if (g->crop[1] > 0) {
        m = draw_crop(g, &r, width, height);
    }
    if (g->flip_horizontal && (cb_random_bits(&r) & 1) != 0) {
        m = then(m, (struct map){-1, 0, 0, 0, 1, 0});
    }
    if (g->flip_vertical && (cb_random_bits(&r) & 1) != 0) {
        m = then(m, (struct map){1, 0, 0, 0, -1, 0});
    }
    double angle = g->rotate > 0 ? between(&r, -g->rotate, g->rotate) * RADIANS : 0;
    double shear = g->shear > 0 ? tan(between(&r, -g->shear, g->shear) * RADIANS) : 0;
    double scale = g->scale[1] > 0 ? exp(between(&r, log(g->scale[0]), log(g->scale[1]))) : 1;
    m = then(m, (struct map){cos(angle) / scale, sin(angle) / scale, 0, -sin(angle) / scale, cos(angle) / scale, 0});
    m = then(m, (struct map){1, shear, 0, 0, 1, 0});
    double dy = g->shift[0] > 0 ? between(&r, -g->shift[0], g->shift[0]) * height : 0;
    double dx = g->shift[1] > 0 ? between(&r, -g->shift[1], g->shift[1]) * width : 0;
    m = then(m, (struct map){1, 0, -dx, 0, 1, -dy});
    double cx = (width - 1) / 2, cy = (height - 1) / 2;
    const double values[DRAW_FLOATS] = {
        m.a, m.b, m.c + cx - m.a * cx - m.b * cy, m.d, m.e, m.f + cy - m.d * cx - m.e * cy,
        g->brightness > 0 ? between(&r, 1 - g->brightness, 1 + g->brightness) : 1,
        g->contrast > 0 ? between(&r, 1 - g->contrast, 1 + g->contrast) : 1,
        g->saturation > 0 ? between(&r, 1 - g->saturation, 1 + g->saturation) : 1,
    };
    for (int i = 0; i < DRAW_FLOATS; i++) {
        out[i] = (float)values[i];
    }
}

/* ---- the device ---------------------------------------------------------------------------------------------------------- */

static enum cb_status upload(struct cb_device *device, const float *values, size_t count, struct cb_buffer **out,
                             struct cb_diag *diag)
{
    CB_TRY(cb_buffer_create(device, count * sizeof(float), out, diag));
    return cb_buffer_write(device, *out, 0, values, count * sizeof(float), diag);
}

static enum cb_status prepare(struct cb_augmenter *a, const struct cb_contract *contract, const float *background,
                              struct cb_diag *diag)
{
    float mean[CB_MAX_CHANNELS], std[CB_MAX_CHANNELS], behind[CB_MAX_CHANNELS];
    struct cb_arena *arena = cb_arena_create();
    char *path = arena != NULL ? cb_kernel_path(arena, "core/augment", NULL) : NULL;
    size_t channels = (size_t)a->channels;
    for (size_t c = 0; c < channels; c++) {
        mean[c] = (float)contract->mean[c];
        std[c] = (float)contract->std[c];
        behind[c] = background != NULL ? background[c] : 255.0f;
    }
    enum cb_status status = path != NULL ? CB_OK
                                         : cb_fail(diag, CB_NOT_FOUND, NULL, "the kernel file `core/augment.cl` is missing");
    if (status == CB_OK) {
        status = cb_kernel_get(a->device, NULL, path, NULL, "augment_normalize", &a->normalize, diag);
    }
    if (status == CB_OK) {
        status = cb_kernel_get(a->device, NULL, path, NULL, "augment_warp", &a->warp, diag);
    }
    cb_arena_destroy(arena);
    CB_TRY(status);
    CB_TRY(upload(a->device, mean, channels, &a->mean, diag));
    CB_TRY(upload(a->device, std, channels, &a->std, diag));
    return upload(a->device, behind, channels, &a->background, diag);
}

enum cb_status cb_augmenter_create(struct cb_device *device, const struct cb_contract *contract,
                                   const struct cb_augment *augment, const float *background, uint64_t seed,
                                   struct cb_augmenter **out, struct cb_diag *diag)
{
    if (contract->modality != CB_IMAGE || contract->rank != 3 || contract->shape[2] > CB_MAX_CHANNELS) {
        return cb_fail(diag, CB_INTERNAL, NULL, "only pictures [H,W,C] can be scaled and changed");
    }
    struct cb_augmenter *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    a->device = device;
    a->seed = seed;
    a->height = contract->shape[0];
    a->width = contract->shape[1];
    a->channels = contract->shape[2];
    if (augment != NULL) {
        a->augment = *augment;
    }
    enum cb_status status = prepare(a, contract, background, diag);
    if (status != CB_OK) {
        cb_augmenter_destroy(a);
        return status;
    }
    *out = a;
    return CB_OK;
}

void cb_augmenter_destroy(struct cb_augmenter *a)
{
    if (a != NULL) {
        cb_buffer_destroy(a->mean);
        cb_buffer_destroy(a->std);
        cb_buffer_destroy(a->background);
        cb_buffer_destroy(a->draws);
        free(a);
    }
}

static enum cb_status upload_draws(struct cb_augmenter *a, const int32_t *ids, int64_t n, uint64_t step,
                                   struct cb_diag *diag)
{
    uint64_t bytes = (uint64_t)n * DRAW_FLOATS * sizeof(float);
    if ((uint64_t)n > a->draws_capacity) {
        cb_buffer_destroy(a->draws);
        a->draws = NULL;
        a->draws_capacity = 0;
        CB_TRY(cb_buffer_create(a->device, bytes, &a->draws, diag));
        a->draws_capacity = (uint64_t)n;
    }
    float *values = malloc(bytes);
    if (values == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (int64_t i = 0; i < n; i++) {
        draw(a, ids[i], step, values + i * DRAW_FLOATS);
    }
    enum cb_status status = cb_buffer_write(a->device, a->draws, 0, values, bytes, diag);
    free(values);
    return status;
}

static struct cb_tensor wrap(struct cb_buffer *buffer)
{
    return (struct cb_tensor){.struct_size = sizeof(struct cb_tensor), .rank = 1, .dims = {1}, .buffer = buffer};
}

enum cb_status cb_augment_run(struct cb_augmenter *a, struct cb_buffer *pictures, struct cb_buffer *out,
                              const int32_t *sample_ids, int64_t n, uint64_t step, bool changed, struct cb_diag *diag)
{
    struct cb_tensor y = wrap(out), x = wrap(pictures), mean = wrap(a->mean), std = wrap(a->std);
    int64_t rows = n * a->height;
    if (!changed || cb_augment_is_none(&a->augment)) {
        const struct cb_arg args[] = {CB_A_TENSOR(&y), CB_A_TENSOR(&x), CB_A_TENSOR(&mean), CB_A_TENSOR(&std),
                                      CB_A_I32(rows), CB_A_I32(a->width), CB_A_I32(a->channels)};
        return cb_kernel_launch(a->device, a->normalize, CB_GRID((uint64_t)rows), args, 7, diag);
    }
    if (sample_ids == NULL) {
        return cb_fail(diag, CB_INTERNAL, NULL, "augmentation needs the samples' numbers");
    }
    CB_TRY(upload_draws(a, sample_ids, n, step, diag));
    struct cb_tensor draws = wrap(a->draws), background = wrap(a->background);
    const struct cb_arg args[] = {CB_A_TENSOR(&y), CB_A_TENSOR(&x), CB_A_TENSOR(&draws), CB_A_TENSOR(&mean),
                                  CB_A_TENSOR(&std), CB_A_TENSOR(&background), CB_A_I32(rows), CB_A_I32(a->height),
                                  CB_A_I32(a->width), CB_A_I32(a->channels)};
    return cb_kernel_launch(a->device, a->warp, CB_GRID((uint64_t)rows), args, 10, diag);
}
