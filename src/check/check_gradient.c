/* check_gradient.c: gradients against central differences: along random directions, and where one disagrees element by
 * element, so that the message can say which, and that a kink (relu at 0, two equal maxima) is told from a fault. */
#include "check/checker.h"

#include <math.h>
#include <string.h>

#define GRADIENT_TOLERANCE 5e-3 /* of central differences, in parts of what a random direction gives on average */
#define ELEMENT_TOLERANCE 2e-2  /* of one element, in parts of the largest gradient */
#define MAX_ELEMENTS 400        /* that are looked at one by one */

#define STEPS 4                 /* of differences at one element, each a fifth of the last */
#define DIRECTION_STEPS 3       /* along a direction, likewise: with a smaller step fewer kinks lie within */

/* What varies: an input or a param. */
struct subject {
    const char *what; /* "dx" or "dw" */
    uint32_t index;
    const struct array *z, *dz; /* the values and the stated gradient */
    const struct cb_tensor *tensor;
};

static struct results run_at(struct checker *k, struct prepared *variant, const struct subject *s, const struct array *at)
{
    return cb__checker_forward_moved(k, variant, s->tensor, at);
}

/* sum of (above - below) dy, in double. `*noise` (may be NULL): what rounding of those y that differ may make of it. */
static double change(struct checker *k, const struct results *above, const struct results *below, double *noise)
{
    double sum = 0.0, squares = 0.0;
    for (uint32_t o = 0; o < k->core.in.y_count; o++) {
        const struct array *a = &above->y[o], *b = &below->y[o], *dy = o == 0 ? &k->dy : &k->other_dy[o];
        for (int64_t i = 0; i < a->count; i++) {
            const double change = (double)a->at.f[i] - b->at.f[i];
            const double rounding = change != 0.0 ? 3e-7 * a->at.f[i] * dy->at.f[i] : 0.0;
            sum += change * dy->at.f[i];
            squares += rounding * rounding;
        }
    }
    if (noise != NULL) {
        *noise = sqrt(squares);
    }
    return sum;
}

/* What rounding alone may make of sum y dy: a slope below it over the first step is none. */
static double floor_of(struct checker *k, const struct results *r)
{
    double squares = 0.0;
    for (uint32_t o = 0; o < k->core.in.y_count; o++) {
        const struct array *y = &r->y[o], *dy = o == 0 ? &k->dy : &k->other_dy[o];
        for (int64_t i = 0; i < y->count; i++) {
            const double rounding = 6e-8 * y->at.f[i] * dy->at.f[i];
            squares += rounding * rounding;
        }
    }
    return sqrt(squares);
}

static double largest_of(const struct array *a, double least)
{
    double largest = least;
    for (int64_t i = 0; i < a->count; i++) {
        largest = fmax(largest, fabs((double)a->at.f[i]));
    }
    return largest;
}

/* How far the gradient is off at an element. */
struct finding {
    int64_t at;
    double measured, wrong, part; /* what differences give, its distance to what is stated, and as part of the largest */
};

/* Steps become smaller until no kink lies within: where the function bends right here (relu at 0, two equal maxima), any
 * slope between those of both sides is right. `wrong` is 0 as soon as one step agrees. */
static struct finding look_at(struct checker *k, struct prepared *variant, const struct subject *s, int64_t i,
                              const struct results *here, double largest)
{
    struct finding found = {.at = i};
    struct array moved = cb__array_copy(k->core.arena, s->z);
    double step = 1e-2 * largest_of(s->z, 1e-3);
    const double least = floor_of(k, here) / step;
    for (int n = 0; n < STEPS; n++, step /= 5.0) {
        double noise_up, noise_down;
        moved.at.f[i] = s->z->at.f[i] + (float)step;
        const double up = (double)moved.at.f[i] - s->z->at.f[i];
        const struct results above = run_at(k, variant, s, &moved);
        moved.at.f[i] = s->z->at.f[i] - (float)step;
        const double down = s->z->at.f[i] - (double)moved.at.f[i];
        const struct results below = run_at(k, variant, s, &moved);
        const double rise = change(k, &above, here, &noise_up), fall = change(k, here, &below, &noise_down);
        found.measured = (rise + fall) / (up + down);
        found.wrong = fabs(found.measured - s->dz->at.f[i]);
        const double scale = fmax(largest, fabs(found.measured)), bend = fabs(rise / up - fall / down);
        found.part = found.wrong / fmax(scale, 1e-30);
        if (found.wrong <= ELEMENT_TOLERANCE * scale + bend + least + (noise_up + noise_down) / step) {
            return (struct finding){.at = i};
        }
    }
    return found;
}

