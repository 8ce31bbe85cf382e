/* test_value.c: building, changing and writing value trees, `--set`, and what readers of configs demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base_common.h"

static void expect_json(const struct cb_value *value, const char *expected)
{
    struct cb_text text = {0};
    assert_non_null(value);
    cb_value_to_json(value, &text);
    assert_string_equal(text.data, expected);
    cb_text_free(&text);
}

static void expect_yaml(const struct cb_value *value, const char *expected)
{
    struct cb_text text = {0};
    cb_value_to_yaml(value, &text);
    assert_string_equal(text.data, expected);
    cb_text_free(&text);
}

static void trees_are_built(void **state)
{
    struct fixture *f = *state;
    struct cb_value *map = cb_value_map(f->arena, NULL), *list = cb_value_list(f->arena, NULL);
    for (int64_t i = 0; i < 100; i++) {
        assert_true(cb_list_append(f->arena, list, cb_value_int(f->arena, i, NULL)));
    }
    assert_int_equal(list->as.list.count, 100);
    for (int64_t i = 0; i < 100; i++) {
        assert_true(list->as.list.items[i]->as.integer == i);
    }
    list->as.list.count = 2;
    assert_true(cb_map_set(f->arena, map, "l", list));
    assert_true(cb_map_set(f->arena, map, "t", cb_value_text(f->arena, "a\n", NULL)));
    assert_true(cb_map_set(f->arena, map, "r", cb_value_real(f->arena, 2, NULL)));
    assert_true(cb_map_set(f->arena, map, "b", cb_value_bool(f->arena, true, NULL)));
    assert_true(cb_map_set(f->arena, map, "t", cb_value_text(f->arena, "b", NULL))); /* replaced in its place */
    expect_json(map, "{\"l\": [0, 1], \"t\": \"b\", \"r\": 2.0, \"b\": true}");
    assert_string_equal(cb_map_get(map, "r")->text, "2.0");
    assert_null(cb_map_get(map, "x"));
    assert_null(cb_map_get(list, "t"));
    assert_null(cb_map_get(NULL, "t"));
    assert_false(cb_list_append(f->arena, map, list));
    assert_false(cb_map_set(f->arena, list, "x", map));
    assert_false(cb_map_set(f->arena, map, "x", NULL));
}

static void clones_share_nothing(void **state)
{
    struct fixture *f = *state;
    struct cb_value *root = read_yaml(f, "a: {b: [1, x]}\nc: null\n");
    struct cb_value *clone = cb_value_clone(f->arena, root);
    expect_json(clone, "{\"a\": {\"b\": [1, \"x\"]}, \"c\": null}");
    struct cb_value *b = cb_map_get(cb_map_get(clone, "a"), "b");
    assert_int_equal(b->at.line, 1);
    assert_int_equal(b->at.column, 8);
    assert_true(cb_list_append(f->arena, b, cb_value_int(f->arena, 3, NULL)));
    expect_json(root, "{\"a\": {\"b\": [1, \"x\"]}, \"c\": null}");
    expect_json(clone, "{\"a\": {\"b\": [1, \"x\", 3]}, \"c\": null}");
}

static void numbers_are_ints_and_reals(void **state)
{
    struct fixture *f = *state;
    double number = -1;
    assert_true(cb_value_number(read_yaml(f, "7"), &number));
    assert_true(number == 7.0);
    assert_true(cb_value_number(read_yaml(f, "0.25"), &number));
    assert_true(number == 0.25);
    assert_false(cb_value_number(read_yaml(f, "'7'"), &number));
    assert_false(cb_value_number(NULL, &number));
    assert_true(number == 0.25);
}

static void json_has_no_infinity(void **state)
{
    struct fixture *f = *state;
    expect_json(read_yaml(f, "[.inf, .nan, 1e300, -0.0]"), "[null, null, 1e+300, -0.0]");
}

