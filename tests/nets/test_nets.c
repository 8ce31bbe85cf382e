/* Every backbone against PyTorch: `test_nets [NETWORK...]`, all that have a NAME.json beside this file when none is named;
 * the folder zoo has those of more members of families, which take long.
 *
 * The references hold what torchvision's or timm's own network gives with weights from formula.h, in double precision:
 *   inference  all layers frozen, folded and fused: scores within 1e-4
 *   gradients  in both modes of batchnorm: for each param ||g - g64|| <= max(3 x the error of PyTorch's single precision,
 *              1e-3 ||g64||, 1e-6 x the norm of all gradients). The distance is estimated from 8 signed sums, which is
 *              right within half of itself in 19 of 20 cases; half is therefore allowed on top
 *   sgd        the losses of ten steps, and the loss in inference mode after them;
 *              CAMBIUM_TEST_SIZE=small, for slow devices, takes two steps only
 * Exits with 77 (skipped) when the machine has no OpenCL device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "formula.h"
#include "graph/family.h"
#include "graph/plan.h"
#include "reference.h"

#define SLACK 1.5 /* of the estimate */
#define STEPS 10
#define MAX_INPUTS 4

struct world {
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_registry *registry;
    struct cb_device *device;
};
static struct world world;

/* Fails the test with everything that was reported. */
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

/* ---- a network with the reference's weights -------------------------------------------------------------------------- */

struct subject {
    const char *name;
    const struct cb_value *reference;
    struct cb_network *net;
    int64_t batch, classes;
    uint32_t targets; /* wire */
    uint32_t losses;  /* wire */
    void *inputs[MAX_INPUTS]; /* what goes into net->inputs[i] */
    uint64_t input_bytes[MAX_INPUTS];
    uint32_t input_count;
    int32_t *labels;
    float **weights; /* of each param, from the formula */
};

/* The last that has params: behind it there may be an activation and a pooling. */
static uint32_t last_node(const struct subject *s)
{
    uint32_t output = s->net->wires[s->net->backbone_output].node;
    for (uint32_t i = 0; i < s->net->param_count; i++) {
        if (s->net->params[i].node == output) {
            return output;
        }
    }
    return s->net->params[s->net->param_count - 1].node;
}

/* Computed once and kept: a network may have a hundred million. */
static void set_weights(struct subject *s)
{
    const struct cb_value *variances = get(s->reference, "variances");
    uint32_t output_node = last_node(s);
    const bool is_first = s->weights == NULL;
    s->weights = is_first ? calloc(s->net->param_count, sizeof(*s->weights)) : s->weights;
    assert_non_null(s->weights);
    for (uint32_t i = 0; i < s->net->param_count; i++) {
        struct cb_param *param = &s->net->params[i];
        const size_t bytes = (size_t)param->count * sizeof(float);
        if (is_first) {
            const struct cb_value *variance = cb_map_get(variances, s->net->nodes[param->node].name);
            formula_set_param(param, param->node == output_node, variance != NULL ? number(variance) : 1.0);
            s->weights[i] = malloc(bytes);
            assert_non_null(s->weights[i]);
            memcpy(s->weights[i], param->host, bytes);
        }
        memcpy(param->host, s->weights[i], bytes);
    }
}

static void count_params(const struct subject *s)
{
    int64_t values = 0, states = 0;
    for (uint32_t i = 0; i < s->net->param_count; i++) {
        *(s->net->params[i].is_state ? &states : &values) += s->net->params[i].count;
    }
    assert_int_equal(values, (int64_t)number(get(s->reference, "param_values")));
    assert_int_equal(states, (int64_t)number(get(s->reference, "state_values")));
}

/* How many tokens of each sample are real: what the reference says, else all. */
static int32_t *make_lengths(const struct subject *s)
{
    const struct cb_value *list = cb_map_get(s->reference, "lengths");
    int32_t *lengths = malloc((size_t)s->batch * sizeof(*lengths));
    int64_t all = 0;
    for (uint32_t i = 0; i < s->net->input_count; i++) {
        const struct cb_wire *input = &s->net->wires[s->net->inputs[i]];
        all = input->lengths != 0 ? input->shape.dims[1] : all;
    }
    assert_non_null(lengths);
    for (int64_t n = 0; n < s->batch; n++) {
        lengths[n] = list != NULL ? (int32_t)number_at(list, (size_t)n) : (int32_t)all;
    }
    return lengths;
}

