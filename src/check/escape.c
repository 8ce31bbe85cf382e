/* escape.c: see escape.h. */
#include "check/escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct exit_door {
    jmp_buf place;
    char *message;
    struct exit_door *outer;
};

static _Thread_local struct exit_door *innermost;

bool cb__escape_run(void (*run)(void *context), void *context, char message[CB__ESCAPE_BYTES])
{
    struct exit_door door = {.message = message, .outer = innermost};
    innermost = &door;
    message[0] = '\0';
    const bool is_first = setjmp(door.place) == 0;
    if (is_first) {
        run(context);
    }
    innermost = door.outer;
    return is_first;
}

_Noreturn void cb__escape(const char *fmt, ...)
{
    va_list args;
    if (innermost == NULL) {
        abort(); /* a caller inside src/check forgot its door */
    }
    va_start(args, fmt);
    vsnprintf(innermost->message, CB__ESCAPE_BYTES, fmt, args);
    va_end(args);
    longjmp(innermost->place, 1);
}
