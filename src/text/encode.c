/* encode.c: a text's way through the parts of a tokenizer to its ids, and the special tokens around them. */
#include "text/internal.h"

#include <stdlib.h>

enum { MOST_BYTES = 1 << 30 };

/* ---- workplaces ---------------------------------------------------------------------------------------------------- */

/* One that no other thread has; they are kept, with the words that they remember, for the next call. */
static struct cb__scratch *take_scratch(const struct cb_tokenizer *tokenizer)
{
    struct cb_tokenizer *shared = (struct cb_tokenizer *)tokenizer; /* the list is the one thing that changes */
    pthread_mutex_lock(&shared->lock);
    struct cb__scratch *scratch = shared->idle;
    if (scratch) {
        shared->idle = scratch->next;
    }
    pthread_mutex_unlock(&shared->lock);
    return scratch ? scratch : cb__scratch_create();
}

static void give_back(const struct cb_tokenizer *tokenizer, struct cb__scratch *scratch)
{
    struct cb_tokenizer *shared = (struct cb_tokenizer *)tokenizer;
    pthread_mutex_lock(&shared->lock);
    scratch->next = shared->idle;
    shared->idle = scratch;
    pthread_mutex_unlock(&shared->lock);
}

/* ---- words --------------------------------------------------------------------------------------------------------- */

static uint64_t hash_word(const char *word, uint32_t bytes)
{
    uint64_t hash = bytes * UINT64_C(0x9e3779b97f4a7c15), part;
    for (; bytes >= 8; bytes -= 8, word += 8) {
        memcpy(&part, word, 8);
        hash = (hash ^ part) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    part = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        part |= (uint64_t)(unsigned char)word[i] << 8 * i;
    }
    hash = (hash ^ part) * UINT64_C(0xff51afd7ed558ccd);
    return hash ^ hash >> 29;
}

static bool cut_word(const struct cb_tokenizer *tokenizer, const char *word, uint32_t bytes,
                     struct cb__scratch *scratch)
{
    switch (tokenizer->model) {
    case CB__MODEL_WORDPIECE:
        return cb__wordpiece(tokenizer, word, bytes, scratch);
    case CB__MODEL_BPE:
        return cb__bpe(tokenizer, word, bytes, scratch);
    default:
        return cb__unigram(tokenizer, word, bytes, scratch);
    }
}

/* Short words are remembered (their ids, not their lengths, which only spans need). */
static bool cut_cached(const struct cb_tokenizer *tokenizer, const char *word, uint32_t bytes,
                       struct cb__scratch *scratch)
{
    if (bytes > CB__CACHE_KEY) {
        return cut_word(tokenizer, word, bytes, scratch);
    }
    struct cb__cached *cached = &scratch->cache[hash_word(word, bytes) % CB__CACHE_SLOTS];
    if (cached->bytes == bytes && memcmp(cached->key, word, bytes) == 0) {
        for (uint32_t i = 0; i < cached->count; i++) {
            cb__scratch_emit(scratch, cached->ids[i], 0);
        }
        return true;
    }
    size_t before = scratch->count;
    bool ok = cut_word(tokenizer, word, bytes, scratch);
    size_t count = scratch->count - before;
    if (ok && !scratch->failed && count <= CB__CACHE_IDS) {
        cached->bytes = (uint8_t)bytes;
        cached->count = (uint8_t)count;
        memcpy(cached->key, word, bytes);
        memcpy(cached->ids, scratch->ids + before, count * sizeof(*scratch->ids));
    }
    return ok;
}

/* ---- a text -------------------------------------------------------------------------------------------------------- */

static void clear_strand(struct cb__strand *strand, bool has_origins)
{
    strand->length = 0;
    strand->failed = false;
    strand->has_origins = has_origins;
}

