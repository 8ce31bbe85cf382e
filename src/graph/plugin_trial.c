/* plugin_trial.c: a plugin that did not come with Cambium is loaded by a child process first (the program cambium-probe),
 * which also looks through its tables. One that crashes, ends the program or does not return does so there, and the user
 * reads a sentence. A good end is remembered in the user's cache, CACHE/plugins/KEY, KEY being the SHA-256 of path, size
 * and time of change; a bad one is not, for whoever mends a plugin wants it tried again. Several processes may do this at
 * once: the file has no content. Where there is no cambium-probe, nothing is tried. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/child.h"
#include "base/file.h"
#include "graph/descriptor.h"

#define TRIAL_SECONDS 20.0
#define DONE "cambium-probe: done\n"

static bool came_with_cambium(struct cb_arena *arena, const char *path)
{
    char own[PATH_MAX], theirs[PATH_MAX];
    char *installed = cb_resource_path(arena, "plugins");
    char *folder = cb_path_folder(arena, path);
    return installed != NULL && folder != NULL && realpath(installed, own) != NULL && realpath(folder, theirs) != NULL &&
           strcmp(own, theirs) == 0;
}

/* NULL when there is no place to remember in. */
static char *memory_of(struct cb_arena *arena, const char *path)
{
    struct stat info;
    char real[PATH_MAX], hex[65];
    char *cache = cb_user_cache_folder(arena);
    char *folder = cache != NULL ? cb_path_join(arena, cache, "plugins") : NULL;
    struct cb_sha256 *sha = NULL;
    if (folder == NULL || cb_make_folders(folder, NULL) != CB_OK || realpath(path, real) == NULL ||
        stat(real, &info) != 0 || (sha = cb_sha256_create()) == NULL) {
        return NULL;
    }
    const int64_t facts[] = {CB_ABI, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec, (int64_t)info.st_ino};
    cb_sha256_add(sha, real, strlen(real) + 1);
    cb_sha256_add(sha, facts, sizeof(facts));
    cb_sha256_finish(sha, hex);
    return cb_arena_printf(arena, "%s/%.32s", folder, hex);
}

static enum cb_status judge(const struct cb_child *child, const char *path, const struct cb_place *at,
                            struct cb_diag *diag)
{
    switch (child->end) {
    case CB_CHILD_NOT_RUN:
        return CB_OK;
    case CB_CHILD_LATE:
        return cb_fail(diag, CB_INVALID, at, "the plugin `%s` is not loaded: loading it did not end within %g seconds",
                       path, TRIAL_SECONDS);
    case CB_CHILD_KILLED:
        return cb_fail(diag, CB_INVALID, at,
                       "the plugin `%s` is not loaded: it crashed when a process of its own tried it (%s)", path,
                       strsignal(child->code));
    case CB_CHILD_EXITED:
        break;
    }
    if (child->said == NULL || strstr(child->said, DONE) == NULL) {
        return cb_fail(diag, CB_INVALID, at,
                       "the plugin `%s` is not loaded: it ended the process that tried it (exit code %d)", path,
                       child->code);
    }
    return CB_OK;
}

enum cb_status cb__trial_of_plugin(const char *path, const struct cb_place *at, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    enum cb_status status = CB_OK;
    if (arena == NULL) {
        return cb_fail(diag, CB_MEMORY, at, "out of memory");
    }
    char *memory = NULL, *probe = NULL;
    if (!came_with_cambium(arena, path) && (probe = cb_child_probe(arena)) != NULL &&
        ((memory = memory_of(arena, path)) == NULL || !cb_path_exists(memory))) {
        const char *argv[] = {probe, "--plugin", path, NULL};
        const struct cb_child child = cb_child_run(arena, argv, TRIAL_SECONDS, false);
        status = judge(&child, path, at, diag);
        if (status == CB_OK && child.end == CB_CHILD_EXITED && memory != NULL) {
            (void)cb_file_write_atomic(memory, "", 0, NULL);
        }
    }
    cb_arena_destroy(arena);
    return status;
}
