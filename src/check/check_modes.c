/* check_modes.c: what a layer's flags promise: training, seed, step and sample ids change its output only where the
 * descriptor says so, and do where it says so; which variant accepts a case does not depend on the batch. */
#include "check/checker.h"

#include <string.h>

#define STEPS 40 /* until a random layer must have drawn something else */

static bool same_outputs(struct checker *k, const struct results *a, const struct results *b)
{
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        if (!cb__array_same_bits(&a->y[i], &b->y[i])) {
            return false;
        }
    }
    return true;
}

static void compare(struct checker *k, const struct results *got, const struct results *want, const char *variant,
                    const char *when)
{
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        cb__checker_bits(k, CB_CHECK_MODES, &got->y[i], &want->y[i], variant, "y", i, when);
    }
    for (uint32_t i = 0; i < k->core.state_count; i++) {
        cb__checker_bits(k, CB_CHECK_MODES, &got->state[i], &want->state[i], variant, "state", i, when);
    }
}

/* Another seed, step and other sample ids. */
static struct results run_at(struct checker *k, struct prepared *p, uint64_t seed, uint64_t step, int32_t first_id)
{
    const struct array kept = k->ids;
    k->ids = cb__array_copy(k->core.arena, &kept);
    for (int64_t i = 0; i < k->ids.count; i++) {
        k->ids.at.i[i] += first_id;
    }
    k->core.in.seed = seed;
    k->core.in.step = step;
    const struct results r = cb__checker_forward(k, p);
    k->core.in.seed = k->c->seed;
    k->core.in.step = k->c->step;
    k->ids = kept;
    return r;
}

/* `also_seed`: another seed each time, else only another step. */
static bool draws_something_else(struct checker *k, struct prepared *p, const struct results *r, bool also_seed)
{
    for (uint64_t i = 1; i <= STEPS; i++) {
        const struct results other = run_at(k, p, k->c->seed + (also_seed ? i : 0), k->c->step + (also_seed ? 0 : i), 0);
        if (!same_outputs(k, &other, r)) {
            return true;
        }
    }
    return false;
}

static void check_random(struct checker *k, struct prepared *p, const struct results *r, const struct results *inference)
{
    const char *name = p->variant->name;
    if (same_outputs(k, r, inference)) {
        return; /* with these options nothing is drawn */
    }
    cb__checker_check(k, CB_CHECK_MODES, draws_something_else(k, p, r, false),
                      "y 0 is the same at %d other steps of the training: `step` is not read; variant `%s`", STEPS, name);
    cb__checker_check(k, CB_CHECK_MODES, draws_something_else(k, p, r, true),
                      "y 0 is the same with %d other seeds: `seed` is not read; variant `%s`", STEPS, name);
}

void cb__check_modes(struct checker *k, struct prepared *p, const struct results *r)
{
    const uint32_t flags = k->core.type->layer.flags;
    const char *name = p->variant->name;
    if ((flags & CB_LAYER_RANDOM) == 0 || !k->c->training) {
        const struct results other = run_at(k, p, k->c->seed + 1, k->c->step + 5, 3);
        compare(k, &other, r, name, (flags & CB_LAYER_RANDOM) == 0
                                        ? "with another seed, step and other sample ids, though CB_LAYER_RANDOM is not set"
                                        : "with another seed, step and other sample ids, though it is not training");
    }
    if ((flags & CB_LAYER_RANDOM) != 0 && !k->c->training && k->c->x_count == 1 && k->core.in.y_count == 1) {
        compare(k, r, &(const struct results){.y = {k->c->x[0]}}, name, "than its input, though it is not training");
    }
    k->core.in.training = !k->c->training;
    const struct results flipped = cb__checker_forward(k, p);
    k->core.in.training = k->c->training;
    if ((flags & (CB_LAYER_RANDOM | CB_LAYER_MODE_DEPENDENT)) == 0) {
        compare(k, &flipped, r, name, "in training than in inference, though CB_LAYER_MODE_DEPENDENT is not set");
    } else if ((flags & CB_LAYER_RANDOM) != 0 && k->c->training && k->c->is_usual) {
        check_random(k, p, r, &flipped);
    }
}

void cb__check_accepts(struct checker *k, const struct cb_variant *v)
{
    const int64_t n = k->core.x[0]->dims[0];
    if (v->accepts == NULL || n == 1) {
        return;
    }
    const bool accepts = v->accepts(&k->core.in);
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        k->core.x[i]->dims[0] = 1;
    }
    const bool accepts_one = v->accepts(&k->core.in);
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        k->core.x[i]->dims[0] = n;
    }
    cb__checker_check(k, CB_CHECK_MODES, accepts == accepts_one,
                      "variant `%s` accepts a batch of %lld, but %s of 1: `accepts` must not look at the batch", v->name,
                      (long long)n, accepts ? "none" : "one");
}