/* Inputs of integers hold numbers below `ids`; the name of all values is `pictures`, with the input's number behind it
 * from the second on. */
static void make_inputs(struct subject *s)
{
    const char *key = get(s->reference, "pictures")->text;
    assert_true(s->net->input_count <= MAX_INPUTS);
    assert_true(cb_map_get(s->reference, "lengths") == NULL || s->net->lengths != CB_NONE);
    for (uint32_t i = 0; i < s->net->input_count; i++) {
        struct cb_tensor x = s->net->wires[s->net->inputs[i]].shape;
        char name[64];
        x.dims[0] = s->batch;
        snprintf(name, sizeof(name), i > 0 ? "%s.%u" : "%s", key, i);
        s->input_bytes[i] = (uint64_t)cb_tensor_count(&x) * sizeof(float);
        if (s->net->inputs[i] == s->net->lengths) {
            s->inputs[i] = make_lengths(s);
            continue;
        }
        s->inputs[i] = malloc(s->input_bytes[i]);
        assert_non_null(s->inputs[i]);
        if (x.dtype == CB_I32) {
            formula_ids(s->inputs[i], name, &x, (uint64_t)number(get(s->reference, "ids")));
        } else if (x.rank == 4) {
            formula_pictures(s->inputs[i], name, x.dims[0], x.dims[1], x.dims[2], x.dims[3]);
        } else {
            formula_values(s->inputs[i], name, cb_tensor_count(&x));
        }
    }
    s->input_count = s->net->input_count;
}

/* A network for tests alone, beside this file, or a backbone. */
static struct cb_value *read_network_file(const char *name)
{
    char path[1024], *found;
    const char *member = NULL;
    struct cb_value *file, *settled;
    snprintf(path, sizeof(path), "%s/tests/nets/%s.yaml", CB_SOURCE_ROOT, name);
    if (cb_path_exists(path)) {
        must(cb_yaml_read_file(world.arena, path, &file, world.diag));
    } else {
        must(cb_family_find(world.arena, CB_SOURCE_ROOT "/configs/backbones", name, &found, &file, &member, world.diag));
    }
    must(cb_family_settle(world.arena, file, member, &settled, world.diag));
    return settled;
}

static void open_subject(struct subject *s, const char *name)
{
    char path[1024];
    struct cb_value *reference, *file = read_network_file(name);
    snprintf(path, sizeof(path), "%s/tests/nets/%s.json", CB_SOURCE_ROOT, name);
    if (!cb_path_exists(path)) {
        snprintf(path, sizeof(path), "%s/tests/nets/zoo/%s.json", CB_SOURCE_ROOT, name);
    }
    must(cb_json_read_file(world.arena, path, &reference, world.diag));
    const struct cb_value *size = cb_map_get(reference, "size"); /* of pictures */
    int64_t pixels[2] = {0, 0};
    for (size_t i = 0; size != NULL && i < 2; i++) {
        pixels[i] = (int64_t)number_at(size, i);
    }
    *s = (struct subject){.name = name, .reference = reference, .batch = (int64_t)number(get(reference, "batch"))};
    s->net = cb_network_create(world.registry, name);
    assert_non_null(s->net);
    must(cb_network_read(s->net, file, size != NULL ? pixels : NULL, CB_SOURCE_ROOT "/configs/backbones", world.diag));
    const struct cb_tensor *scores = &s->net->wires[s->net->backbone_output].shape;
    assert_int_equal(scores->rank, 2);
    make_inputs(s);
    s->classes = scores->dims[1];

    uint32_t node;
    must(cb_network_add_input(s->net, "targets", CB_I32, 1, (int64_t[]){1}, NULL, &s->targets, world.diag));
    must(cb_network_add_layer(s->net, "cross_entropy", "loss", NULL,
                              (uint32_t[]){s->net->backbone_output, s->targets}, 2, true, NULL, &node, world.diag));
    s->losses = s->net->nodes[node].y[0];
    count_params(s);

    s->labels = malloc((size_t)s->batch * sizeof(int32_t));
    assert_non_null(s->labels);
    for (int64_t n = 0; n < s->batch; n++) {
        s->labels[n] = (int32_t)number_at(get(reference, "labels"), (size_t)n);
    }
}

