/* checker.c: runs and comparisons that all checks use. See checker.h. */
#include "check/checker.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *cb__check_word(enum cb_check check)
{
    static const char *const words[] = {
#define CB_CHECK_WORD(name, word, sentence) word,
        CB_CHECK_LIST(CB_CHECK_WORD)
#undef CB_CHECK_WORD
    };
    return words[check];
}

const char *cb__check_sentence(enum cb_check check)
{
    static const char *const sentences[] = {
#define CB_CHECK_SENTENCE(name, word, sentence) sentence,
        CB_CHECK_LIST(CB_CHECK_SENTENCE)
#undef CB_CHECK_SENTENCE
    };
    return sentences[check];
}

bool cb__checker_check(struct checker *k, enum cb_check check, bool is_right, const char *fmt, ...)
{
    va_list args;
    *(is_right ? &k->tally->passed : &k->tally->failed) += 1;
    if (k->tally->report != NULL) {
        char *text = NULL;
        va_start(args, fmt);
        if (!is_right) {
            char *what = cb_arena_vprintf(k->core.arena, fmt, args);
            text = cb_arena_printf(k->core.arena, "%s (%s)", what != NULL ? what : "out of memory", k->c->name);
        }
        va_end(args);
        k->tally->report(k->tally->context, check, is_right, text);
    }
    return is_right;
}

const char *cb__checker_name(struct checker *k, const char *what, uint32_t index)
{
    const struct cb_core *core = &k->core;
    const char *name = strcmp(what, "dx") == 0   ? cb_arena_printf(core->arena, "dx of input %u", index)
                       : strcmp(what, "dw") == 0 ? cb_arena_printf(core->arena, "dw of param %u (`%s`)", index,
                                                                   core->params[index].name)
                       : strcmp(what, "param") == 0
                           ? cb_arena_printf(core->arena, "param %u (`%s`)", index, core->params[index].name)
                       : strcmp(what, "state") == 0
                           ? cb_arena_printf(core->arena, "state %u (`%s`)", index, core->states[index].name)
                           : cb_arena_printf(core->arena, "%s %u", what, index);
    return name != NULL ? name : what;
}

const char *cb__checker_place(struct checker *k, const struct array *a, int64_t at)
{
    char *text = cb_arena_printf(k->core.arena, "[");
    for (uint32_t i = 0; text != NULL && i < a->rank; i++) {
        text = cb_arena_printf(k->core.arena, "%s%s%lld", text, i > 0 ? "," : "", (long long)a->dims[i]);
    }
    text = cb_arena_printf(k->core.arena, "element %lld of %s]", (long long)at, text != NULL ? text : "");
    return text != NULL ? text : "an element";
}

/* Without the sign of a NaN. */
static const char *number(struct checker *k, const struct array *a, int64_t at)
{
    const char *text = a->dtype == CB_I32       ? cb_arena_printf(k->core.arena, "%d", a->at.i[at])
                       : isnan(a->at.f[at]) ? "NaN"
                                                : cb_arena_printf(k->core.arena, "%.9g", (double)a->at.f[at]);
    return text != NULL ? text : "";
}

void cb__checker_close(struct checker *k, enum cb_check check, const struct array *a, const struct array *expected,
                       double tolerance, const char *variant, const char *what, uint32_t index, const char *when)
{
    int64_t at;
    const bool each = check == CB_CHECK_REFERENCE && k->c->each;
    const double distance = each ? cb__array_distance_each(a, expected, &at) : cb__array_distance(a, expected, &at);
    if (distance <= tolerance) {
        cb__checker_check(k, check, true, "%s", "");
        return;
    }
    const char *place = cb__checker_place(k, a, at), *name = cb__checker_name(k, what, index);
    const char *gap = when[0] != '\0' ? " " : "";
    const char *far = !isfinite(distance) ? "not finite"
                                          : cb_arena_printf(k->core.arena, "off by %.2g of %s value", distance,
                                                            each ? "the" : "its largest");
    cb__checker_check(k, check, false, "%s is %s%s%s at %s: %s instead of %s; variant `%s`", name, far != NULL ? far : "", gap,
                      when, place, number(k, a, at), number(k, expected, at), variant);
}

