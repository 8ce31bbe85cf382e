/* checks.c: see checks.h. */
#include "checks.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PLAIN_TOLERANCE 2e-5    /* of a variant against the plain one, in parts of the largest value */
#define GRADIENT_TOLERANCE 5e-3 /* of central differences, in parts of what a random direction gives on average */

/* What a run leaves. */
struct results {
    struct array y[TRIAL_MAX], state[TRIAL_MAX], dx[TRIAL_MAX], dw[TRIAL_MAX];
};

/* The variants that compute the gradients: one, or one for dx and one for dw. */
struct backward {
    struct prepared *passes[2];
    const char *name;
};

struct checker {
    const struct layer_case *c;
    struct cb_core core;
    struct tally *tally;
    struct array params[TRIAL_MAX], states[TRIAL_MAX], dy, ids;
    struct cb_tensor *fit_x[TRIAL_MAX];
    struct prepared *fit;
    uint32_t dx_mask, dw_mask; /* gradients that exist: of f32 inputs (of a loss: the scores), of params */
};

static bool check(struct checker *k, bool is_right, const char *fmt, ...) CB_PRINTF(3, 4);
static bool check(struct checker *k, bool is_right, const char *fmt, ...)
{
    va_list args;
    *(is_right ? &k->tally->passed : &k->tally->failed) += 1;
    if (!is_right) {
        va_start(args, fmt);
        printf("FAILED %s, %s: ", k->c->layer, k->c->name);
        vprintf(fmt, args);
        printf("\n");
        va_end(args);
    }
    return is_right;
}

static void check_close(struct checker *k, const struct array *a, const struct array *expected, double tolerance,
                        const char *variant, const char *what, uint32_t index)
{
    int64_t at;
    const double distance = array_distance(a, expected, &at);
    check(k, distance <= tolerance, "%s: %s %u is off by %.2g at element %lld: %.9g, not %.9g", variant, what, index,
          distance, (long long)at, (double)a->at.f[at], (double)expected->at.f[at]);
}

static void check_bits(struct checker *k, const struct array *a, const struct array *expected, const char *variant,
                       const char *what, uint32_t index)
{
    check(k, array_same_bits(a, expected), "%s: %s %u has other bits (off by %.2g)", variant, what, index,
          array_distance(a, expected, NULL));
}

/* ---- running ---- */

static bool serves(const struct checker *k, const struct cb_variant *v, uint32_t pass)
{
    return v->pass == pass && (v->needs & ~(uint64_t)cb_device_get_facts(k->core.device)->caps) == 0 &&
           (v->accepts == NULL || v->accepts(&k->core.in));
}

static void write_all(struct checker *k, const struct array *x, const struct array *params)
{
    struct cb_core *core = &k->core;
    for (uint32_t i = 0; i < core->in.x_count; i++) {
        trial_write(core, core->x[i], &x[i]);
    }
    for (uint32_t i = 0; i < core->param_count; i++) {
        trial_write(core, core->param[i], &params[i]);
    }
    for (uint32_t i = 0; i < core->state_count; i++) {
        trial_write(core, core->state[i], &k->states[i]);
    }
    trial_write(core, core->sample_ids, &k->ids);
    for (uint32_t i = 0; i < core->in.y_count; i++) {
        trial_poison(core, core->y[i]);
    }
    for (uint32_t i = 0; i < core->saved_count; i++) {
        if (core->saved[i] != NULL) {
            trial_poison(core, core->saved[i]);
        }
    }
}

static void fit_batches(struct checker *k)
{
    struct cb_tensor *x = k->core.x[0];
    for (uint32_t i = 0; i < k->c->fit_count; i++) {
        k->core.x[0] = k->fit_x[i];
        trial_run(&k->core, k->fit);
    }
    k->core.x[0] = x;
}

static struct results forward_with(struct checker *k, struct prepared *variant, const struct array *x,
                                   const struct array *params)
{
    struct results r = {0};
    write_all(k, x, params);
    fit_batches(k);
    trial_run(&k->core, variant);
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        r.y[i] = trial_read(&k->core, k->core.y[i]);
    }
    for (uint32_t i = 0; i < k->core.state_count; i++) {
        r.state[i] = trial_read(&k->core, k->core.state[i]);
    }
    return r;
}

