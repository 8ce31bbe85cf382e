/* check_forward.c: what a forward variant must do. See checks.h. */
#include "checker.h"

#include <math.h>
#include <string.h>

static void check_expected_forward(struct checker *k, const struct results *r, const char *variant)
{
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        if (k->c->expect_y == NULL) {
            checker_check(k, array_first_bad(&r->y[i]) < 0, "%s: y %u has a value that is not finite", variant, i);
            continue;
        }
        struct array expected = array_read(k->core.arena, k->c->expect_y->as.list.items[i]);
        if (checker_check(k, array_same_shape(&r->y[i], &expected), "y %u has another shape than PyTorch's", i)) {
            checker_close(k, &r->y[i], &expected, k->c->tolerance, variant, "y", i);
        }
    }
    for (uint32_t i = 0; i < k->core.state_count && k->c->expect_state != NULL; i++) {
        struct array expected =
            array_read_list(k->core.arena, cb_map_get(k->c->expect_state, k->core.states[i].name), &r->state[i]);
        checker_close(k, &r->state[i], &expected, k->c->tolerance, variant, "state", i);
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
        checker_write(k, k->c->x, k->params);
        checker_fit(k);
        core->y[0] = core->x[i];
        trial_run(core, variant);
        struct array got = trial_read(core, core->y[0]);
        core->y[0] = y;
        checker_bits(k, &got, &r->y[0], variant->variant->name, "in place of input, y", i);
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
        checker_write(k, k->c->x, k->params);
        checker_fit(k);
        trial_write(core, core->sample_ids, &(struct array){.count = 1, .at.i = k->ids.at.i + row});
        if (core->lengths != NULL) {
            trial_write(core, core->lengths, &(struct array){.count = 1, .at.i = k->lengths.at.i + row});
        }
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
            checker_bits(k, &alone, &batched, variant->variant->name, "alone in its batch, y", i);
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
    const struct results again = checker_forward(k, variant);
    memcpy(k->core.saved, saved, sizeof(saved));
    checker_bits(k, &again.y[0], &r->y[0], variant->variant->name, "without saved tensors, y", 0);
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
    const struct results fused = checker_forward(k, trial_prepare(core, variant, true));
    checker_close(k, &fused.y[0], &expected, 2e-6, variant->name, "with a fused epilogue, y", 0);
}

static void check_affine(struct checker *k, const struct results *r, const char *variant)
{
    struct cb_core *core = &k->core;
    if (core->type->layer.affine == NULL || k->c->training) {
        return;
    }
    const float *params[TRIAL_MAX], *states[TRIAL_MAX];
    const int64_t channels = k->c->x[0].dims[k->c->x[0].rank - 1];
    struct array scale = array_make(core->arena, CB_F32, 1, &channels),
                 shift = array_make(core->arena, CB_F32, 1, &channels);
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
    checker_check(k, distance <= 1e-6 * largest * fmax(largest, 1.0),
                  "%s: y is not the layer's own affine (off by %.2g)", variant, distance);
}

void check_forward(struct checker *k, const struct cb_variant *variant, const struct results *plain)
{
    struct prepared *p = trial_prepare(&k->core, variant, false);
    const struct results r = checker_forward(k, p), again = checker_forward(k, p);
    check_expected_forward(k, &r, variant->name);
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        checker_bits(k, &again.y[i], &r.y[i], variant->name, "run again, y", i);
        checker_close(k, &r.y[i], &plain->y[i], fmax(PLAIN_TOLERANCE, k->c->tolerance), variant->name,
                      "beside the plain variant, y", i);
    }
    for (uint32_t i = 0; i < k->core.state_count; i++) {
        checker_bits(k, &again.state[i], &r.state[i], variant->name, "run again, state", i);
        checker_close(k, &r.state[i], &plain->state[i], PLAIN_TOLERANCE, variant->name,
                      "beside the plain variant, state", i);
    }
    check_in_place(k, p, &r);
    check_rows_alone(k, p, &r);
    check_without_saved(k, p, &r);
    check_epilogue(k, variant, &r);
    check_affine(k, &r, variant->name);
}