static void yaml_is_written_in_blocks(void **state)
{
    struct fixture *f = *state;
    expect_yaml(read_yaml(f, "{model: {backbone: lenet, head: [dropout: {rate: 0.20}, dense, [[1, 2], []]], w: null}, d: {}}"),
                "model:\n"
                "  backbone: lenet\n"
                "  head:\n"
                "    - dropout:\n"
                "        rate: 0.20\n"
                "    - dense\n"
                "    - - [1, 2]\n"
                "      - []\n"
                "  w: null\n"
                "d: {}\n");
    expect_yaml(read_yaml(f, "- 007\n- '007'\n- 'yes'\n- a b\n- 'a: b'\n- '- x'\n- ''\n- \"#\"\n- ../x.csv\n- \"n\\nl\"\n"),
                "[007, \"007\", \"yes\", a b, \"a: b\", \"- x\", \"\", \"#\", ../x.csv, \"n\\nl\"]\n");
    expect_yaml(read_yaml(f, "x"), "x\n");
}

static bool same(const struct cb_value *a, const struct cb_value *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case CB_KIND_NULL:
        return true;
    case CB_KIND_BOOL:
        return a->as.boolean == b->as.boolean;
    case CB_KIND_INT:
        return a->as.integer == b->as.integer;
    case CB_KIND_REAL:
        return memcmp(&a->as.real, &b->as.real, sizeof(double)) == 0;
    case CB_KIND_TEXT:
        return strcmp(a->text, b->text) == 0;
    case CB_KIND_LIST:
        for (size_t i = 0; i < a->as.list.count; i++) {
            if (!same(a->as.list.items[i], b->as.list.items[i])) {
                return false;
            }
        }
        return a->as.list.count == b->as.list.count;
    default:
        for (size_t i = 0; i < a->as.map.count; i++) {
            if (strcmp(a->as.map.entries[i].key, b->as.map.entries[i].key) != 0 ||
                !same(a->as.map.entries[i].value, b->as.map.entries[i].value)) {
                return false;
            }
        }
        return a->as.map.count == b->as.map.count;
    }
}

/* Texts that look like something else, in keys and values, and a thousand doubles of random bits. */
static void what_is_written_reads_back(void **state)
{
    struct fixture *f = *state;
    static const char *const TEXTS[] = {
        "", " ", "a ", " a", "true", "null", "~", "1", "1.5", ".inf", ".5", "0x1F", "0o7", "-", "--", "---", "...", "- a", "a: b",
        "a:", ":", "a #b", "#", "*a", "&a", "!a", "@a", "`a`", "%a", "|", ">", "'", "\"", "\\", "a\nb", "\ta", "[", "]", "{", "}", ",",
        "a,b", "?", "? a", "<<", "=", "yes", "größe", "\xE2\x80\xA8", "\x7f", "\x01", "../a/b.yaml", "a-b_c", "+", "+1", "..", "./x", "/",
        "\xC2\x85", "\xEF\xBB\xBF", "\xEF\xBF\xBE", "\xF0\x9F\x8C\xB3",
    };
    struct cb_value *map = cb_value_map(f->arena, NULL), *reals = cb_value_list(f->arena, NULL);
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(*TEXTS); i++) {
        struct cb_value *list = cb_value_list(f->arena, NULL);
        assert_true(cb_list_append(f->arena, list, cb_value_text(f->arena, TEXTS[i], NULL)));
        assert_true(cb_map_set(f->arena, map, TEXTS[i], i % 2 ? list : list->as.list.items[0]));
    }
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 1000; i++) {
        double real;
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17; /* xorshift */
        memcpy(&real, &bits, sizeof(real));
        if (isfinite(real)) {
            assert_true(cb_list_append(f->arena, reals, cb_value_real(f->arena, real, NULL)));
        }
    }
    assert_true(reals->as.list.count > 900);
    assert_true(cb_map_set(f->arena, map, "reals", reals));
    assert_true(cb_map_set(f->arena, map, "least", cb_value_int(f->arena, INT64_MIN, NULL)));
    struct cb_text json = {0}, yaml = {0};
    struct cb_value *from_json = NULL;
    cb_value_to_json(map, &json);
    cb_value_to_yaml(map, &yaml);
    assert_true(same(map, read_yaml(f, yaml.data)));
    assert_int_equal(cb_json_read_text(f->arena, "t.json", json.data, json.length, &from_json, f->diag), CB_OK);
    assert_true(same(map, from_json));
    assert_true(same(map, read_yaml(f, json.data))); /* JSON is YAML */
    cb_text_free(&json);
    cb_text_free(&yaml);
}

