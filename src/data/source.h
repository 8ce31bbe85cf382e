/* source.h: between dataset.c and the readers of sources. A reader turns one source of `data:` into a draft: a list of
 * samples with labels, and a cb__source that yields them. dataset.c joins drafts to the dataset that others see. */
#ifndef CAMBIUM_DATA_SOURCE_H
#define CAMBIUM_DATA_SOURCE_H

#include "data/dataset.h"
#include "data/image_internal.h"

struct cb__source;

/* A text as it is in its file, perhaps not even UTF-8, newly allocated with a NUL behind it; `pair` is a second one that
 * belongs to it, or NULL. */
struct cb__words {
    char *text, *pair;
    size_t bytes, pair_bytes;
};
#define CB__MAX_TEXT_BYTES (64 << 20)
void cb__words_free(struct cb__words *words);

struct cb_tokenizer;
/* Fills a text's fields: ids and segments [shape[0]], i32, padded; how many are real. `*out_uncut`: how many there would be
 * without a limit. */
bool cb__words_encode(const struct cb_contract *contract, const struct cb_tokenizer *tokenizer, const struct cb__words *words,
                      void *const *out, size_t *out_uncut, struct cb__why *why);

/* A sound of one channel, -1 to 1, newly allocated. */
struct cb__sound {
    float *samples;
    uint64_t count;
    uint32_t rate; /* samples a second */
};

/* What a kind of source can do: one of image, words, sound and tensor is there. All functions are called from several
 * threads at once. */
struct cb__source_type {
    /* What a person calls the item. */
    void (*name)(const struct cb__source *source, uint32_t item, char *out, size_t room);
    /* The item's own file; NULL: items have none. */
    const char *(*path)(const struct cb__source *source, uint32_t item);
    /* The item's picture, newly allocated. */
    bool (*image)(const struct cb__source *source, uint32_t item, struct cb_image *out, struct cb__why *why);
    bool (*words)(const struct cb__source *source, uint32_t item, struct cb__words *out, struct cb__why *why);
    bool (*sound)(const struct cb__source *source, uint32_t item, struct cb__sound *out, struct cb__why *why);
    /* The item's tensor, `field.bytes` of it; of ids [T] also the two other fields of a text. */
    bool (*tensor)(const struct cb__source *source, uint32_t item, void *const *out, struct cb__why *why);
    /* Frees what does not lie in the arena; NULL: nothing does not. */
    void (*release)(struct cb__source *source);
};

/* The first member of each kind's own struct. */
struct cb__source {
    const struct cb__source_type *type;
    const char *path; /* the file or folder */
    struct cb_field field; /* tensors: what an item is */
    bool has_ids;          /* tensors: [T] token numbers for a network that takes text */
};

/* A source as the task names it. */
struct cb__spec {
    const struct cb_value *map;         /* `data:`, or what stands under `train:`, `test:`, `validation:` */
    const char *folder;                 /* relative paths start here */
    const struct cb_contract *contract; /* NULL: none */
    bool skips_missing;                 /* bad_files: skip */
    enum cb_modality modality;          /* of the key that names the source; set by cb__source_read */
};

/* A growing list of samples; all arrays in the arena. */
struct cb__draft {
    struct cb_arena *arena;
    const struct cb__source *source;
    uint32_t count, room;
    uint32_t *items;     /* [count]: the source's numbers */
    const char **labels; /* [count]: the class's name; NULL: samples have values, or nothing */
    uint8_t *parts;      /* [count] enum cb_part */
    const char **groups; /* [count], entries may be NULL; NULL: no groups */
    uint32_t value_count;
    const char *const *value_names;
    float *values; /* [count, value_count] */
    /* Classes in their order, where the source has an order of its own (folders and numbers; also empty ones). */
    uint32_t class_count;
    const char **classes;
    bool is_numbered; /* classes are numbers that `classes:` of the task may give names to */
};

/* Adds a sample (label and group may be NULL; `values` has draft->value_count numbers). False: out of memory. */
bool cb__draft_add(struct cb__draft *draft, uint32_t item, const char *label, const float *values, const char *group,
                   enum cb_part part);
/* "0", "1", ... as classes. */
bool cb__draft_number_classes(struct cb__draft *draft, uint32_t count);

/* Distinct texts of an array in natural order, and the index of each; NULL texts get -1. False: out of memory. */
bool cb__index_texts(struct cb_arena *arena, const char *const *texts, uint32_t count, int32_t *out_index,
                     const char ***out_distinct, uint32_t *out_distinct_count);

/* Reads whatever source the map names, after checking that it is of the contract's modality. */
enum cb_status cb__source_read(const struct cb__spec *spec, struct cb__draft *draft, struct cb_diag *diag);
/* True when the map names a source (images, text, audio, tensors). */
bool cb__is_source(const struct cb_value *map);

/* The readers. `path` is resolved, `at` where it was named. */
enum cb_status cb__folder_read(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                               struct cb__draft *draft, struct cb_diag *diag);
enum cb_status cb__table_read(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                              struct cb__draft *draft, struct cb_diag *diag);
enum cb_status cb__text_read(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                             struct cb__draft *draft, struct cb_diag *diag);
enum cb_status cb__sheet_read(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                              struct cb__draft *draft, struct cb_diag *diag);
enum cb_status cb__tensors_read(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                                struct cb__draft *draft, struct cb_diag *diag);
/* IDX: pictures in one file, labels in another. */
enum cb_status cb__idx_read(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                            struct cb__draft *draft, struct cb_diag *diag);
/* A folder with the files of (Fashion-)MNIST; cb__idx_is_folder says whether it is one. */
enum cb_status cb__idx_read_folder(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                                   struct cb__draft *draft, struct cb_diag *diag);
bool cb__idx_is_folder(struct cb_arena *arena, const char *path);
bool cb__idx_is_file(const char *path); /* IDX, or gzip (whose content is then checked) */

/* A source over files of pictures, texts or sounds, one item each: `paths` [count] stays where it is. */
const struct cb__source *cb__files_source(struct cb_arena *arena, const char *path, const char *const *paths,
                                          enum cb_modality modality);

/* "pictures", "texts", "sounds", "tensors": what a source's items are. */
const char *cb__source_what(const struct cb__source *source);

#endif
