/* folder.c: a folder per class, or train/, val/, test/ with a folder per class in each. Class folders may have folders in
 * them; what is in those belongs to the class. Files that are no pictures (texts, sounds) by their names are left out, and
 * mentioned. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "data/source.h"

#define MAX_DEPTH 16 /* of folders in a class folder: links could make a ring */

/* Files by the ending of their names. */
enum kind { KIND_PICTURE, KIND_UNREADABLE_PICTURE, KIND_SOUND, KIND_TEXT, KIND_OTHER, KIND_COUNT };

/* What is looked for, and how it is called. */
struct wanted {
    enum kind kind;
    const char *key, *one, *many; /* "images", "picture", "pictures" */
    const char *container;        /* an example of a table of them */
};
static const struct wanted wanted_kinds[] = {
    [CB_IMAGE] = {KIND_PICTURE, "images", "picture", "pictures", "name a table with `labels: FILE.csv`"},
    [CB_TEXT] = {KIND_TEXT, "text", "text", "texts", "name a table of texts and labels, `text: FILE.csv`"},
    [CB_AUDIO] = {KIND_SOUND, "audio", "sound", "sounds", "name a table with `labels: FILE.csv`"},
};

struct walk {
    const struct cb__spec *spec;
    const struct wanted *wanted;
    const struct cb_place *at;
    struct cb__draft *draft;
    struct cb_diag *diag;
    const char **paths;
    uint32_t path_room;
    uint32_t counts[KIND_COUNT];
    const char *examples[KIND_COUNT];
    const char *of_others; /* a class folder that holds data of other kinds, but nothing that is looked for */
};

static enum kind kind_of(const char *name)
{
    static const struct {
        const char *ending;
        enum kind kind;
    } others[] = {
        {".gif", KIND_UNREADABLE_PICTURE}, {".bmp", KIND_UNREADABLE_PICTURE}, {".tif", KIND_UNREADABLE_PICTURE},
        {".tiff", KIND_UNREADABLE_PICTURE}, {".avif", KIND_UNREADABLE_PICTURE}, {".svg", KIND_UNREADABLE_PICTURE},
        {".jp2", KIND_UNREADABLE_PICTURE}, {".jxl", KIND_UNREADABLE_PICTURE}, {".ppm", KIND_UNREADABLE_PICTURE},
        {".wav", KIND_SOUND}, {".flac", KIND_SOUND}, {".ogg", KIND_SOUND}, {".mp3", KIND_SOUND},
        {".opus", KIND_SOUND}, {".m4a", KIND_SOUND}, {".aiff", KIND_SOUND},
        {".txt", KIND_TEXT}, {".text", KIND_TEXT}, {".csv", KIND_TEXT}, {".tsv", KIND_TEXT}, {".json", KIND_TEXT}, {".jsonl", KIND_TEXT},
    };
    if (cb_image_has_extension(name)) {
        return KIND_PICTURE;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcasecmp(cb_path_extension(name), others[i].ending) == 0) {
            return others[i].kind;
        }
    }
    return KIND_OTHER;
}

static bool add_path(struct walk *walk, const char *path, const char *label, enum cb_part part)
{
    struct cb__draft *draft = walk->draft;
    if (draft->count == walk->path_room) {
        uint32_t room = walk->path_room ? walk->path_room * 2 : 256;
        const char **larger = CB_NEW_ARRAY(draft->arena, const char *, room);
        if (!larger) {
            return false;
        }
        if (draft->count > 0) {
            memcpy(larger, walk->paths, draft->count * sizeof *larger);
        }
        walk->paths = larger;
        walk->path_room = room;
    }
    walk->paths[draft->count] = path;
    return cb__draft_add(draft, draft->count, label, NULL, NULL, part);
}

/* A text's name often has no ending; a table is no text. */
static bool is_wanted(const struct walk *walk, const char *name, enum kind kind)
{
    if (walk->wanted->kind != KIND_TEXT) {
        return kind == walk->wanted->kind;
    }
    const char *ending = cb_path_extension(name);
    return *ending == '\0' || strcasecmp(ending, ".txt") == 0 || strcasecmp(ending, ".text") == 0;
}

