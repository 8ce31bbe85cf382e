/* clock.c: the clock that never runs back. */
#include "base/file.h"

#include <time.h>

double cb_clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
