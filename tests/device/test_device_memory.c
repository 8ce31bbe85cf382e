/* Buffers on a device: transfers, fills, copies, windows, lifetimes, the account, and what goes wrong. */
#include "device_common.h"

static void test_write_read(void **state)
{
    (void)state;
    struct cb_buffer *buffer = NULL;
    uint8_t data[1000], back[1000];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 37);
    }
    must(cb_buffer_create(device, 1000, &buffer, diag));
    assert_int_equal(cb_buffer_bytes(buffer), 1000);
    must(cb_buffer_write(device, buffer, 0, data, 1000, diag));
    must(cb_buffer_write(device, buffer, 999, "x", 1, diag));
    must(cb_buffer_write(device, buffer, 1000, NULL, 0, diag));
    must(cb_buffer_read(device, buffer, 1, back, 999, diag));
    assert_memory_equal(back, data + 1, 998);
    assert_int_equal(back[998], 'x');
    cb_buffer_destroy(buffer);
    cb_buffer_destroy(NULL);
}

static void test_fill_and_copy(void **state)
{
    (void)state;
    struct cb_buffer *from = NULL, *to = NULL;
    uint32_t words[64];
    must(cb_buffer_create(device, 256, &from, diag));
    must(cb_buffer_create(device, 256, &to, diag));
    must(cb_buffer_fill(device, from, 0, 256, 0xaabbccddu, diag));
    must(cb_buffer_fill(device, from, 8, 4, 7, diag));
    must(cb_buffer_fill(device, to, 0, 256, 0, diag));
    must(cb_buffer_copy(device, to, 16, from, 4, 12, diag));
    must(cb_buffer_read(device, to, 0, words, 256, diag));
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(words[i], i == 5 ? 7 : i == 4 || i == 6 ? 0xaabbccddu : 0);
    }
    cb_buffer_destroy(from);
    cb_buffer_destroy(to);
}

static void test_windows_outlive_their_parent(void **state)
{
    (void)state;
    uint64_t align = cb_device_get_info(device)->base_align_bytes, now, peak, before;
    cb_device_memory(device, &before, &peak);
    struct cb_buffer *parent = NULL, *window = NULL, *inner = NULL;
    must(cb_buffer_create(device, 8 * align, &parent, diag));
    must(cb_buffer_fill(device, parent, 0, 8 * align, 1, diag));
    must(cb_buffer_slice(parent, 2 * align, 4 * align, &window, diag));
    must(cb_buffer_slice(window, align, align, &inner, diag)); /* at 3 * align of the parent */
    must(cb_buffer_fill(device, inner, 0, align, 2, diag));
    uint32_t word;
    must(cb_buffer_read(device, parent, 3 * align, &word, 4, diag));
    assert_int_equal(word, 2);
    must(cb_buffer_read(device, parent, 4 * align, &word, 4, diag));
    assert_int_equal(word, 1);
    cb_buffer_destroy(parent);
    cb_device_memory(device, &now, &peak);
    assert_int_equal(now, before + 8 * align);
    must(cb_buffer_read(device, window, align, &word, 4, diag));
    assert_int_equal(word, 2);
    cb_buffer_destroy(window);
    must(cb_buffer_read(device, inner, 0, &word, 4, diag));
    assert_int_equal(word, 2);
    cb_buffer_destroy(inner);
    cb_device_memory(device, &now, &peak);
    assert_int_equal(now, before);
    assert_true(peak >= before + 8 * align);
}

