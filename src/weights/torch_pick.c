/* torch_pick.c: which of the dicts in a PyTorch file is the model.
 *
 * A state dict may stand at the top, or in a training script's checkpoint under one of the usual keys, itself perhaps
 * in another. Several under keys that say nothing ({"encoder": ..., "decoder": ...}) are taken together, their names
 * joined to their keys. What is no dict of tensors (an optimizer's state, settings, numbers) is left where it is. */
#include <stdlib.h>

#include "weights/internal.h"
#include "weights/pickle.h"

#define MAX_DEPTH 4u
#define MAX_LOOKS 20000u

/* What training scripts call the state dict inside their checkpoints; the first that is there is taken. */
static const char *const wrappers[] = {
    "state_dict", "model_state_dict", "model", "module", "net", "network", "params", "weights", "state_dict_ema",
    "model_ema", "params_ema", "ema_state_dict", "ema_model", "ema", "shadow_params", "model_state", "generator",
};
/* What holds tensors that are not the model's. */
static const char *const others[] = {
    "optimizer", "optimizers", "optimizer_state_dict", "optimizer_states", "optim", "optim_state_dict", "opt", "scheduler",
    "lr_scheduler", "lr_schedulers", "scaler", "amp", "amp_scaler", "criterion", "loss", "callbacks", "loops", "rng_state",
};

struct pick {
    struct cb_tensor_file *file;
    const struct cb_place *at;
    struct cb_diag *diag;
    struct cb_text wrapper;
    uint32_t looks;
};

static bool is_one_of(const struct cb__pickle_value *key, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (cb__pickle_text_is(key, words[i])) {
            return true;
        }
    }
    return false;
}

static uint32_t count_tensors(const struct cb__pickle_value *value)
{
    uint32_t count = 0;
    if (value && value->kind == CB__PICKLE_DICT) {
        for (uint32_t i = 1; i < value->as.list.count; i += 2) {
            count += value->as.list.items[i]->kind == CB__PICKLE_TENSOR;
        }
    }
    return count;
}

/* A dict of tensors is here, or under a key of it, or of that. Dicts may hold each other in circles: the number of looks
 * is bounded. */
static bool holds_tensors(struct pick *p, const struct cb__pickle_value *value, uint32_t depth)
{
    if (!value || value->kind != CB__PICKLE_DICT || depth == 0 || p->looks++ > MAX_LOOKS) {
        return false;
    }
    if (count_tensors(value) > 0) {
        return true;
    }
    for (uint32_t i = 0; i + 1 < value->as.list.count; i += 2) {
        const struct cb__pickle_value *key = value->as.list.items[i];
        if (key->kind == CB__PICKLE_TEXT && !is_one_of(key, others, sizeof(others) / sizeof(others[0])) &&
            holds_tensors(p, value->as.list.items[i + 1], depth - 1)) {
            return true;
        }
    }
    return false;
}

