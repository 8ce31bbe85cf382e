/* fit.h: training one model on one set of samples: by gradient descent, or exactly where the head allows it. */
#ifndef CAMBIUM_TRAIN_FIT_H
#define CAMBIUM_TRAIN_FIT_H

#include "train/engine.h"

struct cb_fit_request {
    const uint32_t *train, *validation;
    uint32_t train_count, validation_count;
    const char *stage;         /* for the watch: "fold 2 of 5"; NULL: none */
    const char *checkpoint;    /* file that is written at epochs' ends and on interruption; NULL: none */
    bool resume;               /* go on from the checkpoint */
    const char *log;           /* metrics.jsonl, one line a step; NULL: none */
};

struct cb_fit_result {
    double loss;      /* mean over the last epoch, or of the exact solution */
    int64_t epochs;   /* done */
    uint64_t steps;
    double seconds;
    double l2;        /* of the exact solution; else 0 */
    bool is_exact;
    bool l2_was_chosen;
    int64_t best_epoch; /* early stopping: where the kept params are from; else 0 */
};

/* True when the task's head has an exact solution and the optimizer asked for (or left open) is lbfgs. */
bool cb_fit_is_exact(const struct cb_task *task, const struct cb_engine *engine);

/* Trains from the values that the engine's store holds. Afterwards the store's params are the result, and the model's
 * host values too. NUMERIC when the loss leaves the finite numbers (the checkpoint stays, the layer in which it first
 * appeared is named); INTERRUPTED when the watch says so (after a checkpoint). */
enum cb_status cb_fit(const struct cb_task *task, struct cb_engine *engine, const struct cb_fit_request *request,
                      struct cb_fit_result *out, struct cb_diag *diag);

/* The engine of a run that is resumed takes the table of measured variants that stands in the checkpoint, whatever was
 * measured since; before any plan is made. */
enum cb_status cb_fit_pin_variants(const char *checkpoint, struct cb_engine *engine, struct cb_diag *diag);

#endif
