/* split.h: which samples train, which test, which validate.
 *
 * `train:`, `test:`, `validation:` of `data:` are each a choice or a source of its own. Choices:
 *   {per_class: 10}   that many of each class            {fraction: 0.2}   of each class, rounded
 *   {split: train}    the folder's own part              {files: list.txt} names, one a line, relative to the images
 *   {folds: 5}        (test) cross-validation            rest              what no other choice took
 *   none              (test, validation) nothing
 * Defaults: a source with parts uses them; otherwise train: rest, validation: none, and without a `test:` the result is
 * cross-validated in 5 folds. Fixed choices (split, files, sources of their own) are taken first, then test, validation,
 * train. Random choices depend on `data.seed`, the samples' order and nothing else: the same on every machine. Samples of
 * one group are never parted: with groups `per_class` and `fraction` take whole groups until each class has enough.
 * Samples known to be bad (cb_dataset_prepare) take no part. */
#ifndef CAMBIUM_DATA_SPLIT_H
#define CAMBIUM_DATA_SPLIT_H

#include "data/dataset.h"

/* Numbers of samples, ascending. */
struct cb_indices {
    uint32_t *items;
    uint32_t count;
};

struct cb_split {
    struct cb_indices train, test, validation;
    bool has_test;       /* false: `test: none`, or cross-validation */
    bool has_validation;
    uint32_t fold_count; /* above 0: cross-validate `train` in so many folds; else 0 */
    uint32_t unused;     /* samples that no choice took */
};

/* Reads the choices and makes the lists (in the arena). Errors: two `rest`, a class with too few samples (all named), a
 * part or file that is not there, an empty train or test set. */
enum cb_status cb_split_make(struct cb_arena *arena, const struct cb_dataset *dataset, struct cb_split *out,
                             struct cb_diag *diag);

/* Fold `fold` of `fold_count` over `pool`, stratified by class, groups whole: `out_test` is the fold, `out_train` all
 * else of the pool. INVALID when a class has fewer samples (or groups) than there are folds. */
enum cb_status cb_split_fold(struct cb_arena *arena, const struct cb_dataset *dataset, const struct cb_indices *pool,
                             uint32_t fold_count, uint32_t fold, uint64_t seed, struct cb_indices *out_train,
                             struct cb_indices *out_test, struct cb_diag *diag);
/* The largest number of folds up to `wanted` that every class of the pool allows; below 2: none. */
uint32_t cb_split_max_folds(const struct cb_dataset *dataset, const struct cb_indices *pool, uint32_t wanted);

/* A random order, the same on every machine: Fisher-Yates on SplitMix64 (Steele 2014), keyed by seed and stream. */
void cb_shuffle(uint64_t seed, uint64_t stream, uint32_t *items, uint32_t count);

#endif
