/* files.c: the source whose items are picture files, one each. Only their paths are held. */
#include <stdio.h>

#include "data/source.h"

struct files {
    struct cb__source source;
    const char *const *paths;
};

static void files_name(const struct cb__source *source, uint32_t item, char *out, size_t room)
{
    snprintf(out, room, "%s", ((const struct files *)source)->paths[item]);
}

static const char *files_path(const struct cb__source *source, uint32_t item)
{
    return ((const struct files *)source)->paths[item];
}

static bool files_image(const struct cb__source *source, uint32_t item, struct cb_image *out, struct cb__why *why)
{
    return cb__image_read(((const struct files *)source)->paths[item], out, why);
}

const struct cb__source *cb__files_source(struct cb_arena *arena, const char *path, const char *const *paths)
{
    static const struct cb__source_type type = {.name = files_name, .path = files_path, .image = files_image};
    struct files *files = CB_NEW(arena, struct files);
    if (!files) {
        return NULL;
    }
    files->source = (struct cb__source){.type = &type, .path = path};
    files->paths = paths;
    return &files->source;
}
