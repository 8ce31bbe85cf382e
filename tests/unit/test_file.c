/* test_file.c: reading, mapping and atomic writing, folders, paths, locks, hashes, resources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base_common.h"

static char root[64]; /* a folder of this run of the test */

/* The path of `name` in the test's folder; in the arena. */
static char *in_root(struct fixture *f, const char *name)
{
    return cb_path_join(f->arena, root, name);
}

static void write_plain(const char *path, const void *data, size_t bytes)
{
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(data, 1, bytes, stream), bytes);
    assert_int_equal(fclose(stream), 0);
}

static size_t count_names(struct fixture *f, const char *folder)
{
    char **names;
    size_t count = 0;
    assert_int_equal(cb_folder_list(f->arena, folder, &names, &count, NULL, f->diag), CB_OK);
    return count;
}

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/cambium-file-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return cb_remove_tree(root, NULL) == CB_OK && !cb_path_exists(root) ? 0 : -1;
}

static void files_are_read_whole(void **state)
{
    struct fixture *f = *state;
    char *path = in_root(f, "a.bin"), *data = NULL;
    size_t bytes = 99;
    write_plain(path, "a\0b\n", 4);
    assert_int_equal(cb_file_read(f->arena, path, 4, &data, &bytes, NULL, f->diag), CB_OK);
    assert_int_equal(bytes, 4);
    assert_memory_equal(data, "a\0b\n", 5); /* and a NUL behind */
    assert_true(cb_file_bytes(path) == 4);
    write_plain(path, "", 0);
    assert_int_equal(cb_file_read(f->arena, path, 0, &data, &bytes, NULL, f->diag), CB_OK);
    assert_int_equal(bytes, 0);
    assert_string_equal(data, "");
}

static void refused_files_are_named(void **state)
{
    struct fixture *f = *state;
    char *path = in_root(f, "photos.yaml"), *data = NULL, expected[256];
    size_t bytes = 0;
    struct cb_source source = {"task.yaml", "images: x\n", 10};
    struct cb_place at = {&source, 1, 9};
    write_plain(path, "12345", 5);
    assert_int_equal(cb_file_read(f->arena, path, 4, &data, &bytes, NULL, f->diag), CB_FORMAT);
    snprintf(expected, sizeof(expected), "error: `%s` is too large: 5 B; at most 4 B are read", path);
    expect_message(f, 0, expected);
    assert_int_equal(cb_file_read(f->arena, root, 4, &data, &bytes, &at, f->diag), CB_INVALID);
    snprintf(expected, sizeof(expected), "task.yaml:1:9: error: `%s` is a folder, not a file\n   1 | images: x\n     |         ^", root);
    expect_message(f, 1, expected);
    assert_int_equal(cb_file_read(f->arena, in_root(f, "photo.yaml"), 4, &data, &bytes, NULL, f->diag), CB_NOT_FOUND);
    snprintf(expected, sizeof(expected), "error: `%s/photo.yaml` does not exist; did you mean `photos.yaml`?", root);
    expect_message(f, 2, expected);
    assert_int_equal(cb_file_read(f->arena, in_root(f, "quite/other"), 4, &data, &bytes, NULL, f->diag), CB_NOT_FOUND);
    snprintf(expected, sizeof(expected), "error: `%s/quite/other` does not exist", root);
    expect_message(f, 3, expected);
    char *pipe_path = in_root(f, "pipe"); /* must not be waited on */
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_int_equal(cb_file_read(f->arena, pipe_path, 4, &data, &bytes, NULL, f->diag), CB_INVALID);
    assert_null(data);
    assert_true(cb_file_bytes(root) == -1);
    assert_true(cb_file_bytes(in_root(f, "none")) == -1);
    unlink(pipe_path);
}

static void maps_are_read_only_views(void **state)
{
    struct fixture *f = *state;
    char *path = in_root(f, "m.bin");
    struct cb_mapping mapping = {0};
    write_plain(path, "tensor", 6);
    assert_int_equal(cb_file_map(path, &mapping, NULL, f->diag), CB_OK);
    assert_int_equal(mapping.bytes, 6);
    assert_memory_equal(mapping.data, "tensor", 6);
    cb_file_unmap(&mapping);
    assert_null(mapping.data);
    cb_file_unmap(&mapping);
    write_plain(path, "", 0);
    assert_int_equal(cb_file_map(path, &mapping, NULL, f->diag), CB_OK);
    assert_int_equal(mapping.bytes, 0);
    assert_non_null(mapping.data);
    cb_file_unmap(&mapping);
    assert_int_equal(cb_file_map(root, &mapping, NULL, f->diag), CB_INVALID);
    assert_int_equal(cb_file_map(in_root(f, "none"), &mapping, NULL, f->diag), CB_NOT_FOUND);
}

