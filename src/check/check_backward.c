/* check_backward.c: what the gradients must be. See checks.h. */
#include "check/checker.h"

#include <math.h>
#include <string.h>

static void check_gradients_bits(struct checker *k, enum cb_check check, const struct results *got,
                                 const struct results *want, uint32_t dx, uint32_t dw, const char *variant, const char *when)
{
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        if ((dx >> i) & 1u) {
            cb__checker_bits(k, check, &got->dx[i], &want->dx[i], variant, "dx", i, when);
        }
    }
    for (uint32_t i = 0; i < k->core.param_count; i++) {
        if ((dw >> i) & 1u) {
            cb__checker_bits(k, check, &got->dw[i], &want->dw[i], variant, "dw", i, when);
        }
    }
}

static void check_expected_gradients(struct checker *k, const struct results *r, const struct results *refilled,
                                     const char *variant)
{
    const bool is_refilled = !k->core.is_exact;
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        if (((k->dx_mask >> i) & 1u) == 0) {
            continue;
        }
        if (k->c->expect_dx == NULL) {
            cb__checker_finite(k, &r->dx[i], is_refilled ? &refilled->dx[i] : NULL, variant, "dx", i);
        } else {
            struct array expected = cb__array_read_list(k->core.arena, k->c->expect_dx->as.list.items[i], &r->dx[i]);
            cb__checker_close(k, CB_CHECK_REFERENCE, &r->dx[i], &expected, k->c->tolerance, variant, "dx", i, "");
        }
    }
    for (uint32_t i = 0; i < k->core.param_count; i++) {
        if (k->c->expect_dw == NULL) {
            cb__checker_finite(k, &r->dw[i], is_refilled ? &refilled->dw[i] : NULL, variant, "dw", i);
        } else {
            struct array expected =
                cb__array_read_list(k->core.arena, cb_map_get(k->c->expect_dw, k->core.params[i].name), &r->dw[i]);
            cb__checker_close(k, CB_CHECK_REFERENCE, &r->dw[i], &expected, k->c->tolerance, variant, "dw", i, "");
        }
    }
}

/* The same again, more often where many work-items may meet in other orders. False: whatever follows would only repeat it. */
static bool check_repeats(struct checker *k, struct prepared *before, const struct backward *b, const struct results *r)
{
    const struct wish all = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = -1};
    const uint32_t failed = k->tally->failed;
    const int runs = k->dy.count + k->c->x[0].count > MANY_ELEMENTS ? 6 : 1;
    for (int i = 0; i < runs && k->tally->failed == failed; i++) {
        const struct results again = cb__checker_backward(k, before, b, &all);
        check_gradients_bits(k, CB_CHECK_REPEAT, &again, r, k->dx_mask, k->dw_mask, b->name, IN_A_SECOND_RUN);
    }
    return k->tally->failed == failed;
}

/* What is freed after forward is NaN in every run; here each kind of tensor is kept once: nothing may change. */
static bool check_needs(struct checker *k, struct prepared *before, const struct backward *b, const struct results *r)
{
    static const char *const names[] = {"the inputs", "the outputs", "the params", "the saved tensors"};
    const struct cb_layer *layer = &k->core.type->layer;
    const uint32_t failed = k->tally->failed;
    const uint32_t counts[] = {k->core.in.x_count, k->core.in.y_count, k->core.param_count, k->core.saved_count};
    for (uint32_t i = 0; i < 4; i++) {
        const struct wish w = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = -1, .keep = 1u << i};
        if (counts[i] > 0 && ((layer->dx_needs | layer->dw_needs) >> i & 1u) == 0 && layer->pointwise == NULL) {
            const struct results kept = cb__checker_backward(k, before, b, &w);
            const char *when = cb_arena_printf(k->core.arena, "when %s are kept: backward reads what neither dx_needs nor "
                                               "dw_needs names", names[i]);
            check_gradients_bits(k, CB_CHECK_NEEDS, &kept, r, k->dx_mask, k->dw_mask, b->name, when);
        }
    }
    return k->tally->failed == failed;
}

