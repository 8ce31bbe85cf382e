/* tuning_measure.c: measuring the variants of a plan's layers, before the plan chooses (tuning.h).
 *
 * Each layer is tried in a network of its own: its inputs, the layer, a squared error behind it. On a few samples every
 * variant of a pass, all other passes plain, is compared with the plain form, and timed roughly; those that are not far
 * behind are timed again with the plan's batch. One pass is timed at a time, with what makes its derived params where they
 * move in training. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "graph/made_up.h"
#include "graph/squared_error.h"
#include "graph/step.h"
#include "graph/tuning.h"

#define FEW 2             /* samples of the comparison; the plain form of a large convolution takes 100 ms for each */
#define TOLERANCE 1e-4    /* of the norm, as `cambium doctor` has it: Winograd is at 2e-6, what is wrong is at 1e-1 */
#define FAR_BEHIND 3.0    /* times the best on a few samples: not timed again */
#define MAX_VARIANTS 16
#define MIN_SECONDS 0.01  /* that a pass is repeated for, and three times at least */
#define MAX_SECONDS 0.2   /* after which one repetition is enough */

/* ---- a layer in a network of its own ---- */

struct trial {
    const struct cb_plan *source; /* whose layer it is, */
    const struct cb_node *node;   /* and which */
    struct cb_arena *arena;
    struct cb_network *net;
    struct cb_store *store;
    bool gradients, wants_dx;
    uint32_t outputs[CB_MAX_PASS_TENSORS], output_count; /* of the layer, then the losses */
};

static bool wants_dx(const struct cb_plan *plan, const struct cb_node *node)
{
    for (uint32_t k = 0; k < node->x_count; k++) {
        if (plan->wants_gradient[node->x[k]]) {
            return true;
        }
    }
    return false;
}

static bool wants_gradient(const struct cb_plan *plan, const struct cb_node *node)
{
    for (uint32_t k = 0; k < node->y_count; k++) {
        if (plan->wants_gradient[node->y[k]]) {
            return true;
        }
    }
    return false;
}

/* The inputs of the layer, and of its sequences' lengths. */
static enum cb_status add_inputs(struct trial *t, uint32_t *wires, struct cb_diag *diag)
{
    const struct cb_network *from = t->source->net;
    for (uint32_t k = 0; k < t->node->x_count; k++) {
        const struct cb_tensor *x = &t->source->values[t->node->x[k]];
        char name[32];
        int64_t dims[CB_MAX_RANK];
        memcpy(dims, x->dims, sizeof(dims));
        dims[0] = 1;
        snprintf(name, sizeof(name), "x%u", k);
        CB_TRY(cb_network_add_input(t->net, name, (enum cb_dtype)x->dtype, x->rank, dims, NULL, &wires[k], diag));
        if (from->wires[t->node->x[k]].lengths != 0) {
            uint32_t lengths;
            snprintf(name, sizeof(name), "lengths%u", k);
            CB_TRY(cb_network_add_input(t->net, name, CB_I32, 1, (int64_t[]){1}, NULL, &lengths, diag));
            CB_TRY(cb_network_set_lengths(t->net, wires[k], lengths, diag));
        }
    }
    return CB_OK;
}

