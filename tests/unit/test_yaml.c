/* test_yaml.c: the YAML reader: scalars of the 1.2 core schema, positions, anchors, and everything that is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base_common.h"

static struct cb_value *item(struct cb_value *list, size_t i)
{
    assert_int_equal(list->kind, CB_KIND_LIST);
    assert_true(i < list->as.list.count);
    return list->as.list.items[i];
}

static void expect_kind(struct fixture *f, const char *scalar, enum cb_kind kind)
{
    char text[128];
    snprintf(text, sizeof(text), "[%s]", scalar);
    struct cb_value *value = item(read_yaml(f, text), 0);
    if (value->kind != kind) {
        fail_msg("%s is %s", scalar, cb_kind_name(value->kind));
    }
}

/* The table of YAML 1.2.2, section 10.3.2, and the words of YAML 1.1 that are texts now. */
static void plain_scalars_follow_the_core_schema(void **state)
{
    struct fixture *f = *state;
    static const char *const NULLS[] = {"null", "Null", "NULL", "~"};
    static const char *const BOOLS[] = {"true", "True", "TRUE", "false", "False", "FALSE"};
    static const char *const INTS[] = {"0", "-19", "+7", "007", "0o17", "0x1F", "9223372036854775807",
                                       "-9223372036854775808"};
    static const char *const REALS[] = {"0.", "-.5", "+1e3", "12e03", "-2E+05", ".inf", "-.Inf", "+.INF", ".nan",
                                        ".NaN", "1.0"};
    static const char *const TEXTS[] = {"yes", "no", "on", "off", "y", "tRUE", "nULL", "1_000", "0b11", "0o8", "0xG", "-0x1",
                                        "1:30", "1.2.3", "1e", ".", "+", "e5", "inf", "nan", "+.nan", "0x", "2024-01-01",
                                        "'12'", "\"true\"", "''", "1 2"};
    for (size_t i = 0; i < sizeof(NULLS) / sizeof(*NULLS); i++) {
        expect_kind(f, NULLS[i], CB_KIND_NULL);
    }
    for (size_t i = 0; i < sizeof(BOOLS) / sizeof(*BOOLS); i++) {
        expect_kind(f, BOOLS[i], CB_KIND_BOOL);
    }
    for (size_t i = 0; i < sizeof(INTS) / sizeof(*INTS); i++) {
        expect_kind(f, INTS[i], CB_KIND_INT);
    }
    for (size_t i = 0; i < sizeof(REALS) / sizeof(*REALS); i++) {
        expect_kind(f, REALS[i], CB_KIND_REAL);
    }
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(*TEXTS); i++) {
        expect_kind(f, TEXTS[i], CB_KIND_TEXT);
    }
}

static void scalars_have_values(void **state)
{
    struct fixture *f = *state;
    struct cb_value *list = read_yaml(f, "[0o17, 0x1F, -9223372036854775808, 1.5e3, .inf, -.inf, .nan, True, 007, 'a', \"\\u00e9\"]");
    assert_true(item(list, 0)->as.integer == 15);
    assert_true(item(list, 1)->as.integer == 31);
    assert_true(item(list, 2)->as.integer == INT64_MIN);
    assert_true(item(list, 3)->as.real == 1500.0);
    assert_true(item(list, 4)->as.real == HUGE_VAL);
    assert_true(item(list, 5)->as.real == -HUGE_VAL);
    assert_true(isnan(item(list, 6)->as.real));
    assert_true(item(list, 7)->as.boolean);
    assert_true(item(list, 8)->as.integer == 7);
    assert_string_equal(item(list, 8)->text, "007");
    assert_false(item(list, 8)->quoted);
    assert_string_equal(item(list, 9)->text, "a");
    assert_true(item(list, 9)->quoted);
    assert_string_equal(item(list, 10)->text, "é");
}

