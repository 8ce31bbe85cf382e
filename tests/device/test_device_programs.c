/* Programs and launches: sharing, the cache on disk and its damage, build errors, arguments, profiling. */
#include <dirent.h>
#include <unistd.h>

#include "base/file.h"
#include "device/internal.h"
#include "device_common.h"

static char folder[] = "/tmp/cambium-programs-XXXXXX";
static struct cb_arena *arena;

static const char *put(const char *name, const char *text)
{
    char *path = cb_path_join(arena, folder, name);
    must(cb_make_folders(cb_path_folder(arena, path), diag));
    must(cb_file_write_atomic(path, text, strlen(text), diag));
    return path;
}

static const char scale_text[] = "#include \"factor.clh\"\n"
                                 "__kernel void scale(__global float *y, int n, float by, __local float *unused)\n"
                                 "{\n"
                                 "    int i = get_global_id(0);\n"
                                 "    if (i >= n) {\n"
                                 "        return;\n"
                                 "    }\n"
                                 "    y[i] = (y[i] + OFFSET) * by * FACTOR;\n"
                                 "}\n"
                                 "__kernel void is_null(__global int *y, __global int *p)\n"
                                 "{\n"
                                 "    y[0] = p == 0 ? 5 : 6;\n"
                                 "}\n";

/* y = (3 + OFFSET) * by * FACTOR over 100 elements of 128 */
static float run_scale(struct cb_device *on, const char *path, const char *header, const char *defines, float by)
{
    struct cb_kernel *kernel = NULL;
    float values[128];
    for (int i = 0; i < 128; i++) {
        values[i] = 3.0f;
    }
    struct cb_tensor y = {.struct_size = sizeof(y), .rank = 1, .dims = {128}};
    must(cb_buffer_create(on, sizeof(values), &y.buffer, diag));
    must(cb_buffer_write(on, y.buffer, 0, values, sizeof(values), diag));
    must(cb_kernel_get(on, header, path, defines, "scale", &kernel, diag));
    const struct cb_arg args[] = {CB_A_TENSOR(&y), CB_A_I32(100), CB_A_F32(by), CB_A_LOCAL(16)};
    must(cb_kernel_launch(on, kernel, CB_GRID(100), args, 4, diag));
    must(cb_buffer_read(on, y.buffer, 0, values, sizeof(values), diag));
    for (int i = 0; i < 128; i++) {
        assert_true(values[i] == (i < 100 ? values[0] : 3.0f));
    }
    cb_buffer_destroy(y.buffer);
    return values[0];
}

static void test_header_defines_and_includes(void **state)
{
    (void)state;
    put("factor.clh", "#define FACTOR 10.0f\n");
    const char *path = put("scale.cl", scale_text);
    assert_true(run_scale(device, path, "#define OFFSET 1.0f", NULL, 2.0f) == 80.0f);
    assert_true(run_scale(device, path, "#define OFFSET 2.0f", NULL, 2.0f) == 100.0f);
    assert_true(run_scale(device, path, NULL, "-DOFFSET=4.0f", 1.0f) == 70.0f);
}

static void test_programs_are_shared(void **state)
{
    (void)state;
    const char *path = put("scale.cl", scale_text);
    struct cb_kernel *one = NULL, *same = NULL, *other = NULL;
    put("factor.clh", "#define FACTOR 10.0f\n");
    must(cb_kernel_get(device, NULL, path, "-DOFFSET=9.0f", "scale", &one, diag));
    uint64_t made = device->program_builds + device->program_loads;
    must(cb_kernel_get(device, NULL, path, "-DOFFSET=9.0f", "scale", &same, diag));
    must(cb_kernel_get(device, NULL, path, "-DOFFSET=9.0f", "is_null", &other, diag));
    assert_ptr_equal(one, same);
    assert_ptr_not_equal(one, other);
    assert_int_equal(device->program_builds + device->program_loads, made);
}

/* Opens a device that was open long enough for costly binaries to be kept. */
static struct cb_device *open_patient(void)
{
    struct cb_device *patient = NULL;
    must(cb_device_open(NULL, &patient, diag));
    patient->opened_at -= 3600.0;
    return patient;
}