static void test_ranges_are_checked(void **state)
{
    (void)state;
    struct cb_buffer *buffer = NULL, *window = NULL;
    char text[200];
    uint64_t align = cb_device_get_info(device)->base_align_bytes;
    must(cb_buffer_create(device, 4096, &buffer, diag));
    expect_error(cb_buffer_create(device, 0, &window, diag), CB_INVALID, "error: a buffer must have at least 1 byte");
    expect_error(cb_buffer_write(device, buffer, 4090, text, 7, diag), CB_INVALID,
                 "error: writing 7 bytes at 4090 goes past the end of a buffer of 4096 bytes");
    expect_error(cb_buffer_read(device, buffer, UINT64_MAX, text, 2, diag), CB_INVALID,
                 "error: reading 2 bytes at 18446744073709551615 goes past the end of a buffer of 4096 bytes");
    expect_error(cb_buffer_fill(device, buffer, 2, 4, 0, diag), CB_INVALID,
                 "error: filling works on whole groups of 4 bytes, not on 4 bytes at 2");
    expect_error(cb_buffer_copy(device, buffer, 0, buffer, 64, 100, diag), CB_INVALID,
                 "error: copying 100 bytes within one buffer: the two places overlap");
    snprintf(text, sizeof(text), "error: a window of 4096 bytes at %llu does not lie in a buffer of 4096 bytes",
             (unsigned long long)align);
    expect_error(cb_buffer_slice(buffer, align, 4096, &window, diag), CB_INVALID, text);
    snprintf(text, sizeof(text), "error: a window must begin at a multiple of %llu bytes, not at 4",
             (unsigned long long)align);
    expect_error(cb_buffer_slice(buffer, 4, 4, &window, diag), CB_INVALID, text);
    assert_null(window);
    cb_buffer_destroy(buffer);
}

static void test_too_much_memory(void **state)
{
    (void)state;
    struct cb_device *small = NULL;
    struct cb_buffer *first = NULL, *second = NULL;
    uint64_t now, peak;
    setenv("CAMBIUM_MEMORY", "1M", 1);
    must(cb_device_open(NULL, &small, diag));
    unsetenv("CAMBIUM_MEMORY");
    cb_device_memory(small, &now, &peak);
    uint64_t room = (1u << 20) - now;
    must(cb_buffer_create(small, room, &first, diag));
    assert_int_equal(cb_buffer_create(small, 1, &second, diag), CB_MEMORY);
    assert_non_null(strstr(cb_diag_text(diag, 0), "1 B more were needed (its memory is full)"));
    cb_diag_clear(diag);
    cb_buffer_destroy(first);
    must(cb_buffer_create(small, room, &second, diag));
    cb_buffer_destroy(second);
    assert_int_equal(cb_buffer_create(small, UINT64_MAX, &first, diag), CB_MEMORY);
    assert_non_null(strstr(cb_diag_text(diag, 0), "a piece of"));
    cb_diag_clear(diag);
    cb_device_close(small);
}

static void test_environment_is_checked(void **state)
{
    (void)state;
    struct cb_device *other = NULL;
    setenv("CAMBIUM_MEMORY", "12 parsecs", 1);
    expect_error(cb_device_open(NULL, &other, diag), CB_INVALID,
                 "error: CAMBIUM_MEMORY must be a number of bytes such as 512M, not `12 parsecs`");
    unsetenv("CAMBIUM_MEMORY");
    setenv("CAMBIUM_CAPS", "tile,warp", 1);
    expect_error(cb_device_open(NULL, &other, diag), CB_INVALID,
                 "error: CAMBIUM_CAPS has `warp`; it is a list of plain, tile, group, subgroup, fp16");
    setenv("CAMBIUM_CAPS", "group", 1);
    must(cb_device_open(NULL, &other, diag));
    assert_int_equal(cb_device_get_facts(other)->caps, CB_CAP_GROUP);
    unsetenv("CAMBIUM_CAPS");
    cb_device_close(other);
    assert_null(strstr(cb_device_key(device), "(null)"));
    assert_non_null(strstr(cb_device_key(device), cb_device_get_info(device)->driver));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_read),
        cmocka_unit_test(test_fill_and_copy),
        cmocka_unit_test(test_windows_outlive_their_parent),
        cmocka_unit_test(test_ranges_are_checked),
        cmocka_unit_test(test_too_much_memory),
        cmocka_unit_test(test_environment_is_checked),
    };
    open_device_or_skip();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    close_device();
    return failed;
}
