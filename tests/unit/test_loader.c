/* Batches: the order that was asked for, the same for any number of threads; from any position on; and what becomes of
 * samples that cannot be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/loader.h"
#include "data_common.h"

#define COUNT 40

/* Pictures 0 to 39, those of `bad` damaged. */
static struct cb_dataset *open_pictures(struct fixture *f, const char *more, const int *bad, int bad_count)
{
    static const int counts[2] = {COUNT / 2, COUNT / 2};
    put_classes(f, "pics", counts, 2);
    for (int i = 0; i < bad_count; i++) {
        put_text(f, cb_arena_printf(f->arena, "pics/%c/%d.png", 'a' + bad[i] / (COUNT / 2), bad[i] % (COUNT / 2) + 1), "no");
    }
    return open_data(f, cb_arena_printf(f->arena, "{images: pics%s}", more));
}

/* All batches of an order as text: "3 1|4|" ; every sample's pixels and label are checked on the way. */
static const char *batches(struct fixture *f, struct cb_dataset *d, const uint32_t *order, uint32_t count,
                           struct cb_loader_options options, uint32_t *out_taken)
{
    struct cb_loader *loader;
    struct cb_text text = {0};
    const struct cb_batch *batch;
    uint32_t taken = 0;
    must(f, cb_loader_create(d, order, count, &options, &loader, f->diag));
    for (;;) {
        must(f, cb_loader_next(loader, &batch, f->diag));
        if (batch == NULL) {
            break;
        }
        taken += batch->taken;
        for (uint32_t i = 0; i < batch->count; i++) {
            const uint8_t *pixels = (const uint8_t *)batch->fields[0] + i * 12;
            assert_int_equal(pixels[0], batch->samples[i]);
            assert_int_equal(pixels[11], batch->samples[i]);
            assert_int_equal(batch->labels[i], batch->samples[i] / (COUNT / 2));
            cb_text_addf(&text, "%s%u", i ? " " : "", batch->samples[i]);
        }
        cb_text_addf(&text, "|");
    }
    cb_loader_destroy(loader);
    if (out_taken != NULL) {
        *out_taken = taken;
    }
    const char *copy = cb_arena_strdup(f->arena, text.data != NULL ? text.data : "");
    cb_text_free(&text);
    return copy;
}

static void batches_keep_the_order(void **state)
{
    struct fixture *f = *state;
    struct cb_dataset *d = open_pictures(f, "", NULL, 0);
    static const uint32_t order[] = {7, 3, 39, 3, 0, 21, 20};
    uint32_t taken;
    assert_string_equal(batches(f, d, order, 7, (struct cb_loader_options){.batch = 3}, &taken), "7 3 39|3 0 21|20|");
    assert_int_equal(taken, 7);
    assert_string_equal(batches(f, d, order, 7, (struct cb_loader_options){.batch = 3, .drop_last = true}, &taken),
                        "7 3 39|3 0 21|");
    assert_string_equal(batches(f, d, order, 7, (struct cb_loader_options){.batch = 100}, &taken), "7 3 39 3 0 21 20|");
    assert_string_equal(batches(f, d, order, 0, (struct cb_loader_options){.batch = 3}, &taken), "");
}

static void threads_change_nothing(void **state)
{
    struct fixture *f = *state;
    struct cb_dataset *d = open_pictures(f, "", NULL, 0);
    uint32_t order[200];
    for (uint32_t i = 0; i < 200; i++) {
        order[i] = i * 17 % COUNT;
    }
    const char *first = batches(f, d, order, 200, (struct cb_loader_options){.batch = 7, .threads = 1}, NULL);
    for (uint32_t threads = 1; threads <= 8; threads++) {
        for (uint32_t ahead = 1; ahead <= 4; ahead++) {
            struct cb_loader_options options = {.batch = 7, .threads = threads, .ahead = ahead};
            cb_dataset_set_cache(d, threads % 2 ? 0 : 1000000);
            assert_string_equal(batches(f, d, order, 200, options, NULL), first);
        }
    }
}