/* Overwrites bytes at `at` of every binary in the cache; returns how many there are. */
static int damage_cache(const char *kernels, long at, bool truncate_it)
{
    char **names = NULL;
    size_t count = 0;
    must(cb_folder_list(arena, kernels, &names, &count, NULL, diag));
    for (size_t i = 0; i < count; i++) {
        char *path = cb_path_join(arena, kernels, names[i]);
        if (truncate_it) {
            assert_int_equal(truncate(path, at), 0);
            continue;
        }
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        assert_int_equal(fwrite("damage", 1, 6, file), 6);
        fclose(file);
    }
    return (int)count;
}

static void run_patient(const char *path, uint64_t builds, uint64_t loads, float expected)
{
    struct cb_device *patient = open_patient();
    uint64_t builds_before = patient->program_builds, loads_before = patient->program_loads;
    assert_true(run_scale(patient, path, NULL, "-DOFFSET=0.0f", 1.0f) == expected);
    assert_int_equal(patient->program_builds - builds_before, builds);
    assert_int_equal(patient->program_loads - loads_before, loads);
    cb_device_close(patient);
}

static void test_cache_on_disk(void **state)
{
    (void)state;
    char *cache = cb_path_join(arena, folder, "cache"), *kernels = cb_path_join(arena, cache, "kernels");
    char *before = getenv("CAMBIUM_CACHE") ? cb_arena_strdup(arena, getenv("CAMBIUM_CACHE")) : NULL;
    put("factor.clh", "#define FACTOR 2.0f\n");
    const char *path = put("scale.cl", scale_text);
    setenv("CAMBIUM_CACHE", cache, 1);
    setenv("CAMBIUM_CAPS", "plain", 1); /* no trial, so that the counts are this test's own */

    run_patient(path, 1, 0, 6.0f);
    run_patient(path, 0, 1, 6.0f);
    assert_int_equal(damage_cache(kernels, 300, false), 1); /* in the binary: the hash tells */
    run_patient(path, 1, 0, 6.0f);
    run_patient(path, 0, 1, 6.0f); /* it was replaced */
    assert_int_equal(damage_cache(kernels, 2, false), 1); /* in the magic */
    run_patient(path, 1, 0, 6.0f);
    assert_int_equal(damage_cache(kernels, 40, true), 1);
    run_patient(path, 1, 0, 6.0f);
    assert_int_equal(damage_cache(kernels, 0, true), 1);
    run_patient(path, 1, 0, 6.0f);
    put("factor.clh", "#define FACTOR 5.0f\n"); /* a changed include is another program */
    run_patient(path, 1, 0, 15.0f);
    run_patient(path, 0, 1, 15.0f);

    unsetenv("CAMBIUM_CAPS");
    if (before) {
        setenv("CAMBIUM_CACHE", before, 1);
    } else {
        unsetenv("CAMBIUM_CACHE");
    }
}

static void test_build_error_names_the_file(void **state)
{
    (void)state;
    struct cb_kernel *kernel = NULL;
    put("broken.clh", "\n\nint broken(int x) { return x + undeclared_name; }\n");
    const char *path = put("uses.cl", "#include \"broken.clh\"\n__kernel void k(__global int *y) { y[0] = broken(1); }\n");
    assert_int_equal(cb_kernel_get(device, NULL, path, NULL, "k", &kernel, diag), CB_DEVICE);
    const char *text = cb_diag_text(diag, 0);
    assert_non_null(strstr(text, "undeclared_name"));
    /* oclgrind counts the lines of the whole text, whatever `#line` says */
    if (strstr(cb_device_get_info(device)->platform, "Oclgrind")) {
        assert_non_null(strstr(text, "uses.cl` does not build for device"));
    } else {
        assert_non_null(strstr(text, cb_arena_printf(arena, "error: `%s/broken.clh`, which goes into `%s`, does not "
                                                            "build for device", folder, path)));
        assert_non_null(strstr(text, cb_arena_printf(arena, "%s/broken.clh:3:", folder)));
    }
    cb_diag_clear(diag);
}

