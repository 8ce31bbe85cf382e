/* optimizer.h: one step of gradient descent over the whole trainable range of params, on the device.
 *
 * Params and gradients are two buffers of `total_count` floats of the same layout; a table of segments says which of them
 * are params (gaps between segments are never touched), at which share of the rate, and whether weight decay applies.
 * Gradients come unnormalised (sums over samples): a step multiplies them by `grad_scale`, measures their global norm in
 * a fixed order, clips, and updates, without waiting for the device. Formulas are PyTorch's SGD, Adam and AdamW.
 *
 * A step whose gradients (or checked values) are not finite changes nothing and is counted: params stay those of the
 * last good step. */
#ifndef CAMBIUM_TRAIN_OPTIMIZER_H
#define CAMBIUM_TRAIN_OPTIMIZER_H

#include "base/value.h"
#include "device/device.h"

enum cb_optimizer_kind {
    CB_OPTIMIZER_AUTO = 0, /* nothing was said */
    CB_OPTIMIZER_SGD,
    CB_OPTIMIZER_ADAM,  /* weight decay is added to the gradient */
    CB_OPTIMIZER_ADAMW, /* weight decay shrinks the param (Loshchilov and Hutter 2019) */
    CB_OPTIMIZER_LBFGS, /* the exact linear head (lbfgs.h); has no step */
};

struct cb_optimizer_config {
    enum cb_optimizer_kind kind;
    double rate;         /* learning rate; 0: what the recipe says */
    double weight_decay; /* sgd, adam, adamw */
    double momentum;     /* sgd */
    uint32_t nesterov;   /* sgd; 0 or 1 */
    double beta1, beta2, epsilon; /* adam, adamw */
    double l2;           /* lbfgs; negative: chosen by cross-validation */
    int64_t max_iterations; /* lbfgs */
    double tolerance;    /* lbfgs */
    double clip;         /* largest global norm of the gradient; 0: no clipping. Set by the caller (`train.clip`) */
};

const char *cb_optimizer_name(enum cb_optimizer_kind kind); /* "adamw" */
/* Reads `adamw`, {sgd: {momentum: 0.9, nesterov: true}}, {lbfgs: {l2: 10}}; `auto` and NULL give AUTO. `clip` is left 0.
 * Errors are collected in `diag`. */
enum cb_status cb_optimizer_read(const struct cb_value *value, struct cb_optimizer_config *out, struct cb_diag *diag);
/* Back to a value that reads as the same, all keys written. NULL when memory is exhausted. */
struct cb_value *cb_optimizer_to_value(struct cb_arena *arena, const struct cb_optimizer_config *config);

/* A param in the trainable range. */
struct cb_segment {
    uint64_t offset, count; /* in floats */
    double rate_scale;      /* multiplies the learning rate */
    bool decay;             /* weight decay applies (not for norms and biases: role CB_PARAM_VECTOR) */
};

struct cb_optimizer;

/* Compiles the kernels and makes the state (zeros), total_count floats each: sgd with momentum one, adam and adamw two.
 * Segments must lie in the range, sorted, without overlap; they are copied. `config->kind` is sgd, adam or adamw. */
enum cb_status cb_optimizer_create(struct cb_device *device, const struct cb_optimizer_config *config,
                                   uint64_t total_count, const struct cb_segment *segments, uint32_t segment_count,
                                   struct cb_optimizer **out, struct cb_diag *diag);
void cb_optimizer_destroy(struct cb_optimizer *optimizer); /* accepts NULL */

/* Enqueues one update. `step` counts updates from 1 (Adam's bias correction); `rate` is the learning rate of this step;
 * gradients are multiplied by `grad_scale` first. */
enum cb_status cb_optimizer_step(struct cb_optimizer *optimizer, struct cb_buffer *params, struct cb_buffer *grads,
                                 uint64_t step, double rate, double grad_scale, struct cb_diag *diag);
/* Enqueues a check of `count` floats (the losses of the batch): if one is not finite, the next step changes nothing. */
enum cb_status cb_optimizer_check(struct cb_optimizer *optimizer, struct cb_buffer *values, uint64_t count,
                                  struct cb_diag *diag);
/* New rate scales and decay for the same segments (gradual unfreezing, layer-wise rates). A rate_scale of 0 leaves the
 * segment's params and state alone. */
enum cb_status cb_optimizer_set_segments(struct cb_optimizer *optimizer, const struct cb_segment *segments,
                                         uint32_t segment_count, struct cb_diag *diag);

struct cb_optimizer_status {
    float norm;         /* of the last step's gradient, after grad_scale, before clipping */
    float clip_factor;  /* it was multiplied by */
    uint32_t skipped;   /* steps that changed nothing because something was not finite, since creation */
    uint32_t last_skipped; /* 1: the last step was one of them */
};
/* Waits for the queue. */
enum cb_status cb_optimizer_get_status(struct cb_optimizer *optimizer, struct cb_optimizer_status *out,
                                       struct cb_diag *diag);

/* State for checkpoints: `count` arrays of total_count floats in the layout of the params, so that segment s of state i
 * is host[segments[s].offset .. + count]. Names: "momentum"; "mean", "variance". */
uint32_t cb_optimizer_state_count(const struct cb_optimizer *optimizer);
const char *cb_optimizer_state_name(const struct cb_optimizer *optimizer, uint32_t i);
enum cb_status cb_optimizer_state_read(struct cb_optimizer *optimizer, uint32_t i, float *host, struct cb_diag *diag);
enum cb_status cb_optimizer_state_write(struct cb_optimizer *optimizer, uint32_t i, const float *host,
                                        struct cb_diag *diag);
/* Bytes of device memory that an optimizer of this kind needs for total_count params. */
uint64_t cb_optimizer_state_bytes(const struct cb_optimizer_config *config, uint64_t total_count);

/* The same update on the host, the specification of the kernel: over params [count] with gradients already scaled and
 * clipped; state0 and state1 [count] as the kind needs them. */
void cb_optimizer_step_host(const struct cb_optimizer_config *config, float *params, const float *grads, float *state0,
                            float *state1, uint64_t count, uint64_t step, double rate, bool decay);

#endif
