/* file.h: files and folders. What matters is written to a temporary name beside it, synced, and renamed. */
#ifndef CAMBIUM_BASE_FILE_H
#define CAMBIUM_BASE_FILE_H

#include <stdio.h>

#include "base/arena.h"

/* The whole file, NUL-terminated after `*out_bytes`. Refuses folders and files over `max_bytes`. `at` (may be NULL):
 * where the path was named, for the message. */
enum cb_status cb_file_read(struct cb_arena *arena, const char *path, size_t max_bytes, char **out_data,
                            size_t *out_bytes, const struct cb_place *at, struct cb_diag *diag);
/* A read-only memory map. Zero-byte files give data = "" and bytes = 0. */
struct cb_mapping {
    const unsigned char *data;
    size_t bytes;
    void *address; /* private */
};
enum cb_status cb_file_map(const char *path, struct cb_mapping *out, const struct cb_place *at, struct cb_diag *diag);
/* Gives the memory of `bytes` from `data` on, within the mapping, back to the system until they are looked at again. */
void cb_file_forget(const struct cb_mapping *mapping, const void *data, size_t bytes);
void cb_file_unmap(struct cb_mapping *mapping); /* accepts one that is all zero */

/* Atomic writing: open, write to `stream`, commit (flush, fsync, rename, fsync of the folder) or abandon (unlink). */
struct cb_atomic_file {
    FILE *stream;
    char *path;
    char *temporary;
};
enum cb_status cb_atomic_open(struct cb_atomic_file *file, const char *path, struct cb_diag *diag);
enum cb_status cb_atomic_commit(struct cb_atomic_file *file, struct cb_diag *diag); /* on failure it is abandoned */
void cb_atomic_abandon(struct cb_atomic_file *file);                                /* accepts one never opened */
enum cb_status cb_file_write_atomic(const char *path, const void *data, size_t bytes, struct cb_diag *diag);

bool cb_path_exists(const char *path);
bool cb_path_is_folder(const char *path);
int64_t cb_file_bytes(const char *path); /* -1 when there is no such regular file */
enum cb_status cb_make_folders(const char *path, struct cb_diag *diag); /* mkdir -p */
enum cb_status cb_remove_tree(const char *path, struct cb_diag *diag);  /* never follows links; a missing path is ok */
/* True when others may write to it, or a group with more members than this user; or it belongs to a third user. */
bool cb_path_is_unsafe(const char *path);

/* Paths (results in the arena). An absolute or ~/ `path` stays, else it is joined to `folder`. */
char *cb_path_join(struct cb_arena *arena, const char *folder, const char *path);
char *cb_path_folder(struct cb_arena *arena, const char *path); /* "a/b.yaml" -> "a"; "b.yaml" -> "." */
const char *cb_path_base(const char *path);                     /* "a/b.yaml" -> "b.yaml"; within `path` */
char *cb_path_stem(struct cb_arena *arena, const char *path);   /* "a/b.yaml" -> "b" */
const char *cb_path_extension(const char *path);                /* ".yaml", "" when none */

/* Names in a folder, sorted in natural order, without "." and ".."; hidden ones left out. */
enum cb_status cb_folder_list(struct cb_arena *arena, const char *path, char ***out_names, size_t *out_count,
                              const struct cb_place *at, struct cb_diag *diag);

/* The user's folders, made when missing: CAMBIUM_CACHE or $XDG_CACHE_HOME/cambium or ~/.cache/cambium; CAMBIUM_DATA or
 * $XDG_DATA_HOME/cambium or ~/.local/share/cambium. NULL when there is no place to write. In the arena. */
char *cb_user_cache_folder(struct cb_arena *arena);
char *cb_user_data_folder(struct cb_arena *arena);
/* A file or folder that Cambium was installed or built with ("configs/backbones", "cl", "plugins", "include",
 * "bin/cambium-probe"): CAMBIUM_HOME, then
 * the source tree of an uninstalled build, then the install prefix. NULL when there is none. In the arena. */
char *cb_resource_path(struct cb_arena *arena, const char *relative);

/* Exclusive lock on `path` (made when missing), waiting for another process. */
struct cb_lock {
    int fd;
};
enum cb_status cb_lock_take(struct cb_lock *lock, const char *path, struct cb_diag *diag);
void cb_lock_release(struct cb_lock *lock);

/* SHA-256 (OpenSSL's libcrypto). `hex` has room for 65. */
struct cb_sha256;
struct cb_sha256 *cb_sha256_create(void);
void cb_sha256_add(struct cb_sha256 *sha, const void *data, size_t bytes);
void cb_sha256_finish(struct cb_sha256 *sha, char hex[65]); /* destroys it */
void cb_sha256_of(const void *data, size_t bytes, char hex[65]);
enum cb_status cb_sha256_of_file(const char *path, char hex[65], struct cb_diag *diag);

/* Seconds on a clock that never runs back. */
double cb_clock_seconds(void);

#endif
