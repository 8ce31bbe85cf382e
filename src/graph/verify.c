/* verify.c: see verify.h. The trials are small networks that the plugins name; a loss is put behind each, so that backward
 * runs, and everything that comes out is compared as one long vector. */
#include "graph/verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/made_up.h"
#include "graph/squared_error.h"
#include "graph/step.h"

#define BATCH 3
#define TOLERANCE 1e-4

struct trial {
    struct cb_network *net;
    struct cb_store *store;
    uint32_t input, target, output, losses;
};

/* ---- a trial's network ---- */

static enum cb_status open_trial(struct trial *t, struct cb_registry *registry, struct cb_device *device,
                                 struct cb_arena *arena, const char *text, struct cb_diag *diag)
{
    static const int64_t dims[] = {1, 9, 10, 32};
    struct cb_value *list;
    *t = (struct trial){.net = cb_network_create(registry, "trial")};
    if (t->net == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(cb_yaml_read_text(arena, "trial", text, strlen(text), &list, diag));
    CB_TRY(cb_network_add_input(t->net, "x", CB_F32, 4, dims, NULL, &t->input, diag));
    CB_TRY(cb_network_read_layers(t->net, list, "", t->input, true, &t->output, diag));
    CB_TRY(cb__network_add_squared_error(t->net, arena, t->output, &t->target, &t->losses, diag));
    cb__made_up_params(t->net);
    CB_TRY(cb_network_freeze(t->net, cb_value_text(arena, "none", NULL), CB_BATCHNORM_TRAINED, diag));
    return cb_store_create(t->net, device, true, &t->store, diag);
}

static void close_trial(struct trial *t)
{
    cb_store_destroy(t->store);
    cb_network_destroy(t->net);
}

/* ---- running it ---- */

static enum cb_status write_random(struct cb_device *device, const struct cb_plan *plan, uint32_t wire,
                                   struct cb_arena *arena, struct cb_diag *diag)
{
    const struct cb_tensor *tensor = cb_plan_tensor(plan, wire);
    int64_t count = BATCH;
    for (uint32_t i = 1; i < tensor->rank; i++) {
        count *= tensor->dims[i];
    }
    float *values = CB_NEW_ARRAY(arena, float, (size_t)count);
    if (values == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    cb__made_up_values(values, count, 1000 + wire);
    return cb_buffer_write(device, tensor->buffer, 0, values, (uint64_t)count * sizeof(float), diag);
}

static bool uses(const struct cb_plan *plan, const char *layer, const char *variant)
{
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct cb_step *step = &plan->steps[s];
        for (uint32_t pass = 0; pass < CB_PASS_COUNT; pass++) {
            if (step->passes[pass].variant != NULL && strcmp(step->passes[pass].variant->name, variant) == 0 &&
                strcmp(plan->net->nodes[step->node].type->layer.name, layer) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* The output and all gradients behind one another, in the arena. */
static enum cb_status read_results(const struct trial *t, struct cb_device *device, const struct cb_plan *plan,
                                   struct cb_arena *arena, float **out, int64_t *out_count, struct cb_diag *diag)
{
    const int64_t outputs = cb_tensor_count(cb_plan_tensor(plan, t->output));
    int64_t count = outputs, at = outputs;
    for (uint32_t i = 0; i < t->net->param_count; i++) {
        count += t->net->params[i].is_state ? 0 : t->net->params[i].count;
    }
    float *values = CB_NEW_ARRAY(arena, float, (size_t)count);
    if (values == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(cb_buffer_read(device, cb_plan_tensor(plan, t->output)->buffer, 0, values, (uint64_t)outputs * sizeof(float), diag));
    for (uint32_t i = 0; i < t->net->param_count; i++) {
        const struct cb_param *param = &t->net->params[i];
        if (!param->is_state) {
            CB_TRY(cb_buffer_read(device, t->store->grads[i].buffer, 0, values + at, (uint64_t)param->count * sizeof(float),
                                  diag));
            at += param->count;
        }
    }
    *out = values;
    *out_count = count;
    return CB_OK;
}

/* Forward and backward with `variant` wherever it serves. `*out` stays NULL when no pass of `layer` uses it. */
static enum cb_status run_trial(const struct trial *t, struct cb_device *device, const char *layer, const char *variant,
                                struct cb_arena *arena, float **out, int64_t *out_count, struct cb_diag *diag)
{
    const uint32_t outputs[] = {t->output, t->losses};
    const struct cb_plan_request request = {.training = true, .gradients = true, .batch = BATCH, .outputs = outputs,
                                            .output_count = 2, .variant = variant, .no_fusion = true};
    const struct cb_plan_run run = {.n = BATCH, .seed = 1};
    struct cb_plan *plan = NULL;
    *out = NULL;
    CB_TRY(cb_store_upload(t->store, diag)); /* states have moved */
    enum cb_status status = cb_plan_create(t->store, &request, &plan, diag);
    if (status == CB_OK && uses(plan, layer, variant)) {
        status = write_random(device, plan, t->input, arena, diag);
        status = status == CB_OK ? write_random(device, plan, t->target, arena, diag) : status;
        status = status == CB_OK ? cb_plan_forward(plan, &run, diag) : status;
        status = status == CB_OK ? cb_plan_backward(plan, &run, diag) : status;
        status = status == CB_OK ? read_results(t, device, plan, arena, out, out_count, diag) : status;
    }
    cb_plan_destroy(plan);
    return status;
}

/* The largest difference of any trial between a variant and the plain one, of the norm; below 0: no trial could use it. */
static enum cb_status largest_difference(const struct cb_layer_type *type, const char *variant, struct cb_registry *registry,
                                         struct cb_device *device, struct cb_arena *arena, double *out, struct cb_diag *diag)
{
    const char *const plain = type->variants[type->variant_count - 1].name;
    enum cb_status status = CB_OK;
    *out = -1.0;
    for (uint32_t i = 0; status == CB_OK && i < type->layer.trials.count; i++) {
        const char *text = *(const char *const *)((const char *)type->layer.trials.items + (size_t)i * type->layer.trials.stride);
        struct trial trial;
        float *wanted = NULL, *got = NULL;
        int64_t count = 0;
        status = open_trial(&trial, registry, device, arena, text, diag);
        status = status == CB_OK ? run_trial(&trial, device, type->layer.name, variant, arena, &got, &count, diag) : status;
        if (status == CB_OK && got != NULL) {
            status = run_trial(&trial, device, type->layer.name, plain, arena, &wanted, &count, diag);
        }
        if (status == CB_OK && got != NULL && wanted != NULL) {
            double difference = 0.0, norm = 0.0;
            for (int64_t k = 0; k < count; k++) {
                difference += ((double)got[k] - wanted[k]) * ((double)got[k] - wanted[k]);
                norm += (double)wanted[k] * wanted[k];
            }
            const double relative = sqrt(difference / norm);
            *out = isnan(relative) ? INFINITY : relative > *out ? relative : *out;
        }
        close_trial(&trial);
    }
    return status;
}

/* ---- all layers ---- */

/* Variant `i` is the first of its name, and not the plain one. */
static bool is_first_of_its_name(const struct cb_layer_type *type, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++) {
        if (strcmp(type->variants[k].name, type->variants[i].name) == 0) {
            return false;
        }
    }
    return strcmp(type->variants[i].name, type->variants[type->variant_count - 1].name) != 0;
}

static enum cb_status verify_layer(const struct cb_layer_type *type, struct cb_registry *registry, struct cb_device *device,
                                   struct cb_arena *arena, struct cb_doctor_result *results, size_t *count,
                                   struct cb_diag *diag)
{
    for (uint32_t i = 0; type->layer.trials.count > 0 && i < type->variant_count; i++) {
        if (!is_first_of_its_name(type, i)) {
            continue;
        }
        struct cb_doctor_result *r = &results[(*count)++];
        double difference;
        CB_TRY(largest_difference(type, type->variants[i].name, registry, device, arena, &difference, diag));
        r->what = cb_arena_printf(arena, "%s, %s", type->layer.name, type->variants[i].name);
        r->declined = difference < 0.0;
        r->passed = difference >= 0.0 && difference < TOLERANCE;
        if (r->declined) {
            snprintf(r->detail, sizeof(r->detail), "not for this device");
        } else {
            snprintf(r->detail, sizeof(r->detail), "outputs and gradients differ by %.1e of their norm from the plain ones",
                     difference);
        }
        if (r->what == NULL) {
            return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        }
    }
    return CB_OK;
}

enum cb_status cb_layers_verify(struct cb_registry *registry, struct cb_device *device, struct cb_arena *arena,
                                struct cb_doctor_result **out, size_t *out_count, struct cb_diag *diag)
{
    const char **words;
    size_t word_count, capacity = 0, count = 0;
    const struct cb_layer_type *type;
    CB_TRY(cb_registry_words(registry, arena, &words, &word_count, diag));
    for (size_t i = 0; i < word_count; i++) {
        capacity += cb_registry_find(registry, words[i], NULL, &type, NULL) == CB_OK ? type->variant_count : 0;
    }
    struct cb_doctor_result *results = CB_NEW_ARRAY(arena, struct cb_doctor_result, capacity + 1);
    if (results == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (size_t i = 0; i < word_count; i++) {
        if (cb_registry_find(registry, words[i], NULL, &type, NULL) == CB_OK) {
            CB_TRY(verify_layer(type, registry, device, arena, results, &count, diag));
        }
    }
    *out = results;
    *out_count = count;
    return CB_OK;
}
