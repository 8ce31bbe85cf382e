/* engine_internal.h: between engine.c and features.c. */
#ifndef CAMBIUM_TRAIN_ENGINE_INTERNAL_H
#define CAMBIUM_TRAIN_ENGINE_INTERNAL_H

#include "train/engine.h"

/* A plan for `batch` rows, or for half as many where memory does not suffice, and so on. */
enum cb_status cb__engine_plan(struct cb_engine *engine, struct cb_plan_request *request, struct cb_plan **out,
                               struct cb_diag *diag);
/* The first `count` rows of a wire, to the host. */
enum cb_status cb__engine_rows(struct cb_engine *engine, const struct cb_plan *plan, uint32_t wire, uint32_t count,
                               float *out, struct cb_diag *diag);

/* The length that a sample's sequences are padded to in inference: by its own length alone. 0: samples have none. */
int64_t cb__engine_length(const struct cb_engine *engine, uint32_t sample);
/* The samples with those of one such length together, newly allocated; `*out_places` (may be NULL) says where each stood. */
enum cb_status cb__engine_sort(const struct cb_engine *engine, const uint32_t *samples, uint32_t count,
                               uint32_t **out_samples, uint32_t **out_places, struct cb_diag *diag);

/* feed.c: whether samples are sequences with lengths, and the network asks for them. */
bool cb__engine_has_lengths(const struct cb_engine *engine);
/* Lengths of `count` samples that are as long as the input: of rows that come without any. */
enum cb_status cb__feed_whole_lengths(struct cb_engine *engine, const struct cb_plan *plan, uint32_t count,
                                      struct cb_diag *diag);
/* How many rows of a batch from `at` on, at most `n`, are padded to one length in inference. */
uint32_t cb__engine_equally_long(const struct cb_engine *engine, const struct cb_batch *batch, uint32_t at, uint32_t n);
/* Numbers of a row of a plan's tensor: with short sequences less than a row of the network's. */
size_t cb__row_now(const struct cb_tensor *t);
enum cb_status cb__feed_pictures(struct cb_engine *engine, const struct cb_tensor *to, const void *pictures,
                                 const int32_t *ids, uint32_t count, bool augmented, uint64_t draw, struct cb_diag *diag);

/* Starts a pace for a plan of that engine. */
void cb__engine_pace(const struct cb_engine *engine, struct cb_pace *pace);
/* Feeds a batch to a plan in inference form and runs it, in parts of as many rows as the pace says; the rows of wires[w] go
 * to out[w]. `augmented`, `draw`: as cb_engine_feed. */
struct cb__inference {
    struct cb_plan *plan;
    struct cb_pace *pace;
    const uint32_t *wires;
    uint32_t wire_count;
    bool augmented;
    uint64_t draw;
};
enum cb_status cb__engine_infer(struct cb_engine *engine, const struct cb__inference *inference,
                                const struct cb_batch *batch, float *const *out, struct cb_diag *diag);

void cb__link_destroy(struct cb_link *link); /* accepts NULL */

#endif