static void set_path_changes_one_key(void **state)
{
    struct fixture *f = *state;
    struct cb_value *root = read_yaml(f, "model: {backbone: lenet, head: [dropout: {rate: 0.2}, dense]}\ndata:\n");
    static const char *const ASSIGNMENTS[] = {"train.epochs=1", "model.backbone=resnet18", "model.head.0.dropout.rate=0.5",
                                              "model.head.1={dense: {units: 3}}", "data.images=a=b/c.d", "train.rates.backbone=1e-4",
                                              "name=", "x='1'"};
    for (size_t i = 0; i < sizeof(ASSIGNMENTS) / sizeof(*ASSIGNMENTS); i++) {
        assert_int_equal(cb_value_set_path(f->arena, root, ASSIGNMENTS[i], f->diag), CB_OK);
    }
    expect_json(root, "{\"model\": {\"backbone\": \"resnet18\", \"head\": [{\"dropout\": {\"rate\": 0.5}}, {\"dense\": {\"units\": 3}}]}, "
                      "\"data\": {\"images\": \"a=b/c.d\"}, \"train\": {\"epochs\": 1, \"rates\": {\"backbone\": 0.0001}}, "
                      "\"name\": null, \"x\": \"1\"}");
    struct cb_value *epochs = cb_map_get(cb_map_get(root, "train"), "epochs");
    cb_fail(f->diag, CB_INVALID, &epochs->at, "too few");
    expect_message(f, 0, "--set train.epochs:1:1: error: too few\n   1 | 1\n     | ^");
    struct cb_value *empty = read_yaml(f, "");
    assert_int_equal(cb_value_set_path(f->arena, empty, "a.b=2", f->diag), CB_OK);
    expect_json(empty, "{\"a\": {\"b\": 2}}");
}

static void refuse_set(struct fixture *f, const char *assignment, enum cb_status status, const char *message)
{
    struct cb_value *root = read_yaml(f, "model: {backbone: lenet, head: [dense]}\n");
    cb_diag_clear(f->diag);
    assert_int_equal(cb_value_set_path(f->arena, root, assignment, f->diag), status);
    expect_message(f, 0, message);
    expect_json(root, "{\"model\": {\"backbone\": \"lenet\", \"head\": [\"dense\"]}}");
}

static void set_path_refuses(void **state)
{
    struct fixture *f = *state;
    refuse_set(f, "epochs", CB_INVALID,
               "--set:1:1: error: write `--set path.to.key=value`, not `--set epochs`\n   1 | epochs\n     | ^~~~~~");
    refuse_set(f, "=1", CB_INVALID, "--set:1:1: error: write `--set path.to.key=value`, not `--set =1`\n   1 | =1\n     | ^~");
    refuse_set(f, "model..x=1", CB_INVALID,
               "--set:1:1: error: a key is missing between the dots of `model..x`\n   1 | model..x=1\n     | ^~~~~~~~~~");
    refuse_set(f, "model.backbone.x=1", CB_INVALID,
               "--set model.backbone.x:1:1: error: `model.backbone` is `lenet`, which has no keys\n   1 | 1\n     | ^");
    refuse_set(f, "model.head.1=x", CB_INVALID,
               "--set model.head.1:1:1: error: `model.head` is a list of 1; `1` is none of its places (from 0)\n"
               "   1 | x\n     | ^");
    refuse_set(f, "model.head.-1=x", CB_INVALID,
               "--set model.head.-1:1:1: error: `model.head` is a list of 1; `-1` is none of its places (from 0)\n"
               "   1 | x\n     | ^");
    refuse_set(f, "a=[1", CB_FORMAT,
               "--set a:1:1: error: not valid YAML: did not find expected ',' or ']', while parsing a flow sequence\n"
               "   1 | [1\n     | ^");
}

