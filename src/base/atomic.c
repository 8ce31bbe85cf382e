/* atomic.c: files that are there whole or not at all. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"

/* The temporary name: beside the file (rename needs one file system), own for each process and call. */
static int open_temporary(const char *path, char **out_name)
{
    static atomic_uint counter;
    for (int attempt = 0; attempt < 100; attempt++) {
        char *name = NULL;
        if (asprintf(&name, "%s.%ld-%u.part", path, (long)getpid(), atomic_fetch_add(&counter, 1)) < 0) {
            errno = ENOMEM;
            return -1;
        }
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            *out_name = name;
            return fd;
        }
        free(name);
        if (errno != EEXIST) { /* EEXIST: left by a process that had this number before */
            return -1;
        }
    }
    return -1;
}

enum cb_status cb_atomic_open(struct cb_atomic_file *file, const char *path, struct cb_diag *diag)
{
    *file = (struct cb_atomic_file){0};
    if (cb_path_is_folder(path)) {
        return cb__fail_errno(diag, NULL, EISDIR, "writing", path);
    }
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) { /* a rename would put a file in place of a device */
        return cb_fail(diag, CB_INVALID, NULL, "`%s` is no regular file: it is left as it is", path);
    }
    int fd = open_temporary(path, &file->temporary);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return cb_fail(diag, CB_NOT_FOUND, NULL, "writing `%s` failed: its folder does not exist", path);
        }
        return cb__fail_errno(diag, NULL, errno, "writing", path);
    }
    file->path = strdup(path);
    file->stream = file->path ? fdopen(fd, "wb") : NULL;
    if (!file->stream) {
        close(fd);
        unlink(file->temporary);
        free(file->temporary);
        free(file->path);
        *file = (struct cb_atomic_file){0};
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while writing `%s`", path);
    }
    return CB_OK;
}

void cb_atomic_abandon(struct cb_atomic_file *file)
{
    if (file->stream) {
        fclose(file->stream);
    }
    if (file->temporary) {
        unlink(file->temporary);
    }
    free(file->temporary);
    free(file->path);
    *file = (struct cb_atomic_file){0};
}

/* After a rename the new name is safe only when the folder is on the disk too. Some file systems refuse to sync a
 * folder; then there is nothing to be done. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

enum cb_status cb_atomic_commit(struct cb_atomic_file *file, struct cb_diag *diag)
{
    int error_number = 0;
    if (ferror(file->stream) || fflush(file->stream) != 0 || fsync(fileno(file->stream)) != 0) {
        error_number = errno ? errno : EIO;
    }
    if (fclose(file->stream) != 0 && error_number == 0) {
        error_number = errno;
    }
    file->stream = NULL;
    if (error_number == 0 && rename(file->temporary, file->path) != 0) {
        error_number = errno;
    }
    if (error_number != 0) {
        enum cb_status status = cb_fail(diag, CB_IO, NULL, "writing `%s` failed: %s", file->path,
                                        strerror(error_number));
        cb_atomic_abandon(file);
        return status;
    }
    free(file->temporary);
    file->temporary = NULL; /* nothing is left to be unlinked */
    sync_folder(file->path);
    cb_atomic_abandon(file);
    return CB_OK;
}

enum cb_status cb_file_write_atomic(const char *path, const void *data, size_t bytes, struct cb_diag *diag)
{
    struct cb_atomic_file file;
    CB_TRY(cb_atomic_open(&file, path, diag));
    if (fwrite(data, 1, bytes, file.stream) != bytes) {
        enum cb_status status = cb__fail_errno(diag, NULL, errno, "writing", path);
        cb_atomic_abandon(&file);
        return status;
    }
    return cb_atomic_commit(&file, diag);
}
