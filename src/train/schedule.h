/* schedule.h: how the learning rate moves during a run: a factor for each step, a pure function of the step.
 *
 *     schedule: one_cycle
 *     schedule: {cosine: {warmup: 0.1}}
 *     schedule: {step: {every: 0.3, factor: 0.1}}
 */
#ifndef CAMBIUM_TRAIN_SCHEDULE_H
#define CAMBIUM_TRAIN_SCHEDULE_H

#include "base/value.h"

enum cb_schedule_kind {
    CB_SCHEDULE_CONSTANT,
    CB_SCHEDULE_STEP,
    CB_SCHEDULE_LINEAR,
    CB_SCHEDULE_COSINE,
    CB_SCHEDULE_ONE_CYCLE,
};

/* Lengths below 1 are shares of the run, from 1 on they are steps of the optimizer. All zero: constant. */
struct cb_schedule {
    enum cb_schedule_kind kind;
    double warmup;     /* length of a linear rise from 1/warmup of the rate in front of the schedule; 0: none */
    double every;      /* step: length between two drops */
    double factor;     /* step: what the rate is multiplied by at each */
    double final;      /* linear, cosine: the factor at the end */
    double rise;       /* one_cycle: share of the run in which the rate rises */
    double start_div;  /* one_cycle: the first rate is rate / start_div */
    double final_div;  /* one_cycle: the last rate is the first rate / final_div */
};

const char *cb_schedule_name(enum cb_schedule_kind kind); /* "one_cycle" */
/* Reads a word or a map with one word as its key; NULL gives a constant one. Errors are collected in `diag`. */
enum cb_status cb_schedule_read(const struct cb_value *value, struct cb_schedule *out, struct cb_diag *diag);
/* Back to a value that reads as the same schedule, all keys written. NULL when memory is exhausted. */
struct cb_value *cb_schedule_to_value(struct cb_arena *arena, const struct cb_schedule *schedule);
/* What the rate is multiplied by at `step`, 0 .. total_steps - 1. After a warm-up the schedule has the remaining steps.
 * Equal to PyTorch's StepLR, LinearLR, CosineAnnealingLR (T_max: the steps), OneCycleLR (cosine, two phases) after
 * SequentialLR with LinearLR(start_factor = 1 / warm-up steps). */
double cb_schedule_factor(const struct cb_schedule *schedule, uint64_t step, uint64_t total_steps);

#endif