static void expect_content(struct fixture *f, const char *path, const char *content)
{
    char *data = NULL;
    size_t bytes = 0;
    assert_int_equal(cb_file_read(f->arena, path, 1 << 20, &data, &bytes, NULL, f->diag), CB_OK);
    assert_string_equal(data, content);
}

static void atomic_files_are_whole_or_old(void **state)
{
    struct fixture *f = *state;
    struct cb_atomic_file file;
    char *folder = in_root(f, "atomic"), *path = in_root(f, "atomic/x");
    assert_int_equal(cb_make_folders(folder, f->diag), CB_OK);
    assert_int_equal(cb_file_write_atomic(path, "old", 3, f->diag), CB_OK);
    assert_int_equal(cb_atomic_open(&file, path, f->diag), CB_OK);
    fputs("half of the n", file.stream);
    fflush(file.stream);
    expect_content(f, path, "old");
    cb_atomic_abandon(&file);
    expect_content(f, path, "old");
    assert_int_equal(count_names(f, folder), 1); /* nothing is left behind */
    cb_atomic_abandon(&file);                    /* a second time, or never opened, does nothing */
    assert_int_equal(cb_atomic_open(&file, path, f->diag), CB_OK);
    fputs("new", file.stream);
    assert_int_equal(cb_atomic_commit(&file, f->diag), CB_OK);
    expect_content(f, path, "new");
    assert_int_equal(count_names(f, folder), 1);
    cb_atomic_abandon(&file);
    expect_content(f, path, "new");
    mode_t mask = umask(027);
    assert_int_equal(cb_file_write_atomic(path, "", 0, f->diag), CB_OK);
    umask(mask);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
}

static void failed_writing_says_why(void **state)
{
    struct fixture *f = *state;
    struct cb_atomic_file file;
    char *path = in_root(f, "missing/x"), expected[256];
    assert_int_equal(cb_atomic_open(&file, path, f->diag), CB_NOT_FOUND);
    snprintf(expected, sizeof(expected), "error: writing `%s` failed: its folder does not exist", path);
    expect_message(f, 0, expected);
    assert_int_equal(cb_file_write_atomic(root, "x", 1, f->diag), CB_INVALID);
    cb_atomic_abandon(&file);
}

