/* Layers of several outputs in a network: which output a name means, and what backward gets for outputs that nobody
 * reads: zeros, not what the memory held before. */
#include "device_common.h"

#include "graph/step.h"

#define BATCH 3
#define UNITS 6
#define FEATURES 40

static struct cb_arena *arena;

/* The gradient of the dense layer at the top, whose parts `layers` takes and whose output is [N,2]. */
static void gradient_of(const char *layers, float dw[FEATURES * UNITS])
{
    static const int64_t x_dims[] = {1, FEATURES}, y_dims[] = {1, 2};
    struct cb_registry *registry = cb_registry_create(&cb__host);
    struct cb_network *net = cb_network_create(registry, "parts");
    struct cb_store *store = NULL;
    struct cb_plan *plan = NULL;
    struct cb_value *list = NULL;
    uint32_t x, target, y, loss;
    must(cb_yaml_read_text(arena, "parts", layers, strlen(layers), &list, diag));
    must(cb_network_add_input(net, "x", CB_F32, 2, x_dims, NULL, &x, diag));
    must(cb_network_read_layers(net, list, "", x, true, &y, diag));
    must(cb_network_add_input(net, "target", CB_F32, 2, y_dims, NULL, &target, diag));
    const uint32_t inputs[] = {y, target};
    must(cb_network_add_layer(net, "mse", "loss", NULL, inputs, 2, true, NULL, &loss, diag));
    for (uint32_t i = 0; i < net->param_count; i++) {
        for (int64_t k = 0; k < net->params[i].count; k++) {
            net->params[i].host[k] = (float)((k * 7 + i) % 11) - 5.0f;
        }
    }
    must(cb_network_freeze(net, cb_value_text(arena, "none", NULL), CB_BATCHNORM_TRAINED, diag));
    must(cb_store_create(net, device, true, &store, diag));
    const uint32_t outputs[] = {y, net->nodes[loss].y[0]};
    const struct cb_plan_request request = {.training = true, .gradients = true, .batch = BATCH, .outputs = outputs,
                                            .output_count = 2};
    const struct cb_plan_run run = {.n = BATCH, .seed = 1};
    must(cb_plan_create(store, &request, &plan, diag));
    float values[BATCH * FEATURES];
    for (int i = 0; i < BATCH * FEATURES; i++) {
        values[i] = (float)(i % 13) - 6.0f;
    }
    must(cb_buffer_write(device, cb_plan_tensor(plan, x)->buffer, 0, values, sizeof(values), diag));
    must(cb_buffer_write(device, cb_plan_tensor(plan, target)->buffer, 0, values, BATCH * 2 * sizeof(float), diag));
    for (int step = 0; step < 2; step++) {
        must(cb_plan_forward(plan, &run, diag));
        must(cb_plan_backward(plan, &run, diag));
    }
    must(cb_buffer_read(device, store->grads[0].buffer, 0, dw, FEATURES * UNITS * sizeof(float), diag));
    cb_plan_destroy(plan);
    cb_store_destroy(store);
    cb_network_destroy(net);
    cb_registry_destroy(registry);
}

/* Each part alone, against the same columns taken by slice. */
static void test_outputs_without_readers_get_no_gradient(void **state)
{
    (void)state;
    for (int part = 0; part < 3; part++) {
        float split[FEATURES * UNITS], slice[FEATURES * UNITS];
        const char *name = part == 0 ? "parts" : part == 1 ? "parts.1" : "parts.2";
        gradient_of(cb_arena_printf(arena,
                                    "[{dense: {units: 6}}, {split: {parts: 3}, name: parts}, "
                                    "{dense: {units: 2}, inputs: %s}]", name), split);
        gradient_of(cb_arena_printf(arena,
                                    "[{dense: {units: 6}}, {slice: {from: %d, to: %d}}, {dense: {units: 2}}]",
                                    2 * part, 2 * part + 2), slice);
        double size = 0.0;
        for (int i = 0; i < FEATURES * UNITS; i++) {
            const int column = i % UNITS;
            if (column / 2 != part && split[i] != 0.0f) {
                fail_msg("part %d: the gradient of column %d, which nobody reads, is %g", part, column,
                         (double)split[i]);
            }
            size += (double)slice[i] * slice[i];
            assert_true(split[i] == slice[i]);
        }
        assert_true(size > 1.0);
    }
}

/* Parts that are joined again in another order are the columns in that order. */
static void test_names_mean_their_part(void **state)
{
    (void)state;
    float split[FEATURES * UNITS], plain[FEATURES * UNITS];
    gradient_of("[{dense: {units: 6}}, {split: {sizes: [1, 2, 3]}, name: a}, "
                "{concat: {}, inputs: [a.2, a, a.1]}, {split: {sizes: [3, 1, 2]}, name: b}, "
                "{concat: {}, inputs: [b.1, b.2, b]}, {dense: {units: 2}}]", split);
    gradient_of("[{dense: {units: 6}}, {dense: {units: 2}}]", plain);
    assert_memory_equal(split, plain, sizeof(plain));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs_without_readers_get_no_gradient),
        cmocka_unit_test(test_names_mean_their_part),
    };
    arena = cb_arena_create();
    open_device_or_skip();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    close_device();
    cb_arena_destroy(arena);
    return failed;
}
