/* open.c: finds a tokenizer's files, reads them into memory, and has them read by what knows their kind. */
#include "text/internal.h"

#include "base/file.h"

enum { MOST_FILE_BYTES = 64 << 20, MOST_FILES = 8 };

/* What is read of a folder, and kept with a run. */
static const char *const file_names[] = {"tokenizer.json", "vocab.txt", "vocab.json", "merges.txt",
                                         "tokenizer_config.json", "special_tokens_map.json", NULL};

const struct cb_tokenizer_file *cb__opening_file(const struct cb__opening *o, const char *name)
{
    for (size_t i = 0; i < o->tokenizer->file_count; i++) {
        if (strcmp(o->tokenizer->files[i].name, name) == 0) {
            return &o->tokenizer->files[i];
        }
    }
    return NULL;
}

enum cb_status cb__opening_json(const struct cb__opening *o, const char *name, struct cb_value **out)
{
    const struct cb_tokenizer_file *file = cb__opening_file(o, name);
    *out = NULL;
    if (!file) {
        return CB_OK;
    }
    const char *path = strcmp(cb_path_base(o->name), name) == 0 ? o->name : cb_path_join(o->tokenizer->arena, o->name, name);
    return path ? cb_json_read_text(o->tokenizer->arena, path, file->data, file->bytes, out, o->diag)
                : cb__opening_memory(o);
}

/* ---- tokenizer_config.json ----------------------------------------------------------------------------------------- */

const char *cb_special_name(enum cb_special part)
{
    static const char *const names[CB_SPECIAL_COUNT] = {"unk_token", "pad_token", "cls_token", "sep_token", "mask_token",
                                                        "bos_token", "eos_token"};
    return part < CB_SPECIAL_COUNT ? names[part] : "?";
}

/* A special token stands as its text, or as a map with `content`. */
static enum cb_status read_special(struct cb__opening *o, const struct cb_value *config, enum cb_special part)
{
    const struct cb_value *value = cb_map_get(config, cb_special_name(part));
    const struct cb_value *content = value && value->kind == CB_KIND_MAP ? cb_map_get(value, "content") : value;
    if (!content || content->kind != CB_KIND_TEXT) {
        return CB_OK;
    }
    size_t bytes = strlen(content->text);
    uint32_t id = cb_tokenizer_id(o->tokenizer, content->text, bytes);
    const struct cb_value *left = value->kind == CB_KIND_MAP ? cb_map_get(value, "lstrip") : NULL;
    if (id == CB_NO_TOKEN || (left && left->kind == CB_KIND_BOOL && left->as.boolean)) { /* RoBERTa's mask takes blanks */
        CB_TRY(cb__put_added(o, content->text, bytes, (struct cb__added_flags){.is_special = true, .takes_left = left != NULL &&
                                                                               left->as.boolean}));
        id = cb_tokenizer_id(o->tokenizer, content->text, bytes);
    }
    o->tokenizer->special[part] = id;
    return CB_OK;
}

enum cb_status cb__open_config(struct cb__opening *o)
{
    static const char *const names[] = {"special_tokens_map.json", "tokenizer_config.json"};
    for (size_t i = 0; i < 2; i++) {
        struct cb_value *config = NULL;
        CB_TRY(cb__opening_json(o, names[i], &config));
        for (int part = 0; config && part < CB_SPECIAL_COUNT; part++) {
            CB_TRY(read_special(o, config, (enum cb_special)part));
        }
        const struct cb_value *most = config ? cb_map_get(config, "model_max_length") : NULL;
        if (most && most->kind == CB_KIND_INT && most->as.integer > 0 && most->as.integer < INT32_MAX) {
            o->tokenizer->max_tokens = (size_t)most->as.integer; /* transformers writes 1e30 for "none" */
        }
    }
    return CB_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------------------- */

static enum cb_status read_files(struct cb__opening *o)
{
    const struct cb_tokenizer_file *file;
    if (cb__opening_file(o, "tokenizer.json")) {
        struct cb_value *root = NULL;
        CB_TRY(cb__opening_json(o, "tokenizer.json", &root));
        CB_TRY(cb__open_json(o, root));
    } else if ((file = cb__opening_file(o, "vocab.txt")) != NULL) {
        CB_TRY(cb__open_vocab_txt(o, file));
    } else if (cb__opening_file(o, "vocab.json")) {
        CB_TRY(cb__open_vocab_json(o));
    } else {
        return cb_fail(o->diag, CB_NOT_FOUND, o->at, "`%s` has no tokenizer (no tokenizer.json, no vocab.txt)", o->name);
    }
    CB_TRY(cb__open_config(o));
    return cb__build_tables(o);
}

static struct cb_tokenizer *create(void)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_tokenizer *tokenizer = arena ? CB_NEW(arena, struct cb_tokenizer) : NULL;
    if (!tokenizer) {
        cb_arena_destroy(arena);
        return NULL;
    }
    tokenizer->arena = arena;
    tokenizer->unknown = CB_NO_TOKEN;
    tokenizer->continuing_node = CB_NO_TOKEN;
    for (int i = 0; i < CB_SPECIAL_COUNT; i++) {
        tokenizer->special[i] = CB_NO_TOKEN;
    }
    pthread_mutex_init(&tokenizer->lock, NULL);
    return tokenizer;
}