static void test_wrong_use(void **state)
{
    (void)state;
    put("factor.clh", "#define FACTOR 1.0f\n");
    const char *path = put("scale.cl", scale_text);
    struct cb_kernel *kernel = NULL;
    char *text = cb_arena_printf(arena, "error: `%s` has no kernel `sclae`", path);
    expect_error(cb_kernel_get(device, NULL, path, "-DOFFSET=9.0f", "sclae", &kernel, diag), CB_NOT_FOUND, text);
    must(cb_kernel_get(device, NULL, path, "-DOFFSET=9.0f", "scale", &kernel, diag));
    const struct cb_arg args[] = {CB_A_TENSOR(NULL), CB_A_I32(1LL << 40), CB_A_F32(1.0), CB_A_LOCAL(16)};
    expect_error(cb_kernel_launch(device, kernel, CB_GRID(1), args, 3, diag), CB_INVALID,
                 "error: kernel `scale` takes 4 arguments, not 3");
    expect_error(cb_kernel_launch(device, kernel, CB_GRID(1), args, 4, diag), CB_INVALID,
                 "error: argument 1 of kernel `scale` is too large for an int: 1099511627776");
}

static void test_null_tensor_and_empty_grid(void **state)
{
    (void)state;
    put("factor.clh", "#define FACTOR 1.0f\n");
    const char *path = put("scale.cl", scale_text);
    struct cb_kernel *kernel = NULL;
    int32_t value = 0;
    struct cb_tensor y = {.struct_size = sizeof(y), .dtype = CB_I32, .rank = 1, .dims = {1}}, none = y;
    must(cb_kernel_get(device, NULL, path, "-DOFFSET=9.0f", "is_null", &kernel, diag));
    must(cb_buffer_create(device, 4, &y.buffer, diag));
    must(cb_buffer_write(device, y.buffer, 0, &value, 4, diag));
    const struct cb_arg with_null[] = {CB_A_TENSOR(&y), CB_A_TENSOR(NULL)};
    const struct cb_arg with_unbound[] = {CB_A_TENSOR(&y), CB_A_TENSOR(&none)};
    const struct cb_arg with_buffer[] = {CB_A_TENSOR(&y), CB_A_TENSOR(&y)};
    must(cb_kernel_launch(device, kernel, CB_GRID(0), with_null, 2, diag));
    must(cb_buffer_read(device, y.buffer, 0, &value, 4, diag));
    assert_int_equal(value, 0); /* nothing ran */
    must(cb_kernel_launch(device, kernel, CB_GRID(1), with_null, 2, diag));
    must(cb_buffer_read(device, y.buffer, 0, &value, 4, diag));
    assert_int_equal(value, 5);
    must(cb_kernel_launch(device, kernel, CB_GRID(1), with_buffer, 2, diag));
    must(cb_buffer_read(device, y.buffer, 0, &value, 4, diag));
    assert_int_equal(value, 6);
    must(cb_kernel_launch(device, kernel, CB_GRID(1, 0, 0), with_unbound, 2, diag));
    must(cb_buffer_read(device, y.buffer, 0, &value, 4, diag));
    assert_int_equal(value, 5);
    cb_buffer_destroy(y.buffer);
}

static void test_profile(void **state)
{
    (void)state;
    put("factor.clh", "#define FACTOR 10.0f\n");
    const char *path = put("scale.cl", scale_text);
    struct cb_text report = {0};
    cb_device_profile(device, true);
    for (int i = 0; i < 3; i++) {
        assert_true(run_scale(device, path, NULL, "-DOFFSET=8.0f", 1.0f) == 110.0f);
    }
    cb_device_profile_report(device, &report);
    cb_device_profile(device, false);
    const char *line = strstr(report.data, "scale ");
    long launches = 0;
    double seconds = 0.0;
    bool found = false;
    for (; line && !found; line = strstr(line + 1, "scale ")) {
        found = sscanf(line, "scale %ld %lf", &launches, &seconds) == 2 && launches == 3;
    }
    assert_true(found);
    /* Mesa 22.3's rusticl gives zero for every time stamp */
    assert_true(seconds > 0.0 || strstr(cb_device_get_info(device)->platform, "rusticl"));
    assert_true(run_scale(device, path, NULL, "-DOFFSET=8.0f", 1.0f) == 110.0f);
    cb_text_free(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_defines_and_includes),
        cmocka_unit_test(test_programs_are_shared),
        cmocka_unit_test(test_cache_on_disk),
        cmocka_unit_test(test_build_error_names_the_file),
        cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_null_tensor_and_empty_grid),
        cmocka_unit_test(test_profile),
    };
    open_device_or_skip();
    arena = cb_arena_create();
    if (!arena || !mkdtemp(folder)) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cb_remove_tree(folder, NULL);
    cb_arena_destroy(arena);
    close_device();
    return failed;
}
