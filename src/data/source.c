/* source.c: which reader a source of `data:` goes to, and whether its kind is the network's. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "data/source.h"

static const struct {
    const char *key, *what;
    enum cb_modality modality;
} kinds[] = {
    {"images", "pictures", CB_IMAGE}, {"text", "texts", CB_TEXT}, {"audio", "sounds", CB_AUDIO},
    {"tensors", "tensors", CB_TENSOR},
};
#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

static const char *what_of(enum cb_modality modality)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (kinds[i].modality == modality) {
            return kinds[i].what;
        }
    }
    return "something else";
}

const char *cb__source_what(const struct cb__source *source)
{
    return what_of(source->type->image   ? CB_IMAGE
                   : source->type->words ? CB_TEXT
                   : source->type->sound ? CB_AUDIO
                                         : CB_TENSOR);
}

bool cb__is_source(const struct cb_value *map)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (cb_map_get(map, kinds[i].key)) {
            return true;
        }
    }
    return false;
}

/* The one key that names the source; NULL after an error. */
static const struct cb_entry *find_source(const struct cb_value *map, size_t *out_kind, struct cb_diag *diag)
{
    const struct cb_entry *found = NULL;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct cb_entry *entry = cb_map_entry(map, kinds[i].key);
        if (entry && found) {
            cb_fail(diag, CB_INVALID, &entry->at, "the data are named twice, by `%s` and by `%s`: one of them",
                    found->key, entry->key);
            return NULL;
        }
        if (entry) {
            found = entry;
            *out_kind = i;
        }
    }
    if (!found) {
        cb_fail(diag, CB_INVALID, &map->at, "the data are missing: name them with `images`, `text`, `audio` or "
                "`tensors`");
    } else if (!cb_expect_kind(found->value, CB_KIND_TEXT, "the path of the data", diag)) {
        return NULL;
    }
    return found;
}

static enum cb_status check_modality(const struct cb__spec *spec, const struct cb_entry *entry, size_t kind,
                                     struct cb_diag *diag)
{
    const struct cb_contract *contract = spec->contract;
    enum cb_modality modality = kinds[kind].modality;
    if (contract && modality != CB_TENSOR && modality != contract->modality) {
        cb_fail(diag, CB_MISMATCH, &entry->at, "the data are %s (`%s`), but the network's input `%s` takes %s "
                "(modality `%s`)", kinds[kind].what, entry->key, contract->name, what_of(contract->modality),
                cb_modality_name(contract->modality));
        cb_note(diag, &contract->at, "the network's input is described here");
        return CB_MISMATCH;
    }
    if (modality == CB_AUDIO) {
        return cb_fail(diag, CB_UNSUPPORTED, &entry->at, "this version reads no %s; it reads pictures, texts and tensors",
                       kinds[kind].what);
    }
    if (contract && modality == CB_IMAGE && contract->shape[2] != 1 && contract->shape[2] != 3) {
        cb_fail(diag, CB_MISMATCH, &entry->at, "pictures have 1 or 3 channels, but the network's input `%s` takes %lld",
                contract->name, (long long)contract->shape[2]);
        cb_note(diag, &contract->at, "the network's input is described here");
        return CB_MISMATCH;
    }
    return CB_OK;
}

