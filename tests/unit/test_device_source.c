/* Kernel texts: where they are found, includes in place, `#line` that names the real files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "device/internal.h"

static char folder[] = "/tmp/cambium-source-XXXXXX";
static struct cb_arena *arena;

static const char *put(const char *name, const char *text)
{
    char *path = cb_path_join(arena, folder, name);
    assert_int_equal(cb_make_folders(cb_path_folder(arena, path), NULL), CB_OK);
    assert_int_equal(cb_file_write_atomic(path, text, strlen(text), NULL), CB_OK);
    return path;
}

static void expect_text(const char *path, const char *fmt, ...)
{
    struct cb_text text = {0};
    va_list args;
    va_start(args, fmt);
    char *expected = cb_arena_vprintf(arena, fmt, args);
    va_end(args);
    assert_int_equal(cb__source_expand("", path, &text, NULL), CB_OK);
    assert_string_equal(text.data, expected);
    cb_text_free(&text);
}

static void test_plain_file(void **state)
{
    (void)state;
    const char *path = put("a.cl", "one\n  two"); /* no newline at the end */
    expect_text(path, "#line 1 \"%s\"\none\n  two\n", path);
}

static void test_includes(void **state)
{
    (void)state;
    const char *inner = put("inner.clh", "inner 1\ninner 2\n");
    const char *path = put("b.cl", "first\n  #  include  \"inner.clh\"  \nthird\n#include <kept>\n");
    expect_text(path, "#line 1 \"%s\"\nfirst\n#line 1 \"%s\"\ninner 1\ninner 2\n#line 3 \"%s\"\nthird\n#include <kept>\n",
                path, inner, path);
}

static void test_header_stands_in_front(void **state)
{
    (void)state;
    const char *inner = put("inner.clh", "inner\n");
    const char *path = put("d.cl", "last\n");
    struct cb_text text = {0};
    assert_int_equal(cb__source_expand("first\n#include \"inner.clh\"\nthird", path, &text, NULL), CB_OK);
    assert_string_equal(text.data, cb_arena_printf(arena, "#line 1 \"<generated for d.cl>\"\nfirst\n#line 1 \"%s\"\ninner\n"
                                                          "#line 3 \"<generated for d.cl>\"\nthird\n#line 1 \"%s\"\nlast\n",
                                                   inner, path));
    cb_text_free(&text);
}

static void test_cycle_ends(void **state)
{
    (void)state;
    const char *one = put("one.clh", "a\n#include \"two.clh\"\nb\n");
    const char *two = put("two.clh", "c\n#include \"one.clh\"\nd\n");
    expect_text(one, "#line 1 \"%s\"\na\n#line 1 \"%s\"\nc\n#line 3 \"%s\"\nd\n#line 3 \"%s\"\nb\n", one, two, two,
                one);
}

static void test_missing_include_has_its_place(void **state)
{
    (void)state;
    const char *path = put("c.cl", "x\n#include \"nowhere.clh\"\n");
    struct cb_text text = {0};
    struct cb_diag *diag = cb_diag_create();
    assert_int_equal(cb__source_expand("", path, &text, diag), CB_NOT_FOUND);
    char *expected = cb_arena_printf(arena, "%s:2:1: error: `nowhere.clh` is neither beside `%s` nor in cl/include\n", path,
                                     path);
    assert_memory_equal(cb_diag_text(diag, 0), expected, strlen(expected));
    cb_text_free(&text);
    cb_diag_destroy(diag);
}

static void test_search_order(void **state)
{
    (void)state;
    const char *own = put("own/core/gemm.cl", "own\n");
    const char *beside = put("plugin/my_layer.cl", "plugin\n");
    char *plugin = cb_path_join(arena, folder, "plugin");
    unsetenv("CAMBIUM_CL_PATH");
    const char *installed = cb_kernel_path(arena, "core/gemm", NULL);
    assert_non_null(installed);
    assert_string_equal(cb_kernel_path(arena, "core/gemm", plugin), installed);
    assert_string_equal(cb_kernel_path(arena, "my_layer", plugin), beside);
    assert_null(cb_kernel_path(arena, "my_layer", NULL));
    setenv("CAMBIUM_CL_PATH", cb_arena_printf(arena, "/nonexistent:%s/own", folder), 1);
    assert_string_equal(cb_kernel_path(arena, "core/gemm", plugin), own);
    assert_string_equal(cb_kernel_path(arena, "my_layer", plugin), beside);
    unsetenv("CAMBIUM_CL_PATH");
}

static void test_kernels_hash_sees_a_change(void **state)
{
    (void)state;
    char before[65], with[65], changed[65];
    unsetenv("CAMBIUM_CL_PATH");
    cb__kernels_sha256(before);
    put("hashed/k.cl", "1\n");
    setenv("CAMBIUM_CL_PATH", cb_path_join(arena, folder, "hashed"), 1);
    cb__kernels_sha256(with);
    put("hashed/k.cl", "2\n");
    cb__kernels_sha256(changed);
    assert_string_not_equal(before, with);
    assert_string_not_equal(with, changed);
    unsetenv("CAMBIUM_CL_PATH");
}

/* Every kernel file of the tree expands: its includes exist. */
static void test_installed_kernels_expand(void **state)
{
    (void)state;
    static const char *const folders[] = {"cl", "cl/core"};
    size_t files = 0;
    for (size_t f = 0; f < 2; f++) {
        char *path = cb_resource_path(arena, folders[f]);
        char **names = NULL;
        size_t count = 0;
        assert_non_null(path);
        assert_int_equal(cb_folder_list(arena, path, &names, &count, NULL, NULL), CB_OK);
        for (size_t i = 0; i < count; i++) {
            if (strcmp(cb_path_extension(names[i]), ".cl") == 0) {
                struct cb_text text = {0};
                assert_int_equal(cb__source_expand("", cb_path_join(arena, path, names[i]), &text, NULL), CB_OK);
                assert_null(strstr(text.data, "#include \""));
                cb_text_free(&text);
                files++;
            }
        }
    }
    assert_true(files >= 5);
}

static int set_up(void **state)
{
    (void)state;
    arena = cb_arena_create();
    return arena && mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    cb_arena_destroy(arena);
    return cb_remove_tree(folder, NULL) == CB_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_file),
        cmocka_unit_test(test_includes),
        cmocka_unit_test(test_header_stands_in_front),
        cmocka_unit_test(test_cycle_ends),
        cmocka_unit_test(test_missing_include_has_its_place),
        cmocka_unit_test(test_search_order),
        cmocka_unit_test(test_kernels_hash_sees_a_change),
        cmocka_unit_test(test_installed_kernels_expand),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
