/* checker.c: runs and comparisons that all checks use. See checker.h. */
#include "checker.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool checker_check(struct checker *k, bool is_right, const char *fmt, ...)
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

void checker_close(struct checker *k, const struct array *a, const struct array *expected, double tolerance,
                   const char *variant, const char *what, uint32_t index)
{
    int64_t at;
    const double distance = array_distance(a, expected, &at);
    checker_check(k, distance <= tolerance, "%s: %s %u is off by %.2g at element %lld: %.9g, not %.9g", variant, what,
                  index, distance, (long long)at, (double)a->at.f[at], (double)expected->at.f[at]);
}

void checker_bits(struct checker *k, const struct array *a, const struct array *expected, const char *variant,
                  const char *what, uint32_t index)
{
    checker_check(k, array_same_bits(a, expected), "%s: %s %u has other bits (off by %.2g)", variant, what, index,
                  array_distance(a, expected, NULL));
}

/* ---- running ---- */

bool checker_serves(const struct checker *k, const struct cb_variant *v, uint32_t pass)
{
    return v->pass == pass && (v->needs & ~(uint64_t)cb_device_get_facts(k->core.device)->caps) == 0 &&
           (v->accepts == NULL || v->accepts(&k->core.in));
}

void checker_write(struct checker *k, const struct array *x, const struct array *params)
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
    if (core->lengths != NULL) {
        trial_write(core, core->lengths, &k->lengths);
    }
    for (uint32_t i = 0; i < core->in.y_count; i++) {
        trial_poison(core, core->y[i]);
    }
    for (uint32_t i = 0; i < core->saved_count; i++) {
        if (core->saved[i] != NULL) {
            trial_poison(core, core->saved[i]);
        }
    }
}

void checker_fit(struct checker *k)
{
    struct cb_tensor *x = k->core.x[0];
    for (uint32_t i = 0; i < k->c->fit_count; i++) {
        k->core.x[0] = k->fit_x[i];
        trial_run(&k->core, k->fit);
    }
    k->core.x[0] = x;
}

struct results checker_forward_with(struct checker *k, struct prepared *variant, const struct array *x,
                                    const struct array *params)
{
    struct results r = {0};
    checker_write(k, x, params);
    checker_fit(k);
    trial_run(&k->core, variant);
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        r.y[i] = trial_read(&k->core, k->core.y[i]);
    }
    for (uint32_t i = 0; i < k->core.state_count; i++) {
        r.state[i] = trial_read(&k->core, k->core.state[i]);
    }
    return r;
}

struct results checker_forward(struct checker *k, struct prepared *variant)
{
    return checker_forward_with(k, variant, k->c->x, k->params);
}

/* Runs backward after `before`, which is run first. Tensors that the descriptor does not need are poisoned in between.
 */
struct results checker_backward(struct checker *k, struct prepared *before, const struct backward *b,
                                const struct wish *w)
{
    struct cb_core *core = &k->core;
    const struct cb_layer *layer = &core->type->layer;
    struct results r = {0};
    struct cb_tensor *dx[TRIAL_MAX], *dw[TRIAL_MAX];
    memcpy(dx, core->dx, sizeof(dx));
    memcpy(dw, core->dw, sizeof(dw));
    checker_forward(k, before);
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

/* The backward of variant `name`: of a pass that has none of that name, its plain (last) one. */
struct backward checker_prepare_backward(struct checker *k, const char *name)
{
    static const uint32_t passes[] = {CB_PASS_BACKWARD, CB_PASS_DW, CB_PASS_DX};
    uint32_t count, found = 0;
    const struct cb_variant *variants = trial_variants(k->core.type, &count);
    struct backward b = {.name = name};
    for (uint32_t p = 0; p < 3 && found < 2; p++) {
        const struct cb_variant *best = NULL;
        for (uint32_t i = 0; i < count; i++) {
            const bool is_named = best != NULL && strcmp(best->name, name) == 0;
            best = checker_serves(k, &variants[i], passes[p]) && !is_named ? &variants[i] : best;
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