void cb__checker_bits(struct checker *k, enum cb_check check, const struct array *a, const struct array *expected,
                      const char *variant, const char *what, uint32_t index, const char *when)
{
    int64_t at = 0;
    while (at < a->count && a->count == expected->count && a->at.i[at] == expected->at.i[at]) {
        at++;
    }
    if (at == a->count) {
        cb__checker_check(k, check, true, "%s", "");
        return;
    }
    const double distance = cb__array_distance(a, expected, NULL);
    const char *far = isfinite(distance) ? cb_arena_printf(k->core.arena, "off by %.2g of its largest value", distance)
                                         : "one of them not finite";
    cb__checker_check(k, check, false, "%s has other bits %s, %s; first at %s: %s, not %s; variant `%s`",
                      cb__checker_name(k, what, index), when, far != NULL ? far : "", cb__checker_place(k, a, at),
                      number(k, a, at), number(k, expected, at), variant);
}

void cb__checker_finite(struct checker *k, const struct array *a, const struct array *refilled, const char *variant,
                        const char *what, uint32_t index)
{
    const int64_t at = cb__array_first_bad(a);
    if (at < 0) {
        cb__checker_check(k, CB_CHECK_POISON, true, "%s", "");
        return;
    }
    const bool is_poison = (uint32_t)a->at.i[at] == TRIAL_POISON; /* or came of it: a NaN keeps its bits in a sum */
    const bool is_left = is_poison && (refilled == NULL || (uint32_t)refilled->at.i[at] == TRIAL_POISON2);
    const char *value = isnan(a->at.f[at]) ? "is NaN" : "is infinite";
    const char *how = is_left     ? "is never written"
                      : is_poison ? "is made from what memory held before the run (a gradient added to that should be "
                                    "overwritten, or scratch, saved or derived memory that nothing wrote)"
                                  : value;
    cb__checker_check(k, CB_CHECK_POISON, false, "%s %s at %s; variant `%s`", cb__checker_name(k, what, index), how,
                      cb__checker_place(k, a, at), variant);
}

void cb__checker_overruns(struct checker *k, const char *variant)
{
    const struct guarded *g;
    int64_t offset;
    bool is_sound = true;
    while ((g = cb__trial_next_overrun(&k->core, &offset)) != NULL) {
        const int64_t away = offset < 0 ? -offset : offset - (int64_t)(g->bytes / 4) + 1;
        is_sound = false;
        cb__checker_check(k, CB_CHECK_GUARD, false, "%s of %lld elements was written %lld element%s %s; variant `%s`",
                          g->name, (long long)cb_tensor_count(&g->tensor), (long long)away, away == 1 ? "" : "s",
                          offset < 0 ? "before its beginning" : "behind its end", variant);
    }
    if (is_sound) {
        cb__checker_check(k, CB_CHECK_GUARD, true, "%s", "");
    }
}

/* ---- running ---- */

bool cb__checker_serves(const struct checker *k, const struct cb_variant *v, uint32_t pass)
{
    return v->pass == pass && (v->needs & ~(uint64_t)cb_device_get_facts(k->core.device)->caps) == 0 &&
           (v->accepts == NULL || v->accepts(&k->core.in));
}

void cb__checker_write(struct checker *k, const struct array *x, const struct array *params)
{
    struct cb_core *core = &k->core;
    for (uint32_t i = 0; i < core->in.x_count; i++) {
        cb__trial_write(core, core->x[i], &x[i]);
    }
    for (uint32_t i = 0; i < core->param_count; i++) {
        cb__trial_write(core, core->param[i], &params[i]);
    }
    for (uint32_t i = 0; i < core->state_count; i++) {
        cb__trial_write(core, core->state[i], &k->states[i]);
    }
    cb__trial_write(core, core->sample_ids, &k->ids);
    if (core->lengths != NULL) {
        cb__trial_write(core, core->lengths, &k->lengths);
    }
    for (uint32_t i = 0; i < core->in.y_count; i++) {
        cb__trial_poison(core, core->y[i]);
    }
    for (uint32_t i = 0; i < core->saved_count; i++) {
        if (core->saved[i] != NULL) {
            cb__trial_poison(core, core->saved[i]);
        }
    }
}

void cb__checker_fit(struct checker *k)
{
    struct cb_tensor *x = k->core.x[0];
    for (uint32_t i = 0; i < k->c->fit_count; i++) {
        k->core.x[0] = k->fit_x[i];
        cb__trial_run(&k->core, k->fit);
    }
    k->core.x[0] = x;
}