static struct results forward(struct checker *k, struct prepared *variant)
{
    return forward_with(k, variant, k->c->x, k->params);
}

/* What one backward run is to do. */
struct wish {
    uint32_t dx, dw;                       /* which gradients are wanted */
    uint32_t dx_accumulate, dw_accumulate; /* which are added to what is there: `base` */
    const struct array *base_dx, *base_dw;
    int dx_in_dy; /* this dx lies where dy is; -1: none */
};

/* Runs backward after `before`, which is run first. Tensors that the descriptor does not need are poisoned in between. */
static struct results backward(struct checker *k, struct prepared *before, const struct backward *b, const struct wish *w)
{
    struct cb_core *core = &k->core;
    const struct cb_layer *layer = &core->type->layer;
    struct results r = {0};
    struct cb_tensor *dx[TRIAL_MAX], *dw[TRIAL_MAX];
    memcpy(dx, core->dx, sizeof(dx));
    memcpy(dw, core->dw, sizeof(dw));
    forward(k, before);
    uint32_t needs = (w->dx != 0 ? layer->dx_needs : 0) | (w->dw != 0 ? layer->dw_needs : 0);
    needs |= layer->pointwise != NULL ? layer->pointwise->df_reads : 0;
    for (uint32_t i = 0; i < core->in.x_count && (needs & CB_NEEDS_X) == 0; i++) {
        trial_poison(core, core->x[i]);
    }
    for (uint32_t i = 0; i < core->in.y_count && (needs & CB_NEEDS_Y) == 0; i++) {
        trial_poison(core, core->y[i]);
    }
    for (uint32_t i = 0; i < core->param_count && (needs & CB_NEEDS_PARAMS) == 0; i++) {
        trial_poison(core, core->param[i]);
    }
    for (uint32_t i = 0; i < core->saved_count && (needs & CB_NEEDS_SAVED) == 0; i++) {
        trial_poison(core, core->saved[i]);
    }
    for (uint32_t i = 0; i < core->in.y_count; i++) {
        struct array zero = array_make(core->arena, CB_F32, core->dy[i]->rank, core->dy[i]->dims);
        trial_write(core, core->dy[i], i == 0 ? &k->dy : &zero);
    }
    for (uint32_t i = 0; i < core->in.x_count; i++) {
        trial_poison(core, dx[i]);
        if ((w->dx_accumulate >> i) & 1u) {
            trial_write(core, dx[i], &w->base_dx[i]);
        }
        core->dx[i] = (w->dx >> i) & 1u ? ((int)i == w->dx_in_dy ? core->dy[0] : dx[i]) : NULL;
    }
    for (uint32_t i = 0; i < core->param_count; i++) {
        trial_poison(core, dw[i]);
        if ((w->dw_accumulate >> i) & 1u) {
            trial_write(core, dw[i], &w->base_dw[i]);
        }
        core->dw[i] = (w->dw >> i) & 1u ? dw[i] : NULL;
    }
    core->in.dx_accumulate = w->dx_accumulate;
    core->in.dw_accumulate = w->dw_accumulate;
    for (int pass = 0; pass < 2; pass++) {
        const bool is_dw = b->passes[pass] != NULL && b->passes[pass]->variant->pass == CB_PASS_DW;
        const bool is_dx = b->passes[pass] != NULL && b->passes[pass]->variant->pass == CB_PASS_DX;
        if (b->passes[pass] != NULL && !(is_dw && w->dw == 0) && !(is_dx && w->dx == 0)) {
            trial_run(core, b->passes[pass]);
        }
    }
    for (uint32_t i = 0; i < core->in.x_count; i++) {
        r.dx[i] = trial_read(core, core->dx[i] != NULL ? core->dx[i] : dx[i]);
    }
    for (uint32_t i = 0; i < core->param_count; i++) {
        r.dw[i] = trial_read(core, dw[i]);
    }
    memcpy(core->dx, dx, sizeof(dx));
    memcpy(core->dw, dw, sizeof(dw));
    return r;
}

