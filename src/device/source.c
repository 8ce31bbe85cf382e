/* source.c: the text of kernel files: where they lie, their includes, their hash.
 *
 * Includes are replaced by the files' texts here, not by the driver's compiler: then a build needs no folders (drivers
 * disagree about spaces in them, and a simulator may not read files at all), and the text alone says what is built. */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device/internal.h"

#define MAX_KERNEL_BYTES (4u << 20)
#define MAX_DEPTH 16

/* The folder `index` of CAMBIUM_CL_PATH, in the arena; NULL past the end. */
static char *search_folder(struct cb_arena *arena, size_t index)
{
    const char *list = getenv("CAMBIUM_CL_PATH");
    while (list && *list) {
        size_t length = strcspn(list, ":");
        if (length > 0 && index-- == 0) {
            return cb_arena_strndup(arena, list, length);
        }
        list += length + (list[length] == ':');
    }
    return NULL;
}

static char *existing(char *path)
{
    return path && cb_path_exists(path) && !cb_path_is_folder(path) ? path : NULL;
}

/* ---- files that plugins carry ---- */

/* Like the plugins themselves they are the process's and stay. */
struct carried {
    struct carried *next;
    const struct cb_kernel_file *file;
    char path[]; /* where it would lie: beside the shared object */
};
static struct carried *all_carried;
static pthread_mutex_t carried_mutex = PTHREAD_MUTEX_INITIALIZER;

static const struct cb_kernel_file *find_carried(const char *path)
{
    const struct cb_kernel_file *file = NULL;
    pthread_mutex_lock(&carried_mutex);
    for (const struct carried *one = all_carried; path && one && !file; one = one->next) {
        file = strcmp(one->path, path) == 0 ? one->file : NULL;
    }
    pthread_mutex_unlock(&carried_mutex);
    return file;
}

enum cb_status cb_kernel_carry(const char *folder, const struct cb_kernel_file *file)
{
    size_t bytes = strlen(folder) + strlen(file->name) + 2;
    struct carried *one = malloc(sizeof(*one) + bytes);
    if (!one) {
        return CB_MEMORY;
    }
    snprintf(one->path, bytes, "%s/%s", folder, file->name);
    one->file = file;
    pthread_mutex_lock(&carried_mutex);
    one->next = all_carried;
    all_carried = one;
    pthread_mutex_unlock(&carried_mutex);
    return CB_OK;
}

/* `path` where a file lies there, or where a plugin carries one in its stead. */
static char *existing_or_carried(char *path)
{
    return existing(path) || find_carried(path) ? path : NULL;
}

enum cb_status cb_kernel_read(struct cb_arena *arena, const char *path, const struct cb_place *at, const char **out_text,
                              size_t *out_bytes, const char **out_shown, struct cb_diag *diag)
{
    const struct cb_kernel_file *file = cb_path_exists(path) ? NULL : find_carried(path);
    char *text = NULL;
    *out_shown = file ? file->path : path;
    if (!file) {
        CB_TRY(cb_file_read(arena, path, MAX_KERNEL_BYTES, &text, out_bytes, at, diag));
    } else {
        *out_bytes = strlen(file->text);
    }
    *out_text = file ? file->text : text;
    return CB_OK;
}

/* ---- finding ---- */

char *cb_kernel_path(struct cb_arena *arena, const char *source, const char *beside)
{
    char *name = cb_arena_printf(arena, "%s.cl", source);
    char *folder, *path;
    if (!name) {
        return NULL;
    }
    for (size_t i = 0; (folder = search_folder(arena, i)); i++) {
        if ((path = existing(cb_path_join(arena, folder, name)))) {
            return path;
        }
    }
    if (beside && (path = existing_or_carried(cb_arena_printf(arena, "%s/%s", beside, name)))) {
        return path;
    }
    char *relative = cb_arena_printf(arena, "cl/%s", name);
    return relative ? existing(cb_resource_path(arena, relative)) : NULL;
}

/* Where the plugin that carries a file of the same name as `file` (a copy of it in a folder of CAMBIUM_CL_PATH) would have
 * it: what it includes need not be copied too. NULL: none does. */
static char *folder_of_original(struct cb_arena *arena, const char *file)
{
    const char *name = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
    char *folder = NULL;
    pthread_mutex_lock(&carried_mutex);
    for (const struct carried *one = all_carried; one && !folder; one = one->next) {
        folder = strcmp(one->file->name, name) == 0 ? cb_path_folder(arena, one->path) : NULL;
    }
    pthread_mutex_unlock(&carried_mutex);
    return folder;
}

/* Beside the file that includes it, beside the one that it is a copy of, in cl/include. */
static char *include_path(struct cb_arena *arena, const char *file, const char *name)
{
    const bool is_whole = name[0] == '/';
    char *path = existing_or_carried(is_whole ? cb_arena_strdup(arena, name)
                                              : cb_arena_printf(arena, "%s/%s", cb_path_folder(arena, file), name));
    char *search, *original = path || is_whole ? NULL : folder_of_original(arena, file);
    if (original) {
        path = existing_or_carried(cb_arena_printf(arena, "%s/%s", original, name));
    }
    for (size_t i = 0; !path && (search = search_folder(arena, i)); i++) {
        char *relative = cb_arena_printf(arena, "include/%s", name);
        path = relative ? existing(cb_path_join(arena, search, relative)) : NULL;
    }
    if (!path) {
        char *relative = cb_arena_printf(arena, "cl/include/%s", name);
        path = relative ? existing(cb_resource_path(arena, relative)) : NULL;
    }
    return path;
}

