/* hub.c: see hub.h. */
#include "exchange/hub.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "train/engine.h"
#include "weights/fetch.h"

#define MAX_SHARDS 1000
#define MAX_INDEX_BYTES (64 << 20)

struct hub {
    struct cb_arena *arena;
    const char *what;
    struct cb_hub_name name;
    const char *endpoint;
    const struct cb_watch *watch;
    struct cb_diag *diag;
};

static bool on_download(void *context, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    const struct cb_watch *watch = ((struct hub *)context)->watch;
    if (watch != NULL && watch->download != NULL) {
        watch->download(watch->context, what, done_bytes, total_bytes);
    }
    return !cb_watch_cancelled(watch);
}

static enum cb_status fetch_file(struct hub *h, const char *file, struct cb_diag *diag)
{
    struct cb_weight_source source = {.kind = CB_SOURCE_URL};
    struct cb_fetch_result result;
    source.where = cb_arena_printf(h->arena, "%s/%s/%s/resolve/%s/%s", h->endpoint, h->name.owner, h->name.name,
                                   h->name.revision, file);
    if (source.where == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    const struct cb_fetch_request request = {.name = cb_path_base(h->name.folder), .sources = &source, .source_count = 1,
                                             .progress = on_download, .context = h};
    return cb_fetch(&request, h->arena, &result, diag);
}

/* What the last error said of the server's answer: 404, 401, 403; 0: it was something else. */
static int answer_of(struct cb_diag *diag)
{
    for (size_t i = 0; cb_diag_text(diag, i) != NULL; i++) {
        const char *code = strstr(cb_diag_text(diag, i), "returned error: ");
        if (code != NULL) {
            return atoi(code + strlen("returned error: "));
        }
    }
    return 0;
}

/* A file that may not be there: `*out_is_there` says so; any other failure is told. */
static enum cb_status fetch_optional(struct hub *h, const char *file, bool *out_is_there)
{
    struct cb_diag *aside = cb_diag_create();
    if (aside == NULL) {
        return cb_fail(h->diag, CB_MEMORY, NULL, "out of memory");
    }
    enum cb_status status = fetch_file(h, file, aside);
    const int answer = answer_of(aside);
    *out_is_there = status == CB_OK;
    for (size_t i = 0; status == CB_OK && cb_diag_text(aside, i) != NULL; i++) { /* what is trusted now */
        const char *text = cb_diag_text(aside, i), *colon = strstr(text, ": ");
        cb_warn(h->diag, NULL, "%s", colon != NULL ? colon + 2 : text);
    }
    cb_diag_destroy(aside);
    if (status == CB_OK || answer == 404) {
        return CB_OK;
    }
    return fetch_file(h, file, h->diag); /* once more, so that it is told */
}

static enum cb_status explain(struct hub *h, enum cb_status status)
{
    const int answer = answer_of(h->diag);
    if (answer == 404) {
        cb_note(h->diag, NULL, "the hub has no `%s/%s` with a config.json at the revision `%s`: is it spelled as on its page?",
                h->name.owner, h->name.name, h->name.revision);
    } else if (answer == 401 || answer == 403) {
        cb_note(h->diag, NULL, "`%s/%s` does not exist, or is not open to everyone: then accept its terms on its page, and put "
                "config.json, preprocessor_config.json and model.safetensors into `%s` by hand", h->name.owner, h->name.name,
                h->name.folder);
    } else if (status == CB_NOT_FOUND) {
        cb_note(h->diag, NULL, "by hand: config.json, preprocessor_config.json and model.safetensors of %s/%s/%s belong into "
                "`%s`", h->endpoint, h->name.owner, h->name.name, h->name.folder);
    }
    return status;
}

/* The files that an index names, each once. */
static enum cb_status fetch_shards(struct hub *h, const char *index)
{
    char *path = cb_path_join(h->arena, h->name.folder, index);
    struct cb_value *value;
    if (path == NULL || cb_file_bytes(path) > MAX_INDEX_BYTES) {
        return cb_fail(h->diag, CB_FORMAT, NULL, "`%s` is too large for an index", index);
    }
    CB_TRY(cb_json_read_file(h->arena, path, &value, h->diag));
    const struct cb_value *map = cb_map_get(value, "weight_map");
    struct cb_value *seen = cb_value_map(h->arena, NULL), *yes = cb_value_bool(h->arena, true, NULL);
    for (size_t i = 0; map != NULL && map->kind == CB_KIND_MAP && i < map->as.map.count; i++) {
        const char *file = map->as.map.entries[i].value->text;
        if (file == NULL || strlen(file) > 200 || strchr(file, '/') != NULL || file[0] == '.' || seen == NULL ||
            seen->as.map.count >= MAX_SHARDS) {
            return cb_fail(h->diag, CB_FORMAT, &map->as.map.entries[i].at, "`%s` names a file that is none of its folder", path);
        }
        if (cb_map_get(seen, file) == NULL) {
            CB_TRY(fetch_file(h, file, h->diag));
            if (!cb_map_set(h->arena, seen, file, yes)) {
                return cb_fail(h->diag, CB_MEMORY, NULL, "out of memory");
            }
        }
    }
    return seen != NULL && seen->as.map.count > 0 ? CB_OK
                                                  : cb_fail(h->diag, CB_FORMAT, NULL, "`%s` names no files", path);
}

static enum cb_status fetch_weights(struct hub *h)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                        "pytorch_model.bin.index.json"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        bool is_there;
        CB_TRY(fetch_optional(h, names[i], &is_there));
        if (is_there) {
            return cb_ends_with(names[i], ".json") ? fetch_shards(h, names[i]) : CB_OK;
        }
    }
    return cb_fail(h->diag, CB_NOT_FOUND, NULL, "`%s` has no weights that are read here: neither safetensors nor PyTorch's",
                   h->what);
}