/* The text as valid UTF-8, each letter with where it stands. */
static void repair(struct cb__scratch *scratch, const char *text, size_t bytes, bool has_origins)
{
    struct cb__strand *given = &scratch->given;
    clear_strand(given, has_origins);
    for (size_t i = 0; i < bytes && !given->failed;) {
        size_t valid = cb__valid_bytes(text + i, bytes - i), end = i + valid;
        if (!has_origins) {
            cb__strand_add(given, text + i, valid, (struct cb_token_span){0, 0});
            i = end;
        }
        while (i < end) {
            size_t length = cb__letter_bytes(text[i]);
            cb__strand_add(given, text + i, length, (struct cb_token_span){(uint32_t)i, (uint32_t)(i + length)});
            i += length;
        }
        if (i < bytes) {
            size_t length = cb__invalid_bytes(text + i, bytes - i);
            cb__strand_add(given, "\xef\xbf\xbd", 3, (struct cb_token_span){(uint32_t)i, (uint32_t)(i + length)});
            i += length;
        }
    }
}

/* Added tokens out, the rest normalized: fills scratch->text and pieces. */
static bool prepare(const struct cb_tokenizer *tokenizer, struct cb__scratch *scratch)
{
    struct cb__strand *given = &scratch->given, *text = &scratch->text;
    struct cb__piece whole = {0, (uint32_t)given->length, CB_NO_TOKEN, true};
    clear_strand(text, given->has_origins);
    scratch->pieces.count = scratch->other.count = 0;
    if (tokenizer->has_raw) {
        cb__find_added(tokenizer, false, given, whole, &scratch->other);
    } else {
        cb__pieces_add(&scratch->other, whole);
    }
    for (size_t i = 0; i < scratch->other.count; i++) {
        struct cb__piece piece = scratch->other.items[i], moved = piece;
        moved.begin = (uint32_t)text->length;
        if (piece.token != CB_NO_TOKEN) {
            cb__strand_copy(text, given, piece.begin, piece.end);
        } else if (!cb__normalize(tokenizer, scratch, given, piece.begin, piece.end, text)) {
            return false;
        }
        moved.end = (uint32_t)text->length;
        if (piece.token == CB_NO_TOKEN && tokenizer->has_normal) {
            cb__find_added(tokenizer, true, text, moved, &scratch->pieces);
        } else {
            cb__pieces_add(&scratch->pieces, moved);
        }
    }
    return !text->failed && !given->failed && !scratch->pieces.failed && !scratch->other.failed;
}

/* The spans of the tokens that the piece became, [first, scratch->count) of them. */
static void put_spans(const struct cb__scratch *scratch, struct cb__piece piece, size_t first,
                      struct cb_token_span *spans)
{
    uint32_t at = piece.begin;
    for (size_t i = first; i < scratch->count; i++) {
        uint32_t end = at + scratch->lengths[i];
        end = end > piece.end ? piece.end : end;
        spans[i] = at < end ? (struct cb_token_span){scratch->text.origins[at].begin, scratch->text.origins[end - 1].end}
                            : (struct cb_token_span){0, 0};
        at = end;
    }
}

