/* Training against PyTorch: each case of training.json is a task that is read, run and saved as `cambium train` does it,
 * with weights and data of formula.h. Compared are the losses of the ten steps in metrics.jsonl, how far params and
 * running statistics moved (from 8 signed sums, see test_nets.c), and that what is frozen is the same to the bit. The
 * network ends with a softmax, which the loss takes over. Exits with 77 (skipped) without an OpenCL device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "formula.h"
#include "train/job.h"
#include "weights/safetensors.h"

#define SLACK 1.5 /* of the estimated distance */
#define SIZE 33
#define CHANNELS 3
#define CLASSES 7

struct world {
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_registry *registry;
    struct cb_device *device;
    struct cb_value *reference;
    struct cb_network *start; /* with the values that every case begins with */
    char folder[512];
};
static struct world world;

static void must(enum cb_status status)
{
    if (status == CB_OK) {
        return;
    }
    for (size_t i = 0; cb_diag_text(world.diag, i) != NULL; i++) {
        fprintf(stderr, "%s\n", cb_diag_text(world.diag, i));
    }
    fail_msg("%s", cb_status_name(status));
}

static const struct cb_value *get(const struct cb_value *map, const char *key)
{
    const struct cb_value *value = cb_map_get(map, key);
    if (value == NULL) {
        fail_msg("the reference has no `%s`", key);
    }
    return value;
}

static double number(const struct cb_value *value)
{
    double result = 0.0;
    assert_true(cb_value_number(value, &result));
    return result;
}

static const char *in_folder(const char *name)
{
    char *path = cb_path_join(world.arena, world.folder, name);
    assert_non_null(path);
    return path;
}

/* ---- what every case reads ------------------------------------------------------------------------------------------- */

/* zoo.yaml with its last layer, the softmax, as its output. */
static void write_backbone(void)
{
    struct cb_value *file;
    struct cb_text text = {0};
    must(cb_yaml_read_file(world.arena, CB_SOURCE_ROOT "/tests/nets/zoo.yaml", &file, world.diag));
    assert_true(cb_map_set(world.arena, file, "output", cb_value_text(world.arena, "probabilities", NULL)));
    cb_value_to_json(file, &text);
    must(cb_file_write_atomic(in_folder("zoo.yaml"), text.data, text.length, world.diag));
    cb_text_free(&text);
    world.start = cb_network_create(world.registry, "zoo");
    assert_non_null(world.start);
    must(cb_network_read(world.start, file, NULL, world.folder, world.diag));
}

static void write_weights(void)
{
    struct cb_network *net = world.start;
    const struct cb_value *variances = get(world.reference, "variances");
    struct cb_safetensors_entry *entries = calloc(net->param_count, sizeof(*entries));
    assert_non_null(entries);
    for (uint32_t i = 0; i < net->param_count; i++) {
        struct cb_param *param = &net->params[i];
        const struct cb_value *variance = cb_map_get(variances, net->nodes[param->node].name);
        formula_set_param(param, cb_starts_with(param->name, "fc."), variance != NULL ? number(variance) : 1.0);
        entries[i] = (struct cb_safetensors_entry){.name = param->name, .type = CB_STORED_F32,
                                                   .rank = param->decl.rank, .data = param->host};
        memcpy(entries[i].dims, param->decl.dims, sizeof(entries[i].dims));
    }
    const struct cb_key_value ours = {"format", "cambium"};
    must(cb_safetensors_write(in_folder("weights.safetensors"), entries, net->param_count, &ours, 1, world.diag));
    free(entries);
}

/* `classes.safetensors` and `values.safetensors`: the same pictures. */
static void write_data(void)
{
    int64_t samples = (int64_t)number(get(world.reference, "samples"));
    float *x = calloc((size_t)(samples * SIZE * SIZE * CHANNELS), sizeof(*x));
    float *values = calloc((size_t)(samples * CLASSES), sizeof(*values));
    int64_t *labels = calloc((size_t)samples, sizeof(*labels));
    assert_true(x != NULL && values != NULL && labels != NULL);
    formula_pictures(x, get(world.reference, "pictures")->text, samples, SIZE, SIZE, CHANNELS);
    uint64_t key = formula_key("", get(world.reference, "values")->text);
    for (int64_t i = 0; i < samples * CLASSES; i++) {
        values[i] = (float)formula_uniform(key, (uint64_t)i);
    }
    for (int64_t i = 0; i < samples; i++) {
        labels[i] = (int64_t)number(get(world.reference, "labels")->as.list.items[i]);
    }
    struct cb_safetensors_entry entries[2] = {
        {.name = "x", .type = CB_STORED_F32, .rank = 4, .dims = {samples, SIZE, SIZE, CHANNELS}, .data = x},
        {.name = "y", .type = CB_STORED_I64, .rank = 1, .dims = {samples}, .data = labels}};
    must(cb_safetensors_write(in_folder("classes.safetensors"), entries, 2, NULL, 0, world.diag));
    entries[1] = (struct cb_safetensors_entry){.name = "y", .type = CB_STORED_F32, .rank = 2,
                                               .dims = {samples, CLASSES}, .data = values};
    must(cb_safetensors_write(in_folder("values.safetensors"), entries, 2, NULL, 0, world.diag));
    free(x);
    free(values);
    free(labels);
}

