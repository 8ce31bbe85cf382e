/* Splits: which samples train, test, validate; that nothing but the data's seed moves them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data_common.h"
#include "data/split.h"

static const int counts[3] = {12, 8, 5}; /* of the classes a, b, c */

static struct cb_split split_of(struct fixture *f, struct cb_dataset *dataset)
{
    struct cb_split split;
    must(f, cb_split_make(f->arena, dataset, &split, f->diag));
    return split;
}

static void count_classes(const struct cb_dataset *dataset, const struct cb_indices *set, int out[3])
{
    memset(out, 0, 3 * sizeof(*out));
    for (uint32_t i = 0; i < set->count; i++) {
        out[dataset->labels[set->items[i]]]++;
    }
}

static void expect_classes(const struct cb_dataset *dataset, const struct cb_indices *set, int a, int b, int c)
{
    int got[3];
    count_classes(dataset, set, got);
    if (got[0] != a || got[1] != b || got[2] != c) {
        fail_msg("%d, %d, %d of the classes, not %d, %d, %d", got[0], got[1], got[2], a, b, c);
    }
}

static bool holds(const struct cb_indices *set, uint32_t sample)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->items[i] == sample) {
            return true;
        }
    }
    return false;
}

/* Ascending, and no sample in two sets. */
static void expect_apart(const struct cb_indices *a, const struct cb_indices *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        assert_true(i == 0 || a->items[i] > a->items[i - 1]);
        assert_false(holds(b, a->items[i]));
    }
}

static bool same(const struct cb_indices *a, const struct cb_indices *b)
{
    return a->count == b->count && memcmp(a->items, b->items, a->count * sizeof(*a->items)) == 0;
}

static void so_many_of_each_class(void **state)
{
    struct fixture *f = *state;
    put_classes(f, "pics", counts, 3);
    struct cb_dataset *d = open_data(f, "{images: pics, train: {per_class: 3}, validation: {per_class: 1}, test: rest}");
    struct cb_split s = split_of(f, d);
    expect_classes(d, &s.train, 3, 3, 3);
    expect_classes(d, &s.validation, 1, 1, 1);
    expect_classes(d, &s.test, 8, 4, 1);
    expect_apart(&s.train, &s.test);
    expect_apart(&s.train, &s.validation);
    expect_apart(&s.test, &s.validation);
    assert_int_equal(s.unused, 0);
    assert_int_equal(s.fold_count, 0);
    assert_true(s.has_test && s.has_validation);

    d = open_data(f, "{images: pics, train: {per_class: 3}, test: {per_class: 2}}");
    s = split_of(f, d);
    expect_classes(d, &s.test, 2, 2, 2);
    assert_int_equal(s.unused, 25 - 9 - 6);
    assert_false(s.has_validation);
}

static void too_few_of_a_class(void **state)
{
    struct fixture *f = *state;
    struct cb_split s;
    put_classes(f, "pics", counts, 3);
    struct cb_dataset *d = open_data(f, "{images: pics, train: {per_class: 9}, test: rest}");
    assert_int_equal(cb_split_make(f->arena, d, &s, f->diag), CB_INVALID);
    expect_words(f, "`train` wants 9 of each class, but `b` has 8, `c` has 5");
    /* What the test set took is gone for training. */
    d = open_data(f, "{images: pics, train: {per_class: 5}, test: {per_class: 1}}");
    assert_int_equal(cb_split_make(f->arena, d, &s, f->diag), CB_INVALID);
    expect_words(f, "`train` wants 5 of each class, but `c` has 4");
}

