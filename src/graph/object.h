/* object.h: a look at a shared object before it is loaded. Private to src/graph. */
#ifndef CAMBIUM_GRAPH_OBJECT_H
#define CAMBIUM_GRAPH_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

/* What keeps the file at `path` from being loaded safely ("is cut short: ..."), or NULL; a file that is no ELF
 * object is left to dlopen. */
const char *cb__object_fault(const char *path);

#endif
