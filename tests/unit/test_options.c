/* test_options.c: option tables: defaults, every type, every complaint, tables of other versions, schema, writing back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/options.h"
#include "base_common.h"

struct conv_options {
    int64_t filters;
    double slope;
    uint32_t bias;
    int32_t mode;
    const char *name;
    struct cb_list kernel, rates, words;
    int64_t old;
    int64_t units;
};

static const char *const MODES[] = {"zeros", "reflect", "replicate", NULL};
static const char *const PADDINGS[] = {"same", "valid", NULL};
static const char *const PRESETS[] = {"photo", NULL};
#define AT(field) offsetof(struct conv_options, field)

static const struct cb_option OPTIONS[] = {
    {"filters", "channels out", CB_OPT_INT, AT(filters), 1, 1e18, NULL, CB_OPTION_REQUIRED, 0},
    {"slope", "of the negative side", CB_OPT_REAL, AT(slope), 0, 1, NULL, 0, 0},
    {"bias", "whether a bias is added", CB_OPT_BOOL, AT(bias), 0, 0, NULL, 0, 0},
    {"mode", "of the border", CB_OPT_CHOICE, AT(mode), 0, 0, MODES, 0, 0},
    {"name", "a label", CB_OPT_TEXT, AT(name), 0, 0, NULL, 0, 0},
    {"kernel", "height and width", CB_OPT_INTS, AT(kernel), 1, 99, PADDINGS, 0, 2},
    {"rates", "per stage", CB_OPT_REALS, AT(rates), -1e300, 2.5, NULL, 0, 0},
    {"words", "a list or a preset", CB_OPT_TEXTS, AT(words), 0, 0, PRESETS, 0, 0},
    {"old", "use `filters`", CB_OPT_INT, AT(old), 0, 0, NULL, CB_OPTION_DEPRECATED, 0},
    {"units", "how many; the number of classes", CB_OPT_INT, AT(units), 1, 1e18, NULL, CB_OPTION_REQUIRED | CB_OPTION_CLASSES, 0},
};
static const struct cb_array TABLE = CB_ARRAY(OPTIONS);
static const struct conv_options DEFAULTS = {
    .slope = 0.01, .bias = 1, .mode = 1, .kernel = CB_LIST_OF(int64_t, 3, 3), .rates = CB_LIST_EMPTY, .words = CB_LIST_CHOICE(0),
};

static enum cb_status read_options(struct fixture *f, const char *yaml, struct conv_options *out, uint64_t *given)
{
    return cb_options_read(f->arena, &TABLE, &DEFAULTS, sizeof(DEFAULTS), yaml ? read_yaml(f, yaml) : NULL, "layer `conv2d`",
                           out, given, f->diag);
}

static void defaults_stay_where_nothing_is_said(void **state)
{
    struct fixture *f = *state;
    struct conv_options o;
    uint64_t given = 99;
    assert_int_equal(read_options(f, "filters: 8\n", &o, &given), CB_OK);
    assert_true(o.filters == 8 && o.slope == 0.01 && o.bias == 1 && o.mode == 1 && !o.name);
    assert_int_equal(o.kernel.count, 2);
    assert_int_equal(o.words.choice, 0);
    assert_true(given == 1);
}

static void every_type_is_read(void **state)
{
    struct fixture *f = *state;
    struct conv_options o;
    uint64_t given = 0;
    assert_int_equal(read_options(f, "name: 007\nfilters: 64\nslope: 1\nbias: false\nmode: replicate\nkernel: [3, 5]\n"
                                     "rates: [1, -0.5]\nwords: [photo, x, 1.50]\nunits: 4\n", &o, &given), CB_OK);
    assert_true(o.filters == 64 && o.slope == 1.0 && o.bias == 0 && o.mode == 2 && o.units == 4);
    assert_string_equal(o.name, "007");
    assert_true(((const int64_t *)o.kernel.items)[0] == 3 && ((const int64_t *)o.kernel.items)[1] == 5);
    assert_int_equal(o.kernel.choice, -1);
    assert_int_equal(o.rates.count, 2);
    assert_true(((const double *)o.rates.items)[0] == 1.0 && ((const double *)o.rates.items)[1] == -0.5);
    assert_int_equal(o.words.count, 3);
    assert_string_equal(((const char *const *)o.words.items)[0], "photo"); /* in a list a word is itself */
    assert_string_equal(((const char *const *)o.words.items)[2], "1.50");
    assert_true(given == 0x2FF);
}

