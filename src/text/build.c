/* build.c: what the readers of tokenizer files fill: tokens by number, added tokens, tables made of them. */
#include "text/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum cb_status cb__opening_memory(const struct cb__opening *o)
{
    return cb_fail(o->diag, CB_MEMORY, o->at, "out of memory while reading the tokenizer `%s`", o->name);
}

/* ---- tokens -------------------------------------------------------------------------------------------------------- */

static bool reserve_tokens(struct cb_tokenizer *tokenizer, uint64_t count)
{
    if (count <= tokenizer->capacity) {
        return true;
    }
    uint64_t capacity = tokenizer->capacity * UINT64_C(2) > count ? tokenizer->capacity * UINT64_C(2) : count + 256;
    struct cb__token *tokens = CB_NEW_ARRAY(tokenizer->arena, struct cb__token, capacity);
    if (!tokens) {
        return false;
    }
    if (tokenizer->size > 0) {
        memcpy(tokens, tokenizer->tokens, tokenizer->size * sizeof(*tokens));
    }
    tokenizer->tokens = tokens;
    tokenizer->capacity = (uint32_t)capacity;
    return true;
}

enum cb_status cb__put_token(struct cb__opening *o, uint64_t id, const char *text, size_t bytes, double score,
                             size_t expected, const struct cb_place *at)
{
    struct cb_tokenizer *tokenizer = o->tokenizer;
    at = at && at->source ? at : o->at;
    if (id >= (uint64_t)expected * 4 + 65536 || id >= INT32_MAX / 4) {
        return cb_fail(o->diag, CB_FORMAT, at, "`%s`: token `%.60s` has the number %" PRIu64 ", far beyond the %zu tokens"
                       " there are", o->name, text, id, expected);
    }
    if (bytes > 65536) {
        return cb_fail(o->diag, CB_FORMAT, at, "`%s`: a token of %zu bytes", o->name, bytes);
    }
    if (id < tokenizer->size && tokenizer->tokens[id].text) {
        return cb_fail(o->diag, CB_FORMAT, at, "`%s`: tokens `%.60s` and `%.60s` have the same number, %" PRIu64, o->name,
                       tokenizer->tokens[id].text, text, id);
    }
    char *copy = reserve_tokens(tokenizer, id + 1) ? cb_arena_strndup(tokenizer->arena, text, bytes) : NULL;
    if (!copy) {
        return cb__opening_memory(o);
    }
    tokenizer->tokens[id] = (struct cb__token){.text = copy, .bytes = (uint32_t)bytes, .score = score};
    tokenizer->size = id >= tokenizer->size ? (uint32_t)id + 1 : tokenizer->size;
    tokenizer->used++;
    return CB_OK;
}

enum cb_status cb__build_trie(struct cb__opening *o)
{
    struct cb_tokenizer *tokenizer = o->tokenizer;
    struct cb__trie_key *keys = malloc(((size_t)tokenizer->size + 1) * sizeof(*keys));
    size_t count = 0;
    for (uint32_t i = 0; keys && i < tokenizer->size; i++) {
        if (tokenizer->tokens[i].text && !tokenizer->tokens[i].is_added) {
            keys[count++] = (struct cb__trie_key){tokenizer->tokens[i].text, tokenizer->tokens[i].bytes, i};
        }
    }
    bool ok = keys && cb__trie_build(tokenizer->arena, keys, count, &tokenizer->trie);
    free(keys);
    tokenizer->model_size = tokenizer->used;
    return ok ? CB_OK : cb__opening_memory(o);
}

/* ---- added tokens -------------------------------------------------------------------------------------------------- */

static uint32_t find_added(const struct cb_tokenizer *tokenizer, const char *text, size_t bytes)
{
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        const struct cb__token *token = &tokenizer->tokens[tokenizer->added[i].id];
        if (token->bytes == bytes && memcmp(token->text, text, bytes) == 0) {
            return (uint32_t)i;
        }
    }
    return CB_NO_TOKEN;
}