static void block_scalars_are_texts(void **state)
{
    struct fixture *f = *state;
    struct cb_value *map = read_yaml(f, "a: |\n  12\n  \ttabs inside are kept\nb: >-\n  true\n");
    assert_int_equal(cb_map_get(map, "a")->kind, CB_KIND_TEXT);
    assert_string_equal(cb_map_get(map, "a")->text, "12\n\ttabs inside are kept\n");
    assert_int_equal(cb_map_get(map, "b")->kind, CB_KIND_TEXT);
    assert_string_equal(cb_map_get(map, "b")->text, "true");
}

static void expect_place(const struct cb_place *at, int line, int column)
{
    assert_int_equal(at->line, line);
    assert_int_equal(at->column, column);
    assert_string_equal(at->source->name, "t.yaml");
}

static void everything_has_its_place(void **state)
{
    struct fixture *f = *state;
    struct cb_value *map = read_yaml(f, "# comment\nmödel:\n  backbone: größe   # c\n  head:\n    - dropout: {rate: 0.2}\n    - dense\n");
    const struct cb_entry *model = cb_map_entry(map, "mödel");
    expect_place(&model->at, 2, 1);
    expect_place(&model->value->at, 3, 3);
    expect_place(&cb_map_entry(model->value, "backbone")->at, 3, 3);
    expect_place(&cb_map_get(model->value, "backbone")->at, 3, 13);
    struct cb_value *head = cb_map_get(model->value, "head");
    expect_place(&item(head, 0)->at, 5, 7);
    struct cb_value *dropout = cb_map_get(item(head, 0), "dropout");
    expect_place(&dropout->at, 5, 16);
    expect_place(&cb_map_entry(dropout, "rate")->at, 5, 17);
    expect_place(&cb_map_get(dropout, "rate")->at, 5, 23);
    expect_place(&item(head, 1)->at, 6, 7);
}

static void empty_documents_are_null(void **state)
{
    struct fixture *f = *state;
    static const char *const EMPTY[] = {"", "\n\n", "# only a comment\n", "---\n", "--- \n...\n", "\xEF\xBB\xBF", "~"};
    for (size_t i = 0; i < sizeof(EMPTY) / sizeof(*EMPTY); i++) {
        assert_int_equal(read_yaml(f, EMPTY[i])->kind, CB_KIND_NULL);
    }
}

static void keys_keep_their_order(void **state)
{
    struct fixture *f = *state;
    struct cb_value *map = read_yaml(f, "\xEF\xBB\xBFz: 1\r\na: 2\r\n\"m m\": 3\r\n");
    assert_int_equal(map->as.map.count, 3);
    assert_string_equal(map->as.map.entries[0].key, "z");
    assert_string_equal(map->as.map.entries[1].key, "a");
    assert_string_equal(map->as.map.entries[2].key, "m m");
}

static void aliases_are_copies(void **state)
{
    struct fixture *f = *state;
    struct cb_value *map = read_yaml(f, "a: &x {k: [1, 2]}\nb: *x\nc: &x 7\nd: *x\n");
    struct cb_value *a = cb_map_get(map, "a"), *b = cb_map_get(map, "b");
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(cb_map_get(a, "k"), cb_map_get(b, "k"));
    assert_true(item(cb_map_get(b, "k"), 1)->as.integer == 2);
    expect_place(&item(cb_map_get(b, "k"), 1)->at, 1, 15); /* where it is written */
    assert_true(cb_map_get(map, "d")->as.integer == 7);   /* the nearest anchor above */
    assert_true(cb_map_set(f->arena, b, "k", cb_value_int(f->arena, 5, NULL)));
    assert_int_equal(cb_map_get(a, "k")->kind, CB_KIND_LIST);
}

static void refuses_unknown_and_recursive_aliases(void **state)
{
    struct fixture *f = *state;
    refuse_yaml(f, "a: *nowhere\n",
                "t.yaml:1:4: error: no anchor `&nowhere` stands above this alias\n   1 | a: *nowhere\n     |    ^~~~~~~~");
    refuse_yaml(f, "a: &x\n  b: *x\n",
                "t.yaml:2:6: error: the alias `*x` stands inside the value that it repeats\n"
                "   2 |   b: *x\n     |      ^~");
}

