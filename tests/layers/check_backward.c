/* check_backward.c: what the gradients must be. See checks.h. */
#include "checker.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GRADIENT_TOLERANCE 5e-3 /* of central differences, in parts of what a random direction gives on average */

static void check_gradients_bits(struct checker *k, const struct results *got, const struct results *want, uint32_t dx,
                                 uint32_t dw, const char *variant, const char *what)
{
    char text[96];
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        snprintf(text, sizeof(text), "%s, dx", what);
        if ((dx >> i) & 1u) {
            checker_bits(k, &got->dx[i], &want->dx[i], variant, text, i);
        }
    }
    for (uint32_t i = 0; i < k->core.param_count; i++) {
        snprintf(text, sizeof(text), "%s, dw", what);
        if ((dw >> i) & 1u) {
            checker_bits(k, &got->dw[i], &want->dw[i], variant, text, i);
        }
    }
}

static void check_expected_gradients(struct checker *k, const struct results *r, const char *variant)
{
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        if (((k->dx_mask >> i) & 1u) == 0) {
            continue;
        }
        if (k->c->expect_dx == NULL) {
            checker_check(k, array_first_bad(&r->dx[i]) < 0, "%s: dx %u has a value that is not finite", variant, i);
        } else {
            struct array expected = array_read_list(k->core.arena, k->c->expect_dx->as.list.items[i], &r->dx[i]);
            checker_close(k, &r->dx[i], &expected, k->c->tolerance, variant, "dx", i);
        }
    }
    for (uint32_t i = 0; i < k->core.param_count; i++) {
        if (k->c->expect_dw == NULL) {
            checker_check(k, array_first_bad(&r->dw[i]) < 0, "%s: dw %u has a value that is not finite", variant, i);
        } else {
            struct array expected =
                array_read_list(k->core.arena, cb_map_get(k->c->expect_dw, k->core.params[i].name), &r->dw[i]);
            checker_close(k, &r->dw[i], &expected, k->c->tolerance, variant, "dw", i);
        }
    }
}

/* Each gradient left out, once; it must keep its poison, and the others their bits. */
static void check_unwanted(struct checker *k, struct prepared *before, const struct backward *b,
                           const struct results *r)
{
    for (uint32_t g = 0; g < k->core.in.x_count + k->core.param_count; g++) {
        struct wish w = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = -1};
        const bool is_dx = g < k->core.in.x_count;
        const uint32_t bit = 1u << (is_dx ? g : g - k->core.in.x_count);
        if (((is_dx ? w.dx : w.dw) & bit) == 0) {
            continue;
        }
        *(is_dx ? &w.dx : &w.dw) &= ~bit;
        if (w.dx == 0 && w.dw == 0) {
            continue;
        }
        const struct results got = checker_backward(k, before, b, &w);
        check_gradients_bits(k, &got, r, w.dx, w.dw, b->name, is_dx ? "without another dx" : "without another dw");
    }
    /* Only params, only inputs: less may be kept for them. */
    for (int only = 0; only < 2 && k->dx_mask != 0 && k->dw_mask != 0; only++) {
        const struct wish w = {.dx = only ? k->dx_mask : 0, .dw = only ? 0 : k->dw_mask, .dx_in_dy = -1};
        const struct results got = checker_backward(k, before, b, &w);
        check_gradients_bits(k, &got, r, w.dx, w.dw, b->name, only ? "inputs only" : "params only");
    }
}

static void check_accumulated(struct checker *k, struct prepared *before, const struct backward *b,
                              const struct results *r)
{
    struct results base = *r;
    struct array *bases[] = {base.dx, base.dw};
    const struct array *plain[] = {r->dx, r->dw};
    const uint32_t counts[] = {k->core.in.x_count, k->core.param_count}, masks[] = {k->dx_mask, k->dw_mask};
    for (int group = 0; group < 2; group++) {
        for (uint32_t i = 0; i < counts[group]; i++) {
            if (((masks[group] >> i) & 1u) == 0) {
                continue;
            }
            struct array *start = &bases[group][i];
            *start = array_copy(k->core.arena, start);
            array_fill_random(start, 40 + i, 1.0);
            struct array sum = array_copy(k->core.arena, start);
            for (int64_t e = 0; e < sum.count; e++) {
                sum.at.f[e] += plain[group][i].at.f[e];
            }
            const struct wish w = {.dx = k->dx_mask,
                                   .dw = k->dw_mask,
                                   .dx_accumulate = group == 0 ? 1u << i : 0,
                                   .dw_accumulate = group == 1 ? 1u << i : 0,
                                   .base_dx = base.dx,
                                   .base_dw = base.dw,
                                   .dx_in_dy = -1};
            const struct results got = checker_backward(k, before, b, &w);
            checker_close(k, group == 0 ? &got.dx[i] : &got.dw[i], &sum, 1e-6, b->name,
                          group == 0 ? "accumulated, dx" : "accumulated, dw", i);
            check_gradients_bits(k, &got, r, k->dx_mask & ~w.dx_accumulate, k->dw_mask & ~w.dw_accumulate, b->name,
                                 "beside an accumulated one");
        }
    }
}

