/* test_expression.c: formulas in YAML files, and network files that describe a family. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/expression.h"
#include "base_common.h"
#include "graph/family.h"

/* Names are the keys of a map. */
static enum cb_status find(void *context, const char *name, size_t length, const struct cb_place *at,
                           const struct cb_value **out, struct cb_diag *diag)
{
    char word[64];
    snprintf(word, sizeof(word), "%.*s", (int)length, name);
    *out = cb_map_get(context, word);
    return *out != NULL ? CB_OK : cb_fail(diag, CB_NOT_FOUND, at, "no `%s`", word);
}

static struct cb_names names_of(struct fixture *f)
{
    return (struct cb_names){find, read_yaml(f, "{a: 7, b: 2.5, list: [4, 5, 6], word: relu, yes: true, input.C: 12}")};
}

static void expect(struct fixture *f, const char *text, const char *json)
{
    struct cb_names names = names_of(f);
    struct cb_value *value = NULL;
    struct cb_text out = {0};
    if (cb_expression_read(f->arena, text, NULL, &names, &value, f->diag) != CB_OK) {
        fail_msg("%s: %s", text, cb_diag_text(f->diag, 0));
    }
    cb_value_to_json(value, &out);
    if (strcmp(out.data, json) != 0) {
        fail_msg("%s gives %s, not %s", text, out.data, json);
    }
    cb_text_free(&out);
}

