/* Plans whose sequences are made shorter (cb_plan_set_length): the numbers of a plan that was made for that length, bit for
 * bit, those of the padded ones but for rounding, and those from before when they are long again. Exits with 77 (skipped)
 * when the machine has no OpenCL device. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formula.h"
#include "graph/plan.h"

#define BATCH 3
#define SHORT 8
#define IDS 37
#define MAX_SCORES 64

static struct {
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_registry *registry;
    struct cb_device *device;
} world;

static const int32_t lengths[BATCH] = {3, SHORT, 5};
static const int32_t labels[BATCH] = {0, 2, 1};

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

struct subject {
    struct cb_network *net;
    struct cb_store *store;
    struct cb_plan *plan;
    uint32_t targets, losses;
    int64_t most, scores;
};

/* The network of tests/nets/NAME.yaml for `most` tokens (0: as many as it says), with a loss and a plan that trains it. */
static void open_subject(struct subject *s, const char *name, int64_t most)
{
    char path[1024];
    struct cb_value *file;
    uint32_t node;
    snprintf(path, sizeof(path), "%s/tests/nets/%s.yaml", CB_SOURCE_ROOT, name);
    must(cb_yaml_read_file(world.arena, path, &file, world.diag));
    s->net = cb_network_create(world.registry, name);
    assert_non_null(s->net);
    must(cb_network_read(s->net, file, most > 0 ? (const int64_t[]){most, 0} : NULL, ".", world.diag));
    s->most = s->net->wires[s->net->inputs[0]].shape.dims[1];
    s->scores = s->net->wires[s->net->backbone_output].shape.dims[1];
    assert_true(BATCH * s->scores <= MAX_SCORES);
    must(cb_network_add_input(s->net, "targets", CB_I32, 1, (int64_t[]){1}, NULL, &s->targets, world.diag));
    must(cb_network_add_layer(s->net, "cross_entropy", "loss", NULL, (uint32_t[]){s->net->backbone_output, s->targets}, 2,
                              true, NULL, &node, world.diag));
    s->losses = s->net->nodes[node].y[0];
    must(cb_network_freeze(s->net, cb_value_text(world.arena, "none", NULL), CB_BATCHNORM_FROZEN, world.diag));
    for (uint32_t i = 0; i < s->net->param_count; i++) {
        struct cb_param *param = &s->net->params[i];
        formula_values(param->host, param->name, param->count);
        for (int64_t k = 0; k < param->count; k++) {
            param->host[k] *= 0.3f;
        }
    }
    must(cb_store_create(s->net, world.device, true, &s->store, world.diag));
    const uint32_t outputs[] = {s->net->backbone_output, s->losses};
    const struct cb_plan_request request = {.training = true, .gradients = true, .batch = BATCH + 1, .outputs = outputs,
                                            .output_count = 2};
    must(cb_plan_create(s->store, &request, &s->plan, world.diag));
}

static void close_subject(struct subject *s)
{
    cb_plan_destroy(s->plan);
    cb_store_destroy(s->store);
    cb_network_destroy(s->net);
}

/* Forward and backward at length `t`; padding is full of other ids, which nobody may look at. */
static void run(struct subject *s, int64_t t, float scores[MAX_SCORES])
{
    int64_t now;
    must(cb_plan_set_length(s->plan, t, &now, world.diag));
    assert_int_equal(now, t);
    for (uint32_t i = 0; i < s->net->input_count; i++) {
        const struct cb_tensor *x = cb_plan_tensor(s->plan, s->net->inputs[i]);
        int32_t rows[BATCH * 64];
        if (s->net->inputs[i] == s->targets || s->net->inputs[i] == s->net->lengths) {
            const int32_t *from = s->net->inputs[i] == s->targets ? labels : lengths;
            must(cb_buffer_write(world.device, x->buffer, 0, from, sizeof(lengths), world.diag));
            continue;
        }
        assert_int_equal(x->dims[1], t);
        for (int64_t k = 0; k < BATCH * t; k++) {
            const int64_t n = k / t, place = k % t;
            rows[k] = place < lengths[n] ? (int32_t)((n * 7 + place * 5 + i * 3) % IDS) : IDS - 1 - (int32_t)(place % 3);
        }
        must(cb_buffer_write(world.device, x->buffer, 0, rows, (uint64_t)(BATCH * t) * sizeof(*rows), world.diag));
    }
    const struct cb_plan_run request = {.n = BATCH, .seed = 1, .step = 1};
    must(cb_plan_forward(s->plan, &request, world.diag));
    must(cb_plan_backward(s->plan, &request, world.diag));
    must(cb_buffer_read(world.device, cb_plan_tensor(s->plan, s->net->backbone_output)->buffer, 0, scores,
                        (uint64_t)(BATCH * s->scores) * sizeof(float), world.diag));
}

