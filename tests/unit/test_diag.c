/* test_diag.c: messages as people see them: place, source line, caret; counting and bounds; the list of statuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base_common.h"

static const char CONFIG[] = "# a task\nmodel:\n  backbone: resnet18\n  frozn: backbone\n";

static struct cb_source source_of(const char *name, const char *text)
{
    return (struct cb_source){name, text, strlen(text)};
}

static void message_shows_line_and_caret(void **state)
{
    struct fixture *f = *state;
    struct cb_source source = source_of("configs/photos.yaml", CONFIG);
    struct cb_place at = {&source, 4, 3};
    enum cb_status status = cb_fail(f->diag, CB_INVALID, &at, "unknown key `%s` in `model`; did you mean `frozen`?", "frozn");
    assert_int_equal(status, CB_INVALID);
    expect_message(f, 0,
                   "configs/photos.yaml:4:3: error: unknown key `frozn` in `model`; did you mean `frozen`?\n"
                   "   4 |   frozn: backbone\n"
                   "     |   ^~~~~");
}

static void message_outlives_its_source(void **state)
{
    struct fixture *f = *state;
    char *text = strdup("key: value\n"), *name = strdup("gone.yaml");
    struct cb_source source = {name, text, strlen(text)};
    struct cb_place at = {&source, 1, 6};
    cb_warn(f->diag, &at, "look");
    memset(text, 'x', strlen(text));
    free(text);
    free(name);
    expect_message(f, 0, "gone.yaml:1:6: warning: look\n   1 | key: value\n     |      ^~~~~");
}

static void places_may_be_partial(void **state)
{
    struct fixture *f = *state;
    struct cb_source source = source_of("a.json", "{}\n");
    struct cb_source textless = {"b.yaml", NULL, 0};
    struct cb_source nameless = {NULL, "x\n", 2};
    cb_fail(f->diag, CB_IO, NULL, "no place");
    cb_fail(f->diag, CB_IO, &(struct cb_place){0}, "an empty place");
    cb_fail(f->diag, CB_IO, &(struct cb_place){&source, 0, 0}, "a file");
    cb_fail(f->diag, CB_IO, &(struct cb_place){&source, 1, 0}, "a line");
    cb_fail(f->diag, CB_IO, &(struct cb_place){&source, 99, 4}, "a line that is not there");
    cb_note(f->diag, &(struct cb_place){&textless, 3, 4}, "no text");
    cb_note(f->diag, &(struct cb_place){&nameless, 1, 9}, "past the end of the line");
    expect_message(f, 0, "error: no place");
    expect_message(f, 1, "error: an empty place");
    expect_message(f, 2, "a.json: error: a file");
    expect_message(f, 3, "a.json:1: error: a line\n   1 | {}");
    expect_message(f, 4, "a.json:99:4: error: a line that is not there");
    expect_message(f, 5, "b.yaml:3:4: note: no text");
    expect_message(f, 6, "<memory>:1:9: note: past the end of the line\n   1 | x\n     |  ^");
    assert_null(cb_diag_text(f->diag, 7));
}

/* The caret counts letters, not bytes; what could move a terminal's cursor is not printed. */
static void caret_counts_letters_and_lines_are_safe(void **state)
{
    struct fixture *f = *state;
    struct cb_source umlauts = source_of("u.yaml", "größe: \"zwölf\" # x\r\n");
    struct cb_source hostile = {"h\x1b[2J.yaml", "a:\t\x1b[31mred\0\xFF\xC2\x9B b", 17};
    cb_fail(f->diag, CB_INVALID, &(struct cb_place){&umlauts, 1, 8}, "twelve");
    cb_fail(f->diag, CB_INVALID, &(struct cb_place){&hostile, 1, 4}, "escape \x1b[0m `\xFF`");
    expect_message(f, 0, "u.yaml:1:8: error: twelve\n   1 | größe: \"zwölf\" # x\n     |        ^~~~~~~");
    expect_message(f, 1,
                   "h?[2J.yaml:1:4: error: escape ?[0m `\xEF\xBF\xBD`\n"
                   "   1 | a: ?[31mred?\xEF\xBF\xBD? b\n"
                   "     |    ^");
    const char *line = strchr(cb_diag_text(f->diag, 1), '^');
    assert_null(strchr(line, '\x1b'));
}

static void long_lines_are_cut_around_the_column(void **state)
{
    struct fixture *f = *state;
    char line[4001];
    memset(line, 'x', 4000);
    line[4000] = '\0';
    memcpy(line + 2000, " [here, ", 8);
    struct cb_source source = source_of("long.json", line);
    cb_fail(f->diag, CB_INVALID, &(struct cb_place){&source, 1, 2003}, "here");
    const char *text = cb_diag_text(f->diag, 0);
    assert_true(strlen(text) < 320);
    const char *first = strchr(text, '\n') + 1, *second = strchr(first, '\n') + 1;
    assert_memory_equal(first, "   1 | ...xxx", 13);
    assert_string_equal(strchr(second, '^'), "^~~~");
    assert_int_equal(strstr(first, "here") - first, strchr(second, '^') - second);
    assert_memory_equal(second - 4, "...", 3);
}