/* The number of the next one that the model does not have. */
static uint32_t next_id(const struct cb_tokenizer *tokenizer)
{
    uint32_t next = tokenizer->model_size;
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        next = tokenizer->added[i].id >= next ? tokenizer->added[i].id + 1 : next;
    }
    return next;
}

enum cb_status cb__put_added(struct cb__opening *o, const char *text, size_t bytes, struct cb__added_flags flags)
{
    struct cb_tokenizer *tokenizer = o->tokenizer;
    if (bytes == 0) {
        return CB_OK;
    }
    uint32_t place = find_added(tokenizer, text, bytes);
    if (place == CB_NO_TOKEN) {
        uint32_t id = cb__trie_find(&tokenizer->trie, text, bytes);
        if (id == CB_NO_TOKEN) {
            id = next_id(tokenizer);
            CB_TRY(cb__put_token(o, id, text, bytes, 0, tokenizer->size + (size_t)1, NULL));
            tokenizer->tokens[id].is_added = true;
        }
        if (tokenizer->added_count == tokenizer->added_capacity) {
            size_t capacity = tokenizer->added_capacity * 2 + 16;
            struct cb__added *added = CB_NEW_ARRAY(tokenizer->arena, struct cb__added, capacity);
            if (!added) {
                return cb__opening_memory(o);
            }
            if (tokenizer->added_count > 0) {
                memcpy(added, tokenizer->added, tokenizer->added_count * sizeof(*added));
            }
            tokenizer->added = added;
            tokenizer->added_capacity = capacity;
        }
        place = (uint32_t)tokenizer->added_count++;
        tokenizer->added[place].id = id;
    }
    struct cb__added *added = &tokenizer->added[place];
    struct cb__token *token = &tokenizer->tokens[added->id];
    added->content = token->text;
    added->bytes = token->bytes;
    added->is_single_word = flags.is_single_word;
    added->takes_left = flags.takes_left;
    added->takes_right = flags.takes_right;
    added->is_normalized = flags.is_normalized;
    token->is_special |= flags.is_special;
    return CB_OK;
}

/* Those that are found after the normalizer are looked for as it leaves them. */
static enum cb_status normalize_added(struct cb__opening *o)
{
    struct cb_tokenizer *tokenizer = o->tokenizer;
    struct cb__scratch *scratch = tokenizer->normal_count > 0 ? cb__scratch_create() : NULL;
    bool ok = tokenizer->normal_count == 0 || scratch;
    for (size_t i = 0; ok && scratch && i < tokenizer->added_count; i++) {
        struct cb__added *added = &tokenizer->added[i];
        if (added->is_normalized) {
            struct cb__strand given = {.bytes = (char *)added->content, .length = added->bytes};
            scratch->text.length = 0;
            ok = cb__normalize(tokenizer, scratch, &given, 0, given.length, &scratch->text);
            char *copy = ok ? cb_arena_strndup(tokenizer->arena, scratch->text.bytes ? scratch->text.bytes : "",
                                               scratch->text.length) : NULL;
            ok = copy != NULL;
            added->content = copy;
            added->bytes = (uint32_t)scratch->text.length;
        }
    }
    cb__scratch_destroy(scratch);
    return ok ? CB_OK : cb__opening_memory(o);
}

static enum cb_status build_added(struct cb__opening *o, bool is_normalized, struct cb__trie *out, bool *out_any)
{
    struct cb_tokenizer *tokenizer = o->tokenizer;
    struct cb__trie_key *keys = malloc((tokenizer->added_count + 1) * sizeof(*keys));
    size_t count = 0;
    for (size_t i = 0; keys && i < tokenizer->added_count; i++) {
        const struct cb__added *added = &tokenizer->added[i];
        if (added->is_normalized == is_normalized && added->bytes > 0) {
            keys[count++] = (struct cb__trie_key){added->content, added->bytes, (uint32_t)i};
        }
    }
    bool ok = keys && cb__trie_build(tokenizer->arena, keys, count, out);
    free(keys);
    *out_any = count > 0;
    return ok ? CB_OK : cb__opening_memory(o);
}

/* ---- tables -------------------------------------------------------------------------------------------------------- */

