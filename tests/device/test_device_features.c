/* Features of a frozen prefix are computed once a sample and view: training on them gives the losses of computing them in
 * each epoch, whatever is augmented; what cannot be read takes no part. */
#include "device_common.h"

#include <math.h>

#include "base/file.h"
#include "train/feature_file.h"
#include "train/job.h"

#define MOST 64

static struct cb_arena *arena;
static char *folder;

/* Losses of each step. */
struct steps {
    double loss[MOST];
    uint64_t count;
    char said[2048];
};

static void on_step(void *context, uint64_t step, uint64_t steps, double loss, double rate)
{
    struct steps *s = context;
    (void)steps;
    (void)rate;
    assert_true(step == s->count + 1 && step <= MOST);
    s->loss[s->count++] = loss;
}

static void on_say(void *context, const char *sentence)
{
    struct steps *s = context;
    size_t used = strlen(s->said);
    snprintf(s->said + used, sizeof(s->said) - used, "%s\n", sentence);
}

static const char network[] = "name: tiny\n"
                              "input: {modality: image, shape: [9, 9, 1], scale: {mean: [20.0], std: [255.0]}, resize: pad}\n"
                              "layers:\n"
                              "  - conv2d: {filters: 5, kernel: 3, padding: same}\n"
                              "    name: conv\n"
                              "  - relu\n"
                              "  - maxpool2d: {kernel: 2}\n"
                              "    name: pool\n"
                              "  - flatten\n"
                              "  - dense: {units: 3}\n"
                              "    name: classifier\n"
                              "output: classifier\n";

static void put(const char *name, const void *data, size_t bytes)
{
    char *path = cb_path_join(arena, folder, name);
    must(cb_make_folders(cb_path_folder(arena, path), diag));
    must(cb_file_write_atomic(path, data, bytes, diag));
}

/* Eight pictures of three classes. */
static void make_files(void)
{
    put("net.yaml", network, strlen(network));
    uint32_t seed = 3;
    for (int i = 0; i < 24; i++) {
        uint8_t pixels[81];
        for (int p = 0; p < 81; p++) {
            seed = seed * 1664525u + 1013904223u;
            pixels[p] = (uint8_t)(seed >> 25) + (uint8_t)(p % 9 / 3 == i % 3 ? 120 : 0);
        }
        char *name = cb_arena_printf(arena, "pics/%c/%d.png", 'a' + i % 3, i / 3 + 10);
        put(name, "", 0);
        must(cb_image_write_png(cb_path_join(arena, folder, name),
                                &(struct cb_image){.width = 9, .height = 9, .channels = 1, .data = pixels}, diag));
    }
}

/* A task in the test's folder; `data` and `train` are appended to their sections. */
static struct cb_job *open_job(const char *frozen, const char *data, const char *train)
{
    struct cb_task *task;
    struct cb_job *job;
    struct cb_value *root = NULL;
    char *yaml = cb_arena_printf(arena,
                                 "model: {backbone: net.yaml, weights: none, frozen: %s}\n"
                                 "data: {images: pics%s}\n"
                                 "train: {epochs: 4, batch: 6, optimizer: {sgd: {rate: 0.1}}%s}\n", frozen, data, train);
    must(cb_yaml_read_text(arena, "t.yaml", yaml, strlen(yaml), &root, diag));
    must(cb_task_from_value(root, "t.yaml", folder, &task, diag));
    must(cb_job_open(task, true, &job, diag));
    return job;
}

static void close_job(struct cb_job *job)
{
    struct cb_task *task = (struct cb_task *)(uintptr_t)job->task;
    cb_job_close(job);
    cb_task_destroy(task);
}

static void fit_frozen(const char *frozen, const char *data, const char *train, bool cached, struct steps *out)
{
    struct cb_job *job = open_job(frozen, data, train);
    struct cb_model *model;
    struct cb_engine *engine;
    struct cb_fit_result result;
    *out = (struct steps){.count = 0};
    struct cb_watch watch = {.context = out, .step = on_step, .say = on_say};
    must(cb_job_prepare(job, NULL, diag));
    must(cb_model_build(job->task, job->backbone, job->registry, job->dataset, 0, true, &model, diag));
    must(cb_engine_create(model, job->dataset, device, true, job->task->config.seed, &watch, &engine, diag));
    assert_true(engine->is_cached);
    engine->is_cached = cached;
    struct cb_fit_request request = {.train = job->split.train.items, .train_count = job->split.train.count};
    must(cb_fit(job->task, engine, &request, &result, diag));
    cb_engine_destroy(engine);
    cb_model_destroy(model);
    close_job(job);
}

static void fit(const char *data, const char *train, bool cached, struct steps *out)
{
    fit_frozen("{up_to: pool}", data, train, cached, out);
}