static enum cb_status open_trial(struct trial *t, struct cb_diag *diag)
{
    const struct cb_node *node = t->node;
    uint32_t inputs[64], index, target, losses;
    t->net = cb_network_create(t->source->net->registry, "tuning");
    if (t->net == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    t->net->class_count = t->source->net->class_count;
    CB_TRY(add_inputs(t, inputs, diag));
    CB_TRY(cb_network_add_layer(t->net, node->type->layer.name, node->name, node->options_value, inputs, node->x_count,
                                node->in_head, NULL, &index, diag));
    for (uint32_t k = 0; k < node->y_count; k++) {
        t->outputs[t->output_count++] = t->net->nodes[index].y[k];
    }
    if (t->gradients) {
        CB_TRY(cb__network_add_squared_error(t->net, t->arena, t->outputs[0], &target, &losses, diag));
        t->outputs[t->output_count++] = losses;
    }
    cb__made_up_params(t->net);
    CB_TRY(cb_network_freeze(t->net, cb_value_text(t->arena, "none", NULL), CB_BATCHNORM_TRAINED, diag));
    t->net->nodes[index].inference_form = node->inference_form;
    for (uint32_t k = 0; k < t->net->nodes[index].param_count && k < node->param_count; k++) {
        t->net->params[t->net->nodes[index].params[k]].trainable = t->source->net->params[node->params[k]].trainable;
    }
    return cb_store_create(t->net, t->source->device, t->gradients, &t->store, diag);
}

static void close_trial(struct trial *t)
{
    cb_store_destroy(t->store);
    cb_network_destroy(t->net);
    cb_arena_destroy(t->arena);
}

/* ---- running it ---- */

static enum cb_status fill_input(const struct cb_plan *plan, uint32_t wire, int64_t n, struct cb_diag *diag)
{
    const struct cb_tensor *x = cb_plan_tensor(plan, wire);
    const int64_t count = cb_tensor_count(x) / x->dims[0] * n;
    float *values = calloc((size_t)count, sizeof(float)); /* zeros are valid as whole numbers: ids, lengths */
    if (values == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    if (x->dtype == CB_F32) {
        cb__made_up_values(values, count, 1000 + wire);
    }
    for (uint32_t w = 0; w < plan->net->wire_count; w++) { /* all of a sequence is real */
        const uint32_t lengths = plan->net->wires[w].lengths;
        for (int64_t i = 0; lengths != 0 && plan->net->inputs[lengths - 1] == wire && i < n; i++) {
            ((int32_t *)(void *)values)[i] = (int32_t)plan->values[w].dims[1];
        }
    }
    enum cb_status status = cb_buffer_write(plan->device, x->buffer, 0, values, (uint64_t)count * sizeof(float), diag);
    free(values);
    return status;
}

/* A plan of the trial with `variant` in `pass` (NULL: the first of the table) and `others` in the other passes, which has
 * run once, forward and backward. */
static enum cb_status run_trial(const struct trial *t, uint32_t pass, const char *variant, const char *others, int64_t n,
                                struct cb_plan **out, struct cb_diag *diag)
{
    const char *variants[CB_PASS_COUNT];
    for (uint32_t p = 0; p < CB_PASS_COUNT; p++) {
        variants[p] = p == pass ? variant : others;
    }
    const struct cb_plan_request request = {.training = t->source->request.training, .gradients = t->gradients,
                                            .input_gradients = t->wants_dx, .batch = n, .outputs = t->outputs,
                                            .output_count = t->output_count, .pass_variants = variants,
                                            .no_fusion = true};
    const struct cb_plan_run run = {.n = n, .seed = 1, .step = 1};
    struct cb_plan *plan = NULL;
    uint32_t count;
    CB_TRY(cb_store_upload(t->store, diag)); /* states have moved */
    enum cb_status status = cb_plan_create(t->store, &request, &plan, diag);
    const uint32_t *inputs = status == CB_OK ? cb_plan_inputs(plan, &count) : NULL;
    for (uint32_t i = 0; status == CB_OK && i < count; i++) {
        status = fill_input(plan, inputs[i], n, diag);
    }
    status = status == CB_OK ? cb_plan_forward(plan, &run, diag) : status;
    status = status == CB_OK && t->gradients ? cb_plan_backward(plan, &run, diag) : status;
    status = status == CB_OK ? cb_device_finish(plan->device, diag) : status;
    if (status != CB_OK) {
        cb_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return CB_OK;
}

/* What a pass of the layer leaves, as one long vector in the arena: outputs, or gradients. */
static enum cb_status read_pass(const struct trial *t, const struct cb_plan *plan, uint32_t pass, float **out,
                                int64_t *out_count, struct cb_diag *diag)
{
    const struct cb_node *node = &plan->net->nodes[0];
    const struct cb_tensor *tensors[3 * CB_MAX_PASS_TENSORS];
    uint32_t tensor_count = 0;
    int64_t count = 0, at = 0;
    for (uint32_t k = 0; pass == CB_PASS_FORWARD && k < node->y_count; k++) {
        tensors[tensor_count++] = cb_plan_tensor(plan, node->y[k]);
    }
    for (uint32_t k = 0; (pass == CB_PASS_DX || pass == CB_PASS_BACKWARD) && k < node->x_count; k++) {
        tensors[tensor_count++] = cb_plan_gradient(plan, node->x[k]);
    }
    for (uint32_t k = 0; (pass == CB_PASS_DW || pass == CB_PASS_BACKWARD) && k < node->param_count; k++) {
        tensors[tensor_count++] = &t->store->grads[node->params[k]];
    }
    for (uint32_t i = 0; i < tensor_count; i++) {
        count += tensors[i] != NULL && tensors[i]->buffer != NULL ? cb_tensor_count(tensors[i]) : 0;
    }
    float *values = CB_NEW_ARRAY(t->arena, float, (size_t)count + 1);
    if (values == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (uint32_t i = 0; i < tensor_count; i++) {
        if (tensors[i] != NULL && tensors[i]->buffer != NULL && tensors[i]->dtype == CB_F32) {
            const int64_t numbers = cb_tensor_count(tensors[i]);
            CB_TRY(cb_buffer_read(plan->device, tensors[i]->buffer, 0, values + at, (uint64_t)numbers * sizeof(float),
                                  diag));
            at += numbers;
        }
    }
    *out = values;
    *out_count = at;
    return CB_OK;
}

static double difference(const float *got, const float *wanted, int64_t count)
{
    double square = 0.0, norm = 0.0;
    for (int64_t i = 0; i < count; i++) {
        square += ((double)got[i] - wanted[i]) * ((double)got[i] - wanted[i]);
        norm += (double)wanted[i] * wanted[i];
    }
    const double relative = square == 0.0 ? 0.0 : sqrt(square / norm);
    return isnan(relative) ? INFINITY : relative;
}

/* The least time of a pass of the layer in a plan that has run. */
static enum cb_status time_pass(const struct cb_plan *plan, uint32_t pass, bool derives, double *out, struct cb_diag *diag)
{
    struct cb_step *step = &plan->steps[0];
    const struct cb_variant *v = step->passes[pass].variant;
    const double begin = cb_clock_seconds();
    double least = INFINITY;
    for (int i = 0; i < 100; i++) {
        const double start = cb_clock_seconds();
        if (derives && v->derive != NULL) {
            CB_TRY(cb__step_call(step, pass, v->derive, diag));
        }
        CB_TRY(cb__step_call(step, pass, v->run, diag));
        CB_TRY(cb_device_finish(plan->device, diag));
        const double now = cb_clock_seconds();
        least = now - start < least ? now - start : least;
        if (now - begin > MAX_SECONDS || (i >= 2 && now - begin > MIN_SECONDS)) {
            break;
        }
    }
    *out = least;
    return CB_OK;
}

/* ---- measuring a pass ---- */

struct candidate {
    const struct cb_variant *variant;
    double seconds;  /* of the whole batch */
    const char *why; /* it is wrong; NULL: it is not */
};

struct measurement {
    struct trial *trial;
    struct cb_plan *first; /* with the table's choices and the plan's batch */
    struct cb_plan *plain; /* on a few samples, */
    float *wanted[CB_PASS_COUNT]; /* and what its passes left: the gradients of params are in the store, which the next plan
                                     of the trial overwrites */
    int64_t wanted_count[CB_PASS_COUNT];
    uint32_t pass;
    int64_t n, few;
    struct candidate candidates[MAX_VARIANTS];
    uint32_t count; /* the last is the plain form */
};

/* Whether derived params count: they are made in each step of training, whatever the batch. On a few samples they would weigh
 * too much. */
static bool derives(const struct measurement *m, int64_t n)
{
    return m->trial->gradients && !m->trial->node->frozen && n == m->n;
}

/* Variants of the pass that could run; all but the last, the plain form, may be avoided. */
static void find_candidates(struct measurement *m, const struct cb_layer_type *type, uint32_t caps)
{
    m->count = 0;
    for (uint32_t i = 0; i < type->variant_count; i++) {
        const struct cb_variant *v = &type->variants[i];
        if (v->pass == m->pass && (v->needs & ~(uint64_t)caps) == 0 && m->count < MAX_VARIANTS &&
            (v->accepts == NULL || m->first == NULL || v->accepts(&m->first->steps[0].in))) {
            m->candidates[m->count++] = (struct candidate){.variant = v, .seconds = INFINITY};
        }
    }
}

static const char *reason(struct cb_arena *arena, struct cb_diag *diag)
{
    const char *text = cb_diag_count(diag, CB_NOTE) > 0 ? cb_diag_text(diag, 0) : "it fails";
    return cb_arena_printf(arena, "it does not run: %.*s", (int)strcspn(text, "\n"), text);
}

/* Compares a candidate with the plain form, and times it on a few samples. */
static void try_candidate(struct measurement *m, struct candidate *c)
{
    const float *wanted = m->wanted[m->pass];
    const int64_t count = m->wanted_count[m->pass];
    struct cb_diag *diag = cb_diag_create();
    struct cb_plan *plan = NULL;
    float *got;
    int64_t got_count;
    double seconds = INFINITY;
    enum cb_status status = run_trial(m->trial, m->pass, c->variant->name, "plain", m->few, &plan, diag);
    status = status == CB_OK ? read_pass(m->trial, plan, m->pass, &got, &got_count, diag) : status;
    if (status == CB_OK) {
        const double off = got_count == count ? difference(got, wanted, count) : INFINITY;
        c->why = off < TOLERANCE ? NULL
                                 : cb_arena_printf(m->trial->arena, "it differs from the plain form by %.1e of the norm", off);
        status = time_pass(plan, m->pass, derives(m, m->few), &seconds, diag);
    }
    if (status != CB_OK && status != CB_MEMORY) {
        c->why = reason(m->trial->arena, diag);
    }
    c->seconds = seconds / (double)m->few * (double)m->n;
    cb_plan_destroy(plan);
    cb_diag_destroy(diag);
}

/* Times a candidate with the plan's batch. */
static void time_candidate(struct measurement *m, struct candidate *c)
{
    struct cb_plan *plan = NULL;
    const struct cb_plan *used = m->first;
    if (m->first->steps[0].passes[m->pass].variant != c->variant) {
        if (run_trial(m->trial, m->pass, c->variant->name, NULL, m->n, &plan, NULL) != CB_OK) {
            return; /* what was seen on a few samples stays */
        }
        used = plan;
    }
    (void)time_pass(used, m->pass, derives(m, m->n), &c->seconds, NULL);
    cb_plan_destroy(plan);
}

static struct cb_value *entry_of(const struct measurement *m, struct cb_arena *arena)
{
    struct cb_value *entry = cb_value_map(arena, NULL), *times = cb_value_map(arena, NULL);
    struct cb_value *wrong = cb_value_map(arena, NULL);
    char date[32] = "";
    const time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc) != NULL) {
        strftime(date, sizeof(date), "%Y-%m-%d", &utc);
    }
    const char *source = cb__tuning_source(arena, m->trial->node->type);
    bool ok = entry != NULL && times != NULL && wrong != NULL && source != NULL &&
              cb_map_set(arena, entry, "date", cb_value_text(arena, date, NULL)) &&
              cb_map_set(arena, entry, "batch", cb_value_int(arena, m->n, NULL)) &&
              cb_map_set(arena, entry, "source", cb_value_text(arena, source, NULL)) &&
              cb_map_set(arena, entry, "microseconds", times);
    for (uint32_t i = 0; ok && i < m->count; i++) {
        const struct candidate *c = &m->candidates[i];
        if (c->seconds < INFINITY) { /* to a hundredth of a microsecond */
            ok = cb_map_set(arena, times, cb_arena_strdup(arena, c->variant->name),
                            cb_value_real(arena, fmax(round(c->seconds * 1e8), 1.0) / 100.0, NULL));
        }
        if (c->why != NULL) {
            ok = ok && cb_map_set(arena, wrong, cb_arena_strdup(arena, c->variant->name),
                                  cb_value_text(arena, c->why, NULL));
        }
    }
    if (ok && wrong->as.map.count > 0) {
        ok = cb_map_set(arena, entry, "wrong", wrong);
    }
    return ok ? entry : NULL;
}

static enum cb_status run_plain(struct measurement *m, struct cb_diag *diag)
{
    CB_TRY(run_trial(m->trial, CB_PASS_FORWARD, "plain", "plain", m->few, &m->plain, diag));
    for (uint32_t pass = 0; pass <= CB_PASS_DW; pass++) {
        CB_TRY(read_pass(m->trial, m->plain, pass, &m->wanted[pass], &m->wanted_count[pass], diag));
    }
    return CB_OK;
}

static enum cb_status measure_pass(struct measurement *m, struct cb_tuning *tuning, const char *key, struct cb_diag *diag)
{
    double best = INFINITY;
    CB_TRY(m->plain == NULL ? run_plain(m, diag) : CB_OK);
    struct candidate *plain = &m->candidates[m->count - 1];
    CB_TRY(time_pass(m->plain, m->pass, derives(m, m->few), &plain->seconds, diag));
    plain->seconds *= (double)m->n / (double)m->few;
    for (uint32_t i = 0; i < m->count; i++) {
        if (&m->candidates[i] != plain) {
            try_candidate(m, &m->candidates[i]);
        }
        if (m->candidates[i].why == NULL && m->candidates[i].seconds < best) {
            best = m->candidates[i].seconds;
        }
    }
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->candidates[i].why == NULL && m->n > m->few && m->candidates[i].seconds < FAR_BEHIND * best) {
            time_candidate(m, &m->candidates[i]);
        }
    }
    struct cb_value *entry = entry_of(m, cb__tuning_arena(tuning));
    if (entry != NULL) {
        cb__tuning_add(tuning, key, entry);
    }
    return CB_OK;
}

