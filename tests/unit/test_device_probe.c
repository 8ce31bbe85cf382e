/* The trial of an unknown driver in a child process: yes, no, a crash, a hang, no program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "device/internal.h"

static char folder[] = "/tmp/cambium-probe-XXXXXX";

static void expect(const char *script, double seconds, bool passed, bool is_verdict, const char *reason)
{
    struct cb_arena *arena = cb_arena_create();
    char *path = cb_path_join(arena, folder, "probe");
    assert_int_equal(cb_file_write_atomic(path, script, strlen(script), NULL), CB_OK);
    assert_int_equal(chmod(path, 0700), 0);
    setenv("CAMBIUM_PROBE", path, 1);
    const char *got = "";
    bool got_verdict = !is_verdict;
    assert_int_equal(cb__tile_try_child(3, seconds, &got, &got_verdict), passed);
    assert_int_equal(got_verdict, is_verdict);
    assert_string_equal(got, reason);
    unsetenv("CAMBIUM_PROBE");
    cb_arena_destroy(arena);
}

static void test_yes_and_no(void **state)
{
    (void)state;
    expect("#!/bin/sh\n[ \"$1\" = 3 ] && [ $# = 1 ]\n", 10.0, true, true, "tried in a child process, and right");
    expect("#!/bin/sh\nexit 1\n", 10.0, false, true, "a trial of register tiles failed");
}

static void test_crash_and_hang(void **state)
{
    (void)state;
    expect("#!/bin/sh\nkill -SEGV $$\n", 10.0, false, true, "a trial of register tiles crashed");
    double begin = cb_clock_seconds();
    expect("#!/bin/sh\nexec sleep 30\n", 0.2, false, true, "a trial of register tiles did not end in time");
    assert_true(cb_clock_seconds() - begin < 10.0);
}

static void test_no_program(void **state)
{
    (void)state;
    const char *reason = "";
    bool is_verdict = true;
    setenv("CAMBIUM_PROBE", "/nonexistent/probe", 1);
    assert_false(cb__tile_try_child(0, 1.0, &reason, &is_verdict));
    assert_false(is_verdict);
    assert_string_equal(reason, "an unknown driver, and the program cambium-probe that would try it is not installed");
    unsetenv("CAMBIUM_PROBE");
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return cb_remove_tree(folder, NULL) == CB_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yes_and_no),
        cmocka_unit_test(test_crash_and_hang),
        cmocka_unit_test(test_no_program),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
