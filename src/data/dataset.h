/* dataset.h: what the `data:` section of a task file names, as a numbered list of samples.
 *
 * A dataset knows its samples' labels, groups and parts, and how to read one; it holds no more of a folder than the paths
 * of its files, so that a million pictures fit. Every sample yields the same named fields (a picture: `x`, U8 [H,W,C]);
 * split.h says which samples train and which test; loader.h reads them in batches.
 *
 * A sample's number is its place in the list, and for the same files always the same: classes and files are in natural
 * order. `train:`, `test:` and `validation:` that are sources of their own follow the main source's samples.
 *
 * Sources:
 *   images: FOLDER                   a folder per class, or train/, val/, test/ with a folder per class in each;
 *                                    or a folder with the four files of (Fashion-)MNIST
 *   images: FOLDER, labels: F.csv    columns: {file: NAME, label: NAME} or {file: NAME, value: NAME or [NAMES]}
 *   images: F-idx3, labels: F-idx1   IDX, plain or gzipped
 *   images: F.png, sheet: {tile: [H, W], classes: K}   tiles in rows, as many in a row for each class
 *   text: F.csv, F.tsv, F.jsonl      columns: {text: NAME, label: NAME}, or value: NAME or [NAMES]; text_pair: NAME
 *   text: FOLDER                     of text files, as of pictures
 *   tensors: F.safetensors           `x` [N, ...] and `y`: [N] integers are class numbers, reals are values */
#ifndef CAMBIUM_DATA_DATASET_H
#define CAMBIUM_DATA_DATASET_H

#include <cambium/layer.h>

#include "data/image.h"
#include "graph/contract.h"

#define CB_DATASET_CACHE_BYTES ((uint64_t)512 << 20) /* of prepared samples, by default */

enum cb_target { CB_TARGET_NONE, CB_TARGET_CLASSES, CB_TARGET_VALUES };

/* Where a sample comes from: a folder `test/`, or a source of its own under `test:`. */
enum cb_part { CB_PART_ANY, CB_PART_TRAIN, CB_PART_TEST, CB_PART_VALIDATION };

/* One tensor that each sample yields; the network's input of that name takes it. */
struct cb_field {
    const char *name;
    enum cb_dtype dtype; /* U8: a picture, values 0 to 255, still to be scaled by the contract; F32: ready as it is */
    uint32_t rank;       /* without N */
    int64_t dims[CB_MAX_RANK];
    uint64_t bytes; /* of one sample */
};

struct cb_dataset_private;

/* Read it, never write it. Lives in the arena given to cb_dataset_open. */
struct cb_dataset {
    uint32_t count; /* of samples */
    uint32_t field_count;
    const struct cb_field *fields;

    enum cb_target target;
    uint32_t class_count;       /* CLASSES */
    const char *const *classes; /* their names */
    const int32_t *labels;      /* [count], 0 to class_count - 1; NULL otherwise */
    uint32_t value_count;       /* VALUES */
    const char *const *value_names;
    const float *values;   /* [count, value_count]; NULL otherwise */
    const int32_t *groups; /* [count]: samples of one group stay together in a split; NULL: each is its own */
    const uint8_t *parts;  /* [count], enum cb_part */

    struct cb_contract contract; /* the network's, with `size:` and `resize:` of the task; all zero when none was given */
    struct cb_colour background;

    /* Keys of `data:` that others act on. */
    uint64_t seed;                  /* of the split; default 0 */
    bool shuffle;                   /* default true; false: training keeps the order of the samples */
    uint32_t views;                 /* augmented views of a sample in the feature cache; default 1 */
    const struct cb_value *augment; /* NULL: none */
    const struct cb_value *map;     /* the whole section */

    struct cb_dataset_private *private_;
};

/* Reads the section and lists the samples; decodes nothing. `folder`: relative paths start there. `contract` may be NULL
 * (looking at data without a network): then there are no fields. Errors are collected in `diag`: unknown keys, missing
 * files, an empty class, data of another modality than the contract's (MISMATCH, both sides named), tensors of another
 * shape. On failure `*out` is untouched. */
enum cb_status cb_dataset_open(struct cb_arena *arena, const struct cb_value *data, const char *folder,
                               const struct cb_contract *contract, struct cb_dataset **out, struct cb_diag *diag);