static void close_subject(struct subject *s)
{
    for (uint32_t i = 0; i < s->net->param_count; i++) {
        free(s->weights[i]);
    }
    free(s->weights);
    cb_network_destroy(s->net);
    for (uint32_t i = 0; i < s->input_count; i++) {
        free(s->inputs[i]);
    }
    free(s->labels);
}

/* ---- running it ------------------------------------------------------------------------------------------------------ */

static void freeze(struct subject *s, const char *what, enum cb_batchnorm_mode batchnorm)
{
    must(cb_network_freeze(s->net, cb_value_text(world.arena, what, NULL), batchnorm, world.diag));
}

/* For training with room for one row more than will come, as in the last batch of an epoch. */
static struct cb_plan *make_plan(struct subject *s, struct cb_store *store, bool training)
{
    struct cb_plan *plan;
    uint32_t outputs[] = {s->net->backbone_output, s->losses};
    struct cb_plan_request request = {.training = training, .gradients = training, .batch = s->batch + training,
                                      .outputs = outputs, .output_count = 2};
    must(cb_plan_create(store, &request, &plan, world.diag));
    for (uint32_t i = 0; i < s->input_count; i++) {
        const struct cb_tensor *x = cb_plan_tensor(plan, s->net->inputs[i]);
        assert_non_null(x);
        must(cb_buffer_write(world.device, x->buffer, 0, s->inputs[i], s->input_bytes[i], world.diag));
    }
    const struct cb_tensor *t = cb_plan_tensor(plan, s->targets);
    assert_non_null(t);
    must(cb_buffer_write(world.device, t->buffer, 0, s->labels, (uint64_t)s->batch * sizeof(int32_t), world.diag));
    return plan;
}

/* Runs forward (and backward); the mean loss, and the scores when `scores` is not NULL. */
static double run(struct subject *s, struct cb_plan *plan, bool backward, uint64_t step, float *scores)
{
    struct cb_plan_run request = {.n = s->batch, .seed = 1, .step = step};
    float losses[64];
    double loss = 0.0;
    assert_true(s->batch <= 64);
    must(cb_plan_forward(plan, &request, world.diag));
    must(cb_buffer_read(world.device, cb_plan_tensor(plan, s->losses)->buffer, 0, losses,
                        (uint64_t)s->batch * sizeof(float), world.diag));
    if (scores != NULL) {
        must(cb_buffer_read(world.device, cb_plan_tensor(plan, s->net->backbone_output)->buffer, 0, scores,
                            (uint64_t)(s->batch * s->classes) * sizeof(float), world.diag));
    }
    if (backward) {
        must(cb_plan_backward(plan, &request, world.diag));
    }
    for (int64_t n = 0; n < s->batch; n++) {
        loss += losses[n] / (double)s->batch;
    }
    return loss;
}

/* The gradient of the mean loss; the caller frees it. */
static float *read_gradient(const struct subject *s, const struct cb_store *store, uint32_t param)
{
    int64_t count = s->net->params[param].count;
    float *g = malloc((size_t)count * sizeof(float));
    assert_non_null(g);
    assert_non_null(store->grads[param].buffer);
    must(cb_buffer_read(world.device, store->grads[param].buffer, 0, g, (uint64_t)count * sizeof(float), world.diag));
    for (int64_t i = 0; i < count; i++) {
        g[i] /= (float)s->batch;
    }
    return g;
}