static void only_the_seed_moves_it(void **state)
{
    struct fixture *f = *state;
    put_classes(f, "pics", counts, 3);
    struct cb_split a = split_of(f, open_data(f, "{images: pics, train: {per_class: 3}, test: rest}"));
    struct cb_split b = split_of(f, open_data(f, "{images: pics, train: {per_class: 3}, test: rest, seed: 0}"));
    struct cb_split c = split_of(f, open_data(f, "{images: pics, train: {per_class: 3}, test: rest, seed: 1}"));
    assert_true(same(&a.train, &b.train) && same(&a.test, &b.test));
    assert_false(same(&a.train, &c.train));
    /* How pictures are prepared or changed plays no part, nor how many of another class there are. */
    struct cb_split e = split_of(f, open_data(f, "{images: pics, train: {per_class: 3}, test: rest, resize: crop, "
                                                 "augment: [flip], views: 3, shuffle: false}"));
    assert_true(same(&a.train, &e.train));
    put_picture(f, "pics/d/1.png", 1);
    put_picture(f, "pics/d/2.png", 2);
    put_picture(f, "pics/d/3.png", 3);
    struct cb_split g = split_of(f, open_data(f, "{images: pics, train: {per_class: 3}, test: rest}"));
    for (uint32_t i = 0; i < a.train.count; i++) {
        assert_true(holds(&g.train, a.train.items[i]));
    }
}

static void a_fraction_of_each_class(void **state)
{
    struct fixture *f = *state;
    put_classes(f, "pics", counts, 3);
    struct cb_dataset *d = open_data(f, "{images: pics, train: {fraction: 0.5}, test: rest}");
    struct cb_split s = split_of(f, d);
    int got[3];
    count_classes(d, &s.train, got);
    assert_int_equal(got[0], 6);
    assert_int_equal(got[1], 4);
    assert_true(got[2] == 2 || got[2] == 3);
    assert_int_equal(s.train.count + s.test.count, 25);
    expect_apart(&s.train, &s.test);
    /* Of what is there, not of what another choice left. */
    d = open_data(f, "{images: pics, train: {fraction: 0.5}, test: {fraction: 0.25}, validation: {fraction: 0.25}}");
    s = split_of(f, d);
    count_classes(d, &s.test, got);
    assert_int_equal(got[0], 3);
    assert_int_equal(got[1], 2);
    count_classes(d, &s.train, got);
    assert_int_equal(got[0], 6);
    assert_int_equal(got[1], 4);
    assert_int_equal(s.unused, 0);
}

static void files_of_a_list(void **state)
{
    struct fixture *f = *state;
    struct cb_split s;
    put_classes(f, "pics", counts, 3);
    put_text(f, "list.txt", "a/2.png\r\nc/1.png\n\nb/8.png");
    struct cb_dataset *d = open_data(f, "{images: pics, test: {files: list.txt}, train: rest}");
    s = split_of(f, d);
    assert_int_equal(s.test.count, 3);
    assert_int_equal(s.test.items[0], 1);
    assert_int_equal(s.test.items[1], 19);
    assert_int_equal(s.test.items[2], 20);
    assert_int_equal(s.train.count, 22);

    put_text(f, "wrong.txt", "a/2.png\na/200.png\n");
    d = open_data(f, "{images: pics/, test: {files: wrong.txt}}");
    assert_int_equal(cb_split_make(f->arena, d, &s, f->diag), CB_NOT_FOUND);
    expect_words(f, "wrong.txt:2:1: error: the data has no file `a/200.png`");
    d = open_data(f, "{images: pics/, test: {files: list.txt}}"); /* a slash at the end changes nothing */
    s = split_of(f, d);
    assert_int_equal(s.test.count, 3);
    assert_int_equal(s.train.count, 22);
}

static void folds_are_stratified(void **state)
{
    struct fixture *f = *state;
    put_classes(f, "pics", counts, 3);
    struct cb_dataset *d = open_data(f, "{images: pics}");
    struct cb_split s = split_of(f, d);
    assert_int_equal(s.fold_count, 5);
    assert_int_equal(s.train.count, 25);
    assert_false(s.has_test);
    int seen[25] = {0};
    for (uint32_t fold = 0; fold < 5; fold++) {
        struct cb_indices train, test;
        int got[3];
        must(f, cb_split_fold(f->arena, d, &s.train, 5, fold, 0, &train, &test, f->diag));
        assert_int_equal(train.count + test.count, 25);
        assert_int_equal(test.count, 5);
        expect_apart(&train, &test);
        count_classes(d, &test, got);
        assert_true(got[0] == 2 || got[0] == 3);
        assert_true(got[1] == 1 || got[1] == 2);
        assert_int_equal(got[2], 1);
        for (uint32_t i = 0; i < test.count; i++) {
            seen[test.items[i]]++;
        }
    }
    for (int i = 0; i < 25; i++) {
        assert_int_equal(seen[i], 1);
    }
}

