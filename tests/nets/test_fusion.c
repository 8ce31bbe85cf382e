/* Every pointwise layer that the search path offers, fused into the layer above and by itself: the same outputs and the
 * same gradients, in inference and in training form. Also that it really is fused, wherever it can be.
 *
 * Each layer goes behind dense and behind one of the other producers in turn. Exits with 77 (skipped) when the machine
 * has no OpenCL device. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "graph/core.h"
#include "graph/plan.h"

#define BATCH 3
#define TOLERANCE 1e-5 /* of the largest value: the compiler may contract a fused product and a sum */

static struct {
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_registry *registry;
    struct cb_device *device;
} world;

static void must(enum cb_status status)
{
    if (status == CB_OK) {
        return;
    }
    for (size_t i = 0; cb_diag_text(world.diag, i) != NULL; i++) {
        fprintf(stderr, "%s\n", cb_diag_text(world.diag, i));
    }
    fail_msg("%s", cb_status_name(status));
}

/* What stands above the layer, over x = [N,4,5,19]; `%s` is the layer. */
static const char *const producers[] = {
    "[flatten, {dense: {units: 37}, name: a}, %s, {dense: {units: 5}}]",
    "[{conv2d: {filters: 19, kernel: 3, padding: 1}, name: a}, %s, flatten, {dense: {units: 5}}]",
    "[{conv2d: {filters: 35, kernel: 1}}, {batchnorm: {}, name: a}, %s, flatten, {dense: {units: 5}}]",
    "[{conv2d: {filters: 19, kernel: 1}, name: a}, {add: {}, inputs: [x, a]}, %s, flatten, {dense: {units: 5}}]",
    "[{conv2d: {filters: 35, kernel: 1}, name: a}, {maxpool2d: {kernel: 3, stride: 1}, name: m}, "
    "{avgpool2d: {kernel: 3, stride: 1}, inputs: [a], name: v}, {add: {}, inputs: [m, v]}, %s, flatten, "
    "{dense: {units: 5}}]",
    "[{conv2d: {filters: 35, kernel: 1}, name: a}, {global_avgpool: {}, name: g}, {multiply: {}, inputs: [a, g]}, %s, "
    "flatten, {dense: {units: 5}}]",
    "[{conv2d: {filters: 35, kernel: 1}, name: a}, {prelu: {}, name: p}, %s, flatten, {dense: {units: 5}}]",
};
#define PRODUCER_COUNT (sizeof(producers) / sizeof(producers[0]))

/* Layers whose options matter here: a choice, and bounds that cut. The rest takes its defaults. */
static const struct {
    const char *layer, *options;
} chosen[] = {
    {"clip", "{min: -0.3, max: 0.4}"},  {"gelu", "{approximate: tanh}"}, {"leaky_relu", "{negative_slope: 0.3}"},
    {"pow", "{exponent: 3.0}"},         {"elu", "{alpha: 0.5}"},         {"softplus", "{beta: 2.0, threshold: 1.0}"},
    {"hardtanh", "{min_val: -0.25}"},
};

/* Their input must be positive. */
static bool needs_positive(const char *layer)
{
    return strcmp(layer, "log") == 0 || strcmp(layer, "sqrt") == 0;
}

/* ---- a network ---- */

struct subject {
    struct cb_network *net;
    struct cb_store *store;
    uint32_t input, target, output, losses;
};

static void fill(float *values, int64_t count, uint32_t seed, float scale, float offset)
{
    for (int64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = scale * ((float)(seed >> 8) * 0x1p-23f - 1.0f) + offset;
    }
}

static void open_subject(struct subject *s, const char *text, float bias)
{
    struct cb_value *list;
    uint32_t node;
    *s = (struct subject){.net = cb_network_create(world.registry, "subject")};
    assert_non_null(s->net);
    must(cb_yaml_read_text(world.arena, "subject", text, strlen(text), &list, world.diag));
    must(cb_network_add_input(s->net, "x", CB_F32, 4, (int64_t[]){1, 4, 5, 19}, NULL, &s->input, world.diag));
    must(cb_network_read_layers(s->net, list, "", s->input, true, &s->output, world.diag));
    must(cb_network_add_input(s->net, "target", CB_F32, 2, (int64_t[]){1, 5}, NULL, &s->target, world.diag));
    must(cb_network_add_layer(s->net, "mse", "loss", NULL, (uint32_t[]){s->output, s->target}, 2, true, NULL, &node,
                              world.diag));
    s->losses = s->net->nodes[node].y[0];
    for (uint32_t i = 0; i < s->net->param_count; i++) {
        struct cb_param *param = &s->net->params[i];
        const bool is_first = strcmp(s->net->nodes[param->node].name, "a") == 0;
        const bool is_vector = param->decl.rank == 1;
        const float own = param->is_state ? 1.5f : is_vector && strcmp(param->decl.name, "w") == 0 ? 1.0f : 0.0f;
        fill(param->host, param->count, i + 1, is_vector ? 0.5f : 0.2f,
             own + (is_first && strcmp(param->decl.name, "b") == 0 ? bias : 0.0f));
    }
    must(cb_network_freeze(s->net, cb_value_text(world.arena, "none", NULL), CB_BATCHNORM_TRAINED, world.diag));
    must(cb_store_create(s->net, world.device, true, &s->store, world.diag));
}

