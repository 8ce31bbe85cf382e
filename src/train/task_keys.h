/* task_keys.h: the keys of task files, as their reader (task.c) and their schema (schema.c) share them. */
#ifndef CAMBIUM_TRAIN_TASK_KEYS_H
#define CAMBIUM_TRAIN_TASK_KEYS_H

#include <cambium/layer.h>

#include "base/keys.h"

extern const struct cb_key cb_task_keys[], cb_model_keys[];
/* All of `train:`. Those that are single values stand in cb__train_table too, with their types and ranges. */
extern const struct cb_key cb_train_keys[];

struct cb__train_options {
    int64_t epochs, steps, batch, accumulate, checkpoint_every, seed;
    double clip, layer_decay;
    int32_t strategy, save;
    uint32_t head_first;
};
extern const struct cb_array cb__train_table;
extern const struct cb__train_options cb__train_defaults;

#endif
