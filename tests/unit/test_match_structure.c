/* test_match_structure.c: tensors onto a network by order, numbers in names, and shape; and when that says too little. */
#include "weights_common.h"

#include "weights/match_structure.h"
#include "weights/safetensors.h"

struct fixture {
    char *folder;
    char path[4096];
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_tensor_file *file;
    struct cb_wanted wanted[64];
    uint32_t count;
    struct cb_name_map map;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->folder = make_test_folder();
    snprintf(f->path, sizeof(f->path), "%s/net.safetensors", f->folder);
    f->arena = cb_arena_create();
    f->diag = cb_diag_create();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    cb_tensors_close(f->file);
    cb_arena_destroy(f->arena);
    cb_diag_destroy(f->diag);
    unlink(f->path);
    rmdir(f->folder);
    free(f->folder);
    free(f);
    return 0;
}

/* A layer of the network: a 3x3 convolution without bias, a batchnorm, or a matrix with bias. */
enum form { CONV, NORM, DENSE };
enum file { PLAIN, OLD_WORDS, SORTED }; /* SORTED: as the library of safetensors writes it */

static void want(struct fixture *f, const char *layer, const char *param, const char *foreign, enum cb_param_role role,
                 uint32_t rank, const int64_t *dims)
{
    struct cb_wanted *w = &f->wanted[f->count++];
    *w = (struct cb_wanted){.name = cb_arena_printf(f->arena, "%s.%s", layer, param), .layer = layer, .foreign = foreign,
                            .role = role, .rank = rank};
    memcpy(w->dims, dims, rank * sizeof(*dims));
}

static void add_layer(struct fixture *f, const char *name, enum form form, int64_t from, int64_t to)
{
    const int64_t filter[4] = {3, 3, from, to}, matrix[2] = {from, to};
    if (form == CONV) {
        want(f, name, "w", "weight", CB_PARAM_FILTER, 4, filter);
    } else if (form == DENSE) {
        want(f, name, "w", "weight", CB_PARAM_MATRIX, 2, matrix);
        want(f, name, "b", "bias", CB_PARAM_VECTOR, 1, &to);
    } else {
        want(f, name, "scale", "weight", CB_PARAM_VECTOR, 1, &to);
        want(f, name, "shift", "bias", CB_PARAM_VECTOR, 1, &to);
        want(f, name, "mean", "running_mean", CB_PARAM_VECTOR, 1, &to);
        want(f, name, "var", "running_var", CB_PARAM_VECTOR, 1, &to);
    }
}

/* The file: lines "NAME FORM FROM TO", in the file's order. */
struct line {
    const char *name;
    enum form form;
    int64_t from, to;
};

static struct cb_safetensors_entry *add_entry(struct fixture *f, struct cb_safetensors_entry *next, const char *layer,
                                              const char *suffix, uint32_t rank, int64_t a, int64_t b)
{
    static const float zeros[4096];
    *next = (struct cb_safetensors_entry){.name = cb_arena_printf(f->arena, "%s.%s", layer, suffix),
                                          .type = CB_STORED_F32, .rank = rank, .data = zeros};
    const int64_t dims[4] = {a, b, 3, 3};
    memcpy(next->dims, dims, rank * sizeof(*dims));
    return next + 1;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct cb_safetensors_entry *)a)->name, ((const struct cb_safetensors_entry *)b)->name);
}

