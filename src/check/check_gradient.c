/* check_gradient.c: gradients against central differences: along random directions, and where one disagrees element by
 * element, so that the message can say which, and that a kink (relu at 0, two equal maxima) is told from a fault. */
#include "check/checker.h"

#include <math.h>
#include <string.h>

#define GRADIENT_TOLERANCE 5e-3 /* of central differences, in parts of what a random direction gives on average */
#define ELEMENT_TOLERANCE 2e-2  /* of one element, in parts of the largest gradient */
#define MAX_ELEMENTS 400        /* that are looked at one by one */

/* What varies: an input or a param. `values` is what the run reads, one of x or params. */
struct subject {
    const char *what; /* "dx" or "dw" */
    uint32_t index;
    const struct array *z, *dz; /* the values and the stated gradient */
    struct array *values;
    const struct array *x, *params;
};

/* sum of y dy, in double. `*noise` (may be NULL) grows by the squares of the terms. */
static double value_of(struct checker *k, struct prepared *variant, const struct subject *s, const struct array *at,
                       double *noise)
{
    const struct array kept = *s->values;
    *s->values = *at;
    const struct results r = cb__checker_forward_with(k, variant, s->x, s->params);
    *s->values = kept;
    double sum = 0.0;
    for (uint32_t o = 0; o < k->core.in.y_count; o++) {
        const struct array *y = &r.y[o], *dy = o == 0 ? &k->dy : &k->other_dy[o];
        for (int64_t i = 0; noise != NULL && i < y->count; i++) {
            const double term = fabs((double)y->at.f[i] * dy->at.f[i]);
            *noise += term * term;
        }
        sum += cb__array_dot(y, dy);
    }
    return sum;
}

static double largest_of(const struct array *a, double least)
{
    double largest = least;
    for (int64_t i = 0; i < a->count; i++) {
        largest = fmax(largest, fabs((double)a->at.f[i]));
    }
    return largest;
}

/* What central differences say of one element, and what they may be wrong by. */
struct difference {
    double measured, allowed;
};

static struct difference difference_at(struct checker *k, struct prepared *variant, const struct subject *s, int64_t i,
                                       double step, double largest)
{
    double noise = 0.0;
    const double here = value_of(k, variant, s, s->z, &noise);
    struct array moved = cb__array_copy(k->core.arena, s->z);
    moved.at.f[i] = s->z->at.f[i] + (float)step;
    const double up = (double)moved.at.f[i] - s->z->at.f[i], above = value_of(k, variant, s, &moved, NULL);
    moved.at.f[i] = s->z->at.f[i] - (float)step;
    const double down = s->z->at.f[i] - (double)moved.at.f[i], below = value_of(k, variant, s, &moved, NULL);
    const double bend = fabs((above - here) / up - (here - below) / down);
    struct difference d = {.measured = (above - below) / (up + down)};
    d.allowed = ELEMENT_TOLERANCE * fmax(largest, fabs(d.measured)) + bend + 1e-6 * sqrt(noise) / step;
    return d;
}

/* The element whose gradient is most wrong; false when none is, beside kinks. Kinks on both sides may hide each other in
 * the bend (the smaller of two, for a value that meets many): a fault is one at half the step, and at a quarter, too. */
static bool find_wrong_element(struct checker *k, struct prepared *variant, const struct subject *s, int64_t *out_at,
                               double *out_measured, double *out_worst)
{
    const double largest = largest_of(s->dz, 0.0), step = 1e-2 * largest_of(s->z, 1e-3);
    const int64_t count = s->z->count, looked_at = count < MAX_ELEMENTS ? count : MAX_ELEMENTS;
    double worst = 0.0;
    for (int64_t n = 0; n < looked_at; n++) {
        const int64_t i = looked_at == count ? n : n * (count - 1) / (looked_at - 1);
        struct difference d = {0};
        bool is_wrong = true;
        for (int half = 0; half < 3 && is_wrong; half++) {
            d = difference_at(k, variant, s, i, ldexp(step, -half), largest);
            is_wrong = !(fabs(d.measured - s->dz->at.f[i]) <= d.allowed);
        }
        const double wrong = fabs(d.measured - s->dz->at.f[i]);
        if (is_wrong && !(wrong <= worst)) {
            worst = wrong;
            *out_at = i;
            *out_measured = d.measured;
            *out_worst = wrong / fmax(fmax(largest, fabs(d.measured)), 1e-30);
        }
    }
    return worst > 0.0;
}

/* Along one random direction, in double: the values differ by rounding only, and the step that counts is the one that
 * was really taken. */
static void check_direction(struct checker *k, struct prepared *variant, const struct subject *s, uint32_t seed)
{
    struct cb_arena *arena = k->core.arena;
    struct array way = cb__array_copy(arena, s->z), up = cb__array_copy(arena, s->z), down = cb__array_copy(arena, s->z);
    double size = 0.0, step_size = 0.0, noise = 0.0;
    cb__array_fill_random(&way, seed, 4e-3 * largest_of(s->z, 1e-3));
    for (int64_t i = 0; i < s->z->count; i++) {
        up.at.f[i] += way.at.f[i];
        down.at.f[i] -= way.at.f[i];
        way.at.f[i] = up.at.f[i] - down.at.f[i];
        size += (double)s->dz->at.f[i] * s->dz->at.f[i];
        step_size += (double)way.at.f[i] * way.at.f[i];
    }
    const double measured = value_of(k, variant, s, &up, &noise) - value_of(k, variant, s, &down, NULL);
    const double stated = cb__array_dot(s->dz, &way), usual = sqrt(size * step_size / (double)s->z->count);
    int64_t at = 0;
    double element = 0.0, worst = 0.0;
    if (fabs(measured - stated) <= GRADIENT_TOLERANCE * usual + 1e-6 * sqrt(noise) ||
        !find_wrong_element(k, variant, s, &at, &element, &worst)) {
        cb__checker_check(k, CB_CHECK_GRADIENT, true, "%s", "");
        return;
    }
    cb__checker_check(k, CB_CHECK_GRADIENT, false, "%s is off by %.2g of its largest value at %s: %.6g, but central differences give %.6g",
                      cb__checker_name(k, s->what, s->index), worst, cb__checker_place(k, s->z, at),
                      (double)s->dz->at.f[at], element);
}

void cb__check_differences(struct checker *k, struct prepared *variant, const struct results *r)
{
    struct array x[TRIAL_MAX], params[TRIAL_MAX];
    memcpy(x, k->c->x, sizeof(x));
    memcpy(params, k->params, sizeof(params));
    for (uint32_t seed = 60; seed < 62 && k->c->gradient_check; seed++) {
        for (uint32_t i = 0; i < k->core.in.x_count; i++) {
            const struct subject s = {"dx", i, &k->c->x[i], &r->dx[i], &x[i], x, params};
            if ((k->dx_mask >> i) & 1u) {
                check_direction(k, variant, &s, seed);
            }
        }
        for (uint32_t i = 0; i < k->core.param_count; i++) {
            const struct subject s = {"dw", i, &k->params[i], &r->dw[i], &params[i], x, params};
            check_direction(k, variant, &s, seed);
        }
    }
}
