/* Every pointwise layer that the search path offers, fused into the layer above and by itself: the same outputs and the
 * same gradients, in inference and in training form. Also that it really is fused, wherever it can be.
 *
 * Each layer goes behind dense and behind one of the other producers in turn, relu behind all of them; the layers that
 * are named on the command line (a person's own, tests/cli/own_layer) go behind all of them instead. Exits with 77
 * (skipped) when the machine has no OpenCL device. */
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

#define TAIL ", flatten, {dense: {units: 5}}]"
#define END ", %s" TAIL
#define SEQUENCE "{reshape: {shape: [20, 19]}}, "

/* What stands above the layer, over x = [N,4,5,19]; `%s` is the layer. `step`: what of it is chosen on a processor. */
static const struct {
    const char *text, *step;
    bool reads_y; /* its backward does: nothing is fused in training */
} producers[] = {
    {"[flatten, {dense: {units: 37}, name: a}, %s, {dense: {units: 5}}]", "dense/product", false},
    {"[{conv2d: {filters: 19, kernel: 3, padding: 1}, name: a}" END, "conv2d/product", false},
    {"[{conv2d: {filters: 35, kernel: 1}}, {batchnorm: {}, name: a}" END, "conv2d/product", false},
    {"[{conv2d: {filters: 19, kernel: 1}, name: a}, {add: {}, inputs: [x, a]}" END, "conv2d/product", false},
    {"[{conv2d: {filters: 35, kernel: 1}, name: a}, {maxpool2d: {kernel: 3, stride: 1}, name: m}, "
     "{avgpool2d: {kernel: 3, stride: 1}, inputs: [a], name: v}, {add: {}, inputs: [m, v]}" END, "add/tile", false},
    {"[{conv2d: {filters: 35, kernel: 1}, name: a}, {global_avgpool: {}, name: g}, {multiply: {}, inputs: [a, g]}" END,
     "multiply/tile", false},
    {"[{conv2d: {filters: 35, kernel: 1}, name: a}, {prelu: {}, name: p}" END, "prelu/plain", false},
    {"[{conv2d: {filters: 16, kernel: 1}}, {conv2d: {filters: 32, kernel: 3, padding: 1}, name: a}" END,
     "conv2d/winograd", false},
    {"[{conv2d: {filters: 16, kernel: 1}}, {conv2d: {filters: 16, kernel: 3, padding: 1, groups: 16}, name: a}" END,
     "conv2d/depthwise", false},
    {"[{conv2d: {filters: 38, kernel: 3, groups: 19}, name: a}" END, "conv2d/plain", false},
    {"[flatten, {dense: {units: 7}, name: a}, %s, {dense: {units: 5}}]", "dense/plain", false},
    {"[" SEQUENCE "{conv1d: {filters: 35, kernel: 3}, name: a}" END, "conv1d/product", false},
    {"[" SEQUENCE "{conv1d: {filters: 38, kernel: 3, groups: 19}, name: a}" END, "conv1d/plain", false},
    {"[{conv_transpose2d: {filters: 21, kernel: 3, stride: 2}, name: a}" END, "conv_transpose2d/product", false},
    {"[{conv_transpose2d: {filters: 21, kernel: 1}, name: a}" END, "conv_transpose2d/product", false},
    {"[{conv_transpose2d: {filters: 19, kernel: 3, groups: 19}, name: a}" END, "conv_transpose2d/plain", false},
    {"[{conv2d: {filters: 36, kernel: 1}}, {groupnorm: {groups: 4}, name: a}" END, "groupnorm/", false},
    {"[" SEQUENCE "{layernorm: {}, name: a}" END, "layernorm/tile", false},
    {"[" SEQUENCE "{dense: {units: 18}, name: q}, {dense: {units: 18}, inputs: [reshape], name: k}, {dense: {units: 21}, "
     "inputs: [reshape], name: a}, {attention: {heads: 3}, inputs: [q, k, a]}" END, "attention/plain", true},
    {"[" SEQUENCE "{dense: {units: 32}, name: q}, {dense: {units: 32}, inputs: [reshape], name: a}, {attention: {heads: 2}, "
     "inputs: [q, q, a]}" END, "attention/tile", true},
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

static struct results run(struct subject *s, bool training, bool no_fusion, const char *variant)
{
    const uint32_t outputs[] = {s->output, s->losses};
    const struct cb_plan_request request = {.training = training, .gradients = training, .batch = BATCH,
                                            .outputs = outputs, .output_count = 2, .no_fusion = no_fusion,
                                            .variant = variant};
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

static void check(const struct cb_layer *layer, const char *options, size_t producer, const char *variant)
{
    char what[200], words[128], text[512], plus[64];
    struct subject s;
    const bool is_tile = (cb_device_get_facts(world.device)->caps & CB_CAP_TILE) != 0;
    snprintf(words, sizeof(words), "{%s: %s}", layer->name, options);
    snprintf(text, sizeof(text), producers[producer].text, words);
    snprintf(plus, sizeof(plus), "+ %s", layer->name);
    open_subject(&s, text, needs_positive(layer->name) ? 12.0f : 0.0f);
    for (int training = 0; training < 2; training++) {
        const struct results fused = run(&s, training, false, variant), alone = run(&s, training, true, variant);
        /* batchnorm's backward computes its output again (PROLOGUE): what reads x is fused behind it in training too */
        const bool has_x = strstr(producers[producer].text, "{batchnorm: {}, name: a}") != NULL;
        const bool fits = !training || has_x || (layer->pointwise->df_reads == CB_NEEDS_Y && !producers[producer].reads_y);
        snprintf(what, sizeof(what), "%s behind %s, %s%s", words, producers[producer].step,
                 training ? "training" : "inference", variant != NULL ? ", plain" : "");
        if ((strstr(fused.steps, plus) != NULL) != fits || strstr(alone.steps, plus) != NULL) {
            fail_msg("%s: fused or not against what is due:\n%s\n%s", what, fused.steps, alone.steps);
        }
        if (is_tile && variant == NULL && strstr(fused.steps, producers[producer].step) == NULL) {
            fail_msg("%s: other kernels:\n%s", what, fused.steps);
        }
        compare(what, &fused, &alone);
    }
    cb_store_destroy(s.store);
    cb_network_destroy(s.net);
}

static const char *options_of(const char *layer)
{
    for (size_t k = 0; k < sizeof(chosen) / sizeof(chosen[0]); k++) {
        if (strcmp(chosen[k].layer, layer) == 0) {
            return chosen[k].options;
        }
    }
    return "{}";
}

static void check_everywhere(const char *word, const char *options)
{
    const struct cb_layer_type *type;
    must(cb_registry_find(world.registry, word, NULL, &type, world.diag));
    for (size_t p = 0; p < PRODUCER_COUNT; p++) {
        check(&type->layer, options, p, NULL);
        if (strstr(producers[p].step, "/plain") == NULL) {
            check(&type->layer, options, p, "plain");
        }
    }
}

static void test_all_layers(void **state)
{
    const char **words;
    size_t count, found = 0;
    (void)state;
    must(cb_registry_words(world.registry, world.arena, &words, &count, world.diag));
    for (size_t i = 0; i < count; i++) {
        const struct cb_layer_type *type;
        must(cb_registry_find(world.registry, words[i], NULL, &type, world.diag));
        if (type->layer.pointwise != NULL) {
            check(&type->layer, options_of(words[i]), 0, NULL);
            check(&type->layer, options_of(words[i]), 1 + found++ % (PRODUCER_COUNT - 1), NULL);
        }
    }
    assert_true(found >= 23);
}

static void test_all_producers(void **state)
{
    (void)state;
    check_everywhere("relu", "{}");
}

/* WORD, or WORD=OPTIONS in YAML: those of the command line. */
static void test_named(void **state)
{
    for (char **word = *state; *word != NULL; word++) {
        char *options = strchr(*word, '=');
        if (options != NULL) {
            *options++ = '\0';
        }
        check_everywhere(*word, options != NULL ? options : "{}");
    }
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
    const struct results fused = run(&s, false, false, NULL), alone = run(&s, false, true, NULL);
    if (strstr(fused.steps, "+ leaky_relu + gelu + leaky_relu_2 + gelu_2 + clip + tanh") == NULL) {
        fail_msg("the chain is not one:\n%s", fused.steps);
    }
    compare("a long chain", &fused, &alone);
    cb_store_destroy(s.store);
    cb_network_destroy(s.net);
}

#define TWENTY_FIVE \
    "{hardtanh: {min_val: -2.90, max_val: 2.90}, name: h1}, {hardtanh: {min_val: -2.80, max_val: 2.80}, name: h2}, " \
    "{hardtanh: {min_val: -2.70, max_val: 2.70}, name: h3}, {hardtanh: {min_val: -2.60, max_val: 2.60}, name: h4}, " \
    "{hardtanh: {min_val: -2.50, max_val: 2.50}, name: h5}, {hardtanh: {min_val: -2.40, max_val: 2.40}, name: h6}, " \
    "{hardtanh: {min_val: -2.30, max_val: 2.30}, name: h7}, {hardtanh: {min_val: -2.20, max_val: 2.20}, name: h8}, " \
    "{hardtanh: {min_val: -2.10, max_val: 2.10}, name: h9}, {hardtanh: {min_val: -2.00, max_val: 2.00}, name: h10}, " \
    "{hardtanh: {min_val: -1.90, max_val: 1.90}, name: h11}, {hardtanh: {min_val: -1.80, max_val: 1.80}, name: h12}, " \
    "{hardtanh: {min_val: -1.70, max_val: 1.70}, name: h13}, {hardtanh: {min_val: -1.60, max_val: 1.60}, name: h14}, " \
    "{hardtanh: {min_val: -1.50, max_val: 1.50}, name: h15}, {hardtanh: {min_val: -1.40, max_val: 1.40}, name: h16}, " \
    "{hardtanh: {min_val: -1.30, max_val: 1.30}, name: h17}, {hardtanh: {min_val: -1.20, max_val: 1.20}, name: h18}, " \
    "{hardtanh: {min_val: -1.10, max_val: 1.10}, name: h19}, {hardtanh: {min_val: -1.00, max_val: 1.00}, name: h20}, " \
    "{hardtanh: {min_val: -0.90, max_val: 0.90}, name: h21}, {hardtanh: {min_val: -0.80, max_val: 0.80}, name: h22}, " \
    "{hardtanh: {min_val: -0.70, max_val: 0.70}, name: h23}, {hardtanh: {min_val: -0.60, max_val: 0.60}, name: h24}, " \
    "{hardtanh: {min_val: -0.50, max_val: 0.50}, name: h25}"

/* Whole networks: what is fused into what, in inference and in training; NULL: only the values count. */
static const struct {
    const char *what, *text, *inference, *training;
} networks[] = {
    {"batchnorm and two layers", "[{conv2d: {filters: 19, kernel: 3}, name: a}, batchnorm, relu, silu" TAIL,
     "a                            conv2d/product + batchnorm (folded) + relu + silu\n",
     "batchnorm                    batchnorm/tile + relu\n"},
    {"two readers", "[{conv2d: {filters: 19, kernel: 1}, name: a}, {relu: {}, name: r}, {conv2d: {filters: 19, kernel: 1}, "
     "name: c}, {add: {}, inputs: [c, r]}, tanh" TAIL, "conv2d/product + add + tanh\n", "conv2d/product + add + tanh\n"},
    {"a sum with itself", "[{conv2d: {filters: 19, kernel: 1}, name: a}, {relu: {}, name: r}, {add: {}, inputs: [r, r]}, "
     "tanh" TAIL, "conv2d/product + r\n", "conv2d/product + r\n"},
    {"the producer has two readers", "[{conv2d: {filters: 19, kernel: 1}, name: a}, {relu: {}, name: r}, {tanh: {}, name: t, "
     "inputs: [a]}, {add: {}, inputs: [r, t]}, sigmoid" TAIL, "pointwise + add + sigmoid\n", NULL},
    {"at the end", "[flatten, {dense: {units: 5}, name: a}, {relu: {}, name: last}]", "+ last\n", "+ last\n"},
    {"behind a view", "[{conv2d: {filters: 19, kernel: 1}, name: a}, {reshape: {shape: [10, 38]}}, {relu: {}, name: r}, "
     "batchnorm, flatten, tanh, {dense: {units: 5}}]", "pointwise + batchnorm\n", NULL},
    {"a view before two readers", "[{conv2d: {filters: 19, kernel: 1}, name: a}, {flatten: {}, name: f}, {relu: {}, name: r}, "
     "{tanh: {}, name: t, inputs: [f]}, {add: {}, inputs: [r, t]}, {dense: {units: 5}}]", NULL, NULL},
    {"shared params", "[{conv2d: {filters: 19, kernel: 1}, name: a}, {relu: {}, name: r}, {conv2d: {filters: 19, kernel: 1}, "
     "name: b, share: {w: a.w, b: a.b}}, {tanh: {}, name: t}" TAIL, "+ t\n", "+ t\n"},
    {"shared params, each with its batchnorm", "[{conv2d: {filters: 19, kernel: 1}, name: a}, batchnorm, relu, {conv2d: "
     "{filters: 19, kernel: 1}, name: b, share: {w: a.w, b: a.b}}, {batchnorm: {}, name: n}, {tanh: {}, name: t}" TAIL,
     "+ n (folded) + t\n", "+ t\n"},
    {"more arguments than a kernel takes", "[{conv2d: {filters: 19, kernel: 3}, name: a}, " TWENTY_FIVE TAIL,
     "pointwise + h22 + h23 + h24 + h25\n", NULL},
    {"prelu between", "[{conv2d: {filters: 19, kernel: 1}, name: a}, relu, {prelu: {}, name: p}, {tanh: {}, name: t}" TAIL,
     "prelu/plain + t\n", "prelu/plain + t\n"},
};

static void test_networks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++) {
        struct subject s;
        const bool is_tile = (cb_device_get_facts(world.device)->caps & CB_CAP_TILE) != 0;
        open_subject(&s, networks[i].text, 0.0f);
        for (int training = 0; training < 2; training++) {
            const struct results fused = run(&s, training, false, NULL), alone = run(&s, training, true, NULL);
            const char *due = training ? networks[i].training : networks[i].inference;
            if (is_tile && due != NULL && strstr(fused.steps, due) == NULL) {
                fail_msg("%s: fused or not against what is due, %s:\n%s", networks[i].what, due, fused.steps);
            }
            compare(networks[i].what, &fused, &alone);
        }
        cb_store_destroy(s.store);
        cb_network_destroy(s.net);
    }
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
        r[i] = run(&s, false, false, NULL);
        cb_store_destroy(s.store);
        cb_network_destroy(s.net);
    }
    for (int64_t i = 0; i < BATCH * 5; i++) {
        difference = fmax(difference, fabs((double)r[0].values[i] - r[1].values[i]));
    }
    assert_true(difference > 1e-5 && difference < 1e-3);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_layers), cmocka_unit_test(test_all_producers),
                                       cmocka_unit_test(test_long_chain), cmocka_unit_test(test_networks),
                                       cmocka_unit_test(test_choice)};
    const struct CMUnitTest named[] = {cmocka_unit_test_prestate(test_named, argv + 1)};
    world.arena = cb_arena_create();
    world.diag = cb_diag_create();
    if (cb_device_open(NULL, &world.device, world.diag) != CB_OK) {
        printf("skipped: no OpenCL device\n");
        return 77;
    }
    world.registry = cb_registry_create(&cb__host);
    const int failed = argc > 1 ? cmocka_run_group_tests_name("fusion", named, NULL, NULL)
                                : cmocka_run_group_tests_name("fusion", tests, NULL, NULL);
    cb_registry_destroy(world.registry);
    cb_device_close(world.device);
    cb_diag_destroy(world.diag);
    cb_arena_destroy(world.arena);
    return failed != 0;
}