/* Ten levels of ten would be ten thousand million values. */
static void refuses_an_alias_bomb(void **state)
{
    struct fixture *f = *state;
    struct cb_text text = {0};
    cb_text_add(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        cb_text_addf(&text, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++) {
            cb_text_addf(&text, "%s*a%d", k ? ", " : "", i - 1);
        }
        cb_text_add(&text, "]\n");
    }
    refuse_yaml(f, text.data,
                "t.yaml:6:45: error: more than 1000000 values once aliases are expanded\n"
                "   6 | a5: &a5 [*a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4]\n"
                "     |                                             ^~~");
    cb_text_free(&text);
}

/* Each anchor doubles the height: without a bound a walk over the tree would overflow the stack. */
static void refuses_depth_through_aliases(void **state)
{
    struct fixture *f = *state;
    struct cb_text text = {0};
    cb_text_add(&text, "a: &a [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\nb: &b [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n"
                       "c: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[*b]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n");
    struct cb_value *value = NULL;
    assert_int_equal(cb_yaml_read_text(f->arena, "t.yaml", text.data, text.length, &value, f->diag), CB_FORMAT);
    assert_memory_equal(cb_diag_text(f->diag, 0), "t.yaml:3:44: error: nested deeper than 100 levels\n", 50);
    cb_text_free(&text);
}

static enum cb_status read_nested(struct fixture *f, char open, char close, size_t depth)
{
    char *text = malloc(2 * depth + 1);
    struct cb_value *value = NULL;
    memset(text, open, depth);
    memset(text + depth, close, depth);
    text[2 * depth] = '\0';
    cb_diag_clear(f->diag);
    enum cb_status status = cb_yaml_read_text(f->arena, "t.yaml", text, 2 * depth, &value, f->diag);
    free(text);
    return status;
}

static void depth_is_bounded(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_nested(f, '[', ']', 100), CB_OK);
    assert_int_equal(read_nested(f, '[', ']', 101), CB_FORMAT);
    assert_non_null(strstr(cb_diag_text(f->diag, 0), "t.yaml:1:101: error: nested deeper than 100 levels"));
    assert_int_equal(read_nested(f, '[', ']', 100000), CB_FORMAT);
    assert_int_equal(read_nested(f, '{', '}', 100000), CB_FORMAT);
    assert_int_equal(read_nested(f, '-', ' ', 100000), CB_OK); /* a text of dashes */
}

static void refuses_tabs_in_the_indentation(void **state)
{
    struct fixture *f = *state;
    refuse_yaml(f, "model:\n\tbackbone: x\n",
                "t.yaml:2:1: error: a tab in the indentation: YAML is indented with spaces\n"
                "   2 |  backbone: x\n     | ^");
    refuse_yaml(f, "model:\n  a: 1\n  \tb: 2\n",
                "t.yaml:3:3: error: a tab in the indentation: YAML is indented with spaces\n"
                "   3 |    b: 2\n     |   ^");
    assert_string_equal(cb_map_get(read_yaml(f, "a:\tx\t# tabs elsewhere are blanks\n"), "a")->text, "x");
}

static void refuses_duplicate_keys(void **state)
{
    struct fixture *f = *state;
    struct cb_value *value = NULL;
    const char *text = "a: 1\nb: {c: 1, 'c': 2}\na: 3\n";
    assert_int_equal(cb_yaml_read_text(f->arena, "t.yaml", text, strlen(text), &value, f->diag), CB_FORMAT);
    assert_int_equal(cb_diag_count(f->diag, CB_ERROR), 2); /* all of them */
    expect_message(f, 0, "t.yaml:2:11: error: the key `c` stands twice; the first is in line 2\n"
                         "   2 | b: {c: 1, 'c': 2}\n     |           ^~~");
    expect_message(f, 1, "t.yaml:3:1: error: the key `a` stands twice; the first is in line 1\n"
                         "   3 | a: 3\n     | ^");
}