/* A run that goes on at a step's border gets what it would have got. */
static void parts_never_cross_a_step(void **state)
{
    struct fixture *f = *state;
    struct cb_dataset *d = open_pictures(f, "", NULL, 0);
    uint32_t order[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        order[i] = i;
    }
    struct cb_loader_options options = {.batch = 3, .step = 8};
    assert_string_equal(batches(f, d, order, 20, options, NULL), "0 1 2|3 4 5|6 7|8 9 10|11 12 13|14 15|16 17 18|19|");
    assert_string_equal(batches(f, d, order + 8, 12, options, NULL), "8 9 10|11 12 13|14 15|16 17 18|19|");
    options = (struct cb_loader_options){.batch = 8, .step = 8};
    assert_string_equal(batches(f, d, order, 9, options, NULL), "0 1 2 3 4 5 6 7|8|");
    options = (struct cb_loader_options){.batch = 16, .step = 5};
    assert_string_equal(batches(f, d, order, 12, options, NULL), "0 1 2 3 4|5 6 7 8 9|10 11|");
}

static void unreadable_samples_are_passed_over(void **state)
{
    struct fixture *f = *state;
    static const int bad[] = {1, 4, 5, 6, 7, 11};
    struct cb_dataset *d = open_pictures(f, "", bad, 6);
    uint32_t order[12], taken;
    for (uint32_t i = 0; i < 12; i++) {
        order[i] = i;
    }
    for (int epoch = 0; epoch < 2; epoch++) { /* the second knows them already */
        assert_string_equal(batches(f, d, order, 12, (struct cb_loader_options){.batch = 2}, &taken), "0|2 3|8 9|10|");
        assert_int_equal(taken, 12);
        assert_int_equal(cb_dataset_bad_count(d), 6);
        assert_int_equal(cb_diag_count(f->diag, CB_WARNING), 6); /* each is named once */
    }
    assert_non_null(strstr(cb_diag_text(f->diag, 0), "pics/a/2.png` is no picture that can be read"));
    /* With steps each keeps its own: the second of 4 is all bad. */
    struct cb_loader_options options = {.batch = 2, .step = 4};
    assert_string_equal(batches(f, d, order, 12, options, &taken), "0|2 3||8 9|10|");
    assert_int_equal(taken, 12);
    uint32_t list[12];
    float rows[12][2];
    for (uint32_t i = 0; i < 12; i++) {
        list[i] = i;
        rows[i][0] = rows[i][1] = (float)i;
    }
    assert_int_equal(cb_dataset_keep_readable(d, list, 12, rows, sizeof(rows[0])), 6);
    static const uint32_t left[] = {0, 2, 3, 8, 9, 10};
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(list[i], left[i]);
        assert_true(rows[i][0] == (float)left[i] && rows[i][1] == (float)left[i]);
    }
}

static void unreadable_samples_end_it(void **state)
{
    struct fixture *f = *state;
    static const int bad[] = {4};
    struct cb_dataset *d = open_pictures(f, ", bad_files: fail", bad, 1);
    static const uint32_t order[] = {0, 1, 2, 3, 4, 5};
    struct cb_loader_options options = {.batch = 2};
    struct cb_loader *loader;
    const struct cb_batch *batch;
    must(f, cb_loader_create(d, order, 6, &options, &loader, f->diag));
    must(f, cb_loader_next(loader, &batch, f->diag));
    must(f, cb_loader_next(loader, &batch, f->diag));
    assert_int_equal(cb_loader_next(loader, &batch, f->diag), CB_FORMAT);
    expect_words(f, "pics/a/5.png` is no picture that can be read");
    cb_loader_destroy(loader);
}

/* Prepared pictures are kept up to the limit and no further: the rest is decoded each time, so that a folder may be larger
 * than memory. */
static void memory_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct cb_dataset *d = open_pictures(f, "", NULL, 0);
    uint8_t pixels[12];
    void *out = pixels;
    cb_dataset_set_cache(d, 5 * 12);
    must(f, cb_dataset_prepare(d, NULL, NULL, f->diag)); /* does nothing: not all would fit */
    for (uint32_t i = 0; i < COUNT; i++) {
        must(f, cb_dataset_read(d, i, &out, f->diag));
    }
    assert_int_equal(cb_remove_tree(cb_path_join(f->arena, f->folder, "pics"), f->diag), CB_OK);
    for (uint32_t i = 0; i < COUNT; i++) { /* only what was kept is still there */
        assert_int_equal(cb_dataset_read(d, i, &out, NULL) == CB_OK, i < 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(batches_keep_the_order),
        TEST(threads_change_nothing),
        TEST(parts_never_cross_a_step),
        TEST(unreadable_samples_are_passed_over),
        TEST(unreadable_samples_end_it),
        TEST(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
