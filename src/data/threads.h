/* threads.h: one job over many items on all processors. */
#ifndef CAMBIUM_DATA_THREADS_H
#define CAMBIUM_DATA_THREADS_H

#include "data/dataset.h"

/* Processors that this process may use; at least 1. */
uint32_t cb__processors(void);
/* Calls `work(context, i)` for i = 0 to count - 1, in any order, from several threads; returns when all are done.
 * `progress` (may be NULL) is called from this thread about five times a second; when it returns false, or `work` does,
 * the rest is left out and the result is false. */
bool cb__parallel(uint32_t count, bool (*work)(void *context, uint32_t i), void *context, cb_progress progress,
                  void *progress_context);

#endif