enum cb_status cb__merges_reserve(struct cb__opening *o, size_t count)
{
    size_t slots = 16;
    while (slots < count * 2) {
        slots *= 2;
    }
    o->tokenizer->merges = CB_NEW_ARRAY(o->tokenizer->arena, struct cb__merge, slots);
    if (!o->tokenizer->merges) {
        return cb__opening_memory(o);
    }
    o->tokenizer->merge_mask = slots - 1;
    for (size_t i = 0; i < slots; i++) {
        o->tokenizer->merges[i].pair = UINT64_MAX;
    }
    return CB_OK;
}

static void find_bytes(struct cb_tokenizer *tokenizer)
{
    for (int i = 0; i < 256; i++) {
        char name[8];
        int length = snprintf(name, sizeof(name), "<0x%02X>", i);
        tokenizer->bytes_of[i] = cb__trie_find(&tokenizer->trie, name, (size_t)length);
    }
}

static void find_continuing(struct cb_tokenizer *tokenizer)
{
    uint32_t node = 0;
    for (const char *p = tokenizer->continuing ? tokenizer->continuing : ""; *p && node != CB_NO_TOKEN; p++) {
        node = cb__trie_step(&tokenizer->trie, node, (uint8_t)*p);
        node = node == 0 ? CB_NO_TOKEN : node;
    }
    tokenizer->continuing_node = node;
}

enum cb_status cb__build_tables(struct cb__opening *o)
{
    static const char *const models[] = {"WordPiece", "BPE", "unigram"};
    struct cb_tokenizer *tokenizer = o->tokenizer;
    if (tokenizer->size == 0) {
        return cb_fail(o->diag, CB_FORMAT, o->at, "`%s` has no tokens", o->name);
    }
    find_bytes(tokenizer);
    find_continuing(tokenizer);
    CB_TRY(normalize_added(o));
    CB_TRY(build_added(o, false, &tokenizer->added_raw, &tokenizer->has_raw));
    CB_TRY(build_added(o, true, &tokenizer->added_normal, &tokenizer->has_normal));
    for (size_t i = 0; i < tokenizer->normal_count; i++) {
        tokenizer->is_uncased |= tokenizer->normal[i].change == CB__CHANGE_LOWERCASE ||
                                 (tokenizer->normal[i].change == CB__CHANGE_BERT && tokenizer->normal[i].lowercase);
    }
    snprintf(tokenizer->description, sizeof(tokenizer->description), "%s, %" PRIu32 " tokens%s", models[tokenizer->model],
             tokenizer->used, tokenizer->is_uncased ? ", uncased" : "");
    return CB_OK;
}

/* ---- steps: few, and known one after the other --------------------------------------------------------------------- */

static void *add_step(struct cb__opening *o, void *steps, size_t *count, size_t size)
{
    char *more = *count < 64 ? cb_arena_array(o->tokenizer->arena, *count + 1, size) : NULL;
    if (more && *count > 0) {
        memcpy(more, steps, *count * size);
    }
    *count += more != NULL;
    return more;
}

struct cb__normal_step *cb__add_normal(struct cb__opening *o)
{
    struct cb_tokenizer *t = o->tokenizer;
    struct cb__normal_step *steps = add_step(o, t->normal, &t->normal_count, sizeof(*steps));
    t->normal = steps ? steps : t->normal;
    return steps ? &steps[t->normal_count - 1] : NULL;
}

struct cb__cut_step *cb__add_cut(struct cb__opening *o)
{
    struct cb_tokenizer *t = o->tokenizer;
    struct cb__cut_step *steps = add_step(o, t->cuts, &t->cut_count, sizeof(*steps));
    t->cuts = steps ? steps : t->cuts;
    return steps ? &steps[t->cut_count - 1] : NULL;
}

struct cb__decode_step *cb__add_decode(struct cb__opening *o)
{
    struct cb_tokenizer *t = o->tokenizer;
    struct cb__decode_step *steps = add_step(o, t->decodes, &t->decode_count, sizeof(*steps));
    t->decodes = steps ? steps : t->decodes;
    t->has_decoder = true;
    return steps ? &steps[t->decode_count - 1] : NULL;
}
