/* check_edges.c: legal values at which formulas break: zeros, equal values, a large mean, one value far out, and inputs that
 * grow step by step. NaN is wrong everywhere; infinite is wrong where the step before gave modest numbers, for then it is
 * not the function that is large but something on the way (exp in a softmax, a variance from squares). */
#include "check/checker.h"

#include <math.h>
#include <string.h>

#define GROWTH 1.25     /* of the inputs, from step to step */
#define GROWTH_WIDE 5.0 /* with options of which there are many */
#define LARGEST 1e4     /* factor */
#define MODEST 1e18     /* larger results may overflow in the next step by right */

/* What is done to the inputs that get a gradient. */
enum edge { GROWN, ZEROS, EQUAL, EQUAL_FAR, SHIFTED, ONE_OUT, EDGE_COUNT };

static void move(struct array *a, enum edge edge, double factor)
{
    for (int64_t i = 0; i < a->count; i++) {
        const float v = a->at.f[i];
        a->at.f[i] = edge == GROWN       ? (float)(v * factor)
                     : edge == ZEROS     ? 0.0f
                     : edge == EQUAL     ? 0.7f
                     : edge == EQUAL_FAR ? 1000.3f
                     : edge == SHIFTED   ? v + 1000.0f
                     : i == a->count / 2 ? 1e4f
                                         : v;
    }
}

static const char *words(struct checker *k, enum edge edge, double factor)
{
    static const char *const said[] = {"", "all zeros", "all 0.7", "all 1000.3", "raised by 1000", "one 10000 among small ones"};
    const char *text = edge == GROWN ? cb_arena_printf(k->core.arena, "%.0f times as large", factor) : said[edge];
    return text != NULL ? text : "moved";
}

/* What a run at an edge gave. `may_overflow`: an infinite result is no fault; `is_modest`: none came near that. */
struct verdict {
    bool is_right, may_overflow, is_modest;
};

/* Finds the first result that is wrong. */
static void judge(struct checker *k, const struct array *a, const char *variant, const char *what, uint32_t index,
                  const char *inputs, struct verdict *v)
{
    for (int64_t i = 0; a->dtype == CB_F32 && i < a->count && v->is_right; i++) {
        const float value = a->at.f[i];
        if (isnan(value) || (isinf(value) && !v->may_overflow)) {
            v->is_right = false;
            cb__checker_check(k, CB_CHECK_EDGES, false, "%s is %s at %s when the inputs are %s; variant `%s`",
                              cb__checker_name(k, what, index), isnan(value) ? "NaN" : "infinite",
                              cb__checker_place(k, a, i), inputs, variant);
        }
        v->is_modest = v->is_modest && fabs((double)value) < MODEST;
    }
}

static void judge_gradients(struct checker *k, const struct results *g, const char *variant, const char *inputs,
                            struct verdict *v)
{
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        if ((k->dx_mask >> i) & 1u) {
            judge(k, &g->dx[i], variant, "dx", i, inputs, v);
        }
    }
    for (uint32_t i = 0; i < k->core.param_count; i++) {
        judge(k, &g->dw[i], variant, "dw", i, inputs, v);
    }
}

/* Moves the inputs in `moved` and runs; gradients are judged where the outputs are modest. `b` NULL: only forward. */
static struct verdict run_edge(struct checker *k, struct prepared *forward, const struct backward *b, uint32_t moved,
                               enum edge edge, double factor)
{
    struct array x[TRIAL_MAX];
    const struct array *kept = k->x;
    const char *inputs = words(k, edge, factor);
    struct verdict v = {.is_right = true, .may_overflow = edge != GROWN, .is_modest = true};
    memcpy(x, k->x, sizeof(x));
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        if ((moved >> i) & 1u) {
            x[i] = cb__array_copy(k->core.arena, &x[i]);
            move(&x[i], edge, factor);
        }
    }
    k->x = x;
    const struct results r = cb__checker_forward(k, forward);
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        judge(k, &r.y[i], forward->variant->name, "y", i, inputs, &v);
    }
    if (b != NULL && v.is_right && v.is_modest) {
        const struct wish all = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = -1};
        const struct results g = cb__checker_backward(k, forward, b, &all);
        judge_gradients(k, &g, b->name, inputs, &v);
        for (uint32_t i = 0; i < k->core.in.x_count && edge == EQUAL && v.is_right; i++) {
            if ((moved >> i) & 1u && k->c->gradient_check) {
                cb__check_level(k, forward, &g.dx[i], i);
            }
        }
    }
    k->x = kept;
    return v;
}

