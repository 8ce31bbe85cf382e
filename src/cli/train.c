/* train.c: `cambium train TASK`: the whole job; leaves runs/NAME. */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "train/run.h"

static const struct cb_flag flags[] = {
    {"--tune", "SECONDS", "measure which variants of the layers are fastest here, for so long in each plan (default 0)"},
    {"--resume", NULL, "go on with the unfinished run of this name"},
    {"--name", "NAME", "of the run; by default the task file's"},
    {NULL, NULL, NULL},
};

static const char *run_name(const struct cb_cli *cli, const struct cb_task *task)
{
    const char *name = cb_cli_value(cli, "--name");
    return name != NULL ? name : task->name;
}

static enum cb_status check_name(const struct cb_cli *cli, const struct cb_task *task)
{
    const char *name = run_name(cli, task);
    if (strchr(name, '/') != NULL || name[0] == '.' || name[0] == '\0') {
        return cb_fail(cli->diag, CB_INVALID, NULL, "a run's name must be a plain word, not `%s`", name);
    }
    return CB_OK;
}

static enum cb_status open_folder(struct cb_cli *cli, const struct cb_task *task, bool *out_resume, char **out_folder)
{
    const char *name = run_name(cli, task);
    *out_resume = cb_cli_has(cli, "--resume");
    if (!*out_resume) {
        CB_TRY(cb_run_create(cli->arena, name, out_folder, cli->diag));
        char *checkpoint = cb_path_join(cli->arena, *out_folder, "checkpoint"); /* so that it is known for a run from here on */
        return checkpoint != NULL ? cb_make_folders(checkpoint, cli->diag) : CB_MEMORY;
    }
    char *folder = cb_arena_printf(cli->arena, "runs/%s", name);
    char *state = cb_arena_printf(cli->arena, "%s/checkpoint/state.safetensors", folder);
    if (folder == NULL || state == NULL || !cb_path_exists(state)) {
        char *model = cb_arena_printf(cli->arena, "runs/%s/model.safetensors", name);
        if (model != NULL && cb_path_exists(model)) {
            return cb_fail(cli->diag, CB_NOT_FOUND, NULL, "the run `%s` is finished: there is nothing to go on with", folder);
        }
        if (cb_path_is_folder(folder)) {
            return cb_fail(cli->diag, CB_NOT_FOUND, NULL,
                           "the run `%s` ended before its first checkpoint: start it anew without --resume", folder);
        }
        return cb_fail(cli->diag, CB_NOT_FOUND, NULL, "there is no unfinished run `runs/%s` to go on with", name);
    }
    *out_folder = folder;
    return CB_OK;
}

/* A run that left nothing worth keeping: its folder goes, and `runs` with it when nothing else is in there. */
static void remove_run(const char *folder)
{
    (void)cb_remove_tree(folder, NULL);
    (void)rmdir("runs");
}

static void keep_or_remove(struct cb_cli *cli, const char *folder)
{
    char *state = cb_arena_printf(cli->arena, "%s/checkpoint/state.safetensors", folder);
    if (state != NULL && cb_path_exists(state)) {
        cb_note(cli->diag, NULL, "the last good checkpoint is kept in `%s`", folder);
    } else {
        remove_run(folder);
    }
}

static void say_interrupted(const struct cb_cli *cli, const char *folder)
{
    char *state = cb_arena_printf(cli->arena, "%s/checkpoint/state.safetensors", folder);
    if (state != NULL && cb_path_exists(state)) {
        fprintf(stderr, "stopped; its checkpoint is kept in `%s`, and this goes on from there:\n    cambium train %s", folder,
                cli->arguments[0]);
        for (size_t i = 0; i < cli->set_count; i++) { /* another task would be refused */
            fprintf(stderr, " --set '%s'", cli->sets[i]);
        }
        if (cli->device != NULL) {
            fprintf(stderr, " --device '%s'", cli->device);
        }
        fprintf(stderr, " --name %s --resume\n", cb_path_base(folder));
    } else {
        fprintf(stderr, "stopped before the first checkpoint: nothing is kept, and the same command starts anew\n");
        remove_run(folder);
    }
}

static enum cb_status train(struct cb_cli *cli, struct cb_task *task, struct cb_job *job, double tune_seconds,
                            struct cb_device **device)
{
    struct cb_watch watch = cb_cli_watch(cli);
    struct cb_run_options options = {0};
    struct cb_result result;
    char *folder;
    CB_TRY(cb_job_prepare(job, &watch, cli->diag));
    cb_cli_show_job(cli, job);
    cb_cli_flush(cli);
    CB_TRY(cb_cli_open_device(cli, device));
    CB_TRY(open_folder(cli, task, &options.resume, &folder));
    options.folder = folder;
    options.tune_seconds = tune_seconds;
    enum cb_status status = cb_job_run(job, *device, &options, &watch, cli->arena, &result, cli->diag);
    cb_cli_clear_progress(cli);
    if (status != CB_OK) {
        if (status == CB_INTERRUPTED) {
            say_interrupted(cli, folder);
        } else {
            keep_or_remove(cli, folder);
        }
        return status;
    }
    status = cb_run_save(folder, job, &result, cli->diag);
    if (status != CB_OK) {
        keep_or_remove(cli, folder);
    } else {
        int64_t seen = cb_run_count_test(result.test_sha256);
        if (cli->json) {
            cb_cli_print_json(cb_result_to_value(cli->arena, &result, folder));
        } else {
            cb_cli_show_result(cli, task, &result, folder, seen);
        }
    }
    cb_model_destroy(result.model);
    return status;
}

static int run(struct cb_cli *cli)
{
    struct cb_task *task = NULL;
    struct cb_job *job = NULL;
    struct cb_device *device = NULL;
    double tune_seconds;
    if (cli->argument_count != 1) {
        return cb_cli_misuse(cli, "one task file is needed");
    }
    if (!cb_cli_number(cli, "--tune", 0.0, 3600.0, 0.0, &tune_seconds)) {
        return 2;
    }
    enum cb_status status = cb_task_read(cli->arguments[0], cli->sets, cli->set_count, &task, cli->diag);
    if (status == CB_OK) {
        status = check_name(cli, task);
    }
    if (status == CB_OK) {
        status = cb_job_open(task, true, &job, cli->diag);
    }
    if (status == CB_OK) {
        status = train(cli, task, job, tune_seconds, &device);
    }
    cb_cli_close_device(device);
    cb_job_close(job);
    cb_task_destroy(task);
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_train = {
    .name = "train",
    .usage = "train TASK.yaml [--name NAME] [--resume] [--tune SECONDS]",
    .summary = "the whole job: data, training, an honest test; leaves runs/NAME",
    .flags = flags,
    .help = "Ctrl-C ends cleanly with a checkpoint; --resume goes on to the same bits. Every key of the task can be\n"
            "changed for one run: `cambium train photos.yaml --set train.seed=1 --set data.seed=1`.\n\n"
            "--tune SECONDS measures which variants of the layers are fastest on this device, the costliest layers first, and\n"
            "keeps the times for later runs; `cambium bench --tune` does it for many networks at once.\n",
    .run = run,
};
