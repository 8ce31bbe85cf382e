/* status.h: what a fallible function returns, and where it says why.
 *
 * Every fallible function of Cambium returns an `enum cb_status`; what a person needs to act on goes to a
 * `struct cb_diag` list as sentences with file, line and column. The library never prints and never exits.
 */
#ifndef CAMBIUM_STATUS_H
#define CAMBIUM_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One list gives each status its name, the program's exit code, and its sentence. */
#define CB_STATUS_LIST(X)                                                                          \
    X(OK, 0, "no error")                                                                           \
    X(INVALID, 2, "the request is wrong")                                                          \
    X(NOT_FOUND, 2, "something named does not exist")                                              \
    X(FORMAT, 2, "a file is damaged or not what it claims to be")                                  \
    X(MISMATCH, 2, "two sides that must agree do not")                                             \
    X(UNSUPPORTED, 2, "this is not supported")                                                     \
    X(IO, 2, "reading or writing failed")                                                          \
    X(MEMORY, 2, "out of memory")                                                                  \
    X(DEVICE, 1, "the OpenCL device reported an error")                                            \
    X(NUMERIC, 2, "the computation left the finite numbers")                                       \
    X(INTERRUPTED, 1, "stopped on request")                                                        \
    X(INTERNAL, 1, "Cambium has a bug")

enum cb_status {
#define CB_STATUS_ENUM(name, exit_code, sentence) CB_##name,
    CB_STATUS_LIST(CB_STATUS_ENUM)
#undef CB_STATUS_ENUM
};

/* "INVALID"; never NULL. */
const char *cb_status_name(enum cb_status status);
/* "the request is wrong"; never NULL. */
const char *cb_status_sentence(enum cb_status status);
/* 0 ok; 2 what was asked for cannot be done as it stands: a file, the room on the disk or the device, values that leave
 * the finite numbers; 1 the run failed for another reason: the driver, Ctrl-C, a bug. */
int cb_status_exit_code(enum cb_status status);

/* Return from the calling function when `expr` fails. */
#define CB_TRY(expr)                                                                               \
    do {                                                                                           \
        enum cb_status cb_try_status_ = (expr);                                                    \
        if (cb_try_status_ != CB_OK) {                                                             \
            return cb_try_status_;                                                                 \
        }                                                                                          \
    } while (0)

#if defined(__GNUC__)
#define CB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CB_PRINTF(fmt, args)
#endif

/* A text that was read: kept so that a diagnostic can show its lines. */
struct cb_source {
    const char *name; /* path, or "<memory>", "--set" */
    const char *text; /* NUL-terminated, may be NULL: then no line is shown */
    size_t length;
};

/* A place in a source; all zero when there is none. Lines and columns count from 1. */
struct cb_place {
    const struct cb_source *source;
    int line;
    int column;
};

enum cb_severity { CB_NOTE, CB_WARNING, CB_ERROR };

struct cb_diag; /* a list of messages; not thread-safe: one per thread of work */

/* An empty list; NULL only when memory is exhausted. The caller destroys it. */
struct cb_diag *cb_diag_create(void);
/* Accepts NULL. */
void cb_diag_destroy(struct cb_diag *diag);
void cb_diag_clear(struct cb_diag *diag);

/* Adds an error and returns `status`, so that `return cb_fail(...)` reads well. `diag` may be NULL (the message is
 * dropped). `at` may be NULL; the place's line is copied, the source need not outlive the call. */
enum cb_status cb_fail(struct cb_diag *diag, enum cb_status status, const struct cb_place *at, const char *fmt, ...)
    CB_PRINTF(4, 5);
/* Adds a warning or a note. */
void cb_warn(struct cb_diag *diag, const struct cb_place *at, const char *fmt, ...) CB_PRINTF(3, 4);
void cb_note(struct cb_diag *diag, const struct cb_place *at, const char *fmt, ...) CB_PRINTF(3, 4);
/* Attaches a long text (a kernel's build log) to the newest message. */
void cb_diag_attach(struct cb_diag *diag, const char *text);

size_t cb_diag_count(const struct cb_diag *diag, enum cb_severity at_least);
/* True once 20 errors are in: a reader that collects errors stops here. */
bool cb_diag_is_full(const struct cb_diag *diag);
/* One message as a person reads it: `file:line:col: error: text`, the source line, a caret. NULL past the end. Owned
 * by the list, valid until it changes. Messages are numbered from 0 in the order they were added. */
const char *cb_diag_text(struct cb_diag *diag, size_t index);
enum cb_severity cb_diag_severity(const struct cb_diag *diag, size_t index);
/* The status of the first error, CB_OK when there is none. */
enum cb_status cb_diag_status(const struct cb_diag *diag);

#endif
