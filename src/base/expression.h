/* expression.h: small formulas in YAML files: `$(expanded * 4)`, `layer$(i + 1)`.
 *
 * As in Python: + - * / // % **, comparisons (not chained), and or not, `a if c else b`, `list[i]` (negative from the end),
 * lists [a, b], texts 'a', numbers, true false null, names, and the functions
 *     min max (of two and more numbers, or of a list)   abs int round floor ceil (of one)   len sum (of a list)
 *     range(n), range(first, n)                          lists of integers, n not among them
 *     divisible(x, d)     the multiple of d nearest to x, at least d, and at least 0.9 x: how MobileNet and its kin round
 *                         widths (`_make_divisible` of tensorflow/models, torchvision and timm)
 * Integers stay integers (an overflow is an error), `/` gives a real, // and % round towards minus infinity. */
#ifndef CAMBIUM_BASE_EXPRESSION_H
#define CAMBIUM_BASE_EXPRESSION_H

#include "base/value.h"

/* What names stand for. */
struct cb_names {
    /* The value of `name` (not terminated: `length` letters); NOT_FOUND, with an error at `at`, where there is none. */
    enum cb_status (*find)(void *context, const char *name, size_t length, const struct cb_place *at,
                           const struct cb_value **out, struct cb_diag *diag);
    void *context;
};

/* The value of one expression that stands at `at`. In the arena. */
enum cb_status cb_expression_read(struct cb_arena *arena, const char *text, const struct cb_place *at,
                                  const struct cb_names *names, struct cb_value **out, struct cb_diag *diag);

/* Replaces, in `value` and all that is in it (keys of maps too), a text `$name` or `$(expression)` by its value, and each
 * `$(expression)` within a longer text by its letters. */
enum cb_status cb_value_substitute(struct cb_arena *arena, const struct cb_names *names, struct cb_value *value,
                                   struct cb_diag *diag);

#endif