static void hash_files(struct cb_tokenizer *tokenizer)
{
    struct cb_sha256 *sha = cb_sha256_create();
    for (size_t i = 0; sha && i < tokenizer->file_count; i++) {
        cb_sha256_add(sha, tokenizer->files[i].name, strlen(tokenizer->files[i].name) + 1);
        cb_sha256_add(sha, tokenizer->files[i].data, tokenizer->files[i].bytes);
    }
    if (sha) {
        cb_sha256_finish(sha, tokenizer->sha256);
    }
}

/* The tokenizer of the files it already has; closes it on failure. */
static enum cb_status finish(struct cb__opening *o, struct cb_tokenizer **out)
{
    cb__unicode_prepare();
    enum cb_status status = read_files(o);
    if (status != CB_OK) {
        cb_tokenizer_close(o->tokenizer);
        return status;
    }
    hash_files(o->tokenizer);
    *out = o->tokenizer;
    return CB_OK;
}

static enum cb_status load(struct cb__opening *o, const char *folder, const char *name, const char *path)
{
    struct cb_tokenizer *tokenizer = o->tokenizer;
    char *data = NULL;
    size_t bytes = 0;
    path = path ? path : cb_path_join(tokenizer->arena, folder, name);
    if (!path) {
        return cb__opening_memory(o);
    }
    if (cb__opening_file(o, name) || !cb_path_exists(path)) {
        return CB_OK;
    }
    CB_TRY(cb_file_read(tokenizer->arena, path, MOST_FILE_BYTES, &data, &bytes, o->at, o->diag));
    tokenizer->files[tokenizer->file_count++] = (struct cb_tokenizer_file){name, data, bytes};
    return CB_OK;
}

/* Of a file named by itself: what kind it is, by its ending. */
static const char *kind_of_file(const char *path)
{
    return cb_ends_with(path, ".txt") ? "vocab.txt" : cb_ends_with(path, "vocab.json") ? "vocab.json"
           : cb_ends_with(path, ".json") ? "tokenizer.json" : NULL;
}

static enum cb_status load_all(struct cb__opening *o, const char *path)
{
    struct cb_tokenizer *tokenizer = o->tokenizer;
    tokenizer->files = CB_NEW_ARRAY(tokenizer->arena, struct cb_tokenizer_file, MOST_FILES);
    if (!tokenizer->files) {
        return cb__opening_memory(o);
    }
    if (cb_path_is_folder(path)) {
        for (size_t i = 0; file_names[i]; i++) {
            CB_TRY(load(o, path, file_names[i], NULL));
        }
        return CB_OK;
    }
    if (cb_ends_with(path, ".gguf")) {
        return cb__open_gguf(o, path);
    }
    const char *kind = kind_of_file(path), *folder = cb_path_folder(tokenizer->arena, path);
    if (!kind) {
        return cb_fail(o->diag, CB_UNSUPPORTED, o->at, "`%s` is no tokenizer that is read: a folder, tokenizer.json,"
                       " vocab.txt, vocab.json with merges.txt, or a .gguf file is", path);
    }
    if (!folder || !cb_path_exists(path)) {
        char *data;
        size_t bytes;
        return folder ? cb_file_read(tokenizer->arena, path, MOST_FILE_BYTES, &data, &bytes, o->at, o->diag)
                      : cb__opening_memory(o);
    }
    CB_TRY(load(o, folder, kind, path));
    if (strcmp(kind, "vocab.json") == 0) {
        CB_TRY(load(o, folder, "merges.txt", NULL));
    }
    CB_TRY(load(o, folder, "tokenizer_config.json", NULL));
    return load(o, folder, "special_tokens_map.json", NULL);
}

