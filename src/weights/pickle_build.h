/* pickle_build.h: between pickle.c, which reads opcodes, and pickle_build.c, which makes values of what they call. */
#ifndef CAMBIUM_WEIGHTS_PICKLE_BUILD_H
#define CAMBIUM_WEIGHTS_PICKLE_BUILD_H

#include "weights/pickle.h"

/* The name of a global of which nothing is wanted and nothing feared ("argparse.Namespace"), NULL for any other; it is
 * the table's, not the pickle's. */
const char *cb__pickle_harmless(const char *module, size_t module_length, const char *name, size_t name_length);
/* Why a global is refused; NULL when there is nothing to say about it. */
const char *cb__pickle_refusal(const struct cb__pickle_global *global);
/* The global that a pickle names; NULL when it is not one of the few. */
const struct cb__pickle_global *cb__pickle_find_global(const char *module, size_t module_length, const char *name,
                                                       size_t name_length);
/* What `function(*args)` would give; `opcode`: the position for messages. */
enum cb_status cb__pickle_call(struct cb__pickle *pickle, size_t opcode, const struct cb__pickle_value *function,
                               struct cb__pickle_value *args, struct cb__pickle_value **out);
/* An empty value. */
enum cb_status cb__pickle_new(struct cb__pickle *pickle, enum cb__pickle_kind kind, struct cb__pickle_value **out);
/* Appends to a tuple, list or dict. */
enum cb_status cb__pickle_append(struct cb__pickle *pickle, struct cb__pickle_value *list,
                                 struct cb__pickle_value *const *items, size_t count);

#endif
