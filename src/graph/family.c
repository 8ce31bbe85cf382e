/* family.c: see family.h. */
#include "graph/family.h"

#include <stdlib.h>
#include <string.h>

#include "base/expression.h"
#include "base/file.h"
#include "base/text.h"

/* Keys of the file that a member may replace, and in which parameters may stand. */
static const char *const own_keys[] = {"input",  "inputs",  "own_input", "weights", "names",
                                       "labels", "licence", "source",    "output",  "replace"};
#define OWN_KEYS (sizeof(own_keys) / sizeof(own_keys[0]))

static bool is_own(const char *key)
{
    bool found = false;
    for (size_t i = 0; i < OWN_KEYS; i++) {
        found = found || strcmp(key, own_keys[i]) == 0;
    }
    return found;
}

static enum cb_status no_memory(const struct cb_value *file, struct cb_diag *diag)
{
    return cb_fail(diag, CB_MEMORY, &file->at, "out of memory");
}

/* ---- a member ------------------------------------------------------------------------------------------------------ */

static enum cb_status find_parameter(void *context, const char *text, size_t length, const struct cb_place *at,
                                     const struct cb_value **out, struct cb_diag *diag)
{
    const struct cb_value *parameters = context;
    const char *keys[64];
    size_t count = 0;
    char name[128];
    for (size_t i = 0; parameters != NULL && i < parameters->as.map.count; i++) {
        const struct cb_entry *entry = &parameters->as.map.entries[i];
        if (strlen(entry->key) == length && memcmp(entry->key, text, length) == 0) {
            *out = entry->value;
            return CB_OK;
        }
        if (count < sizeof(keys) / sizeof(keys[0])) {
            keys[count++] = entry->key;
        }
    }
    length = length < sizeof(name) ? length : sizeof(name) - 1;
    memcpy(name, text, length);
    name[length] = '\0';
    const char *nearest = cb_nearest_of(name, keys, count);
    return cb_fail(diag, CB_NOT_FOUND, at, "the file has no parameter `%s` (above this place)%s%s%s", name,
                   nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "", nearest != NULL ? "`?" : "");
}

/* Lists the members, for a message. */
static const char *list_members(struct cb_arena *arena, const struct cb_value *models)
{
    const char *text = "";
    for (size_t i = 0; i < models->as.map.count && text != NULL; i++) {
        text = cb_arena_printf(arena, "%s%s%s", text, i > 0 ? ", " : "", models->as.map.entries[i].key);
    }
    return text != NULL ? text : "";
}

static enum cb_status find_member(struct cb_arena *arena, const struct cb_value *file, const char *member,
                                  const struct cb_value **out, struct cb_diag *diag)
{
    const struct cb_value *models = cb_map_get(file, "models"), *name = cb_map_get(file, "name");
    const char *family = name != NULL && name->text != NULL ? name->text : "this file";
    *out = NULL;
    if (models == NULL && member == NULL) {
        return CB_OK;
    }
    if (models == NULL || models->kind != CB_KIND_MAP || models->as.map.count == 0) {
        return models == NULL ? cb_fail(diag, CB_NOT_FOUND, &file->at, "`%s` has no `models`, so there is no `%s` in it",
                                        family, member)
                              : cb_fail(diag, CB_INVALID, &models->at, "`models` must be a map of names to parameters");
    }
    if (member == NULL) {
        return cb_fail(diag, CB_INVALID, &models->at, "`%s` is a family; name one of its models: %s", family,
                       list_members(arena, models));
    }
    const struct cb_entry *entry = cb_map_entry(models, member);
    if (entry == NULL) {
        return cb_fail(diag, CB_NOT_FOUND, &models->at, "`%s` has no model `%s`; it has: %s", family, member,
                       list_members(arena, models));
    }
    *out = entry->value;
    if (entry->value->kind != CB_KIND_MAP && entry->value->kind != CB_KIND_NULL) {
        return cb_fail(diag, CB_INVALID, &entry->at, "a model is a map of parameters, not %s",
                       cb_kind_name(entry->value->kind));
    }
    return CB_OK;
}

