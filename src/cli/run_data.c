/* run_data.c: the data that a run is judged on. See run_data.h. */
#include "cli/run_data.h"

#include <string.h>

#include "base/file.h"
#include "train/job.h"
#include "weights/tensors.h"

/* The task that the run's metadata holds, as a tree, and the folder where its relative paths start.
 */
static enum cb_status read_task(struct cb_cli *cli, const char *folder, struct cb_task **out)
{
    char *path = cb_path_join(cli->arena, folder, "model.safetensors");
    struct cb_tensor_file *file;
    struct cb_value *root = NULL;
    CB_TRY(cb_tensors_open(path, &file, NULL, cli->diag));
    const char *json = cb_tensors_metadata(file, "task"),
               *base = cb_tensors_metadata(file, "task_folder");
    char *text = json != NULL ? cb_arena_strdup(cli->arena, json) : NULL;
    char *where = cb_arena_strdup(cli->arena, base != NULL ? base : ".");
    cb_tensors_close(file);
    if (text == NULL) {
        return cb_fail(cli->diag, CB_INVALID, NULL, "`%s` holds no task: say --data FOLDER",
                       folder);
    }
    CB_TRY(cb_json_read_text(cli->arena, path, text, strlen(text), &root, cli->diag));
    return cb_task_from_value(root, path, where, out, cli->diag);
}

enum cb_status cb_cli_own_data(struct cb_cli *cli, const char *run_folder, const struct cb_model *model,
                               struct cb_run_data *out)
{
    struct cb_task *task;
    struct cb_job *job;
    CB_TRY(read_task(cli, run_folder, &task));
    (void)cb_arena_on_destroy(cli->arena, (void (*)(void *))cb_task_destroy, task);
    CB_TRY(cb_job_open(task, true, &job, cli->diag));
    (void)cb_arena_on_destroy(cli->arena, (void (*)(void *))cb_job_close, job);
    if (model->tokenizer != NULL) { /* as it was trained, whatever became of the backbone's */
        cb_dataset_set_tokenizer(job->dataset, model->tokenizer);
    }
    CB_TRY(cb_job_prepare(job, NULL, cli->diag));
    out->dataset = job->dataset;
    out->is_training = !job->split.has_test;
    out->samples = job->split.has_test ? job->split.test.items : job->split.train.items;
    out->count = job->split.has_test ? job->split.test.count : job->split.train.count;
    return CB_OK;
}

enum cb_status cb_cli_other_data(struct cb_cli *cli, const char *path, const struct cb_model *model,
                                 struct cb_run_data *out)
{
    CB_TRY(cb_dataset_open_path(cli->arena, path, &model->contract, &out->dataset, cli->diag));
    if (model->classes != NULL) {
        CB_TRY(cb_dataset_use_classes(out->dataset, model->classes, model->class_count, cli->diag));
    }
    if (cb_dataset_wants_tokenizer(out->dataset) && model->tokenizer != NULL) {
        cb_dataset_set_tokenizer(out->dataset, model->tokenizer);
    }
    CB_TRY(cb_dataset_prepare(out->dataset, NULL, NULL, cli->diag));
    uint32_t *samples = CB_NEW_ARRAY(cli->arena, uint32_t, out->dataset->count + 1);
    for (uint32_t i = 0; samples != NULL && i < out->dataset->count; i++) {
        if (!cb_dataset_is_bad(out->dataset, i)) {
            samples[out->count++] = i;
        }
    }
    out->samples = samples;
    return samples != NULL ? CB_OK : cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
}

enum cb_status cb_cli_check_labels(struct cb_cli *cli, const char *run,
                                   const struct cb_model *model, const struct cb_run_data *data)
{
    const struct cb_dataset *d = data->dataset;
    const uint32_t outputs = model->outputs;
    if (d->target == CB_TARGET_NONE) {
        return cb_fail(cli->diag, CB_MISMATCH, NULL,
                       "the data has no labels: there is nothing to compare with");
    }
    if (d->target == CB_TARGET_CLASSES && model->classes == NULL) {
        return cb_fail(cli->diag, CB_MISMATCH, NULL,
                       "the run `%s` gives %u numbers a sample, not classes: to judge features "
                       "train a head on them "
                       "with `backbone: run:%s`",
                       run, outputs, run);
    }
    if (d->target == CB_TARGET_VALUES && (model->classes != NULL || d->value_count != outputs)) {
        return cb_fail(cli->diag, CB_MISMATCH, NULL,
                       "the run `%s` gives %u %s, but the data has %u values a sample", run,
                       outputs, model->classes != NULL ? "classes" : "values", d->value_count);
    }
    return CB_OK;
}
