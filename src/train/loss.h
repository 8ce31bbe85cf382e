/* loss.h: the loss of a task at the end of its network. Private to src/train. */
#ifndef CAMBIUM_TRAIN_LOSS_H
#define CAMBIUM_TRAIN_LOSS_H

#include "train/defaults.h"
#include "train/model.h"

/* Checks that the loss, the head and the data's labels fit, and adds it behind the scores. A loss of features leaves a
 * model that predicts nothing but those: `classes` becomes NULL. `dataset` may be NULL. */
enum cb_status cb__model_add_loss(struct cb_model *model, const struct cb_task *task, const struct cb_dataset *dataset,
                                  const struct cb_defaults *defaults, struct cb_diag *diag);

#endif
