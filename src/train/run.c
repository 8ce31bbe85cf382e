/* run.c: the folder of a run. See run.h. */
#include "train/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

enum cb_status cb_run_create(struct cb_arena *arena, const char *name, char **out_folder, struct cb_diag *diag)
{
    CB_TRY(cb_make_folders("runs", diag));
    for (int n = 1; n < 100000; n++) {
        char *folder = n == 1 ? cb_arena_printf(arena, "runs/%s", name) : cb_arena_printf(arena, "runs/%s-%d", name, n);
        if (folder == NULL) {
            return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        }
        if (mkdir(folder, 0777) == 0) {
            *out_folder = folder;
            return CB_OK;
        }
        if (errno != EEXIST) {
            return cb_fail(diag, CB_IO, NULL, "cannot make the folder `%s`: %s", folder, strerror(errno));
        }
    }
    return cb_fail(diag, CB_IO, NULL, "there are too many runs of the name `%s`", name);
}

static bool holds_model(struct cb_arena *arena, const char *folder)
{
    char *path = folder != NULL ? cb_path_join(arena, folder, "model.safetensors") : NULL;
    return path != NULL && cb_path_exists(path);
}

/* The run that was written last; one that was never finished only when there is no other. */
static char *newest(struct cb_arena *arena)
{
    char **names = NULL, *best = NULL;
    size_t count = 0;
    struct stat s;
    double best_time = -1;
    bool best_is_whole = false;
    if (!cb_path_is_folder("runs") || cb_folder_list(arena, "runs", &names, &count, NULL, NULL) != CB_OK) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        char *folder = cb_arena_printf(arena, "runs/%s", names[i]);
        double time = folder != NULL && stat(folder, &s) == 0 && S_ISDIR(s.st_mode)
                          ? (double)s.st_mtim.tv_sec + 1e-9 * (double)s.st_mtim.tv_nsec
                          : -1;
        bool is_whole = time >= 0 && holds_model(arena, folder);
        if (time >= 0 && (is_whole != best_is_whole ? is_whole : time > best_time)) {
            best_time = time;
            best = folder;
            best_is_whole = is_whole;
        }
    }
    return best;
}

static const char *run_name(const void *context, size_t i)
{
    char *const *names = context;
    return names[i];
}

enum cb_status cb_run_find(struct cb_arena *arena, const char *run, char **out_folder, struct cb_diag *diag)
{
    char *folder = NULL, *named = cb_arena_printf(arena, "runs/%s", cb_starts_with(run, "run:") ? run + 4 : run);
    if (strcmp(run, "last") == 0) {
        folder = newest(arena);
        if (folder == NULL) {
            return cb_fail(diag, CB_NOT_FOUND, NULL, "there are no runs yet in `runs/`");
        }
    } else if (cb_path_is_folder(run) && (holds_model(arena, run) || named == NULL || !cb_path_is_folder(named))) {
        folder = cb_arena_strdup(arena, run); /* else it is the folder of pictures that gave the run its name */
    } else {
        folder = named;
    }
    if (folder == NULL || !cb_path_is_folder(folder)) {
        char **names = NULL;
        size_t count = 0;
        const char *nearest = NULL;
        if (cb_path_is_folder("runs") && cb_folder_list(arena, "runs", &names, &count, NULL, NULL) == CB_OK &&
            count > 0) {
            char **ended = CB_NEW_ARRAY(arena, char *, count + 1);
            if (ended != NULL) {
                memcpy(ended, names, count * sizeof(*ended));
                nearest = cb_nearest(run, run_name, ended);
            }
        }
        return cb_fail(diag, CB_NOT_FOUND, NULL, "there is no run `%s`%s%s%s", run, nearest != NULL ? "; did you mean `" : "",
                       nearest != NULL ? nearest : "", nearest != NULL ? "`?" : "; `cambium runs` lists what there is");
    }
    *out_folder = folder;
    return CB_OK;
}

/* The frozen part as the saved file has it must be what was loaded. */
static enum cb_status prove(const char *path, struct cb_result *result, struct cb_diag *diag)
{
    const struct cb_network *net = result->model->net;
    struct cb_tensor_file *file;
    if (result->frozen_before[0] == '\0') {
        return CB_OK;
    }
    CB_TRY(cb_tensors_open(path, &file, NULL, diag));
    enum cb_status status = CB_OK;
    for (uint32_t i = 0; status == CB_OK && i < net->param_count; i++) {
        const struct cb_param *param = &net->params[i];
        const struct cb_tensor_entry *entry = cb_tensors_find(file, param->name);
        if (net->nodes[param->node].frozen && entry != NULL && entry->count == (uint64_t)param->count) {
            status = cb_tensors_read_f32(file, entry, param->host, diag);
        }
    }
    cb_tensors_close(file);
    CB_TRY(status);
    char hex[65];
    cb_network_hash_frozen(net, hex);
    if (strcmp(hex, result->frozen_before) != 0) {
        return cb_fail(diag, CB_INTERNAL, NULL, "`%s` does not hold the frozen layers as they were: SHA-256 %s, not %s",
                       path, hex, result->frozen_before);
    }
    memcpy(result->frozen_file, hex, sizeof(hex));
    return CB_OK;
}

static enum cb_status write_value(const char *path, const struct cb_value *value, bool as_json, struct cb_diag *diag)
{
    struct cb_text text = {0};
    if (as_json) {
        cb_value_to_json(value, &text);
        cb_text_add(&text, "\n");
    } else {
        cb_value_to_yaml(value, &text);
    }
    enum cb_status status = text.failed ? cb_fail(diag, CB_MEMORY, NULL, "out of memory")
                                        : cb_file_write_atomic(path, text.data, text.length, diag);
    cb_text_free(&text);
    return status;
}