/* The name in a line `#include "NAME"`, in the arena; NULL for any other line. */
static char *included_name(struct cb_arena *arena, const char *line, size_t length)
{
    const char *end = line + length;
    while (line < end && (*line == ' ' || *line == '\t')) {
        line++;
    }
    if (line == end || *line++ != '#') {
        return NULL;
    }
    while (line < end && (*line == ' ' || *line == '\t')) {
        line++;
    }
    if (end - line < 7 || memcmp(line, "include", 7) != 0) {
        return NULL;
    }
    line += 7;
    while (line < end && (*line == ' ' || *line == '\t')) {
        line++;
    }
    if (line == end || *line++ != '"') {
        return NULL;
    }
    const char *close = memchr(line, '"', (size_t)(end - line));
    return close ? cb_arena_strndup(arena, line, (size_t)(close - line)) : NULL;
}

static void add_line_directive(struct cb_text *out, int line, const char *path)
{
    cb_text_addf(out, "#line %d \"", line);
    for (; *path; path++) {
        if (*path == '"' || *path == '\\') {
            cb_text_add(out, "\\");
        }
        cb_text_add_bytes(out, path, 1);
    }
    cb_text_add(out, "\"\n");
}

/* The files being expanded, innermost first. */
struct open_file {
    const char *path;
    const struct open_file *includer;
    int depth;
};

static enum cb_status expand(struct cb_arena *arena, const struct open_file *file, struct cb_text *out,
                             struct cb_diag *diag);

static enum cb_status expand_include(struct cb_arena *arena, const struct open_file *file, const char *name,
                                     const struct cb_place *at, struct cb_text *out, struct cb_diag *diag)
{
    char *path = include_path(arena, file->path, name);
    if (!path) {
        return cb_fail(diag, CB_NOT_FOUND, at, "`%s` is neither beside `%s` nor in cl/include", name, file->path);
    }
    for (const struct open_file *outer = file; outer; outer = outer->includer) {
        if (strcmp(outer->path, path) == 0) {
            return CB_OK; /* the guard of a file that is being read leaves nothing */
        }
    }
    if (file->depth >= MAX_DEPTH) {
        return cb_fail(diag, CB_INVALID, at, "includes are nested deeper than %d files", MAX_DEPTH);
    }
    struct open_file inner = {path, file, file->depth + 1};
    return expand(arena, &inner, out, diag);
}

/* `text`, which is shown as the file `shown`, with its includes. */
static enum cb_status expand_text(struct cb_arena *arena, const struct open_file *file, const char *text, size_t length,
                                  const char *shown, struct cb_text *out, struct cb_diag *diag)
{
    struct cb_source source = {shown, text, length};
    struct cb_place at = {&source, 1, 1};
    add_line_directive(out, 1, shown);
    for (const char *line = text; line < text + length; at.line++) {
        const char *newline = memchr(line, '\n', (size_t)(text + length - line));
        size_t bytes = newline ? (size_t)(newline - line) : (size_t)(text + length - line);
        char *name = included_name(arena, line, bytes);
        if (name) {
            CB_TRY(expand_include(arena, file, name, &at, out, diag));
            add_line_directive(out, at.line + 1, shown);
        } else {
            cb_text_add_bytes(out, line, bytes);
            cb_text_add(out, "\n");
        }
        line += bytes + 1;
    }
    return CB_OK;
}

static enum cb_status expand(struct cb_arena *arena, const struct open_file *file, struct cb_text *out,
                             struct cb_diag *diag)
{
    const char *text = NULL, *shown = NULL;
    size_t length = 0;
    CB_TRY(cb_kernel_read(arena, file->path, NULL, &text, &length, &shown, diag));
    return expand_text(arena, file, text, length, shown, out, diag);
}

enum cb_status cb__source_expand(const char *header, const char *path, struct cb_text *out, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    if (!arena) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading `%s`", path);
    }
    struct open_file file = {path, NULL, 1};
    const char *generated = cb_arena_printf(arena, "<generated for %s>", cb_path_base(path));
    enum cb_status status = header[0] ? expand_text(arena, &file, header, strlen(header), generated, out, diag) : CB_OK;
    if (status == CB_OK) {
        status = expand(arena, &file, out, diag);
    }
    if (status == CB_OK && out->failed) {
        status = cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading `%s`", path);
    }
    cb_arena_destroy(arena);
    return status;
}

static void add_folder(struct cb_arena *arena, struct cb_sha256 *sha, const char *folder)
{
    char **names = NULL;
    size_t count = 0;
    if (!folder || !cb_path_is_folder(folder) || cb_folder_list(arena, folder, &names, &count, NULL, NULL) != CB_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        char *path = cb_path_join(arena, folder, names[i]);
        const char *extension = cb_path_extension(names[i]);
        char *text = NULL;
        size_t length = 0;
        if (path && (strcmp(extension, ".cl") == 0 || strcmp(extension, ".clh") == 0) &&
            cb_file_read(arena, path, MAX_KERNEL_BYTES, &text, &length, NULL, NULL) == CB_OK) {
            cb_sha256_add(sha, names[i], strlen(names[i]) + 1);
            cb_sha256_add(sha, text, length + 1);
        }
    }
}

void cb__kernels_sha256(char hex[65])
{
    static const char *const folders[] = {"cl", "cl/core", "cl/include"};
    struct cb_sha256 *sha = cb_sha256_create();
    struct cb_arena *arena = cb_arena_create();
    memset(hex, '0', 64);
    hex[64] = '\0';
    if (sha && arena) {
        char *folder;
        for (size_t i = 0; (folder = search_folder(arena, i)); i++) {
            add_folder(arena, sha, folder);
        }
        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
            add_folder(arena, sha, cb_resource_path(arena, folders[i]));
        }
    }
    if (sha) {
        cb_sha256_finish(sha, hex);
    }
    cb_arena_destroy(arena);
}