static void write_wire(const struct cb_plan *plan, uint32_t wire, int64_t row)
{
    const struct cb_tensor *tensor = cb_plan_tensor(plan, wire);
    float values[BATCH * 4 * 5 * 19];
    assert_non_null(tensor);
    fill(values, BATCH * row, wire + 100, 1.0f, 0.0f);
    must(cb_buffer_write(world.device, tensor->buffer, 0, values, (uint64_t)(BATCH * row) * sizeof(float), world.diag));
}

/* Outputs, then all gradients. */
struct results {
    float *values;
    int64_t count;
    char *steps; /* what cb_plan_describe says */
};

static struct results run(struct subject *s, bool training, bool no_fusion)
{
    const uint32_t outputs[] = {s->output, s->losses};
    const struct cb_plan_request request = {.training = training, .gradients = training, .batch = BATCH,
                                            .outputs = outputs, .output_count = 2, .no_fusion = no_fusion};
    const struct cb_plan_run once = {.n = BATCH, .seed = 1};
    struct results r = {.count = BATCH * 5};
    struct cb_text text = {0};
    struct cb_plan *plan;
    must(cb_store_upload(s->store, world.diag));
    must(cb_plan_create(s->store, &request, &plan, world.diag));
    write_wire(plan, s->input, 4 * 5 * 19);
    write_wire(plan, s->target, 5);
    must(cb_plan_forward(plan, &once, world.diag));
    for (uint32_t i = 0; training && i < s->net->param_count; i++) {
        r.count += s->net->params[i].is_state ? 0 : s->net->params[i].count;
    }
    r.values = CB_NEW_ARRAY(world.arena, float, (size_t)r.count);
    must(cb_buffer_read(world.device, cb_plan_tensor(plan, s->output)->buffer, 0, r.values, BATCH * 5 * sizeof(float),
                        world.diag));
    if (training) {
        must(cb_plan_backward(plan, &once, world.diag));
    }
    int64_t at = BATCH * 5;
    for (uint32_t i = 0; training && i < s->net->param_count; i++) {
        const int64_t count = s->net->params[i].count;
        if (!s->net->params[i].is_state) {
            must(cb_buffer_read(world.device, s->store->grads[i].buffer, 0, r.values + at,
                                (uint64_t)count * sizeof(float), world.diag));
            at += count;
        }
    }
    cb_plan_describe(plan, &text);
    r.steps = cb_arena_strdup(world.arena, text.data);
    cb_text_free(&text);
    cb_plan_destroy(plan);
    return r;
}

/* Outputs, and gradients, each beside the largest of their kind. */
static void compare(const char *what, const struct results *a, const struct results *b)
{
    assert_int_equal(a->count, b->count);
    for (int64_t first = 0; first < a->count; first = BATCH * 5) {
        const int64_t end = first == 0 ? BATCH * 5 : a->count;
        double largest = 0.0, difference = 0.0;
        for (int64_t i = first; i < end; i++) {
            if (!isfinite(a->values[i]) || !isfinite(b->values[i])) {
                fail_msg("%s: value %lld is %g fused, %g alone", what, (long long)i, (double)a->values[i],
                         (double)b->values[i]);
            }
            largest = fmax(largest, fabs((double)b->values[i]));
            difference = fmax(difference, fabs((double)a->values[i] - b->values[i]));
        }
        if (largest == 0.0 || difference > TOLERANCE * largest) {
            fail_msg("%s: %s differ by %g, the largest is %g", what, first == 0 ? "outputs" : "gradients", difference,
                     largest);
        }
        if (end == a->count) {
            break;
        }
    }
}

