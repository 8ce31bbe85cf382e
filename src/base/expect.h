/* expect.h: sentences that the readers of keys share. */
#ifndef CAMBIUM_BASE_EXPECT_H
#define CAMBIUM_BASE_EXPECT_H

#include "base/value.h"

/* "unknown key `frozn` in `model`; did you mean `frozen`?", or the valid keys when none is near. `where` begins with a
 * preposition: "in `model`". `next` gives the valid keys until NULL. */
void cb__fail_unknown_key(const struct cb_entry *entry, const char *where,
                          const char *(*next)(const void *context, size_t i), const void *context,
                          struct cb_diag *diag);
/* How a value is named in "must be ..., not X": its text if it is a scalar, else its kind. Up to 60 letters of it go to
 * `out`. */
const char *cb__name_value(const struct cb_value *value, char out[80]);

#endif