/* ---- comparing ------------------------------------------------------------------------------------------------------- */

static void compare_losses(const char *name, const struct cb_value *reference, const char *path)
{
    const struct cb_value *losses = get(reference, "losses"), *deviations = get(reference, "deviation");
    FILE *log = fopen(path, "r");
    assert_non_null(log);
    char line[256];
    size_t step = 0;
    double worst = 0.0;
    for (; fgets(line, sizeof(line), log) != NULL; step++) {
        unsigned long long number_of_step;
        double loss;
        assert_int_equal(sscanf(line, "{\"step\":%llu,\"loss\":%lf", &number_of_step, &loss), 2);
        assert_int_equal(number_of_step, step + 1);
        assert_true(step < losses->as.list.count);
        double wanted = number(losses->as.list.items[step]), off = fabs(loss - wanted);
        double allowed = fmax(2e-5 * fabs(wanted), 3.0 * number(deviations->as.list.items[step]));
        worst = fmax(worst, off / fabs(wanted));
        if (!(off <= allowed)) {
            fail_msg("%s, step %zu: the loss is %.7f, not %.7f", name, step + 1, loss, wanted);
        }
    }
    (void)fclose(log);
    assert_int_equal(step, losses->as.list.count);
    printf("%s: losses off by %.1e of themselves at most\n", name, worst);
}

static void compare_values(const char *name, const struct cb_value *reference, const struct cb_network *net)
{
    double sums[FORMULA_SUMS] = {0}, wanted[FORMULA_SUMS], norm = number(get(reference, "moved_norm"));
    for (uint32_t i = 0; i < world.start->param_count; i++) {
        const struct cb_param *before = &world.start->params[i];
        uint32_t index = cb_network_find_param(net, before->name);
        assert_int_not_equal(index, CB_NONE);
        const struct cb_param *after = &net->params[index];
        uint64_t key = formula_key("signs:", before->name);
        if (net->nodes[after->node].frozen) {
            assert_memory_equal(before->host, after->host, (size_t)before->count * sizeof(float));
        }
        for (int64_t k = 0; k < before->count; k++) {
            formula_add_signed(sums, key, formula_foreign_index(before, (uint64_t)k),
                               (double)after->host[k] - (double)before->host[k]);
        }
    }
    for (int k = 0; k < FORMULA_SUMS; k++) {
        wanted[k] = number(get(reference, "moved_sums")->as.list.items[k]);
    }
    double distance = formula_distance(sums, wanted);
    double allowed = fmax(1e-4 * norm, 3.0 * number(get(reference, "moved_error")));
    printf("%s: values off by %.1e of how far they moved\n", name, distance / norm);
    if (!(distance <= SLACK * allowed)) {
        fail_msg("%s: the values are off by %g after moving by %g; %g is allowed", name, distance, norm, allowed);
    }
}

/* ---- a case ---------------------------------------------------------------------------------------------------------- */

static struct cb_value *task_of(const struct cb_value *reference)
{
    struct cb_arena *arena = world.arena;
    struct cb_value *task = cb_value_map(arena, NULL), *data = cb_value_map(arena, NULL);
    struct cb_value *model = cb_value_clone(arena, get(reference, "model"));
    bool values = get(reference, "values")->as.boolean;
    assert_true(cb_map_set(arena, model, "backbone", cb_value_text(arena, "zoo.yaml", NULL)) &&
                cb_map_set(arena, model, "weights", cb_value_text(arena, "weights.safetensors", NULL)) &&
                cb_map_set(arena, data, "tensors",
                           cb_value_text(arena, values ? "values.safetensors" : "classes.safetensors", NULL)) &&
                cb_map_set(arena, data, "shuffle", cb_value_bool(arena, false, NULL)) &&
                cb_map_set(arena, data, "test", cb_value_text(arena, "none", NULL)) &&
                cb_map_set(arena, task, "model", model) && cb_map_set(arena, task, "data", data) &&
                cb_map_set(arena, task, "train", cb_value_clone(arena, get(reference, "train"))));
    return task;
}