/* ---- forward checks ---- */

static void check_expected_forward(struct checker *k, const struct results *r, const char *variant)
{
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        if (k->c->expect_y == NULL) {
            check(k, array_first_bad(&r->y[i]) < 0, "%s: y %u has a value that is not finite", variant, i);
            continue;
        }
        struct array expected = array_read(k->core.arena, k->c->expect_y->as.list.items[i]);
        if (check(k, array_same_shape(&r->y[i], &expected), "y %u has another shape than PyTorch's", i)) {
            check_close(k, &r->y[i], &expected, k->c->tolerance, variant, "y", i);
        }
    }
    for (uint32_t i = 0; i < k->core.state_count && k->c->expect_state != NULL; i++) {
        struct array expected = array_read_list(k->core.arena, cb_map_get(k->c->expect_state, k->core.states[i].name),
                                                &r->state[i]);
        check_close(k, &r->state[i], &expected, k->c->tolerance, variant, "state", i);
    }
}

static void check_in_place(struct checker *k, struct prepared *variant, const struct results *r)
{
    struct cb_core *core = &k->core;
    for (uint32_t i = 0; i < core->in.x_count; i++) {
        if (((core->type->layer.inplace >> i) & 1u) == 0 || !array_same_shape(&k->c->x[i], &r->y[0])) {
            continue;
        }
        struct cb_tensor *y = core->y[0];
        write_all(k, k->c->x, k->params);
        fit_batches(k);
        core->y[0] = core->x[i];
        trial_run(core, variant);
        struct array got = trial_read(core, core->y[0]);
        core->y[0] = y;
        check_bits(k, &got, &r->y[0], variant->variant->name, "in place of input, y", i);
    }
}

/* The first rows one at a time, as a later and smaller batch: dims[0] shrinks, the memory stays. */
static void check_rows_alone(struct checker *k, struct prepared *variant, const struct results *r)
{
    struct cb_core *core = &k->core;
    const int64_t n = k->c->x[0].dims[0];
    const uint32_t flags = core->type->layer.flags;
    if (n < 2 || ((flags & CB_LAYER_MODE_DEPENDENT) != 0 && (flags & CB_LAYER_RANDOM) == 0 && k->c->training)) {
        return;
    }
    for (int64_t row = 0; row < n && row < 3; row++) {
        write_all(k, k->c->x, k->params);
        fit_batches(k);
        trial_write(core, core->sample_ids, &(struct array){.count = 1, .at.i = k->ids.at.i + row});
        for (uint32_t i = 0; i < core->in.x_count; i++) {
            const int64_t part = k->c->x[i].count / n;
            trial_poison(core, core->x[i]);
            core->x[i]->dims[0] = 1;
            trial_write(core, core->x[i], &(struct array){.count = part, .at.f = k->c->x[i].at.f + row * part});
        }
        core->sample_ids->dims[0] = 1;
        for (uint32_t i = 0; i < core->in.y_count; i++) {
            core->y[i]->dims[0] = 1;
        }
        trial_run(core, variant);
        for (uint32_t i = 0; i < core->in.y_count; i++) {
            struct array alone = trial_read(core, core->y[i]);
            struct array batched = {.count = alone.count, .at.f = r->y[i].at.f + row * alone.count};
            check_bits(k, &alone, &batched, variant->variant->name, "alone in its batch, y", i);
            core->y[i]->dims[0] = n;
        }
        for (uint32_t i = 0; i < core->in.x_count; i++) {
            core->x[i]->dims[0] = n;
        }
        core->sample_ids->dims[0] = n;
    }
}

static void check_without_saved(struct checker *k, struct prepared *variant, const struct results *r)
{
    struct cb_tensor *saved[TRIAL_MAX];
    if (k->core.saved_count == 0) {
        return;
    }
    memcpy(saved, k->core.saved, sizeof(saved));
    memset(k->core.saved, 0, sizeof(k->core.saved));
    const struct results again = forward(k, variant);
    memcpy(k->core.saved, saved, sizeof(saved));
    check_bits(k, &again.y[0], &r->y[0], variant->variant->name, "without saved tensors, y", 0);
}