static void kinds_are_expected(void **state)
{
    struct fixture *f = *state;
    struct cb_value *map = read_yaml(f, "epochs: many\nrate: 1\nlist: [1]\nnone:\nempty: ''\n");
    assert_true(cb_expect_kind(cb_map_get(map, "rate"), CB_KIND_REAL, "`rate`", f->diag)); /* an int is a real */
    assert_true(cb_expect_kind(cb_map_get(map, "list"), CB_KIND_LIST, "`list`", f->diag));
    assert_int_equal(cb_diag_count(f->diag, CB_NOTE), 0);
    assert_false(cb_expect_kind(cb_map_get(map, "epochs"), CB_KIND_INT, "`epochs`", f->diag));
    assert_false(cb_expect_kind(cb_map_get(map, "rate"), CB_KIND_TEXT, "`rate`", f->diag));
    assert_false(cb_expect_kind(cb_map_get(map, "list"), CB_KIND_MAP, "`list`", f->diag));
    assert_false(cb_expect_kind(cb_map_get(map, "none"), CB_KIND_MAP, "`none`", f->diag));
    assert_false(cb_expect_kind(cb_map_get(map, "empty"), CB_KIND_BOOL, "`empty`", f->diag));
    assert_false(cb_expect_kind(NULL, CB_KIND_MAP, "`data`", f->diag));
    expect_message(f, 0, "t.yaml:1:9: error: `epochs` must be an integer, not `many`\n   1 | epochs: many\n     |         ^~~~");
    expect_message(f, 1, "t.yaml:2:7: error: `rate` must be a text, not 1\n   2 | rate: 1\n     |       ^");
    expect_message(f, 2, "t.yaml:3:7: error: `list` must be a map, not a list\n   3 | list: [1]\n     |       ^");
    expect_message(f, 3, "t.yaml:4:6: error: `none` must be a map, not nothing\n   4 | none:\n     |      ^");
    expect_message(f, 4, "t.yaml:5:8: error: `empty` must be true or false, not an empty text\n   5 | empty: ''\n     |        ^~");
    expect_message(f, 5, "error: `data` is missing: it must be a map");
    assert_int_equal(cb_diag_status(f->diag), CB_INVALID);
}

static void keys_are_expected(void **state)
{
    struct fixture *f = *state;
    static const char *const KEYS[] = {"backbone", "frozen", "head"};
    assert_true(cb_expect_keys(read_yaml(f, "head: 1\nfrozen: 2\n"), KEYS, 3, "in `model`", f->diag));
    assert_true(cb_expect_keys(read_yaml(f, "{}"), KEYS, 3, "in `model`", f->diag));
    assert_false(cb_expect_keys(read_yaml(f, "frozn: 1\nhead: 2\noptimizer: 3\n"), KEYS, 3, "in `model`", f->diag));
    expect_message(f, 0, "t.yaml:1:1: error: unknown key `frozn` in `model`; did you mean `frozen`?\n   1 | frozn: 1\n     | ^~~~~");
    expect_message(f, 1,
                   "t.yaml:3:1: error: unknown key `optimizer` in `model`; there are `backbone`, `frozen`, `head`\n"
                   "   3 | optimizer: 3\n     | ^~~~~~~~~");
    assert_int_equal(cb_diag_count(f->diag, CB_ERROR), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(trees_are_built),          TEST(clones_share_nothing),      TEST(numbers_are_ints_and_reals),
        TEST(json_has_no_infinity),     TEST(yaml_is_written_in_blocks), TEST(what_is_written_reads_back),
        TEST(set_path_changes_one_key), TEST(set_path_refuses),          TEST(kinds_are_expected),
        TEST(keys_are_expected),
    };
    return cmocka_run_group_tests_name("value", tests, NULL, NULL);
}
