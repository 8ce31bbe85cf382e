/* run_data.h: the data that a run is judged on: its task's own, or a folder that the command line
 * names. */
#ifndef CAMBIUM_CLI_RUN_DATA_H
#define CAMBIUM_CLI_RUN_DATA_H

#include "cli/cli.h"
#include "train/model.h"

struct cb_run_data {
    struct cb_dataset *dataset; /* lives until the command ends */
    const uint32_t *samples;
    uint32_t count;
    bool is_training; /* the run has no test data: these are what it was trained on */
};

/* Of the run's own task, opened again: its test data, else (cross-validated, `test: none`) what it
 * was trained on. */
enum cb_status cb_cli_own_data(struct cb_cli *cli, const char *run_folder, const struct cb_model *model,
                               struct cb_run_data *out);
/* All readable samples of another folder, with the model's classes. */
enum cb_status cb_cli_other_data(struct cb_cli *cli, const char *path, const struct cb_model *model,
                                 struct cb_run_data *out);
/* What the run predicts must be what the data's labels are. */
enum cb_status cb_cli_check_labels(struct cb_cli *cli, const char *run,
                                   const struct cb_model *model, const struct cb_run_data *data);

#endif