static void folds_that_are_asked_for(void **state)
{
    struct fixture *f = *state;
    struct cb_split s;
    put_classes(f, "pics", counts, 3);
    s = split_of(f, open_data(f, "{images: pics, test: {folds: 3}}"));
    assert_int_equal(s.fold_count, 3);
    struct cb_dataset *d = open_data(f, "{images: pics, test: {folds: 6}}");
    assert_int_equal(cb_split_make(f->arena, d, &s, f->diag), CB_INVALID);
    expect_words(f, "cross-validation in 6 folds needs 6 samples (or groups) of each class");
    s = split_of(f, open_data(f, "{images: pics, test: none}"));
    assert_int_equal(s.fold_count, 0);
    assert_int_equal(s.train.count, 25);
    /* Fewer than five of a class: as many folds as there are. */
    static const int few[2] = {9, 3};
    put_classes(f, "few", few, 2);
    s = split_of(f, open_data(f, "{images: few}"));
    assert_int_equal(s.fold_count, 3);
}

/* Six bursts of five pictures, each of one class; the table gives their group. */
static struct cb_dataset *open_groups(struct fixture *f, const char *choices)
{
    struct cb_text table = {0};
    cb_text_addf(&table, "path,kind,burst\n");
    for (int i = 0; i < 30; i++) {
        char *name = cb_arena_printf(f->arena, "%d.png", i);
        put_picture(f, cb_arena_printf(f->arena, "flat/%s", name), (uint8_t)i);
        cb_text_addf(&table, "%s,%s,g%d\n", name, i / 5 % 2 ? "odd" : "even", i / 5);
    }
    put_text(f, "t.csv", table.data);
    cb_text_free(&table);
    return open_data(f, cb_arena_printf(f->arena, "{images: flat, labels: t.csv, columns: {file: path, label: kind}, "
                                                  "group: burst%s}", choices));
}

static void expect_whole_groups(const struct cb_dataset *d, const struct cb_indices *a, const struct cb_indices *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        for (uint32_t k = 0; k < b->count; k++) {
            assert_int_not_equal(d->groups[a->items[i]], d->groups[b->items[k]]);
        }
    }
}

static void groups_stay_together(void **state)
{
    struct fixture *f = *state;
    struct cb_dataset *d = open_groups(f, ", train: {per_class: 6}, test: rest");
    struct cb_split s = split_of(f, d);
    assert_int_equal(s.train.count, 20); /* two bursts of each class: one is too few */
    assert_int_equal(s.test.count, 10);
    expect_whole_groups(d, &s.train, &s.test);

    d = open_groups(f, "");
    s = split_of(f, d);
    assert_int_equal(s.fold_count, 3); /* three bursts of a class */
    for (uint32_t fold = 0; fold < 3; fold++) {
        struct cb_indices train, test;
        must(f, cb_split_fold(f->arena, d, &s.train, 3, fold, 7, &train, &test, f->diag));
        assert_int_equal(test.count, 10);
        expect_whole_groups(d, &train, &test);
    }
    struct cb_dataset *same_data = open_groups(f, ", train: {fraction: 0.3}, test: rest, seed: 5");
    s = split_of(f, same_data);
    expect_whole_groups(same_data, &s.train, &s.test);
}