static void check_epilogue(struct checker *k, const struct cb_variant *variant, const struct results *r)
{
    struct cb_core *core = &k->core;
    if ((variant->flags & CB_VARIANT_EPILOGUE) == 0 || k->c->tolerance > 1e-4) {
        return;
    }
    struct array scale = array_make(core->arena, CB_F32, 1, core->chain_scale->dims);
    struct array more = array_copy(core->arena, &r->y[0]), expected = array_copy(core->arena, &r->y[0]);
    array_fill_random(&scale, 31, 2.0);
    array_fill_random(&more, 32, 1.0);
    for (int64_t i = 0; i < expected.count; i++) {
        expected.at.f[i] = expected.at.f[i] * scale.at.f[i % scale.count] + more.at.f[i];
    }
    trial_write(core, core->chain_scale, &scale);
    trial_write(core, core->chain_add, &more);
    const struct results fused = forward(k, trial_prepare(core, variant, true));
    check_close(k, &fused.y[0], &expected, 2e-6, variant->name, "with a fused epilogue, y", 0);
}

static void check_affine(struct checker *k, const struct results *r, const char *variant)
{
    struct cb_core *core = &k->core;
    if (core->type->layer.affine == NULL || k->c->training) {
        return;
    }
    const float *params[TRIAL_MAX], *states[TRIAL_MAX];
    const int64_t channels = k->c->x[0].dims[k->c->x[0].rank - 1];
    struct array scale = array_make(core->arena, CB_F32, 1, &channels), shift = array_make(core->arena, CB_F32, 1, &channels);
    for (uint32_t i = 0; i < core->param_count; i++) {
        params[i] = k->params[i].at.f;
    }
    for (uint32_t i = 0; i < core->state_count; i++) {
        states[i] = r->state[i].at.f;
    }
    trial_must(core, core->type->layer.affine(&core->in, params, states, scale.at.f, shift.at.f), "affine");
    struct array expected = array_copy(core->arena, &r->y[0]);
    double largest = 0.0;
    for (int64_t i = 0; i < expected.count; i++) {
        const double scaled = (double)k->c->x[0].at.f[i] * scale.at.f[i % channels];
        expected.at.f[i] = (float)(scaled + shift.at.f[i % channels]);
        largest = fmax(largest, fabs(scaled));
    }
    /* scale and shift are rounded to float, and cancel where the mean is large */
    const double distance = array_distance(&r->y[0], &expected, NULL) * largest;
    check(k, distance <= 1e-6 * largest * fmax(largest, 1.0), "%s: y is not the layer's own affine (off by %.2g)", variant,
          distance);
}

static void check_forward(struct checker *k, const struct cb_variant *variant, const struct results *plain)
{
    struct prepared *p = trial_prepare(&k->core, variant, false);
    const struct results r = forward(k, p), again = forward(k, p);
    check_expected_forward(k, &r, variant->name);
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        check_bits(k, &again.y[i], &r.y[i], variant->name, "run again, y", i);
        check_close(k, &r.y[i], &plain->y[i], fmax(PLAIN_TOLERANCE, k->c->tolerance), variant->name,
                    "beside the plain variant, y", i);
    }
    for (uint32_t i = 0; i < k->core.state_count; i++) {
        check_bits(k, &again.state[i], &r.state[i], variant->name, "run again, state", i);
        check_close(k, &r.state[i], &plain->state[i], PLAIN_TOLERANCE, variant->name, "beside the plain variant, state", i);
    }
    check_in_place(k, p, &r);
    check_rows_alone(k, p, &r);
    check_without_saved(k, p, &r);
    check_epilogue(k, variant, &r);
    check_affine(k, &r, variant->name);
}

/* ---- backward checks ---- */

