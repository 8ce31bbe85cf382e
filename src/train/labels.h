/* labels.h: the names of the classes that a backbone's own output tells apart. Private to src/train. */
#ifndef CAMBIUM_TRAIN_LABELS_H
#define CAMBIUM_TRAIN_LABELS_H

#include "train/model.h"

/* Takes `labels:` of the backbone's file, where it has them: classes of `model`, and what makes probabilities of scores.
 * Sets `outputs` in any case: the length of a row of scores, 0 where a sample has no single row. */
enum cb_status cb__model_label(struct cb_model *model, const struct cb_backbone *backbone, struct cb_diag *diag);

#endif
