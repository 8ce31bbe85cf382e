/* optimizer.c: the optimizer on the device: its tiles, its state, its launches. See optimizer.h and
 * cl/core/optimizer.cl. */
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TILE 4096        /* floats that one work-group updates */
#define GROUP 64         /* work-items of a group on GPU-class devices */
#define STATE_COUNT 5    /* ints of optimizer.cl's `state` */
#define STATE_ARRAYS_MAX 2

struct cb_optimizer {
    struct cb_device *device;
    struct cb_optimizer_config config;
    uint64_t total_count;
    struct cb_segment *segments;
    uint32_t segment_count;
    uint32_t group; /* work-items of a group */
    int64_t tile_count;
    struct cb_buffer *offsets, *counts, *rates; /* of the tiles */
    struct cb_buffer *sums;                     /* of squares, of the tiles */
    struct cb_buffer *state;
    uint32_t array_count;
    struct cb_buffer *arrays[STATE_ARRAYS_MAX]; /* momentum; mean, variance */
    struct cb_kernel *norm, *clip, *check, *update;
};

static struct cb_tensor tensor_of(struct cb_buffer *buffer)
{
    return (struct cb_tensor){.struct_size = sizeof(struct cb_tensor), .rank = 1, .buffer = buffer};
}

static uint32_t array_count_of(const struct cb_optimizer_config *config)
{
    if (config->kind == CB_OPTIMIZER_SGD) {
        return config->momentum > 0.0 ? 1 : 0;
    }
    return config->kind == CB_OPTIMIZER_ADAM || config->kind == CB_OPTIMIZER_ADAMW ? 2 : 0;
}

uint64_t cb_optimizer_state_bytes(const struct cb_optimizer_config *config, uint64_t total_count)
{
    return array_count_of(config) * total_count * sizeof(float);
}

/* ---- tiles ---- */

static enum cb_status check_segments(const struct cb_segment *segments, uint32_t count, uint64_t total,
                                     struct cb_diag *diag)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct cb_segment *s = &segments[i];
        if (s->offset < end || s->offset > total || s->count > total - s->offset) {
            return cb_fail(diag, CB_INTERNAL, NULL, "segment %u of the optimizer lies outside its place", (unsigned)i);
        }
        if (!(s->rate_scale >= 0.0) || !isfinite(s->rate_scale)) {
            return cb_fail(diag, CB_INVALID, NULL, "a learning rate cannot be scaled by %g", s->rate_scale);
        }
        end = s->offset + s->count;
    }
    return CB_OK;
}

static int64_t tiles_of(const struct cb_segment *segment)
{
    return (int64_t)((segment->count + TILE - 1) / TILE);
}

static enum cb_status write_rates(struct cb_optimizer *optimizer, struct cb_diag *diag)
{
    float *rates = calloc((size_t)optimizer->tile_count, 2 * sizeof *rates);
    if (!rates) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory for the optimizer's table");
    }
    float *next = rates;
    for (uint32_t i = 0; i < optimizer->segment_count; i++) {
        const struct cb_segment *segment = &optimizer->segments[i];
        for (int64_t t = 0; t < tiles_of(segment); t++) {
            *next++ = (float)segment->rate_scale;
            *next++ = segment->decay ? 1.0f : 0.0f;
        }
    }
    const enum cb_status status = cb_buffer_write(optimizer->device, optimizer->rates, 0, rates,
                                                  (uint64_t)optimizer->tile_count * 2 * sizeof *rates, diag);
    free(rates);
    return status;
}

static enum cb_status write_tiles(struct cb_optimizer *optimizer, struct cb_diag *diag)
{
    const uint64_t count = (uint64_t)optimizer->tile_count;
    int64_t *offsets = calloc(count, sizeof *offsets);
    int32_t *counts = calloc(count, sizeof *counts);
    enum cb_status status = CB_OK;
    if (!offsets || !counts) {
        status = cb_fail(diag, CB_MEMORY, NULL, "out of memory for the optimizer's table");
        goto free_tables;
    }
    size_t next = 0;
    for (uint32_t i = 0; i < optimizer->segment_count; i++) {
        const struct cb_segment *segment = &optimizer->segments[i];
        for (uint64_t done = 0; done < segment->count; done += TILE) {
            const uint64_t left = segment->count - done;
            offsets[next] = (int64_t)(segment->offset + done);
            counts[next++] = (int32_t)(left < TILE ? left : TILE);
        }
    }
    status = cb_buffer_write(optimizer->device, optimizer->offsets, 0, offsets, count * sizeof *offsets, diag);
    if (status == CB_OK) {
        status = cb_buffer_write(optimizer->device, optimizer->counts, 0, counts, count * sizeof *counts, diag);
    }
free_tables:
    free(counts);
    free(offsets);
    return status == CB_OK ? write_rates(optimizer, diag) : status;
}