static void one_value_is_a_list_of_one(void **state)
{
    struct fixture *f = *state;
    struct conv_options o;
    assert_int_equal(read_options(f, "filters: 1\nkernel: 7\nrates: 2.5\nwords: x\nname: null\n", &o, NULL), CB_OK);
    assert_true(o.kernel.count == 1 && ((const int64_t *)o.kernel.items)[0] == 7);
    assert_true(o.rates.count == 1 && ((const double *)o.rates.items)[0] == 2.5);
    assert_true(o.words.count == 1 && o.words.choice == -1);
    assert_null(o.name);
    assert_int_equal(read_options(f, "filters: 1\nkernel: valid\nwords: photo\nrates: []\n", &o, NULL), CB_OK);
    assert_true(o.kernel.count == 0 && o.kernel.choice == 1);
    assert_true(o.words.count == 0 && o.words.choice == 0);
    assert_true(o.rates.count == 0 && o.rates.choice == -1);
}

static void refuse(struct fixture *f, const char *yaml, const char *message)
{
    struct conv_options o;
    cb_diag_clear(f->diag);
    assert_int_equal(read_options(f, yaml, &o, NULL), CB_INVALID);
    expect_message(f, 0, message);
    assert_int_equal(cb_diag_count(f->diag, CB_ERROR), 1);
}

static void complaints_name_key_and_place(void **state)
{
    struct fixture *f = *state;
    refuse(f, "filters: 0", "t.yaml:1:10: error: `filters` must be at least 1, not 0\n   1 | filters: 0\n     |          ^");
    refuse(f, "filters: 2.0", "t.yaml:1:10: error: `filters` must be an integer, not 2.0\n   1 | filters: 2.0\n     |          ^~~");
    refuse(f, "filters: '2'", "t.yaml:1:10: error: `filters` must be an integer, not `2`\n   1 | filters: '2'\n     |          ^~~");
    refuse(f, "filters:", "t.yaml:1:1: error: `filters` in layer `conv2d` has no value\n   1 | filters:\n     | ^~~~~~~");
    refuse(f, "{filters: 1, slope: 1.5}",
           "t.yaml:1:21: error: `slope` must be between 0 and 1, not 1.5\n   1 | {filters: 1, slope: 1.5}\n     |                     ^~~");
    refuse(f, "{filters: 1, slope: .nan}",
           "t.yaml:1:21: error: `slope` must be a finite number, not .nan\n   1 | {filters: 1, slope: .nan}\n     |                     ^~~~");
    refuse(f, "{filters: 1, slope: [1]}",
           "t.yaml:1:21: error: `slope` must be a number, not a list\n   1 | {filters: 1, slope: [1]}\n     |                     ^");
    refuse(f, "{filters: 1, bias: yes}",
           "t.yaml:1:20: error: `bias` must be true or false, not `yes`\n   1 | {filters: 1, bias: yes}\n     |                    ^~~");
    refuse(f, "{filters: 1, mode: zero}",
           "t.yaml:1:20: error: `mode` must be `zeros`, `reflect` or `replicate`, not `zero`; did you mean `zeros`?\n"
           "   1 | {filters: 1, mode: zero}\n     |                    ^~~~");
    refuse(f, "{filters: 1, mode: 3}",
           "t.yaml:1:20: error: `mode` must be `zeros`, `reflect` or `replicate`, not 3\n"
           "   1 | {filters: 1, mode: 3}\n     |                    ^");
    refuse(f, "{filters: 1, name: {}}",
           "t.yaml:1:20: error: `name` must be a text, not a map\n   1 | {filters: 1, name: {}}\n     |                    ^");
    refuse(f, "{filters: 1, kernel: [1, 2, 3]}",
           "t.yaml:1:22: error: `kernel` takes at most 2 integers, not 3\n   1 | {filters: 1, kernel: [1, 2, 3]}\n     |                      ^");
    refuse(f, "{filters: 1, kernel: [1, 100]}",
           "t.yaml:1:26: error: each of `kernel` must be between 1 and 99, not 100\n"
           "   1 | {filters: 1, kernel: [1, 100]}\n     |                          ^~~");
    refuse(f, "{filters: 1, kernel: sane}",
           "t.yaml:1:22: error: `kernel` must be an integer, a list of integers or `same` or `valid`, not `sane`; did you mean `same`?\n"
           "   1 | {filters: 1, kernel: sane}\n     |                      ^~~~");
    refuse(f, "{filters: 1, kernel: {a: 1}}",
           "t.yaml:1:22: error: `kernel` must be an integer or a list of integers, not a map\n"
           "   1 | {filters: 1, kernel: {a: 1}}\n     |                      ^");
    refuse(f, "{filters: 1, rates: 3}",
           "t.yaml:1:21: error: `rates` must be at most 2.5, not 3\n   1 | {filters: 1, rates: 3}\n     |                     ^");
    refuse(f, "{filters: 1, rates: x}",
           "t.yaml:1:21: error: `rates` must be a number, not `x`\n   1 | {filters: 1, rates: x}\n     |                     ^");
    refuse(f, "{filters: 1, words: [[a]]}",
           "t.yaml:1:22: error: each of `words` must be a text, not a list\n   1 | {filters: 1, words: [[a]]}\n     |                      ^");
    refuse(f, "{filters: 1, slop: 1}",
           "t.yaml:1:14: error: unknown key `slop` in layer `conv2d`; did you mean `slope`?\n"
           "   1 | {filters: 1, slop: 1}\n     |              ^~~~");
    refuse(f, "{filters: 1, ol: 1}", /* what is deprecated is not suggested */
           "t.yaml:1:14: error: unknown key `ol` in layer `conv2d`; there are `filters`, `slope`, `bias`, `mode`, `name`, `kernel`, "
           "`rates`, `words`, `units`\n"
           "   1 | {filters: 1, ol: 1}\n     |              ^~");
    refuse(f, "[1, 2]", "t.yaml:1:1: error: layer `conv2d` takes its options as a map, not a list\n   1 | [1, 2]\n     | ^");
    refuse(f, "64", "t.yaml:1:1: error: layer `conv2d` takes its options as a map, not 64\n   1 | 64\n     | ^~");
    refuse(f, "bias: true", "t.yaml:1:1: error: layer `conv2d` needs `filters`: channels out\n   1 | bias: true\n     | ^~~~");
    refuse(f, NULL, "error: layer `conv2d` needs `filters`: channels out");
}

