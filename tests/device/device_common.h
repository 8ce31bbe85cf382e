/* device_common.h: what the tests that need one device share: opening it, or saying that there is none (exit code 77,
 * which the runner counts as skipped). */
#ifndef CAMBIUM_TESTS_DEVICE_COMMON_H
#define CAMBIUM_TESTS_DEVICE_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/device.h"

static struct cb_device *device;
static struct cb_diag *diag;

/* Simulators and the like, where a product of 100 x 100 x 100 takes seconds: tests run at reduced sizes. */
static inline bool device_is_slow(void)
{
    return (cb_device_get_facts(device)->caps & (CB_CAP_TILE | CB_CAP_GROUP)) == 0;
}

static inline void must(enum cb_status status)
{
    if (status != CB_OK) {
        fail_msg("%s: %s", cb_status_name(status), cb_diag_count(diag, CB_NOTE) ? cb_diag_text(diag, 0) : "(no message)");
    }
}

/* The newest message is exactly `text`; the list is then empty. */
static inline void expect_error(enum cb_status got, enum cb_status status, const char *text)
{
    assert_int_equal(got, status);
    assert_int_equal(cb_diag_count(diag, CB_ERROR), 1);
    assert_string_equal(cb_diag_text(diag, 0), text);
    cb_diag_clear(diag);
}

static inline void open_device_or_skip(void)
{
    diag = cb_diag_create();
    if (cb_device_open(NULL, &device, diag) != CB_OK) {
        printf("skipped: no OpenCL device\n");
        exit(77);
    }
}

static inline void close_device(void)
{
    cb_device_close(device);
    cb_diag_destroy(diag);
}

#endif
