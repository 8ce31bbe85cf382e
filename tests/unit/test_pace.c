/* How many rows are computed at a time: each size is tried for as many rows as the largest, the first try counts for nothing,
 * the fastest stays, ends of batches say nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/pace.h"

/* A batch of `count` rows whose parts of n rows take seconds[n] a row; the size of the last part that was a whole one. */
static uint32_t compute(struct cb_pace *pace, uint32_t count, const double *seconds)
{
    uint32_t last = 0;
    for (uint32_t at = 0, n; at < count; at += n) {
        n = cb_pace_rows(pace, count - at);
        assert_in_range(n, 1, count - at);
        last = n;
        cb_pace_took(pace, n, n * seconds[n]);
    }
    return last;
}

static void tries_each_size_and_keeps_the_fastest(void **state)
{
    double seconds[17] = {0};
    struct cb_pace pace;
    (void)state;
    for (uint32_t fastest = 1; fastest <= 16; fastest *= 2) {
        for (uint32_t n = 1; n <= 16; n++) {
            seconds[n] = n == fastest ? 1.0 : 2.0;
        }
        cb_pace_start(&pace, 16, true);
        assert_int_equal(compute(&pace, 16, seconds), 16); /* does not count */
        for (uint32_t size = 16; size > 0; size /= 2) {
            assert_int_equal(compute(&pace, 16, seconds), size);
        }
        assert_int_equal(compute(&pace, 16, seconds), fastest);
        assert_int_equal(cb_pace_rows(&pace, 3), fastest < 3 ? fastest : 3);
    }
}

static void the_first_run_does_not_count(void **state)
{
    double slow[17], seconds[17];
    struct cb_pace pace;
    (void)state;
    for (uint32_t n = 0; n <= 16; n++) {
        slow[n] = 100.0;
        seconds[n] = n == 16 ? 1.0 : 1.5;
    }
    cb_pace_start(&pace, 16, true);
    (void)compute(&pace, 16, slow);
    for (int i = 0; i < 5; i++) {
        (void)compute(&pace, 16, seconds);
    }
    assert_int_equal(cb_pace_rows(&pace, 100), 16);
}

static void a_little_faster_is_not_worth_it(void **state)
{
    double seconds[17];
    struct cb_pace pace;
    (void)state;
    for (uint32_t n = 0; n <= 16; n++) {
        seconds[n] = n == 16 ? 1.0 : 0.98;
    }
    cb_pace_start(&pace, 16, true);
    for (int i = 0; i < 6; i++) {
        (void)compute(&pace, 16, seconds);
    }
    assert_int_equal(cb_pace_rows(&pace, 100), 16);
}

static void ends_of_batches_say_nothing(void **state)
{
    double seconds[17];
    struct cb_pace pace;
    (void)state;
    for (uint32_t n = 0; n <= 16; n++) {
        seconds[n] = n == 3 ? 0.0 : n == 4 ? 1.0 : 2.0;
    }
    cb_pace_start(&pace, 16, true);
    for (int i = 0; i < 40; i++) {
        (void)compute(&pace, 11, seconds);
    }
    assert_int_equal(pace.turn, 0); /* 16 rows never came together */
    for (int i = 0; i < 40; i++) {
        (void)compute(&pace, 19, seconds);
    }
    assert_int_equal(cb_pace_rows(&pace, 100), 4);
}

static void not_tried(void **state)
{
    double seconds[17] = {0};
    struct cb_pace pace;
    (void)state;
    cb_pace_start(&pace, 16, false);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(compute(&pace, 16, seconds), 16);
    }
    cb_pace_start(&pace, 1, true);
    assert_int_equal(cb_pace_rows(&pace, 5), 1);
    cb_pace_start(&pace, 0, true);
    assert_int_equal(cb_pace_rows(&pace, 5), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tries_each_size_and_keeps_the_fastest), cmocka_unit_test(the_first_run_does_not_count),
        cmocka_unit_test(a_little_faster_is_not_worth_it),       cmocka_unit_test(ends_of_batches_say_nothing),
        cmocka_unit_test(not_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
