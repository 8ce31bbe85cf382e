/* file.c: reading and mapping files, and what the operating system says of paths. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/text.h"

/* The name in the folder of `path` that is nearest to its last part, NULL when none is near. */
static const char *nearest_beside(struct cb_arena *arena, const char *path)
{
    char **names = NULL;
    size_t count = 0;
    char *folder = cb_path_folder(arena, path);
    if (!folder || cb_folder_list(arena, folder, &names, &count, NULL, NULL) != CB_OK) {
        return NULL;
    }
    return cb_nearest_of(cb_path_base(path), (const char *const *)names, count);
}

enum cb_status cb__fail_errno(struct cb_diag *diag, const struct cb_place *at, int error_number, const char *doing,
                              const char *path)
{
    if (error_number == EISDIR) {
        return cb_fail(diag, CB_INVALID, at, "`%s` is a folder, not a file", path);
    }
    if (error_number != ENOENT && error_number != ENOTDIR) {
        return cb_fail(diag, error_number == ENOMEM ? CB_MEMORY : CB_IO, at, "%s `%s` failed: %s", doing, path,
                       strerror(error_number));
    }
    struct cb_arena *arena = diag ? cb_arena_create() : NULL;
    const char *near = arena ? nearest_beside(arena, path) : NULL;
    cb_fail(diag, CB_NOT_FOUND, at, "`%s` does not exist%s%s%s", path, near ? "; did you mean `" : "",
            near ? near : "", near ? "`?" : "");
    cb_arena_destroy(arena);
    return CB_NOT_FOUND;
}

/* Opens a regular file. The checks are made on the open file, so that it cannot be exchanged between them. */
static enum cb_status open_regular(const char *path, int *out_fd, size_t *out_bytes, const struct cb_place *at,
                                   struct cb_diag *diag)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a named pipe must not hang the program */
    if (fd < 0) {
        return cb__fail_errno(diag, at, errno, "opening", path);
    }
    if (fstat(fd, &info) != 0) {
        enum cb_status status = cb__fail_errno(diag, at, errno, "looking at", path);
        close(fd);
        return status;
    }
    if (!S_ISREG(info.st_mode)) {
        close(fd);
        return cb_fail(diag, CB_INVALID, at, S_ISDIR(info.st_mode) ? "`%s` is a folder, not a file"
                                                                  : "`%s` is not a regular file", path);
    }
    *out_fd = fd;
    *out_bytes = (size_t)info.st_size;
    return CB_OK;
}

/* Up to `bytes`; `*out_got` is less where the file ends early. */
static bool read_all(int fd, char *data, size_t bytes, size_t *out_got)
{
    size_t got = 0;
    while (got < bytes) {
        ssize_t n = read(fd, data + got, bytes - got);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        if (n == 0) {
            break;
        }
        got += (size_t)n;
    }
    *out_got = got;
    return true;
}

enum cb_status cb_file_read(struct cb_arena *arena, const char *path, size_t max_bytes, char **out_data,
                            size_t *out_bytes, const struct cb_place *at, struct cb_diag *diag)
{
    int fd = -1;
    size_t bytes = 0, got = 0;
    enum cb_status status = CB_OK;
    CB_TRY(open_regular(path, &fd, &bytes, at, diag));
    if (bytes > max_bytes) {
        char is[32], may[32];
        status = cb_fail(diag, CB_FORMAT, at, "`%s` is too large: %s; at most %s are read", path,
                         cb_format_bytes(bytes, is), cb_format_bytes(max_bytes, may));
        goto close_file;
    }
    char *data = cb_arena_alloc(arena, bytes + 1);
    if (!data) {
        status = cb_fail(diag, CB_MEMORY, at, "out of memory while reading `%s`", path);
        goto close_file;
    }
    if (!read_all(fd, data, bytes, &got)) {
        status = cb__fail_errno(diag, at, errno, "reading", path);
        goto close_file;
    }
    *out_data = data;
    *out_bytes = got;

close_file:
    close(fd);
    return status;
}

enum cb_status cb_file_map(const char *path, struct cb_mapping *out, const struct cb_place *at, struct cb_diag *diag)
{
    int fd = -1;
    size_t bytes = 0;
    CB_TRY(open_regular(path, &fd, &bytes, at, diag));
    if (bytes == 0) {
        close(fd);
        *out = (struct cb_mapping){(const unsigned char *)"", 0, NULL};
        return CB_OK;
    }
    void *address = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    int error_number = errno;
    close(fd);
    if (address == MAP_FAILED) {
        return cb__fail_errno(diag, at, error_number, "mapping", path);
    }
    *out = (struct cb_mapping){address, bytes, address};
    return CB_OK;
}

void cb_file_forget(const struct cb_mapping *mapping, const void *data, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)mapping->address;
    uintptr_t begin = (uintptr_t)data / page * page;
    if (mapping->address && begin >= first && (uintptr_t)data + bytes <= first + mapping->bytes) {
        (void)madvise((void *)begin, (uintptr_t)data + bytes - begin, MADV_DONTNEED); /* of a file nothing is lost */
    }
}

void cb_file_unmap(struct cb_mapping *mapping)
{
    if (mapping->address) {
        munmap(mapping->address, mapping->bytes);
    }
    *mapping = (struct cb_mapping){0};
}

bool cb_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool cb_path_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int64_t cb_file_bytes(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) ? (int64_t)info.st_size : -1;
}

/* Many systems give each user a group of his own, of the same name, and let it write by default (umask 002). */
static bool is_group_of_one(gid_t gid)
{
    char user_text[4096], group_text[4096];
    struct passwd user, *found_user = NULL;
    struct group group, *found = NULL;
    if (getpwuid_r(geteuid(), &user, user_text, sizeof(user_text), &found_user) != 0 || found_user == NULL ||
        user.pw_gid != gid || getgrgid_r(gid, &group, group_text, sizeof(group_text), &found) != 0 || found == NULL ||
        strcmp(group.gr_name, user.pw_name) != 0) {
        return false;
    }
    for (char **member = group.gr_mem; *member != NULL; member++) {
        if (strcmp(*member, user.pw_name) != 0) {
            return false;
        }
    }
    return true;
}

bool cb_path_is_unsafe(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        return true;
    }
    bool has_strange_owner = info.st_uid != 0 && info.st_uid != geteuid();
    bool has_group = (info.st_mode & S_IWGRP) != 0 && !is_group_of_one(info.st_gid);
    return has_strange_owner || has_group || (info.st_mode & S_IWOTH) != 0;
}

enum cb_status cb_lock_take(struct cb_lock *lock, const char *path, struct cb_diag *diag)
{
    lock->fd = -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        return cb__fail_errno(diag, NULL, errno, "opening the lock", path);
    }
    while (flock(fd, LOCK_EX) != 0) {
        if (errno != EINTR) {
            enum cb_status status = cb__fail_errno(diag, NULL, errno, "locking", path);
            close(fd);
            return status;
        }
    }
    lock->fd = fd;
    return CB_OK;
}

void cb_lock_release(struct cb_lock *lock)
{
    if (lock->fd >= 0) {
        flock(lock->fd, LOCK_UN); /* closing would not do it while a child process has the descriptor too */
        close(lock->fd);          /* the file stays: another process may be waiting on it */
    }
    lock->fd = -1;
}