static float *read_gradients(const struct subject *s)
{
    float *g = malloc(s->store->trainable_count * sizeof(*g));
    assert_non_null(g);
    must(cb_buffer_read(world.device, s->store->gradients, 0, g, s->store->trainable_count * sizeof(*g), world.diag));
    return g;
}

/* The distance of two lists, as a part of the norm of the second. */
static double apart(const float *a, const float *b, uint64_t count)
{
    double sum = 0.0, norm = 0.0;
    for (uint64_t i = 0; i < count; i++) {
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    assert_true(norm > 0.0);
    return sqrt(sum / norm);
}

static void compare(const char *name)
{
    struct subject whole = {0}, made = {0};
    float padded[MAX_SCORES], brief[MAX_SCORES], again[MAX_SCORES], own[MAX_SCORES];
    open_subject(&whole, name, 0);
    open_subject(&made, name, SHORT);
    const uint64_t count = (uint64_t)(BATCH * whole.scores), bytes = whole.store->trainable_count * sizeof(float);
    assert_true(whole.most > SHORT);
    assert_int_equal(made.store->trainable_count, whole.store->trainable_count);
    run(&whole, whole.most, padded);
    float *padded_gradients = read_gradients(&whole);
    run(&whole, SHORT, brief);
    float *brief_gradients = read_gradients(&whole);
    run(&whole, whole.most, again);
    float *again_gradients = read_gradients(&whole);
    run(&made, SHORT, own);
    float *own_gradients = read_gradients(&made);
    printf("%s: scores off by %.1e, gradients by %.1e of the padded ones\n", name, apart(brief, padded, count),
           apart(brief_gradients, padded_gradients, whole.store->trainable_count));
    assert_true(apart(brief, padded, count) < 1e-5);
    assert_true(apart(brief_gradients, padded_gradients, whole.store->trainable_count) < 1e-5);
    assert_memory_equal(again, padded, count * sizeof(float));
    assert_memory_equal(again_gradients, padded_gradients, bytes);
    assert_memory_equal(brief, own, count * sizeof(float));
    assert_memory_equal(brief_gradients, own_gradients, bytes);
    free(padded_gradients);
    free(brief_gradients);
    free(again_gradients);
    free(own_gradients);
    close_subject(&whole);
    close_subject(&made);
}

static void an_encoder(void **state)
{
    (void)state;
    compare("encoder");
}

static void a_decoder(void **state)
{
    (void)state;
    compare("decoder");
}

/* A dense layer over all tokens is made for one length. */
static void a_layer_for_one_length(void **state)
{
    static const char text[] = "input: {modality: text, shape: [12]}\nlayers:\n"
                               "  - embedding: {num_embeddings: 37, embedding_dim: 4}\n  - flatten\n"
                               "  - dense: {units: 3}\n";
    struct cb_value *file;
    struct cb_store *store;
    struct cb_plan *plan;
    int64_t now;
    (void)state;
    must(cb_yaml_read_text(world.arena, "n.yaml", text, strlen(text), &file, world.diag));
    struct cb_network *net = cb_network_create(world.registry, "n");
    must(cb_network_read(net, file, NULL, ".", world.diag));
    must(cb_store_create(net, world.device, false, &store, world.diag));
    const struct cb_plan_request request = {.batch = 2, .outputs = &net->backbone_output, .output_count = 1};
    must(cb_plan_create(store, &request, &plan, world.diag));
    must(cb_plan_set_length(plan, 5, &now, world.diag));
    assert_int_equal(now, 12);
    assert_int_equal(cb_plan_tensor(plan, net->inputs[0])->dims[1], 12);
    cb_plan_destroy(plan);
    cb_store_destroy(store);
    cb_network_destroy(net);
}

int main(void)
{
    world.arena = cb_arena_create();
    world.diag = cb_diag_create();
    world.registry = cb_registry_create(&cb__host);
    if (cb_device_open(NULL, &world.device, world.diag) != CB_OK) {
        printf("skipped: no OpenCL device\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_encoder), cmocka_unit_test(a_decoder),
                                       cmocka_unit_test(a_layer_for_one_length)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cb_device_close(world.device);
    cb_registry_destroy(world.registry);
    cb_diag_destroy(world.diag);
    cb_arena_destroy(world.arena);
    return failed;
}
