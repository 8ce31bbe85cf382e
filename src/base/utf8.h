/* utf8.h: what the readers and writers of base need to know of UTF-8 (RFC 3629). */
#ifndef CAMBIUM_BASE_UTF8_H
#define CAMBIUM_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes (1 to 4) of the valid sequence at `text`, 0 when the bytes there are none: overlong forms, surrogates, code
 * points past U+10FFFF and sequences cut off by `available` are invalid. */
size_t cb__utf8_sequence(const char *text, size_t available);
/* True for the second and later bytes of a sequence. */
bool cb__utf8_continues(char byte);

#endif