/* Puts the member's keys into the file. */
static enum cb_status lay_over(struct cb_arena *arena, struct cb_value *file, struct cb_value *parameters,
                               const struct cb_value *member, struct cb_diag *diag)
{
    for (size_t i = 0; member != NULL && member->kind == CB_KIND_MAP && i < member->as.map.count; i++) {
        const struct cb_entry *entry = &member->as.map.entries[i];
        struct cb_value *value = cb_value_clone(arena, entry->value), *input = cb_map_get(file, "input");
        bool ok = value != NULL;
        if (cb_map_entry(parameters, entry->key) != NULL) {
            ok = ok && cb_map_set(arena, parameters, entry->key, value);
        } else if (!is_own(entry->key)) {
            const char *keys[64 + OWN_KEYS];
            size_t count = 0;
            for (size_t k = 0; k < parameters->as.map.count && count < 64; k++) {
                keys[count++] = parameters->as.map.entries[k].key;
            }
            for (size_t k = 0; k < OWN_KEYS; k++) {
                keys[count++] = own_keys[k];
            }
            const char *nearest = cb_nearest_of(entry->key, keys, count);
            return cb_fail(diag, CB_INVALID, &entry->at, "`%s` is no parameter of the file%s%s%s", entry->key,
                           nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                           nearest != NULL ? "`?" : "");
        } else if (strcmp(entry->key, "input") == 0 && input != NULL && input->kind == CB_KIND_MAP &&
                   value != NULL && value->kind == CB_KIND_MAP) {
            for (size_t k = 0; ok && k < value->as.map.count; k++) {
                ok = cb_map_set(arena, input, value->as.map.entries[k].key, value->as.map.entries[k].value);
            }
        } else {
            ok = ok && cb_map_set(arena, file, entry->key, value);
        }
        if (!ok) {
            return no_memory(file, diag);
        }
    }
    return CB_OK;
}

/* Computes the parameters in their order; each may use those above it. */
static enum cb_status settle_parameters(struct cb_arena *arena, struct cb_value *parameters, const char *member,
                                        struct cb_diag *diag)
{
    struct cb_value above = *parameters;
    const struct cb_names names = {find_parameter, &above};
    for (size_t i = 0; i < parameters->as.map.count; i++) {
        struct cb_entry *entry = &parameters->as.map.entries[i];
        above.as.map.count = i;
        CB_TRY(cb_value_substitute(arena, &names, entry->value, diag));
        if (entry->value->kind == CB_KIND_NULL) {
            return cb_fail(diag, CB_INVALID, &entry->at, "%s%s%s its parameter `%s`", member != NULL ? "`" : "the network",
                           member != NULL ? member : "", member != NULL ? "` needs" : " needs", entry->key);
        }
    }
    return CB_OK;
}

enum cb_status cb_family_settle(struct cb_arena *arena, const struct cb_value *file, const char *member,
                                struct cb_value **out, struct cb_diag *diag)
{
    const struct cb_value *chosen, *given = cb_map_get(file, "parameters");
    CB_TRY(find_member(arena, file, member, &chosen, diag));
    if (given != NULL && given->kind != CB_KIND_MAP) {
        return cb_fail(diag, CB_INVALID, &given->at, "`parameters` must be a map of names to defaults, not %s",
                       cb_kind_name(given->kind));
    }
    struct cb_value *settled = cb_value_map(arena, &file->at);
    struct cb_value *parameters = given != NULL ? cb_value_clone(arena, given) : cb_value_map(arena, &file->at);
    if (settled == NULL || parameters == NULL) {
        return no_memory(file, diag);
    }
    for (size_t i = 0; i < file->as.map.count; i++) { /* layers and blocks, which may be long, are shared */
        const struct cb_entry *entry = &file->as.map.entries[i];
        struct cb_value *value = is_own(entry->key) ? cb_value_clone(arena, entry->value) : entry->value;
        const bool is_left_out = strcmp(entry->key, "models") == 0 || strcmp(entry->key, "parameters") == 0;
        if (!is_left_out && (value == NULL || !cb_map_set(arena, settled, entry->key, value))) {
            return no_memory(file, diag);
        }
    }
    CB_TRY(lay_over(arena, settled, parameters, chosen, diag));
    CB_TRY(settle_parameters(arena, parameters, member, diag));
    const struct cb_names names = {find_parameter, parameters};
    for (size_t i = 0; i < OWN_KEYS; i++) {
        CB_TRY(cb_value_substitute(arena, &names, cb_map_get(settled, own_keys[i]), diag));
    }
    if ((member != NULL && !cb_map_set(arena, settled, "name", cb_value_text(arena, member, &file->at))) ||
        (given != NULL && !cb_map_set(arena, settled, "parameters", parameters))) {
        return no_memory(file, diag);
    }
    *out = settled;
    return CB_OK;
}