/* What a pass may read but never write: of no use once it ran, so its memory is given back then. */
struct kept {
    struct cb_arena *outer;
    struct array x[TRIAL_MAX], params[TRIAL_MAX], states[TRIAL_MAX];
    struct array y[TRIAL_MAX], dy[TRIAL_MAX]; /* backward only: other layers read them after it */
};

static struct kept keep(struct checker *k)
{
    struct kept kept = {.outer = k->core.arena};
    k->core.arena = cb__trial_scratch(&k->core);
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        kept.x[i] = cb__trial_read(&k->core, k->core.x[i]);
    }
    for (uint32_t i = 0; i < k->core.param_count; i++) {
        kept.params[i] = cb__trial_read(&k->core, k->core.param[i]);
    }
    for (uint32_t i = 0; i < k->core.state_count; i++) {
        kept.states[i] = cb__trial_read(&k->core, k->core.state[i]);
    }
    k->core.arena = kept.outer;
    return kept;
}

static void check_moved(struct checker *k, const struct cb_tensor *tensor, const struct array *before, const char *variant,
                        const char *what, uint32_t index)
{
    struct cb_arena *outer = k->core.arena;
    k->core.arena = k->core.scratch;
    const struct array now = cb__trial_read(&k->core, tensor);
    cb__checker_bits(k, CB_CHECK_FROZEN, &now, before, variant, what, index, "after the run than before");
    k->core.arena = outer;
}

static void keep_outputs(struct checker *k, struct kept *kept)
{
    k->core.arena = k->core.scratch;
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        kept->y[i] = cb__trial_read(&k->core, k->core.y[i]);
        kept->dy[i] = cb__trial_read(&k->core, k->core.dy[i]);
    }
    k->core.arena = kept->outer;
}

/* `is_over`: a dx was wanted where dy lay. */
static void check_kept_outputs(struct checker *k, const struct kept *kept, bool is_over, const char *variant)
{
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        check_moved(k, k->core.y[i], &kept->y[i], variant, "y", i);
        if (i > 0 || !is_over) {
            check_moved(k, k->core.dy[i], &kept->dy[i], variant, "dy", i);
        }
    }
}

static void check_kept(struct checker *k, const struct kept *kept, bool with_states, const char *variant)
{
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        check_moved(k, k->core.x[i], &kept->x[i], variant, "input", i);
    }
    for (uint32_t i = 0; i < k->core.param_count; i++) {
        check_moved(k, k->core.param[i], &kept->params[i], variant, "param", i);
    }
    for (uint32_t i = 0; with_states && i < k->core.state_count; i++) {
        check_moved(k, k->core.state[i], &kept->states[i], variant, "state", i);
    }
}

struct results cb__checker_forward_with(struct checker *k, struct prepared *variant, const struct array *x,
                                    const struct array *params)
{
    struct results r = {0};
    cb__checker_write(k, x, params);
    cb__checker_fit(k);
    const struct kept kept = keep(k);
    cb__trial_run(&k->core, variant);
    const bool may_learn = k->core.in.training && (k->core.type->layer.flags & CB_LAYER_MODE_DEPENDENT) != 0;
    check_kept(k, &kept, !may_learn, variant->variant->name);
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        r.y[i] = cb__trial_read(&k->core, k->core.y[i]);
    }
    for (uint32_t i = 0; i < k->core.state_count; i++) {
        r.state[i] = cb__trial_read(&k->core, k->core.state[i]);
    }
    return r;
}

struct results cb__checker_forward_moved(struct checker *k, struct prepared *variant, const struct cb_tensor *moved,
                                         const struct array *values)
{
    struct results r = {0};
    cb__trial_write(&k->core, moved, values);
    for (uint32_t i = 0; i < k->core.state_count; i++) {
        cb__trial_write(&k->core, k->core.state[i], &k->states[i]);
    }
    cb__checker_fit(k);
    cb__trial_run(&k->core, variant);
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        r.y[i] = cb__trial_read(&k->core, k->core.y[i]);
    }
    return r;
}

struct results cb__checker_forward(struct checker *k, struct prepared *variant)
{
    return cb__checker_forward_with(k, variant, k->x, k->params);
}

/* Runs backward after `before`, which is run first. Tensors that the descriptor does not need are poisoned in between.
 */