static bool alike(const struct steps *a, const struct steps *b, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        if (fabs(a->loss[i] - b->loss[i]) > 1e-5 * fabs(b->loss[i])) {
            return false;
        }
    }
    return true;
}

static void kept_features_give_the_same_losses(void **state)
{
    (void)state;
    struct steps kept, computed, other;
    fit(", test: none", "", true, &kept);
    fit(", test: none", "", false, &computed);
    assert_int_equal(kept.count, 16);
    assert_int_equal(computed.count, 16);
    assert_true(alike(&kept, &computed, 0, 16));
    assert_true(kept.loss[15] < kept.loss[0]);
    /* A batch in parts is the batch. */
    fit(", test: none", ", accumulate: 4", true, &other);
    assert_true(other.count == 16 && alike(&kept, &other, 0, 16));
    fit(", test: none", ", accumulate: 4", false, &other);
    assert_true(other.count == 16 && alike(&kept, &other, 0, 16));
}

static void each_epoch_takes_its_view(void **state)
{
    (void)state;
    const char *changed = ", test: none, augment: [flip, {rotate: 30}, {shift: 0.2}], views: 4";
    const char *two = ", test: none, augment: [flip, {rotate: 30}, {shift: 0.2}], views: 2";
    struct steps plain, kept, computed, few;
    fit(", test: none", "", true, &plain);
    fit(changed, "", true, &kept);
    fit(changed, "", false, &computed);
    assert_false(alike(&plain, &kept, 0, 16));
    assert_true(alike(&kept, &computed, 0, 16)); /* as many views as epochs: nothing is seen twice */
    fit(two, "", true, &few);
    assert_true(alike(&kept, &few, 0, 8));
    assert_false(alike(&kept, &few, 8, 16));
}

/* With too many pictures to be decoded ahead, those that cannot be read are found on the way: they count nowhere. */
static void unreadable_pictures_take_no_part(void **state)
{
    (void)state;
    static const char *const frozen[] = {"{up_to: pool}", "none"}, *const train[] = {"", ", accumulate: 2"};
    const char *data = ", train: {per_class: 5}, test: rest";
    put("pics/a/11.png", "no", 2);
    put("pics/a/13.png", "no", 2);
    put("pics/c/17.png", "no", 2);
    for (int k = 0; k < 4; k++) {
        struct cb_result result;
        struct cb_run_options options = {NULL, false};
        struct steps steps = {.count = 0};
        struct cb_watch watch = {.context = &steps, .step = on_step};
        struct cb_job *job = open_job(frozen[k / 2], data, train[k % 2]);
        cb_dataset_set_cache(job->dataset, 0);
        must(cb_job_run(job, device, &options, &watch, arena, &result, diag));
        assert_int_equal(cb_dataset_bad_count(job->dataset), 3);
        assert_int_equal(cb_diag_count(diag, CB_WARNING), 3); /* each is named once */
        assert_int_equal(job->split.train.count + job->split.test.count, 24);
        uint32_t expected = 0;
        for (uint32_t i = 0; i < job->split.test.count; i++) {
            expected += !cb_dataset_is_bad(job->dataset, job->split.test.items[i]);
        }
        assert_int_equal(result.n, expected);
        for (uint64_t i = 0; i < result.n; i++) {
            assert_false(cb_dataset_is_bad(job->dataset, result.samples[i]));
        }
        assert_true(steps.count == 12 && isfinite(result.fit.loss));
        cb_model_destroy(result.model);
        close_job(job);
        cb_diag_clear(diag);
    }
    /* Decoded ahead, they are not even in the split. */
    struct cb_job *job = open_job("none", data, "");
    must(cb_job_prepare(job, NULL, diag));
    assert_int_equal(job->split.train.count + job->split.test.count, 21);
    close_job(job);
}

static bool in_the_second_epoch(void *context)
{
    return ((struct steps *)context)->count == 5;
}

/* One run of a task whose damaged pictures are found on the way, in the test's folder `run`. */
static enum cb_status run_on_the_way(const char *run, bool resume, struct cb_watch *watch)
{
    struct cb_result result;
    char *path = cb_path_join(arena, folder, run);
    struct cb_run_options options = {path, resume};
    must(cb_make_folders(path, diag));
    struct cb_job *job = open_job("none", ", train: {per_class: 7}, test: none", ", accumulate: 2");
    cb_dataset_set_cache(job->dataset, 0);
    enum cb_status status = cb_job_run(job, device, &options, watch, arena, &result, diag);
    if (status == CB_OK) {
        cb_model_destroy(result.model);
    }
    close_job(job);
    return status;
}

