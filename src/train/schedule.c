/* schedule.c: see schedule.h. The closed forms of PyTorch's torch.optim.lr_scheduler. */
#include "train/schedule.h"

#include <math.h>

#include "base/keys.h"
#include "base/options.h"
#include "train/word.h"

#define PI 3.14159265358979323846

/* ---- reading ---- */

#define WARMUP                                                                                     \
    {"warmup", "length of a linear rise in front: a share of the run below 1, else steps", CB_OPT_REAL,               \
     offsetof(struct cb_schedule, warmup), 0, INFINITY}
#define FINAL                                                                                      \
    {"final", "what the rate is multiplied by at the end", CB_OPT_REAL, offsetof(struct cb_schedule, final), 0, 1e6}

static const struct cb_option constant_options[] = {WARMUP};
static const struct cb_option step_options[] = {
    {"every", "length between two drops: a share of the run below 1, else steps", CB_OPT_REAL,
     offsetof(struct cb_schedule, every), 1e-9, INFINITY},
    {"factor", "what the rate is multiplied by at each drop", CB_OPT_REAL, offsetof(struct cb_schedule, factor), 0,
     1e6},
    WARMUP,
};
static const struct cb_option falling_options[] = {FINAL, WARMUP};
static const struct cb_option one_cycle_options[] = {
    {"rise", "share of the run in which the rate rises", CB_OPT_REAL, offsetof(struct cb_schedule, rise), 0, 1},
    {"start_div", "the first rate is the rate divided by this", CB_OPT_REAL, offsetof(struct cb_schedule, start_div),
     1, INFINITY},
    {"final_div", "the last rate is the first rate divided by this", CB_OPT_REAL,
     offsetof(struct cb_schedule, final_div), 1, INFINITY},
    WARMUP,
};

static const char *const names[] = {"constant", "step", "linear", "cosine", "one_cycle"}; /* by kind */
#define KIND_COUNT (sizeof names / sizeof *names)

static const struct {
    struct cb_array options;
    struct cb_schedule defaults;
} kinds[KIND_COUNT] = {
    [CB_SCHEDULE_CONSTANT] = {CB_ARRAY(constant_options), {.kind = CB_SCHEDULE_CONSTANT}},
    [CB_SCHEDULE_STEP] = {CB_ARRAY(step_options), {.kind = CB_SCHEDULE_STEP, .every = 1.0 / 3.0, .factor = 0.1}},
    [CB_SCHEDULE_LINEAR] = {CB_ARRAY(falling_options), {.kind = CB_SCHEDULE_LINEAR}},
    [CB_SCHEDULE_COSINE] = {CB_ARRAY(falling_options), {.kind = CB_SCHEDULE_COSINE}},
    [CB_SCHEDULE_ONE_CYCLE] = {CB_ARRAY(one_cycle_options),
                               {.kind = CB_SCHEDULE_ONE_CYCLE, .rise = 0.3, .start_div = 25.0, .final_div = 1e4}},
};

struct cb_value *cb__schedule_schema(struct cb_arena *arena)
{
    struct cb_value *options[KIND_COUNT];
    for (size_t i = 0; i < KIND_COUNT; i++) {
        options[i] = cb_schema_of_options(arena, &kinds[i].options, &kinds[i].defaults);
    }
    return cb_schema_or_null(arena, cb_schema_of_words(arena, names, options, KIND_COUNT));
}

const char *cb_schedule_name(enum cb_schedule_kind kind)
{
    return (size_t)kind < KIND_COUNT ? names[kind] : "?";
}

enum cb_status cb_schedule_read(const struct cb_value *value, struct cb_schedule *out, struct cb_diag *diag)
{
    if (!value || value->kind == CB_KIND_NULL) {
        *out = kinds[CB_SCHEDULE_CONSTANT].defaults;
        return CB_OK;
    }
    size_t kind = 0;
    const struct cb_value *options = NULL;
    CB_TRY(cb__word_read(value, "`schedule`", names, KIND_COUNT, &kind, &options, diag));
    struct cb_arena *arena = cb_arena_create();
    struct cb_text what = {0};
    cb_text_addf(&what, "schedule `%s`", names[kind]);
    struct cb_schedule schedule;
    enum cb_status status = CB_MEMORY;
    if (arena && what.data) {
        status = cb_options_read(arena, &kinds[kind].options, &kinds[kind].defaults, sizeof schedule, options,
                                 what.data, &schedule, NULL, diag);
    }
    cb_text_free(&what);
    cb_arena_destroy(arena);
    if (status == CB_OK) {
        *out = schedule;
    }
    return status;
}

struct cb_value *cb_schedule_to_value(struct cb_arena *arena, const struct cb_schedule *schedule)
{
    struct cb_value *options = cb_options_to_value(arena, &kinds[schedule->kind].options,
                                                   &kinds[schedule->kind].defaults, schedule, true);
    return options ? cb__word_value(arena, names[schedule->kind], options) : NULL;
}

/* ---- values ---- */

/* Steps that a length stands for: a share of the run, or steps. */
static double steps_of(double length, double total)
{
    return length < 1.0 ? floor(length * total + 0.5) : floor(length);
}

static double cosine(double from, double to, double share)
{
    return to + 0.5 * (from - to) * (1.0 + cos(PI * share));
}

/* Up to the rate within the first `rise` of the run, then down to nearly nothing (Smith and Topin 2018). */
static double one_cycle(const struct cb_schedule *schedule, double step, double total)
{
    const double first = 1.0 / schedule->start_div, last = first / schedule->final_div;
    const double top = schedule->rise * total - 1.0, end = total - 1.0;
    if (step <= top) {
        return top > 0.0 ? cosine(first, 1.0, step / top) : 1.0;
    }
    /* Before the first step there is no rise: PyTorch's second phase then begins at `top` below zero. */
    return cosine(1.0, last, (step - top) / (end - top));
}

double cb_schedule_factor(const struct cb_schedule *schedule, uint64_t step, uint64_t total_steps)
{
    const double warmup = steps_of(schedule->warmup, (double)total_steps);
    if ((double)step < warmup) {
        return ((double)step + 1.0) / warmup;
    }
    const double at = (double)step - warmup, total = fmax(1.0, (double)total_steps - warmup);
    switch (schedule->kind) {
    case CB_SCHEDULE_CONSTANT: return 1.0;
    case CB_SCHEDULE_STEP: return pow(schedule->factor, floor(at / fmax(1.0, steps_of(schedule->every, total))));
    case CB_SCHEDULE_LINEAR: return 1.0 + (schedule->final - 1.0) * fmin(1.0, at / total);
    case CB_SCHEDULE_COSINE: return cosine(1.0, schedule->final, fmin(1.0, at / total));
    case CB_SCHEDULE_ONE_CYCLE: return one_cycle(schedule, fmin(at, total - 1.0), total);
    }
    return 1.0;
}
