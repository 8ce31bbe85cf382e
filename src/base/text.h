/* text.h: strings: a growing buffer, nearest words, patterns, natural order. */
#ifndef CAMBIUM_BASE_TEXT_H
#define CAMBIUM_BASE_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cambium/status.h>

/* A growing text. Start from `= {0}`; `data` is NUL-terminated once anything was added. After memory runs out every
 * further call does nothing and `failed` is set. */
struct cb_text {
    char *data;
    size_t length;
    size_t capacity;
    bool failed;
};
void cb_text_add(struct cb_text *text, const char *piece);
void cb_text_add_bytes(struct cb_text *text, const void *data, size_t bytes);
void cb_text_addf(struct cb_text *text, const char *fmt, ...) CB_PRINTF(2, 3);
void cb_text_add_json_string(struct cb_text *text, const char *piece); /* with quotes; invalid UTF-8 becomes U+FFFD */
void cb_text_free(struct cb_text *text);

/* The word nearest to `word` by edit distance (insert, delete, replace, swap of neighbours), or NULL when none is near
 * enough to be meant (more than a third of the letters differ). Words come from `next(context, i)` until NULL. */
const char *cb_nearest(const char *word, const char *(*next)(const void *context, size_t i), const void *context);
/* The same over an array of `count` strings. */
const char *cb_nearest_of(const char *word, const char *const *words, size_t count);

/* Shell pattern over a whole name: `*` any letters, `?` one letter, `[a-c]` a set. */
bool cb_pattern_matches(const char *pattern, const char *name);
/* strcmp in which numbers compare as numbers: "layer2" before "layer10". */
int cb_natural_compare(const char *a, const char *b);
/* 64-bit FNV-1a: names of layers become keys of random streams. */
uint64_t cb_hash64(const void *data, size_t bytes);
bool cb_ends_with(const char *text, const char *ending);
bool cb_starts_with(const char *text, const char *beginning);
/* "4.6 M", "18.4 MB", "1 min 20 s": for people. `out` has room for 32. Returns `out`. */
char *cb_format_count(uint64_t count, char out[32]);
char *cb_format_bytes(uint64_t bytes, char out[32]);
char *cb_format_seconds(double seconds, char out[32]);

#endif