/* ---- each layer ---- */

static void check(const struct cb_layer *layer, const char *options, size_t producer)
{
    char what[160], words[128], text[512], plus[64];
    struct subject s;
    snprintf(words, sizeof(words), "{%s: %s}", layer->name, options);
    snprintf(text, sizeof(text), producers[producer], words);
    snprintf(plus, sizeof(plus), "+ %s", layer->name);
    open_subject(&s, text, needs_positive(layer->name) ? 12.0f : 0.0f);
    for (int training = 0; training < 2; training++) {
        const struct results fused = run(&s, training, false), alone = run(&s, training, true);
        const bool fits = !training || layer->pointwise->df_reads == CB_NEEDS_Y;
        snprintf(what, sizeof(what), "%s, producer %zu, %s", words, producer, training ? "training" : "inference");
        if ((strstr(fused.steps, plus) != NULL) != fits || strstr(alone.steps, plus) != NULL) {
            fail_msg("%s: fused or not against what is due:\n%s\n%s", what, fused.steps, alone.steps);
        }
        compare(what, &fused, &alone);
    }
    cb_store_destroy(s.store);
    cb_network_destroy(s.net);
}

static void test_all_layers(void **state)
{
    const char **words;
    size_t count, found = 0;
    (void)state;
    must(cb_registry_words(world.registry, world.arena, &words, &count, world.diag));
    for (size_t i = 0; i < count; i++) {
        const struct cb_layer_type *type;
        const char *options = "{}";
        must(cb_registry_find(world.registry, words[i], NULL, &type, world.diag));
        if (type->layer.pointwise == NULL) {
            continue;
        }
        for (size_t k = 0; k < sizeof(chosen) / sizeof(chosen[0]); k++) {
            options = strcmp(chosen[k].layer, words[i]) == 0 ? chosen[k].options : options;
        }
        check(&type->layer, options, 0);
        check(&type->layer, options, 1 + found++ % (PRODUCER_COUNT - 1));
    }
    assert_true(found >= 23);
}

/* One layer twice with other options, others between: each gets its own. */
static void test_long_chain(void **state)
{
    struct subject s;
    (void)state;
    open_subject(&s,
                 "[{conv2d: {filters: 19, kernel: 3, padding: 1}, name: a}, {leaky_relu: {negative_slope: 0.5}}, "
                 "{gelu: {approximate: tanh}}, {leaky_relu: {negative_slope: 2.0}}, {gelu: {approximate: none}}, "
                 "{clip: {min: -0.1, max: 0.25}}, tanh, flatten, {dense: {units: 5}}]",
                 0.0f);
    const struct results fused = run(&s, false, false), alone = run(&s, false, true);
    if (strstr(fused.steps, "+ leaky_relu + gelu + leaky_relu_2 + gelu_2 + clip + tanh") == NULL) {
        fail_msg("the chain is not one:\n%s", fused.steps);
    }
    compare("a long chain", &fused, &alone);
    cb_store_destroy(s.store);
    cb_network_destroy(s.net);
}

/* gelu by tanh lies within 1e-3 of the exact one, but is another: the choice arrives. */
static void test_choice(void **state)
{
    struct results r[2];
    double difference = 0.0;
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct subject s;
        open_subject(&s, i == 0 ? "[flatten, {dense: {units: 5}}, gelu]"
                                : "[flatten, {dense: {units: 5}}, {gelu: {approximate: tanh}}]", 0.0f);
        r[i] = run(&s, false, false);
        cb_store_destroy(s.store);
        cb_network_destroy(s.net);
    }
    for (int64_t i = 0; i < BATCH * 5; i++) {
        difference = fmax(difference, fabs((double)r[0].values[i] - r[1].values[i]));
    }
    assert_true(difference > 1e-5 && difference < 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_layers), cmocka_unit_test(test_long_chain),
                                       cmocka_unit_test(test_choice)};
    world.arena = cb_arena_create();
    world.diag = cb_diag_create();
    if (cb_device_open(NULL, &world.device, world.diag) != CB_OK) {
        printf("skipped: no OpenCL device\n");
        return 77;
    }
    world.registry = cb_registry_create(&cb__host);
    const int failed = cmocka_run_group_tests_name("fusion", tests, NULL, NULL);
    cb_registry_destroy(world.registry);
    cb_device_close(world.device);
    cb_diag_destroy(world.diag);
    cb_arena_destroy(world.arena);
    return failed != 0;
}