static void make_file(struct fixture *f, const struct line *lines, uint32_t count, enum file kind)
{
    const bool old_words = kind == OLD_WORDS;
    struct cb_safetensors_entry entries[64], *next = entries;
    for (uint32_t i = 0; i < count; i++) {
        const struct line *l = &lines[i];
        if (l->form == CONV) {
            next = add_entry(f, next, l->name, "weight", 4, l->to, l->from);
        } else if (l->form == DENSE) {
            next = add_entry(f, next, l->name, "weight", 2, l->to, l->from);
            next = add_entry(f, next, l->name, "bias", 1, l->to, 0);
        } else {
            next = add_entry(f, next, l->name, old_words ? "gamma" : "weight", 1, l->to, 0);
            next = add_entry(f, next, l->name, old_words ? "beta" : "bias", 1, l->to, 0);
            next = add_entry(f, next, l->name, old_words ? "moving_mean" : "running_mean", 1, l->to, 0);
            next = add_entry(f, next, l->name, old_words ? "moving_variance" : "running_var", 1, l->to, 0);
        }
    }
    if (kind == SORTED) {
        qsort(entries, (size_t)(next - entries), sizeof(entries[0]), by_name);
    }
    assert_int_equal(cb_safetensors_write(f->path, entries, (uint32_t)(next - entries), NULL, 0, NULL), CB_OK);
    assert_int_equal(cb_tensors_open(f->path, &f->file, NULL, NULL), CB_OK);
}
#define FILE_OF(f, kind, ...) \
    do { \
        const struct line lines_[] = {__VA_ARGS__}; \
        make_file(f, lines_, sizeof(lines_) / sizeof(lines_[0]), kind); \
    } while (0)

static enum cb_status match(struct fixture *f, const struct cb_name_map *known, const char *open)
{
    return cb_weights_match_structure(f->file, f->wanted, f->count, known, open, f->arena, &f->map, NULL, f->diag);
}

static void assert_pair(const struct fixture *f, const char *ours, const char *theirs)
{
    for (uint32_t i = 0; i < f->map.count; i++) {
        if (strcmp(f->map.rules[i].ours, ours) == 0) {
            assert_string_equal(f->map.rules[i].theirs, theirs);
            return;
        }
    }
    fail_msg("nothing for %s", ours);
}

/* Two convolutions of one shape, each with its batchnorm, and a classifier. */
static void add_plain_network(struct fixture *f)
{
    add_layer(f, "a", CONV, 4, 4);
    add_layer(f, "a_norm", NORM, 0, 4);
    add_layer(f, "b", CONV, 4, 4);
    add_layer(f, "b_norm", NORM, 0, 4);
    add_layer(f, "out", DENSE, 4, 10);
}

static void order_tells_equal_layers_apart(void **state)
{
    struct fixture *f = *state;
    add_plain_network(f);
    FILE_OF(f, PLAIN, {"z", CONV, 4, 4}, {"y", NORM, 0, 4}, {"x", CONV, 4, 4}, {"w", NORM, 0, 4}, {"v", DENSE, 4, 10});
    assert_int_equal(match(f, NULL, "out"), CB_OK);
    assert_pair(f, "a", "z");
    assert_pair(f, "a_norm", "y");
    assert_pair(f, "b", "x");
    assert_pair(f, "b_norm", "w");
    assert_pair(f, "out", "v");
}

static void other_words_for_params_are_known(void **state)
{
    struct fixture *f = *state;
    add_plain_network(f);
    FILE_OF(f, OLD_WORDS, {"z", CONV, 4, 4}, {"y", NORM, 0, 4}, {"x", CONV, 4, 4}, {"w", NORM, 0, 4}, {"v", DENSE, 4, 10});
    assert_int_equal(match(f, NULL, "out"), CB_OK);
    assert_string_equal(f->wanted[1].foreign, "gamma");
    assert_string_equal(f->wanted[4].foreign, "moving_variance");
    assert_string_equal(f->wanted[0].foreign, "weight");
}

static void the_output_may_have_another_size_or_be_missing(void **state)
{
    struct fixture *f = *state;
    add_plain_network(f);
    FILE_OF(f, PLAIN, {"z", CONV, 4, 4}, {"y", NORM, 0, 4}, {"x", CONV, 4, 4}, {"w", NORM, 0, 4}, {"v", DENSE, 4, 37});
    assert_int_equal(match(f, NULL, NULL), CB_MISMATCH);
    assert_says(f->diag, "the first is `out` [4, 10]");
    assert_int_equal(match(f, NULL, "out"), CB_OK);
    assert_pair(f, "out", "v");
    cb_tensors_close(f->file);
    FILE_OF(f, PLAIN, {"z", CONV, 4, 4}, {"y", NORM, 0, 4}, {"x", CONV, 4, 4}, {"w", NORM, 0, 4});
    assert_int_equal(match(f, NULL, "out"), CB_OK);
    assert_int_equal(f->map.count, 4);
}

