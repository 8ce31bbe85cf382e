/* check_edges.c: legal values at which formulas break: zeros, equal values, a large mean, one value far out, and inputs that
 * grow step by step. NaN is wrong everywhere; infinite is wrong where the step before gave modest numbers, for then it is
 * not the function that is large but something on the way (exp in a softmax, a variance from squares). */
#include "check/checker.h"

#include <math.h>
#include <string.h>

#define GROWTH 1.25     /* of the inputs, from step to step */
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

void cb__check_edges(struct checker *k, struct prepared *forward, const struct backward *backward)
{
    struct verdict v = {.is_right = true, .is_modest = true};
    for (double factor = 1.0; factor < LARGEST && v.is_modest && v.is_right; factor *= GROWTH) {
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