/* Adds every file of the kind below `folder` with one label. */
static enum cb_status walk_class(struct walk *walk, const char *folder, const char *label, enum cb_part part,
                                 unsigned depth)
{
    char **names;
    size_t count;
    CB_TRY(cb_folder_list(walk->draft->arena, folder, &names, &count, walk->at, walk->diag));
    for (size_t i = 0; i < count; i++) {
        char *path = cb_path_join(walk->draft->arena, folder, names[i]);
        if (!path) {
            return cb_fail(walk->diag, CB_MEMORY, NULL, "out of memory while listing `%s`", folder);
        }
        enum kind kind = kind_of(names[i]);
        if (cb_path_is_folder(path)) {
            if (depth == MAX_DEPTH) {
                return cb_fail(walk->diag, CB_INVALID, walk->at, "folders in `%s` are more than %d deep", folder,
                               MAX_DEPTH);
            }
            CB_TRY(walk_class(walk, path, label, part, depth + 1));
            continue;
        }
        bool wanted = is_wanted(walk, names[i], kind);
        if (wanted && !add_path(walk, path, label, part)) {
            return cb_fail(walk->diag, CB_MEMORY, NULL, "out of memory while listing `%s`", folder);
        }
        if (wanted) {
            continue;
        }
        walk->counts[kind]++;
        walk->examples[kind] = walk->examples[kind] ? walk->examples[kind] : path;
    }
    return CB_OK;
}

/* The folders in `folder`, and how many files of the kind lie beside them. */
static enum cb_status list_folders(struct walk *walk, const char *folder, char ***out_names, size_t *out_count,
                                   uint32_t *out_loose)
{
    char **names;
    size_t count, folders = 0;
    uint32_t loose = 0;
    CB_TRY(cb_folder_list(walk->draft->arena, folder, &names, &count, walk->at, walk->diag));
    for (size_t i = 0; i < count; i++) {
        char *path = cb_path_join(walk->draft->arena, folder, names[i]);
        if (path && cb_path_is_folder(path)) {
            names[folders++] = names[i];
            continue;
        }
        enum kind kind = kind_of(names[i]);
        if (kind == walk->wanted->kind && is_wanted(walk, names[i], kind)) {
            loose++;
            walk->examples[kind] = path;
        } else if (kind == KIND_SOUND || (kind == KIND_PICTURE && walk->wanted->kind != KIND_PICTURE)) {
            walk->examples[kind] = path;
            walk->counts[kind]++;
        }
    }
    *out_names = names;
    *out_count = folders;
    *out_loose = loose;
    return CB_OK;
}

/* A folder per class. */
static enum cb_status walk_classes(struct walk *walk, const char *folder, char **names, size_t count,
                                   enum cb_part part)
{
    enum cb_status status = CB_OK;
    for (size_t i = 0; i < count; i++) {
        static const enum kind data[] = {KIND_PICTURE, KIND_SOUND, KIND_TEXT};
        uint32_t before = walk->draft->count, others = 0;
        for (size_t k = 0; k < 3; k++) {
            others += walk->counts[data[k]];
        }
        CB_TRY(walk_class(walk, cb_path_join(walk->draft->arena, folder, names[i]), names[i], part, 0));
        uint32_t others_now = 0;
        for (size_t k = 0; k < 3; k++) {
            others_now += walk->counts[data[k]];
        }
        bool is_other_data = others_now > others;
        if (walk->draft->count == before && is_other_data) {
            walk->of_others = cb_path_join(walk->draft->arena, folder, names[i]);
        } else if (walk->draft->count == before) {
            status = cb_fail(walk->diag, CB_INVALID, walk->at, "the class folder `%s/%s` has no %s", folder, names[i],
                             walk->wanted->many);
        }
    }
    return status;
}

static bool part_of(const char *name, enum cb_part *out)
{
    static const struct {
        const char *name;
        enum cb_part part;
    } parts[] = {{"train", CB_PART_TRAIN},     {"training", CB_PART_TRAIN},      {"test", CB_PART_TEST},
                 {"testing", CB_PART_TEST},    {"val", CB_PART_VALIDATION},      {"valid", CB_PART_VALIDATION},
                 {"validation", CB_PART_VALIDATION}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strcasecmp(name, parts[i].name) == 0) {
            *out = parts[i].part;
            return true;
        }
    }
    return false;
}

/* True when every folder is a part, and one of them is for training. */
static bool are_parts(char **names, size_t count)
{
    bool has_train = false;
    for (size_t i = 0; i < count; i++) {
        enum cb_part part;
        if (!part_of(names[i], &part)) {
            return false;
        }
        has_train |= part == CB_PART_TRAIN;
    }
    return has_train;
}

/* All classes of all parts, in natural order. */
static bool set_classes(struct cb__draft *draft)
{
    int32_t *unused = CB_NEW_ARRAY(draft->arena, int32_t, (size_t)draft->count + 1);
    return unused && cb__index_texts(draft->arena, draft->labels, draft->count, unused, &draft->classes,
                                     &draft->class_count);
}

