/* dataset_internal.h: what dataset.c, samples.c and split.c share of a dataset. */
#ifndef CAMBIUM_DATA_DATASET_INTERNAL_H
#define CAMBIUM_DATA_DATASET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "data/source.h"

#define CB__TEXT_FIELDS 3 /* ids, segments, lengths */
#define CB__MAX_SOURCES 4 /* the main one, and one each under train, test, validation */

/* What became of a sample so far. */
enum cb__state { CB__UNKNOWN, CB__BUSY, CB__CACHED, CB__BAD };

struct cb_dataset_private {
    struct cb_arena *arena;
    const char *folder;      /* of the task file */
    uint32_t main_count;     /* samples of the main source; the others are of sources of their own */
    uint32_t source_count;
    const struct cb__source *sources[CB__MAX_SOURCES];
    uint32_t first[CB__MAX_SOURCES + 1]; /* samples first[s] to first[s + 1] - 1 are of source s */
    uint32_t *items;                     /* [count]: a sample's number in its source */
    int32_t *labels;                     /* [count]: what dataset->labels points to */
    bool skips_bad;

    uint64_t row_bytes; /* of a sample, all its fields one behind the other */
    const struct cb_tokenizer *tokenizer; /* of texts */
    /* Texts that are not as they should be; counted while all are prepared. */
    bool counts_oddities;
    atomic_uint cut_count, mended_count, empty_count;

    /* Prepared samples, [count, row_bytes]: address space only, until they are written. */
    uint64_t cache_limit;
    uint8_t *cache;
    size_t cache_bytes;
    atomic_uint_fast64_t cache_used;
    _Atomic uint8_t *states; /* [count], enum cb__state */
    atomic_uint bad_count;
};

/* The keys of `data:` that are simple values, read into `dataset`; collects errors. */
struct cb__settings {
    bool skips_bad;
    const struct cb_value *classes; /* a list of texts, or NULL */
    const char **class_names;       /* [count of the list] */
};
bool cb__settings_read(struct cb_arena *arena, const struct cb_value *data, const struct cb_contract *contract,
                       struct cb_dataset *dataset, struct cb__settings *out, struct cb_diag *diag);

const struct cb__source *cb__source_of(const struct cb_dataset *dataset, uint32_t sample, uint32_t *out_item);
/* As cb_dataset_read, with a reason. A bad sample is not marked. */
bool cb__sample_read(struct cb_dataset *dataset, uint32_t sample, void *const *out, struct cb__why *why);
/* A text's fields: tokens, which of two texts each belongs to, how many there are. */
bool cb__words_prepare(struct cb_dataset *dataset, const struct cb__source *source, uint32_t item, void *const *out,
                       struct cb__why *why);
/* A dataset of a source's items 0 to count - 1, without labels. */
enum cb_status cb__dataset_of(struct cb_arena *arena, const struct cb__source *source, uint32_t count,
                              const struct cb_contract *contract, struct cb_dataset **out, struct cb_diag *diag);
/* Says once what was found. */
void cb__words_say(struct cb_dataset *dataset, struct cb_diag *diag);
/* Brings a sound to what a network takes: cut off or followed by silence, and scaled. */
bool cb__sound_to_contract(const struct cb__sound *sound, const struct cb_contract *contract, float *out,
                           struct cb__why *why);
/* Remembers that a sample cannot be read; true the first time. */
bool cb__sample_mark_bad(struct cb_dataset *dataset, uint32_t sample);
/* Allocates states and the cache's address space; frees them with the arena. */
bool cb__samples_init(struct cb_dataset *dataset);

#endif