/* Of a network with a vocabulary what makes tokens of texts. */
static enum cb_status fetch_tokenizer(struct hub *h)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt"};
    char *path = cb_path_join(h->arena, h->name.folder, "config.json");
    struct cb_value *config;
    if (path == NULL || cb_file_bytes(path) > MAX_INDEX_BYTES || cb_json_read_file(h->arena, path, &config, NULL) != CB_OK ||
        cb_map_get(config, "vocab_size") == NULL) {
        return CB_OK; /* the importer says what is wrong */
    }
    bool is_there = false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !(is_there && i > 1); i++) {
        bool is_one;
        CB_TRY(fetch_optional(h, names[i], &is_one));
        is_there = is_there || (is_one && i == 0);
    }
    return CB_OK;
}

static enum cb_status fetch_all(struct hub *h)
{
    bool is_there;
    enum cb_status status = fetch_file(h, "config.json", h->diag);
    if (status != CB_OK) {
        return explain(h, status);
    }
    CB_TRY(fetch_optional(h, "preprocessor_config.json", &is_there));
    CB_TRY(fetch_tokenizer(h));
    return fetch_weights(h);
}

enum cb_status cb_hub_fetch(const char *what, const struct cb_watch *watch, struct cb_imported **out, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct hub h = {.arena = arena, .what = what, .watch = watch, .diag = diag};
    struct cb_imported *imported = NULL;
    const char *endpoint = getenv("HF_ENDPOINT");
    enum cb_status status = arena != NULL ? cb_hub_name_read(arena, what, NULL, &h.name, diag)
                                          : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    if (status == CB_OK) {
        char *server = cb_arena_strdup(arena, endpoint != NULL && *endpoint != '\0' ? endpoint : "https://huggingface.co");
        for (size_t n = strlen(server); n > 0 && server[n - 1] == '/'; n--) {
            server[n - 1] = '\0';
        }
        h.endpoint = server;
        status = fetch_all(&h);
    }
    if (status == CB_OK) {
        imported = cb_imported_create(h.name.name);
        const struct cb_import_request request = {.path = h.name.folder, .name = h.name.name, .watch = watch};
        status = imported != NULL ? cb_import_folder(&request, imported, diag) : CB_MEMORY;
    }
    if (status == CB_OK) {
        status = cb_import_write(imported, cb_path_join(arena, h.name.folder, "network"), true, diag);
    }
    if (status == CB_OK) {
        *out = imported;
    } else {
        cb_imported_destroy(imported);
    }
    cb_arena_destroy(arena);
    return status;
}