static void test_case(void **state)
{
    const struct cb_entry *entry = *state;
    struct cb_task *task;
    struct cb_job *job;
    struct cb_result result;
    struct cb_run_options options = {.folder = in_folder("run")};
    must(cb_task_from_value(task_of(entry->value), in_folder("task.yaml"), world.folder, &task, world.diag));
    must(cb_make_folders(options.folder, world.diag));
    must(cb_job_open(task, true, &job, world.diag));
    must(cb_job_prepare(job, NULL, world.diag));
    must(cb_job_run(job, world.device, &options, NULL, world.arena, &result, world.diag));
    compare_losses(entry->key, entry->value, in_folder("run/metrics.jsonl"));
    compare_values(entry->key, entry->value, result.model->net);
    assert_string_equal(result.frozen_before, result.frozen_after);
    cb_model_destroy(result.model);
    cb_job_close(job);
    cb_task_destroy(task);
    must(cb_remove_tree(options.folder, world.diag));
}

/* ---- early stopping -------------------------------------------------------------------------------------------------- */

/* Trains with validation data at a rate that soon makes it worse; the caller destroys the model. */
static void run_validated(const char *train, struct cb_result *out)
{
    char text[1024];
    struct cb_value *root;
    struct cb_task *task;
    struct cb_job *job;
    struct cb_run_options options = {0};
    snprintf(text, sizeof(text),
             "model: {backbone: zoo.yaml, weights: weights.safetensors, head: keep, frozen: none, batchnorm: trained}\n"
             "data: {tensors: classes.safetensors, shuffle: false, test: none, validation: {fraction: 0.34}}\n"
             "train: {batch: 5, schedule: constant, optimizer: {sgd: {rate: 0.3}}, %s}\n", train);
    must(cb_yaml_read_text(world.arena, "task.yaml", text, strlen(text), &root, world.diag));
    must(cb_task_from_value(root, in_folder("task.yaml"), world.folder, &task, world.diag));
    must(cb_job_open(task, true, &job, world.diag));
    must(cb_job_prepare(job, NULL, world.diag));
    must(cb_job_run(job, world.device, &options, NULL, world.arena, out, world.diag));
    cb_job_close(job);
    cb_task_destroy(task);
}

/* What early stopping keeps is what a run gives that ends with the best epoch, running statistics included. */
static void best_epoch_is_kept_whole(void **state)
{
    (void)state;
    struct cb_result stopped, ended;
    char train[64];
    run_validated("epochs: 12, early_stopping: {patience: 2}", &stopped);
    assert_in_range(stopped.fit.best_epoch, 1, stopped.fit.epochs - 1);
    snprintf(train, sizeof(train), "epochs: %lld", (long long)stopped.fit.best_epoch);
    run_validated(train, &ended);
    for (uint32_t i = 0; i < ended.model->net->param_count; i++) {
        const struct cb_param *wanted = &ended.model->net->params[i], *kept = &stopped.model->net->params[i];
        if (memcmp(wanted->host, kept->host, (size_t)wanted->count * sizeof(float)) != 0) {
            fail_msg("`%s` is not that of epoch %lld", kept->name, (long long)stopped.fit.best_epoch);
        }
    }
    cb_model_destroy(stopped.model);
    cb_model_destroy(ended.model);
}

static int open_world(void **state)
{
    (void)state;
    const char *temporary = getenv("TMPDIR");
    snprintf(world.folder, sizeof(world.folder), "%s/cambium-training-XXXXXX",
             temporary != NULL && *temporary != '\0' ? temporary : "/tmp");
    assert_non_null(mkdtemp(world.folder));
    world.registry = cb_registry_create(&cb__host);
    write_backbone();
    write_weights();
    write_data();
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    cb_network_destroy(world.start);
    cb_registry_destroy(world.registry);
    return cb_remove_tree(world.folder, world.diag) != CB_OK;
}

int main(void)
{
    struct CMUnitTest tests[64];
    size_t count = 0;
    world.arena = cb_arena_create();
    world.diag = cb_diag_create();
    if (cb_device_open(NULL, &world.device, world.diag) != CB_OK) {
        printf("skipped: no OpenCL device\n");
        return 77;
    }
    if (cb_json_read_file(world.arena, CB_SOURCE_ROOT "/tests/nets/training.json", &world.reference, world.diag) != CB_OK) {
        fprintf(stderr, "%s\n", cb_diag_text(world.diag, 0));
        return 1;
    }
    const struct cb_value *cases = cb_map_get(world.reference, "cases");
    for (; cases != NULL && count < cases->as.map.count && count < 63; count++) {
        struct cb_entry *entry = &cases->as.map.entries[count];
        tests[count] = (struct CMUnitTest){entry->key, test_case, NULL, NULL, entry};
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(best_epoch_is_kept_whole);
    int failed = count == 1 || _cmocka_run_group_tests("training", tests, count, open_world, close_world) != 0;
    cb_device_close(world.device);
    cb_diag_destroy(world.diag);
    cb_arena_destroy(world.arena);
    return failed;
}
