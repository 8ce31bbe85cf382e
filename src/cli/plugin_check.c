/* plugin_check.c: `cambium plugin check`: each layer in a process of its own, because a faulty one may crash or never
 * end; that process leaves its findings, and what it is doing, in memory that both share. With --races the program runs
 * itself under oclgrind (plugin_races.c). */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "check/check.h"
#include "cli/plugin.h"
#include "cli/plugin_check.h"
#include "graph/library.h"
#include "graph/pointwise.h"

#define REMARKS 16
#define PATIENCE_SECONDS 300 /* for one kernel to compile or run */

struct account {
    uint32_t count, failed;
    uint32_t turn; /* of its first failure: how many failures of any check came before it */
    char first[2048]; /* what is wrong */
};

/* Shared with the process that checks. */
struct findings {
    struct account of[CB_CHECK_COUNT];
    char remarks[REMARKS][256];
    uint32_t remark_count, case_count, failure_count;
    char stage[CB__STAGE_BYTES];
    char path[1024];
    char error[4096]; /* the check could not be made */
    int status;       /* enum cb_status of that */
    char device[256];
};

static void report(void *context, enum cb_check check, bool is_right, const char *text)
{
    struct findings *f = context;
    struct account *a = &f->of[check];
    a->count++;
    f->failure_count += !is_right;
    if (!is_right && a->failed++ == 0) {
        a->turn = f->failure_count;
        snprintf(a->first, sizeof(a->first), "%s", text != NULL ? text : "");
    } else if (is_right && text != NULL && f->remark_count < REMARKS) {
        a->count--;
        snprintf(f->remarks[f->remark_count++], sizeof(f->remarks[0]), "%s", text);
    }
}

/* ---- the process that checks ---- */

static enum cb_status check_layer(struct cb_cli *cli, const struct cb_checked *target, struct findings *f)
{
    struct cb_registry *registry = cb_registry_create(cb_layer_check_host);
    struct cb_device *device = NULL;
    const struct cb_layer_type *type = NULL;
    const bool is_simulated = getenv("CAMBIUM_CHECK_SIMULATED") != NULL;
    enum cb_status status = registry != NULL ? CB_OK : cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    if (status == CB_OK && target->folder != NULL) {
        status = cb_registry_add_folder(registry, target->folder, NULL, cli->diag);
    }
    snprintf(f->stage, sizeof(f->stage), "loading it");
    status = status == CB_OK ? cb_registry_find(registry, target->word, NULL, &type, cli->diag) : status;
    snprintf(f->stage, sizeof(f->stage), "opening the device");
    status = status == CB_OK ? cb_device_open(cli->device, &device, cli->diag) : status;
    snprintf(f->stage, sizeof(f->stage), "compiling it");
    if (status == CB_OK && type->layer.pointwise != NULL) {
        status = cb_pointwise_compiles(type, NULL, device, cli->diag);
    }
    if (status == CB_OK) {
        const struct cb_layer_check request = {.is_small = is_simulated,
                                               .is_short = cb_cli_has(cli, "--short"), .is_exact = is_simulated,
                                               .stage = f->stage, .report = report, .context = f};
        snprintf(f->path, sizeof(f->path), "%s", type->path);
        snprintf(f->device, sizeof(f->device), "%s", cb_device_get_info(device)->name);
        status = cb_layer_check(&request, type, device, &f->case_count, cli->diag);
    }
    cb_device_close(device);
    cb_registry_destroy(registry);
    f->status = (int)status;
    for (size_t i = 0; status != CB_OK && cb_diag_text(cli->diag, i) != NULL; i++) {
        const size_t used = strlen(f->error);
        snprintf(f->error + used, sizeof(f->error) - used, "%s%s", i > 0 ? "\n" : "", cb_diag_text(cli->diag, i));
    }
    return status;
}

