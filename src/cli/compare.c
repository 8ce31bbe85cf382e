/* compare.c: `cambium compare TASK`: frozen, finetune, scratch on the same splits; what may be said of the differences. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/show.h"
#include "train/job.h"

static const struct cb_flag flags[] = {
    {"--seeds", "N", "how many splits and starts (default 1)"},
    {"--strategies", "LIST", "of frozen,finetune,scratch (default all)"},
    {NULL, NULL, NULL},
};

#define MAX_SEEDS 50

struct entry {
    enum cb_strategy strategy;
    double accuracy[MAX_SEEDS], balanced[MAX_SEEDS], baseline, seconds;
    struct cb_interval interval; /* of a single seed */
    uint8_t *correct;            /* [n], first seed */
    uint64_t n, n_train;
    uint32_t done, classes;
};

/* One strategy with one seed: split, training, test. */
static enum cb_status run_one(struct cb_cli *cli, const struct cb_task *base, struct cb_device *device, uint32_t seed,
                              struct entry *e)
{
    struct cb_task *task = NULL;
    struct cb_job *job = NULL;
    struct cb_result result;
    struct cb_watch watch = cb_cli_watch(cli);
    struct cb_run_options options = {0};
    watch.epoch = NULL;
    watch.say = NULL;
    CB_TRY(cb_task_with_strategy(base, e->strategy, &task, cli->diag));
    task->config.seed += seed;
    enum cb_status status = cb_job_open(task, true, &job, cli->diag);
    if (status == CB_OK) {
        job->dataset->seed += seed;
        status = cb_job_run(job, device, &options, &watch, cli->arena, &result, cli->diag);
    }
    cb_cli_clear_progress(cli);
    if (status == CB_OK && (!result.is_classes || (!result.has_test && result.folds == 0))) {
        status = cb_fail(cli->diag, CB_INVALID, NULL, "only tasks with classes and a test can be compared yet");
        cb_model_destroy(result.model);
    } else if (status == CB_OK) {
        e->accuracy[e->done] = result.classes.accuracy;
        e->balanced[e->done++] = result.classes.balanced_accuracy;
        e->baseline = result.classes.baseline;
        e->seconds += result.seconds;
        e->interval = result.interval;
        e->n = result.n;
        e->classes = result.classes.classes;
        e->n_train = job->split.train.count;
        if (seed == 0) {
            e->correct = cb_arena_copy(cli->arena, result.correct, result.n);
        }
        cb_model_destroy(result.model);
    }
    cb_job_close(job);
    cb_task_destroy(task);
    return status;
}

static struct cb_interval interval_of(const struct entry *e)
{
    if (e->done < 2) {
        return e->interval;
    }
    struct cb_interval i = cb_nadeau_bengio_interval(e->accuracy, e->done, (double)e->n, (double)e->n_train, 0.95);
    i.low = i.low < 0 ? 0 : i.low;
    i.high = i.high > 1 ? 1 : i.high;
    return i;
}

static void print_entry(struct cb_cli *cli, const struct entry *e)
{
    struct cb_interval interval = interval_of(e);
    if (!cli->json) {
        printf("%-26s %8.3f   %.2f to %.2f   %8.3f %9.1f\n", cb_strategy_name(e->strategy), cb_mean(e->accuracy, e->done),
               interval.low, interval.high, cb_mean(e->balanced, e->done), e->seconds / e->done);
        return;
    }
    struct cb_arena *arena = cli->arena;
    struct cb_value *map = cb_value_map(arena, NULL), *range = cb_value_list(arena, NULL);
    (void)cb_list_append(arena, range, cb_value_real(arena, interval.low, NULL));
    (void)cb_list_append(arena, range, cb_value_real(arena, interval.high, NULL));
    (void)cb_map_set(arena, map, "strategy", cb_value_text(arena, cb_strategy_name(e->strategy), NULL));
    (void)cb_map_set(arena, map, "accuracy", cb_value_real(arena, cb_mean(e->accuracy, e->done), NULL));
    (void)cb_map_set(arena, map, "interval", range);
    (void)cb_map_set(arena, map, "balanced_accuracy", cb_value_real(arena, cb_mean(e->balanced, e->done), NULL));
    (void)cb_map_set(arena, map, "baseline", cb_value_real(arena, e->baseline, NULL));
    (void)cb_map_set(arena, map, "seeds", cb_value_int(arena, e->done, NULL));
    (void)cb_map_set(arena, map, "seconds", cb_value_real(arena, e->seconds / e->done, NULL));
    cb_cli_print_json(map);
}

/* What it is worth to know nothing of the pictures: always the commonest class. */
static void print_baseline(const struct entry *e)
{
    struct cb_interval i = cb_wilson_interval((uint64_t)llround(e->baseline * (double)e->n), e->n, 0.95);
    printf("%-26s %8.3f   %.2f to %.2f   %8.3f %9.1f\n", "always the commonest class", e->baseline, i.low, i.high,
           1.0 / e->classes, 0.0);
}

