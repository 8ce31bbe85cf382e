/* utf8.c: which bytes are one valid UTF-8 sequence: table 3-7 of the Unicode standard. */
#include "base/utf8.h"

bool cb__utf8_continues(char byte)
{
    return ((unsigned char)byte & 0xC0u) == 0x80u;
}

static size_t announced_length(unsigned char first)
{
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xC2 && first <= 0xDF) {
        return 2;
    }
    if (first >= 0xE0 && first <= 0xEF) {
        return 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        return 4;
    }
    return 0;
}

size_t cb__utf8_sequence(const char *text, size_t available)
{
    if (available == 0) {
        return 0;
    }
    unsigned char first = (unsigned char)text[0];
    size_t length = announced_length(first);
    if (length == 0 || length > available) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if (!cb__utf8_continues(text[i])) {
            return 0;
        }
    }
    if (length >= 3) {
        unsigned char second = (unsigned char)text[1];
        bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
        bool surrogate = first == 0xED && second > 0x9F;
        bool too_large = first == 0xF4 && second > 0x8F;
        if (overlong || surrogate || too_large) {
            return 0;
        }
    }
    return length;
}
