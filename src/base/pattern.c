/* pattern.c: shell patterns over names, and the order in which people sort names with numbers. */
#include "base/text.h"

#include <string.h>

#include "base/utf8.h"

static const char *after_letter(const char *text)
{
    text++;
    while (cb__utf8_continues(*text)) {
        text++;
    }
    return text;
}

/* The set that begins at `set` ('['): whether it holds `letter`; `*out_end` is behind its ']'. A set that never ends is
 * the plain letter '[': then `*out_end` is NULL. `]` first in a set, or `-` first or last, stands for itself. */
static bool set_holds(const char *set, unsigned char letter, const char **out_end)
{
    const char *p = set + 1;
    bool is_negated = *p == '!' || *p == '^';
    if (is_negated) {
        p++;
    }
    bool is_found = false;
    const char *first = p;
    while (*p && (*p != ']' || p == first)) {
        unsigned char low = (unsigned char)*p, high = low;
        if (p[1] == '-' && p[2] && p[2] != ']') {
            high = (unsigned char)p[2];
            p += 2;
        }
        is_found = is_found || (letter >= low && letter <= high);
        p++;
    }
    *out_end = *p == ']' ? p + 1 : NULL;
    return is_found != is_negated;
}

/* Whether one letter of `name` fits the next element of the pattern (not a star); moves both on. */
static bool step(const char **pattern, const char **name)
{
    const char *end;
    if (**name == '\0' || **pattern == '\0') {
        return false;
    }
    if (**pattern == '?') {
        *pattern += 1;
        *name = after_letter(*name);
        return true;
    }
    if (**pattern == '[') {
        bool holds = set_holds(*pattern, (unsigned char)**name, &end);
        if (end) {
            *pattern = end;
            *name += 1;
            return holds;
        }
    }
    bool is_same = **pattern == **name;
    *pattern += 1;
    *name += 1;
    return is_same;
}

/* Only the last star needs to be tried again: time is at most the product of the lengths. */
bool cb_pattern_matches(const char *pattern, const char *name)
{
    const char *star = NULL, *star_name = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            star_name = name;
            continue;
        }
        if (step(&pattern, &name)) {
            continue;
        }
        if (!star) {
            return false;
        }
        pattern = star;
        name = star_name = after_letter(star_name);
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

/* Compares the two numbers at `*a` and `*b` of any length and moves behind them. */
static int compare_numbers(const char **a, const char **b)
{
    while (**a == '0') {
        (*a)++;
    }
    while (**b == '0') {
        (*b)++;
    }
    const char *a_begin = *a, *b_begin = *b;
    while (is_digit(**a)) {
        (*a)++;
    }
    while (is_digit(**b)) {
        (*b)++;
    }
    size_t a_digits = (size_t)(*a - a_begin), b_digits = (size_t)(*b - b_begin);
    if (a_digits != b_digits) {
        return a_digits < b_digits ? -1 : 1;
    }
    return memcmp(a_begin, b_begin, a_digits);
}

int cb_natural_compare(const char *a, const char *b)
{
    const char *p = a, *q = b;
    while (*p && *q) {
        if (is_digit(*p) && is_digit(*q)) {
            int order = compare_numbers(&p, &q);
            if (order != 0) {
                return order;
            }
        } else if (*p != *q) {
            return (unsigned char)*p < (unsigned char)*q ? -1 : 1;
        } else {
            p++;
            q++;
        }
    }
    if (*p || *q) {
        return *p ? 1 : -1;
    }
    return strcmp(a, b); /* "a01" and "a1": equal only when they are the same */
}