/* Values are Python's. */
static void expressions_are_computed(void **state)
{
    static const char *const cases[][2] = {
        {"1 + 2 * 3", "7"}, {"(1 + 2) * 3", "9"}, {"10 - 4 - 3", "3"}, {"2 ** 3 ** 2", "512"}, {"-2 ** 2", "-4"},
        {"7 // 2", "3"}, {"-7 // 2", "-4"}, {"7 // -2", "-4"}, {"-7 % 3", "2"}, {"7 % -3", "-2"}, {"7 / 2", "3.5"},
        {"6 / 2", "3.0"}, {"7.5 // 2", "3.0"}, {"-7.5 % 2", "0.5"}, {"2 ** -1", "0.5"}, {"1e3 + 1", "1001.0"},
        {"a * 6", "42"}, {"b * 2", "5.0"}, {"list[0] + list[-1]", "10"}, {"[1, 2] + list", "[1, 2, 4, 5, 6]"},
        {"'x' + word", "\"xrelu\""}, {"input.C // 4", "3"}, {"a == 7 and b < 3", "true"}, {"not yes or a != 7", "false"},
        {"not not yes", "true"}, {"a if a > 3 else 3", "7"}, {"1 if a > 9 else 2 if b > 9 else 3", "3"},
        {"list[9] if a == 0 else list[1]", "5"}, {"(1 if yes else 2) + (3 if not yes else 4)", "5"},
        {"a == 0 and list[9] == 1", "false"}, {"yes or nothing", "true"}, {"word == 'relu'", "true"},
        {"word == 7", "false"}, {"7 == 7.0", "true"}, {"null", "null"}, {"[[1, 2], [3]][0][1]", "2"}, {"[]", "[]"},
        {"min(3, 1, 2)", "1"}, {"max(list)", "6"}, {"sum(list)", "15"}, {"len(list)", "3"}, {"abs(-3)", "3"},
        {"int(2.9)", "2"}, {"int(-2.9)", "-2"}, {"round(2.5)", "2"}, {"round(3.5)", "4"}, {"floor(-0.5)", "-1"},
        {"ceil(0.1)", "1"}, {"range(3)", "[0, 1, 2]"}, {"range(2, 4)", "[2, 3]"}, {"range(0)", "[]"},
        /* torchvision's _make_divisible */
        {"divisible(32 * 0.75, 8)", "24"}, {"divisible(1280 * 1.4, 8)", "1792"}, {"divisible(3, 8)", "8"},
        {"divisible(16 * 0.35, 8)", "8"}, {"divisible(44, 8)", "48"}, {"divisible(12, 8)", "16"}, {"divisible(19, 8)", "24"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect(*state, cases[i][0], cases[i][1]);
    }
}

static void errors_say_what_and_where(void **state)
{
    static const char *const cases[][2] = {
        {"1 +", "the expression `1 +` ends where a value is missing"},
        {"(1", "a `)` is missing here"},
        {"1 2", "`2` does not belong to the expression before it"},
        {"nothing", "no `nothing`"},
        {"list[3]", "the list has 3 elements, there is no [3]"},
        {"list[-4]", "the list has 3 elements, there is no [-4]"},
        {"1 // 0", "a division by zero"},
        {"1 % 0", "a division by zero"},
        {"1.0 / 0", "a division by zero"},
        {"9223372036854775807 + 1", "the result does not fit in 64 bits"},
        {"10 ** 30", "the result does not fit in 64 bits"},
        {"10.0 ** 400", "the result is not a finite number"},
        {"word * 2", "`*` needs numbers on both sides, not a text and an integer"},
        {"1 and yes", "true or false is needed here, not an integer"},
        {"minn(1, 2)", "there is no function `minn`; did you mean `min`?"},
        {"divisible(3)", "`divisible` takes 2, not 1"},
        {"len(3)", "`len` takes a list, not an integer"},
        {"range(1000000000)", "a list of more than 10000"},
        {"1 if yes", "`a if c else b` lacks its `else`"},
        {"'abc", "this text has no end: a ' is missing"},
        {"1x", "`1x` is no number"},
    };
    struct fixture *f = *state;
    struct cb_names names = names_of(f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cb_value *value = NULL;
        cb_diag_clear(f->diag);
        assert_int_not_equal(cb_expression_read(f->arena, cases[i][0], NULL, &names, &value, f->diag), CB_OK);
        if (strstr(cb_diag_text(f->diag, 0), cases[i][1]) == NULL) {
            fail_msg("%s: %s", cases[i][0], cb_diag_text(f->diag, 0));
        }
    }
    struct cb_value *value = NULL;
    char deep[20001];
    memset(deep, '(', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    assert_int_equal(cb_expression_read(f->arena, deep, NULL, &names, &value, f->diag), CB_INVALID);
    memset(deep, '-', sizeof(deep) - 1);
    assert_int_equal(cb_expression_read(f->arena, deep, NULL, &names, &value, f->diag), CB_INVALID);
}

static void values_are_put_in(void **state)
{
    struct fixture *f = *state;
    struct cb_names names = names_of(f);
    struct cb_value *value = read_yaml(f, "{$word: {filters: $a, half: $(a // 2), name: layer$(a + 1)x$(b), plain: a$b},\n"
                                          " list: [$list, \"$(list[0] * 2)\", 5]}");
    struct cb_text out = {0};
    assert_int_equal(cb_value_substitute(f->arena, &names, value, f->diag), CB_OK);
    cb_value_to_json(value, &out);
    assert_string_equal(out.data, "{\"relu\": {\"filters\": 7, \"half\": 3, \"name\": \"layer8x2.5\", \"plain\": \"a$b\"}, "
                                  "\"list\": [[4, 5, 6], 8, 5]}");
    cb_text_free(&out);
    value = read_yaml(f, "{name: \"a$(1 + \"}");
    assert_int_equal(cb_value_substitute(f->arena, &names, value, f->diag), CB_INVALID);
    value = read_yaml(f, "name: b$(list)");
    cb_diag_clear(f->diag);
    assert_int_equal(cb_value_substitute(f->arena, &names, value, f->diag), CB_INVALID);
    expect_message(f, 0, "t.yaml:1:10: error: a list has no place within a text\n   1 | name: b$(list)\n     |          ^~~~~");
}

static const char family[] = "name: fam\n"
                             "parameters: {depths: null, width: 8, wide: $(width * 4), size: 32}\n"
                             "models:\n"
                             "  small: {depths: [1, 1]}\n"
                             "  large: {depths: [2, 3], width: 16, input: {resize: pad}, weights: [{file: $(width).pth}]}\n"
                             "input: {modality: image, shape: [$size, $size, 3], resize: crop}\n"
                             "layers: [{dense: {units: $wide}}]\n";

static void a_family_gives_its_members(void **state)
{
    struct fixture *f = *state;
    struct cb_value *file = read_yaml(f, family), *member, *again;
    struct cb_text out = {0};
    assert_int_equal(cb_family_settle(f->arena, file, "large", &member, f->diag), CB_OK);
    cb_value_to_json(member, &out);
    assert_string_equal(out.data, "{\"name\": \"large\", \"input\": {\"modality\": \"image\", \"shape\": [32, 32, 3], \"resize\": \"pad\"}, "
                                  "\"layers\": [{\"dense\": {\"units\": \"$wide\"}}], \"weights\": [{\"file\": \"16.pth\"}], "
                                  "\"parameters\": {\"depths\": [2, 3], \"width\": 16, \"wide\": 64, \"size\": 32}}");
    struct cb_text twice = {0};
    assert_int_equal(cb_family_settle(f->arena, member, NULL, &again, f->diag), CB_OK);
    cb_value_to_json(again, &twice);
    assert_string_equal(twice.data, out.data);
    cb_text_free(&out);
    cb_text_free(&twice);
    assert_int_equal(cb_family_settle(f->arena, file, NULL, &member, f->diag), CB_INVALID);
    assert_non_null(strstr(cb_diag_text(f->diag, 0), "`fam` is a family; name one of its models: small, large"));
    cb_diag_clear(f->diag);
    assert_int_equal(cb_family_settle(f->arena, file, "huge", &member, f->diag), CB_NOT_FOUND);
    assert_non_null(strstr(cb_diag_text(f->diag, 0), "`fam` has no model `huge`; it has: small, large"));
    cb_diag_clear(f->diag);
    file = read_yaml(f, "{parameters: {width: 1}, models: {m: {widht: 2}}, layers: []}");
    assert_int_equal(cb_family_settle(f->arena, file, "m", &member, f->diag), CB_INVALID);
    assert_non_null(strstr(cb_diag_text(f->diag, 0), "`widht` is no parameter of the file; did you mean `width`?"));
    cb_diag_clear(f->diag);
    file = read_yaml(f, "{parameters: {a: null}, models: {m: {}}, layers: []}");
    assert_int_equal(cb_family_settle(f->arena, file, "m", &member, f->diag), CB_INVALID);
    assert_non_null(strstr(cb_diag_text(f->diag, 0), "`m` needs its parameter `a`"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(expressions_are_computed), TEST(errors_say_what_and_where),
                                       TEST(values_are_put_in), TEST(a_family_gives_its_members)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
