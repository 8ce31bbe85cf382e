/* import_gguf.c: `cambium import FILE.gguf`: a file of llama.cpp says which network it is (`general.architecture`) and its
 * sizes; a family in configs/backbones knows that architecture (`gguf:`, see huggingface.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "exchange/huggingface.h"

static enum cb_status no_memory(struct cb_diag *diag)
{
    return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
}

/* A single value as it is, a list by its length. */
static struct cb_value *value_of(struct cb_arena *arena, const struct cb_fact *fact)
{
    if (fact->is_list || fact->count != 1) {
        return cb_value_int(arena, (int64_t)(fact->count <= INT64_MAX ? fact->count : INT64_MAX), NULL);
    }
    if (fact->kind == CB_FACT_TEXT) {
        size_t bytes;
        const char *text = cb_fact_text(fact, 0, &bytes), *copy = cb_arena_strndup(arena, text, strnlen(text, bytes));
        return copy != NULL ? cb_value_text(arena, copy, NULL) : NULL;
    }
    if (fact->kind == CB_FACT_REAL) { /* stored in single precision: what a person wrote there */
        char digits[32];
        snprintf(digits, sizeof(digits), "%.7g", cb_fact_real(fact, 0));
        return cb_value_real(arena, strtod(digits, NULL), NULL);
    }
    return fact->kind == CB_FACT_BOOL ? cb_value_bool(arena, cb_fact_integer(fact, 0) != 0, NULL)
                                      : cb_value_int(arena, cb_fact_integer(fact, 0), NULL);
}

/* Keys without the architecture in front of them, and `tensors.NAME` of what is in no block. */
static enum cb_status make_config(struct cb_arena *arena, const struct cb_tensor_file *file, const char *architecture,
                                  struct cb_value **out, struct cb_diag *diag)
{
    struct cb_value *config = cb_value_map(arena, NULL);
    const size_t length = strlen(architecture);
    bool ok = config != NULL;
    for (uint32_t i = 0; ok && i < cb_tensors_fact_count(file); i++) {
        const struct cb_fact *fact = cb_tensors_fact_at(file, i);
        const bool is_own = cb_starts_with(fact->key, architecture) && fact->key[length] == '.';
        const char *key = cb_arena_strdup(arena, fact->key + (is_own ? length + 1 : 0));
        struct cb_value *value = value_of(arena, fact);
        ok = key != NULL && value != NULL && cb_map_set(arena, config, key, value);
    }
    for (uint32_t i = 0; ok && i < cb_tensors_count(file); i++) {
        const char *name = cb_tensors_at(file, i)->name;
        if (cb_ends_with(name, ".weight") && !cb_starts_with(name, "blk.")) {
            const char *key = cb_arena_printf(arena, "tensors.%.*s", (int)(strlen(name) - strlen(".weight")), name);
            ok = key != NULL && cb_map_set(arena, config, key, cb_value_bool(arena, true, NULL));
        }
    }
    *out = config;
    return ok ? CB_OK : no_memory(diag);
}

static enum cb_status read_file(struct cb__hub_folder *f, struct cb_diag *diag)
{
    struct cb_tensor_file *file;
    struct cb_value *config = NULL;
    CB_TRY(cb_tensors_open(f->path, &file, NULL, diag));
    const char *architecture = cb_tensors_metadata(file, "general.architecture");
    enum cb_status status = CB_OK;
    if (architecture == NULL || *architecture == '\0') {
        status = cb_fail(diag, CB_FORMAT, NULL, "`%s` does not say in `general.architecture` which network it is", f->path);
    } else {
        f->model_type = cb_arena_strdup(f->arena, architecture);
        status = f->model_type != NULL ? make_config(f->arena, file, f->model_type, &config, diag) : no_memory(diag);
    }
    f->config = config;
    cb_tensors_close(file);
    return status;
}

static enum cb_status import(const struct cb_import_request *request, struct cb__hub_folder *f, struct cb__onto *onto,
                             struct cb_imported *imported, struct cb_diag *diag)
{
    CB_TRY(read_file(f, diag));
    CB_TRY(cb__hub_backbone(f, imported->name, &onto->backbone, diag));
    onto->weights = f->path;
    onto->as = f->model_type;
    onto->is_described = true;
    onto->comment = cb_arena_printf(f->arena, "%s (%s), a file of llama.cpp, by cambium import.", cb_path_base(f->path),
                                    f->model_type);
    CB_TRY(onto->comment != NULL ? CB_OK : no_memory(diag));
    cb_imported_note(imported, "the tokenizer within the file is not taken along: `inputs:` in the network file names "
                     "tokenizer.json, which is to be put beside it before texts can be read");
    CB_TRY(cb__import_onto(request, onto, imported, diag));
    imported->format = cb_arena_printf(f->arena, "%s, %s", f->model_type, imported->format);
    return CB_OK;
}

enum cb_status cb_import_gguf(const struct cb_import_request *request, struct cb_imported *imported, struct cb_diag *diag)
{
    struct cb__hub_folder file = {.arena = imported->arena, .section = "gguf", .path = request->path,
                                  .config_path = request->path};
    struct cb__onto onto = {0};
    const enum cb_status status = import(request, &file, &onto, imported, diag);
    cb_backbone_close(onto.backbone);
    return status;
}