static void add_csv_field(struct cb_text *text, const char *field)
{
    bool quote = strpbrk(field, ",\"\r\n") != NULL;
    cb_text_add(text, quote ? "\"" : "");
    for (; *field != '\0'; field++) {
        cb_text_addf(text, *field == '"' ? "\"\"" : "%c", *field);
    }
    cb_text_add(text, quote ? "\"" : "");
}

/* Of each sample that was tested: its label, what was predicted and how surely; or its values and the predicted ones. */
static void add_prediction(const struct cb_dataset *d, const struct cb_result *r, uint64_t i, struct cb_text *text)
{
    uint32_t sample = r->samples[i], outputs = r->model->outputs;
    const float *row = r->predictions + i * outputs;
    add_csv_field(text, cb_dataset_name(d, sample));
    if (r->is_classes) {
        uint32_t best = cb_argmax(row, outputs), label = (uint32_t)d->labels[sample];
        cb_text_add(text, ",");
        add_csv_field(text, d->classes[label]);
        cb_text_add(text, ",");
        add_csv_field(text, d->classes[best]);
        cb_text_addf(text, ",%.6g", row[best]);
    }
    for (uint32_t k = 0; !r->is_classes && k < outputs; k++) {
        cb_text_addf(text, ",%.9g,%.9g", d->values[(size_t)sample * outputs + k], row[k]);
    }
    cb_text_add(text, "\n");
}

static enum cb_status write_predictions(const char *path, const struct cb_dataset *d, const struct cb_result *r,
                                        struct cb_diag *diag)
{
    struct cb_text text = {0};
    if (r->n == 0 || (!r->has_test && r->folds == 0)) {
        return CB_OK;
    }
    cb_text_add(&text, r->is_classes ? "input,label,predicted,probability\n" : "input");
    for (uint32_t k = 0; !r->is_classes && k < r->model->outputs; k++) {
        cb_text_addf(&text, ",value_%u,predicted_%u", k + 1, k + 1);
    }
    cb_text_add(&text, r->is_classes ? "" : "\n");
    for (uint64_t i = 0; i < r->n; i++) {
        add_prediction(d, r, i, &text);
    }
    enum cb_status status = text.failed ? cb_fail(diag, CB_MEMORY, NULL, "out of memory")
                                        : cb_file_write_atomic(path, text.data, text.length, diag);
    cb_text_free(&text);
    return status;
}

static enum cb_status save_in(struct cb_arena *arena, const char *folder, const struct cb_job *job,
                              struct cb_result *result, struct cb_diag *diag)
{
    const struct cb_task *task = job->task;
    char *predictions = cb_path_join(arena, folder, "predictions.csv");
    char *path = cb_path_join(arena, folder, "model.safetensors"), *checkpoint = cb_path_join(arena, folder, "checkpoint");
    char *task_path = cb_path_join(arena, folder, "task.yaml"), *json = cb_path_join(arena, folder, "result.json");
    struct cb_value *resolved = cb_task_to_value(task, arena);
    if (path == NULL || checkpoint == NULL || task_path == NULL || json == NULL || resolved == NULL ||
        predictions == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    char *from = realpath(task->folder, NULL);
    /* Neither the clock nor the run's name goes into the model: two runs of one seed are the same file. */
    struct cb_result timeless = *result;
    timeless.seconds = timeless.fit.seconds = 0;
    struct cb_value *lasting = cb_result_to_value(arena, &timeless, NULL);
    struct cb_model_extra extra = {.task = resolved, .task_folder = from != NULL ? cb_arena_strdup(arena, from) : NULL, .results = lasting,
                                   .head_only = task->config.save == CB_SAVE_HEAD};
    free(from);
    CB_TRY(cb_model_save(result->model, &extra, path, diag));
    CB_TRY(prove(path, result, diag));
    CB_TRY(write_value(task_path, resolved, false, diag));
    CB_TRY(write_predictions(predictions, job->dataset, result, diag));
    struct cb_value *results = cb_result_to_value(arena, result, folder);
    if (results == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(write_value(json, results, true, diag));
    return cb_remove_tree(checkpoint, diag);
}

enum cb_status cb_run_save(const char *folder, const struct cb_job *job, struct cb_result *result, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    if (arena == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    enum cb_status status = save_in(arena, folder, job, result, diag);
    cb_arena_destroy(arena);
    return status;
}

int64_t cb_run_count_test(const char *test_sha256)
{
    struct cb_arena *arena = cb_arena_create();
    char *data = arena != NULL ? cb_user_data_folder(arena) : NULL;
    char *path = data != NULL ? cb_path_join(arena, data, "tests.json") : NULL;
    char *lock_path = data != NULL ? cb_path_join(arena, data, "tests.lock") : NULL;
    struct cb_lock lock;
    int64_t count = 0;
    if (path != NULL && lock_path != NULL && test_sha256[0] != '\0' && cb_lock_take(&lock, lock_path, NULL) == CB_OK) {
        struct cb_value *map = NULL;
        if (!cb_path_exists(path) || cb_json_read_file(arena, path, &map, NULL) != CB_OK || map->kind != CB_KIND_MAP) {
            map = cb_value_map(arena, NULL);
        }
        const struct cb_value *before = cb_map_get(map, test_sha256);
        count = before != NULL && before->kind == CB_KIND_INT ? before->as.integer + 1 : 1;
        if (!cb_map_set(arena, map, test_sha256, cb_value_int(arena, count, NULL)) ||
            write_value(path, map, true, NULL) != CB_OK) {
            count = 0;
        }
        cb_lock_release(&lock);
    }
    cb_arena_destroy(arena);
    return count;
}
