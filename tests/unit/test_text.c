/* test_text.c: growing texts, JSON strings, nearest words, patterns, natural order, quantities, hashes, arenas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>

#include "base/number.h"
#include "base/utf8.h"
#include "base_common.h"

static void text_grows(void **state)
{
    (void)state;
    struct cb_text text = {0};
    for (int i = 0; i < 1000; i++) {
        cb_text_addf(&text, "%d,", i);
    }
    cb_text_add_bytes(&text, "a\0b", 3);
    cb_text_add(&text, "");
    assert_false(text.failed);
    assert_int_equal(text.length, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    assert_memory_equal(text.data, "0,1,2,", 6);
    assert_memory_equal(text.data + text.length - 7, "999,a\0b", 8); /* with the NUL */
    cb_text_free(&text);
    assert_null(text.data);
    assert_int_equal(text.length, 0);
}

static void text_refuses_what_does_not_fit(void **state)
{
    (void)state;
    struct cb_text text = {0};
    cb_text_add(&text, "kept");
    cb_text_add_bytes(&text, "x", SIZE_MAX - 2);
    assert_true(text.failed);
    cb_text_add(&text, "ignored");
    assert_string_equal(text.data, "kept");
    cb_text_free(&text);
}

static void expect_json(const char *piece, const char *expected)
{
    struct cb_text text = {0};
    cb_text_add_json_string(&text, piece);
    assert_string_equal(text.data, expected);
    cb_text_free(&text);
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    expect_json("", "\"\"");
    expect_json("a \"b\" \\ /", "\"a \\\"b\\\" \\\\ /\"");
    expect_json("\n\t\r\b\f\x01\x7f", "\"\\n\\t\\r\\b\\f\\u0001\\u007f\"");
    expect_json("größe 語 \xF0\x9F\x8C\xB3", "\"größe 語 \xF0\x9F\x8C\xB3\"");
    expect_json("\xC2\x85 \xC2\x9F \xC2\xA0 \xE2\x80\xA8 \xEF\xBB\xBF \xEF\xBF\xBE",
                "\"\\u0085 \\u009f \xC2\xA0 \\u2028 \\ufeff \\ufffe\"");
    expect_json("a\xFF" "b\xC3", "\"a\xEF\xBF\xBD" "b\xEF\xBF\xBD\"");
    expect_json("\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""); /* a surrogate */
}

/* The rows of table 3-7 of the Unicode standard and their borders. */
static void utf8_sequences(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } CASES[] = {
        {"\x7F", 1},         {"\x80", 0},         {"\xC1\xBF", 0},         {"\xC2\x80", 2},         {"\xDF\xBF", 2},
        {"\xDF\x7F", 0},     {"\xE0\x9F\xBF", 0}, {"\xE0\xA0\x80", 3},     {"\xED\x9F\xBF", 3},     {"\xED\xA0\x80", 0},
        {"\xEE\x80\x80", 3}, {"\xEF\xBF\xBF", 3}, {"\xF0\x8F\xBF\xBF", 0}, {"\xF0\x90\x80\x80", 4},
        {"\xF4\x8F\xBF\xBF", 4}, {"\xF4\x90\x80\x80", 0}, {"\xF5\x80\x80\x80", 0}, {"\xE2\x82", 0}, {"\xFF", 0},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_int_equal(cb__utf8_sequence(CASES[i].bytes, strlen(CASES[i].bytes)), CASES[i].length);
    }
    assert_int_equal(cb__utf8_sequence("\xE2\x82\xAC", 2), 0);
    assert_int_equal(cb__utf8_sequence("", 0), 0);
}

static void nearest_word_is_found(void **state)
{
    (void)state;
    static const char *const WORDS[] = {"backbone", "frozen", "weights", "replace", "head", "heads", "batchnorm"};
    const size_t count = sizeof(WORDS) / sizeof(WORDS[0]);
    assert_string_equal(cb_nearest_of("frozn", WORDS, count), "frozen");   /* insert */
    assert_string_equal(cb_nearest_of("frozzen", WORDS, count), "frozen"); /* delete */
    assert_string_equal(cb_nearest_of("frosen", WORDS, count), "frozen");  /* replace */
    assert_string_equal(cb_nearest_of("frozne", WORDS, count), "frozen");  /* swap */
    assert_string_equal(cb_nearest_of("Backbone", WORDS, count), "backbone");
    assert_string_equal(cb_nearest_of("heads", WORDS, count), "heads");
    assert_string_equal(cb_nearest_of("batch_norm", WORDS, count), "batchnorm");
    assert_null(cb_nearest_of("optimizer", WORDS, count));
    assert_null(cb_nearest_of("", WORDS, count));
    assert_null(cb_nearest_of("x", WORDS, count));
    assert_null(cb_nearest_of("frozen", NULL, 0));
    /* the limit is a third of the longer word's letters */
    static const char *const SIX[] = {"abcdef"};
    assert_non_null(cb_nearest_of("abcdxy", SIX, 1));
    assert_null(cb_nearest_of("abcxyz", SIX, 1));
    /* two letters swapped are one change, not two */
    static const char *const THREE[] = {"abc"};
    assert_non_null(cb_nearest_of("acb", THREE, 1));
    assert_null(cb_nearest_of("axx", THREE, 1));
    char long_word[300];
    memset(long_word, 'a', sizeof(long_word) - 1);
    long_word[sizeof(long_word) - 1] = '\0';
    assert_null(cb_nearest_of(long_word, WORDS, count));
}

