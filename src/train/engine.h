/* engine.h: a model on a device with its data: features of the frozen prefix, scores, gradients.
 *
 * Everything that changes no param of the prefix is computed once per sample and kept (struct cb_features): folds of a
 * cross-validation, later epochs and evaluation begin behind it. With augmentation the prefix is computed for each of K
 * views. The plans are made when they are first needed and live as long as the engine.
 */
#ifndef CAMBIUM_TRAIN_ENGINE_H
#define CAMBIUM_TRAIN_ENGINE_H

#include "data/loader.h"
#include "graph/plan.h"
#include "graph/tuning.h"
#include "train/augment.h"
#include "train/model.h"
#include "train/pace.h"

/* How the caller follows long work; every function may be NULL. */
struct cb_epoch {
    int64_t epoch, epochs; /* from 1 */
    uint64_t step, steps;
    double loss, rate, seconds, samples_per_second;
    bool has_validation;
    double validation_loss, validation_accuracy; /* accuracy: NaN for values */
    const char *stage; /* "fold 2 of 5", "head", "" */
};
struct cb_watch {
    void *context;
    /* "reading pictures", "features", ...; done of total. */
    void (*progress)(void *context, const char *what, uint64_t done, uint64_t total);
    /* A download; `total_bytes` 0: nobody knows how many come. */
    void (*download)(void *context, const char *what, uint64_t done_bytes, uint64_t total_bytes);
    void (*epoch)(void *context, const struct cb_epoch *epoch);
    /* After each step: step number from 1, of how many, loss, rate. */
    void (*step)(void *context, uint64_t step, uint64_t steps, double loss, double rate);
    bool (*cancelled)(void *context);
    void (*say)(void *context, const char *sentence); /* something a person should know */
};
void cb_watch_progress(const struct cb_watch *watch, const char *what, uint64_t done, uint64_t total);
bool cb_watch_cancelled(const struct cb_watch *watch);
void cb_watch_say(const struct cb_watch *watch, const char *fmt, ...) CB_PRINTF(2, 3);

/* Values of the wires that cross from the frozen prefix to the rest, per sample (and view). */
struct cb_features {
    uint32_t wire_count;
    uint32_t wires[8];
    int64_t row[8];      /* floats of one sample */
    float *data[8];      /* [views, samples of the dataset, row] */
    uint8_t *has;        /* [views, samples] */
    uint32_t views, samples;
};

struct cb_engine {
    struct cb_arena *arena;
    struct cb_model *model;
    struct cb_dataset *dataset;
    struct cb_device *device;
    struct cb_store *store;
    struct cb_tuning *tuning; /* the device's table of measured variants; the store's plans read it */
    const struct cb_watch *watch;
    bool *prefix;              /* per node; see cb_network_frozen_prefix */
    bool *rest;                /* per node: not in the prefix */
    bool is_cached;            /* the prefix has layers and its features fit in memory */
    struct cb_features features;
    struct cb_feature_file *file; /* the same of earlier runs; NULL: none, or not opened yet */
    bool file_asked, file_said;
    struct cb_plan *prefix_plan, *scores_plan;
    struct cb_pace prefix_pace, scores_pace;
    struct cb_link *link; /* made when it is first needed */
    struct cb_augmenter *plain, *augmented;
    struct cb_augment augment;
    struct cb_buffer *staging; /* u8 pictures on their way */
    uint64_t staging_bytes;
    int64_t batch;             /* of inference */
    uint64_t seed;
};

/* Uploads the model. `dataset` may be NULL (predict: cb_engine_scores_of_pictures). `training`: gradients too. The model,
 * dataset and device outlive the engine. */
enum cb_status cb_engine_create(struct cb_model *model, struct cb_dataset *dataset, struct cb_device *device, bool training,
                                uint64_t seed, const struct cb_watch *watch, struct cb_engine **out,
                                struct cb_diag *diag);
void cb_engine_destroy(struct cb_engine *engine); /* accepts NULL */

/* Computes and keeps the prefix's features of these samples where they are not kept yet (all views when `all_views`). Does
 * nothing without a prefix. */
enum cb_status cb_engine_cache(struct cb_engine *engine, const uint32_t *samples, uint32_t count, bool all_views,
                               struct cb_diag *diag);

/* Scores [count, outputs] of samples in inference form, from kept features where there are. A sample that cannot be read
 * fails, or with `bad_files: skip` has scores that mean nothing: cb_dataset_keep_readable takes them out. */
enum cb_status cb_engine_scores(struct cb_engine *engine, const uint32_t *samples, uint32_t count, float *out_scores,
                                struct cb_diag *diag);
/* Values [count, row] of any wire in inference form, straight from the inputs; unreadable samples as above. */
enum cb_status cb_engine_extract(struct cb_engine *engine, uint32_t wire, const uint32_t *samples, uint32_t count,
                                 float *out, struct cb_diag *diag);
/* Values of a wire for prepared inputs on the host: `rows` of u8 pictures of the contract's shape, or f32 for tensors. */
enum cb_status cb_engine_values(struct cb_engine *engine, uint32_t wire, const void *rows, bool is_u8, uint32_t count,
                                float *out, struct cb_diag *diag);

/* Fills a plan's inputs from a batch: pictures are scaled (and changed when `augmented`, keyed by `draw`), labels and
 * sample ids written, wires of the prefix taken from the kept features (of `view`). */
enum cb_status cb_engine_feed(struct cb_engine *engine, struct cb_plan *plan, const struct cb_batch *batch, bool augmented,
                              uint64_t draw, uint32_t view, struct cb_diag *diag);

/* Makes predictions of scores [count, outputs] in place, by the loss's link: probabilities. */
enum cb_status cb_engine_link(struct cb_engine *engine, float *scores, uint32_t count, struct cb_diag *diag);

#endif