static enum cb_status no_memory(const struct pick *p)
{
    return cb_fail(p->diag, CB_MEMORY, p->at, "no memory for the tensors of `%s`", p->file->path);
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

static char *entry_name(const struct pick *p, const char *prefix, const struct cb__pickle_value *key)
{
    char *name = NULL;
    if (key->kind == CB__PICKLE_INT) {
        return cb_arena_printf(p->file->arena, "%s%lld", prefix, (long long)key->as.integer);
    }
    name = (char *)cb__pickle_text(p->file->arena, key);
    return name && *prefix ? cb_arena_printf(p->file->arena, "%s%s", prefix, name) : name;
}

static enum cb_status take_tensors(const struct pick *p, const struct cb__pickle_value *dict, const char *prefix)
{
    struct cb_tensor_file *file = p->file;
    uint32_t count = file->count + count_tensors(dict);
    struct cb_tensor_entry *entries = CB_NEW_ARRAY(file->arena, struct cb_tensor_entry, (size_t)count + 1);
    if (!entries) {
        return no_memory(p);
    }
    if (file->count > 0) {
        memcpy(entries, file->entries, file->count * sizeof(*entries));
    }
    file->entries = entries;
    for (uint32_t i = 0; i + 1 < dict->as.list.count; i += 2) {
        const struct cb__pickle_value *value = dict->as.list.items[i + 1];
        if (value->kind != CB__PICKLE_TENSOR) {
            continue;
        }
        struct cb_tensor_entry *entry = &file->entries[file->count];
        *entry = *value->as.tensor;
        entry->name = entry_name(p, prefix, dict->as.list.items[i]);
        if (!entry->name) {
            return cb_fail(p->diag, CB_FORMAT, p->at, "`%s`: a tensor has no text for its name", file->path);
        }
        file->storages[entry->storage].users++;
        file->count++;
    }
    return CB_OK;
}

/* Several dicts of tensors, none of them under a usual key. */
static enum cb_status take_together(struct pick *p, const struct cb__pickle_value *dict)
{
    for (uint32_t i = 0; i + 1 < dict->as.list.count; i += 2) {
        const struct cb__pickle_value *key = dict->as.list.items[i];
        const struct cb__pickle_value *value = dict->as.list.items[i + 1];
        if (count_tensors(value) > 0 && key->kind == CB__PICKLE_TEXT &&
            !is_one_of(key, others, sizeof(others) / sizeof(others[0]))) {
            const char *name = cb__pickle_text(p->file->arena, key);
            char *prefix = name ? cb_arena_printf(p->file->arena, "%s.", name) : NULL;
            if (!prefix) {
                return cb_fail(p->diag, CB_FORMAT, p->at, "`%s`: a dict of tensors has no text for its name",
                               p->file->path);
            }
            CB_TRY(take_tensors(p, value, prefix));
        }
    }
    return CB_OK;
}

/* The first foreign thing among the values, for a person who saved arrays or a model. */
static const struct cb__pickle_value *find_foreign(const struct cb__pickle_value *dict)
{
    for (uint32_t i = 1; i < dict->as.list.count; i += 2) {
        if (dict->as.list.items[i]->kind == CB__PICKLE_FOREIGN) {
            return dict->as.list.items[i];
        }
    }
    return NULL;
}

static enum cb_status refuse_object(const struct pick *p, const struct cb__pickle_value *top)
{
    static const char *const kinds[] = {
        [CB__PICKLE_TEXT] = "text", [CB__PICKLE_TUPLE] = "tuple", [CB__PICKLE_LIST] = "list", [CB__PICKLE_NONE] = "None",
        [CB__PICKLE_TENSOR] = "single tensor", [CB__PICKLE_STORAGE] = "storage", [CB__PICKLE_INT] = "number"};
    if (top->kind != CB__PICKLE_DICT) {
        const char *kind = (size_t)top->kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[top->kind] : NULL;
        return cb_fail(p->diag, CB_FORMAT, p->at, "`%s` does not hold a dict of tensors but a %s (save one with"
                       " torch.save(model.state_dict(), ...))", p->file->path, kind ? kind : "thing of another kind");
    }
    struct cb_text keys = {0};
    for (uint32_t i = 0; i < top->as.list.count && i < 16; i += 2) {
        const struct cb__pickle_value *key = top->as.list.items[i];
        if (key->kind == CB__PICKLE_TEXT && key->as.text.length < 60) {
            cb_text_addf(&keys, "%s`%.*s`", keys.length ? ", " : "", (int)key->as.text.length, key->as.text.data);
        }
    }
    const struct cb__pickle_value *foreign = find_foreign(top);
    enum cb_status status = cb_fail(p->diag, CB_FORMAT, p->at, "`%s` holds no tensors at its top or under `state_dict` or"
                                    " `model`; its keys are %s%s%s%s", p->file->path, keys.data ? keys.data : "none",
                                    foreign ? "; among its values is a `" : "", foreign ? foreign->as.foreign : "",
                                    foreign ? "`, which is not read" : "");
    cb_text_free(&keys);
    return status;
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

static void enter(struct pick *p, const char *key, size_t length)
{
    cb_text_add(&p->wrapper, p->wrapper.length ? "." : "");
    cb_text_add_bytes(&p->wrapper, key, length);
}

/* The usual keys beside the one that is taken, for the report: an averaged copy of the same weights, mostly. */
static enum cb_status note_others(struct pick *p, const struct cb__pickle_value *dict, size_t taken)
{
    struct cb_text names = {0};
    for (size_t i = taken + 1; i < sizeof(wrappers) / sizeof(wrappers[0]); i++) {
        if (holds_tensors(p, cb__pickle_get(dict, wrappers[i]), MAX_DEPTH)) {
            cb_text_addf(&names, "%s`%s`", names.length ? ", " : "", wrappers[i]);
        }
    }
    if (names.length > 0) {
        p->file->beside = cb_arena_strdup(p->file->arena, names.data);
    }
    bool failed = names.failed || (names.length > 0 && !p->file->beside);
    cb_text_free(&names);
    return failed ? no_memory(p) : CB_OK;
}

/* The dict under the only key that leads to tensors; `*out_count`: how many such keys there are. */
static const struct cb__pickle_value *find_only(struct pick *p, const struct cb__pickle_value *dict, uint32_t *out_count,
                                                const struct cb__pickle_value **out_key)
{
    const struct cb__pickle_value *only = NULL;
    *out_count = 0;
    for (uint32_t i = 0; i + 1 < dict->as.list.count; i += 2) {
        const struct cb__pickle_value *key = dict->as.list.items[i];
        if (key->kind == CB__PICKLE_TEXT && !is_one_of(key, others, sizeof(others) / sizeof(others[0])) &&
            holds_tensors(p, dict->as.list.items[i + 1], MAX_DEPTH)) {
            only = dict->as.list.items[i + 1];
            *out_key = key;
            ++*out_count;
        }
    }
    return only;
}

static enum cb_status take_from(struct pick *p, const struct cb__pickle_value *top)
{
    const struct cb__pickle_value *dict = top;
    for (uint32_t depth = 0; depth < MAX_DEPTH && dict->kind == CB__PICKLE_DICT; depth++) {
        const struct cb__pickle_value *inner = NULL;
        for (size_t i = 0; i < sizeof(wrappers) / sizeof(wrappers[0]) && !inner; i++) {
            const struct cb__pickle_value *value = cb__pickle_get(dict, wrappers[i]);
            if (holds_tensors(p, value, MAX_DEPTH - depth)) {
                inner = value;
                enter(p, wrappers[i], strlen(wrappers[i]));
                CB_TRY(note_others(p, dict, i));
            }
        }
        if (!inner && count_tensors(dict) > 0) {
            return take_tensors(p, dict, "");
        }
        uint32_t count = 1;
        const struct cb__pickle_value *key = NULL;
        inner = inner ? inner : find_only(p, dict, &count, &key);
        if (count > 1) {
            CB_TRY(take_together(p, dict));
            return p->file->count > 0 ? CB_OK : refuse_object(p, top);
        }
        if (!inner) {
            break;
        }
        if (key) {
            enter(p, key->as.text.data, key->as.text.length);
        }
        dict = inner;
    }
    return refuse_object(p, top);
}

enum cb_status cb__torch_take(struct cb_tensor_file *file, const struct cb__pickle_value *top, const struct cb_place *at,
                              struct cb_diag *diag)
{
    struct pick pick = {.file = file, .at = at, .diag = diag};
    enum cb_status status = take_from(&pick, top);
    if (status == CB_OK && pick.wrapper.length > 0) {
        file->wrapper = cb_arena_strndup(file->arena, pick.wrapper.data, strnlen(pick.wrapper.data, 200));
        status = file->wrapper ? CB_OK : no_memory(&pick);
    }
    cb_text_free(&pick.wrapper);
    return status;
}