static void check_gradients_bits(struct checker *k, const struct results *got, const struct results *want, uint32_t dx,
                                 uint32_t dw, const char *variant, const char *what)
{
    char text[96];
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        snprintf(text, sizeof(text), "%s, dx", what);
        if ((dx >> i) & 1u) {
            check_bits(k, &got->dx[i], &want->dx[i], variant, text, i);
        }
    }
    for (uint32_t i = 0; i < k->core.param_count; i++) {
        snprintf(text, sizeof(text), "%s, dw", what);
        if ((dw >> i) & 1u) {
            check_bits(k, &got->dw[i], &want->dw[i], variant, text, i);
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
            check(k, array_first_bad(&r->dx[i]) < 0, "%s: dx %u has a value that is not finite", variant, i);
        } else {
            struct array expected = array_read_list(k->core.arena, k->c->expect_dx->as.list.items[i], &r->dx[i]);
            check_close(k, &r->dx[i], &expected, k->c->tolerance, variant, "dx", i);
        }
    }
    for (uint32_t i = 0; i < k->core.param_count; i++) {
        if (k->c->expect_dw == NULL) {
            check(k, array_first_bad(&r->dw[i]) < 0, "%s: dw %u has a value that is not finite", variant, i);
        } else {
            struct array expected = array_read_list(k->core.arena, cb_map_get(k->c->expect_dw, k->core.params[i].name),
                                                    &r->dw[i]);
            check_close(k, &r->dw[i], &expected, k->c->tolerance, variant, "dw", i);
        }
    }
}

/* Each gradient left out, once; it must keep its poison, and the others their bits. */
static void check_unwanted(struct checker *k, struct prepared *before, const struct backward *b, const struct results *r)
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
        const struct results got = backward(k, before, b, &w);
        check_gradients_bits(k, &got, r, w.dx, w.dw, b->name, is_dx ? "without another dx" : "without another dw");
    }
    /* Only params, only inputs: less may be kept for them. */
    for (int only = 0; only < 2 && k->dx_mask != 0 && k->dw_mask != 0; only++) {
        const struct wish w = {.dx = only ? k->dx_mask : 0, .dw = only ? 0 : k->dw_mask, .dx_in_dy = -1};
        const struct results got = backward(k, before, b, &w);
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
            const struct wish w = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_accumulate = group == 0 ? 1u << i : 0,
                                   .dw_accumulate = group == 1 ? 1u << i : 0, .base_dx = base.dx, .base_dw = base.dw,
                                   .dx_in_dy = -1};
            const struct results got = backward(k, before, b, &w);
            check_close(k, group == 0 ? &got.dx[i] : &got.dw[i], &sum, 1e-6, b->name,
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
        const struct results got = backward(k, before, b, &w);
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
    const struct results high = forward_with(k, variant, x, params);
    *changed = down;
    const struct results low = forward_with(k, variant, x, params);
    *changed = kept;
    for (int64_t i = 0; i < high.y[0].count; i++) {
        const double term = fabs((double)high.y[0].at.f[i] * k->dy.at.f[i]);
        noise += term * term;
    }
    const double measured = array_dot(&high.y[0], &k->dy) - array_dot(&low.y[0], &k->dy), stated = array_dot(dz, &way);
    const double usual = sqrt(size * step_size / (double)z->count);
    check(k, fabs(measured - stated) <= GRADIENT_TOLERANCE * usual + 1e-6 * sqrt(noise),
          "%s %u: central differences give %.6g, the gradient %.6g (usual size %.2g)", what, index, measured, stated, usual);
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

/* The backward of variant `name`: of a pass that has none of that name, its plain (last) one. */
static struct backward prepare_backward(struct checker *k, const char *name)
{
    static const uint32_t passes[] = {CB_PASS_BACKWARD, CB_PASS_DW, CB_PASS_DX};
    uint32_t count, found = 0;
    const struct cb_variant *variants = trial_variants(k->core.type, &count);
    struct backward b = {.name = name};
    for (uint32_t p = 0; p < 3 && found < 2; p++) {
        const struct cb_variant *best = NULL;
        for (uint32_t i = 0; i < count; i++) {
            const bool is_named = best != NULL && strcmp(best->name, name) == 0;
            best = serves(k, &variants[i], passes[p]) && !is_named ? &variants[i] : best;
        }
        if (best != NULL) {
            b.passes[found++] = trial_prepare(&k->core, best, false);
        }
        if (p == 0 && best != NULL) {
            break;
        }
    }
    return b;
}

static void check_backward(struct checker *k, struct prepared *before, const char *name, const struct results *plain)
{
    const struct backward b = prepare_backward(k, name);
    const struct wish all = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = -1};
    const struct results r = backward(k, before, &b, &all), again = backward(k, before, &b, &all);
    check_expected_gradients(k, &r, name);
    check_gradients_bits(k, &again, &r, k->dx_mask, k->dw_mask, name, "run again");
    const double tolerance = fmax(PLAIN_TOLERANCE, k->c->tolerance);
    for (uint32_t i = 0; i < k->core.in.x_count && plain != NULL; i++) {
        if ((k->dx_mask >> i) & 1u) {
            check_close(k, &r.dx[i], &plain->dx[i], tolerance, name, "beside the plain variant, dx", i);
        }
    }
    for (uint32_t i = 0; i < k->core.param_count && plain != NULL; i++) {
        check_close(k, &r.dw[i], &plain->dw[i], tolerance, name, "beside the plain variant, dw", i);
    }
    check_unwanted(k, before, &b, &r);
    check_accumulated(k, before, &b, &r);
    check_gradient_in_place(k, before, &b, &r);
    if (plain == NULL) {
        check_differences(k, before, &r);
    }
}

