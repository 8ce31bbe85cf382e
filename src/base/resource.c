/* resource.c: where the program's own files are, and the user's folders.
 *
 * A library that lies in its build folder uses the source tree; an installed one the prefix it lies in, wherever that was
 * moved to. So a build that is not installed works in place, and an installed program never reads a source tree. */
#include "base/file.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

/* Meson defines them; without it only CAMBIUM_HOME finds anything. */
#ifndef CB_SOURCE_ROOT
#define CB_SOURCE_ROOT ""
#endif
#ifndef CB_BUILD_ROOT
#define CB_BUILD_ROOT ""
#endif
#ifndef CB_INSTALL_DATA
#define CB_INSTALL_DATA ""
#endif
#ifndef CB_INSTALL_PLUGINS
#define CB_INSTALL_PLUGINS ""
#endif
#ifndef CB_INSTALL_INCLUDE
#define CB_INSTALL_INCLUDE ""
#endif
#ifndef CB_INSTALL_DOCS
#define CB_INSTALL_DOCS ""
#endif
#ifndef CB_INSTALL_PROGRAMS
#define CB_INSTALL_PROGRAMS ""
#endif

/* The folder of the library (or program) that holds this function, without links. NULL when it can't be told. */
static char *own_folder(struct cb_arena *arena)
{
    Dl_info info;
    char resolved[PATH_MAX];
    union { /* ISO C has no conversion from function to object pointers */
        char *(*function)(struct cb_arena *);
        void *address;
    } self = {own_folder};
    if (!dladdr(self.address, &info) || !info.dli_fname) {
        return NULL;
    }
    /* A program's name is argv[0], which need not be a path. */
    bool is_path = strchr(info.dli_fname, '/') && realpath(info.dli_fname, resolved);
    if (!is_path && !realpath("/proc/self/exe", resolved)) {
        return NULL;
    }
    return cb_path_folder(arena, resolved);
}

static bool is_inside(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return length > 0 && strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static char *if_exists(char *path)
{
    return path && cb_path_exists(path) ? path : NULL;
}

/* `absolute`, a path below the prefix, as seen from the library's folder `from`: the prefix may have been moved. The
 * library was to lie two folders above CB_INSTALL_PLUGINS (libdir/cambium/plugins). */
static char *relocated(struct cb_arena *arena, const char *from, const char *absolute)
{
    const char *planned = cb_path_folder(arena, cb_path_folder(arena, CB_INSTALL_PLUGINS));
    size_t common = 0;
    for (size_t i = 0; planned && planned[i] && planned[i] == absolute[i]; i++) {
        bool ends_part = planned[i + 1] == '/' || planned[i + 1] == '\0';
        if (ends_part && (absolute[i + 1] == '/' || absolute[i + 1] == '\0')) {
            common = i + 1;
        }
    }
    if (!planned || common == 0) {
        return NULL;
    }
    char *result = cb_arena_strdup(arena, from);
    for (const char *p = planned + common; result && *p; p++) {
        if (*p == '/') {
            result = cb_path_folder(arena, result);
        }
    }
    return result ? cb_arena_printf(arena, "%s%s", result, absolute + common) : NULL;
}

static char *installed(struct cb_arena *arena, const char *from, const char *root, const char *below)
{
    char *moved = from ? relocated(arena, from, root) : NULL;
    char *path = moved ? if_exists(cb_arena_printf(arena, "%s%s", moved, below)) : NULL;
    return path ? path : if_exists(cb_arena_printf(arena, "%s%s", root, below));
}

/* What does not lie in the data folder once it is installed. */
static const struct elsewhere {
    const char *name;  /* the first part of the path */
    const char *built; /* below the build folder; NULL: it is a part of the source tree */
    const char *installed;
} elsewheres[] = {
    {"plugins", "/plugins", CB_INSTALL_PLUGINS},
    {"include", NULL, CB_INSTALL_INCLUDE},
    {"docs", NULL, CB_INSTALL_DOCS},
    {"bin", "", CB_INSTALL_PROGRAMS},
};

/* NULL for what lies in the data folder; `*out_below` is what follows the name: "" or "/conv2d.so". */
static const struct elsewhere *find_elsewhere(const char *relative, const char **out_below)
{
    for (size_t i = 0; i < sizeof(elsewheres) / sizeof(elsewheres[0]); i++) {
        const struct elsewhere *one = &elsewheres[i];
        *out_below = relative + strlen(one->name);
        if (cb_starts_with(relative, one->name) && (**out_below == '\0' || **out_below == '/')) {
            return one;
        }
    }
    return NULL;
}

char *cb_resource_path(struct cb_arena *arena, const char *relative)
{
    const char *home = getenv("CAMBIUM_HOME");
    const char *below;
    const struct elsewhere *place = find_elsewhere(relative, &below);
    char *path = home && *home ? if_exists(cb_path_join(arena, home, relative)) : NULL;
    if (path) {
        return path;
    }
    char *own = own_folder(arena);
    char build[PATH_MAX];
    if (own && *CB_BUILD_ROOT && realpath(CB_BUILD_ROOT, build) && is_inside(own, build)) {
        return if_exists(place && place->built ? cb_arena_printf(arena, "%s%s%s", build, place->built, below)
                                               : cb_path_join(arena, CB_SOURCE_ROOT, relative));
    }
    if (place) {
        return installed(arena, own, place->installed, below);
    }
    char *suffix = cb_arena_printf(arena, "/%s", relative);
    return suffix ? installed(arena, own, CB_INSTALL_DATA, suffix) : NULL;
}

/* The first that is set: $variable, $xdg/cambium, ~/fallback/cambium; made when missing. */
static char *user_folder(struct cb_arena *arena, const char *variable, const char *xdg, const char *fallback)
{
    const char *own = getenv(variable), *base = getenv(xdg), *home = getenv("HOME");
    char *path = NULL;
    if (own && *own) {
        path = cb_arena_strdup(arena, own);
    } else if (base && base[0] == '/') { /* the XDG specification: relative paths are to be ignored */
        path = cb_arena_printf(arena, "%s/cambium", base);
    } else if (home && *home) {
        path = cb_arena_printf(arena, "%s/%s/cambium", home, fallback);
    }
    if (!path || cb_make_folders(path, NULL) != CB_OK || access(path, W_OK | X_OK) != 0) {
        return NULL;
    }
    return path;
}

char *cb_user_cache_folder(struct cb_arena *arena)
{
    return user_folder(arena, "CAMBIUM_CACHE", "XDG_CACHE_HOME", ".cache");
}

char *cb_user_data_folder(struct cb_arena *arena)
{
    return user_folder(arena, "CAMBIUM_DATA", "XDG_DATA_HOME", ".local/share");
}
