/* files.c: the source whose items are files, one each: pictures or texts. Only their paths are held. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

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

void cb__words_free(struct cb__words *words)
{
    free(words->text);
    free(words->pair);
    *words = (struct cb__words){0};
}

static bool files_words(const struct cb__source *source, uint32_t item, struct cb__words *out, struct cb__why *why)
{
    const char *path = ((const struct files *)source)->paths[item];
    FILE *file = fopen(path, "rb");
    int64_t bytes = cb_file_bytes(path);
    if (!file || bytes < 0 || bytes > CB__MAX_TEXT_BYTES) {
        if (file) {
            fclose(file);
        }
        return !file || bytes < 0 ? cb__because(why, CB_IO, "cannot be read")
                                  : cb__because(why, CB_UNSUPPORTED, "has more than %d MiB", CB__MAX_TEXT_BYTES >> 20);
    }
    *out = (struct cb__words){.text = malloc((size_t)bytes + 1)};
    size_t read = out->text ? fread(out->text, 1, (size_t)bytes, file) : 0;
    bool failed = ferror(file);
    fclose(file);
    if (!out->text || failed) {
        cb__words_free(out);
        return failed ? cb__because(why, CB_IO, "cannot be read") : cb__because(why, CB_MEMORY, "does not fit into memory");
    }
    out->bytes = read;
    out->text[read] = '\0';
    return true;
}

const struct cb__source *cb__files_source(struct cb_arena *arena, const char *path, const char *const *paths,
                                          enum cb_modality modality)
{
    static const struct cb__source_type types[] = {
        [CB_IMAGE] = {.name = files_name, .path = files_path, .image = files_image},
        [CB_TEXT] = {.name = files_name, .path = files_path, .words = files_words},
    };
    struct files *files = CB_NEW(arena, struct files);
    if (!files) {
        return NULL;
    }
    files->source = (struct cb__source){.type = &types[modality], .path = path};
    files->paths = paths;
    return &files->source;
}
