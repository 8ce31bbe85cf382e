/* The file of kept features: what is put in comes out, by any process that looks; what is damaged does not exist; all files
 * together stay below their limit. What a key depends on: tests/device/test_device_features.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "data_common.h"
#include "train/feature_file.h"

static int setup_cache(void **state)
{
    int failed = setup(state);
    struct fixture *f = *state;
    unsetenv("CAMBIUM_FEATURES_MB");
    return failed || setenv("CAMBIUM_CACHE", f->folder, 1) != 0;
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_cache, teardown)

static const char *id_of(struct fixture *f, unsigned number)
{
    char hex[65];
    cb_sha256_of(&number, sizeof(number), hex);
    return cb_arena_strdup(f->arena, hex);
}

static const char *path_of(struct fixture *f, const char *key)
{
    return cb_arena_printf(f->arena, "%s/features/%s", f->folder, key);
}

static struct cb_feature_file *open_file(const char *key, size_t row)
{
    struct cb_feature_file *file = cb_feature_file_open(key, row);
    assert_non_null(file);
    return file;
}

/* Adds rows `from` to `to` - 1: row i is {i, i + 0.5, i, ...}. */
static void add_rows(struct fixture *f, struct cb_feature_file *file, size_t row, unsigned from, unsigned to)
{
    float *values = malloc(row * sizeof(float));
    for (unsigned i = from; i < to; i++) {
        for (size_t k = 0; k < row; k++) {
            values[k] = (float)i + (k % 2 ? 0.5f : 0.0f);
        }
        cb_feature_file_add(file, id_of(f, i), values);
    }
    free(values);
}

static unsigned count_rows(struct fixture *f, struct cb_feature_file *file, size_t row, unsigned to)
{
    unsigned found = 0;
    float *values = malloc(row * sizeof(float));
    for (unsigned i = 0; i < to; i++) {
        if (cb_feature_file_find(file, id_of(f, i), values)) {
            assert_true(values[0] == (float)i && values[1] == (float)i + 0.5f);
            found++;
        }
    }
    free(values);
    return found;
}

static void put_rows(struct fixture *f, const char *key, size_t row, unsigned from, unsigned to)
{
    struct cb_feature_file *file = open_file(key, row);
    add_rows(f, file, row, from, to);
    cb_feature_file_save(file);
    cb_feature_file_close(file);
}

static unsigned rows_of(struct fixture *f, const char *key, size_t row)
{
    struct cb_feature_file *file = open_file(key, row);
    unsigned found = count_rows(f, file, row, 100);
    cb_feature_file_close(file);
    return found;
}

static void what_is_put_in_comes_out(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(rows_of(f, "k", 6), 0);
    put_rows(f, "k", 6, 0, 20);
    assert_int_equal(rows_of(f, "k", 6), 20);
    put_rows(f, "k", 6, 10, 31); /* some again, some new */
    assert_int_equal(rows_of(f, "k", 6), 31);
    assert_int_equal(cb_file_bytes(path_of(f, "k")), 32 + 31 * (64 + 8 + 24));
    assert_int_equal(rows_of(f, "other", 6), 0);
    assert_int_equal(rows_of(f, "k", 5), 0); /* rows of another length */
}

/* Both began with the same file; neither loses what the other adds. */
static void two_writers(void **state)
{
    struct fixture *f = *state;
    put_rows(f, "k", 6, 0, 5);
    struct cb_feature_file *a = open_file("k", 6), *b = open_file("k", 6);
    add_rows(f, a, 6, 5, 10);
    add_rows(f, b, 6, 8, 12);
    cb_feature_file_save(a);
    cb_feature_file_save(b);
    assert_int_equal(count_rows(f, b, 6, 100), 12);
    assert_int_equal(count_rows(f, a, 6, 100), 10); /* its map is the file as it wrote it */
    cb_feature_file_close(a);
    cb_feature_file_close(b);
    assert_int_equal(rows_of(f, "k", 6), 12);
}

static void damage_is_seen(void **state)
{
    struct fixture *f = *state;
    char *data;
    size_t bytes;
    put_rows(f, "k", 6, 0, 10);
    must(f, cb_file_read(f->arena, path_of(f, "k"), 1 << 20, &data, &bytes, NULL, f->diag));
    data[32 + 3 * 96 + 64 + 8 + 5] ^= 1; /* a bit of the fourth row */
    put_bytes(f, "features/k", data, bytes);
    assert_int_equal(rows_of(f, "k", 6), 9);
    put_rows(f, "k", 6, 50, 51); /* what is damaged is not written again */
    assert_int_equal(cb_file_bytes(path_of(f, "k")), 32 + 10 * 96);
    put_bytes(f, "features/k", data, bytes - 1);
    assert_int_equal(rows_of(f, "k", 6), 0);
    data[0] ^= 1;
    put_bytes(f, "features/k", data, bytes);
    assert_int_equal(rows_of(f, "k", 6), 0);
    put_bytes(f, "features/k", "", 0);
    assert_int_equal(rows_of(f, "k", 6), 0);
    put_rows(f, "k", 6, 0, 10); /* and is replaced */
    assert_int_equal(rows_of(f, "k", 6), 10);
}

static void set_age(struct fixture *f, const char *key, int seconds)
{
    struct timespec times[2];
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &times[0]), 0);
    times[0].tv_sec -= seconds;
    times[1] = times[0];
    assert_int_equal(utimensat(AT_FDCWD, path_of(f, key), times, 0), 0);
}

static void the_limit_holds(void **state)
{
    struct fixture *f = *state;
    const size_t row = 20000; /* 80 kB */
    assert_int_equal(setenv("CAMBIUM_FEATURES_MB", "1", 1), 0);
    put_rows(f, "a", row, 0, 5);
    put_rows(f, "b", row, 0, 5);
    set_age(f, "a", 300);
    set_age(f, "b", 600);
    assert_int_equal(rows_of(f, "b", row), 5); /* used now: so `a` is older */
    put_rows(f, "c", row, 0, 5);
    assert_int_equal(rows_of(f, "a", row), 0);
    assert_int_equal(rows_of(f, "b", row), 5);
    assert_int_equal(rows_of(f, "c", row), 5);
    put_rows(f, "d", row, 0, 14); /* alone beyond the limit: not kept */
    assert_int_equal(rows_of(f, "d", row), 0);
    assert_int_equal(rows_of(f, "c", row), 5);
    assert_int_equal(setenv("CAMBIUM_FEATURES_MB", "0", 1), 0);
    assert_null(cb_feature_file_open("a", row));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_put_in_comes_out),
        TEST(two_writers),
        TEST(damage_is_seen),
        TEST(the_limit_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