/* ---- the layers of a plan ---- */

/* Passes of the layer that the plan will run and for which there is a choice that nobody has measured. */
static uint32_t open_passes(const struct cb_plan *plan, struct cb_tuning *tuning, struct cb_arena *arena, uint32_t index)
{
    const struct cb_node *node = &plan->net->nodes[index];
    const struct cb_layer_type *type = node->type;
    const uint32_t never = CB_LAYER_LOSS | CB_LAYER_VIEW | CB_LAYER_RANDOM | CB_LAYER_FITTED;
    struct measurement m = {0};
    uint32_t open = 0;
    for (uint32_t pass = 0; (type->layer.flags & never) == 0 && type->layer.pointwise == NULL && pass <= CB_PASS_DW; pass++) {
        m.pass = pass;
        find_candidates(&m, type, cb_device_get_facts(plan->device)->caps);
        const bool runs = pass == CB_PASS_FORWARD || wants_gradient(plan, node);
        const char *key = runs && m.count > 1 ? cb__tuning_class(plan, arena, index, pass) : NULL;
        if (key != NULL && cb__tuning_find(tuning, key, cb__tuning_source(arena, type)) == NULL) {
            open |= 1u << pass;
        }
    }
    return open;
}

static enum cb_status measure_layer(struct cb_plan *plan, uint32_t index, uint32_t passes, struct cb_diag *diag)
{
    struct trial trial = {.source = plan, .node = &plan->net->nodes[index], .arena = cb_arena_create()};
    struct measurement m = {.trial = &trial, .n = plan->request.batch};
    struct cb_tuning *tuning = plan->store->tuning;
    m.few = m.n < FEW ? m.n : FEW;
    trial.gradients = wants_gradient(plan, trial.node);
    trial.wants_dx = wants_dx(plan, trial.node);
    enum cb_status status = trial.arena != NULL ? open_trial(&trial, diag) : CB_MEMORY;
    status = status == CB_OK ? run_trial(&trial, 0, NULL, NULL, m.n, &m.first, diag) : status;
    for (uint32_t pass = 0; status == CB_OK && pass <= CB_PASS_DW; pass++) {
        if ((passes >> pass & 1u) == 0 || m.first->steps[0].passes[pass].variant == NULL || !cb__tuning_has_time(tuning)) {
            continue;
        }
        m.pass = pass;
        find_candidates(&m, trial.node->type, cb_device_get_facts(plan->device)->caps);
        if (m.count > 1) {
            status = measure_pass(&m, tuning, cb__tuning_class(plan, trial.arena, index, pass), diag);
        }
    }
    cb_plan_destroy(m.first);
    cb_plan_destroy(m.plain);
    close_trial(&trial);
    return status;
}