/* What the change along elements `from` to `to` of `way` is measured to be, less what is stated. */
static double gap_along(struct checker *k, struct prepared *variant, const struct subject *s, const struct array *way,
                        int64_t from, int64_t to)
{
    struct array up = cb__array_copy(k->core.arena, s->z), down = cb__array_copy(k->core.arena, s->z);
    double stated = 0.0;
    for (int64_t i = from; i < to; i++) {
        up.at.f[i] += 0.5f * way->at.f[i];
        down.at.f[i] -= 0.5f * way->at.f[i];
        stated += (double)s->dz->at.f[i] * ((double)up.at.f[i] - down.at.f[i]);
    }
    const struct results above = run_at(k, variant, s, &up), below = run_at(k, variant, s, &down);
    return fabs(change(k, &above, &below, NULL) - stated);
}

/* Halves `way` towards where it is most wrong. */
static int64_t narrow_down(struct checker *k, struct prepared *variant, const struct subject *s, const struct array *way)
{
    int64_t from = 0, to = s->z->count;
    while (to - from > 1) {
        const int64_t middle = from + (to - from) / 2;
        const bool is_first = gap_along(k, variant, s, way, from, middle) >= gap_along(k, variant, s, way, middle, to);
        from = is_first ? from : middle;
        to = is_first ? middle : to;
    }
    return from;
}

/* The element whose gradient is most wrong; false when none is, beside kinks. All are looked at where they are few; else
 * the one that halving finds, and if that is none some others. */
static bool find_wrong_element(struct checker *k, struct prepared *variant, const struct subject *s, const struct array *way,
                               struct finding *out)
{
    const int64_t count = s->z->count, looked_at = count < MAX_ELEMENTS ? count : MAX_ELEMENTS;
    const double largest = largest_of(s->dz, 0.0);
    const struct results here = run_at(k, variant, s, s->z);
    *out = (struct finding){.wrong = 0.0};
    if (looked_at < count) {
        *out = look_at(k, variant, s, narrow_down(k, variant, s, way), &here, largest);
    }
    for (int64_t n = 0; n < looked_at && (looked_at == count || out->wrong == 0.0); n++) {
        const int64_t i = looked_at == count ? n : n * (count - 1) / (looked_at - 1);
        const struct finding found = look_at(k, variant, s, i, &here, largest);
        *out = found.wrong <= out->wrong ? *out : found;
    }
    return !(out->wrong <= 0.0);
}

/* Along `way`, in double: the values differ by rounding only, and the step that counts is the one that was really taken:
 * `way` becomes it. Whether what is measured is what is stated. False also where rounding leaves too little to tell, but
 * for the first step, which is the largest: there that is all that can be said. */
static bool agrees_along(struct checker *k, struct prepared *variant, const struct subject *s, struct array *way, bool is_first)
{
    struct array up = cb__array_copy(k->core.arena, s->z), down = cb__array_copy(k->core.arena, s->z);
    double size = 0.0, step_size = 0.0, noise;
    for (int64_t i = 0; i < s->z->count; i++) {
        up.at.f[i] += way->at.f[i];
        down.at.f[i] -= way->at.f[i];
        way->at.f[i] = up.at.f[i] - down.at.f[i];
        size += (double)s->dz->at.f[i] * s->dz->at.f[i];
        step_size += (double)way->at.f[i] * way->at.f[i];
    }
    const struct results above = run_at(k, variant, s, &up), below = run_at(k, variant, s, &down);
    const double measured = change(k, &above, &below, &noise), stated = cb__array_dot(s->dz, way);
    const double usual = GRADIENT_TOLERANCE * sqrt(size * step_size / (double)s->z->count);
    const double rounding = 3.0 * noise + floor_of(k, &above);
    return fabs(measured - stated) <= usual + (is_first ? rounding : 0.0) && (is_first || rounding <= usual);
}