static void parts_of_the_folder(void **state)
{
    struct fixture *f = *state;
    static const int train[2] = {4, 3}, test[2] = {2, 2}, val[2] = {1, 1};
    put_classes(f, "all/train", train, 2);
    put_classes(f, "all/test", test, 2);
    put_classes(f, "all/val", val, 2);
    struct cb_dataset *d = open_data(f, "{images: all}");
    struct cb_split s = split_of(f, d);
    assert_int_equal(s.train.count, 7);
    assert_int_equal(s.test.count, 4);
    assert_int_equal(s.validation.count, 2);
    expect_apart(&s.train, &s.test);
    for (uint32_t i = 0; i < s.test.count; i++) {
        assert_non_null(strstr(cb_dataset_path(d, s.test.items[i]), "/all/test/"));
    }
    d = open_data(f, "{images: all, train: {split: test}, test: {split: val}, validation: none}");
    s = split_of(f, d);
    assert_int_equal(s.train.count, 4);
    assert_int_equal(s.test.count, 2);
    assert_int_equal(s.unused, 7);
    d = open_data(f, "{images: all, train: {per_class: 2}}"); /* of the part that trains */
    s = split_of(f, d);
    assert_int_equal(s.train.count, 4);
    assert_int_equal(s.test.count, 4);
    for (uint32_t i = 0; i < s.train.count; i++) {
        assert_non_null(strstr(cb_dataset_path(d, s.train.items[i]), "/all/train/"));
    }
}

static void sources_of_their_own(void **state)
{
    struct fixture *f = *state;
    static const int other[2] = {2, 2};
    put_classes(f, "pics", counts, 3);
    put_classes(f, "other", other, 2);
    struct cb_dataset *d = open_data(f, "{images: pics, train: {per_class: 4}, test: {images: other}}");
    struct cb_split s = split_of(f, d);
    expect_classes(d, &s.train, 4, 4, 4);
    expect_classes(d, &s.test, 2, 2, 0);
    assert_int_equal(s.unused, 25 - 12);
    d = open_data(f, "{images: pics, test: {images: other}}");
    s = split_of(f, d);
    expect_classes(d, &s.train, 12, 8, 5);
    expect_classes(d, &s.test, 2, 2, 0);
    d = open_data(f, "{train: {images: pics}, test: {images: other}}");
    s = split_of(f, d);
    expect_classes(d, &s.train, 12, 8, 5);
    expect_classes(d, &s.test, 2, 2, 0);
}

static void choices_that_make_no_sense(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *choices, *words;
    } cases[] = {
        {"train: rest, test: rest", "only one of `train`, `test`, `validation` can be `rest`"},
        {"test: rest", "`rest` needs a choice of what trains"},
        {"train: {split: morning}", "the data has no part `morning`"},
        {"train: {per_class: 0}", "`per_class` must be an integer of at least 1"},
        {"train: {fraction: 1.5}", "`fraction` must be a number between 0 and 1"},
        {"train: {folds: 3}", "`folds` is a choice of `test`"},
        {"train: {per_clas: 3}", "did you mean `per_class`?"},
        {"train: {per_class: 3, fraction: 0.5}", "must hold one of per_class, fraction, split, files, folds"},
        {"train: all", "`train` must be a choice"},
        {"train: {per_class: 5}, test: {files: nowhere.txt}", "nowhere.txt"},
    };
    put_classes(f, "pics", counts, 3);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cb_split s = {.unused = 77};
        struct cb_dataset *d = open_data(f, cb_arena_printf(f->arena, "{images: pics, %s}", cases[i].choices));
        assert_int_not_equal(cb_split_make(f->arena, d, &s, f->diag), CB_OK);
        assert_int_equal(s.unused, 77);
        expect_words(f, cases[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(so_many_of_each_class),
        TEST(too_few_of_a_class),
        TEST(only_the_seed_moves_it),
        TEST(a_fraction_of_each_class),
        TEST(files_of_a_list),
        TEST(folds_are_stratified),
        TEST(folds_that_are_asked_for),
        TEST(groups_stay_together),
        TEST(parts_of_the_folder),
        TEST(sources_of_their_own),
        TEST(choices_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