/* How much a layer has to do, roughly: multiplications, and numbers that it moves. */
static double cost_of(const struct cb_plan *plan, const struct cb_node *node)
{
    const struct cb_tensor *y = &plan->values[node->y[0]];
    double cost = (double)cb_tensor_count(y);
    for (uint32_t k = 0; k < node->x_count; k++) {
        cost += (double)cb_tensor_count(&plan->values[node->x[k]]);
    }
    for (uint32_t k = 0; k < node->param_count; k++) {
        const struct cb_param *param = &plan->net->params[node->params[k]];
        if (param->decl.role == CB_PARAM_FILTER || param->decl.role == CB_PARAM_MATRIX) {
            cost += (double)cb_tensor_count(y) / (double)y->dims[y->rank - 1] * (double)param->count / 8.0;
        }
    }
    return cost;
}

void cb__plan_tune(struct cb_plan *plan)
{
    struct cb_tuning *tuning = plan->store->tuning;
    cb__tuning_start(tuning);
    if (!cb__tuning_has_time(tuning) || plan->request.variant != NULL || plan->request.pass_variants != NULL) {
        return;
    }
    struct cb_arena *arena = cb_arena_create();
    uint32_t *passes = arena != NULL ? CB_NEW_ARRAY(arena, uint32_t, plan->net->node_count + 1) : NULL;
    for (uint32_t i = 0; passes != NULL && i < plan->net->node_count; i++) {
        passes[i] = plan->runs[i] ? open_passes(plan, tuning, arena, i) : 0;
    }
    while (passes != NULL && cb__tuning_has_time(tuning)) { /* the costliest first: the time may not do for all */
        uint32_t next = CB_NONE;
        for (uint32_t i = 0; i < plan->net->node_count; i++) {
            if (passes[i] != 0 && (next == CB_NONE || cost_of(plan, &plan->net->nodes[i]) >
                                                          cost_of(plan, &plan->net->nodes[next]))) {
                next = i;
            }
        }
        if (next == CB_NONE) {
            break;
        }
        /* A layer of the same class may have been measured since. */
        const uint32_t still_open = open_passes(plan, tuning, arena, next);
        if (still_open != 0) {
            (void)measure_layer(plan, next, still_open, NULL); /* what cannot be tried keeps the table's choice */
        }
        passes[next] = 0;
    }
    cb_arena_destroy(arena);
    cb__tuning_save(tuning);
}