/* The library of safetensors sorts by name: then only numbers tell. */
static void names_that_are_sorted_say_no_order_but_by_numbers(void **state)
{
    struct fixture *f = *state;
    add_plain_network(f);
    FILE_OF(f, SORTED, {"l10.c", CONV, 4, 4}, {"l10.n", NORM, 0, 4}, {"l9.c", CONV, 4, 4}, {"l9.n", NORM, 0, 4},
            {"out", DENSE, 4, 10});
    assert_int_equal(match(f, NULL, "out"), CB_OK);
    assert_pair(f, "a", "l9.c");
    assert_pair(f, "b", "l10.c");
    assert_pair(f, "b_norm", "l10.n");
    cb_tensors_close(f->file);
    FILE_OF(f, SORTED, {"first", CONV, 4, 4}, {"last", CONV, 4, 4}, {"n1", NORM, 0, 4}, {"n2", NORM, 0, 4},
            {"out", DENSE, 4, 10});
    assert_int_equal(match(f, NULL, "out"), CB_MISMATCH);
    assert_says(f->diag, "fits the network in more than one way: `a` [3, 3, 4, 4] could be `first` or `last`");
    assert_says(f->diag, "\n  a: first  # or last\n  b: first  # or last");
}

/* A shortcut that stands before what it goes around: its own shape settles it, and takes its normalisation along. */
static void a_layer_that_moved_is_found_when_its_shape_is_its_own(void **state)
{
    struct fixture *f = *state;
    add_layer(f, "conv1", CONV, 4, 8);
    add_layer(f, "norm1", NORM, 0, 8);
    add_layer(f, "conv2", CONV, 8, 8);
    add_layer(f, "norm2", NORM, 0, 8);
    add_layer(f, "short", CONV, 3, 8);
    add_layer(f, "short_norm", NORM, 0, 8);
    FILE_OF(f, PLAIN, {"s.0", CONV, 3, 8}, {"s.1", NORM, 0, 8}, {"c1", CONV, 4, 8}, {"b1", NORM, 0, 8},
            {"c2", CONV, 8, 8}, {"b2", NORM, 0, 8});
    assert_int_equal(match(f, NULL, NULL), CB_OK);
    assert_pair(f, "short", "s.0");
    assert_pair(f, "short_norm", "s.1");
    assert_pair(f, "norm2", "b2");
}

static void equal_layers_out_of_order_are_an_error_that_names_them(void **state)
{
    struct fixture *f = *state;
    add_layer(f, "conv1", CONV, 4, 4);
    add_layer(f, "conv2", CONV, 4, 8);
    add_layer(f, "short", CONV, 4, 8);
    FILE_OF(f, PLAIN, {"s", CONV, 4, 8}, {"c1", CONV, 4, 4}, {"c2", CONV, 4, 8});
    assert_int_equal(match(f, NULL, NULL), CB_MISMATCH);
    assert_says(f->diag, "`conv2` [3, 3, 4, 8] could be `s` or `c2`, and 1 more layers likewise");

    /* one name settles it */
    const struct cb_name_rule rules[] = {{"short", "s"}};
    const struct cb_name_map known = {.label = "mine", .rules = rules, .count = 1};
    cb_diag_clear(f->diag);
    assert_int_equal(match(f, &known, NULL), CB_OK);
    assert_pair(f, "conv2", "c2");
    assert_pair(f, "short", "s");

    const struct cb_name_rule wrong[] = {{"short", "c1"}};
    const struct cb_name_map misfit = {.label = "mine", .rules = wrong, .count = 1};
    assert_int_equal(match(f, &misfit, NULL), CB_MISMATCH);
    assert_says(f->diag, "the names say `c1` for `short`, but it does not fit");
    const struct cb_name_rule none[] = {{"short", "nowhere"}};
    const struct cb_name_map absent = {.label = "mine", .rules = none, .count = 1};
    cb_diag_clear(f->diag);
    assert_int_equal(match(f, &absent, NULL), CB_NOT_FOUND);
    assert_says(f->diag, "has no such layer");
}

