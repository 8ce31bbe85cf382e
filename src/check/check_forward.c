/* check_forward.c: what a forward variant must do. See checks.h. */
#include "check/checker.h"

#include <math.h>
#include <string.h>

static void check_expected_forward(struct checker *k, const struct results *r, const struct results *refilled,
                                   const char *variant)
{
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        if (k->c->expect_y == NULL) {
            cb__checker_finite(k, &r->y[i], k->core.is_exact ? NULL : &refilled->y[i], variant, "y", i);
            continue;
        }
        struct array expected = cb__array_read(k->core.arena, k->c->expect_y->as.list.items[i]);
        if (cb__checker_check(k, CB_CHECK_REFERENCE, cb__array_same_shape(&r->y[i], &expected),
                              "y %u has another shape than PyTorch's", i)) {
            cb__checker_close(k, CB_CHECK_REFERENCE, &r->y[i], &expected, k->c->tolerance, variant, "y", i, "");
        }
    }
    for (uint32_t i = 0; i < k->core.state_count; i++) {
        if (k->c->expect_state == NULL) {
            cb__checker_finite(k, &r->state[i], k->core.is_exact ? NULL : &refilled->state[i], variant, "state", i);
            continue;
        }
        struct array expected =
            cb__array_read_list(k->core.arena, cb_map_get(k->c->expect_state, k->core.states[i].name), &r->state[i]);
        cb__checker_close(k, CB_CHECK_REFERENCE, &r->state[i], &expected, k->c->tolerance, variant, "state", i, "");
    }
}

/* Runs with other values around all tensors, and with others in those that nobody wrote yet. */
static void run_surroundings(struct checker *k, struct prepared *variant, struct results *guarded, struct results *refilled)
{
    cb__trial_set_guards(&k->core, TRIAL_GUARD2);
    *guarded = cb__checker_forward(k, variant);
    cb__trial_set_guards(&k->core, TRIAL_GUARD);
    k->core.poison = TRIAL_POISON2;
    *refilled = cb__checker_forward(k, variant);
    k->core.poison = TRIAL_POISON;
}

/* Neither changes anything. */
static void check_surroundings(struct checker *k, const char *name, const struct results *r, const struct results *guarded,
                               const struct results *refilled)
{
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        cb__checker_bits(k, CB_CHECK_GUARD, &guarded->y[i], &r->y[i], name, "y", i, CHANGED_GUARDS);
        cb__checker_bits(k, CB_CHECK_POISON, &refilled->y[i], &r->y[i], name, "y", i, CHANGED_POISON);
    }
    for (uint32_t i = 0; i < k->core.state_count; i++) {
        cb__checker_bits(k, CB_CHECK_GUARD, &guarded->state[i], &r->state[i], name, "state", i, CHANGED_GUARDS);
        cb__checker_bits(k, CB_CHECK_POISON, &refilled->state[i], &r->state[i], name, "state", i, CHANGED_POISON);
    }
}

static void check_in_place(struct checker *k, struct prepared *variant, const struct results *r)
{
    struct cb_core *core = &k->core;
    for (uint32_t i = 0; i < core->in.x_count; i++) {
        if (((core->type->layer.inplace >> i) & 1u) == 0 || !cb__array_same_shape(&k->c->x[i], &r->y[0])) {
            continue;
        }
        struct cb_tensor *y = core->y[0];
        cb__checker_write(k, k->c->x, k->params);
        cb__checker_fit(k);
        core->y[0] = core->x[i];
        cb__trial_run(core, variant);
        struct array got = cb__trial_read(core, core->y[0]);
        core->y[0] = y;
        cb__checker_bits(k, CB_CHECK_IN_PLACE, &got, &r->y[0], variant->variant->name, "y", 0,
                         cb_arena_printf(core->arena, "in place of input %u than out of place", i));
    }
}

