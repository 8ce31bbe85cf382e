/* huggingface_family.c: from config.json to a network: the families in configs/backbones say which model types they are and
 * how the numbers there give their parameters. See huggingface.h. */
#include <string.h>

#include "base/expression.h"
#include "base/file.h"
#include "exchange/huggingface.h"
#include "graph/family.h"

struct family {
    char *path;
    struct cb_value *file;
    const struct cb_value *section; /* of the model type */
};

static enum cb_status no_memory(struct cb_diag *diag)
{
    return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
}

/* ---- which family ---------------------------------------------------------------------------------------------------- */

static bool is_known_word(const struct cb_text *known, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = known->data; at != NULL && (at = strstr(at, word)) != NULL; at++) {
        if ((at == known->data || at[-1] == ' ') && (at[length] == ',' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/* The file whose section (`huggingface:`) has the type, and under it `key` unless that is NULL; `known` gets all types that there are. */
static enum cb_status find_family(struct cb_arena *arena, const char *section, const char *type, const char *key,
                                  struct family *out, struct cb_text *known, struct cb_diag *diag)
{
    char *folder = cb_resource_path(arena, "configs/backbones"), **names;
    size_t count;
    if (folder == NULL) {
        return cb_fail(diag, CB_NOT_FOUND, NULL, "the folder configs/backbones is not found: is Cambium installed whole?");
    }
    CB_TRY(cb_folder_list(arena, folder, &names, &count, NULL, diag));
    for (size_t i = 0; i < count; i++) {
        char *path = cb_path_join(arena, folder, names[i]);
        struct cb_value *file;
        if (path == NULL || !cb_ends_with(names[i], ".yaml") || cb_yaml_read_file(arena, path, &file, NULL) != CB_OK) {
            continue;
        }
        const struct cb_value *types = cb_map_get(file, section);
        for (size_t k = 0; types != NULL && types->kind == CB_KIND_MAP && k < types->as.map.count; k++) {
            const struct cb_entry *entry = &types->as.map.entries[k];
            if (strcmp(entry->key, type) == 0 && entry->value->kind == CB_KIND_MAP &&
                (key == NULL || cb_map_get(entry->value, key) != NULL)) {
                *out = (struct family){path, file, entry->value};
            }
            if (strcmp(entry->key, "timm") != 0 && !is_known_word(known, entry->key)) {
                cb_text_addf(known, "%s%s", known->length > 0 ? ", " : "", entry->key);
            }
        }
    }
    return CB_OK;
}

static enum cb_status fail_unknown(const struct cb__hub_folder *f, const struct cb_text *known, struct cb_diag *diag)
{
    const struct cb_value *type = cb_map_get(f->config, "model_type");
    return cb_fail(diag, CB_UNSUPPORTED, type != NULL ? &type->at : NULL,
                   "no family here is a network of the model type `%s`%s%s%s; known are %s. A family of your own may be named "
                   "with --as FILE.yaml", f->model_type, f->architecture != NULL ? " (" : "",
                   f->architecture != NULL ? f->architecture : "", f->architecture != NULL ? ")" : "",
                   known->data != NULL ? known->data : "none");
}

/* ---- its parameters -------------------------------------------------------------------------------------------------- */

struct keys {
    struct cb_arena *arena;
    const struct cb__hub_folder *folder;
    const struct cb_value *config, *defaults;
    uint32_t depth; /* of defaults that name others */
};

/* The value of `name`, which may be a key of an inner map, as `rope_parameters.rope_theta`. */
static const struct cb_value *get_key(const struct cb_value *map, const char *name, size_t length)
{
    for (size_t i = 0; map != NULL && map->kind == CB_KIND_MAP && i < map->as.map.count; i++) {
        const struct cb_entry *entry = &map->as.map.entries[i];
        const size_t own = strlen(entry->key);
        if (own <= length && memcmp(entry->key, name, own) == 0 && (own == length || name[own] == '.')) {
            const struct cb_value *found = own == length ? entry->value
                                                         : get_key(entry->value, name + own + 1, length - own - 1);
            if (found != NULL) {
                return found;
            }
        }
    }
    return NULL;
}

static enum cb_status find_key(void *context, const char *name, size_t length, const struct cb_place *at,
                               const struct cb_value **out, struct cb_diag *diag)
{
    enum { MAX_DEPTH = 8 };
    struct keys *keys = context;
    (void)at;
    const struct cb_value *const told[] = {keys->config, keys->folder->pooling};
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        *out = get_key(told[i], name, length);
        if (*out != NULL) {
            return CB_OK;
        }
    }
    const struct cb_value *fallback = get_key(keys->defaults, name, length);
    if (fallback == NULL || keys->depth > MAX_DEPTH) {
        return cb_fail(diag, CB_FORMAT, &keys->config->at, "`%s` has no `%.*s`, which a `%s` needs",
                       keys->folder->config_path, (int)length, name, keys->folder->model_type);
    }
    struct keys deeper = *keys;
    const struct cb_names names = {find_key, &deeper};
    struct cb_value *copy = cb_value_clone(keys->arena, fallback);
    deeper.depth++;
    *out = copy;
    return copy != NULL ? cb_value_substitute(keys->arena, &names, copy, diag) : no_memory(diag);
}

/* The expression of a need, or of one with its reason: {EXPRESSION: REASON}. */
static enum cb_status check_need(struct cb_arena *arena, const struct cb_value *need, struct keys *keys,
                                 struct cb_diag *diag)
{
    const bool has_reason = need->kind == CB_KIND_MAP && need->as.map.count == 1;
    const char *expression = has_reason ? need->as.map.entries[0].key : need->text;
    const char *reason = has_reason ? need->as.map.entries[0].value->text : NULL;
    const struct cb_names names = {find_key, keys};
    struct cb_value *answer;
    if (expression == NULL) {
        return cb_fail(diag, CB_INVALID, &need->at, "a need is an expression, or a map with one and its reason");
    }
    CB_TRY(cb_expression_read(arena, expression, &need->at, &names, &answer, diag));
    if (answer->kind == CB_KIND_BOOL && answer->as.boolean) {
        return CB_OK;
    }
    return cb_fail(diag, CB_UNSUPPORTED, &keys->config->at, "this `%s` is not supported: %s%s%s", keys->folder->model_type,
                   reason != NULL ? reason : "it must hold that `", reason != NULL ? "" : expression,
                   reason != NULL ? "" : "`");
}

static enum cb_status translate(const struct cb__hub_folder *f, struct cb_arena *arena, const struct family *family,
                                struct cb_value **out, struct cb_diag *diag)
{
    const char *inner = cb__hub_text(family->section, "config", NULL);
    const struct cb_value *config = inner != NULL ? cb_map_get(f->config, inner) : NULL;
    struct keys keys = {arena, f, config != NULL && config->kind == CB_KIND_MAP ? config : f->config,
                        cb_map_get(family->section, "defaults"), 0};
    const struct cb_names names = {find_key, &keys};
    const struct cb_value *needs = cb_map_get(family->section, "needs");
    const struct cb_value *given = cb_map_get(family->section, "parameters");
    for (size_t i = 0; needs != NULL && needs->kind == CB_KIND_LIST && i < needs->as.list.count; i++) {
        CB_TRY(check_need(arena, needs->as.list.items[i], &keys, diag));
    }
    struct cb_value *parameters = given != NULL ? cb_value_clone(arena, given) : cb_value_map(arena, NULL);
    if (parameters == NULL) {
        return no_memory(diag);
    }
    CB_TRY(cb_value_substitute(arena, &names, parameters, diag));
    if (cb_map_entry(cb_map_get(family->file, "parameters"), "tokenizer") != NULL) {
        struct cb_value *files = f->tokenizer != NULL ? cb_value_clone(arena, f->tokenizer)
                                                      : cb_value_text(arena, "tokenizer.json", NULL);
        if (files == NULL || !cb_map_set(arena, parameters, "tokenizer", files)) {
            return no_memory(diag);
        }
    }
    *out = parameters;
    return CB_OK;
}

/* ---- a backbone ------------------------------------------------------------------------------------------------------ */

/* The family with one model, whose parameters these are. Those that only its own models' weights need get a stand-in. */
static enum cb_status settle(struct cb_backbone *b, const struct family *family, struct cb_value *parameters,
                             const char *name, struct cb_diag *diag)
{
    struct cb_value *file = cb_value_map(b->arena, &family->file->at), *models = cb_value_map(b->arena, &family->file->at);
    const struct cb_value *declared = cb_map_get(family->file, "parameters");
    bool ok = file != NULL && models != NULL;
    for (size_t i = 0; ok && i < family->file->as.map.count; i++) {
        const struct cb_entry *entry = &family->file->as.map.entries[i];
        if (strcmp(entry->key, "weights") != 0) {
            ok = cb_map_set(b->arena, file, entry->key, entry->value);
        }
    }
    for (size_t i = 0; ok && declared != NULL && declared->kind == CB_KIND_MAP && i < declared->as.map.count; i++) {
        const struct cb_entry *entry = &declared->as.map.entries[i];
        if (entry->value->kind == CB_KIND_NULL && cb_map_get(parameters, entry->key) == NULL) {
            ok = cb_map_set(b->arena, parameters, entry->key, cb_value_text(b->arena, "none", NULL));
        }
    }
    ok = ok && cb_map_set(b->arena, models, name, parameters) && cb_map_set(b->arena, file, "models", models);
    struct cb_value *settled;
    if (!ok) {
        return no_memory(diag);
    }
    CB_TRY(cb_family_settle(b->arena, file, name, &settled, diag));
    b->file = settled;
    b->name = cb_arena_strdup(b->arena, name);
    b->path = family->path;
    b->folder = cb_path_folder(b->arena, family->path);
    const struct cb_value *input = cb_map_get(settled, "input"), *inputs = cb_map_get(settled, "inputs");
    if (input == NULL && inputs != NULL && inputs->kind == CB_KIND_MAP && inputs->as.map.count > 0) {
        input = inputs->as.map.entries[0].value;
    }
    return input != NULL ? cb_contract_read(input, &b->contract, diag)
                         : cb_fail(diag, CB_INVALID, &settled->at, "`%s` has no `input`", family->path);
}

static enum cb_status of_transformers(const struct cb__hub_folder *f, const char *name, struct cb_backbone **out,
                                      struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_backbone *b = arena != NULL ? CB_NEW(arena, struct cb_backbone) : NULL;
    if (b == NULL) {
        cb_arena_destroy(arena);
        return no_memory(diag);
    }
    b->arena = arena;
    struct family family = {0};
    struct cb_text known = {0};
    struct cb_value *parameters = NULL;
    enum cb_status status = find_family(arena, f->section, f->model_type, NULL, &family, &known, diag);
    if (status == CB_OK && family.section == NULL) {
        status = fail_unknown(f, &known, diag);
    }
    cb_text_free(&known);
    if (status == CB_OK) {
        status = translate(f, arena, &family, &parameters, diag);
    }
    if (status == CB_OK) {
        status = settle(b, &family, parameters, name, diag);
    }
    if (status != CB_OK) {
        cb_backbone_close(b);
        return status;
    }
    *out = b;
    return CB_OK;
}

/* What a network of timm is called here: the same, without what its weights were trained on (after a dot), unless a family
 * says another name. */
static enum cb_status of_timm(const struct cb__hub_folder *f, struct cb_backbone **out, struct cb_diag *diag)
{
    char *name = cb_arena_strndup(f->arena, f->architecture, strcspn(f->architecture, "."));
    struct family family = {0};
    struct cb_text known = {0};
    enum cb_status status = name != NULL ? find_family(f->arena, f->section, "timm", name, &family, &known, diag) : no_memory(diag);
    cb_text_free(&known);
    CB_TRY(status);
    const char *here = cb__hub_text(family.section, name, NULL);
    const struct cb_value *at = cb_map_get(f->config, "architecture");
    struct cb_diag *aside = cb_diag_create();
    status = cb_backbone_open(here != NULL ? here : name, ".", &at->at, out, aside);
    if (status == CB_NOT_FOUND) {
        (void)cb_backbone_open(here != NULL ? here : name, ".", &at->at, out, diag);
        cb_note(diag, NULL, "`cambium fetch --list` shows the networks there are; --as FILE.yaml takes one of your own");
    } else if (status != CB_OK) {
        (void)cb_backbone_open(here != NULL ? here : name, ".", &at->at, out, diag);
    }
    cb_diag_destroy(aside);
    return status;
}

enum cb_status cb__hub_backbone(const struct cb__hub_folder *folder, const char *name, struct cb_backbone **out,
                                struct cb_diag *diag)
{
    return folder->model_type != NULL ? of_transformers(folder, name, out, diag) : of_timm(folder, out, diag);
}