/* In order, but the words say otherwise: key, query there; query, key here. */
static void words_that_contradict_the_order_are_not_overruled(void **state)
{
    struct fixture *f = *state;
    add_layer(f, "block.query", DENSE, 6, 6);
    add_layer(f, "block.key", DENSE, 6, 6);
    add_layer(f, "last", DENSE, 6, 2);
    FILE_OF(f, PLAIN, {"z.key", DENSE, 6, 6}, {"z.query", DENSE, 6, 6}, {"h", DENSE, 6, 2});
    assert_int_equal(match(f, NULL, "last"), CB_MISMATCH);
    assert_says(f->diag, "`block.query` [6, 6] could be `z.key` or `z.query`");
}

static void what_the_network_has_no_place_for_is_passed_over_when_that_is_certain(void **state)
{
    struct fixture *f = *state;
    add_layer(f, "a", CONV, 4, 4);
    add_layer(f, "out", DENSE, 4, 10);
    FILE_OF(f, PLAIN, {"z", CONV, 4, 4}, {"y", CONV, 4, 5}, {"x", DENSE, 4, 10});
    assert_int_equal(match(f, NULL, "out"), CB_OK);
    assert_pair(f, "a", "z");
    assert_int_equal(f->map.count, 2);
    cb_tensors_close(f->file);
    FILE_OF(f, PLAIN, {"z", CONV, 4, 4}, {"y", CONV, 4, 4}, {"x", DENSE, 4, 10}); /* which of the two? */
    assert_int_equal(match(f, NULL, "out"), CB_MISMATCH);
    assert_says(f->diag, "`a` [3, 3, 4, 4] could be `z` or `y`");
}

static void a_layer_with_more_tensors_than_wanted_is_another(void **state)
{
    struct fixture *f = *state;
    want(f, "a", "w", "weight", CB_PARAM_MATRIX, 2, (const int64_t[]){4, 5});
    FILE_OF(f, PLAIN, {"z", DENSE, 4, 5});
    assert_int_equal(match(f, NULL, NULL), CB_MISMATCH);
    assert_says(f->diag, "has no tensors of the shapes of 1 of the network's 1 layers with params");
}

/* By name, too: wrappers in several layers, with other tensors beside them, and a map whose first part the file lost. */
static void wrappers_of_training_code_are_left_off(void **state)
{
    struct fixture *f = *state;
    add_layer(f, "bn1", NORM, 0, 2);
    add_layer(f, "bn2", NORM, 0, 2);
    FILE_OF(f, PLAIN, {"criterion", NORM, 0, 3}, {"module.model.bn1", NORM, 0, 2}, {"module.model.bn2", NORM, 0, 2});
    struct cb_load_report report;
    assert_int_equal(cb_weights_match(f->file, f->wanted, 8, NULL, 0, f->arena, &report, NULL, f->diag), CB_OK);
    assert_string_equal(report.prefix, "module.model.");
    assert_int_equal(report.unused.count, 4);
    assert_string_equal(f->wanted[5].from, "module.model.bn2.bias");

    const struct cb_name_rule rules[] = {{"bn1", "vit.bn2"}, {"bn2", "vit.bn1"}};
    const struct cb_name_map map = {.label = "m", .rules = rules, .count = 2};
    assert_int_equal(cb_weights_match(f->file, f->wanted, 8, &map, 1, f->arena, &report, NULL, f->diag), CB_OK);
    assert_string_equal(report.map, "m"); /* equal names find as much, but the map comes first */
    assert_string_equal(f->wanted[5].from, "module.model.bn1.bias");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(order_tells_equal_layers_apart),
        TEST(other_words_for_params_are_known),
        TEST(the_output_may_have_another_size_or_be_missing),
        TEST(names_that_are_sorted_say_no_order_but_by_numbers),
        TEST(a_layer_that_moved_is_found_when_its_shape_is_its_own),
        TEST(equal_layers_out_of_order_are_an_error_that_names_them),
        TEST(words_that_contradict_the_order_are_not_overruled),
        TEST(what_the_network_has_no_place_for_is_passed_over_when_that_is_certain),
        TEST(a_layer_with_more_tensors_than_wanted_is_another),
        TEST(wrappers_of_training_code_are_left_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
