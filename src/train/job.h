/* job.h: a task from its file to its result: opened and checked without a device, then run, then saved. */
#ifndef CAMBIUM_TRAIN_JOB_H
#define CAMBIUM_TRAIN_JOB_H

#include "data/split.h"
#include "train/fit.h"
#include "train/metrics.h"
#include "train/statistics.h"

struct cb_job {
    struct cb_arena *arena;
    const struct cb_task *task;
    struct cb_registry *registry;
    struct cb_backbone *backbone;
    struct cb_dataset *dataset;
    struct cb_split split;
    bool is_split;
};

/* Backbone, plugins and data of a task; everything that can be wrong in them is said here. `with_data` false leaves the
 * dataset out (describe). The task outlives the job. */
enum cb_status cb_job_open(const struct cb_task *task, bool with_data, struct cb_job **out, struct cb_diag *diag);
void cb_job_close(struct cb_job *job); /* accepts NULL */
/* Decodes ahead what fits and makes the split. */
enum cb_status cb_job_prepare(struct cb_job *job, const struct cb_watch *watch, struct cb_diag *diag);

/* What came out. Arrays live in the arena that was given to cb_job_run. */
struct cb_result {
    enum cb_strategy strategy;
    bool has_test;        /* false: `test: none` */
    bool is_classes;
    uint32_t folds;       /* above 0: cross-validated; the test set is the whole pool, each sample tested once */
    struct cb_classification classes; /* is_classes */
    struct cb_regression values;
    struct cb_interval interval;      /* 95%, of the accuracy or the mean absolute error */
    uint64_t n;
    double fold_accuracy[64];
    const uint32_t *samples;          /* [n] that were tested, */
    const float *predictions;         /* [n, outputs], probabilities or values */
    const uint8_t *correct;           /* [n], is_classes */
    struct cb_fit_result fit;         /* of the final one */
    double seconds;                   /* of everything */
    int64_t frozen_params, trainable_params;
    char frozen_before[65], frozen_after[65]; /* as loaded; as read back from the device after training */
    char frozen_file[65];             /* as found in the saved file again; "" before it is saved */
    char test_sha256[65];             /* which samples these are; "" without a test */
    struct cb_model *model;           /* with the trained values; the caller destroys it */
};

struct cb_run_options {
    const char *folder; /* of the run, exists; NULL: nothing is written */
    bool resume;
    double tune_seconds; /* variants that nobody has measured are, for so long in each plan (graph/tuning.h); 0: none */
};

/* Trains and tests. On failure `*out` is untouched. */
enum cb_status cb_job_run(struct cb_job *job, struct cb_device *device, const struct cb_run_options *options,
                          const struct cb_watch *watch, struct cb_arena *arena, struct cb_result *out,
                          struct cb_diag *diag);
/* The result as the last line of `train --json`; `run` may be NULL. In the arena. */
struct cb_value *cb_result_to_value(struct cb_arena *arena, const struct cb_result *result, const char *run);

#endif