/* Waits; ends a child whose stage does not change for too long. Returns what waitpid says; `*out_hangs`. */
static int watch(struct cb_cli *cli, const char *word, pid_t child, const struct findings *f, bool *out_hangs)
{
    char line[CB__STAGE_BYTES + 80];
    char stage[CB__STAGE_BYTES];
    int status = 0, polls = 0;
    memcpy(stage, f->stage, sizeof(stage));
    *out_hangs = false;
    while (waitpid(child, &status, WNOHANG) == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        if (polls % 5 == 0) {
            snprintf(line, sizeof(line), "%s, case %u: %s", word, f->case_count + 1, f->stage);
            cb_cli_show_progress(cli, line);
        }
        polls = memcmp(stage, f->stage, sizeof(stage)) == 0 ? polls + 1 : 0;
        memcpy(stage, f->stage, sizeof(stage));
        if (polls > PATIENCE_SECONDS * 50) {
            *out_hangs = true;
            kill(child, SIGKILL);
        }
    }
    cb_cli_clear_progress(cli);
    return status;
}

static void add_crash(struct findings *f, const char *what)
{
    char text[1024];
    snprintf(text, sizeof(text), "%s while %s", what, f->stage);
    report(f, CB_CHECK_RUNS, false, text);
    if (f->of[CB_CHECK_RUNS].failed > 1) { /* it counts more than what was said before */
        snprintf(f->of[CB_CHECK_RUNS].first, sizeof(text), "%s", text);
    }
}

static enum cb_status check_apart(struct cb_cli *cli, const struct cb_checked *target, struct findings *f)
{
    if (getenv("CAMBIUM_CHECK_SIMULATED") != NULL) { /* a process of its own already */
        return check_layer(cli, target, f);
    }
    bool hangs;
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0) {
        return cb_fail(cli->diag, CB_IO, NULL, "no process can be started: %s", strerror(errno));
    }
    if (child == 0) {
        (void)check_layer(cli, target, f);
        fflush(NULL);
        _exit(99); /* no exit handlers: the drivers' have crashed before */
    }
    const int status = watch(cli, target->word, child, f, &hangs);
    if (hangs) {
        add_crash(f, "it does not come back");
    } else if (WIFSIGNALED(status)) {
        char what[128];
        snprintf(what, sizeof(what), "it crashes (%s)", strsignal(WTERMSIG(status)));
        add_crash(f, what);
    } else if (WEXITSTATUS(status) != 99) {
        add_crash(f, "it ends the program");
    }
    return CB_OK;
}

/* ---- printing ---- */

void cb__cli_print_check(struct cb_cli *cli, const char *layer, const char *check, uint32_t count, uint32_t failed,
                         const char *text)
{
    if (cli->json) {
        struct cb_value *map = cb_value_map(cli->arena, NULL);
        (void)cb_map_set(cli->arena, map, "layer", cb_value_text(cli->arena, layer, NULL));
        (void)cb_map_set(cli->arena, map, "check", cb_value_text(cli->arena, check, NULL));
        (void)cb_map_set(cli->arena, map, "passed", cb_value_bool(cli->arena, failed == 0, NULL));
        (void)cb_map_set(cli->arena, map, "comparisons", cb_value_int(cli->arena, count, NULL));
        (void)cb_map_set(cli->arena, map, "failures", cb_value_int(cli->arena, failed, NULL));
        (void)cb_map_set(cli->arena, map, "detail", cb_value_text(cli->arena, text, NULL));
        cb_cli_print_json(map);
    } else if (failed == 0) {
        printf("ok      %-10s %s\n", check, text);
    } else if (failed == 1) {
        printf("FAILED  %-10s %s\n", check, text);
    } else {
        printf("FAILED  %-10s %s; and %u more of %u\n", check, text, failed - 1, count);
    }
}

static void print_json_summary(struct cb_cli *cli, const struct cb_checked *target, const struct findings *f,
                               uint32_t kinds, uint32_t bad, double seconds)
{
    struct cb_value *map = cb_value_map(cli->arena, NULL), *notes = cb_value_list(cli->arena, NULL);
    for (uint32_t i = 0; i < f->remark_count; i++) {
        (void)cb_list_append(cli->arena, notes, cb_value_text(cli->arena, f->remarks[i], NULL));
    }
    (void)cb_map_set(cli->arena, map, "layer", cb_value_text(cli->arena, target->word, NULL));
    (void)cb_map_set(cli->arena, map, "plugin", cb_value_text(cli->arena, f->path, NULL));
    (void)cb_map_set(cli->arena, map, "device", cb_value_text(cli->arena, f->device, NULL));
    (void)cb_map_set(cli->arena, map, "passed", cb_value_bool(cli->arena, bad == 0, NULL));
    (void)cb_map_set(cli->arena, map, "checks", cb_value_int(cli->arena, kinds, NULL));
    (void)cb_map_set(cli->arena, map, "failed", cb_value_int(cli->arena, bad, NULL));
    (void)cb_map_set(cli->arena, map, "cases", cb_value_int(cli->arena, f->case_count, NULL));
    (void)cb_map_set(cli->arena, map, "seconds", cb_value_real(cli->arena, seconds, NULL));
    (void)cb_map_set(cli->arena, map, "notes", notes);
    cb_cli_print_json(map);
}