/* As for forward: what lies in the gradients before, and around all tensors, changes nothing. */
static void run_surroundings(struct checker *k, struct prepared *before, const struct backward *b, struct results *guarded,
                             struct results *refilled)
{
    const struct wish all = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = -1};
    cb__trial_set_guards(&k->core, TRIAL_GUARD2);
    *guarded = cb__checker_backward(k, before, b, &all);
    cb__trial_set_guards(&k->core, TRIAL_GUARD);
    k->core.poison = TRIAL_POISON2;
    *refilled = cb__checker_backward(k, before, b, &all);
    k->core.poison = TRIAL_POISON;
}

/* The memory of a gradient that is not wanted still holds what it held. */
static void check_untouched(struct checker *k, const struct results *got, uint32_t dx, uint32_t dw, const char *variant)
{
    for (uint32_t i = 0; i < k->core.in.x_count + k->core.param_count; i++) {
        const bool is_dx = i < k->core.in.x_count;
        const uint32_t index = is_dx ? i : i - k->core.in.x_count;
        if (((is_dx ? dx : dw) >> index & 1u) == 0) {
            struct array untouched = cb__array_copy(k->core.arena, is_dx ? &got->dx[index] : &got->dw[index]);
            cb__array_poison(&untouched);
            cb__checker_bits(k, CB_CHECK_UNWANTED, is_dx ? &got->dx[index] : &got->dw[index], &untouched, variant,
                             is_dx ? "dx" : "dw", index, "though it is not wanted");
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
        const struct results got = cb__checker_backward(k, before, b, &w);
        check_gradients_bits(k, CB_CHECK_UNWANTED, &got, r, w.dx, w.dw, b->name,
                             is_dx ? "when another dx is not wanted" : "when another dw is not wanted");
        check_untouched(k, &got, w.dx, w.dw, b->name);
    }
    /* Only params, only inputs: less may be kept for them. */
    for (int only = 0; only < 2 && k->dx_mask != 0 && k->dw_mask != 0; only++) {
        const struct wish w = {.dx = only ? k->dx_mask : 0, .dw = only ? 0 : k->dw_mask, .dx_in_dy = -1};
        const struct results got = cb__checker_backward(k, before, b, &w);
        check_gradients_bits(k, CB_CHECK_UNWANTED, &got, r, w.dx, w.dw, b->name,
                             only ? "when only the inputs' are wanted" : "when only the params' are wanted");
        check_untouched(k, &got, w.dx, w.dw, b->name);
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
            *start = cb__array_copy(k->core.arena, start);
            cb__array_fill_random(start, 40 + i, 1.0);
            struct array sum = cb__array_copy(k->core.arena, start);
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
            const struct results got = cb__checker_backward(k, before, b, &w);
            cb__checker_close(k, CB_CHECK_ACCUMULATE, group == 0 ? &got.dx[i] : &got.dw[i], &sum, 1e-6, b->name,
                              group == 0 ? "dx" : "dw", i, "when it is to be added to what is there");
            check_gradients_bits(k, CB_CHECK_ACCUMULATE, &got, r, k->dx_mask & ~w.dx_accumulate,
                                 k->dw_mask & ~w.dw_accumulate, b->name, "when another gradient is added");
        }
    }
}

static void check_gradient_in_place(struct checker *k, struct prepared *before, const struct backward *b,
                                    const struct results *r)
{
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        const bool fits = cb__array_same_shape(&r->dx[i], &k->dy);
        if (((k->core.type->layer.inplace_grad >> i) & 1u) == 0 || !fits || ((k->dx_mask >> i) & 1u) == 0) {
            continue;
        }
        const struct wish w = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = (int)i};
        const struct results got = cb__checker_backward(k, before, b, &w);
        check_gradients_bits(k, CB_CHECK_IN_PLACE, &got, r, k->dx_mask, k->dw_mask, b->name,
                             "in place of dy than out of place");
    }
}