/* ---- a folder of them ---------------------------------------------------------------------------------------------- */

/* Calls `visit` for each network file until it returns false. Files that cannot be read are passed over. */
static enum cb_status visit_files(struct cb_arena *arena, const char *folder, const char *word,
                                  bool (*visit)(void *context, char *path, struct cb_value *file), void *context,
                                  struct cb_diag *diag)
{
    char **names;
    size_t count, bytes;
    CB_TRY(cb_folder_list(arena, folder, &names, &count, NULL, diag));
    struct cb_diag *aside = cb_diag_create();
    if (aside == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    bool goes_on = true;
    for (size_t i = 0; i < count && goes_on; i++) {
        char *path = cb_path_join(arena, folder, names[i]), *text;
        struct cb_value *file;
        if (path == NULL || strcmp(cb_path_extension(names[i]), ".yaml") != 0 ||
            cb_file_read(arena, path, CB_YAML_MAX_BYTES, &text, &bytes, NULL, aside) != CB_OK ||
            (word != NULL && strstr(text, word) == NULL) || /* most files need not be parsed */
            cb_yaml_read_text(arena, path, text, bytes, &file, aside) != CB_OK) {
            continue;
        }
        goes_on = visit(context, path, file);
    }
    cb_diag_destroy(aside);
    return CB_OK;
}

struct search {
    const char *name;
    char *path;
    struct cb_value *file;
};

static bool has_member(void *context, char *path, struct cb_value *file)
{
    struct search *search = context;
    if (cb_map_entry(cb_map_get(file, "models"), search->name) == NULL) {
        return true;
    }
    search->path = path;
    search->file = file;
    return false;
}

enum cb_status cb_family_find(struct cb_arena *arena, const char *folder, const char *name, char **out_path,
                              struct cb_value **out_file, const char **out_member, struct cb_diag *diag)
{
    char *path = cb_arena_printf(arena, "%s/%s.yaml", folder, name);
    if (path == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    if (strchr(name, '/') != NULL || name[0] == '\0') {
        return CB_NOT_FOUND;
    }
    struct search search = {.name = name};
    if (cb_path_exists(path)) {
        CB_TRY(cb_yaml_read_file(arena, path, &search.file, diag));
        search.path = path;
    } else {
        CB_TRY(visit_files(arena, folder, name, has_member, &search, diag));
    }
    if (search.path == NULL) {
        return CB_NOT_FOUND;
    }
    *out_path = search.path;
    *out_file = search.file;
    *out_member = cb_map_entry(cb_map_get(search.file, "models"), name) != NULL ? cb_arena_strdup(arena, name) : NULL;
    return CB_OK;
}

struct listing {
    struct cb_arena *arena;
    struct cb_value *names; /* a list of texts */
    bool failed;
};

static bool list_file(void *context, char *path, struct cb_value *file)
{
    struct listing *listing = context;
    const struct cb_value *models = cb_map_get(file, "models");
    const size_t count = models != NULL && models->kind == CB_KIND_MAP ? models->as.map.count : 0;
    bool ok = models != NULL || cb_list_append(listing->arena, listing->names,
                                               cb_value_text(listing->arena, cb_path_stem(listing->arena, path), NULL));
    for (size_t i = 0; i < count && ok; i++) {
        ok = cb_list_append(listing->arena, listing->names,
                            cb_value_text(listing->arena, models->as.map.entries[i].key, NULL));
    }
    listing->failed = !ok;
    return ok;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum cb_status cb_family_names(struct cb_arena *arena, const char *folder, const char ***out_names, size_t *out_count,
                               struct cb_diag *diag)
{
    struct listing listing = {.arena = arena, .names = cb_value_list(arena, NULL)};
    if (listing.names == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(visit_files(arena, folder, NULL, list_file, &listing, diag));
    const size_t count = listing.names->as.list.count;
    const char **names = CB_NEW_ARRAY(arena, const char *, count + 1);
    if (listing.failed || names == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = listing.names->as.list.items[i]->text;
    }
    qsort(names, count, sizeof(*names), compare_names);
    *out_names = names;
    *out_count = count;
    return CB_OK;
}