/* Says what a file is that was given as pictures and is none. */
static enum cb_status explain_file(const char *path, const struct cb_place *at, struct cb_diag *diag)
{
    unsigned char head[32] = {0};
    FILE *file = fopen(path, "rb");
    size_t bytes = file ? fread(head, 1, sizeof head, file) : 0;
    if (file) {
        fclose(file);
    }
    enum cb_image_format format = cb_image_sniff(head, bytes);
    if (format != CB_IMAGE_UNKNOWN) {
        return cb_fail(diag, CB_INVALID, at, "`%s` is one picture (%s); name a folder of them, or say how it is cut into "
                       "tiles with `sheet: {tile: [H, W], classes: N}`", path, cb_image_format_name(format));
    }
    static const struct {
        const char *magic, *what;
    } others[] = {{"RIFF", "a sound file"}, {"fLaC", "a sound file"}, {"OggS", "a sound file"}, {"ID3", "a sound file"},
                  {"PK", "a zip archive; unpack it"}, {"\x1f\x8b", "a gzip archive; unpack it"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (bytes >= 4 && memcmp(head, others[i].magic, strlen(others[i].magic)) == 0) {
            return cb_fail(diag, CB_MISMATCH, at, "`images` names pictures, but `%s` is %s", path, others[i].what);
        }
    }
    bool text = bytes > 0 && !memchr(head, '\0', bytes);
    return cb_fail(diag, CB_MISMATCH, at, "`images` names pictures, but `%s` is %s", path,
                   bytes == 0 ? "empty" : text ? "a text file" : "no folder, picture sheet or IDX file");
}

static enum cb_status read_images(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                                  struct cb__draft *draft, struct cb_diag *diag)
{
    const struct cb_value *labels = cb_map_get(spec->map, "labels"), *sheet = cb_map_get(spec->map, "sheet");
    const struct cb_value *columns = cb_map_get(spec->map, "columns"), *group = cb_map_get(spec->map, "group");
    bool folder = cb_path_is_folder(path);
    bool table = folder && labels;
    if (!folder && cb_file_bytes(path) < 0) {
        return cb_fail(diag, CB_NOT_FOUND, at, "`%s` does not exist", path);
    }
    if (labels && !cb_expect_kind(labels, CB_KIND_TEXT, "`labels`", diag)) {
        return CB_INVALID;
    }
    if (columns && !table) {
        return cb_fail(diag, CB_INVALID, &columns->at, "`columns` names the columns of a table, but there is no table: "
                       "it needs a folder in `images` and a CSV file in `labels`");
    }
    if (group && !table) {
        return cb_fail(diag, CB_INVALID, &group->at, "`group` names a column of a table, but there is no table: it needs "
                       "a folder in `images` and a CSV file in `labels`");
    }
    if (sheet && (folder || labels)) {
        return cb_fail(diag, CB_INVALID, &sheet->at, "`sheet` cuts one picture into tiles, but `images` is a folder or "
                       "has `labels` of its own");
    }
    if (table) {
        return cb__table_read(spec, path, at, draft, diag);
    }
    if (folder) {
        return cb__idx_is_folder(draft->arena, path) ? cb__idx_read_folder(spec, path, at, draft, diag)
                                                     : cb__folder_read(spec, path, at, draft, diag);
    }
    if (sheet) {
        return cb__sheet_read(spec, path, at, draft, diag);
    }
    if (labels ? cb__idx_is_file(path) : cb__idx_is_file(path) && strstr(cb_path_base(path), "idx")) {
        return cb__idx_read(spec, path, at, draft, diag);
    }
    return explain_file(path, at, diag);
}

enum cb_status cb__source_read(const struct cb__spec *given, struct cb__draft *draft, struct cb_diag *diag)
{
    size_t kind = 0;
    const struct cb_entry *entry = find_source(given->map, &kind, diag);
    if (!entry) {
        return CB_INVALID;
    }
    struct cb__spec own = *given, *spec = &own;
    own.modality = kinds[kind].modality;
    CB_TRY(check_modality(spec, entry, kind, diag));
    const struct cb_place *at = &entry->value->at;
    const char *path = cb_path_join(draft->arena, spec->folder, entry->value->text);
    if (!path) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    if (kinds[kind].modality == CB_IMAGE) {
        return read_images(spec, path, at, draft, diag);
    }
    if (kinds[kind].modality == CB_TEXT) {
        return cb__text_read(spec, path, at, draft, diag);
    }
    static const char *const others[] = {"labels", "columns", "sheet", "group"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const struct cb_entry *other = cb_map_entry(spec->map, others[i]);
        if (other) {
            return cb_fail(diag, CB_INVALID, &other->at, "`%s` does not go with `tensors`: the file itself has `x` and "
                           "`y`", other->key);
        }
    }
    return cb__tensors_read(spec, path, at, draft, diag);
}