enum cb_status cb_tokenizer_open(const char *path, struct cb_tokenizer **out, const struct cb_place *at,
                                 struct cb_diag *diag)
{
    struct cb__opening o = {create(), path, at, diag};
    if (!o.tokenizer) {
        return cb__opening_memory(&o);
    }
    enum cb_status status = load_all(&o, path);
    if (status != CB_OK) {
        cb_tokenizer_close(o.tokenizer);
        return status;
    }
    return finish(&o, out);
}

enum cb_status cb_tokenizer_open_files(const char *name, const struct cb_tokenizer_file *files, size_t count,
                                       struct cb_tokenizer **out, struct cb_diag *diag)
{
    struct cb__opening o = {create(), name, NULL, diag};
    struct cb_tokenizer *tokenizer = o.tokenizer;
    if (!tokenizer || !(tokenizer->files = CB_NEW_ARRAY(tokenizer->arena, struct cb_tokenizer_file, count + 1))) {
        cb_tokenizer_close(tokenizer);
        return cb__opening_memory(&o);
    }
    for (size_t i = 0; i < count; i++) {
        struct cb_tokenizer_file *file = &tokenizer->files[i];
        file->name = cb_arena_strdup(tokenizer->arena, files[i].name);
        file->bytes = files[i].bytes;
        char *data = cb_arena_alloc(tokenizer->arena, files[i].bytes + 1);
        if (!file->name || !data) {
            cb_tokenizer_close(tokenizer);
            return cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading the tokenizer `%s`", name);
        }
        memcpy(data, files[i].data, files[i].bytes);
        file->data = data;
        tokenizer->file_count++;
    }
    return finish(&o, out);
}

void cb_tokenizer_close(struct cb_tokenizer *tokenizer)
{
    if (!tokenizer) {
        return;
    }
    while (tokenizer->idle) {
        struct cb__scratch *next = tokenizer->idle->next;
        cb__scratch_destroy(tokenizer->idle);
        tokenizer->idle = next;
    }
    pthread_mutex_destroy(&tokenizer->lock);
    cb_arena_destroy(tokenizer->arena);
}

/* ---- facts --------------------------------------------------------------------------------------------------------- */

uint32_t cb_tokenizer_size(const struct cb_tokenizer *tokenizer)
{
    return tokenizer->size;
}

const char *cb_tokenizer_token(const struct cb_tokenizer *tokenizer, uint32_t id, size_t *out_bytes)
{
    const struct cb__token *token = id < tokenizer->size ? &tokenizer->tokens[id] : NULL;
    if (out_bytes) {
        *out_bytes = token && token->text ? token->bytes : 0;
    }
    return token ? token->text : NULL;
}

uint32_t cb_tokenizer_id(const struct cb_tokenizer *tokenizer, const char *token, size_t bytes)
{
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        const struct cb__token *added = &tokenizer->tokens[tokenizer->added[i].id];
        if (added->bytes == bytes && memcmp(added->text, token, bytes) == 0) {
            return tokenizer->added[i].id;
        }
    }
    return cb__trie_find(&tokenizer->trie, token, bytes);
}

bool cb_tokenizer_is_special(const struct cb_tokenizer *tokenizer, uint32_t id)
{
    return id < tokenizer->size && tokenizer->tokens[id].is_special;
}

uint32_t cb_tokenizer_special(const struct cb_tokenizer *tokenizer, enum cb_special part)
{
    return part < CB_SPECIAL_COUNT ? tokenizer->special[part] : CB_NO_TOKEN;
}

size_t cb_tokenizer_max_tokens(const struct cb_tokenizer *tokenizer)
{
    return tokenizer->max_tokens;
}

bool cb_tokenizer_is_uncased(const struct cb_tokenizer *tokenizer)
{
    return tokenizer->is_uncased;
}

const char *cb_tokenizer_describe(const struct cb_tokenizer *tokenizer)
{
    return tokenizer->description;
}

size_t cb_tokenizer_file_count(const struct cb_tokenizer *tokenizer)
{
    return tokenizer->file_count;
}

const struct cb_tokenizer_file *cb_tokenizer_file_at(const struct cb_tokenizer *tokenizer, size_t i)
{
    return i < tokenizer->file_count ? &tokenizer->files[i] : NULL;
}

const char *cb_tokenizer_sha256(const struct cb_tokenizer *tokenizer)
{
    return tokenizer->sha256;
}
