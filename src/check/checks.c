/* checks.c: sets a case up and goes through its variants. See checks.h. */
#include "check/checker.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check/escape.h"

static struct array initial(struct checker *k, const struct cb_value *given, const struct cb_param_decl *decl,
                            uint32_t seed, bool is_state)
{
    const struct cb_value *value = given != NULL ? cb_map_get(given, decl->name) : NULL;
    if (value != NULL) {
        struct array a = cb__array_read(k->core.arena, value);
        const struct array declared = {.rank = decl->rank};
        struct array shape = declared;
        memcpy(shape.dims, decl->dims, sizeof(shape.dims));
        cb__checker_check(k, CB_CHECK_RUNS, cb__array_same_shape(&a, &shape), "`%s` has another shape than the case gives it", decl->name);
        return a;
    }
    struct array a = cb__array_make(k->core.arena, CB_F32, decl->rank, decl->dims);
    cb__array_fill_random(&a, seed, 0.5);
    for (int64_t i = 0; i < a.count && decl->init == CB_INIT_CONSTANT; i++) {
        const float moved = k->c->is_spread ? 0.25f * a.at.f[i] : 0.0f;
        a.at.f[i] = (float)decl->value + (is_state ? fabsf(moved) : moved); /* a state may be a variance */
    }
    return a;
}

static void set_up_lengths(struct checker *k)
{
    struct cb_core *core = &k->core;
    if (k->c->lengths == NULL) {
        return;
    }
    core->lengths = cb__trial_tensor(core, "the tensor of lengths", CB_I32, 1, core->x[0]->dims);
    k->lengths = cb__array_make(core->arena, CB_I32, 1, core->lengths->dims);
    k->lengths = cb__array_read_list(core->arena, k->c->lengths, &k->lengths);
    for (uint32_t i = 0; i < core->in.x_count; i++) {
        core->x[i]->lengths = core->x[i]->rank > 1 ? core->lengths : NULL;
    }
}

/* The batches of a FITTED layer, each as a tensor of its own size. */
static void set_up_fit(struct checker *k)
{
    uint32_t count;
    const struct cb_variant *variants = cb__trial_variants(k->core.type, &count);
    for (uint32_t i = 0; i < count && k->c->fit_count > 0 && k->fit == NULL; i++) {
        if (cb__checker_serves(k, &variants[i], CB_PASS_FIT)) {
            k->fit = cb__trial_prepare(&k->core, &variants[i], false);
        }
    }
    for (uint32_t i = 0; i < k->c->fit_count; i++) {
        const struct array *batch = &k->c->fit[i];
        k->fit_x[i] = cb__trial_tensor(&k->core, "a batch to fit", batch->dtype, batch->rank, batch->dims);
        cb__trial_write(&k->core, k->fit_x[i], batch);
    }
}

void cb__checker_set_up(struct checker *k)
{
    struct cb_core *core = &k->core;
    const struct layer_case *c = k->c;
    cb__trial_allocate(core);
    core->in.training = c->training;
    core->in.seed = c->seed;
    core->in.step = c->step;
    for (uint32_t i = 0; i < core->param_count; i++) {
        k->params[i] = initial(k, c->params, &core->params[i], 20 + i, false);
        k->dw_mask |= 1u << i;
    }
    for (uint32_t i = 0; i < core->state_count; i++) {
        k->states[i] = initial(k, c->states, &core->states[i], 80 + i, true);
    }
    const bool is_loss = (core->type->layer.flags & CB_LAYER_LOSS) != 0;
    const bool has_targets = is_loss && (core->type->layer.flags & CB_LAYER_EMBEDDING_LOSS) == 0;
    for (uint32_t i = 0; i < (has_targets ? 1 : core->in.x_count); i++) {
        k->dx_mask |= c->x[i].dtype == CB_F32 ? 1u << i : 0;
    }
    k->dy = cb__array_make(core->arena, CB_F32, core->dy[0]->rank, core->dy[0]->dims);
    cb__array_fill_random(&k->dy, 900, 1.0);
    if (c->has_dy && cb__checker_check(k, CB_CHECK_RUNS, cb__array_same_shape(&k->dy, &c->dy), "y 0 has another shape than the case's dy")) {
        k->dy = c->dy;
    }
    for (uint32_t i = 1; i < core->in.y_count; i++) {
        k->other_dy[i] = cb__array_make(core->arena, CB_F32, core->dy[i]->rank, core->dy[i]->dims);
        cb__array_fill_random(&k->other_dy[i], 900 + i, is_loss ? 0.0 : 1.0);
    }
    k->ids = cb__array_make(core->arena, CB_I32, 1, core->sample_ids->dims);
    for (int64_t i = 0; i < k->ids.count; i++) {
        k->ids.at.i[i] = (int32_t)i;
    }
    if (c->sample_ids != NULL) {
        k->ids = cb__array_read_list(core->arena, c->sample_ids, &k->ids);
    }
    set_up_lengths(k);
    set_up_fit(k);
}

