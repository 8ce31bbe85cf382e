/* word.h: reading a choice that may have options: `cosine`, or {cosine: {warmup: 0.1}}. Private to src/train. */
#ifndef CAMBIUM_TRAIN_WORD_H
#define CAMBIUM_TRAIN_WORD_H

#include "base/value.h"

/* `value` is one of `words`, or a map with one key, that word, whose value goes to `*out_options` (else NULL). `what`
 * names the place in messages: "`schedule`". Adds one error when it is neither. */
enum cb_status cb__word_read(const struct cb_value *value, const char *what, const char *const *words, size_t count,
                             size_t *out_index, const struct cb_value **out_options, struct cb_diag *diag);
/* The reverse: {word: options}, or the word alone when `options` is NULL. NULL when memory is exhausted. */
struct cb_value *cb__word_value(struct cb_arena *arena, const char *word, struct cb_value *options);

/* The JSON Schemas of what stands under `optimizer:`, `schedule:` and `augment:`; NULL when memory is exhausted. */
struct cb_value *cb__optimizer_schema(struct cb_arena *arena);
struct cb_value *cb__schedule_schema(struct cb_arena *arena);
struct cb_value *cb__augment_schema(struct cb_arena *arena);

#endif
