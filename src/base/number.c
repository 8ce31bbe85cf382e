/* number.c: reading and printing numbers independent of the locale. */
#include "base/number.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* Switches this thread to the C locale; the result goes back to uselocale. */
static locale_t enter_c_locale(void)
{
    pthread_once(&c_locale_once, make_c_locale);
    return uselocale(c_locale);
}

double cb__read_real(const char *text)
{
    locale_t before = enter_c_locale();
    double real = strtod(text, NULL);
    uselocale(before);
    return real;
}

static const char *skip_digits(const char *p)
{
    while (*p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

/* 0o17 and 0x1F; both without sign. */
static enum cb__number read_radix(const char *text, int64_t *out_integer)
{
    bool is_octal = text[1] == 'o';
    const char *digits = text + 2;
    const char *allowed = is_octal ? "01234567" : "0123456789abcdefABCDEF";
    if (*digits == '\0' || digits[strspn(digits, allowed)] != '\0') {
        return CB__NUMBER_NONE;
    }
    errno = 0;
    long long value = strtoll(digits, NULL, is_octal ? 8 : 16);
    if (errno == ERANGE) {
        return CB__NUMBER_TOO_LARGE;
    }
    *out_integer = value;
    return CB__NUMBER_INT;
}

static enum cb__number read_decimal(const char *text, int64_t *out_integer)
{
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno == ERANGE) {
        return CB__NUMBER_TOO_LARGE;
    }
    *out_integer = value;
    return CB__NUMBER_INT;
}

/* [-+]? ( \.[0-9]+ | [0-9]+ ( \.[0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool has_form_of_real(const char *p)
{
    p += *p == '-' || *p == '+';
    const char *whole = p;
    p = skip_digits(p);
    bool has_digits = p > whole;
    if (*p == '.') {
        const char *fraction = ++p;
        p = skip_digits(p);
        has_digits = has_digits || p > fraction;
    }
    if (!has_digits) {
        return false;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        const char *exponent = p;
        p = skip_digits(p);
        if (p == exponent) {
            return false;
        }
    }
    return *p == '\0';
}

enum cb__number cb__read_number(const char *text, int64_t *out_integer, double *out_real)
{
    static const char *const INFINITIES[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const NANS[] = {".nan", ".NaN", ".NAN", NULL};
    bool is_negative = text[0] == '-';
    const char *digits = text + (is_negative || text[0] == '+');
    if (digits == text && text[0] == '0' && (text[1] == 'o' || text[1] == 'x')) {
        return read_radix(text, out_integer);
    }
    if (*digits != '\0' && *skip_digits(digits) == '\0') {
        return read_decimal(text, out_integer);
    }
    if (is_one_of(digits, INFINITIES)) {
        *out_real = is_negative ? -HUGE_VAL : HUGE_VAL;
        return CB__NUMBER_REAL;
    }
    if (is_one_of(text, NANS)) {
        *out_real = nan("");
        return CB__NUMBER_REAL;
    }
    if (!has_form_of_real(text)) {
        return CB__NUMBER_NONE;
    }
    *out_real = cb__read_real(text);
    return isfinite(*out_real) ? CB__NUMBER_REAL : CB__NUMBER_TOO_LARGE;
}

void cb__add_real(struct cb_text *out, double real)
{
    if (isnan(real) || isinf(real)) {
        cb_text_add(out, isnan(real) ? ".nan" : real < 0 ? "-.inf" : ".inf");
        return;
    }
    char digits[40];
    locale_t before = enter_c_locale();
    for (int precision = 6; precision <= 17; precision++) {
        snprintf(digits, sizeof(digits), "%.*g", precision, real);
        if (strtod(digits, NULL) == real) {
            break;
        }
    }
    uselocale(before);
    cb_text_add(out, digits);
    if (!strpbrk(digits, ".e")) {
        cb_text_add(out, ".0");
    }
}
