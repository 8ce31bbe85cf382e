/* A sound device passes every test of doctor; what it cannot do is declined with a reason. */
#include "base/file.h"
#include "device_common.h"

static void test_this_device_is_sound(void **state)
{
    (void)state;
    struct cb_arena *arena = cb_arena_create();
    struct cb_doctor_result *results = NULL;
    size_t count = 0;
    uint64_t before, after, peak;
    cb_device_memory(device, &before, &peak);
    must(cb_device_doctor(device, arena, &results, &count, diag));
    assert_true(count >= 11);
    bool has_plain_product = false;
    for (size_t i = 0; i < count; i++) {
        if (!results[i].passed && !results[i].declined) {
            fail_msg("%s: %s", results[i].what, results[i].detail);
        }
        assert_false(results[i].passed && results[i].declined);
        assert_true(strlen(results[i].detail) > 5);
        has_plain_product = has_plain_product || (results[i].passed && strcmp(results[i].what, "matrix product, plain") == 0);
    }
    assert_true(has_plain_product);
    assert_int_equal(cb_diag_count(diag, CB_NOTE), 0);
    cb_device_memory(device, &after, &peak);
    assert_true(after < before + (8u << 20)); /* nothing but the product's workspace stays */
    cb_arena_destroy(arena);
}

/* Kernels that compute wrong results are found out: here every one leaves its output as it was. */
static void test_a_broken_device_is_found_out(void **state)
{
    (void)state;
    static const char kernels[] =
        "__kernel void probe_functions(__global float *y, const __global float *x, int n) {}\n"
        "__kernel void probe_integers(__global uint *y, const __global uint *x, int n) {}\n"
        "__kernel void probe_vectors(__global float *y, const __global float *x, int n) {}\n"
        "__kernel void probe_half(__global float *y, __global half *s, const __global float *x, int n) {}\n"
        "__kernel void probe_local(__global float *y, const __global float *x, __local float *s) {}\n"
        "__kernel void probe_sum(__global float *y, const __global float *x, __local float *s) {}\n"
        "__kernel void probe_group(__global int *y) {}\n";
    char folder[] = "/tmp/cambium-doctor-XXXXXX";
    struct cb_arena *arena = cb_arena_create();
    struct cb_doctor_result *results = NULL;
    struct cb_device *broken = NULL;
    size_t count = 0, failed = 0;
    assert_non_null(mkdtemp(folder));
    char *core = cb_path_join(arena, folder, "core");
    must(cb_make_folders(core, diag));
    must(cb_file_write_atomic(cb_path_join(arena, core, "probe.cl"), kernels, strlen(kernels), diag));
    setenv("CAMBIUM_CL_PATH", folder, 1);
    must(cb_device_open(NULL, &broken, diag));
    must(cb_device_doctor(broken, arena, &results, &count, diag));
    unsetenv("CAMBIUM_CL_PATH");
    for (size_t i = 0; i < count; i++) {
        failed += !results[i].passed && !results[i].declined;
    }
    assert_int_equal(failed, 7); /* all but memory and the products */
    cb_device_close(broken);
    must(cb_remove_tree(folder, diag));
    cb_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_this_device_is_sound),
        cmocka_unit_test(test_a_broken_device_is_found_out),
    };
    open_device_or_skip();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    close_device();
    return failed;
}
