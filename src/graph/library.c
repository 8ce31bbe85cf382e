/* library.c: see library.h. */
#include "graph/library.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define FOLDERS_MAX 4

/* The folders to look into, first match first. */
static size_t find_folders(struct cb_arena *arena, const struct cb_place *at, const char *out[FOLDERS_MAX])
{
    size_t count = 0;
    char *user = cb_user_data_folder(arena);
    if (at != NULL && at->source != NULL && at->source->name != NULL) {
        char *folder = cb_path_folder(arena, at->source->name);
        char *stem = folder != NULL ? cb_path_stem(arena, folder) : NULL;
        out[count] = folder != NULL ? cb_path_join(arena, folder, "blocks") : NULL;
        count += out[count] != NULL;
        if (stem != NULL && strcmp(stem, "blocks") == 0) {
            out[count++] = folder;
        }
    }
    out[count] = user != NULL ? cb_path_join(arena, user, "blocks") : NULL;
    count += out[count] != NULL;
    out[count] = cb_resource_path(arena, "configs/blocks");
    return count + (out[count] != NULL);
}

static bool is_word(const char *text)
{
    const char *c = text;
    while ((*c >= 'a' && *c <= 'z') || (c > text && ((*c >= '0' && *c <= '9') || *c == '_'))) {
        c++;
    }
    return c > text && *c == '\0';
}

static enum cb_status read_block(struct cb_arena *arena, const char *word, const char *path,
                                 const struct cb_library_block **out, struct cb_diag *diag)
{
    struct cb_library_block *block = CB_NEW(arena, struct cb_library_block);
    struct cb_value *map;
    if (block == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(cb_yaml_read_file(arena, path, &map, diag));
    if (!cb_expect_kind(map, CB_KIND_MAP, "a block", diag)) {
        return CB_INVALID;
    }
    const struct cb_value *summary = cb_map_get(map, "summary"), *parameters = cb_map_get(map, "parameters");
    *block = (struct cb_library_block){
        .word = cb_arena_strdup(arena, word), .path = path, .map = map,
        .summary = summary != NULL ? summary->text : NULL,
        .parameters = parameters != NULL && parameters->kind == CB_KIND_MAP ? parameters : NULL};
    *out = block;
    return CB_OK;
}

enum cb_status cb_library_find(struct cb_arena *arena, const char *word, const struct cb_place *at,
                               const struct cb_library_block **out, struct cb_diag *diag)
{
    const char *folders[FOLDERS_MAX];
    const size_t count = is_word(word) ? find_folders(arena, at, folders) : 0;
    *out = NULL;
    for (size_t i = 0; i < count; i++) {
        char *path = cb_arena_printf(arena, "%s/%s.yaml", folders[i], word);
        if (path != NULL && cb_path_exists(path)) {
            return read_block(arena, word, path, out, diag);
        }
    }
    return CB_OK;
}

static int by_word(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum cb_status cb_library_words(struct cb_arena *arena, const struct cb_place *at, const char ***out_words,
                                size_t *out_count, struct cb_diag *diag)
{
    const char *folders[FOLDERS_MAX];
    char **names[FOLDERS_MAX];
    size_t counts[FOLDERS_MAX], total = 0, kept = 0;
    const size_t folder_count = find_folders(arena, at, folders);
    for (size_t i = 0; i < folder_count; i++) {
        counts[i] = 0;
        if (cb_path_is_folder(folders[i])) {
            CB_TRY(cb_folder_list(arena, folders[i], &names[i], &counts[i], NULL, diag));
        }
        total += counts[i];
    }
    const char **words = CB_NEW_ARRAY(arena, const char *, total + 1);
    for (size_t i = 0; words != NULL && i < folder_count; i++) {
        for (size_t k = 0; k < counts[i]; k++) {
            const char *stem = cb_ends_with(names[i][k], ".yaml") ? cb_path_stem(arena, names[i][k]) : NULL;
            if (stem != NULL && is_word(stem)) {
                words[kept++] = stem;
            }
        }
    }
    if (words == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    qsort(words, kept, sizeof(*words), by_word);
    *out_count = 0;
    for (size_t i = 0; i < kept; i++) {
        if (*out_count == 0 || strcmp(words[*out_count - 1], words[i]) != 0) {
            words[(*out_count)++] = words[i];
        }
    }
    *out_words = words;
    return CB_OK;
}

/* ---- a word that is none ---- */

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

enum cb_status cb_library_fail_unknown(struct cb_arena *arena, struct cb_registry *registry, const char *word,
                                       const struct cb_value *own, const struct cb_place *at, struct cb_diag *diag)
{
    const char **layers, **library;
    size_t layer_count, library_count, count = 0;
    CB_TRY(cb_registry_words(registry, arena, &layers, &layer_count, diag));
    CB_TRY(cb_library_words(arena, at, &library, &library_count, diag));
    const size_t own_count = own != NULL && own->kind == CB_KIND_MAP ? own->as.map.count : 0;
    const char **words = CB_NEW_ARRAY(arena, const char *, layer_count + own_count + library_count + 1);
    for (size_t i = 0; words != NULL && i < layer_count; i++) {
        words[count++] = layers[i];
    }
    for (size_t i = 0; words != NULL && i < own_count; i++) {
        words[count++] = own->as.map.entries[i].key;
    }
    for (size_t i = 0; words != NULL && i < library_count; i++) {
        words[count++] = library[i];
    }
    if (at != NULL && at->source != NULL && cb_ends_with(at->source->name, ".safetensors")) { /* a run, not a typing error */
        return cb_fail(diag, CB_NOT_FOUND, at, "the network has a layer `%s`, whose plugin is not found here: put `%s.so` into "
                       "your plugin folder, or name its folder in CAMBIUM_PLUGIN_PATH", word, word);
    }
    const char *nearest = words != NULL ? cb_nearest_of(word, words, count) : NULL;
    if (nearest == NULL) {
        return cb_fail(diag, CB_NOT_FOUND, at, "there is no layer `%s`; `cambium layers` lists what there is", word);
    }
    return cb_fail(diag, CB_NOT_FOUND, at, "there is no layer%s `%s`; did you mean `%s`?",
                   is_one_of(nearest, layers, layer_count) ? "" : " and no block", word, nearest);
}