static void check_variants(struct checker *k)
{
    uint32_t count;
    const struct cb_variant *variants = cb__trial_variants(k->core.type, &count), *last = NULL, *first = NULL;
    for (uint32_t i = 0; i < count; i++) {
        k->tally->reached |= cb__checker_serves(k, &variants[i], variants[i].pass) && i < 64 ? UINT64_C(1) << i : 0;
        if (cb__checker_serves(k, &variants[i], CB_PASS_FORWARD)) {
            first = first == NULL ? &variants[i] : first;
            last = &variants[i];
        }
    }
    if (!cb__checker_check(k, CB_CHECK_RUNS, last != NULL, "no forward variant runs here")) {
        return;
    }
    struct prepared *plainest = cb__trial_prepare(&k->core, last, false);
    if (k->c->is_made && k->core.lengths != NULL && !cb__checker_reads_lengths(k, plainest)) {
        return; /* the same as without */
    }
    const struct results plain = cb__checker_forward(k, plainest);
    cb__checker_overruns(k, last->name);
    for (uint32_t i = 0; i < count; i++) {
        if (cb__checker_serves(k, &variants[i], CB_PASS_FORWARD)) {
            cb__check_forward(k, &variants[i], &plain);
        }
    }
    if ((k->core.type->layer.flags & CB_LAYER_NO_GRADIENT) != 0) {
        return;
    }
    struct prepared *before = cb__trial_prepare(&k->core, first, false);
    const struct backward b = cb__checker_prepare_backward(k, "plain");
    const struct wish all = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = -1};
    if (!cb__checker_check(k, CB_CHECK_RUNS, b.passes[0] != NULL, "no backward variant runs here")) {
        return;
    }
    const struct results gradients = cb__checker_backward(k, before, &b, &all);
    cb__checker_overruns(k, b.name);
    cb__check_backward(k, before, "plain", NULL);
    for (uint32_t i = 0; i < count; i++) {
        bool is_new = variants[i].pass != CB_PASS_FORWARD && variants[i].pass != CB_PASS_FIT &&
                      strcmp(variants[i].name, "plain") != 0 && cb__checker_serves(k, &variants[i], variants[i].pass);
        for (uint32_t j = 0; j < i && is_new; j++) {
            is_new = variants[j].pass == CB_PASS_FORWARD || !cb__checker_serves(k, &variants[j], variants[j].pass) ||
                     strcmp(variants[j].name, variants[i].name) != 0;
        }
        if (is_new) {
            cb__check_backward(k, before, variants[i].name, &gradients);
        }
    }
}

/* A view gives the same elements in the same order under other dims. */
static void check_view(struct checker *k)
{
    const struct trial_declared *y = &k->core.outputs[0];
    struct array shape = {.rank = y->rank, .count = 1};
    memcpy(shape.dims, y->dims, sizeof(shape.dims));
    for (uint32_t i = 0; i < shape.rank; i++) {
        shape.count *= shape.dims[i];
    }
    cb__checker_check(k, CB_CHECK_RUNS, shape.count == k->c->x[0].count, "a view of %lld elements has %lld",
                      (long long)k->c->x[0].count, (long long)shape.count);
    if (k->c->expect_y != NULL) {
        struct array expected = cb__array_read(k->core.arena, k->c->expect_y->as.list.items[0]);
        cb__checker_check(k, CB_CHECK_REFERENCE, cb__array_same_shape(&shape, &expected),
                          "y has another shape than PyTorch's");
        cb__checker_check(k, CB_CHECK_REFERENCE, cb__array_distance(&k->c->x[0], &expected, NULL) < 1e-7,
                          "a view may not change the order of the elements");
    }
}

