/* new.c: `cambium new NAME --from FOLDER`: looks at a folder of pictures, says what is in it, writes a task file. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "data/survey.h"
#include "train/defaults.h"

static const struct cb_flag flags[] = {
    {"--from", "FOLDER", "a folder of pictures per class"},
    {"--backbone", "NAME", "the pretrained network (default efficientnet_lite0)"},
    {NULL, NULL, NULL},
};

static bool progress(void *context, uint64_t done, uint64_t total)
{
    const struct cb_watch *watch = context;
    cb_watch_progress(watch, "looking at the pictures", done, total);
    return !cb_watch_cancelled(watch);
}

/* The pictures of the smallest class that can be read. */
static uint32_t least_readable(struct cb_arena *arena, const struct cb_dataset *d, const struct cb_survey *s,
                               uint32_t *out_class)
{
    uint32_t *counts = CB_NEW_ARRAY(arena, uint32_t, d->class_count + 1), least = UINT32_MAX;
    *out_class = 0;
    for (uint32_t i = 0; counts != NULL && i < d->class_count; i++) {
        counts[i] = cb_dataset_class_size(d, i);
    }
    for (uint32_t i = 0; counts != NULL && i < s->unreadable_count; i++) {
        counts[d->labels[s->unreadable[i].sample]]--;
    }
    for (uint32_t i = 0; counts != NULL && i < d->class_count; i++) {
        if (counts[i] < least) {
            least = counts[i];
            *out_class = i;
        }
    }
    return least;
}

static const char *without_prefix(const char *reason)
{
    return cb_starts_with(reason, "error: ") ? reason + 7 : reason;
}

static void show(const struct cb_dataset *d, const struct cb_survey *s)
{
    printf("%u pictures in %u classes, %u x %u to %u x %u (half are at least %u wide)\n", d->count, d->class_count,
           s->min_width, s->min_height, s->max_width, s->max_height, s->median_width);
    for (uint32_t i = 0; i < d->class_count; i++) {
        uint32_t size = cb_dataset_class_size(d, i);
        printf("  %-24s %5u%s\n", d->classes[i], size, size < 5 ? "  (few: at least 10 would be better)" : "");
    }
    for (uint32_t i = 0; i < s->unreadable_count; i++) {
        printf("  unreadable: %s\n", without_prefix(s->unreadable[i].reason));
    }
    for (uint32_t i = 0; i < s->duplicate_count; i++) {
        const struct cb_duplicate *twin = &s->duplicates[i];
        char *first = strdup(cb_dataset_name(d, twin->first));
        printf("  %s: %s and %s%s\n", cb_twin_name(twin->kind), first != NULL ? first : "?",
               cb_dataset_name(d, twin->second), twin->classes_differ ? " (in two classes!)" : "");
        free(first);
    }
}

static void show_json(struct cb_cli *cli, const struct cb_dataset *d, const struct cb_survey *s, const char *path)
{
    struct cb_arena *arena = cli->arena;
    struct cb_value *map = cb_value_map(arena, NULL), *classes = cb_value_map(arena, NULL);
    for (uint32_t i = 0; i < d->class_count; i++) {
        (void)cb_map_set(arena, classes, d->classes[i], cb_value_int(arena, cb_dataset_class_size(d, i), NULL));
    }
    (void)cb_map_set(arena, map, "task", cb_value_text(arena, path, NULL));
    (void)cb_map_set(arena, map, "pictures", cb_value_int(arena, d->count, NULL));
    (void)cb_map_set(arena, map, "classes", classes);
    (void)cb_map_set(arena, map, "unreadable", cb_value_int(arena, s->unreadable_count, NULL));
    (void)cb_map_set(arena, map, "duplicates", cb_value_int(arena, s->duplicate_count, NULL));
    cb_cli_print_json(map);
}

