/* Every backbone against PyTorch: `test_nets [NETWORK...]`, all that have a NAME.json beside this file when none is named;
 * the folder zoo has those of more members of families, which take long.
 *
 * The references hold what torchvision's or timm's own network gives with weights from formula.h, in double precision, and
 * say under `proves` which of these they have; each of them is compared:
 *   scores     all layers frozen, folded and fused: scores within 1e-4, or 3 x the error of PyTorch's single precision
 *   gradients, inference; gradients, training
 *              by the mode of batchnorm, both where a network has any: for each param ||g - g64|| <= max(3 x the error of
 *              PyTorch's single precision, 1e-3 ||g64||, 1e-6 x the norm of all gradients). The distance is estimated from
 *              8 signed sums, which is right within half of itself in 19 of 20 cases; half is therefore allowed on top
 *   ten losses of ten steps, and the loss in inference mode after them: one member or two of each family;
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

#include "graph/plan.h"
#include "subject.h"

#define SLACK 1.5 /* of the estimate */
#define STEPS 10

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

static void check_scores(struct subject *s)
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

static void check_constant_batchnorm(struct subject *s)
{
    check_gradients(s, "inference", CB_BATCHNORM_AFFINE);
}

static void check_own_batchnorm(struct subject *s)
{
    check_gradients(s, "training", CB_BATCHNORM_TRAINED);
}

/* What a reference may prove, in this order; the last only of some. */
static const struct {
    const char *what;
    void (*check)(struct subject *s);
    bool is_due_always, is_due_with_states;
} proofs[] = {
    {"scores", check_scores, true, true},
    {"gradients, inference", check_constant_batchnorm, true, true},
    {"gradients, training", check_own_batchnorm, false, true},
    {"ten losses", check_descent, false, false},
};
#define PROOF_COUNT (sizeof(proofs) / sizeof(proofs[0]))

static void test_network(void **state)
{
    struct subject subject;
    open_subject(&subject, *state);
    const struct cb_value *list = get(subject.reference, "proves");
    const bool has_states = number(get(subject.reference, "state_values")) > 0.0;
    size_t proven = 0;
    for (size_t i = 0; i < PROOF_COUNT; i++) {
        const bool is_next = proven < list->as.list.count && strcmp(list->as.list.items[proven]->text, proofs[i].what) == 0;
        if (is_next) {
            proofs[i].check(&subject);
            proven++;
        } else if (has_states ? proofs[i].is_due_with_states : proofs[i].is_due_always) {
            fail_msg("%s: the reference does not prove its %s", subject.name, proofs[i].what);
        }
    }
    assert_int_equal(proven, list->as.list.count);
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
