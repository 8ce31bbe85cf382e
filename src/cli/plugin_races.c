/* plugin_races.c: `cambium plugin check --races`: runs `plugin check` again under the simulator oclgrind, which watches
 * every access of every work-item, and says in a sentence what its log says in pages. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/plugin_check.h"

/* In the child: becomes oclgrind. Programs of other drivers must not be found in the cache. */
static void become_simulator(struct cb_cli *cli, const struct cb_checked *target, const char *log, const char *cache)
{
    char self[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    const char *what = target->folder != NULL ? cb_arena_printf(cli->arena, "%s/%s.so", target->folder, target->word)
                                              : target->word;
    if (length <= 0 || what == NULL) {
        _exit(126);
    }
    self[length] = '\0';
    setenv("CAMBIUM_CHECK_SIMULATED", "1", 1);
    setenv("CAMBIUM_CACHE", cache, 1);
    unsetenv("CAMBIUM_DEVICE");
    unsetenv("CAMBIUM_CAPS");
    execlp("oclgrind", "oclgrind", "--check-api", "--data-races", "--log", log, self, "plugin", "check", what,
           cli->json ? "--json" : (char *)NULL, (char *)NULL);
    _exit(errno == ENOENT ? 127 : 126);
}

/* The next line of a text, without leading blanks; NULL at the end. In the arena. */
static char *next_line(struct cb_arena *arena, const char **text)
{
    if (**text == '\0') {
        return NULL;
    }
    *text += strspn(*text, " \t");
    const size_t length = strcspn(*text, "\n");
    char *line = cb_arena_strndup(arena, *text, length);
    *text += length + ((*text)[length] == '\n');
    return line;
}

/* oclgrind says what, "Kernel: NAME", who, and "At line N of FILE:" with the line itself. */
static char *sentence(struct cb_cli *cli, const char *log, uint32_t *out_count)
{
    char *line, *what = NULL, *kernel = NULL, *place = NULL, *source = NULL;
    *out_count = 0;
    while ((line = next_line(cli->arena, &log)) != NULL) {
        const bool is_finding = strstr(line, "data race at") != NULL || cb_starts_with(line, "Invalid ") ||
                                cb_starts_with(line, "Oclgrind - OpenCL runtime error") ||
                                strstr(line, "divergence") != NULL;
        *out_count += is_finding;
        if (is_finding && what == NULL) {
            what = line;
        } else if (kernel == NULL && cb_starts_with(line, "Kernel: ")) {
            kernel = line + strlen("Kernel: ");
        } else if (what != NULL && place == NULL && cb_starts_with(line, "At line ")) {
            place = line + strlen("At ");
            source = next_line(cli->arena, &log);
        }
    }
    if (what == NULL) {
        *out_count = 1;
        return cb_arena_strdup(cli->arena, "oclgrind has something to say");
    }
    if (kernel == NULL) {
        return what;
    }
    if (place == NULL) {
        return cb_arena_printf(cli->arena, "kernel `%s`: %s", kernel, what);
    }
    place[strcspn(place, ":")] = '\0';
    return cb_arena_printf(cli->arena, "kernel `%s`, %s, `%s`: %s", kernel, place, source != NULL ? source : "", what);
}

static void remove_folder(struct cb_cli *cli, const char *folder)
{
    char **names = NULL;
    size_t count = 0;
    (void)cb_folder_list(cli->arena, folder, &names, &count, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        char *path = cb_path_join(cli->arena, folder, names[i]);
        if (path != NULL && cb_path_is_folder(path)) {
            remove_folder(cli, path);
        } else if (path != NULL) {
            (void)unlink(path);
        }
    }
    (void)rmdir(folder);
}

static enum cb_status read_log(struct cb_cli *cli, const struct cb_checked *target, const char *log, int code, bool *all_good)
{
    char *text = NULL;
    size_t bytes = 0;
    uint32_t count = 0;
    if (code == 127) {
        return cb_fail(cli->diag, CB_NOT_FOUND, NULL, "oclgrind is not installed: it is what finds races");
    }
    if (code != 0 && code != 1) {
        return cb_fail(cli->diag, CB_DEVICE, NULL, "`%s` could not be checked under oclgrind", target->word);
    }
    if (cb_path_exists(log)) {
        CB_TRY(cb_file_read(cli->arena, log, 64u << 20, &text, &bytes, NULL, cli->diag));
    }
    *all_good = *all_good && code == 0 && bytes == 0;
    if (bytes == 0) {
        cb__cli_print_check(cli, target->word, "races", 1, 0, "no work-item reads what another writes, none leaves a buffer");
    } else {
        const char *said = sentence(cli, text, &count);
        cb__cli_print_check(cli, target->word, "races", count, count, said != NULL ? said : "");
    }
    return CB_OK;
}

enum cb_status cb__cli_check_races(struct cb_cli *cli, const struct cb_checked *target, bool *all_good)
{
    const char *base = getenv("TMPDIR");
    char *folder = cb_arena_printf(cli->arena, "%s/cambium-races-XXXXXX", base != NULL && base[0] != '\0' ? base : "/tmp");
    if (folder == NULL || mkdtemp(folder) == NULL) {
        return cb_fail(cli->diag, CB_IO, NULL, "no folder can be made for oclgrind's log: %s", strerror(errno));
    }
    const char *log = cb_path_join(cli->arena, folder, "log"), *cache = cb_path_join(cli->arena, folder, "cache");
    int status = 0;
    fflush(NULL);
    const pid_t child = log != NULL && cache != NULL ? fork() : -1;
    if (child == 0) {
        become_simulator(cli, target, log, cache);
    }
    enum cb_status result = child < 0 ? cb_fail(cli->diag, CB_IO, NULL, "no process can be started") : CB_OK;
    if (result == CB_OK) {
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        result = read_log(cli, target, log, WIFEXITED(status) ? WEXITSTATUS(status) : 128, all_good);
    }
    remove_folder(cli, folder);
    return result;
}