static void run_plain(void *context)
{
    struct checker *k = context;
    uint32_t count;
    const struct cb_variant *variants = cb__trial_variants(k->core.type, &count), *last = NULL;
    cb__checker_set_up(k);
    for (uint32_t i = 0; i < count; i++) {
        last = cb__checker_serves(k, &variants[i], CB_PASS_FORWARD) ? &variants[i] : last;
    }
    if (last == NULL) {
        cb__escape("no forward variant runs here");
    }
    const struct results r = cb__checker_forward(k, cb__trial_prepare(&k->core, last, false));
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        if (cb__array_first_bad(&r.y[i]) >= 0) {
            cb__escape("y %u is not finite", i);
        }
    }
}

enum cb_status cb__case_try(const struct layer_case *c, struct cb_device *device, const struct cb_layer_type *type,
                            struct cb_arena *arena, struct cb_diag *diag, struct tally *tally, bool with_run,
                            const char **out_why)
{
    char message[CB__ESCAPE_BYTES];
    struct checker *k = CB_NEW(arena, struct checker);
    if (k == NULL) {
        cb__escape("out of memory");
    }
    struct tally unheard = {.is_exact = tally->is_exact, .stage = tally->stage};
    *k = (struct checker){.c = c, .x = c->x, .tally = &unheard};
    k->core.is_exact = tally->is_exact;
    k->core.stage = tally->stage;
    if (tally->stage != NULL) {
        snprintf(tally->stage, CB__STAGE_BYTES, "infer (%s)", c->name);
    }
    enum cb_status status = cb__trial_infer(&k->core, device, type, c->options, c->x, c->x_count, arena, diag);
    k->core.case_name = c->name;
    *out_why = k->core.message;
    if (status == CB_OK && with_run && (type->layer.flags & CB_LAYER_VIEW) == 0) {
        status = cb__escape_run(run_plain, k, message) ? CB_OK : CB_NUMERIC;
        *out_why = status == CB_OK ? "" : cb_arena_strdup(arena, message);
        cb__trial_finish(&k->core);
    }
    return status;
}

static void run_checks(void *context)
{
    struct checker *k = context;
    cb__checker_set_up(k);
    check_variants(k);
    cb__checker_overruns(k, "all");
}

void cb__check_case(const struct layer_case *c, struct cb_device *device, const struct cb_layer_type *type,
                    struct cb_arena *arena, struct cb_diag *diag, struct tally *tally)
{
    char message[CB__ESCAPE_BYTES];
    struct checker *k = CB_NEW(arena, struct checker);
    if (k == NULL) {
        cb__escape("out of memory");
    }
    *k = (struct checker){.c = c, .x = c->x, .tally = tally};
    k->core.is_exact = tally->is_exact;
    k->core.stage = tally->stage;
    const enum cb_status status = cb__trial_infer(&k->core, device, type, c->options, c->x, c->x_count, arena, diag);
    k->core.case_name = c->name;
    if (c->error != NULL) {
        cb__checker_check(k, CB_CHECK_RUNS, status != CB_OK && strstr(k->core.message, c->error) != NULL,
                          "the error is `%s`, not `%s`", status == CB_OK ? "(none)" : k->core.message, c->error);
    } else if (!cb__checker_check(k, CB_CHECK_RUNS, status == CB_OK, "%s", k->core.message)) {
        /* said */
    } else if ((type->layer.flags & CB_LAYER_VIEW) != 0) {
        check_view(k);
    } else if (!cb__escape_run(run_checks, k, message)) {
        cb__checker_check(k, CB_CHECK_RUNS, false, "%s", message);
    }
    cb__trial_finish(&k->core);
}
