/* Work-group sizes for launches that leave them open, and the chunks of the matrix product. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "device/internal.h"

static void expect(bool is_cpu, uint64_t units, uint64_t max_local, uint64_t g0, uint64_t g1, uint64_t g2, size_t l0,
                   size_t l1, size_t l2)
{
    const uint64_t global[3] = {g0, g1, g2};
    size_t local[3] = {0, 0, 0};
    cb__local_size(is_cpu, units, max_local, global, local);
    assert_int_equal(local[0], l0);
    assert_int_equal(local[1], l1);
    assert_int_equal(local[2], l2);
}

static void test_processor(void **state)
{
    (void)state;
    expect(true, 2, 4096, 1000000, 1, 1, 64, 1, 1);
    expect(true, 2, 4096, 512, 1, 1, 64, 1, 1);
    expect(true, 2, 4096, 100, 1, 1, 8, 1, 1); /* 12 groups keep two cores busy, 1 would not */
    expect(true, 2, 4096, 10, 1, 1, 1, 1, 1);
    expect(true, 2, 4096, 3, 1000, 1, 1, 1, 1); /* never padded from 3 to 8 */
    expect(true, 2, 4096, 64, 100, 1, 64, 1, 1);
    expect(true, 64, 4096, 512, 1, 1, 1, 1, 1); /* many cores: small groups */
    expect(true, 2, 32, 1000000, 1, 1, 8, 1, 1); /* the driver allows no 64 */
}

static void test_gpu(void **state)
{
    (void)state;
    expect(false, 40, 1024, 1000000, 1, 1, 128, 1, 1);
    expect(false, 40, 64, 1000000, 1, 1, 64, 1, 1);
    expect(false, 40, 100, 1000000, 1, 1, 64, 1, 1); /* a power of two */
    expect(false, 40, 1024, 3, 1000, 1, 4, 8, 1);    /* 1000 = 8 * 125: dimension 1 is divided, not padded */
    expect(false, 40, 1024, 5, 7, 9, 8, 1, 1);
    expect(false, 40, 1024, 1, 1, 1, 1, 1, 1);
    expect(false, 40, 1024, 2, 64, 64, 2, 64, 1);
}

/* The promises of cl/core/gemm.cl: a multiple of 256 (so of every form's step), at most 64 chunks. */
static void test_chunks(void **state)
{
    (void)state;
    assert_int_equal(cb__gemm_chunk(1), 256);
    assert_int_equal(cb__gemm_chunk(256), 256);
    assert_int_equal(cb__gemm_chunk(16384), 256);
    assert_int_equal(cb__gemm_chunk(16385), 512);
    for (int64_t k = 1; k < 2000000; k = k * 9 / 7 + 1) {
        int64_t chunk = cb__gemm_chunk(k);
        assert_true(chunk > 0 && chunk % 256 == 0);
        assert_true((k + chunk - 1) / chunk <= 64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processor),
        cmocka_unit_test(test_gpu),
        cmocka_unit_test(test_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