static void patterns_match_whole_names(void **state)
{
    (void)state;
    assert_true(cb_pattern_matches("layer3", "layer3"));
    assert_false(cb_pattern_matches("layer3", "layer3.conv"));
    assert_true(cb_pattern_matches("layer3.*", "layer3.0.conv1"));
    assert_true(cb_pattern_matches("*", ""));
    assert_false(cb_pattern_matches("?", ""));
    assert_true(cb_pattern_matches("*.bn?", "layer1.0.bn2"));
    assert_true(cb_pattern_matches("layer[1-3]", "layer2"));
    assert_false(cb_pattern_matches("layer[1-3]", "layer4"));
    assert_true(cb_pattern_matches("layer[!1-3]", "layer4"));
    assert_false(cb_pattern_matches("layer[!1-3]", "layer1"));
    assert_true(cb_pattern_matches("a[]]b", "a]b"));
    assert_true(cb_pattern_matches("a[x-]", "a-"));
    assert_true(cb_pattern_matches("a[b", "a[b")); /* a set that never ends is a letter */
    assert_true(cb_pattern_matches("gr?n", "gr\xC3\xBCn"));
    assert_true(cb_pattern_matches("*ab*ab", "abxababab"));
    assert_false(cb_pattern_matches("*ab*abc", "abxabab"));
    assert_false(cb_pattern_matches("", "a"));
    assert_true(cb_pattern_matches("", ""));
}

/* A pattern that takes exponential time in a matcher that tries every star again. */
static void patterns_take_bounded_time(void **state)
{
    (void)state;
    char name[2001], pattern[201];
    memset(name, 'a', 2000);
    name[2000] = '\0';
    for (int i = 0; i < 100; i++) {
        memcpy(pattern + 2 * i, "*a", 2);
    }
    pattern[199] = 'b';
    pattern[200] = '\0';
    assert_false(cb_pattern_matches(pattern, name));
}

static void numbers_in_names_compare_as_numbers(void **state)
{
    (void)state;
    assert_true(cb_natural_compare("layer2", "layer10") < 0);
    assert_true(cb_natural_compare("layer10", "layer2") > 0);
    assert_true(cb_natural_compare("a", "b") < 0);
    assert_true(cb_natural_compare("a1b2", "a1b10") < 0);
    assert_true(cb_natural_compare("img", "img1") < 0);
    assert_int_equal(cb_natural_compare("x7", "x7"), 0);
    assert_true(cb_natural_compare("a01", "a1") != 0); /* different names are never equal */
    assert_true(cb_natural_compare("a01", "a2") < 0);
    assert_true(cb_natural_compare("99999999999999999999998", "99999999999999999999999") < 0);
    assert_true(cb_natural_compare("1.9", "1.10") < 0);
}