/* A full disk, played by a limit on the size of files: the old file stays, no part of the new one is left. */
static void full_disk_keeps_the_old_file(void **state)
{
    struct fixture *f = *state;
    char *folder = in_root(f, "full"), *path = in_root(f, "full/x"), *big = cb_arena_alloc(f->arena, 100000);
    assert_int_equal(cb_make_folders(folder, f->diag), CB_OK);
    assert_int_equal(cb_file_write_atomic(path, "old", 3, f->diag), CB_OK);
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low = (struct rlimit){4096, before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    enum cb_status status = cb_file_write_atomic(path, big, 100000, f->diag);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    assert_int_equal(status, CB_IO);
    assert_non_null(strstr(cb_diag_text(f->diag, 0), "full/x` failed: File too large"));
    expect_content(f, path, "old");
    assert_int_equal(count_names(f, folder), 1);
}

static void folders_are_made_and_removed(void **state)
{
    struct fixture *f = *state;
    char *deep = in_root(f, "a/b//c/"), *outside = in_root(f, "outside"), *file = in_root(f, "plain");
    assert_int_equal(cb_make_folders(deep, f->diag), CB_OK);
    assert_int_equal(cb_make_folders(deep, f->diag), CB_OK);
    assert_true(cb_path_is_folder(in_root(f, "a/b/c")));
    write_plain(file, "x", 1);
    assert_int_equal(cb_make_folders(in_root(f, "plain/d"), f->diag), CB_IO);
    assert_int_equal(cb_make_folders(file, f->diag), CB_IO);
    assert_int_equal(cb_make_folders(outside, f->diag), CB_OK);
    write_plain(in_root(f, "outside/kept"), "x", 1);
    write_plain(in_root(f, "a/b/.hidden"), "x", 1);
    assert_int_equal(symlink(outside, in_root(f, "a/b/link")), 0);
    assert_int_equal(symlink("nowhere", in_root(f, "a/b/dangling")), 0);
    assert_int_equal(cb_remove_tree(in_root(f, "a"), f->diag), CB_OK);
    assert_false(cb_path_exists(in_root(f, "a")));
    assert_true(cb_path_exists(in_root(f, "outside/kept"))); /* a link is removed, not followed */
    assert_int_equal(cb_remove_tree(in_root(f, "a"), f->diag), CB_OK);
    assert_int_equal(cb_remove_tree(file, f->diag), CB_OK);
    assert_false(cb_path_exists(file));
}

static void folders_are_listed_in_natural_order(void **state)
{
    struct fixture *f = *state;
    char **names = NULL;
    size_t count = 99;
    char *folder = in_root(f, "list");
    assert_int_equal(cb_make_folders(folder, f->diag), CB_OK);
    assert_int_equal(cb_folder_list(f->arena, folder, &names, &count, NULL, f->diag), CB_OK);
    assert_int_equal(count, 0);
    static const char *const MADE[] = {"p10", "p9", ".hidden", "b", "p1", "A"};
    for (size_t i = 0; i < 6; i++) {
        write_plain(cb_path_join(f->arena, folder, MADE[i]), "", 0);
    }
    assert_int_equal(cb_folder_list(f->arena, folder, &names, &count, NULL, f->diag), CB_OK);
    static const char *const SORTED[] = {"A", "b", "p1", "p9", "p10"};
    assert_int_equal(count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(names[i], SORTED[i]);
    }
    assert_int_equal(cb_folder_list(f->arena, in_root(f, "list/b"), &names, &count, NULL, f->diag), CB_INVALID);
    assert_int_equal(cb_folder_list(f->arena, in_root(f, "lists"), &names, &count, NULL, f->diag), CB_NOT_FOUND);
    assert_non_null(strstr(cb_diag_text(f->diag, 1), "did you mean `list`?"));
}

static void unsafe_paths_are_seen(void **state)
{
    struct fixture *f = *state;
    char *path = in_root(f, "mode");
    write_plain(path, "", 0);
    chmod(path, 0644);
    assert_false(cb_path_is_unsafe(path));
    if (geteuid() == 0) { /* the group root has one member; only root can give a file to another */
        chmod(path, 0664);
        assert_int_equal(chown(path, 0, 0), 0);
        assert_false(cb_path_is_unsafe(path));
        assert_int_equal(chown(path, 0, 12345), 0);
        assert_true(cb_path_is_unsafe(path));
    }
    chmod(path, 0602);
    assert_true(cb_path_is_unsafe(path));
    assert_true(cb_path_is_unsafe(in_root(f, "none")));
    if (geteuid() == 0) { /* only root can give a file away */
        chmod(path, 0644);
        assert_int_equal(chown(path, 12345, 12345), 0);
        assert_true(cb_path_is_unsafe(path));
    }
}

static void paths_are_taken_apart(void **state)
{
    struct fixture *f = *state;
    setenv("HOME", "/home/me", 1);
    static const char *const JOINED[][3] = {
        {"a", "b", "a/b"},        {"a/", "b", "a/b"},           {"a", "/b", "/b"},   {".", "b", "b"}, {"", "b", "b"}, {"a", "../b", "a/../b"},
        {"a", "~/b", "/home/me/b"}, {"a", "~", "/home/me"}, {"a", "~b", "a/~b"}, {"a", "", "a"},
    };
    for (size_t i = 0; i < sizeof(JOINED) / sizeof(*JOINED); i++) {
        assert_string_equal(cb_path_join(f->arena, JOINED[i][0], JOINED[i][1]), JOINED[i][2]);
    }
    static const char *const PARTS[][5] = { /* path, folder, base, stem, extension */
        {"a/b.yaml", "a", "b.yaml", "b", ".yaml"}, {"b.yaml", ".", "b.yaml", "b", ".yaml"},  {"/b", "/", "b", "b", ""},
        {"a//b", "a", "b", "b", ""},               {"a.d/b", "a.d", "b", "b", ""},           {"a/.rc", "a", ".rc", ".rc", ""},
        {"a/x.tar.gz", "a", "x.tar.gz", "x.tar", ".gz"}, {"a/", "a", "", "", ""},
    };
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(*PARTS); i++) {
        assert_string_equal(cb_path_folder(f->arena, PARTS[i][0]), PARTS[i][1]);
        assert_string_equal(cb_path_base(PARTS[i][0]), PARTS[i][2]);
        assert_string_equal(cb_path_stem(f->arena, PARTS[i][0]), PARTS[i][3]);
        assert_string_equal(cb_path_extension(PARTS[i][0]), PARTS[i][4]);
    }
}