/* The probability of such a difference between two strategies if there were none. */
static double difference_p(const struct entry *a, const struct entry *b)
{
    if (a->done > 1) {
        double differences[MAX_SEEDS];
        for (uint32_t i = 0; i < a->done; i++) {
            differences[i] = a->accuracy[i] - b->accuracy[i];
        }
        return cb_nadeau_bengio_test(differences, a->done, (double)a->n, (double)a->n_train);
    }
    uint64_t only_a = 0, only_b = 0;
    for (uint64_t i = 0; i < a->n && a->n == b->n; i++) {
        only_a += a->correct[i] && !b->correct[i];
        only_b += b->correct[i] && !a->correct[i];
    }
    return cb_mcnemar_exact(only_a, only_b);
}

static void print_differences(const struct entry *entries, uint32_t count)
{
    double p[3], corrected[3];
    uint32_t pairs[3][2], n = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = i + 1; k < count && n < 3; k++, n++) {
            pairs[n][0] = i;
            pairs[n][1] = k;
            p[n] = difference_p(&entries[i], &entries[k]);
        }
    }
    if (n == 0 || cb_holm(p, n, corrected) != CB_OK) {
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct entry *a = &entries[pairs[i][0]], *b = &entries[pairs[i][1]];
        bool a_first = cb_mean(a->accuracy, a->done) >= cb_mean(b->accuracy, b->done);
        if (corrected[i] <= 0.05) {
            printf("%s is better than %s (p = %.2g, corrected for %u comparisons)\n",
                   cb_strategy_name(a_first ? a->strategy : b->strategy),
                   cb_strategy_name(a_first ? b->strategy : a->strategy), corrected[i], n);
        } else {
            printf("%s and %s: this data does not tell them apart (p = %.2g)\n", cb_strategy_name(a->strategy),
                   cb_strategy_name(b->strategy), corrected[i]);
        }
    }
}

static bool read_strategies(struct cb_cli *cli, struct entry entries[3], uint32_t *out_count)
{
    const char *list = cb_cli_value(cli, "--strategies");
    list = list != NULL ? list : "frozen,finetune,scratch";
    for (*out_count = 0; *list != '\0' && *out_count < 3;) {
        size_t length = strcspn(list, ",");
        bool found = false;
        for (int s = 0; s < 3 && !found; s++) {
            const char *name = cb_strategy_name((enum cb_strategy)s);
            if (strlen(name) == length && strncmp(name, list, length) == 0) {
                entries[(*out_count)++].strategy = (enum cb_strategy)s;
                found = true;
            }
        }
        if (!found) {
            (void)cb_cli_misuse(cli, "there is no strategy `%.*s`; there are frozen, finetune, scratch", (int)length, list);
            return false;
        }
        list += length + (list[length] == ',');
    }
    return *out_count > 0;
}

static int run(struct cb_cli *cli)
{
    struct entry entries[3] = {{0}};
    struct cb_task *task = NULL;
    struct cb_device *device = NULL;
    uint32_t count = 0;
    double seeds;
    if (cli->argument_count != 1) {
        return cb_cli_misuse(cli, "one task file is needed");
    }
    if (!cb_cli_number(cli, "--seeds", 1, MAX_SEEDS, 1, &seeds) || !read_strategies(cli, entries, &count)) {
        return 2;
    }
    enum cb_status status = cb_task_read(cli->arguments[0], cli->sets, cli->set_count, &task, cli->diag);
    if (status == CB_OK) {
        status = cb_cli_open_device(cli, &device);
    }
    for (uint32_t i = 0; status == CB_OK && i < count; i++) {
        for (uint32_t seed = 0; status == CB_OK && seed < (uint32_t)seeds; seed++) {
            cb_cli_set_stage(cb_arena_printf(cli->arena, "%s, seed %u of %u: ", cb_strategy_name(entries[i].strategy),
                                             seed + 1, (uint32_t)seeds));
            status = run_one(cli, task, device, seed, &entries[i]);
        }
        if (status == CB_OK && i == 0 && !cli->json) { /* not before the first result: the task may be wrong */
            printf("%-26s %8s   %-12s   %8s %9s\n", "strategy", "accuracy", "95% interval", "balanced", "seconds");
        }
        if (status == CB_OK) {
            print_entry(cli, &entries[i]);
            fflush(stdout);
        }
    }
    if (status == CB_OK && !cli->json) {
        print_baseline(&entries[0]);
        print_differences(entries, count);
    }
    cb_cli_close_device(device);
    cb_task_destroy(task);
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_compare = {
    .name = "compare",
    .usage = "compare TASK [--seeds 5] [--strategies frozen,finetune]",
    .summary = "frozen, finetune, scratch on the same splits, honestly compared",
    .flags = flags,
    .help = "One seed: McNemar's exact test on the shared test set. Several: each is another split; intervals and tests\n"
            "are Nadeau and Bengio's, which know that splits of one pool share samples. Holm's correction in both.\n",
    .run = run,
};