/* The first rows one at a time, as a later and smaller batch: dims[0] shrinks, the memory stays. */
static void check_rows_alone(struct checker *k, struct prepared *variant, const struct results *r)
{
    struct cb_core *core = &k->core;
    const int64_t n = k->c->x[0].dims[0];
    const uint32_t flags = core->type->layer.flags;
    const bool by_batch = (flags & CB_LAYER_MODE_DEPENDENT) != 0 && (flags & CB_LAYER_RANDOM) == 0 && k->c->training;
    if (n < 2 || by_batch || (flags & CB_LAYER_BATCH) != 0) {
        return;
    }
    for (int64_t row = 0; row < n && row < 3; row++) {
        cb__checker_write(k, k->c->x, k->params);
        cb__checker_fit(k);
        cb__trial_write(core, core->sample_ids, &(struct array){.count = 1, .at.i = k->ids.at.i + row});
        if (core->lengths != NULL) {
            cb__trial_write(core, core->lengths, &(struct array){.count = 1, .at.i = k->lengths.at.i + row});
        }
        for (uint32_t i = 0; i < core->in.x_count; i++) {
            const int64_t part = k->c->x[i].count / n;
            cb__trial_poison(core, core->x[i]);
            core->x[i]->dims[0] = 1;
            cb__trial_write(core, core->x[i], &(struct array){.count = part, .at.f = k->c->x[i].at.f + row * part});
        }
        core->sample_ids->dims[0] = 1;
        for (uint32_t i = 0; i < core->in.y_count; i++) {
            core->y[i]->dims[0] = 1;
        }
        cb__trial_run(core, variant);
        for (uint32_t i = 0; i < core->in.y_count; i++) {
            struct array alone = cb__trial_read(core, core->y[i]);
            struct array batched = {.count = alone.count, .at.f = r->y[i].at.f + row * alone.count};
            cb__checker_bits(k, CB_CHECK_ROWS, &alone, &batched, variant->variant->name, "y", i,
                             cb_arena_printf(core->arena, "when row %lld is alone than in its batch", (long long)row));
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
    const struct results again = cb__checker_forward(k, variant);
    memcpy(k->core.saved, saved, sizeof(saved));
    cb__checker_bits(k, CB_CHECK_UNWANTED, &again.y[0], &r->y[0], variant->variant->name, "y", 0,
                     "when no gradient will be asked for (saved tensors are NULL)");
}

static void check_epilogue(struct checker *k, const struct cb_variant *variant, const struct results *r)
{
    struct cb_core *core = &k->core;
    if ((variant->flags & CB_VARIANT_EPILOGUE) == 0 || k->c->tolerance > 1e-4) {
        return;
    }
    struct array scale = cb__array_make(core->arena, CB_F32, 1, core->chain_scale->dims);
    struct array more = cb__array_copy(core->arena, &r->y[0]), expected = cb__array_copy(core->arena, &r->y[0]);
    cb__array_fill_random(&scale, 31, 2.0);
    cb__array_fill_random(&more, 32, 1.0);
    for (int64_t i = 0; i < expected.count; i++) {
        expected.at.f[i] = expected.at.f[i] * scale.at.f[i % scale.count] + more.at.f[i];
    }
    cb__trial_write(core, core->chain_scale, &scale);
    cb__trial_write(core, core->chain_add, &more);
    const struct results fused = cb__checker_forward(k, cb__trial_prepare(core, variant, true));
    cb__checker_close(k, CB_CHECK_FUSION, &fused.y[0], &expected, 2e-6, variant->name, "y", 0, "with a fused epilogue");
}

static void check_affine(struct checker *k, const struct results *r, const char *variant)
{
    struct cb_core *core = &k->core;
    if (core->type->layer.affine == NULL || k->c->training) {
        return;
    }
    const float *params[TRIAL_MAX], *states[TRIAL_MAX];
    const int64_t channels = k->c->x[0].dims[k->c->x[0].rank - 1];
    struct array scale = cb__array_make(core->arena, CB_F32, 1, &channels),
                 shift = cb__array_make(core->arena, CB_F32, 1, &channels);
    for (uint32_t i = 0; i < core->param_count; i++) {
        params[i] = k->params[i].at.f;
    }
    for (uint32_t i = 0; i < core->state_count; i++) {
        states[i] = r->state[i].at.f;
    }
    cb__trial_must(core, core->type->layer.affine(&core->in, params, states, scale.at.f, shift.at.f), "affine");
    struct array expected = cb__array_copy(core->arena, &r->y[0]);
    double largest = 0.0;
    for (int64_t i = 0; i < expected.count; i++) {
        const double scaled = (double)k->c->x[0].at.f[i] * scale.at.f[i % channels];
        expected.at.f[i] = (float)(scaled + shift.at.f[i % channels]);
        largest = fmax(largest, fabs(scaled));
    }
    /* scale and shift are rounded to float, and cancel where the mean is large */
    const double distance = cb__array_distance(&r->y[0], &expected, NULL) * largest;
    cb__checker_check(k, CB_CHECK_FUSION, distance <= 1e-6 * largest * fmax(largest, 1.0),
                  "variant `%s`: y is not the layer's own affine (off by %.2g)", variant, distance);
}

/* The same again, more often where many work-items may meet in other orders. */
static bool check_repeats(struct checker *k, struct prepared *variant, const struct results *r)
{
    const uint32_t failed = k->tally->failed;
    const int runs = r->y[0].count + k->c->x[0].count > MANY_ELEMENTS ? 6 : 1;
    for (int n = 0; n < runs && k->tally->failed == failed; n++) {
        const struct results again = cb__checker_forward(k, variant);
        for (uint32_t i = 0; i < k->core.in.y_count; i++) {
            cb__checker_bits(k, CB_CHECK_REPEAT, &again.y[i], &r->y[i], variant->variant->name, "y", i, IN_A_SECOND_RUN);
        }
        for (uint32_t i = 0; i < k->core.state_count; i++) {
            cb__checker_bits(k, CB_CHECK_REPEAT, &again.state[i], &r->state[i], variant->variant->name, "state", i,
                             IN_A_SECOND_RUN);
        }
    }
    return k->tally->failed == failed;
}

void cb__check_forward(struct checker *k, const struct cb_variant *variant, const struct results *plain)
{
    struct prepared *p = cb__trial_prepare(&k->core, variant, false);
    const struct results r = cb__checker_forward(k, p);
    k->core.keeps_derived = true;
    const bool repeats = check_repeats(k, p, &r);
    k->core.keeps_derived = false;
    cb__checker_overruns(k, variant->name);
    if (!repeats) {
        return; /* whatever follows would only repeat it */
    }
    struct results guarded, refilled;
    if (!k->core.is_exact) {
        run_surroundings(k, p, &guarded, &refilled);
    }
    check_expected_forward(k, &r, &refilled, variant->name);
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        cb__checker_close(k, CB_CHECK_VARIANTS, &r.y[i], &plain->y[i], fmax(PLAIN_TOLERANCE, k->c->tolerance),
                          variant->name, "y", i, BESIDE_PLAIN);
    }
    for (uint32_t i = 0; i < k->core.state_count; i++) {
        cb__checker_close(k, CB_CHECK_VARIANTS, &r.state[i], &plain->state[i], PLAIN_TOLERANCE, variant->name, "state", i,
                          BESIDE_PLAIN);
    }
    if (!k->core.is_exact) {
        check_surroundings(k, variant->name, &r, &guarded, &refilled);
    }
    check_in_place(k, p, &r);
    check_rows_alone(k, p, &r);
    check_without_saved(k, p, &r);
    check_epilogue(k, variant, &r);
    check_affine(k, &r, variant->name);
    cb__check_modes(k, p, &r);
    cb__check_accepts(k, variant);
    cb__check_lengths(k, p, &r);
    if (k->c->has_edges && cb__array_first_bad(&r.y[0]) < 0) {
        cb__check_edges(k, p, NULL);
    }
}
