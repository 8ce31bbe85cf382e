/* driver.c: runs the cases of tests/layers/LAYER.yaml files on one device.
 *
 *     layers FILE...      exit code 0 when every check passed
 *
 * CAMBIUM_DEVICE chooses the device, CAMBIUM_PLUGIN_PATH where the plugins are. CAMBIUM_TEST_SIZE=small leaves out the
 * central differences, which are most of the time on a simulator, and the cases that are `large: true`. What is checked:
 * checks.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "check/checks.h"
#include "check/escape.h"

static bool is_small(void)
{
    const char *size = getenv("CAMBIUM_TEST_SIZE");
    return size != NULL && strcmp(size, "small") == 0;
}

static bool flag_of(const struct cb_value *map, const char *key, bool otherwise)
{
    const struct cb_value *v = cb_map_get(map, key);
    return v != NULL ? v->as.boolean : otherwise;
}

static uint32_t read_arrays(struct cb_arena *arena, const struct cb_value *list, struct array out[TRIAL_MAX])
{
    uint32_t count = 0;
    for (size_t i = 0; list != NULL && i < list->as.list.count && i < TRIAL_MAX; i++) {
        out[count++] = cb__array_read(arena, list->as.list.items[i]);
    }
    return count;
}

static struct layer_case read_case(struct cb_arena *arena, const char *layer, const struct cb_value *v)
{
    struct layer_case c = {.layer = layer, .name = "(no name)", .tolerance = 1e-5};
    const struct cb_value *name = cb_map_get(v, "name"), *tolerance = cb_map_get(v, "tolerance");
    const struct cb_value *seed = cb_map_get(v, "seed"), *step = cb_map_get(v, "step"), *dy = cb_map_get(v, "dy");
    const struct cb_value *expect = cb_map_get(v, "expect"), *error = cb_map_get(v, "error");
    c.name = name != NULL ? name->text : c.name;
    c.options = cb_map_get(v, "options");
    c.x_count = read_arrays(arena, cb_map_get(v, "inputs"), c.x);
    c.fit_count = read_arrays(arena, cb_map_get(v, "fit"), c.fit);
    c.params = cb_map_get(v, "params");
    c.states = cb_map_get(v, "state");
    c.training = flag_of(v, "training", false);
    c.left_out = is_small() && flag_of(v, "large", false);
    c.gradient_check = !is_small() && flag_of(v, "gradient_check", true);
    c.each = flag_of(v, "each", false);
    if (tolerance != NULL) {
        cb_value_number(tolerance, &c.tolerance);
    }
    c.seed = seed != NULL ? (uint64_t)seed->as.integer : 0;
    c.step = step != NULL ? (uint64_t)step->as.integer : 0;
    c.sample_ids = cb_map_get(v, "sample_ids");
    c.lengths = cb_map_get(v, "lengths");
    c.has_dy = dy != NULL;
    if (dy != NULL) {
        c.dy = cb__array_read(arena, dy);
    }
    c.expect_y = expect != NULL ? cb_map_get(expect, "y") : NULL;
    c.expect_state = expect != NULL ? cb_map_get(expect, "state") : NULL;
    c.expect_dx = cb_map_get(v, "expect_dx");
    c.expect_dw = cb_map_get(v, "expect_dw");
    c.error = error != NULL ? error->text : NULL;
    return c;
}

static void print_diag(struct cb_diag *diag)
{
    for (size_t i = 0; i < cb_diag_count(diag, CB_NOTE); i++) {
        fprintf(stderr, "%s\n", cb_diag_text(diag, i));
    }
}

static void print_failure(void *context, enum cb_check check, bool is_right, const char *text)
{
    if (!is_right) {
        printf("FAILED %s, %s: %s\n", (const char *)context, cb__check_word(check), text);
    }
}

/* A case, read and checked: both may leave by escape.h. */
struct job {
    const char *layer;
    const struct cb_value *description;
    struct cb_device *device;
    const struct cb_layer_type *type;
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct tally *tally;
};

static void run_job(void *context)
{
    const struct job *job = context;
    const struct layer_case c = read_case(job->arena, job->layer, job->description);
    if (!c.left_out) {
        cb__check_case(&c, job->device, job->type, job->arena, job->diag, job->tally);
    }
}

static enum cb_status run_file(const char *path, struct cb_device *device, struct cb_registry *registry,
                               struct cb_diag *diag, struct tally *total)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_value *file = NULL;
    const struct cb_layer_type *type = NULL;
    struct tally tally = {.report = print_failure};
    enum cb_status status = cb_yaml_read_file(arena, path, &file, diag);
    const struct cb_value *word = status == CB_OK ? cb_map_get(file, "layer") : NULL;
    const struct cb_value *cases = status == CB_OK ? cb_map_get(file, "cases") : NULL;
    if (status == CB_OK &&
        (word == NULL || cases == NULL || cases->kind != CB_KIND_LIST || cases->as.list.count == 0)) {
        status = cb_fail(diag, CB_FORMAT, NULL, "%s needs `layer` and a list of `cases`", path);
    }
    if (status == CB_OK) {
        status = cb_registry_find(registry, word->text, &word->at, &type, diag);
    }
    for (size_t i = 0; status == CB_OK && i < cases->as.list.count; i++) {
        struct cb_arena *own = cb_arena_create();
        struct job job = {word->text, cases->as.list.items[i], device, type, own, diag, &tally};
        char message[CB__ESCAPE_BYTES];
        tally.context = (void *)word->text;
        if (!cb__escape_run(run_job, &job, message)) {
            status = cb_fail(diag, CB_FORMAT, NULL, "%s: %s", path, message);
        }
        cb_arena_destroy(own);
    }
    if (status == CB_OK) {
        printf("%s: %zu cases, %u checks passed, %u failed\n", word->text, cases->as.list.count, tally.passed,
               tally.failed);
    }
    total->passed += tally.passed;
    total->failed += tally.failed;
    cb_arena_destroy(arena);
    return status;
}

int main(int argc, char **argv)
{
    struct cb_diag *diag = cb_diag_create();
    struct cb_registry *registry = cb_registry_create(&cb__trial_host);
    struct cb_device *device = NULL;
    struct tally total = {0};
    enum cb_status status = cb_device_open(NULL, &device, diag);
    for (int i = 1; i < argc && status == CB_OK; i++) {
        status = run_file(argv[i], device, registry, diag, &total);
    }
    if (status != CB_OK) {
        print_diag(diag);
    }
    cb_device_close(device);
    cb_registry_destroy(registry);
    cb_diag_destroy(diag);
    return status == CB_OK && total.failed == 0 && total.passed > 0 ? 0 : 1;
}