/* ---- comparing ------------------------------------------------------------------------------------------------------- */

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static void compare_scores(const struct subject *s, const char *what, const struct cb_value *mode, const float *scores)
{
    double sums[FORMULA_SUMS] = {0}, wanted[FORMULA_SUMS], norm = number(get(mode, "scores_norm"));
    const struct cb_value *first = get(mode, "scores_first");
    uint64_t key = formula_key("signs:", "scores");
    int64_t shown = (int64_t)first->as.list.count / s->batch;
    double tolerance = larger(1e-4 * norm, 3.0 * number(get(mode, "scores_error"))), worst = 0.0;
    for (int64_t i = 0; i < s->batch * s->classes; i++) {
        formula_add_signed(sums, key, (uint64_t)i, scores[i]);
    }
    numbers(get(mode, "scores_sums"), 0, FORMULA_SUMS, wanted);
    for (int64_t i = 0; i < s->batch * shown; i++) {
        double difference = scores[i / shown * s->classes + i % shown] - number_at(first, (size_t)i);
        worst = larger(worst, fabs(difference));
    }
    double distance = formula_distance(sums, wanted);
    printf("%s, %s: scores off by %.1e of their norm\n", s->name, what, distance / norm);
    if (!(distance <= SLACK * tolerance) || !(worst <= tolerance)) {
        fail_msg("%s, %s: scores are off by %g in all, by %g at most; %g is allowed", s->name, what, distance, worst,
                 tolerance);
    }
}

static void compare_loss(const struct subject *s, const char *what, double loss, double wanted, double error)
{
    if (!(fabs(loss - wanted) <= larger(1e-4 * fabs(wanted) + 1e-6, 3.0 * error))) {
        fail_msg("%s, %s: the loss is %.7f, not %.7f", s->name, what, loss, wanted);
    }
}

static void compare_gradients(const struct subject *s, const char *what, const struct cb_value *mode,
                              const struct cb_store *store)
{
    const struct cb_value *table = get(mode, "gradients"), *whole = cb_map_get(mode, "gradients_norm");
    double all = 0.0, worst = 0.0;
    const char *worst_name = "none";
    uint32_t compared = 0, wrong = 0;
    for (size_t i = 0; i < table->as.map.count; i++) {
        double norm = number_at(table->as.map.entries[i].value, 0);
        all += norm * norm;
    }
    if (whole != NULL) { /* the table has a sample of the params */
        all = number(whole) * number(whole);
    }
    for (uint32_t p = 0; p < s->net->param_count; p++) {
        const struct cb_param *param = &s->net->params[p];
        if (!param->trainable || (whole != NULL && cb_map_get(table, param->name) == NULL)) {
            continue;
        }
        const struct cb_value *row = get(table, param->name);
        double sums[FORMULA_SUMS] = {0}, wanted[FORMULA_SUMS], norm = number_at(row, 0), error = number_at(row, 1);
        uint64_t key = formula_key("signs:", param->name);
        float *g = read_gradient(s, store, p);
        for (int64_t i = 0; i < param->count; i++) {
            formula_add_signed(sums, key, formula_foreign_index(param, (uint64_t)i), g[i]);
        }
        free(g);
        numbers(row, 2, FORMULA_SUMS, wanted);
        double tolerance = larger(larger(3.0 * error, 1e-3 * norm), 1e-6 * sqrt(all));
        double distance = formula_distance(sums, wanted);
        if (!(distance <= SLACK * tolerance)) {
            fprintf(stderr, "%s, %s: the gradient of %s is off by %g; its norm is %g, PyTorch is off by %g\n", s->name,
                    what, param->name, distance, norm, error);
            wrong++;
        }
        if (!(distance / tolerance <= worst)) {
            worst = distance / tolerance;
            worst_name = param->name;
        }
        compared++;
    }
    printf("%s, %s: %u gradients, the worst at %.2f of what is allowed (%s)\n", s->name, what, compared, worst,
           worst_name);
    assert_int_equal(wrong, 0);
    assert_int_equal(compared, table->as.map.count);
}

/* ---- the tests ------------------------------------------------------------------------------------------------------- */

static void check_frozen(struct subject *s)
{
    struct cb_store *store;
    const struct cb_value *mode = get(s->reference, "inference");
    float *scores = malloc((size_t)(s->batch * s->classes) * sizeof(float));
    assert_non_null(scores);
    set_weights(s);
    freeze(s, "backbone", CB_BATCHNORM_FROZEN);
    must(cb_store_create(s->net, world.device, false, &store, world.diag));
    struct cb_plan *plan = make_plan(s, store, false);
    double loss = run(s, plan, false, 0, scores);
    compare_scores(s, "frozen", mode, scores);
    compare_loss(s, "frozen", loss, number(get(mode, "loss")), number(get(mode, "loss_error")));
    free(scores);
    cb_plan_destroy(plan);
    cb_store_destroy(store);
}

