/* number.h: numbers in text, always with a decimal point, whatever the process's locale says. */
#ifndef CAMBIUM_BASE_NUMBER_H
#define CAMBIUM_BASE_NUMBER_H

#include "base/text.h"

enum cb__number { CB__NUMBER_NONE, CB__NUMBER_INT, CB__NUMBER_REAL, CB__NUMBER_TOO_LARGE };

/* What a plain scalar is by YAML 1.2's core schema (section 10.3.2): decimal, 0o and 0x integers, reals, .inf, .nan.
 * TOO_LARGE: it has the form of a number but does not fit in 64 bits. */
enum cb__number cb__read_number(const char *text, int64_t *out_integer, double *out_real);
/* strtod of a text that is a number as a whole, in the C locale. */
double cb__read_real(const char *text);
/* The first of %.6g to %.17g that reads back to the same bits, seen to be a real: "0.1", "3.0", "1e-05". Infinite
 * values and NaN are ".inf", "-.inf", ".nan". */
void cb__add_real(struct cb_text *out, double real);

#endif