static void check_direction(struct checker *k, struct prepared *variant, const struct subject *s, uint32_t seed)
{
    struct array first = {0};
    struct finding found;
    bool agrees = false;
    double length = 4e-3 * largest_of(s->z, 1e-3);
    for (int n = 0; n < DIRECTION_STEPS && !agrees; n++, length /= 5.0) {
        struct array way = cb__array_copy(k->core.arena, s->z);
        cb__array_fill_random(&way, seed, length);
        agrees = agrees_along(k, variant, s, &way, n == 0);
        first = n == 0 ? way : first;
    }
    if (agrees || !find_wrong_element(k, variant, s, &first, &found)) {
        cb__checker_check(k, CB_CHECK_GRADIENT, true, "%s", "");
        return;
    }
    cb__checker_check(k, CB_CHECK_GRADIENT, false,
                      "%s is off by %.2g of its largest value at %s: %.6g, but central differences give %.6g",
                      cb__checker_name(k, s->what, s->index), found.part, cb__checker_place(k, s->z, found.at),
                      (double)s->dz->at.f[found.at], found.measured);
}

void cb__check_level(struct checker *k, struct prepared *variant, const struct array *dx, uint32_t input)
{
    const struct subject s = {"dx", input, &k->x[input], dx, k->core.x[input]};
    struct array up = cb__array_copy(k->core.arena, s.z), down = cb__array_copy(k->core.arena, s.z);
    const double step = 5e-3 * largest_of(s.z, 1e-3);
    double stated = 0.0, size = 0.0, noise_up, noise_down;
    for (int64_t i = 0; i < s.z->count; i++) {
        up.at.f[i] += (float)step;
        down.at.f[i] -= (float)step;
        stated += (double)dx->at.f[i];
        size += fabs((double)dx->at.f[i]);
    }
    (void)cb__checker_forward(k, variant);
    const struct results here = run_at(k, variant, &s, s.z), above = run_at(k, variant, &s, &up),
                         below = run_at(k, variant, &s, &down);
    const double rise = change(k, &above, &here, &noise_up) / step, fall = change(k, &here, &below, &noise_down) / step;
    const double slack = ELEMENT_TOLERANCE * size + (3.0 * (noise_up + noise_down) + 2.0 * floor_of(k, &here)) / step;
    cb__checker_check(k, CB_CHECK_GRADIENT, stated >= fmin(rise, fall) - slack && stated <= fmax(rise, fall) + slack,
                      "%s sums to %.6g where all values of the input are equal, but raising them all at once gives %.6g, and "
                      "lowering them %.6g: equal values share what one of them would get",
                      cb__checker_name(k, "dx", input), stated, rise, fall);
}

void cb__check_differences(struct checker *k, struct prepared *variant, const struct results *r)
{
    struct cb_core *core = &k->core;
    if (!k->c->gradient_check) {
        return;
    }
    (void)cb__checker_forward(k, variant); /* everything lies where it belongs; from here on one tensor at a time moves */
    for (uint32_t seed = 60; seed < 62; seed++) {
        for (uint32_t i = 0; i < core->in.x_count; i++) {
            const struct subject s = {"dx", i, &k->c->x[i], &r->dx[i], core->x[i]};
            if ((k->dx_mask >> i) & 1u) {
                check_direction(k, variant, &s, seed);
                cb__trial_write(core, s.tensor, s.z);
            }
        }
        for (uint32_t i = 0; i < core->param_count; i++) {
            const struct subject s = {"dw", i, &k->params[i], &r->dw[i], core->param[i]};
            check_direction(k, variant, &s, seed);
            cb__trial_write(core, s.tensor, s.z);
        }
    }
}
