/* cache.c: `cambium cache`: what lies in the user's cache, its size; `--clear` empties a part of it. */
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cli/commands.h"

static const struct cb_flag flags[] = {
    {"--clear", "PART", "remove `kernels`, `weights`, `features` or `all`"},
    {NULL, NULL, NULL},
};

static uint64_t size_of(struct cb_arena *arena, const char *path, uint64_t *files)
{
    char **names = NULL;
    size_t count = 0;
    uint64_t bytes = 0;
    if (!cb_path_is_folder(path)) {
        int64_t size = cb_file_bytes(path);
        *files += size >= 0;
        return size > 0 ? (uint64_t)size : 0;
    }
    if (cb_folder_list(arena, path, &names, &count, NULL, NULL) != CB_OK) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        bytes += size_of(arena, cb_path_join(arena, path, names[i]), files);
    }
    return bytes;
}

static int run(struct cb_cli *cli)
{
    static const char *const parts[] = {"kernels", "weights", "features"};
    char *cache = cb_user_cache_folder(cli->arena);
    const char *doomed = cb_cli_value(cli, "--clear");
    enum cb_status status = CB_OK;
    if (cache == NULL) {
        return cb_cli_finish(cli, cb_fail(cli->diag, CB_IO, NULL, "there is no place for a cache: set CAMBIUM_CACHE"));
    }
    if (doomed != NULL && strcmp(doomed, "all") != 0 && strcmp(doomed, "kernels") != 0 &&
        strcmp(doomed, "weights") != 0 && strcmp(doomed, "features") != 0) {
        return cb_cli_misuse(cli, "--clear takes kernels, weights, features or all, not `%s`", doomed);
    }
    for (int i = 0; i < 3 && status == CB_OK; i++) {
        char *path = cb_path_join(cli->arena, cache, parts[i]), text[32];
        uint64_t files = 0;
        if (doomed != NULL) {
            if (strcmp(doomed, "all") == 0 || strcmp(doomed, parts[i]) == 0) {
                status = cb_remove_tree(path, cli->diag);
            }
            continue;
        }
        uint64_t bytes = cb_path_exists(path) ? size_of(cli->arena, path, &files) : 0;
        if (cli->json) {
            printf("{\"part\":\"%s\",\"files\":%llu,\"bytes\":%llu}\n", parts[i], (unsigned long long)files,
                   (unsigned long long)bytes);
        } else {
            printf("%-10s %6llu files %10s  %s\n", parts[i], (unsigned long long)files, cb_format_bytes(bytes, text), path);
        }
    }
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_cache = {
    .name = "cache",
    .usage = "cache [--clear kernels|weights|features|all]",
    .summary = "compiled kernels, fetched weights, kept features: their size, tidying up",
    .flags = flags,
    .run = run,
};