/* The folder as the task file, which lies in the working directory, names it; quoted for YAML. */
static enum cb_status write_task(struct cb_cli *cli, const char *path, const char *folder, const struct cb_dataset *d,
                                 const struct cb_survey *s)
{
    struct cb_text text = {0};
    struct cb_defaults defaults;
    const char *backbone = cb_cli_value(cli, "--backbone");
    CB_TRY(cb_defaults_read(cli->arena, &defaults, cli->diag));
    uint32_t smallest, least = least_readable(cli->arena, d, s, &smallest);
    bool has_parts = false; /* the folder says itself what is for the test */
    for (uint32_t i = 0; i < d->count; i++) {
        has_parts = has_parts || d->parts[i] == CB_PART_TEST;
    }
    if (least == 0) {
        return cb_fail(cli->diag, CB_INVALID, NULL, "no picture of the class `%s` can be read", d->classes[smallest]);
    }
    cb_text_addf(&text, "# %u pictures of %u kinds; made by `cambium new`. Next: cambium train %s\n", d->count,
                 d->class_count, path);
    cb_text_addf(&text, "model:\n  backbone: %s   # pretrained on ImageNet; its layers stay frozen\n",
                 backbone != NULL ? backbone : "efficientnet_lite0");
    cb_text_add(&text, "  # frozen: none                 # train all layers instead (slower; more data, more gain)\n");
    cb_text_addf(&text, "  # head: %s\ndata:\n  images: ", defaults.draft);
    cb_text_add_json_string(&text, folder);
    cb_text_add(&text, "\n");
    if (s->unreadable_count > 0) {
        cb_text_addf(&text, "  bad_files: skip                # %u cannot be read\n", s->unreadable_count);
    }
    if (has_parts) {
        cb_text_add(&text, "  # What is trained on and what is tested on stands in folders of their own.\n");
    } else if (least < 2) {
        cb_text_addf(&text, "  test: none                     # `%s` has a single picture, so nothing is left to test with\n",
                     d->classes[smallest]);
    } else {
        cb_text_add(&text,
                    "  # Without test data the result is cross-validated, then the network is fitted on everything.\n");
    }
    if (!has_parts && least >= 15) {
        cb_text_add(&text, "  # train: {per_class: 10}\n  # test: rest\n");
    }
    enum cb_status status = text.failed ? cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory")
                                        : cb_file_write_atomic(path, text.data, text.length, cli->diag);
    cb_text_free(&text);
    return status;
}

static enum cb_status make(struct cb_cli *cli, const char *name, const char *folder)
{
    struct cb_dataset *dataset;
    struct cb_survey survey;
    struct cb_watch watch = cb_cli_watch(cli);
    bool has_ending = cb_ends_with(name, ".yaml");
    char *path = has_ending ? cb_arena_strdup(cli->arena, name) : cb_arena_printf(cli->arena, "%s.yaml", name);
    if (cb_path_exists(path)) {
        return cb_fail(cli->diag, CB_INVALID, NULL, "`%s` is there already; it is left as it is", path);
    }
    CB_TRY(cb_dataset_open_path(cli->arena, folder, NULL, &dataset, cli->diag));
    if (dataset->target != CB_TARGET_CLASSES || dataset->class_count < 2) {
        return cb_fail(cli->diag, CB_INVALID, NULL, "`%s` must hold a folder of pictures for each class, at least two",
                       folder);
    }
    CB_TRY(cb_dataset_survey(cli->arena, dataset, progress, &watch, &survey, cli->diag));
    cb_cli_clear_progress(cli);
    CB_TRY(write_task(cli, path, folder, dataset, &survey));
    if (cli->json) {
        show_json(cli, dataset, &survey, path);
    } else {
        show(dataset, &survey);
        printf("wrote %s; next: cambium train %s\n", path, path);
    }
    return CB_OK;
}

static int run(struct cb_cli *cli)
{
    const char *folder = cb_cli_value(cli, "--from");
    if (cli->argument_count != 1 || folder == NULL) {
        return cb_cli_misuse(cli, "a name and --from FOLDER are needed");
    }
    return cb_cli_finish(cli, make(cli, cli->arguments[0], folder));
}

const struct cb_command cb_command_new = {
    .name = "new",
    .usage = "new NAME --from FOLDER",
    .summary = "looks at a folder of pictures and writes a task file",
    .flags = flags,
    .run = run,
};