/* ---- a case ---- */

static struct array initial(struct checker *k, const struct cb_value *given, const struct cb_param_decl *decl,
                            uint32_t seed)
{
    const struct cb_value *value = given != NULL ? cb_map_get(given, decl->name) : NULL;
    if (value != NULL) {
        struct array a = array_read(k->core.arena, value);
        const struct array declared = {.rank = decl->rank};
        struct array shape = declared;
        memcpy(shape.dims, decl->dims, sizeof(shape.dims));
        check(k, array_same_shape(&a, &shape), "`%s` has another shape than the case gives it", decl->name);
        return a;
    }
    struct array a = array_make(k->core.arena, CB_F32, decl->rank, decl->dims);
    array_fill_random(&a, seed, 0.5);
    for (int64_t i = 0; i < a.count && decl->init == CB_INIT_CONSTANT; i++) {
        a.at.f[i] = (float)decl->value;
    }
    return a;
}

static void set_up(struct checker *k)
{
    struct cb_core *core = &k->core;
    const struct layer_case *c = k->c;
    trial_allocate(core);
    core->in.training = c->training;
    core->in.seed = c->seed;
    core->in.step = c->step;
    for (uint32_t i = 0; i < core->param_count; i++) {
        k->params[i] = initial(k, c->params, &core->params[i], 20 + i);
        k->dw_mask |= 1u << i;
    }
    for (uint32_t i = 0; i < core->state_count; i++) {
        k->states[i] = initial(k, c->states, &core->states[i], 0);
    }
    const bool is_loss = (core->type->layer.flags & CB_LAYER_LOSS) != 0;
    for (uint32_t i = 0; i < (is_loss ? 1 : core->in.x_count); i++) {
        k->dx_mask |= c->x[i].dtype == CB_F32 ? 1u << i : 0;
    }
    k->dy = array_make(core->arena, CB_F32, core->dy[0]->rank, core->dy[0]->dims);
    array_fill_random(&k->dy, 900, 1.0);
    if (c->has_dy && check(k, array_same_shape(&k->dy, &c->dy), "y 0 has another shape than the case's dy")) {
        k->dy = c->dy;
    }
    k->ids = array_make(core->arena, CB_I32, 1, core->sample_ids->dims);
    for (int64_t i = 0; i < k->ids.count; i++) {
        k->ids.at.i[i] = (int32_t)i;
    }
    if (c->sample_ids != NULL) {
        k->ids = array_read_list(core->arena, c->sample_ids, &k->ids);
    }
}