/* ---- making ---- */

static enum cb_status get_kernels(struct cb_optimizer *optimizer, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    char *path = arena ? cb_kernel_path(arena, "core/optimizer", NULL) : NULL;
    enum cb_status status = CB_OK;
    if (!path) {
        status = cb_fail(diag, CB_NOT_FOUND, NULL, "the kernel file `core/optimizer.cl` is not there");
        goto destroy_arena;
    }
    const char *defines = optimizer->group == 1 ? "-DCB_WIDTH=16" : "-DCB_WIDTH=4";
    const char *update = optimizer->config.kind == CB_OPTIMIZER_SGD ? "optimizer_sgd" : "optimizer_adam";
    const struct {
        const char *entry;
        struct cb_kernel **kernel;
    } wanted[] = {
        {"optimizer_norm", &optimizer->norm},
        {"optimizer_clip", &optimizer->clip},
        {"optimizer_check", &optimizer->check},
        {update, &optimizer->update},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && status == CB_OK; i++) {
        status = cb_kernel_get(optimizer->device, NULL, path, defines, wanted[i].entry, wanted[i].kernel, diag);
    }
destroy_arena:
    cb_arena_destroy(arena);
    return status;
}

static enum cb_status create_zeroed(struct cb_device *device, uint64_t bytes, struct cb_buffer **out,
                                    struct cb_diag *diag)
{
    CB_TRY(cb_buffer_create(device, bytes, out, diag));
    return cb_buffer_fill(device, *out, 0, bytes, 0, diag);
}

static enum cb_status create_buffers(struct cb_optimizer *optimizer, struct cb_diag *diag)
{
    struct cb_device *device = optimizer->device;
    const uint64_t tiles = (uint64_t)optimizer->tile_count;
    CB_TRY(cb_buffer_create(device, tiles * sizeof(int64_t), &optimizer->offsets, diag));
    CB_TRY(cb_buffer_create(device, tiles * sizeof(int32_t), &optimizer->counts, diag));
    CB_TRY(cb_buffer_create(device, tiles * 2 * sizeof(float), &optimizer->rates, diag));
    CB_TRY(cb_buffer_create(device, tiles * sizeof(float), &optimizer->sums, diag));
    CB_TRY(create_zeroed(device, STATE_COUNT * sizeof(int32_t), &optimizer->state, diag));
    for (uint32_t i = 0; i < optimizer->array_count; i++) {
        CB_TRY(create_zeroed(device, optimizer->total_count * sizeof(float), &optimizer->arrays[i], diag));
    }
    return write_tiles(optimizer, diag);
}

enum cb_status cb_optimizer_create(struct cb_device *device, const struct cb_optimizer_config *config,
                                   uint64_t total_count, const struct cb_segment *segments, uint32_t segment_count,
                                   struct cb_optimizer **out, struct cb_diag *diag)
{
    if (config->kind != CB_OPTIMIZER_SGD && config->kind != CB_OPTIMIZER_ADAM && config->kind != CB_OPTIMIZER_ADAMW) {
        return cb_fail(diag, CB_INVALID, NULL, "the optimizer `%s` takes no steps", cb_optimizer_name(config->kind));
    }
    CB_TRY(check_segments(segments, segment_count, total_count, diag));
    struct cb_optimizer *optimizer = calloc(1, sizeof *optimizer);
    if (!optimizer) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory for the optimizer");
    }
    optimizer->device = device;
    optimizer->config = *config;
    optimizer->total_count = total_count;
    optimizer->array_count = array_count_of(config);
    const uint64_t largest = cb_device_get_facts(device)->max_work_group;
    optimizer->group = cb_device_get_facts(device)->is_cpu || largest < GROUP ? 1 : GROUP;
    optimizer->segments = calloc(segment_count ? segment_count : 1, sizeof *segments);
    enum cb_status status = CB_OK;
    if (!optimizer->segments) {
        status = cb_fail(diag, CB_MEMORY, NULL, "out of memory for the optimizer's table");
        goto destroy_optimizer;
    }
    for (uint32_t i = 0; i < segment_count; i++) {
        optimizer->segments[i] = segments[i];
        optimizer->tile_count += tiles_of(&segments[i]);
    }
    optimizer->segment_count = segment_count;
    if (optimizer->tile_count == 0 || optimizer->tile_count > INT32_MAX) {
        status = cb_fail(diag, CB_INVALID, NULL, "there are no params to train");
        goto destroy_optimizer;
    }
    status = get_kernels(optimizer, diag);
    if (status == CB_OK) {
        status = create_buffers(optimizer, diag);
    }
