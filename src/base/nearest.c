/* nearest.c: which of some words a person meant: optimal string alignment distance (insert, delete, replace, swap of
 * neighbours), letters compared without case. */
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LETTERS = 128 };

static int lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : (unsigned char)letter;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Wagner and Fischer's table, three rows of it. Both lengths are at most MAX_LETTERS. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][MAX_LETTERS + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++) {
        above[j] = j;
        before[j] = 0;
    }
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t differs = lower(a[i - 1]) != lower(b[j - 1]);
            row[j] = smaller(above[j - 1] + differs, smaller(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
                row[j] = smaller(row[j], before[j - 2] + 1);
            }
        }
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b_length];
}

const char *cb_nearest(const char *word, const char *(*next)(const void *context, size_t i), const void *context)
{
    size_t length = strlen(word);
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    if (length > MAX_LETTERS) {
        return NULL;
    }
    const char *candidate;
    for (size_t i = 0; (candidate = next(context, i)) != NULL; i++) {
        size_t candidate_length = strlen(candidate);
        if (candidate_length > MAX_LETTERS) {
            continue;
        }
        size_t longer = length > candidate_length ? length : candidate_length;
        size_t d = distance(word, length, candidate, candidate_length);
        if (d * 3 <= longer && d < best_distance) {
            best = candidate;
            best_distance = d;
        }
    }
    return best;
}

struct word_array {
    const char *const *words;
    size_t count;
};

static const char *next_of_array(const void *context, size_t i)
{
    const struct word_array *array = context;
    return i < array->count ? array->words[i] : NULL;
}

const char *cb_nearest_of(const char *word, const char *const *words, size_t count)
{
    return cb_nearest(word, next_of_array, &(struct word_array){words, count});
}
