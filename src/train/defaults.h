/* defaults.h: what a task gets where it says nothing: configs/defaults/task.yaml. */
#ifndef CAMBIUM_TRAIN_DEFAULTS_H
#define CAMBIUM_TRAIN_DEFAULTS_H

#include "base/value.h"

struct cb_defaults {
    const struct cb_value *head;          /* a list of layers */
    const char *class_loss, *value_loss;  /* words of losses */
    const struct cb_value *rows;          /* words of layers that make [N,C] of a sample, for messages */
    const char *draft;                    /* a head to suggest, in YAML */
};

/* Reads the file; values live in the arena. */
enum cb_status cb_defaults_read(struct cb_arena *arena, struct cb_defaults *out, struct cb_diag *diag);
/* The head as if it stood at `at`, so that messages point there. NULL: out of memory. */
struct cb_value *cb_defaults_head(struct cb_arena *arena, const struct cb_defaults *defaults,
                                  const struct cb_place *at);

#endif