static void a_map_of_many_keys_is_quick(void **state)
{
    struct fixture *f = *state;
    struct cb_text text = {0};
    for (int i = 0; i < 100000; i++) {
        cb_text_addf(&text, "key%d: 1\n", i);
    }
    assert_int_equal(read_yaml(f, text.data)->as.map.count, 100000);
    cb_text_add(&text, "key31415: 2\n");
    refuse_yaml(f, text.data, "t.yaml:100001:1: error: the key `key31415` stands twice; the first is in line 31416\n"
                              "100001 | key31415: 2\n     | ^~~~~~~~");
    cb_text_free(&text);
}

static void refuses_numbers_beyond_64_bits(void **state)
{
    struct fixture *f = *state;
    refuse_yaml(f, "a: 9223372036854775808\n",
                "t.yaml:1:4: error: the number 9223372036854775808 does not fit in 64 bits: quote it if it is a text\n"
                "   1 | a: 9223372036854775808\n     |    ^~~~~~~~~~~~~~~~~~~");
    static const char *const OTHERS[] = {"-9223372036854775809", "0xFFFFFFFFFFFFFFFF", "0o7777777777777777777777", "1e999",
                                         "-1e999"};
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(*OTHERS); i++) {
        struct cb_value *value = NULL;
        cb_diag_clear(f->diag);
        assert_int_equal(cb_yaml_read_text(f->arena, "t.yaml", OTHERS[i], strlen(OTHERS[i]), &value, f->diag), CB_FORMAT);
        assert_non_null(strstr(cb_diag_text(f->diag, 0), "does not fit in 64 bits"));
        assert_null(value);
    }
    assert_string_equal(read_yaml(f, "'9223372036854775808'")->text, "9223372036854775808");
    assert_true(read_yaml(f, "1e-999")->as.real == 0.0); /* what is too small is zero */
}

static void refuses_what_is_not_text(void **state)
{
    struct fixture *f = *state;
    refuse_yaml_bytes(f, "a: b\0c\n", 7, CB_FORMAT,
                      "t.yaml:1:5: error: a byte 0x00: this is not a text file\n   1 | a: b?c\n     |     ^");
    refuse_yaml_bytes(f, "a: 1\nb: \xFFx\n", 10, CB_FORMAT,
                      "t.yaml:2:4: error: the byte 0xff is not UTF-8: save the file in that encoding\n"
                      "   2 | b: \xEF\xBF\xBDx\n     |    ^~");
    refuse_yaml_bytes(f, "\xFF\xFE" "a\0:\0 \0" "1\0", 10, CB_FORMAT, /* UTF-16 */
                      "t.yaml:1:1: error: the byte 0xff is not UTF-8: save the file in that encoding\n"
                      "   1 | \xEF\xBF\xBD\xEF\xBF\xBD" "a?:? ?1?\n     | ^~~");
    refuse_yaml(f, "é: \x01\n",
                "t.yaml:1:4: error: a control character (U+0001) may not stand in a YAML file\n   1 | é: ?\n     |    ^");
    refuse_yaml(f, "a: \"x\\0y\"\n",
                "t.yaml:1:4: error: a text may not hold the character \\0\n   1 | a: \"x\\0y\"\n     |    ^~~~~~");
    refuse_yaml(f, "\"x\\0y\": 1\n",
                "t.yaml:1:1: error: a key may not hold the character \\0\n   1 | \"x\\0y\": 1\n     | ^~~~~~");
}

