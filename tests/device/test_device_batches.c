/* A plan is made for the largest batch and also runs smaller ones, the last of an epoch: no layer may ask for less scratch
 * memory for a batch than for a smaller one. Parts of a sum whose number jumps with the batch are what goes wrong. */
#include "device_common.h"

#include "graph/step.h"

static struct cb_arena *arena;

struct subject {
    const char *layers; /* ends in [N,2] */
    uint32_t rank;
    int64_t dims[4];
    int64_t from, to; /* batches */
};

static const struct subject subjects[] = {
    {"[{conv2d: {kernel: 3, padding: 1, groups: depthwise}}, batchnorm, prelu, global_avgpool, {dense: {units: 2}}]", 4,
     {1, 7, 7, 32}, 1, 20},
    {"[{conv2d: {kernel: 3, stride: 2, padding: 1, groups: depthwise}}, global_avgpool, {dense: {units: 2}}]", 4,
     {1, 10, 9, 32}, 1, 30},
    {"[{conv2d: {filters: 32, kernel: 3, padding: 1}}, {conv2d: {filters: 6, kernel: 3, groups: 2}}, "
     "{conv_transpose2d: {filters: 4, kernel: 3, stride: 2}}, {groupnorm: {groups: 2}}, global_avgpool, {dense: {units: 2}}]",
     4, {1, 9, 10, 32}, 1, 20},
    {"[layernorm, rmsnorm, mean_tokens, {dense: {units: 2}}]", 3, {1, 191, 20}, 80, 90},
    {"[layernorm, batchnorm, mean_tokens, {dense: {units: 2}}]", 3, {1, 771, 3}, 80, 90},
    {"[{dense: {units: 8}, name: a}, {attention: {heads: 2}, inputs: [a, a, a]}, {lstm: {units: 5}}, mean_tokens, "
     "{dense: {units: 2}}]", 3, {1, 6, 8}, 1, 12},
};

/* Elements of scratch of each pass of each step, as many as there are, in order. */
static uint32_t scratch_of(struct cb_store *store, const uint32_t outputs[2], int64_t batch, int64_t *out, uint32_t room)
{
    struct cb_plan *plan;
    const struct cb_plan_request request = {.training = true, .gradients = true, .batch = batch, .outputs = outputs,
                                            .output_count = 2};
    uint32_t count = 0;
    must(cb_plan_create(store, &request, &plan, diag));
    for (uint32_t s = 0; s < plan->step_count; s++) {
        for (uint32_t pass = CB_PASS_FORWARD; pass <= CB_PASS_DW; pass++) {
            for (uint32_t k = 0; k < plan->steps[s].passes[pass].workspace_count; k++) {
                assert_true(count < room);
                out[count++] = cb_tensor_count(plan->steps[s].passes[pass].workspace[k]);
            }
        }
    }
    cb_plan_destroy(plan);
    return count;
}

/* How many there were: plain variants may do without. */
static uint32_t check(const struct subject *subject)
{
    struct cb_registry *registry = cb_registry_create(&cb__host);
    struct cb_network *net = cb_network_create(registry, "n");
    struct cb_store *store = NULL;
    struct cb_value *list = NULL;
    uint32_t x, target, y, loss, seen = 0;
    int64_t least[64] = {0}, now[64];
    must(cb_yaml_read_text(arena, "layers", subject->layers, strlen(subject->layers), &list, diag));
    must(cb_network_add_input(net, "x", CB_F32, subject->rank, subject->dims, NULL, &x, diag));
    must(cb_network_read_layers(net, list, "", x, true, &y, diag));
    must(cb_network_add_input(net, "target", CB_F32, 2, (int64_t[]){1, 2}, NULL, &target, diag));
    must(cb_network_add_layer(net, "mse", "loss", NULL, (uint32_t[]){y, target}, 2, true, NULL, &loss, diag));
    must(cb_network_freeze(net, cb_value_text(arena, "none", NULL), CB_BATCHNORM_TRAINED, diag));
    must(cb_store_create(net, device, true, &store, diag));
    for (int64_t batch = subject->from; batch <= subject->to; batch++) {
        const uint32_t count = scratch_of(store, (uint32_t[]){y, net->nodes[loss].y[0]}, batch, now, 64);
        assert_true(batch == subject->from || count == seen);
        seen = count;
        for (uint32_t i = 0; i < count; i++) {
            if (now[i] < least[i]) {
                fail_msg("%s: scratch %u takes %lld elements for a batch of %lld, %lld for a smaller one", subject->layers, i,
                         (long long)now[i], (long long)batch, (long long)least[i]);
            }
            least[i] = now[i];
        }
    }
    cb_store_destroy(store);
    cb_network_destroy(net);
    cb_registry_destroy(registry);
    return seen;
}

static void test_scratch_grows_with_the_batch(void **state)
{
    uint32_t count = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
        count += check(&subjects[i]);
    }
    assert_true(count > 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_scratch_grows_with_the_batch)};
    arena = cb_arena_create();
    open_device_or_skip();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    close_device();
    cb_arena_destroy(arena);
    return failed;
}