destroy_optimizer:
    if (status != CB_OK) {
        cb_optimizer_destroy(optimizer);
        return status;
    }
    *out = optimizer;
    return CB_OK;
}

void cb_optimizer_destroy(struct cb_optimizer *optimizer)
{
    if (!optimizer) {
        return;
    }
    for (uint32_t i = 0; i < STATE_ARRAYS_MAX; i++) {
        cb_buffer_destroy(optimizer->arrays[i]);
    }
    cb_buffer_destroy(optimizer->state);
    cb_buffer_destroy(optimizer->sums);
    cb_buffer_destroy(optimizer->rates);
    cb_buffer_destroy(optimizer->counts);
    cb_buffer_destroy(optimizer->offsets);
    free(optimizer->segments);
    free(optimizer);
}

enum cb_status cb_optimizer_set_segments(struct cb_optimizer *optimizer, const struct cb_segment *segments,
                                         uint32_t segment_count, struct cb_diag *diag)
{
    CB_TRY(check_segments(segments, segment_count, optimizer->total_count, diag));
    bool same = segment_count == optimizer->segment_count;
    for (uint32_t i = 0; same && i < segment_count; i++) {
        same = segments[i].offset == optimizer->segments[i].offset && segments[i].count == optimizer->segments[i].count;
    }
    if (!same) {
        return cb_fail(diag, CB_INTERNAL, NULL, "the optimizer was made for other segments");
    }
    memcpy(optimizer->segments, segments, segment_count * sizeof *segments);
    return write_rates(optimizer, diag);
}

/* ---- stepping ---- */

#define LAUNCH(kernel, groups, ...)                                                                \
    cb_kernel_launch(optimizer->device, (kernel),                                                  \
                     &(const struct cb_grid){{(uint64_t)(groups) * optimizer->group}, {optimizer->group}}, \
                     (const struct cb_arg[]){__VA_ARGS__},                                         \
                     (uint32_t)(sizeof((const struct cb_arg[]){__VA_ARGS__}) / sizeof(struct cb_arg)), diag)

static enum cb_status launch_update(struct cb_optimizer *optimizer, const struct cb_tensor *params,
                                    const struct cb_tensor *grads, uint64_t step, double rate, double grad_scale,
                                    struct cb_diag *diag)
{
    const struct cb_optimizer_config *config = &optimizer->config;
    const struct cb_tensor offsets = tensor_of(optimizer->offsets), counts = tensor_of(optimizer->counts);
    const struct cb_tensor rates = tensor_of(optimizer->rates), state = tensor_of(optimizer->state);
    const struct cb_tensor first = tensor_of(optimizer->arrays[0]), second = tensor_of(optimizer->arrays[1]);
    if (config->kind == CB_OPTIMIZER_SGD) {
        return LAUNCH(optimizer->update, optimizer->tile_count, CB_A_TENSOR(params), CB_A_TENSOR(&first),
                      CB_A_TENSOR(grads), CB_A_TENSOR(&offsets), CB_A_TENSOR(&counts), CB_A_TENSOR(&rates),
                      CB_A_TENSOR(&state), CB_A_I32(optimizer->tile_count), CB_A_F32(grad_scale), CB_A_F32(rate),
                      CB_A_F32(config->weight_decay), CB_A_F32(config->momentum), CB_A_I32(config->nesterov));
    }
    const double correction1 = 1.0 - pow(config->beta1, (double)step);
    const double correction2 = 1.0 - pow(config->beta2, (double)step);
    return LAUNCH(optimizer->update, optimizer->tile_count, CB_A_TENSOR(params), CB_A_TENSOR(&first),
                  CB_A_TENSOR(&second), CB_A_TENSOR(grads), CB_A_TENSOR(&offsets), CB_A_TENSOR(&counts),
                  CB_A_TENSOR(&rates), CB_A_TENSOR(&state), CB_A_I32(optimizer->tile_count), CB_A_F32(grad_scale),
                  CB_A_F32(rate), CB_A_F32(config->weight_decay), CB_A_I32(config->kind == CB_OPTIMIZER_ADAMW),
                  CB_A_F32(1.0 - config->beta1), CB_A_F32(config->beta2), CB_A_F32(1.0 - config->beta2),
                  CB_A_F32(config->epsilon), CB_A_F32(1.0 / correction1), CB_A_F32(1.0 / sqrt(correction2)));
}

