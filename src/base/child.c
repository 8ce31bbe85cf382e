/* child.c: starts a program and waits for it. What it says goes into a file without a name, so that a child that says much
 * or leaves children of its own behind never blocks us. */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

#define MAX_SAID (1u << 20)

extern char **environ;

static void wait_for(pid_t child, double seconds, struct cb_child *out)
{
    const struct timespec pause = {0, 5 * 1000 * 1000};
    const double until = cb_clock_seconds() + seconds;
    int state = 0;
    for (pid_t ended = 0; ended != child;) {
        ended = waitpid(child, &state, seconds > 0.0 ? WNOHANG : 0);
        if (ended < 0 && errno != EINTR) {
            *out = (struct cb_child){CB_CHILD_NOT_RUN, errno, out->said};
            return;
        }
        if (ended == 0 && cb_clock_seconds() > until) {
            kill(child, SIGKILL);
            while (waitpid(child, &state, 0) < 0 && errno == EINTR) {
            }
            out->end = CB_CHILD_LATE;
            return;
        }
        if (ended == 0) {
            nanosleep(&pause, NULL);
        }
    }
    out->end = WIFEXITED(state) ? CB_CHILD_EXITED : CB_CHILD_KILLED;
    out->code = WIFEXITED(state) ? WEXITSTATUS(state) : WTERMSIG(state);
}

static char *read_said(struct cb_arena *arena, int file)
{
    const off_t end = lseek(file, 0, SEEK_END);
    const size_t bytes = end < 0 ? 0 : end > (off_t)MAX_SAID ? MAX_SAID : (size_t)end;
    char *said = cb_arena_alloc(arena, bytes + 1);
    if (said) {
        const ssize_t got = bytes > 0 ? pread(file, said, bytes, 0) : 0;
        said[got > 0 ? got : 0] = '\0';
    }
    return said;
}

struct cb_child cb_child_run(struct cb_arena *arena, const char *const *argv, double seconds, bool errors_too)
{
    struct cb_child result = {CB_CHILD_NOT_RUN, ENOMEM, cb_arena_strdup(arena, "")};
    FILE *said = tmpfile();
    posix_spawn_file_actions_t actions;
    if (!said || posix_spawn_file_actions_init(&actions) != 0) {
        result.code = said ? ENOMEM : errno;
        goto close_said;
    }
    pid_t child;
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fileno(said), STDOUT_FILENO);
    if (errors_too) {
        posix_spawn_file_actions_adddup2(&actions, fileno(said), STDERR_FILENO);
    } else {
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    }
    result.code = posix_spawnp(&child, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    if (result.code == 0) {
        wait_for(child, seconds, &result);
        result.said = read_said(arena, fileno(said));
    }
    posix_spawn_file_actions_destroy(&actions);

close_said:
    if (said) {
        fclose(said);
    }
    return result;
}

/* "cambium-probe" in the folder of the running program, when it can be run there. */
static char *beside_program(struct cb_arena *arena)
{
    char self[4096];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[length > 0 ? length : 0] = '\0';
    char *folder = length > 0 ? cb_path_folder(arena, self) : NULL;
    char *path = folder ? cb_path_join(arena, folder, "cambium-probe") : NULL;
    return path && access(path, X_OK) == 0 ? path : NULL;
}

char *cb_child_probe(struct cb_arena *arena)
{
    const char *named = getenv("CAMBIUM_PROBE");
    if (named && named[0]) {
        return access(named, X_OK) == 0 ? cb_arena_strdup(arena, named) : NULL;
    }
    char *path = beside_program(arena);
    return path ? path : cb_resource_path(arena, "bin/cambium-probe");
}
