/* expression_internal.h: what the parts of the reader of expressions share. Private to src/base. */
#ifndef CAMBIUM_BASE_EXPRESSION_INTERNAL_H
#define CAMBIUM_BASE_EXPRESSION_INTERNAL_H

#include "base/expression.h"

#define CB__EXPRESSION_MAX_ITEMS 10000 /* of a list */

bool cb__values_equal(const struct cb_value *a, const struct cb_value *b);
/* a OPERATOR b, for + - * / // % and **; `at`: where to report what does not fit. */
enum cb_status cb__compute(struct cb_arena *arena, const char *operator, const struct cb_value *a, const struct cb_value *b,
                           const struct cb_place *at, struct cb_value **out, struct cb_diag *diag);
/* NAME(arguments), a list. */
enum cb_status cb__call_function(struct cb_arena *arena, const char *name, size_t length, const struct cb_value *arguments,
                                 const struct cb_place *at, struct cb_value **out, struct cb_diag *diag);
/* Reads one expression; `*out_end` is where it ends, NULL: it must end with the text. */
enum cb_status cb__expression_prefix(struct cb_arena *arena, const char *text, const struct cb_place *at,
                                     const struct cb_names *names, struct cb_value **out, const char **out_end,
                                     struct cb_diag *diag);

#endif