/* Which failure to look at first. What is never the same twice fails any comparison by chance; what goes astray in memory
 * makes every later number wrong; only then numbers speak. */
static uint32_t rank_of(enum cb_check check)
{
    switch (check) {
    case CB_CHECK_TABLES: return 0;
    case CB_CHECK_REPEAT: return 1;
    case CB_CHECK_GUARD:
    case CB_CHECK_RUNS: return 2;
    case CB_CHECK_POISON:
    case CB_CHECK_FROZEN:
    case CB_CHECK_NEEDS: return 3;
    default: return 4;
    }
}

static bool comes_before(const struct findings *f, enum cb_check a, enum cb_check b)
{
    const bool a_failed = f->of[a].failed > 0, b_failed = f->of[b].failed > 0;
    if (!a_failed || !b_failed) {
        return a_failed || (!b_failed && a < b);
    }
    return rank_of(a) != rank_of(b) ? rank_of(a) < rank_of(b) : f->of[a].turn < f->of[b].turn;
}

/* Failures first, the likely cause of the others at their head; then what passed, in the order of the list. */
static void order_checks(const struct findings *f, enum cb_check order[CB_CHECK_COUNT])
{
    for (int i = 0; i < CB_CHECK_COUNT; i++) {
        int at = i;
        for (; at > 0 && comes_before(f, (enum cb_check)i, order[at - 1]); at--) {
            order[at] = order[at - 1];
        }
        order[at] = (enum cb_check)i;
    }
}

/* Returns whether all passed. `is_one_of_many`: what is well takes one line. */
static bool print_findings(struct cb_cli *cli, const struct cb_checked *target, const struct findings *f, double seconds,
                           bool is_one_of_many)
{
    uint32_t kinds = 0, bad = 0;
    enum cb_check order[CB_CHECK_COUNT];
    order_checks(f, order);
    if (!cli->json && !is_one_of_many) {
        printf("%s (%s) on %s\n", target->word, f->path, f->device);
    }
    for (int i = 0; i < CB_CHECK_COUNT; i++) {
        const enum cb_check check = order[i];
        const struct account *a = &f->of[check];
        if (a->count == 0) {
            continue;
        }
        kinds++;
        bad += a->failed > 0;
        if (is_one_of_many && !cli->json && a->failed == 0) {
            continue;
        }
        cb__cli_print_check(cli, target->word, cb__check_word(check), a->count, a->failed,
                            a->failed > 0 ? a->first : cb__check_sentence(check));
    }
    for (uint32_t i = 0; i < f->remark_count && !cli->json && !is_one_of_many; i++) {
        printf("note    %s\n", f->remarks[i]);
    }
    if (cli->json) {
        print_json_summary(cli, target, f, kinds, bad, seconds);
    } else {
        printf("%s: %u of %u checks passed, on %u cases, in %.1f s\n", target->word, kinds - bad, kinds, f->case_count, seconds);
    }
    fflush(stdout);
    return bad == 0;
}

/* ---- what is to be checked ---- */

/* Every NAME.so of a folder. */
static enum cb_status list_folder(struct cb_cli *cli, const char *folder, struct cb_checked **out, size_t *out_count)
{
    char **names = NULL;
    size_t count = 0;
    CB_TRY(cb_folder_list(cli->arena, folder, &names, &count, NULL, cli->diag));
    struct cb_checked *targets = CB_NEW_ARRAY(cli->arena, struct cb_checked, count + 1);
    if (targets == NULL) {
        return cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    *out_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (cb_ends_with(names[i], ".so")) {
            targets[(*out_count)++] = (struct cb_checked){folder, cb_path_stem(cli->arena, names[i])};
        }
    }
    *out = targets;
    return *out_count > 0 ? CB_OK
                          : cb_fail(cli->diag, CB_NOT_FOUND, NULL, "the folder `%s` has no built plugin (NAME.so)", folder);
}

