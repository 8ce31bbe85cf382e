/* scan.c: hand-written equals of the split patterns that most byte-level tokenizers use. Each gives the end of the match
 * that begins at a place, and finds one everywhere; tests compare them with a regular expression engine.
 *
 * The patterns try alternatives in order: a shortened word ('s), letters, digits, others, and then blanks: up to a line's
 * end where the pattern says so, else all but the last blank before a word, which goes with it. */
#include "text/internal.h"

static inline size_t look(const char *text, size_t bytes, size_t at, int32_t *code, uint8_t *kind)
{
    if (at >= bytes) {
        *code = -1;
        *kind = 0;
        return 0;
    }
    size_t length = cb__decode(text + at, code);
    *kind = cb__kind(*code);
    return length;
}

/* The end of the run of letters of one of `kinds` (or, `is_not`, of none of them) from `at` on. */
static inline size_t run(const char *text, size_t bytes, size_t at, uint8_t kinds, bool is_not)
{
    while (at < bytes) {
        int32_t code;
        uint8_t kind;
        size_t length = look(text, bytes, at, &code, &kind);
        if (((kind & kinds) != 0) == is_not) {
            break;
        }
        at += length;
    }
    return at;
}

/* 's 't 're 've 'm 'll 'd at `at`: its end, or `at`. With `any_case` as (?i:...) has it: U+017F is an s, too. */
static size_t shortened(const char *text, size_t bytes, size_t at, bool any_case)
{
    size_t left = bytes - at;
    if (text[at] != '\'' || left < 2) {
        return at;
    }
    unsigned char a = (unsigned char)text[at + 1], b = left > 2 ? (unsigned char)text[at + 2] : 0;
    if (any_case) {
        if (a == 0xc5 && b == 0xbf) {
            return at + 3;
        }
        a = a >= 'A' && a <= 'Z' ? a + 32 : a;
        b = b >= 'A' && b <= 'Z' ? b + 32 : b;
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd') {
        return at + 2;
    }
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? at + 3 : at;
}

/* \s+(?!\S)|\s+ from `at` on, where a blank stands. */
static size_t blanks(const char *text, size_t bytes, size_t at)
{
    size_t last = at, end = at;
    while (end < bytes) {
        int32_t code;
        uint8_t kind;
        size_t length = look(text, bytes, end, &code, &kind);
        if (!(kind & CB__SPACE)) {
            return last > at ? last : end; /* all but the last one, where that leaves any */
        }
        last = end;
        end += length;
    }
    return end;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t cb__scan_gpt2(const char *text, size_t bytes, size_t from)
{
    int32_t code;
    uint8_t kind;
    size_t end = shortened(text, bytes, from, false);
    if (end > from) {
        return end;
    }
    size_t at = from, length = look(text, bytes, at, &code, &kind);
    if (code == ' ') {
        at += length;
        length = look(text, bytes, at, &code, &kind);
        if (code < 0 || (kind & CB__SPACE)) {
            return blanks(text, bytes, from);
        }
    }
    if (kind & CB__LETTER) {
        return run(text, bytes, at + length, CB__LETTER, false);
    }
    if (kind & CB__NUMBER) {
        return run(text, bytes, at + length, CB__NUMBER, false);
    }
    if (kind & CB__SPACE) {
        return blanks(text, bytes, from);
    }
    return run(text, bytes, at + length, CB__SPACE | CB__LETTER | CB__NUMBER, true);
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ from `at` on, where a blank stands: to the last line's end among them, if there is one. */
static size_t lines_or_blanks(const char *text, size_t bytes, size_t at)
{
    size_t line = at;
    for (size_t end = at; end < bytes;) {
        int32_t code;
        uint8_t kind;
        size_t length = look(text, bytes, end, &code, &kind);
        if (!(kind & CB__SPACE)) {
            break;
        }
        end += length;
        line = code == '\r' || code == '\n' ? end : line;
    }
    return line > at ? line : blanks(text, bytes, at);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,DIGITS}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * With `has_marks`, \p{M} counts as letters in the second alternative, and is none of the others in the fourth. */
static inline size_t scan_words(const char *text, size_t bytes, size_t from, int digits, bool has_marks)
{
    const uint8_t letters = has_marks ? CB__LETTER | CB__MARK : CB__LETTER;
    int32_t code, next;
    uint8_t kind, next_kind;
    size_t end = shortened(text, bytes, from, true);
    if (end > from) {
        return end;
    }
    size_t length = look(text, bytes, from, &code, &kind);
    if (kind & letters) {
        return run(text, bytes, from + length, letters, false);
    }
    size_t next_length = look(text, bytes, from + length, &next, &next_kind);
    if (!(kind & CB__NUMBER) && code != '\r' && code != '\n' && (next_kind & letters)) {
        return run(text, bytes, from + length + next_length, letters, false);
    }
    if (kind & CB__NUMBER) {
        for (end = from; digits > 0 && (kind & CB__NUMBER); digits--) {
            end += length;
            length = look(text, bytes, end, &code, &kind);
        }
        return end;
    }
    const uint8_t known = CB__SPACE | CB__NUMBER | letters;
    size_t at = code == ' ' && next >= 0 && !(next_kind & known) ? from + length : !(kind & known) ? from : bytes;
    if (at < bytes) {
        end = run(text, bytes, at, known, true);
        for (; end < bytes && (text[end] == '\r' || text[end] == '\n'); end++) {
        }
        return end;
    }
    return lines_or_blanks(text, bytes, from);
}

static size_t scan_three_digits(const char *text, size_t bytes, size_t from)
{
    return scan_words(text, bytes, from, 3, false);
}

static size_t scan_one_digit(const char *text, size_t bytes, size_t from)
{
    return scan_words(text, bytes, from, 1, false);
}

static size_t scan_marks(const char *text, size_t bytes, size_t from)
{
    return scan_words(text, bytes, from, 1, true);
}

#define SHORTENED "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define REST "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const struct {
    const char *pattern;
    cb__scan scan;
} known[] = {
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", cb__scan_gpt2},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", cb__scan_gpt2},
    {SHORTENED "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" REST, scan_three_digits}, /* Llama 3, cl100k */
    {SHORTENED "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" REST, scan_one_digit},         /* Qwen 2 */
    {SHORTENED "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
     "|\\s+(?!\\S)|\\s+", scan_marks},                                                /* Qwen 3.5 */
};

cb__scan cb__scan_of(const char *pattern)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].pattern, pattern) == 0) {
            return known[i].scan;
        }
    }
    return NULL;
}
