/* test_json.c: the JSON reader: values, positions, and what RFC 8259 forbids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base_common.h"

static struct cb_value *read_json(struct fixture *f, const char *text)
{
    struct cb_value *value = NULL;
    enum cb_status status = cb_json_read_text(f->arena, "t.json", text, strlen(text), &value, f->diag);
    if (status != CB_OK) {
        fail_msg("%s", cb_diag_text(f->diag, 0));
    }
    return value;
}

static void values_and_places(void **state)
{
    struct fixture *f = *state;
    struct cb_value *map = read_json(f, "{\"z\": [1, -2.5e1, true, false, null],\n"
                                        "  \"ü \\\"k\\\"\" : \"t\\u00fc\\n, ]}\", \"e\":{ } , \"l\": [ ],\n"
                                        "  \"deep\": [[[{\"x\":\t12}]]]}");
    assert_int_equal(map->as.map.count, 5);
    assert_string_equal(map->as.map.entries[0].key, "z"); /* in the order of the text */
    assert_string_equal(map->as.map.entries[1].key, "ü \"k\"");
    struct cb_value *z = cb_map_get(map, "z");
    assert_int_equal(z->as.list.count, 5);
    assert_true(z->as.list.items[0]->as.integer == 1);
    assert_true(z->as.list.items[1]->as.real == -25.0);
    assert_string_equal(z->as.list.items[1]->text, "-2.5e1");
    assert_true(z->as.list.items[2]->as.boolean);
    assert_false(z->as.list.items[3]->as.boolean);
    assert_int_equal(z->as.list.items[4]->kind, CB_KIND_NULL);
    assert_int_equal(z->as.list.items[4]->at.line, 1);
    assert_int_equal(z->as.list.items[4]->at.column, 32);
    const struct cb_entry *k = &map->as.map.entries[1];
    assert_string_equal(k->value->text, "tü\n, ]}");
    assert_true(k->value->quoted);
    assert_int_equal(k->at.line, 2);
    assert_int_equal(k->at.column, 3);
    assert_int_equal(k->value->at.column, 15);
    assert_int_equal(cb_map_get(map, "e")->kind, CB_KIND_MAP);
    assert_int_equal(cb_map_get(map, "l")->kind, CB_KIND_LIST);
    struct cb_value *x = cb_map_get(map, "deep");
    for (int i = 0; i < 3; i++) {
        x = x->as.list.items[0];
    }
    x = cb_map_get(x, "x");
    assert_true(x->as.integer == 12);
    assert_int_equal(x->at.line, 3);
    assert_int_equal(x->at.column, 20);
}

static void any_value_may_stand_alone(void **state)
{
    struct fixture *f = *state;
    assert_true(read_json(f, " 9223372036854775807 ")->as.integer == INT64_MAX);
    assert_int_equal(read_json(f, "null")->kind, CB_KIND_NULL);
    assert_string_equal(read_json(f, "\"\\\\\"")->text, "\\");
}

static void refuse(struct fixture *f, const char *text, size_t length, const char *message)
{
    struct cb_value marker, *value = &marker;
    cb_diag_clear(f->diag);
    if (cb_json_read_text(f->arena, "t.json", text, length, &value, f->diag) != CB_FORMAT) {
        fail_msg("%s is read", text);
    }
    assert_ptr_equal(value, &marker);
    if (message) {
        expect_message(f, 0, message);
    }
}

/* What YAML would take: JSON must not. */
static void refuses_what_is_not_json(void **state)
{
    struct fixture *f = *state;
    static const char *const BAD[] = {
        "", " ", "{a: 1}", "{'a': 1}", "[1,]", "{\"a\": 1,}", "[1 2]", "[01]", "[+1]", "[.5]", "[1.]", "[NaN]", "[Infinity]",
        "[0x10]", "[True]", "// c\n[1]", "[1] x", "[1][2]", "\"a\nb\"", "\"\\x41\"", "\"\\ud800\"", "\"\\u0000\"", "[1", "{\"a\"",
        "{\"a\": 1, \"a\": 2}", "[9223372036854775808]", "[1e999]", "a", "{\"\\u0000\": 1}",
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
        refuse(f, BAD[i], strlen(BAD[i]), NULL);
    }
    refuse(f, "[\"\xFF\"]", 5,
           "t.json:1:3: error: the byte 0xff is not UTF-8: save the file in that encoding\n"
           "   1 | [\"\xEF\xBF\xBD\"]\n     |   ^~");
    refuse(f, "[1,\0 2]", 7, "t.json:1:4: error: a byte 0x00: this is not a text file\n   1 | [1,? 2]\n     |    ^");
    refuse(f, "{\"a\": 1,\n \"b\": [1.5, tru]}", 26,
           "t.json:2:15: error: not valid JSON: invalid token\n   2 |  \"b\": [1.5, tru]}\n     |               ^");
}

static enum cb_status read_nested(struct fixture *f, size_t depth)
{
    char *text = malloc(2 * depth);
    struct cb_value *value = NULL;
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    cb_diag_clear(f->diag);
    enum cb_status status = cb_json_read_text(f->arena, "t.json", text, 2 * depth, &value, f->diag);
    free(text);
    return status;
}

static void depth_is_bounded(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_nested(f, 100), CB_OK);
    assert_int_equal(read_nested(f, 101), CB_FORMAT);
    assert_non_null(strstr(cb_diag_text(f->diag, 0), "nested deeper than 100 levels"));
    assert_int_equal(read_nested(f, 100000), CB_FORMAT);
}

/* A vocabulary is one long line: counting columns from its beginning for each value would take minutes. */
static void a_long_line_is_quick(void **state)
{
    struct fixture *f = *state;
    struct cb_text text = {0};
    cb_text_add(&text, "{\"k\": 0");
    for (int i = 0; i < 200000; i++) {
        cb_text_addf(&text, ", \"k%d\": %d", i, i);
    }
    cb_text_add(&text, "}");
    struct cb_value *map = read_json(f, text.data);
    assert_int_equal(map->as.map.count, 200001);
    const struct cb_entry *last = &map->as.map.entries[200000];
    assert_string_equal(last->key, "k199999");
    assert_true(last->value->as.integer == 199999);
    assert_int_equal(last->value->at.column, text.length - 6);
    cb_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_and_places), TEST(any_value_may_stand_alone), TEST(refuses_what_is_not_json),
        TEST(depth_is_bounded),  TEST(a_long_line_is_quick),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