static void compare_bits(struct checker *k, const struct array *a, const struct array *b, uint32_t count, const char *variant,
                         const char *what, const char *when)
{
    for (uint32_t i = 0; i < count; i++) {
        cb__checker_bits(k, CB_CHECK_GUARD, &a[i], &b[i], variant, what, i, when);
    }
}

/* One whole number of input `input` is `number`: whatever the layer makes of it, it may not follow it out of a tensor. */
static void check_number(struct checker *k, struct prepared *forward, const struct backward *b, uint32_t input, int32_t number)
{
    const struct wish all = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = -1};
    const struct array *kept = k->x;
    const char *name = k->core.case_name, *moved;
    struct array x[TRIAL_MAX];
    struct results y[2], g[2];
    memcpy(x, k->x, sizeof(x));
    x[input] = cb__array_copy(k->core.arena, &x[input]);
    x[input].at.i[x[input].count / 2] = number;
    moved = cb_arena_printf(k->core.arena, "when what lies around the tensors changes and input %u holds the number %d: an index "
                            "is not bounded", input, number);
    k->core.case_name = cb_arena_printf(k->core.arena, "%s, where input %u holds the number %d", name, input, number);
    k->x = x;
    for (int i = 0; i < 2; i++) {
        cb__trial_set_guards(&k->core, i == 0 ? TRIAL_GUARD2 : TRIAL_GUARD);
        y[i] = cb__checker_forward(k, forward);
        g[i] = cb__checker_backward(k, forward, b, &all);
        cb__checker_overruns(k, b->name);
    }
    k->x = kept;
    k->core.case_name = name;
    compare_bits(k, y[0].y, y[1].y, k->core.in.y_count, forward->variant->name, "y", moved);
    compare_bits(k, g[0].dx, g[1].dx, k->core.in.x_count, b->name, "dx", moved);
    compare_bits(k, g[0].dw, g[1].dw, k->core.param_count, b->name, "dw", moved);
}

/* Ids and class numbers out of their range: just below, just above, far away. */
static void check_numbers(struct checker *k, struct prepared *forward, const struct backward *b)
{
    for (uint32_t i = 0; i < k->core.in.x_count && !k->core.is_exact; i++) {
        const struct array *scores = &k->x[0];
        const int64_t above = i > 0 ? scores->dims[scores->rank - 1] : k->core.param_count > 0 ? k->core.params[0].dims[0] : 1 << 20;
        const int32_t numbers[] = {-1, (int32_t)above, 1 << 28};
        for (int n = 0; n < 3 && k->x[i].dtype == CB_I32; n++) {
            check_number(k, forward, b, i, numbers[n]);
        }
    }
}

void cb__check_edges(struct checker *k, struct prepared *forward, const struct backward *backward)
{
    struct verdict v = {.is_right = true, .is_modest = true};
    if (backward != NULL) {
        check_numbers(k, forward, backward);
    }
    for (double factor = 1.0; factor < LARGEST && v.is_modest && v.is_right; factor *= k->c->is_usual ? GROWTH : GROWTH_WIDE) {
        v = run_edge(k, forward, backward, k->dx_mask, GROWN, factor);
    }
    for (enum edge edge = ZEROS; edge < EDGE_COUNT && v.is_right; edge++) {
        for (uint32_t i = 0; i < k->core.in.x_count && v.is_right; i++) {
            if ((k->dx_mask >> i) & 1u) {
                v = run_edge(k, forward, backward, 1u << i, edge, 1.0);
            }
        }
    }
    if (v.is_right) {
        cb__checker_check(k, CB_CHECK_EDGES, true, "%s", "");
    }
}