static void check_gradients(struct subject *s, const char *what, enum cb_batchnorm_mode batchnorm)
{
    struct cb_store *store;
    const struct cb_value *mode = get(s->reference, what);
    float *scores = malloc((size_t)(s->batch * s->classes) * sizeof(float));
    assert_non_null(scores);
    set_weights(s);
    freeze(s, "none", batchnorm);
    must(cb_store_create(s->net, world.device, true, &store, world.diag));
    struct cb_plan *plan = make_plan(s, store, true);
    double loss = run(s, plan, true, 0, scores);
    compare_scores(s, what, mode, scores);
    compare_loss(s, what, loss, number(get(mode, "loss")), number(get(mode, "loss_error")));
    compare_gradients(s, what, mode, store);
    free(scores);
    cb_plan_destroy(plan);
    cb_store_destroy(store);
}

static void descend(struct subject *s, struct cb_store *store, double rate)
{
    must(cb_store_download(store, world.diag)); /* states moved on the device */
    for (uint32_t p = 0; p < s->net->param_count; p++) {
        struct cb_param *param = &s->net->params[p];
        if (param->trainable) {
            float *g = read_gradient(s, store, p);
            for (int64_t i = 0; i < param->count; i++) {
                param->host[i] -= (float)rate * g[i];
            }
            free(g);
        }
    }
    must(cb_store_upload(store, world.diag));
}

static void check_descent(struct subject *s)
{
    const char *size = getenv("CAMBIUM_TEST_SIZE");
    const bool is_small = size != NULL && strcmp(size, "small") == 0;
    const size_t steps = is_small ? 2 : STEPS;
    struct cb_store *store;
    const struct cb_value *sgd = get(s->reference, "sgd");
    set_weights(s);
    freeze(s, "none", CB_BATCHNORM_TRAINED);
    must(cb_store_create(s->net, world.device, true, &store, world.diag));
    struct cb_plan *plan = make_plan(s, store, true);
    for (size_t step = 0; step < steps; step++) {
        char what[32];
        snprintf(what, sizeof(what), "step %zu", step + 1);
        double loss = run(s, plan, true, step, NULL);
        compare_loss(s, what, loss, number_at(get(sgd, "losses"), step), number_at(get(sgd, "deviation"), step));
        descend(s, store, number(get(sgd, "rate")));
    }
    cb_plan_destroy(plan);
    if (!is_small) {
        plan = make_plan(s, store, false);
        compare_loss(s, "inference after ten steps", run(s, plan, false, 0, NULL),
                     number(get(sgd, "inference_loss_after")), number(get(sgd, "inference_deviation")));
        cb_plan_destroy(plan);
    }
    cb_store_destroy(store);
}

static void test_network(void **state)
{
    struct subject subject;
    open_subject(&subject, *state);
    check_frozen(&subject);
    check_gradients(&subject, "inference", CB_BATCHNORM_AFFINE);
    check_gradients(&subject, "training", CB_BATCHNORM_TRAINED);
    check_descent(&subject);
    close_subject(&subject);
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"lenet", "zoo", "small_cnn", "unet", "densenet", "shufflenet", "convnext", "encoder",
                                      "decoder", "moves", "resnet18", "resnet50", "mobilenet_v2", "efficientnet_lite0"};
    size_t count = argc > 1 ? (size_t)argc - 1 : sizeof(all) / sizeof(all[0]);
    struct CMUnitTest tests[64];
    world.arena = cb_arena_create();
    world.diag = cb_diag_create();
    if (cb_device_open(NULL, &world.device, world.diag) != CB_OK) {
        printf("skipped: no OpenCL device\n");
        return 77;
    }
    world.registry = cb_registry_create(&cb__host);
    for (size_t i = 0; i < count && i < 64; i++) {
        const char *name = argc > 1 ? argv[i + 1] : all[i];
        tests[i] = (struct CMUnitTest){name, test_network, NULL, NULL, (void *)(uintptr_t)name};
    }
    int failed = _cmocka_run_group_tests("nets", tests, count < 64 ? count : 64, NULL, NULL);
    cb_registry_destroy(world.registry);
    cb_device_close(world.device);
    cb_diag_destroy(world.diag);
    cb_arena_destroy(world.arena);
    return failed != 0;
}
