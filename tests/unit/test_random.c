/* test_random.c: Philox 4x32-10 against the known answers of its authors (Random123, kat_vectors), streams that do not
 * move each other, and the first values of params against the moments that their initialisers promise. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/random.h"

static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], wanted[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t got[4];
        cb_philox4x32(cases[i].counter, cases[i].key, got);
        assert_memory_equal(got, cases[i].wanted, sizeof(got));
    }
}

static void streams_are_apart(void **state)
{
    (void)state;
    struct cb_random a, b, again;
    cb_random_start(&a, 1, "shuffle", 3);
    cb_random_start(&b, 1, "shuffle", 4);
    cb_random_start(&again, 1, "shuffle", 3);
    uint32_t equal = 0;
    for (int i = 0; i < 1000; i++) {
        const uint32_t bits = cb_random_bits(&a);
        equal += bits == cb_random_bits(&b);
        assert_int_equal(bits, cb_random_bits(&again));
    }
    assert_true(equal < 3);
    assert_true(cb_random_seed(1, "conv1") != cb_random_seed(1, "conv2"));
    assert_true(cb_random_seed(1, "conv1") != cb_random_seed(2, "conv1"));
}

static void draws_are_even(void **state)
{
    (void)state;
    struct cb_random random;
    double sum = 0.0, square = 0.0;
    int counts[6] = {0};
    cb_random_start(&random, 5, "moments", 0);
    for (int i = 0; i < 60000; i++) {
        const double z = cb_random_normal(&random);
        sum += z;
        square += z * z;
        counts[cb_random_below(&random, 6)]++;
    }
    assert_true(fabs(sum / 60000) < 4 / sqrt(60000.0));
    assert_true(fabs(square / 60000 - 1.0) < 4 * sqrt(2.0 / 60000.0));
    for (int i = 0; i < 6; i++) {
        assert_in_range(counts[i], 9600, 10400); /* 10000, four standard deviations of 91 */
    }
}

static void every_order(void **state)
{
    (void)state;
    int counts[6] = {0};
    for (uint64_t run = 0; run < 6000; run++) {
        struct cb_random random;
        uint32_t items[3] = {0, 1, 2};
        cb_random_start(&random, 9, "order", run);
        cb_random_shuffle(&random, items, 3);
        counts[items[0] * 2 + (items[1] > items[2])]++;
    }
    for (int i = 0; i < 6; i++) {
        assert_in_range(counts[i], 880, 1120); /* 1000, four standard deviations of 29 */
    }
}

static void initialisers(void **state)
{
    (void)state;
    enum { COUNT = 40000 };
    static const struct {
        uint32_t init;
        double value, deviation, bound; /* bound 0: none */
    } cases[] = {
        {CB_INIT_CONSTANT, 0.25, 0.0, 0.25},
        {CB_INIT_HE_NORMAL, 1.0, 0.1, 0.0},                                   /* sqrt(2 / 200) */
        {CB_INIT_HE_UNIFORM, 1.0, 0.040824829046386304, 0.07071067811865475}, /* 1 / sqrt(200) */
        {CB_INIT_GLOROT_UNIFORM, 1.0, 0.07071067811865475, 0.12247448713915890}, /* sqrt(6 / 400) */
        {CB_INIT_NORMAL, 0.02, 0.02, 0.0},
    };
    float *values = malloc(COUNT * sizeof(float)), *again = malloc(COUNT * sizeof(float));
    assert_true(values && again);
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        const struct cb_param_decl decl = {.struct_size = sizeof(decl), .name = "w", .rank = 2, .init = cases[c].init,
                                           .dims = {200, COUNT / 200}, .value = cases[c].value, .fan_in = 200, .fan_out = 200};
        double sum = 0.0, square = 0.0, largest = 0.0;
        cb_param_init(&decl, 1, "layer.w", values);
        cb_param_init(&decl, 1, "layer.w", again);
        assert_memory_equal(values, again, COUNT * sizeof(float));
        for (int i = 0; i < COUNT; i++) {
            sum += values[i];
            square += (double)values[i] * values[i];
            largest = fmax(largest, fabs(values[i]));
        }
        const double mean = sum / COUNT, deviation = sqrt(fmax(0.0, square / COUNT - mean * mean));
        assert_true(fabs(deviation - cases[c].deviation) <= 0.02 * cases[c].deviation + 1e-6);
        assert_true(cases[c].bound == 0.0 || largest <= cases[c].bound * (1.0 + 1e-6));
        assert_true(cases[c].init == CB_INIT_CONSTANT || fabs(mean) <= 4.0 * cases[c].deviation / sqrt(COUNT));
    }
    free(again);
    free(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers), cmocka_unit_test(streams_are_apart),
                                       cmocka_unit_test(draws_are_even), cmocka_unit_test(every_order),
                                       cmocka_unit_test(initialisers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
