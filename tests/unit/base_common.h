/* base_common.h: what the tests of src/base share: an arena and a list of messages per test, and reading with the exact
 * message expected. Include after cmocka.h. */
#ifndef CAMBIUM_TESTS_BASE_COMMON_H
#define CAMBIUM_TESTS_BASE_COMMON_H

#include <stdlib.h>
#include <string.h>

#include "base/value.h"

struct fixture {
    struct cb_arena *arena;
    struct cb_diag *diag;
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = cb_arena_create();
    f->diag = cb_diag_create();
    *state = f;
    return f->arena && f->diag ? 0 : -1;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    cb_arena_destroy(f->arena);
    cb_diag_destroy(f->diag);
    free(f);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The message `index` is exactly `expected`. */
static inline void expect_message(struct fixture *f, size_t index, const char *expected)
{
    const char *text = cb_diag_text(f->diag, index);
    if (!text) {
        fail_msg("there is no message %zu", index);
    }
    assert_string_equal(text, expected);
}

static inline struct cb_value *read_yaml(struct fixture *f, const char *text)
{
    struct cb_value *value = NULL;
    enum cb_status status = cb_yaml_read_text(f->arena, "t.yaml", text, strlen(text), &value, f->diag);
    if (status != CB_OK) {
        fail_msg("%s", cb_diag_text(f->diag, 0));
    }
    return value;
}

/* Reading `length` bytes must fail with `status` and this one message, and leave the result untouched. */
static inline void refuse_yaml_bytes(struct fixture *f, const char *text, size_t length, enum cb_status status,
                                     const char *message)
{
    struct cb_value marker, *value = &marker;
    cb_diag_clear(f->diag);
    assert_int_equal(cb_yaml_read_text(f->arena, "t.yaml", text, length, &value, f->diag), status);
    assert_ptr_equal(value, &marker);
    expect_message(f, 0, message);
}

static inline void refuse_yaml(struct fixture *f, const char *text, const char *message)
{
    refuse_yaml_bytes(f, text, strlen(text), CB_FORMAT, message);
}

#endif
