/* why.h: what is wrong with a file, for readers that run in many threads at once, where no diagnostics list is. */
#ifndef CAMBIUM_BASE_WHY_H
#define CAMBIUM_BASE_WHY_H

#include <cambium/status.h>

/* The second half of a sentence that begins with the file's name: "is a damaged JPEG picture". */
struct cb__why {
    enum cb_status status;
    char text[320];
};
/* Fills `why`; returns false, so that `return cb__because(...)` reads well. */
bool cb__because(struct cb__why *why, enum cb_status status, const char *fmt, ...) CB_PRINTF(3, 4);

#endif