struct results cb__checker_backward(struct checker *k, struct prepared *before, const struct backward *b,
                                const struct wish *w)
{
    struct cb_core *core = &k->core;
    const struct cb_layer *layer = &core->type->layer;
    struct results r = {0};
    struct cb_tensor *dx[TRIAL_MAX], *dw[TRIAL_MAX];
    memcpy(dx, core->dx, sizeof(dx));
    memcpy(dw, core->dw, sizeof(dw));
    cb__checker_forward(k, before);
    uint32_t needs = (w->dx != 0 ? layer->dx_needs : 0) | (w->dw != 0 ? layer->dw_needs : 0);
    needs |= w->keep | (layer->pointwise != NULL ? layer->pointwise->df_reads : 0);
    for (uint32_t i = 0; i < core->in.x_count && (needs & CB_NEEDS_X) == 0; i++) {
        cb__trial_poison(core, core->x[i]);
    }
    for (uint32_t i = 0; i < core->in.y_count && (needs & CB_NEEDS_Y) == 0; i++) {
        cb__trial_poison(core, core->y[i]);
    }
    for (uint32_t i = 0; i < core->param_count && (needs & CB_NEEDS_PARAMS) == 0; i++) {
        cb__trial_poison(core, core->param[i]);
    }
    for (uint32_t i = 0; i < core->saved_count && (needs & CB_NEEDS_SAVED) == 0; i++) {
        cb__trial_poison(core, core->saved[i]);
    }
    for (uint32_t i = 0; i < core->in.y_count; i++) {
        cb__trial_write(core, core->dy[i], i == 0 ? &k->dy : &k->other_dy[i]);
    }
    for (uint32_t i = 0; i < core->in.x_count; i++) {
        cb__trial_poison(core, dx[i]);
        if ((w->dx_accumulate >> i) & 1u) {
            cb__trial_write(core, dx[i], &w->base_dx[i]);
        }
        core->dx[i] = (w->dx >> i) & 1u ? ((int)i == w->dx_in_dy ? core->dy[0] : dx[i]) : NULL;
    }
    for (uint32_t i = 0; i < core->param_count; i++) {
        cb__trial_poison(core, dw[i]);
        if ((w->dw_accumulate >> i) & 1u) {
            cb__trial_write(core, dw[i], &w->base_dw[i]);
        }
        core->dw[i] = (w->dw >> i) & 1u ? dw[i] : NULL;
    }
    struct kept kept = keep(k);
    keep_outputs(k, &kept);
    core->in.dx_accumulate = w->dx_accumulate;
    core->in.dw_accumulate = w->dw_accumulate;
    for (int pass = 0; pass < 2; pass++) {
        const bool is_dw = b->passes[pass] != NULL && b->passes[pass]->variant->pass == CB_PASS_DW;
        const bool is_dx = b->passes[pass] != NULL && b->passes[pass]->variant->pass == CB_PASS_DX;
        if (b->passes[pass] != NULL && !(is_dw && w->dw == 0) && !(is_dx && w->dx == 0)) {
            cb__trial_run(core, b->passes[pass]);
        }
    }
    check_kept(k, &kept, true, b->name);
    check_kept_outputs(k, &kept, w->dx_in_dy >= 0, b->name);
    for (uint32_t i = 0; i < core->in.x_count; i++) {
        r.dx[i] = cb__trial_read(core, core->dx[i] != NULL ? core->dx[i] : dx[i]);
    }
    for (uint32_t i = 0; i < core->param_count; i++) {
        r.dw[i] = cb__trial_read(core, dw[i]);
    }
    memcpy(core->dx, dx, sizeof(dx));
    memcpy(core->dw, dw, sizeof(dw));
    return r;
}

/* The backward of variant `name`: of a pass that has none of that name, its plain (last) one. */
struct backward cb__checker_prepare_backward(struct checker *k, const char *name)
{
    static const uint32_t passes[] = {CB_PASS_BACKWARD, CB_PASS_DW, CB_PASS_DX};
    uint32_t count, found = 0;
    const struct cb_variant *variants = cb__trial_variants(k->core.type, &count);
    struct backward b = {.name = name};
    for (uint32_t p = 0; p < 3 && found < 2; p++) {
        const struct cb_variant *best = NULL;
        for (uint32_t i = 0; i < count; i++) {
            const bool is_named = best != NULL && strcmp(best->name, name) == 0;
            best = cb__checker_serves(k, &variants[i], passes[p]) && !is_named ? &variants[i] : best;
        }
        if (best != NULL) {
            b.passes[found++] = cb__trial_prepare(&k->core, best, false);
        }
        if (p == 0 && best != NULL) {
            break;
        }
    }
    return b;
}
