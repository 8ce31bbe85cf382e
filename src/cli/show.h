/* show.h: what people read: jobs before they run, results after. */
#ifndef CAMBIUM_CLI_SHOW_H
#define CAMBIUM_CLI_SHOW_H

#include "cli/cli.h"
#include "train/job.h"

/* Before training: data, classes, split; to stderr. */
void cb_cli_show_job(struct cb_cli *cli, const struct cb_job *job);
/* After it: how much was frozen (with its hash), the load report, accuracy with its interval beside the baseline, where
 * the run is; to stdout. `seen`: how many runs have used this test set, 0 unknown. */
void cb_cli_show_result(struct cb_cli *cli, const struct cb_task *task, const struct cb_result *result, const char *folder,
                        int64_t seen);
/* "0.912 (135 of 148, 95% interval 0.856 to 0.948)"; appended. */
void cb_cli_accuracy_text(const struct cb_result *result, struct cb_text *out);

#endif