/* All of a text, without special tokens: scratch->ids and, with `*spans`, where each stands. */
static enum cb_status encode_text(const struct cb_tokenizer *tokenizer, struct cb__scratch *scratch, const char *text,
                                  size_t bytes, bool wants_spans, struct cb_token_span **spans, struct cb_diag *diag)
{
    size_t room = 0;
    if (bytes >= MOST_BYTES) {
        return cb_fail(diag, CB_INVALID, NULL, "a text of %zu bytes; at most 1 GiB is read", bytes);
    }
    scratch->count = 0;
    scratch->failed = scratch->pieces.failed = scratch->other.failed = false;
    repair(scratch, text, bytes, wants_spans);
    if (!prepare(tokenizer, scratch)) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading a text");
    }
    for (size_t i = 0; i < tokenizer->cut_count; i++) {
        CB_TRY(cb__cut_pieces(&tokenizer->cuts[i], scratch, diag));
    }
    for (size_t i = 0; i < scratch->pieces.count && !scratch->failed; i++) {
        struct cb__piece piece = scratch->pieces.items[i];
        const char *word = scratch->text.bytes + piece.begin;
        size_t first = scratch->count;
        bool ok = true;
        if (piece.token != CB_NO_TOKEN) {
            cb__scratch_emit(scratch, piece.token, piece.end - piece.begin);
        } else if (wants_spans) {
            ok = cut_word(tokenizer, word, piece.end - piece.begin, scratch);
        } else {
            ok = cut_cached(tokenizer, word, piece.end - piece.begin, scratch);
        }
        if (!ok) {
            return cb_fail(diag, CB_INVALID, NULL, "`%.*s` has letters that the vocabulary lacks, and it has no token for"
                           " unknown ones", (int)(piece.end - piece.begin > 60 ? 60 : piece.end - piece.begin), word);
        }
        if (wants_spans && !scratch->failed) {
            if (scratch->count > room) {
                struct cb_token_span *more = realloc(*spans, (scratch->count * 2 + 64) * sizeof(*more));
                scratch->failed |= more == NULL;
                *spans = more ? more : *spans;
                room = more ? scratch->count * 2 + 64 : room;
            }
            if (!scratch->failed) {
                put_spans(scratch, piece, first, *spans);
            }
        }
    }
    return scratch->failed || scratch->text.failed || scratch->pieces.failed || scratch->other.failed
               ? cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading a text") : CB_OK;
}

/* ---- both texts and what is around them ---------------------------------------------------------------------------- */

/* A text's ids, out of a scratch that the other text needs next. */
struct side {
    uint32_t *ids;
    struct cb_token_span *spans;
    size_t count, kept;
};

static bool reserve(struct cb_tokens *out, size_t count, bool wants_spans)
{
    if (count <= out->capacity && (!wants_spans || out->spans)) {
        return true;
    }
    size_t room = count > out->capacity ? count + count / 2 + 32 : out->capacity;
    uint32_t *ids = realloc(out->ids, room * sizeof(*ids));
    out->ids = ids ? ids : out->ids;
    uint8_t *segments = realloc(out->segments, room);
    out->segments = segments ? segments : out->segments;
    bool ok = ids && segments;
    if (ok && (wants_spans || out->spans)) {
        struct cb_token_span *spans = realloc(out->spans, room * sizeof(*spans));
        out->spans = spans ? spans : out->spans;
        uint8_t *sources = realloc(out->sources, room);
        out->sources = sources ? sources : out->sources;
        ok = spans && sources;
    }
    out->capacity = ok ? room : 0;
    return ok;
}

void cb_tokens_free(struct cb_tokens *tokens)
{
    free(tokens->ids);
    free(tokens->segments);
    free(tokens->spans);
    free(tokens->sources);
    *tokens = (struct cb_tokens){0};
}

size_t cb_tokenizer_added_count(const struct cb_tokenizer *tokenizer, bool is_pair)
{
    const struct cb__template *template = is_pair ? &tokenizer->pair : &tokenizer->single;
    size_t count = 0;
    for (size_t i = 0; i < template->count; i++) {
        count += template->items[i].kind == CB__ITEM_TOKEN;
    }
    return count;
}

/* Cuts the sides so that together they have at most `most` tokens, the longer one first (`longest_first`). */
static void cut_sides(struct side sides[2], size_t most)
{
    size_t n1 = sides[0].count, n2 = sides[1].count;
    if (n1 + n2 > most) {
        bool is_swapped = n1 > n2;
        size_t less = is_swapped ? n2 : n1, more = 0;
        more = less > most ? less : most - less > less ? most - less : less;
        if (less + more > most) {
            less = most / 2;
            more = less + most % 2;
        }
        n1 = is_swapped ? more : less;
        n2 = is_swapped ? less : more;
    }
    sides[0].kept = n1 < sides[0].count ? n1 : sides[0].count;
    sides[1].kept = n2 < sides[1].count ? n2 : sides[1].count;
}

