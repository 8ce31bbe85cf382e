/* path.c: taking paths apart and putting them together; no file system is asked. */
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

char *cb_path_join(struct cb_arena *arena, const char *folder, const char *path)
{
    if (path[0] == '~' && (path[1] == '/' || path[1] == '\0')) {
        const char *home = getenv("HOME");
        return home && *home ? cb_arena_printf(arena, "%s%s", home, path + 1) : cb_arena_strdup(arena, path);
    }
    if (path[0] == '/' || *folder == '\0' || strcmp(folder, ".") == 0) {
        return cb_arena_strdup(arena, path);
    }
    if (*path == '\0') {
        return cb_arena_strdup(arena, folder);
    }
    return cb_arena_printf(arena, "%s%s%s", folder, cb_ends_with(folder, "/") ? "" : "/", path);
}

char *cb_path_folder(struct cb_arena *arena, const char *path)
{
    size_t length = (size_t)(cb_path_base(path) - path);
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    return length > 0 ? cb_arena_strndup(arena, path, length) : cb_arena_strdup(arena, ".");
}

const char *cb_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *cb_path_stem(struct cb_arena *arena, const char *path)
{
    const char *base = cb_path_base(path);
    return cb_arena_strndup(arena, base, strlen(base) - strlen(cb_path_extension(path)));
}

/* A dot at the beginning hides a file and begins no extension. */
const char *cb_path_extension(const char *path)
{
    const char *base = cb_path_base(path);
    const char *dot = strrchr(base, '.');
    return dot && dot > base ? dot : base + strlen(base);
}