/* A position in an epoch counts what could not be read: a run that goes on sees what it would have seen. */
static void going_on_after_unreadable_pictures(void **state)
{
    (void)state;
    struct steps whole = {.count = 0}, parts = {.count = 0};
    struct cb_watch watch = {.context = &whole, .step = on_step};
    must(run_on_the_way("whole", false, &watch));
    assert_int_equal(whole.count, 16);
    watch = (struct cb_watch){.context = &parts, .step = on_step, .cancelled = in_the_second_epoch};
    assert_int_equal(run_on_the_way("parts", false, &watch), CB_INTERRUPTED);
    assert_int_equal(parts.count, 5);
    watch.cancelled = NULL;
    must(run_on_the_way("parts", true, &watch));
    assert_int_equal(parts.count, 16);
    assert_memory_equal(whole.loss, parts.loss, sizeof(whole.loss));
    cb_diag_clear(diag);
}

static bool was_found(const struct steps *steps)
{
    return strstr(steps->said, "found in the cache of an earlier run") != NULL;
}

/* A second run takes the features of the first, to the same bits; anything that changes them is seen. */
static void a_second_run_starts_behind_the_prefix(void **state)
{
    (void)state;
    struct steps first, again;
    const char *data = ", test: none, bad_files: skip";
    assert_int_equal(setenv("CAMBIUM_FEATURES_MB", "10", 1), 0);
    fit(data, "", true, &first);
    assert_false(was_found(&first));
    fit(data, "", true, &again);
    assert_true(was_found(&again));
    assert_memory_equal(first.loss, again.loss, sizeof(first.loss));
    fit(", test: none, shuffle: false, classes: [c, a, b]", "", true, &again); /* labels are part of what a sample is */
    assert_false(was_found(&again));

    fit(data, ", seed: 5", true, &again); /* other random weights */
    assert_false(was_found(&again));
    fit_frozen("{up_to: conv}", data, "", true, &again); /* the same prefix: what follows has nothing to train */
    assert_true(was_found(&again));
    fit_frozen("{up_to: conv}, replace: pool, head: [flatten, dense]", data, "", true, &again); /* another cut */
    assert_false(was_found(&again));
    fit(", test: none, resize: squash", "", true, &again); /* pictures prepared in another way */
    assert_false(was_found(&again));
    char *scaled = cb_arena_strdup(arena, network);
    memcpy(strstr(scaled, "20.0"), "21.0", 4); /* another contract */
    put("net.yaml", scaled, strlen(scaled));
    fit(data, "", true, &again);
    assert_false(was_found(&again));
    put("net.yaml", network, strlen(network));
    fit(data, "", true, &again);
    assert_true(was_found(&again));
    assert_memory_equal(first.loss, again.loss, sizeof(first.loss));
}

/* A view belongs to its number, its change, its seed and its sample; view 0 to the sample alone. */
static void ids_of_views(void **state)
{
    (void)state;
    static const char *const data[] = {", test: none, augment: [flip], views: 2", ", test: none, augment: [{rotate: 5}]"};
    char ids[2][3][65], other[65];
    for (int k = 0; k < 2; k++) {
        struct cb_job *job = open_job("{up_to: pool}", data[k], "");
        struct cb_engine engine = {.dataset = job->dataset, .seed = 1};
        for (uint32_t view = 0; view < 3; view++) {
            assert_true(cb_feature_id(&engine, 0, view, ids[k][view]));
        }
        assert_string_not_equal(ids[k][0], ids[k][1]);
        assert_string_not_equal(ids[k][1], ids[k][2]);
        assert_true(cb_feature_id(&engine, 2, 0, other));
        assert_string_not_equal(ids[k][0], other);
        engine.seed = 2;
        assert_true(cb_feature_id(&engine, 0, 0, other));
        assert_string_equal(ids[k][0], other);
        assert_true(cb_feature_id(&engine, 0, 1, other));
        assert_string_not_equal(ids[k][1], other);
        close_job(job);
    }
    assert_string_equal(ids[0][0], ids[1][0]);
    assert_string_not_equal(ids[0][1], ids[1][1]);
}

int main(void)
{
    open_device_or_skip();
    arena = cb_arena_create();
    const char *root = getenv("TMPDIR");
    folder = cb_arena_printf(arena, "%s/cambium-test-XXXXXX", root && *root ? root : P_tmpdir);
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    /* Nothing of other runs; compiled kernels lie in the test's folder, too. */
    setenv("CAMBIUM_CACHE", cb_path_join(arena, folder, "cache"), 1);
    setenv("CAMBIUM_FEATURES_MB", "0", 1);
    make_files();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_features_give_the_same_losses),
        cmocka_unit_test(each_epoch_takes_its_view),
        cmocka_unit_test(ids_of_views),
        cmocka_unit_test(unreadable_pictures_take_no_part),
        cmocka_unit_test(going_on_after_unreadable_pictures),
        cmocka_unit_test(a_second_run_starts_behind_the_prefix),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)cb_remove_tree(folder, diag);
    cb_arena_destroy(arena);
    close_device();
    return failed;
}