static void put(struct cb_tokens *out, uint32_t id, uint8_t segment, const struct cb_token_span *span, uint8_t source)
{
    out->ids[out->count] = id;
    out->segments[out->count] = segment;
    if (out->spans) {
        out->spans[out->count] = span ? *span : (struct cb_token_span){0, 0};
        out->sources[out->count] = source;
    }
    out->count++;
}

static enum cb_status assemble(const struct cb_tokenizer *tokenizer, const struct cb_encode_options *options,
                               struct side sides[2], struct cb_tokens *out, struct cb_diag *diag)
{
    static const struct cb__template_item bare[2] = {{CB__ITEM_TEXT, 0, 0}, {CB__ITEM_PAIR, 0, 1}};
    bool is_pair = options->pair != NULL;
    const struct cb__template *given = is_pair ? &tokenizer->pair : &tokenizer->single;
    const struct cb__template_item *items = given->is_given ? given->items : bare;
    size_t item_count = given->is_given ? given->count : is_pair ? 2 : 1;
    size_t added = options->leaves_special_out ? 0 : cb_tokenizer_added_count(tokenizer, is_pair);
    out->uncut_count = sides[0].count + sides[1].count + added;
    if (options->max_tokens > 0 && options->max_tokens < added) {
        return cb_fail(diag, CB_INVALID, NULL, "at most %zu tokens are wanted, but %zu special ones are added to any text",
                       options->max_tokens, added);
    }
    cut_sides(sides, options->max_tokens > 0 ? options->max_tokens - added : SIZE_MAX / 2);
    if (!reserve(out, sides[0].kept + sides[1].kept + added + 1, options->wants_spans)) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading a text");
    }
    for (size_t i = 0; i < item_count; i++) {
        if (items[i].kind == CB__ITEM_TOKEN) {
            if (!options->leaves_special_out) {
                put(out, items[i].id, items[i].segment, NULL, 2);
            }
            continue;
        }
        uint8_t source = items[i].kind == CB__ITEM_PAIR;
        for (size_t k = 0; k < sides[source].kept; k++) {
            put(out, sides[source].ids[k], items[i].segment, sides[source].spans ? &sides[source].spans[k] : NULL, source);
        }
    }
    return CB_OK;
}

enum cb_status cb_tokenizer_encode(const struct cb_tokenizer *tokenizer, const char *text, size_t bytes,
                                   const struct cb_encode_options *options, struct cb_tokens *out,
                                   struct cb_diag *diag)
{
    static const struct cb_encode_options usual = {0};
    options = options ? options : &usual;
    out->count = 0;
    struct cb__scratch *scratch = take_scratch(tokenizer);
    if (!scratch) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading a text");
    }
    struct side sides[2] = {{0}, {0}};
    uint32_t *first = NULL;
    enum cb_status status = encode_text(tokenizer, scratch, text, bytes, options->wants_spans, &sides[0].spans, diag);
    sides[0].count = scratch->count;
    if (status == CB_OK && options->pair) {
        first = malloc((scratch->count + 1) * sizeof(*first));
        status = first ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading a text");
        if (status == CB_OK) {
            memcpy(first, scratch->ids ? scratch->ids : first, scratch->count * sizeof(*first));
            status = encode_text(tokenizer, scratch, options->pair, options->pair_bytes, options->wants_spans,
                                 &sides[1].spans, diag);
            sides[1].count = scratch->count;
        }
    }
    if (status == CB_OK) {
        sides[0].ids = first ? first : scratch->ids;
        sides[1].ids = scratch->ids;
        status = assemble(tokenizer, options, sides, out, diag);
    }
    give_back(tokenizer, scratch);
    free(first);
    free(sides[0].spans);
    free(sides[1].spans);
    return status;
}