/* The same for a bare path, as a command line gives it: a folder (of texts where the contract is of them), a table of texts; a picture sheet is not guessed. */
enum cb_status cb_dataset_open_path(struct cb_arena *arena, const char *path, const struct cb_contract *contract,
                                    struct cb_dataset **out, struct cb_diag *diag);

/* Texts in memory, which stay where they are: no labels. */
enum cb_status cb_dataset_open_texts(struct cb_arena *arena, const char *const *texts, const size_t *bytes, uint32_t count,
                                     const struct cb_contract *contract, struct cb_dataset **out, struct cb_diag *diag);

struct cb_tokenizer;
/* What makes tokens of the dataset's texts; before the first is read. It outlives the dataset. */
void cb_dataset_set_tokenizer(struct cb_dataset *dataset, const struct cb_tokenizer *tokenizer);
/* Whether its samples are texts, and none was set yet. */
bool cb_dataset_wants_tokenizer(const struct cb_dataset *dataset);
/* Whether samples are sequences with lengths: then ids, segments and lengths are their fields, in this order. */
bool cb_dataset_has_lengths(const struct cb_dataset *dataset);
/* Tokens of a sample; 0 where samples have no lengths, or where it cannot be read. */
int32_t cb_dataset_length(struct cb_dataset *dataset, uint32_t sample);

/* The section must agree with classes that a run already has (eval, resume): samples are relabelled to that order, a
 * class that is not among them is an error. Call it before splitting. */
enum cb_status cb_dataset_use_classes(struct cb_dataset *dataset, const char *const *classes, uint32_t class_count,
                                      struct cb_diag *diag);

/* What a person calls a sample: its path, or "digits.png, tile 17". Valid until the next call on this thread. */
const char *cb_dataset_name(const struct cb_dataset *dataset, uint32_t sample);
/* Its file's path, NULL when it is not a file of its own. */
const char *cb_dataset_path(const struct cb_dataset *dataset, uint32_t sample);
uint32_t cb_dataset_class_size(const struct cb_dataset *dataset, uint32_t class_);

/* Called now and then with what is done; returns false to stop (the caller then gets INTERRUPTED). */
typedef bool (*cb_progress)(void *context, uint64_t done, uint64_t total);

/* Decodes all samples ahead, on all processors, when they fit below the cache's limit (texts in any case); else does nothing.
 * Says what had to be done to texts: cut off, mended. So that bad
 * files are known before the split is made: with `bad_files: skip` each is named in a warning and takes part in nothing;
 * with `fail` each is an error. `progress` may be NULL. */
enum cb_status cb_dataset_prepare(struct cb_dataset *dataset, cb_progress progress, void *context,
                                  struct cb_diag *diag);
/* Bytes that prepared samples may take; 0: none are kept. Before the first sample is read. */
void cb_dataset_set_cache(struct cb_dataset *dataset, uint64_t bytes);
/* Found to be unreadable so far; with bad_files: skip. */
bool cb_dataset_is_bad(const struct cb_dataset *dataset, uint32_t sample);
uint32_t cb_dataset_bad_count(const struct cb_dataset *dataset);
/* Closes the gaps that unreadable samples leave in a list, and in rows of `row_bytes` that go with it (NULL: none);
 * returns how many are left. */
uint32_t cb_dataset_keep_readable(const struct cb_dataset *dataset, uint32_t *samples, uint32_t count, void *rows,
                                  size_t row_bytes);

/* Reads one sample's field 0..field_count-1 to `out[field]` (field.bytes each). Thread-safe with distinct `diag`s. Fails
 * with the file's name whatever `bad_files` says. */
enum cb_status cb_dataset_read(struct cb_dataset *dataset, uint32_t sample, void *const *out, struct cb_diag *diag);
/* The sample's picture as it is in its file (upright, own size, own channels); UNSUPPORTED for tensors. */
enum cb_status cb_dataset_image(struct cb_dataset *dataset, uint32_t sample, struct cb_image *out,
                                struct cb_diag *diag);

/* SHA-256 of what these samples are: the bytes of their files (beyond 1 GiB: names, sizes and times), their labels, and
 * how they are prepared. Keys a feature cache, and names a test set. */
enum cb_status cb_dataset_hash(struct cb_dataset *dataset, const uint32_t *samples, uint32_t count, char hex[65],
                               struct cb_diag *diag);

#endif
