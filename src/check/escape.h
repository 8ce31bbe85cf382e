/* escape.h: how the checks leave from deep inside when the machinery fails: memory, the device, a plugin that refuses to
 * run. Checks are many small functions that hand tensors around as values; here one jump replaces a status in each. All
 * that they own lies in an arena or in the core's list of memory, which who called cb__escape_run frees. */
#ifndef CAMBIUM_CHECK_ESCAPE_H
#define CAMBIUM_CHECK_ESCAPE_H

#include <cambium/status.h>

#define CB__ESCAPE_BYTES 8192

/* Calls run(context). Returns true when it came to its end, false when cb__escape was called on the way: then `message`
 * says why. Calls may be nested; each thread has its own. */
bool cb__escape_run(void (*run)(void *context), void *context, char message[CB__ESCAPE_BYTES]);
/* Leaves to the innermost cb__escape_run of this thread; without one the process aborts. */
_Noreturn void cb__escape(const char *fmt, ...) CB_PRINTF(1, 2);

#endif