/* Vectors of FIPS 180-2, and a million a's across many additions. */
static void sha256_of_known_texts(void **state)
{
    struct fixture *f = *state;
    static const char ABC[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    char hex[65], *path = in_root(f, "abc");
    cb_sha256_of("abc", 3, hex);
    assert_string_equal(hex, ABC);
    cb_sha256_of("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    struct cb_sha256 *sha = cb_sha256_create();
    for (int i = 0; i < 100000; i++) {
        cb_sha256_add(sha, "aaaaaaaaaa", 10);
    }
    cb_sha256_finish(sha, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    write_plain(path, "abc", 3);
    assert_int_equal(cb_sha256_of_file(path, hex, f->diag), CB_OK);
    assert_string_equal(hex, ABC);
    assert_int_equal(cb_sha256_of_file(in_root(f, "none"), hex, f->diag), CB_NOT_FOUND);
    assert_int_equal(cb_sha256_of_file(root, hex, f->diag), CB_INVALID);
}

/* Another process that wants the lock waits until it is released. */
static void locks_exclude_other_processes(void **state)
{
    struct fixture *f = *state;
    char *path = in_root(f, "lock");
    struct cb_lock lock;
    int channel[2];
    char byte = 0;
    assert_int_equal(cb_lock_take(&lock, path, f->diag), CB_OK);
    assert_int_equal(pipe(channel), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct cb_lock own;
        close(channel[0]);
        bool is_told = write(channel[1], "w", 1) == 1 && cb_lock_take(&own, path, NULL) == CB_OK && write(channel[1], "t", 1) == 1;
        _exit(is_told ? 0 : 1);
    }
    close(channel[1]);
    assert_int_equal(read(channel[0], &byte, 1), 1);
    assert_int_equal(byte, 'w');
    usleep(50000);
    fcntl(channel[0], F_SETFL, O_NONBLOCK);
    assert_int_equal(read(channel[0], &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    fcntl(channel[0], F_SETFL, 0);
    cb_lock_release(&lock);
    assert_int_equal(read(channel[0], &byte, 1), 1);
    assert_int_equal(byte, 't');
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(channel[0]);
    cb_lock_release(&lock); /* a second time does nothing */
    assert_int_equal(cb_lock_take(&lock, in_root(f, "none/lock"), f->diag), CB_NOT_FOUND);
}

static void users_folders_follow_the_environment(void **state)
{
    struct fixture *f = *state;
    setenv("HOME", in_root(f, "home"), 1);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("CAMBIUM_CACHE");
    assert_string_equal(cb_user_cache_folder(f->arena), in_root(f, "home/.cache/cambium"));
    assert_true(cb_path_is_folder(in_root(f, "home/.cache/cambium")));
    setenv("XDG_CACHE_HOME", "relative", 1); /* is to be ignored */
    assert_string_equal(cb_user_cache_folder(f->arena), in_root(f, "home/.cache/cambium"));
    setenv("XDG_CACHE_HOME", in_root(f, "xdg"), 1);
    assert_string_equal(cb_user_cache_folder(f->arena), in_root(f, "xdg/cambium"));
    setenv("CAMBIUM_CACHE", in_root(f, "own"), 1);
    assert_string_equal(cb_user_cache_folder(f->arena), in_root(f, "own"));
    setenv("CAMBIUM_CACHE", "/dev/null/x", 1);
    assert_null(cb_user_cache_folder(f->arena));
    unsetenv("CAMBIUM_DATA");
    unsetenv("XDG_DATA_HOME");
    assert_string_equal(cb_user_data_folder(f->arena), in_root(f, "home/.local/share/cambium"));
}

/* Not installed, the program uses its source tree; CAMBIUM_HOME goes before it where it has the file. */
static void resources_are_found(void **state)
{
    struct fixture *f = *state;
    unsetenv("CAMBIUM_HOME");
    assert_string_equal(cb_resource_path(f->arena, "cl"), CB_SOURCE_ROOT "/cl");
    assert_null(cb_resource_path(f->arena, "cl/none.cl"));
    char *home = in_root(f, "share"), *own = in_root(f, "share/cl/own.cl");
    assert_int_equal(cb_make_folders(in_root(f, "share/cl"), f->diag), CB_OK);
    write_plain(own, "", 0);
    setenv("CAMBIUM_HOME", home, 1);
    assert_string_equal(cb_resource_path(f->arena, "cl/own.cl"), own);
    assert_string_equal(cb_resource_path(f->arena, "meson.build"), CB_SOURCE_ROOT "/meson.build");
    unsetenv("CAMBIUM_HOME");
}

static void clock_never_runs_back(void **state)
{
    (void)state;
    double before = cb_clock_seconds();
    usleep(2000);
    double after = cb_clock_seconds();
    assert_true(after >= before + 0.002);
    assert_true(after < before + 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_read_whole), TEST(refused_files_are_named), TEST(maps_are_read_only_views),
        TEST(atomic_files_are_whole_or_old), TEST(failed_writing_says_why), TEST(full_disk_keeps_the_old_file),
        TEST(folders_are_made_and_removed), TEST(folders_are_listed_in_natural_order), TEST(unsafe_paths_are_seen),
        TEST(paths_are_taken_apart), TEST(sha256_of_known_texts), TEST(locks_exclude_other_processes),
        TEST(users_folders_follow_the_environment), TEST(resources_are_found), TEST(clock_never_runs_back),
    };
    return cmocka_run_group_tests_name("file", tests, make_root, remove_root);
}