static void all_errors_are_collected(void **state)
{
    struct fixture *f = *state;
    struct conv_options o;
    assert_int_equal(read_options(f, "slope: 9\nbias: 1\nkernel: [0, x]\nzzzzz: 1\n", &o, NULL), CB_INVALID);
    assert_int_equal(cb_diag_count(f->diag, CB_ERROR), 6); /* slope, bias, 0, x, zzzzz, filters */
}

static void deprecated_options_warn(void **state)
{
    struct fixture *f = *state;
    struct conv_options o;
    assert_int_equal(read_options(f, "{filters: 1, old: 5}", &o, NULL), CB_OK);
    assert_true(o.old == 5);
    expect_message(f, 0, "t.yaml:1:14: warning: `old` in layer `conv2d` is deprecated: use `filters`\n"
                         "   1 | {filters: 1, old: 5}\n     |              ^~~");
}

/* A table of a later version: its elements are longer, and one has a type that this version does not know. */
static void tables_of_other_versions_are_read(void **state)
{
    struct fixture *f = *state;
    struct long_option {
        struct cb_option option;
        double appended[3];
    };
    const struct long_option longer[] = {
        {{"first", "", CB_OPT_INT, 0, 0, 0, NULL, 0, 0}, {9, 9, 9}},
        {{"second", "", CB_OPT_INT, 8, 0, 0, NULL, 0, 0}, {9, 9, 9}},
        {{"later", "", 77, 0, 0, 0, NULL, 0, 0}, {9, 9, 9}},
        {{"outside", "", CB_OPT_INT, 12, 0, 0, NULL, 0, 0}, {9, 9, 9}},
    };
    const struct cb_array later = CB_ARRAY(longer);
    int64_t values[2] = {-1, -1};
    assert_int_equal(cb_options_read(f->arena, &later, NULL, sizeof(values), read_yaml(f, "second: 2"), "x", values, NULL, f->diag),
                     CB_OK);
    assert_true(values[0] == 0 && values[1] == 2);
    assert_int_equal(cb_options_read(f->arena, &later, NULL, sizeof(values), read_yaml(f, "later: 2"), "x", values, NULL, f->diag),
                     CB_INTERNAL);
    assert_int_equal(cb_options_read(f->arena, &later, NULL, sizeof(values), read_yaml(f, "outside: 2"), "x", values, NULL, f->diag),
                     CB_INTERNAL);
    /* an earlier version: elements end after the choices */
    unsigned char shorter[2][offsetof(struct cb_option, flags)];
    memcpy(shorter[0], &OPTIONS[0], sizeof(shorter[0]));
    memcpy(shorter[1], &OPTIONS[1], sizeof(shorter[1]));
    const struct cb_array earlier = {shorter, 2, sizeof(shorter[0])};
    struct cb_option option;
    cb_options_at(&earlier, 1, &option);
    assert_string_equal(option.key, "slope");
    cb_options_at(&earlier, 0, &option);
    assert_int_equal(option.flags, 0); /* its `required` is cut off */
    assert_int_equal(cb_options_find(&earlier, "slope"), 1);
    assert_int_equal(cb_options_find(&earlier, "bias"), -1);
}

