/* folder.c: making, listing and removing folders. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/text.h"

static bool make_one(const char *path)
{
    return mkdir(path, 0777) == 0 || (errno == EEXIST && cb_path_is_folder(path));
}

enum cb_status cb_make_folders(const char *path, struct cb_diag *diag)
{
    char *partial = strdup(path);
    if (!partial) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while making `%s`", path);
    }
    bool is_made = true;
    for (char *p = partial + 1; is_made && *partial && *p; p++) {
        if (*p == '/') {
            *p = '\0';
            is_made = cb_path_is_folder(partial) || make_one(partial);
            *p = '/';
        }
    }
    is_made = is_made && make_one(partial);
    int error_number = errno;
    free(partial);
    return is_made ? CB_OK
                   : cb_fail(diag, CB_IO, NULL, "making the folder `%s` failed: %s", path,
                             strerror(error_number == EEXIST ? ENOTDIR : error_number));
}

/* Removes `name` in the folder `parent`, with what is in it. openat with O_NOFOLLOW: a link put there meanwhile is
 * removed, never followed. Returns 0 or the error's number. */
static int remove_at(int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    int unlink_error = errno;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return unlink_error; /* no folder: why it could not be unlinked */
    }
    DIR *folder = fdopendir(fd);
    if (!folder) {
        int error_number = errno;
        close(fd);
        return error_number;
    }
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = remove_at(fd, entry->d_name);
        }
    }
    closedir(folder);
    if (result == 0 && unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
        result = errno;
    }
    return result;
}

enum cb_status cb_remove_tree(const char *path, struct cb_diag *diag)
{
    int error_number = remove_at(AT_FDCWD, path);
    if (error_number != 0) {
        return cb_fail(diag, CB_IO, NULL, "removing `%s` failed: %s", path, strerror(error_number));
    }
    return CB_OK;
}

static int compare_names(const void *a, const void *b)
{
    return cb_natural_compare(*(char *const *)a, *(char *const *)b);
}

enum cb_status cb_folder_list(struct cb_arena *arena, const char *path, char ***out_names, size_t *out_count,
                              const struct cb_place *at, struct cb_diag *diag)
{
    enum cb_status status = CB_OK;
    char **names = NULL;
    size_t count = 0, capacity = 0;
    DIR *folder = opendir(path);
    if (!folder) {
        if (errno == ENOTDIR && cb_path_exists(path)) {
            return cb_fail(diag, CB_INVALID, at, "`%s` is a file, not a folder", path);
        }
        return cb__fail_errno(diag, at, errno, "opening the folder", path);
    }
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(folder);
        if (!entry && errno != 0) {
            status = cb__fail_errno(diag, at, errno, "reading the folder", path);
            goto free_names;
        }
        if (!entry) {
            break;
        }
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            char **grown = realloc(names, capacity * sizeof(*names));
            if (!grown) {
                goto fail_memory;
            }
            names = grown;
        }
        names[count] = cb_arena_strdup(arena, entry->d_name);
        if (!names[count++]) {
            goto fail_memory;
        }
    }
    if (count > 0) {
        qsort(names, count, sizeof(*names), compare_names);
    }
    char **result = cb_arena_copy(arena, names, count * sizeof(*names));
    if (!result) {
        goto fail_memory;
    }
    *out_names = result;
    *out_count = count;
    goto free_names;

fail_memory:
    status = cb_fail(diag, CB_MEMORY, at, "out of memory while reading the folder `%s`", path);
free_names:
    free(names);
    closedir(folder);
    return status;
}