static void check_gradient_in_place(struct checker *k, struct prepared *before, const struct backward *b,
                                    const struct results *r)
{
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        const bool fits = array_same_shape(&r->dx[i], &k->dy);
        if (((k->core.type->layer.inplace_grad >> i) & 1u) == 0 || !fits || ((k->dx_mask >> i) & 1u) == 0) {
            continue;
        }
        const struct wish w = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = (int)i};
        const struct results got = checker_backward(k, before, b, &w);
        check_gradients_bits(k, &got, r, k->dx_mask, k->dw_mask, b->name, "in place of dy");
    }
}

/* One gradient against central differences along a random direction, in double: the values differ by rounding only, and
 * the step that counts is the one that was really taken. */
static void check_direction(struct checker *k, struct prepared *variant, const struct array *z, const struct array *dz,
                            struct array *changed, const struct array *x, const struct array *params, const char *what,
                            uint32_t index, uint32_t seed)
{
    struct cb_arena *arena = k->core.arena;
    struct array way = array_copy(arena, z), up = array_copy(arena, z), down = array_copy(arena, z);
    double largest = 1e-3, size = 0.0, step_size = 0.0, noise = 0.0;
    for (int64_t i = 0; i < z->count; i++) {
        largest = fmax(largest, fabs((double)z->at.f[i]));
    }
    array_fill_random(&way, seed, 4e-3 * largest);
    for (int64_t i = 0; i < z->count; i++) {
        up.at.f[i] += way.at.f[i];
        down.at.f[i] -= way.at.f[i];
        way.at.f[i] = up.at.f[i] - down.at.f[i];
        size += (double)dz->at.f[i] * dz->at.f[i];
        step_size += (double)way.at.f[i] * way.at.f[i];
    }
    const struct array kept = *changed;
    *changed = up;
    const struct results high = checker_forward_with(k, variant, x, params);
    *changed = down;
    const struct results low = checker_forward_with(k, variant, x, params);
    *changed = kept;
    for (int64_t i = 0; i < high.y[0].count; i++) {
        const double term = fabs((double)high.y[0].at.f[i] * k->dy.at.f[i]);
        noise += term * term;
    }
    const double measured = array_dot(&high.y[0], &k->dy) - array_dot(&low.y[0], &k->dy), stated = array_dot(dz, &way);
    const double usual = sqrt(size * step_size / (double)z->count);
    checker_check(k, fabs(measured - stated) <= GRADIENT_TOLERANCE * usual + 1e-6 * sqrt(noise),
                  "%s %u: central differences give %.6g, the gradient %.6g (usual size %.2g)", what, index, measured,
                  stated, usual);
}

static void check_differences(struct checker *k, struct prepared *variant, const struct results *r)
{
    struct array x[TRIAL_MAX], params[TRIAL_MAX];
    memcpy(x, k->c->x, sizeof(x));
    memcpy(params, k->params, sizeof(params));
    for (uint32_t seed = 60; seed < 62 && k->c->gradient_check; seed++) {
        for (uint32_t i = 0; i < k->core.in.x_count; i++) {
            if ((k->dx_mask >> i) & 1u) {
                check_direction(k, variant, &k->c->x[i], &r->dx[i], &x[i], x, params, "dx", i, seed);
            }
        }
        for (uint32_t i = 0; i < k->core.param_count; i++) {
            check_direction(k, variant, &k->params[i], &r->dw[i], &params[i], x, params, "dw", i, seed);
        }
    }
}

void check_backward(struct checker *k, struct prepared *before, const char *name, const struct results *plain)
{
    const struct backward b = checker_prepare_backward(k, name);
    const struct wish all = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = -1};
    const struct results r = checker_backward(k, before, &b, &all), again = checker_backward(k, before, &b, &all);
    check_expected_gradients(k, &r, name);
    check_gradients_bits(k, &again, &r, k->dx_mask, k->dw_mask, name, "run again");
    const double tolerance = fmax(PLAIN_TOLERANCE, k->c->tolerance);
    for (uint32_t i = 0; i < k->core.in.x_count && plain != NULL; i++) {
        if ((k->dx_mask >> i) & 1u) {
            checker_close(k, &r.dx[i], &plain->dx[i], tolerance, name, "beside the plain variant, dx", i);
        }
    }
    for (uint32_t i = 0; i < k->core.param_count && plain != NULL; i++) {
        checker_close(k, &r.dw[i], &plain->dw[i], tolerance, name, "beside the plain variant, dw", i);
    }
    check_unwanted(k, before, &b, &r);
    check_accumulated(k, before, &b, &r);
    check_gradient_in_place(k, before, &b, &r);
    if (plain == NULL) {
        check_differences(k, before, &r);
    }
}