/* Published test vectors of 64-bit FNV-1a. */
static void hash_is_fnv1a(void **state)
{
    (void)state;
    assert_true(cb_hash64("", 0) == UINT64_C(0xcbf29ce484222325));
    assert_true(cb_hash64("a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(cb_hash64("foobar", 6) == UINT64_C(0x85944171f73967e8));
}

static void beginnings_and_endings(void **state)
{
    (void)state;
    assert_true(cb_ends_with("a.yaml", ".yaml"));
    assert_false(cb_ends_with("yaml", ".yaml"));
    assert_true(cb_ends_with("a", ""));
    assert_true(cb_starts_with("hf:a/b", "hf:"));
    assert_false(cb_starts_with("h", "hf:"));
}

static void quantities_are_readable(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(cb_format_count(0, out), "0");
    assert_string_equal(cb_format_count(999, out), "999");
    assert_string_equal(cb_format_count(1000, out), "1.0 k");
    assert_string_equal(cb_format_count(4652008, out), "4.7 M");
    assert_string_equal(cb_format_count(999949, out), "999.9 k");
    assert_string_equal(cb_format_count(999950, out), "1.0 M"); /* never "1000.0 k" */
    assert_string_equal(cb_format_count(UINT64_MAX, out), "18.4 E");
    assert_string_equal(cb_format_bytes(18400000, out), "18.4 MB");
    assert_string_equal(cb_format_bytes(12, out), "12 B");
    assert_string_equal(cb_format_seconds(0.0123, out), "12 ms");
    assert_string_equal(cb_format_seconds(0.9999, out), "1.0 s");
    assert_string_equal(cb_format_seconds(59.94, out), "59.9 s");
    assert_string_equal(cb_format_seconds(59.96, out), "1 min 0 s");
    assert_string_equal(cb_format_seconds(80, out), "1 min 20 s");
    assert_string_equal(cb_format_seconds(7260, out), "2 h 1 min");
    assert_string_equal(cb_format_seconds(3 * 86400 + 3600, out), "3 d 1 h");
    assert_string_equal(cb_format_seconds(-1, out), "?");
}

static void expect_real(double real, const char *expected)
{
    struct cb_text text = {0};
    cb__add_real(&text, real);
    assert_string_equal(text.data, expected);
    cb_text_free(&text);
}

/* The shortest digits that give the same double (as Python's repr finds them), and always seen to be a real. */
static void reals_are_printed_shortest(void **state)
{
    (void)state;
    expect_real(0.1, "0.1");
    expect_real(1.0 / 3.0, "0.3333333333333333");
    expect_real(0.1 + 0.2, "0.30000000000000004");
    expect_real(3.0, "3.0");
    expect_real(-0.0, "-0.0");
    expect_real(1e-5, "1e-05");
    expect_real(5e-324, "4.94066e-324"); /* never fewer than six digits are tried */
    expect_real(1.7976931348623157e308, "1.7976931348623157e+308");
    expect_real(__builtin_inf(), ".inf");
    expect_real(-__builtin_inf(), "-.inf");
    expect_real(__builtin_nan(""), ".nan");
}

static void numbers_ignore_the_locale(void **state)
{
    (void)state;
    static const char *const COMMA_LOCALES[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ru_RU.UTF-8"};
    bool has_comma = false;
    for (size_t i = 0; i < 4 && !has_comma; i++) {
        has_comma = setlocale(LC_ALL, COMMA_LOCALES[i]) != NULL;
    }
    expect_real(0.5, "0.5");
    assert_true(cb__read_real("2.25") == 2.25);
    char out[32];
    assert_string_equal(cb_format_count(4600000, out), "4.6 M");
    setlocale(LC_ALL, "C");
}

static int released[3], release_count;

static void note_release(void *object)
{
    released[release_count++] = *(int *)object;
}

static void arena_gives_zeroed_aligned_memory(void **state)
{
    struct fixture *f = *state;
    for (size_t bytes = 0; bytes < 5000; bytes += 7) {
        unsigned char *memory = cb_arena_alloc(f->arena, bytes);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 16, 0);
        for (size_t i = 0; i < bytes; i++) {
            assert_int_equal(memory[i], 0);
        }
        memset(memory, 0xAB, bytes);
    }
    char *large = cb_arena_alloc(f->arena, 10 << 20), *small = cb_arena_alloc(f->arena, 1);
    assert_non_null(large);
    assert_true(small < large || small >= large + (10 << 20));
    assert_null(cb_arena_array(f->arena, SIZE_MAX / 2, 3));
    assert_null(cb_arena_alloc(f->arena, SIZE_MAX));
    assert_string_equal(cb_arena_printf(f->arena, "%s-%d", "conv", 7), "conv-7");
    assert_string_equal(cb_arena_strndup(f->arena, "abcdef", 3), "abc");
}

static void arena_releases_newest_first(void **state)
{
    (void)state;
    struct cb_arena *arena = cb_arena_create();
    int *objects = CB_NEW_ARRAY(arena, int, 3);
    for (int i = 0; i < 3; i++) {
        objects[i] = i + 1;
        assert_true(cb_arena_on_destroy(arena, note_release, &objects[i]));
    }
    assert_int_equal(release_count, 0);
    cb_arena_destroy(arena);
    assert_int_equal(release_count, 3);
    assert_int_equal(released[0], 3);
    assert_int_equal(released[1], 2);
    assert_int_equal(released[2], 1);
    cb_arena_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_grows), TEST(text_refuses_what_does_not_fit), TEST(json_strings_are_escaped), TEST(utf8_sequences),
        TEST(nearest_word_is_found), TEST(patterns_match_whole_names), TEST(patterns_take_bounded_time),
        TEST(numbers_in_names_compare_as_numbers), TEST(hash_is_fnv1a), TEST(beginnings_and_endings),
        TEST(quantities_are_readable), TEST(reals_are_printed_shortest), TEST(numbers_ignore_the_locale),
        TEST(arena_gives_zeroed_aligned_memory), TEST(arena_releases_newest_first),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