static void refuses_other_constructs(void **state)
{
    struct fixture *f = *state;
    refuse_yaml(f, "a: 1\n---\nb: 2\n",
                "t.yaml:2:1: error: a second document begins here; only one is read\n   2 | ---\n     | ^~~");
    refuse_yaml(f, "a: !!python/object:os.system x\n",
                "t.yaml:1:4: error: tags are not read: `tag:yaml.org,2002:python/object:os.system`\n"
                "   1 | a: !!python/object:os.system x\n     |    ^~~~~~~~~~~~~~~~~~~~~~~~~");
    refuse_yaml(f, "a: &x {b: 1}\nc:\n  <<: *x\n",
                "t.yaml:3:3: error: merge keys (`<<`) are not part of YAML 1.2\n   3 |   <<: *x\n     |   ^~");
    refuse_yaml(f, "? [a, b]\n: 1\n", "t.yaml:1:3: error: a key must be a word, not a list\n   1 | ? [a, b]\n     |   ^");
    refuse_yaml(f, "{a: 1}: 1\n", "t.yaml:1:1: error: a key must be a word, not a map\n   1 | {a: 1}: 1\n     | ^");
    refuse_yaml(f, "a: 1\n? # none\n: 1\n",
                "t.yaml:2:2: error: a key is missing here\n   2 | ? # none\n     |  ^");
    refuse_yaml(f, "&k a: 1\n", "t.yaml:1:1: error: a key may not have an anchor\n   1 | &k a: 1\n     | ^~");
}

static void syntax_errors_have_places(void **state)
{
    struct fixture *f = *state;
    refuse_yaml(f, "a: b: c\n",
                "t.yaml:1:5: error: not valid YAML: mapping values are not allowed in this context\n"
                "   1 | a: b: c\n     |     ^");
    refuse_yaml(f, "a: [1, 2\nb: 3\n",
                "t.yaml:2:2: error: not valid YAML: did not find expected ',' or ']', while parsing a flow sequence (line 1)\n"
                "   2 | b: 3\n     |  ^");
    refuse_yaml(f, "a: \"open\n",
                "t.yaml:1:4: error: not valid YAML: found unexpected end of stream, while scanning a quoted scalar\n"
                "   1 | a: \"open\n     |    ^");
    refuse_yaml(f, "a: 1\n b: 2\n",
                "t.yaml:2:3: error: not valid YAML: mapping values are not allowed in this context\n   2 |  b: 2\n     |   ^");
}

static void files_are_read_and_bounded(void **state)
{
    struct fixture *f = *state;
    struct cb_value marker, *value = &marker;
    char name[] = "/tmp/cambium-yaml-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: 1\n", 5), 5);
    assert_int_equal(cb_yaml_read_file(f->arena, name, &value, f->diag), CB_OK);
    assert_true(cb_map_get(value, "a")->as.integer == 1);
    assert_string_equal(value->at.source->name, name);
    value = &marker;
    assert_int_equal(ftruncate(fd, (64 << 20) + 1), 0); /* sparse */
    assert_int_equal(cb_yaml_read_file(f->arena, name, &value, f->diag), CB_FORMAT);
    assert_ptr_equal(value, &marker);
    assert_non_null(strstr(cb_diag_text(f->diag, 0), "is too large"));
    close(fd);
    unlink(name);
    assert_int_equal(cb_yaml_read_file(f->arena, name, &value, f->diag), CB_NOT_FOUND);
    assert_int_equal(cb_yaml_read_file(f->arena, "/", &value, f->diag), CB_INVALID);
    assert_int_equal(cb_yaml_read_file(f->arena, "/dev/zero", &value, f->diag), CB_INVALID);
    expect_message(f, 3, "error: `/dev/zero` is not a regular file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plain_scalars_follow_the_core_schema), TEST(scalars_have_values), TEST(block_scalars_are_texts),
        TEST(everything_has_its_place), TEST(empty_documents_are_null), TEST(keys_keep_their_order),
        TEST(aliases_are_copies), TEST(refuses_unknown_and_recursive_aliases), TEST(refuses_an_alias_bomb),
        TEST(refuses_depth_through_aliases), TEST(depth_is_bounded), TEST(refuses_tabs_in_the_indentation),
        TEST(refuses_duplicate_keys), TEST(a_map_of_many_keys_is_quick), TEST(refuses_numbers_beyond_64_bits),
        TEST(refuses_what_is_not_text), TEST(refuses_other_constructs), TEST(syntax_errors_have_places),
        TEST(files_are_read_and_bounded),
    };
    return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}
