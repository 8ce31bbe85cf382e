/* test_memory_plan.c: tensors that are alive together never share memory, those that are not do; random cases, checked pair
 * by pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base_common.h"
#include "graph/memory.h"
#include "train/random.h"

enum { ALIGN = 128 };

static void no_two_overlap(void **state)
{
    struct fixture *f = *state;
    struct cb_random random;
    cb_random_start(&random, 3, "lifetimes", 0);
    for (int round = 0; round < 200; round++) {
        struct cb_lifetime items[40];
        const uint32_t count = 1 + cb_random_below(&random, 40);
        uint64_t *slabs, sum = 0, planned = 0;
        uint32_t slab_count;
        for (uint32_t i = 0; i < count; i++) {
            const int32_t first = (int32_t)cb_random_below(&random, 30);
            items[i] = (struct cb_lifetime){.bytes = cb_random_below(&random, 5000), .first = first,
                                            .last = first + (int32_t)cb_random_below(&random, 10)};
            sum += (items[i].bytes + ALIGN - 1) / ALIGN * ALIGN;
        }
        assert_int_equal(cb_memory_plan(f->arena, items, count, ALIGN, 20000, &slabs, &slab_count, f->diag), CB_OK);
        for (uint32_t s = 0; s < slab_count; s++) {
            assert_true(slabs[s] <= 20000);
            planned += slabs[s];
        }
        assert_true(planned <= sum);
        for (uint32_t i = 0; i < count; i++) {
            if (items[i].bytes == 0) {
                continue;
            }
            assert_true(items[i].slab < slab_count && items[i].offset % ALIGN == 0);
            assert_true(items[i].offset + items[i].bytes <= slabs[items[i].slab]);
            for (uint32_t j = 0; j < i; j++) {
                const bool together = items[j].bytes > 0 && items[i].slab == items[j].slab &&
                                      items[i].first <= items[j].last && items[j].first <= items[i].last;
                assert_false(together && items[i].offset < items[j].offset + items[j].bytes &&
                             items[j].offset < items[i].offset + items[i].bytes);
            }
        }
    }
}

/* A chain, each alive only beside its neighbour: two places are enough. */
static void a_chain_takes_two_places(void **state)
{
    struct fixture *f = *state;
    struct cb_lifetime items[20];
    uint64_t *slabs;
    uint32_t slab_count;
    for (int32_t i = 0; i < 20; i++) {
        items[i] = (struct cb_lifetime){.bytes = 1280, .first = i, .last = i + 1};
    }
    assert_int_equal(cb_memory_plan(f->arena, items, 20, ALIGN, 1 << 20, &slabs, &slab_count, f->diag), CB_OK);
    assert_int_equal(slab_count, 1);
    assert_int_equal(slabs[0], 2560);
}

static void too_large_for_the_device(void **state)
{
    struct fixture *f = *state;
    struct cb_lifetime item = {.bytes = 4097, .first = 0, .last = 1};
    uint64_t *slabs;
    uint32_t slab_count;
    assert_int_equal(cb_memory_plan(f->arena, &item, 1, ALIGN, 4096, &slabs, &slab_count, f->diag), CB_MEMORY);
    assert_int_equal(cb_diag_count(f->diag, CB_ERROR), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(no_two_overlap), TEST(a_chain_takes_two_places), TEST(too_large_for_the_device)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