/* A block has no plugin: its layers have. */
static enum cb_status refuse_block(struct cb_cli *cli, const char *word)
{
    const struct cb_library_block *block = NULL;
    struct cb_registry *registry = cb_registry_create(cb_layer_check_host);
    const char **words = NULL;
    size_t count = 0;
    bool is_layer = registry == NULL || cb_registry_words(registry, cli->arena, &words, &count, NULL) != CB_OK;
    for (size_t i = 0; i < count; i++) {
        is_layer = is_layer || strcmp(words[i], word) == 0;
    }
    cb_registry_destroy(registry);
    CB_TRY(is_layer ? CB_OK : cb_library_find(cli->arena, word, NULL, &block, cli->diag));
    if (block == NULL) {
        return CB_OK;
    }
    return cb_fail(cli->diag, CB_INVALID, NULL, "`%s` is a block of layers (%s), not a plugin: check the plugins of its "
                   "layers, and with `cambium check` a network that names it", word, block->path);
}

static enum cb_status find_targets(struct cb_cli *cli, const char *what, struct cb_checked **out, size_t *out_count)
{
    const bool is_path = strchr(what, '/') != NULL || cb_ends_with(what, ".so") || strcmp(what, ".") == 0 ||
                         strcmp(what, "..") == 0;
    if (is_path && cb_path_is_folder(what)) {
        return list_folder(cli, what, out, out_count);
    }
    if (is_path && !cb_path_exists(what)) {
        return cb_fail(cli->diag, CB_NOT_FOUND, NULL, "there is no `%s`", what);
    }
    if (is_path && !cb_ends_with(what, ".so")) {
        return cb_fail(cli->diag, CB_INVALID, NULL, "`%s` is no built plugin: name its .so, its folder, or its word", what);
    }
    CB_TRY(is_path ? CB_OK : refuse_block(cli, what));
    struct cb_checked *target = CB_NEW(cli->arena, struct cb_checked);
    if (target == NULL) {
        return cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    target->folder = is_path ? cb_path_folder(cli->arena, what) : NULL;
    target->word = is_path ? cb_path_stem(cli->arena, what) : what;
    *out = target;
    *out_count = 1;
    return CB_OK;
}

/* `*all_good` turns false when a check fails. */
static enum cb_status check_target(struct cb_cli *cli, const struct cb_checked *target, bool is_one_of_many, bool *all_good)
{
    const double start = cb_clock_seconds();
    struct findings *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (f == MAP_FAILED) {
        return cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    enum cb_status status = check_apart(cli, target, f);
    if (status == CB_OK && f->status != CB_OK) {
        fprintf(stderr, "%s\n", f->error);
        cli->error_count++;
        status = (enum cb_status)f->status;
    } else if (status == CB_OK) {
        *all_good = print_findings(cli, target, f, cb_clock_seconds() - start, is_one_of_many) && *all_good;
    }
    munmap(f, sizeof(*f));
    return status;
}

int cb_cli_plugin_check(struct cb_cli *cli)
{
    bool all_good = true;
    size_t count = 0, faulty = 0;
    enum cb_status status = CB_OK;
    if (cli->argument_count < 2) {
        return cb_cli_misuse(cli, "name a layer, its .so, or a folder of them: cambium plugin check NAME");
    }
    for (size_t a = 1; a < cli->argument_count && status == CB_OK; a++) {
        struct cb_checked *targets = NULL;
        size_t found = 0;
        status = find_targets(cli, cli->arguments[a], &targets, &found);
        const bool are_many = found > 1 || cli->argument_count > 2;
        for (size_t i = 0; status == CB_OK && i < found; i++) {
            bool is_good = true;
            status = cb_cli_has(cli, "--races") ? cb__cli_check_races(cli, &targets[i], &is_good)
                                                : check_target(cli, &targets[i], are_many, &is_good);
            count++;
            faulty += !is_good;
            all_good = all_good && is_good;
        }
    }
    if (status == CB_OK && count > 1 && !cli->json) {
        printf("%zu of %zu layers passed\n", count - faulty, count);
    }
    const int code = cb_cli_finish(cli, status);
    return code == 0 && !all_good ? 1 : code;
}
