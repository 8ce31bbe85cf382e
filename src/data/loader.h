/* loader.h: batches of samples, read ahead by threads of their own.
 *
 * Batches come in the order of the given numbers. Work that is ahead is bounded by `ahead` batches. A sample that cannot
 * be read ends the loader with an error that names it, or, with `bad_files: skip`, is named in a warning, counted, and
 * missing from its batch: then batch.count is smaller than asked for, and a batch that lost all its samples is passed
 * over (where a step ends with it, it is given with a count of 0, so that no step's samples mix with another's). One
 * thread calls these functions. */
#ifndef CAMBIUM_DATA_LOADER_H
#define CAMBIUM_DATA_LOADER_H

#include "data/dataset.h"

struct cb_loader;

struct cb_loader_options {
    uint32_t batch;   /* samples a batch; at least 1 */
    uint32_t step;    /* above 0: no batch crosses a multiple of so many samples of the order (accumulation) */
    uint32_t ahead;   /* batches read ahead; 0: 3 */
    uint32_t threads; /* 0: one less than there are processors, at most 8, at least 1 */
    bool drop_last;   /* leave out a last batch that is not full */
};

/* A batch is the loader's, valid until the next call. Only the first `count` samples of each array mean something. */
struct cb_batch {
    uint32_t count;
    uint32_t taken; /* places of the order that it stands for: `count`, and what could not be read since the last batch */
    uint32_t field_count;
    void *const *fields;     /* field_count arrays [count, dims of the dataset's field] of its dtype */
    const uint32_t *samples; /* [count]: numbers in the dataset */
    const int32_t *labels;   /* [count]; NULL unless the target is classes */
    const float *values;     /* [count, value_count]; NULL unless the target is values */
};

/* `order`: `count` sample numbers, copied; a sample may come twice. The dataset outlives the loader. */
enum cb_status cb_loader_create(struct cb_dataset *dataset, const uint32_t *order, uint32_t count,
                                const struct cb_loader_options *options, struct cb_loader **out, struct cb_diag *diag);
/* Waits for the next batch; `*out` is NULL after the last one. */
enum cb_status cb_loader_next(struct cb_loader *loader, const struct cb_batch **out, struct cb_diag *diag);
void cb_loader_destroy(struct cb_loader *loader); /* accepts NULL; work under way is ended first */

#endif
