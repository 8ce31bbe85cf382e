/* why.c: see why.h. */
#include "base/why.h"

#include <stdarg.h>
#include <stdio.h>

bool cb__because(struct cb__why *why, enum cb_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(why->text, sizeof why->text, fmt, args);
    va_end(args);
    why->status = status;
    return false;
}
