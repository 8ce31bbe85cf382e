/* Gradients of a plan's inputs, asked for by themselves: against differences of the loss; of a frozen network too; none for
 * a loss's targets, and none when nobody asks. */
#include "device_common.h"

#include <math.h>

#include "graph/squared_error.h"
#include "graph/step.h"

#define BATCH 2
#define SIZE 3

static struct cb_arena *arena;

struct fixture {
    struct cb_registry *registry;
    struct cb_network *net;
    struct cb_store *store;
    struct cb_plan *plan;
    uint32_t x, y, target, losses;
};

/* A network in which x is read twice. */
static void open_net(struct fixture *f, const char *frozen, bool input_gradients)
{
    static const char layers[] = "[{dense: {units: 3}, name: a}, tanh, {add: {}, inputs: [tanh, input]}, tanh, {dense: {units: 2}}]";
    static const int64_t dims[] = {1, SIZE};
    struct cb_value *list = NULL;
    f->registry = cb_registry_create(&cb__host);
    f->net = cb_network_create(f->registry, "inputs");
    must(cb_yaml_read_text(arena, "layers", layers, strlen(layers), &list, diag));
    must(cb_network_add_input(f->net, "input", CB_F32, 2, dims, NULL, &f->x, diag));
    must(cb_network_read_layers(f->net, list, "", f->x, false, &f->y, diag));
    must(cb__network_add_squared_error(f->net, arena, f->y, &f->target, &f->losses, diag));
    for (uint32_t i = 0; i < f->net->param_count; i++) {
        for (int64_t k = 0; k < f->net->params[i].count; k++) {
            f->net->params[i].host[k] = 0.15f * (float)((k * 7 + i * 3) % 11) - 0.7f;
        }
    }
    must(cb_network_freeze(f->net, cb_value_text(arena, frozen, NULL), CB_BATCHNORM_TRAINED, diag));
    must(cb_store_create(f->net, device, true, &f->store, diag));
    const uint32_t outputs[] = {f->y, f->losses};
    const struct cb_plan_request request = {.gradients = true, .input_gradients = input_gradients, .batch = BATCH,
                                            .outputs = outputs, .output_count = 2};
    must(cb_plan_create(f->store, &request, &f->plan, diag));
}

static void close_net(struct fixture *f)
{
    cb_plan_destroy(f->plan);
    cb_store_destroy(f->store);
    cb_network_destroy(f->net);
    cb_registry_destroy(f->registry);
}

/* The sum of the losses for x. */
static double loss_of(const struct fixture *f, const float *x)
{
    static const float target[BATCH * 2] = {0.5f, -1.0f, 2.0f, 0.25f};
    const struct cb_plan_run run = {.n = BATCH, .seed = 1};
    float losses[BATCH];
    must(cb_buffer_write(device, cb_plan_tensor(f->plan, f->x)->buffer, 0, x, BATCH * SIZE * sizeof(*x), diag));
    must(cb_buffer_write(device, cb_plan_tensor(f->plan, f->target)->buffer, 0, target, sizeof(target), diag));
    must(cb_plan_forward(f->plan, &run, diag));
    must(cb_buffer_read(device, cb_plan_tensor(f->plan, f->losses)->buffer, 0, losses, sizeof(losses), diag));
    return (double)losses[0] + losses[1];
}

static void check_against_differences(const char *frozen)
{
    struct fixture f;
    float x[BATCH * SIZE] = {0.3f, -0.6f, 0.9f, -0.2f, 0.1f, 0.7f}, dx[BATCH * SIZE];
    const struct cb_plan_run run = {.n = BATCH, .seed = 1};
    open_net(&f, frozen, true);
    for (int step = 0; step < 2; step++) { /* the second must not add to the first */
        (void)loss_of(&f, x);
        must(cb_plan_backward(f.plan, &run, diag));
    }
    must(cb_buffer_read(device, cb_plan_gradient(f.plan, f.x)->buffer, 0, dx, sizeof(dx), diag));
    for (int i = 0; i < BATCH * SIZE; i++) {
        const float before = x[i], step = 0x1p-6f;
        x[i] = before + step;
        const double above = loss_of(&f, x);
        x[i] = before - step;
        const double below = loss_of(&f, x);
        x[i] = before;
        assert_float_equal(dx[i], (above - below) / (2.0 * step), 2e-3);
        assert_true(fabsf(dx[i]) > 1e-2f);
    }
    assert_null(cb_plan_gradient(f.plan, f.target));
    close_net(&f);
}

static void test_of_a_trained_network(void **state)
{
    (void)state;
    check_against_differences("none");
}

static void test_of_a_frozen_network(void **state)
{
    (void)state;
    check_against_differences("backbone");
}

static void test_none_unless_asked_for(void **state)
{
    struct fixture f;
    (void)state;
    open_net(&f, "none", false);
    assert_null(cb_plan_gradient(f.plan, f.x));
    close_net(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_a_trained_network),
        cmocka_unit_test(test_of_a_frozen_network),
        cmocka_unit_test(test_none_unless_asked_for),
    };
    arena = cb_arena_create();
    open_device_or_skip();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    close_device();
    cb_arena_destroy(arena);
    return failed;
}