/* The batches of a FITTED layer, each as a tensor of its own size. */
static void set_up_fit(struct checker *k)
{
    uint32_t count;
    const struct cb_variant *variants = trial_variants(k->core.type, &count);
    for (uint32_t i = 0; i < count && k->c->fit_count > 0 && k->fit == NULL; i++) {
        if (serves(k, &variants[i], CB_PASS_FIT)) {
            k->fit = trial_prepare(&k->core, &variants[i], false);
        }
    }
    for (uint32_t i = 0; i < k->c->fit_count; i++) {
        const struct array *batch = &k->c->fit[i];
        k->fit_x[i] = trial_tensor(&k->core, batch->dtype, batch->rank, batch->dims);
        trial_write(&k->core, k->fit_x[i], batch);
    }
}

static void check_variants(struct checker *k)
{
    uint32_t count;
    const struct cb_variant *variants = trial_variants(k->core.type, &count), *last = NULL, *first = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (serves(k, &variants[i], CB_PASS_FORWARD)) {
            first = first == NULL ? &variants[i] : first;
            last = &variants[i];
        }
    }
    if (!check(k, last != NULL, "no forward variant runs here")) {
        return;
    }
    const struct results plain = forward(k, trial_prepare(&k->core, last, false));
    for (uint32_t i = 0; i < count; i++) {
        if (serves(k, &variants[i], CB_PASS_FORWARD)) {
            check_forward(k, &variants[i], &plain);
        }
    }
    if ((k->core.type->layer.flags & CB_LAYER_NO_GRADIENT) != 0) {
        return;
    }
    struct prepared *before = trial_prepare(&k->core, first, false);
    const struct backward b = prepare_backward(k, "plain");
    const struct wish all = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = -1};
    if (!check(k, b.passes[0] != NULL, "no backward variant runs here")) {
        return;
    }
    const struct results gradients = backward(k, before, &b, &all);
    check_backward(k, before, "plain", NULL);
    for (uint32_t i = 0; i < count; i++) {
        bool is_new = variants[i].pass != CB_PASS_FORWARD && variants[i].pass != CB_PASS_FIT &&
                      strcmp(variants[i].name, "plain") != 0 && serves(k, &variants[i], variants[i].pass);
        for (uint32_t j = 0; j < i && is_new; j++) {
            is_new = variants[j].pass == CB_PASS_FORWARD || !serves(k, &variants[j], variants[j].pass) ||
                     strcmp(variants[j].name, variants[i].name) != 0;
        }
        if (is_new) {
            check_backward(k, before, variants[i].name, &gradients);
        }
    }
}

void check_case(const struct layer_case *c, struct cb_device *device, const struct cb_layer_type *type,
                struct cb_arena *arena, struct cb_diag *diag, struct tally *tally)
{
    struct checker k = {.c = c, .tally = tally};
    const enum cb_status status = trial_infer(&k.core, device, type, c->options, c->x, c->x_count, arena, diag);
    if (c->error != NULL) {
        check(&k, status != CB_OK && strstr(k.core.message, c->error) != NULL, "the error is `%s`, not `%s`",
              status == CB_OK ? "(none)" : k.core.message, c->error);
        return;
    }
    if (!check(&k, status == CB_OK, "%s", k.core.message)) {
        return;
    }
    if ((type->layer.flags & CB_LAYER_VIEW) != 0) {
        struct array shape = {.rank = k.core.outputs[0].rank};
        memcpy(shape.dims, k.core.outputs[0].dims, sizeof(shape.dims));
        struct array expected = array_read(arena, c->expect_y->as.list.items[0]);
        check(&k, array_same_shape(&shape, &expected), "y has another shape than PyTorch's");
        check(&k, array_distance(&c->x[0], &expected, NULL) < 1e-7, "a view may not change the order of the elements");
        return;
    }
    set_up(&k);
    set_up_fit(&k);
    check_variants(&k);
    const uint32_t overruns = trial_count_overruns(&k.core);
    check(&k, overruns == 0, "%u tensors were written behind their end", overruns);
    trial_finish(&k.core);
}