static enum cb_status explain_nothing(const struct walk *walk, const char *path, uint32_t loose)
{
    struct cb_arena *arena = walk->draft->arena;
    const struct wanted *wanted = walk->wanted;
    if (loose) {
        return cb_fail(walk->diag, CB_INVALID, walk->at,
                       "`%s` holds %u %s but no folder per class; put each class's %s into a folder of its own, or %s", path,
                       loose, loose == 1 ? wanted->one : wanted->many, wanted->many, wanted->container);
    }
    static const struct {
        enum kind kind;
        const char *what;
    } others[] = {{KIND_SOUND, "sound files"}, {KIND_TEXT, "texts"}, {KIND_PICTURE, "pictures"}};
    for (size_t i = 0; i < 3; i++) {
        enum kind kind = others[i].kind;
        if (walk->counts[kind] && kind != wanted->kind) {
            return cb_fail(walk->diag, CB_MISMATCH, walk->at,
                           "`%s` names %s, but `%s` holds %s (%u, for example `%s`) and no %s", wanted->key, wanted->many,
                           path, others[i].what, walk->counts[kind], walk->examples[kind], wanted->one);
        }
    }
    char *prepare = cb_path_join(arena, path, "prepare");
    if (prepare && cb_file_bytes(prepare) > 0) {
        return cb_fail(walk->diag, CB_NOT_FOUND, walk->at, "`%s` has no %s yet: run `%s` once to get them", path,
                       walk->wanted->many, prepare);
    }
    if (walk->counts[KIND_UNREADABLE_PICTURE] && wanted->kind == KIND_PICTURE) {
        return cb_fail(walk->diag, CB_UNSUPPORTED, walk->at,
                       "`%s` holds only pictures of kinds that are not read (for example `%s`); JPEG, PNG, WebP and "
                       "HEIC are", path, walk->examples[KIND_UNREADABLE_PICTURE]);
    }
    return cb_fail(walk->diag, CB_INVALID, walk->at, "`%s` has no %s, and no folder per class", path, wanted->many);
}

static void mention_others(const struct walk *walk, const char *path, uint32_t loose)
{
    const struct wanted *wanted = walk->wanted;
    bool pictures = wanted->kind == KIND_PICTURE;
    uint32_t unreadable = walk->counts[KIND_UNREADABLE_PICTURE];
    if (unreadable && pictures) {
        cb_warn(walk->diag, walk->at, "%u picture%s in `%s` of kinds that are not read (for example `%s`) %s left out; "
                "JPEG, PNG, WebP and HEIC are read", unreadable, unreadable == 1 ? "" : "s", path,
                walk->examples[KIND_UNREADABLE_PICTURE], unreadable == 1 ? "is" : "are");
    }
    if (loose) {
        cb_warn(walk->diag, walk->at, "%u %s in `%s` outside of the class folders %s left out (for example `%s`)", loose,
                loose == 1 ? wanted->one : wanted->many, path, loose == 1 ? "is" : "are", walk->examples[wanted->kind]);
    }
    uint32_t others = 0;
    const char *example = NULL;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (walk->counts[kind] && !(pictures && kind == KIND_UNREADABLE_PICTURE)) {
            others += walk->counts[kind];
            example = walk->examples[kind];
        }
    }
    if (others) {
        cb_note(walk->diag, walk->at, "%u file%s in `%s` %s no %s and %s left out (for example `%s`)", others,
                others == 1 ? "" : "s", path, others == 1 ? "is" : "are", wanted->one, others == 1 ? "is" : "are", example);
    }
}

enum cb_status cb__folder_read(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                               struct cb__draft *draft, struct cb_diag *diag)
{
    struct walk walk = {.spec = spec, .wanted = &wanted_kinds[spec->modality], .at = at, .draft = draft, .diag = diag};
    char **names;
    size_t count;
    uint32_t loose, all_loose;
    CB_TRY(list_folders(&walk, path, &names, &count, &all_loose));
    if (count == 1 && strcmp(names[0], walk.wanted->key) == 0) { /* a description beside its pictures */
        path = cb_path_join(draft->arena, path, names[0]);
        CB_TRY(list_folders(&walk, path, &names, &count, &all_loose));
    }
    if (are_parts(names, count)) {
        for (size_t i = 0; i < count; i++) {
            enum cb_part part = CB_PART_ANY;
            part_of(names[i], &part);
            char *folder = cb_path_join(draft->arena, path, names[i]);
            char **classes;
            size_t class_count;
            CB_TRY(list_folders(&walk, folder, &classes, &class_count, &loose));
            CB_TRY(walk_classes(&walk, folder, classes, class_count, part));
            all_loose += loose;
        }
    } else {
        CB_TRY(walk_classes(&walk, path, names, count, CB_PART_ANY));
    }
    if (draft->count == 0) {
        return explain_nothing(&walk, path, all_loose);
    }
    if (walk.of_others) {
        return cb_fail(diag, CB_INVALID, at, "the class folder `%s` has no %s", walk.of_others, walk.wanted->many);
    }
    mention_others(&walk, path, all_loose);
    draft->source = cb__files_source(draft->arena, path, walk.paths, spec->modality);
    if (!draft->source || !set_classes(draft)) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while listing `%s`", path);
    }
    return CB_OK;
}
