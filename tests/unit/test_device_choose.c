/* Which device a person means: numbers, parts of names, the default, and the messages when there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "device/internal.h"

static const struct cb_device_info devices[] = {
    {.name = "Big Processor", .platform = "Portable Computing Language", .is_cpu = true, .available = true,
     .global_bytes = 64u << 20},
    {.name = "Radeon", .vendor = "AMD", .platform = "rocm", .is_gpu = true, .available = true, .global_bytes = 8u << 20},
    {.name = "GeForce", .vendor = "NVIDIA Corporation", .platform = "CUDA", .is_gpu = true, .available = true,
     .global_bytes = 16u << 20},
    {.name = "Stick", .platform = "other", .available = true, .global_bytes = 128u << 20},
    {.name = "GeForce Off", .platform = "CUDA", .is_gpu = true, .global_bytes = 999u << 20},
};
static const size_t count = sizeof(devices) / sizeof(devices[0]);

static void expect_choice(const struct cb_device_info *infos, size_t n, const char *which, size_t expected)
{
    size_t index = 99;
    struct cb_diag *diag = cb_diag_create();
    assert_int_equal(cb__choose(infos, n, which, &index, diag), CB_OK);
    assert_int_equal(index, expected);
    assert_int_equal(cb_diag_count(diag, CB_NOTE), 0);
    cb_diag_destroy(diag);
}

static void expect_failure(const struct cb_device_info *infos, size_t n, const char *which, enum cb_status status,
                           const char *text)
{
    size_t index = 99;
    struct cb_diag *diag = cb_diag_create();
    assert_int_equal(cb__choose(infos, n, which, &index, diag), status);
    assert_int_equal(cb_diag_count(diag, CB_ERROR), 1);
    assert_string_equal(cb_diag_text(diag, 0), text);
    cb_diag_destroy(diag);
}

static void test_default_is_largest_available_gpu(void **state)
{
    (void)state;
    expect_choice(devices, count, NULL, 2);
    expect_choice(devices, count, "", 2);
    expect_choice(devices, 1, NULL, 0);
    const struct cb_device_info two[] = {devices[0], devices[3]};
    expect_choice(two, 2, NULL, 1); /* an accelerator before a processor */
    /* whatever they say they are, and however much memory they have */
    const struct cb_device_info slow[] = {
        {.name = "llvmpipe (LLVM 15.0.6, 256 bits)", .platform = "rusticl", .is_gpu = true, .available = true,
         .global_bytes = 256u << 20},
        {.name = "Oclgrind Simulator", .platform = "Oclgrind", .is_cpu = true, .available = true,
         .global_bytes = 512u << 20},
        devices[0]};
    expect_choice(slow, 3, NULL, 2);
    expect_choice(slow, 2, NULL, 1); /* they serve where there is nothing else */
}

static void test_number_and_name(void **state)
{
    (void)state;
    expect_choice(devices, count, "0", 0);
    expect_choice(devices, count, "3", 3);
    expect_choice(devices, count, "radeon", 1);
    expect_choice(devices, count, "nvidia", 2);   /* the vendor */
    expect_choice(devices, count, "portable", 0); /* the platform */
    expect_choice(devices, count, "CUDA", 2);     /* the first that fits */
}

static void test_failures_name_what_there_is(void **state)
{
    (void)state;
    expect_failure(devices, 0, NULL, CB_NOT_FOUND,
                   "error: no OpenCL device was found; every machine can have one: PoCL runs on the processor "
                   "(package pocl-opencl-icd on Debian, pocl elsewhere)");
    expect_failure(devices, 2, "2", CB_NOT_FOUND,
                   "error: there is no device `2`; there are 0: Big Processor (Portable Computing Language), "
                   "1: Radeon (rocm)");
    expect_failure(devices, 1, "arc", CB_NOT_FOUND,
                   "error: there is no device `arc`; there is 0: Big Processor (Portable Computing Language)");
    expect_failure(devices, count, "99999999999999999999999", CB_NOT_FOUND,
                   "error: there is no device `99999999999999999999999`; there are 0: Big Processor (Portable Computing "
                   "Language), 1: Radeon (rocm), 2: GeForce (CUDA), 3: Stick (other), 4: GeForce Off (CUDA)");
    expect_failure(devices, count, "Off", CB_DEVICE,
                   "error: device `GeForce Off` is there but not available to programs, or without a compiler");
    expect_failure(&devices[4], 1, NULL, CB_NOT_FOUND,
                   "error: none of the 1 OpenCL devices is available, the first is `GeForce Off`");
}

static void test_tile_expectation(void **state)
{
    (void)state;
    static const struct {
        const char *platform, *name;
        bool is_cpu;
        enum cb__tile expected;
    } cases[] = {
        {"CUDA", "GeForce", false, CB__TILE_NO},
        {"rusticl", "llvmpipe (LLVM 15.0.6, 256 bits)", true, CB__TILE_NO},
        {"Oclgrind", "Oclgrind Simulator", true, CB__TILE_NO},
        {"Portable Computing Language", "pthread-haswell", true, CB__TILE_TRY_HERE},
        {"Intel(R) OpenCL", "Intel(R) Core", true, CB__TILE_TRY_HERE},
        {"Some New One", "cpu", true, CB__TILE_TRY_CHILD},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cb_device_info info = {.is_cpu = cases[i].is_cpu};
        const char *reason = NULL;
        strcpy(info.platform, cases[i].platform);
        strcpy(info.name, cases[i].name);
        assert_int_equal(cb__tile_expectation(&info, &reason), cases[i].expected);
        assert_non_null(reason);
    }
}

static void test_error_names(void **state)
{
    (void)state;
    assert_string_equal(cb__cl_name(-5), "CL_OUT_OF_RESOURCES");
    assert_string_equal(cb__cl_name(-11), "CL_BUILD_PROGRAM_FAILURE");
    assert_string_equal(cb__cl_name(-1001), "CL_PLATFORM_NOT_FOUND_KHR");
    assert_string_equal(cb__cl_name(-4711), "an unknown OpenCL error");
    struct cb_diag *diag = cb_diag_create();
    assert_int_equal(cb__cl_fail(diag, -4, "making a buffer"), CB_MEMORY);
    assert_int_equal(cb__cl_fail(diag, -54, "starting kernel `x`"), CB_DEVICE);
    assert_string_equal(cb_diag_text(diag, 1), "error: starting kernel `x` failed: CL_INVALID_WORK_GROUP_SIZE (-54)");
    cb_diag_destroy(diag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_is_largest_available_gpu),
        cmocka_unit_test(test_number_and_name),
        cmocka_unit_test(test_failures_name_what_there_is),
        cmocka_unit_test(test_tile_expectation),
        cmocka_unit_test(test_error_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
