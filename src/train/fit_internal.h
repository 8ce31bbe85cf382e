/* fit_internal.h: the parts of fit.c. Private to src/train. */
#ifndef CAMBIUM_TRAIN_FIT_INTERNAL_H
#define CAMBIUM_TRAIN_FIT_INTERNAL_H

#include <stdio.h>

#include "train/fit.h"
#include "train/optimizer.h"

/* Where a run stands; written to a checkpoint, and read back for --resume. */
struct cb__progress {
    int64_t epoch;        /* epochs that are complete */
    uint64_t step;        /* optimizer steps that are complete */
    uint64_t position;    /* samples of the current epoch that are done */
    double loss_sum, weight_sum; /* of the current epoch so far */
    double best;          /* validation loss; early stopping */
    int64_t best_epoch;
    double seconds;
};

struct cb__fit {
    const struct cb_task *task;
    struct cb_engine *engine;
    const struct cb_fit_request *request;
    struct cb_diag *diag;
    struct cb_plan *plan;
    struct cb_optimizer *optimizer;
    struct cb_segment *segments;
    uint32_t segment_count;
    int64_t micro;        /* rows of one forward and backward */
    uint64_t steps;       /* of the whole run */
    int64_t epochs;
    struct cb__progress progress;
    float *best_values;   /* early stopping: the trainable range and the moving states of the best epoch */
    FILE *log;
    double started;
};

/* fit_setup.c: the plan of a step, the optimizer; then the checkpoint of a run that goes on, or the states that are
 * fitted to the training data. */
enum cb_status cb__fit_set_up(struct cb__fit *fit);
/* head.c: the exact solution of a linear head on features [count, row]; NULL: the kept ones. Writes the head's params to
 * host and device. `l2` below 0: chosen by cross-validation. */
enum cb_status cb__fit_head(const struct cb_task *task, struct cb_engine *engine, const float *features,
                            const uint32_t *samples, uint32_t count, double l2, struct cb_fit_result *out,
                            struct cb_diag *diag);
/* The same on the features that the network gives as it stands: so that training all layers begins from a good head
 * (Kumar 2022: a random head's gradients distort the pretrained features). */
enum cb_status cb__fit_head_first(const struct cb_task *task, struct cb_engine *engine, const uint32_t *samples,
                                  uint32_t count, struct cb_diag *diag);
/* best.c: early stopping. Keeps what moves (the trainable range, and the running statistics that belong to it) of the
 * epoch with the lowest validation loss; `*out_stop` is set when patience is used up. */
enum cb_status cb__best_consider(struct cb__fit *fit, double loss, bool *out_stop);
/* Puts the best epoch's values back on the device. */
enum cb_status cb__best_restore(struct cb__fit *fit);
uint64_t cb__best_count(const struct cb__fit *fit); /* floats in best_values */
/* checkpoint.c */
enum cb_status cb__checkpoint_write(struct cb__fit *fit);
enum cb_status cb__checkpoint_read(struct cb__fit *fit);
/* nan.c: a sentence about where the first value that is not finite appears in this batch. */
void cb__find_nan(struct cb__fit *fit, const struct cb_batch *batch, uint64_t draw, uint32_t view, struct cb_text *out);

#endif
