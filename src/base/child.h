/* child.h: another program as a child process, waited for. */
#ifndef CAMBIUM_BASE_CHILD_H
#define CAMBIUM_BASE_CHILD_H

#include "base/arena.h"

enum cb_child_end {
    CB_CHILD_EXITED,  /* with `code` */
    CB_CHILD_KILLED,  /* by the signal `code` */
    CB_CHILD_LATE,    /* it did not end in time and was killed */
    CB_CHILD_NOT_RUN, /* it cannot be started: errno `code` */
};

struct cb_child {
    enum cb_child_end end;
    int code;
    char *said; /* what it wrote to standard output, or with `errors_too` to both, at most 1 MB; in the arena */
};

/* Starts `argv[0]` (looked for on PATH where it has no slash) and waits at most `seconds` (0: for ever). Its input is
 * empty. Without `errors_too` what it writes to standard error is thrown away. */
struct cb_child cb_child_run(struct cb_arena *arena, const char *const *argv, double seconds, bool errors_too);
/* The program cambium-probe: CAMBIUM_PROBE, beside the running program, installed or built. NULL: there is none. */
char *cb_child_probe(struct cb_arena *arena);

#endif
