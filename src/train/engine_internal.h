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

void cb__link_destroy(struct cb_link *link); /* accepts NULL */

#endif