static void expect_default(uint32_t i, const char *expected)
{
    struct cb_text text = {0};
    cb_options_print_default(&TABLE, i, &DEFAULTS, &text);
    assert_string_equal(text.data, expected);
    cb_text_free(&text);
}

static void defaults_are_printed(void **state)
{
    (void)state;
    expect_default(1, "0.01");
    expect_default(2, "true");
    expect_default(3, "reflect");
    expect_default(4, "none");
    expect_default(5, "[3, 3]");
    expect_default(6, "[]");
    expect_default(7, "photo");
}

static void filled_structs_become_maps(void **state)
{
    struct fixture *f = *state;
    struct conv_options o, again;
    const char *yaml = "name: 007\nfilters: 64\nkernel: valid\nrates: [1, -0.5]\nbias: true\nslope: 0.1\n";
    assert_int_equal(read_options(f, yaml, &o, NULL), CB_OK);
    struct cb_text text = {0};
    cb_value_to_json(cb_options_to_value(f->arena, &TABLE, &DEFAULTS, &o, false), &text);
    assert_string_equal(text.data, "{\"filters\": 64, \"slope\": 0.1, \"name\": \"007\", \"kernel\": \"valid\", \"rates\": [1.0, -0.5]}");
    cb_text_free(&text);
    struct cb_value *all = cb_options_to_value(f->arena, &TABLE, &DEFAULTS, &o, true);
    cb_value_to_json(all, &text);
    assert_string_equal(text.data, "{\"filters\": 64, \"slope\": 0.1, \"bias\": true, \"mode\": \"reflect\", \"name\": \"007\", "
                                   "\"kernel\": \"valid\", \"rates\": [1.0, -0.5], \"words\": \"photo\", \"units\": 0}");
    cb_text_free(&text);
    o.units = 3;
    all = cb_options_to_value(f->arena, &TABLE, &DEFAULTS, &o, true);
    cb_value_to_yaml(all, &text);
    assert_int_equal(read_options(f, text.data, &again, NULL), CB_OK);
    assert_string_equal(again.name, "007");
    assert_true(again.kernel.choice == 1 && again.rates.count == 2 && again.slope == 0.1 && again.units == 3);
    cb_text_free(&text);
}

static void schema_is_json(void **state)
{
    struct fixture *f = *state;
    struct cb_text text = {0};
    struct cb_value *schema = NULL;
    cb_options_schema(&TABLE, &DEFAULTS, &text);
    assert_int_equal(cb_json_read_text(f->arena, "schema", text.data, text.length, &schema, f->diag), CB_OK);
    struct cb_value *properties = cb_map_get(schema, "properties");
    assert_int_equal(properties->as.map.count, 10);
    struct cb_text part = {0};
    cb_value_to_json(cb_map_get(properties, "kernel"), &part);
    assert_string_equal(part.data,
                        "{\"anyOf\": [{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 99}, {\"type\": \"array\", \"items\": "
                        "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 99}, \"maxItems\": 2}, {\"enum\": [\"same\", \"valid\"]}], "
                        "\"description\": \"height and width\", \"default\": [3, 3]}");
    cb_text_free(&part);
    cb_value_to_json(cb_map_get(properties, "filters"), &part);
    assert_string_equal(part.data, "{\"type\": \"integer\", \"minimum\": 1, \"description\": \"channels out\"}");
    cb_text_free(&part);
    cb_value_to_json(cb_map_get(schema, "required"), &part);
    assert_string_equal(part.data, "[\"filters\"]"); /* `units` comes from the classes */
    cb_text_free(&part);
    assert_false(cb_map_get(schema, "additionalProperties")->as.boolean);
    cb_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults_stay_where_nothing_is_said), TEST(every_type_is_read), TEST(one_value_is_a_list_of_one),
        TEST(complaints_name_key_and_place), TEST(all_errors_are_collected), TEST(deprecated_options_warn),
        TEST(tables_of_other_versions_are_read), TEST(defaults_are_printed), TEST(filled_structs_become_maps),
        TEST(schema_is_json),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