static void counts_by_severity(void **state)
{
    struct fixture *f = *state;
    cb_note(f->diag, NULL, "one");
    cb_warn(f->diag, NULL, "two");
    assert_int_equal(cb_diag_status(f->diag), CB_OK);
    cb_fail(f->diag, CB_MISMATCH, NULL, "three");
    cb_fail(f->diag, CB_IO, NULL, "four");
    assert_int_equal(cb_diag_count(f->diag, CB_NOTE), 4);
    assert_int_equal(cb_diag_count(f->diag, CB_WARNING), 3);
    assert_int_equal(cb_diag_count(f->diag, CB_ERROR), 2);
    assert_int_equal(cb_diag_severity(f->diag, 0), CB_NOTE);
    assert_int_equal(cb_diag_severity(f->diag, 1), CB_WARNING);
    assert_int_equal(cb_diag_severity(f->diag, 3), CB_ERROR);
    assert_int_equal(cb_diag_status(f->diag), CB_MISMATCH);
    cb_diag_clear(f->diag);
    assert_int_equal(cb_diag_count(f->diag, CB_NOTE), 0);
    assert_int_equal(cb_diag_status(f->diag), CB_OK);
    assert_null(cb_diag_text(f->diag, 0));
}

static void is_full_at_twenty_errors(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 30; i++) {
        cb_warn(f->diag, NULL, "a warning does not count");
    }
    for (int i = 0; i < 19; i++) {
        cb_fail(f->diag, CB_INVALID, NULL, "error %d", i);
        assert_false(cb_diag_is_full(f->diag));
    }
    cb_fail(f->diag, CB_INVALID, NULL, "error 19");
    assert_true(cb_diag_is_full(f->diag));
}

/* A folder of a million damaged pictures must not fill the memory; an error after them is still kept. */
static void number_of_messages_is_bounded(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5000; i++) {
        cb_warn(f->diag, NULL, "picture %d", i);
    }
    assert_int_equal(cb_diag_count(f->diag, CB_NOTE), 1000);
    cb_fail(f->diag, CB_FORMAT, NULL, "the last word");
    expect_message(f, 1000, "error: the last word");
}

static void attaches_to_the_newest(void **state)
{
    struct fixture *f = *state;
    cb_diag_attach(f->diag, "there is nothing to attach to");
    cb_fail(f->diag, CB_DEVICE, NULL, "first");
    cb_fail(f->diag, CB_DEVICE, NULL, "building `relu.cl` failed");
    cb_diag_attach(f->diag, "line 1\nline 2\x07");
    expect_message(f, 0, "error: first");
    expect_message(f, 1, "error: building `relu.cl` failed\nline 1\nline 2?");
}

static void accepts_null(void **state)
{
    (void)state;
    assert_int_equal(cb_fail(NULL, CB_MEMORY, NULL, "dropped"), CB_MEMORY);
    cb_warn(NULL, NULL, "dropped");
    cb_note(NULL, NULL, "dropped");
    cb_diag_attach(NULL, "dropped");
    assert_false(cb_diag_is_full(NULL));
    cb_diag_destroy(NULL);
}

static void statuses_have_names_and_exit_codes(void **state)
{
    (void)state;
    assert_string_equal(cb_status_name(CB_OK), "OK");
    assert_string_equal(cb_status_name(CB_NUMERIC), "NUMERIC");
    assert_string_equal(cb_status_sentence(CB_MISMATCH), "two sides that must agree do not");
    assert_int_equal(cb_status_exit_code(CB_OK), 0);
    assert_int_equal(cb_status_exit_code(CB_INVALID), 2);
    assert_int_equal(cb_status_exit_code(CB_UNSUPPORTED), 2);
    assert_int_equal(cb_status_exit_code(CB_IO), 2);
    assert_int_equal(cb_status_exit_code(CB_INTERRUPTED), 1);
    /* a plugin may return anything */
    assert_string_equal(cb_status_name((enum cb_status)12345), "INTERNAL");
    assert_int_equal(cb_status_exit_code((enum cb_status)-1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(message_shows_line_and_caret), TEST(message_outlives_its_source),
        TEST(places_may_be_partial),        TEST(caret_counts_letters_and_lines_are_safe),
        TEST(long_lines_are_cut_around_the_column), TEST(counts_by_severity),
        TEST(is_full_at_twenty_errors),     TEST(number_of_messages_is_bounded),
        TEST(attaches_to_the_newest),       TEST(accepts_null),
        TEST(statuses_have_names_and_exit_codes),
    };
    return cmocka_run_group_tests_name("diag", tests, NULL, NULL);
}