enum cb_status cb_optimizer_step(struct cb_optimizer *optimizer, struct cb_buffer *params, struct cb_buffer *grads,
                                 uint64_t step, double rate, double grad_scale, struct cb_diag *diag)
{
    const uint64_t bytes = optimizer->total_count * sizeof(float);
    if (cb_buffer_bytes(params) < bytes || cb_buffer_bytes(grads) < bytes || step == 0) {
        return cb_fail(diag, CB_INTERNAL, NULL, "the optimizer was given params, gradients or a step that cannot be");
    }
    const struct cb_tensor params_tensor = tensor_of(params), grads_tensor = tensor_of(grads);
    const struct cb_tensor offsets = tensor_of(optimizer->offsets), counts = tensor_of(optimizer->counts);
    const struct cb_tensor rates = tensor_of(optimizer->rates), sums = tensor_of(optimizer->sums);
    const struct cb_tensor state = tensor_of(optimizer->state);
    const uint32_t scratch = optimizer->group * (uint32_t)sizeof(float);
    CB_TRY(LAUNCH(optimizer->norm, optimizer->tile_count, CB_A_TENSOR(&sums), CB_A_TENSOR(&grads_tensor),
                  CB_A_TENSOR(&offsets), CB_A_TENSOR(&counts), CB_A_TENSOR(&rates), CB_A_I32(optimizer->tile_count),
                  CB_A_F32(grad_scale), CB_A_LOCAL(scratch)));
    CB_TRY(LAUNCH(optimizer->clip, 1, CB_A_TENSOR(&state), CB_A_TENSOR(&sums), CB_A_I32(optimizer->tile_count),
                  CB_A_F32(optimizer->config.clip), CB_A_LOCAL(scratch)));
    return launch_update(optimizer, &params_tensor, &grads_tensor, step, rate, grad_scale, diag);
}

enum cb_status cb_optimizer_check(struct cb_optimizer *optimizer, struct cb_buffer *values, uint64_t count,
                                  struct cb_diag *diag)
{
    const struct cb_tensor state = tensor_of(optimizer->state), tensor = tensor_of(values);
    return LAUNCH(optimizer->check, 1, CB_A_TENSOR(&state), CB_A_TENSOR(&tensor), CB_A_I64((int64_t)count));
}

enum cb_status cb_optimizer_get_status(struct cb_optimizer *optimizer, struct cb_optimizer_status *out,
                                       struct cb_diag *diag)
{
    int32_t state[STATE_COUNT];
    CB_TRY(cb_buffer_read(optimizer->device, optimizer->state, 0, state, sizeof state, diag));
    memcpy(&out->norm, &state[0], sizeof out->norm);
    memcpy(&out->clip_factor, &state[1], sizeof out->clip_factor);
    out->skipped = (uint32_t)state[2];
    out->last_skipped = (uint32_t)state[3];
    return CB_OK;
}

/* ---- checkpoints ---- */

uint32_t cb_optimizer_state_count(const struct cb_optimizer *optimizer)
{
    return optimizer->array_count;
}

const char *cb_optimizer_state_name(const struct cb_optimizer *optimizer, uint32_t i)
{
    static const char *const adam[STATE_ARRAYS_MAX] = {"mean", "variance"};
    if (i >= optimizer->array_count) {
        return NULL;
    }
    return optimizer->config.kind == CB_OPTIMIZER_SGD ? "momentum" : adam[i];
}

enum cb_status cb_optimizer_state_read(struct cb_optimizer *optimizer, uint32_t i, float *host, struct cb_diag *diag)
{
    if (i >= optimizer->array_count) {
        return cb_fail(diag, CB_INTERNAL, NULL, "the optimizer has no state %u", (unsigned)i);
    }
    return cb_buffer_read(optimizer->device, optimizer->arrays[i], 0, host, optimizer->total_count * sizeof *host,
                          diag);
}

enum cb_status cb_optimizer_state_write(struct cb_optimizer *optimizer, uint32_t i, const float *host,
                                        struct cb_diag *diag)
{
    if (i >= optimizer->array_count) {
        return cb_fail(diag, CB_INTERNAL, NULL, "the optimizer has no state %u", (unsigned)i);
    }
    return cb_buffer_write(optimizer->device, optimizer->arrays[i], 0, host, optimizer->total_count * sizeof *host,
                           diag);
}