/* Fused with what follows the layer gives the gradients of the dy that is before it. */
static void check_prologue(struct checker *k, struct prepared *before, const struct backward *b)
{
    const struct cb_variant *variant = b->passes[0] != NULL ? b->passes[0]->variant : NULL;
    const struct wish all = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = -1};
    if (variant == NULL || variant->pass != CB_PASS_BACKWARD || (variant->flags & CB_VARIANT_PROLOGUE) == 0) {
        return;
    }
    const struct array behind = k->dy, y = cb__checker_forward(k, before).y[0];
    k->dy = cb__array_copy(k->core.arena, &behind);
    for (int64_t i = 0; i < y.count; i++) {
        k->dy.at.f[i] *= 1.0f + y.at.f[i] * TRIAL_SLOPE;
    }
    const struct results want = cb__checker_backward(k, before, b, &all);
    const struct backward fused = {.passes = {cb__trial_prepare(&k->core, variant, true)}, .name = b->name};
    k->dy = behind;
    const struct results got = cb__checker_backward(k, before, &fused, &all);
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        if ((k->dx_mask >> i) & 1u) {
            cb__checker_close(k, CB_CHECK_FUSION, &got.dx[i], &want.dx[i], 1e-5, b->name, "dx", i, "with a fused prologue");
        }
    }
    for (uint32_t i = 0; i < k->core.param_count; i++) {
        cb__checker_close(k, CB_CHECK_FUSION, &got.dw[i], &want.dw[i], 1e-5, b->name, "dw", i, "with a fused prologue");
    }
}

static bool is_finite(struct checker *k, const struct results *r)
{
    bool all = true;
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        all = all && (((k->dx_mask >> i) & 1u) == 0 || cb__array_first_bad(&r->dx[i]) < 0);
    }
    for (uint32_t i = 0; i < k->core.param_count; i++) {
        all = all && cb__array_first_bad(&r->dw[i]) < 0;
    }
    return all;
}

void cb__check_backward(struct checker *k, struct prepared *before, const char *name, const struct results *plain)
{
    const struct backward b = cb__checker_prepare_backward(k, name);
    const struct wish all = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = -1};
    const struct results r = cb__checker_backward(k, before, &b, &all);
    cb__checker_overruns(k, name);
    if (!check_repeats(k, before, &b, &r) || !check_needs(k, before, &b, &r)) {
        return; /* whatever follows would only repeat it */
    }
    struct results guarded, refilled;
    if (!k->core.is_exact) {
        run_surroundings(k, before, &b, &guarded, &refilled);
    }
    check_expected_gradients(k, &r, &refilled, name);
    const double tolerance = fmax(PLAIN_TOLERANCE, k->c->tolerance);
    for (uint32_t i = 0; i < k->core.in.x_count && plain != NULL; i++) {
        if ((k->dx_mask >> i) & 1u) {
            cb__checker_close(k, CB_CHECK_VARIANTS, &r.dx[i], &plain->dx[i], tolerance, name, "dx", i, BESIDE_PLAIN);
        }
    }
    for (uint32_t i = 0; i < k->core.param_count && plain != NULL; i++) {
        cb__checker_close(k, CB_CHECK_VARIANTS, &r.dw[i], &plain->dw[i], tolerance, name, "dw", i, BESIDE_PLAIN);
    }
    if (!k->core.is_exact) {
        check_gradients_bits(k, CB_CHECK_GUARD, &guarded, &r, k->dx_mask, k->dw_mask, name, CHANGED_GUARDS);
        check_gradients_bits(k, CB_CHECK_POISON, &refilled, &r, k->dx_mask, k->dw_mask, name, CHANGED_POISON);
    }
    check_unwanted(k, before, &b, &r);
    check_accumulated(k, before, &b, &r);
    check_gradient_in_place(k, before, &b, &r);
    if (!is_finite(k, &r)) {
        return; /* said; differences of it mean nothing */
    }
    check_prologue(k, before, &b);
    if (plain == NULL) {
        cb__check_differences(k, before, &r);
    }
    if (k->c->has_edges) {
        cb__check_edges(k, before, &b);
    }
}
