/* run.h: the folder of a run: runs/NAME with model.safetensors, checkpoint/, metrics.jsonl, task.yaml, result.json,
 * predictions.csv. */
#ifndef CAMBIUM_TRAIN_RUN_H
#define CAMBIUM_TRAIN_RUN_H

#include "train/job.h"

/* Makes runs/NAME in the working directory, NAME-2 and so on if it is taken. In the arena. */
enum cb_status cb_run_create(struct cb_arena *arena, const char *name, char **out_folder, struct cb_diag *diag);
/* The folder of RUN: a name under runs/, a path, `run:NAME`, or `last` (the newest). */
enum cb_status cb_run_find(struct cb_arena *arena, const char *run, char **out_folder, struct cb_diag *diag);
/* Writes the model (with the resolved task and the result in its metadata), task.yaml, result.json and, of each sample
 * that was tested, what was predicted; then reads the model back and compares the hash of what was frozen, which it puts
 * into the result. The checkpoint is removed: the run is complete. */
enum cb_status cb_run_save(const char *folder, const struct cb_job *job, struct cb_result *result, struct cb_diag *diag);
/* How often a test set was used, this time counted (by its hash, in the user's data folder); 0 when that cannot be kept. */
int64_t cb_run_count_test(const char *test_sha256);

#endif
