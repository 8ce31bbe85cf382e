/* bpe.c: byte-pair encoding: letters become tokens, then the neighbours whose pair has the lowest rank are joined, the
 * leftmost first, until none is left to join. Short pieces look for the lowest rank each time, long ones keep a heap. */
#include "text/internal.h"

#include <stdlib.h>

enum { FEW_SYMBOLS = 48 };

static uint64_t hash_pair(uint64_t pair)
{
    pair *= UINT64_C(0x9e3779b97f4a7c15);
    return pair ^ pair >> 32;
}

void cb__merges_put(struct cb_tokenizer *tokenizer, uint32_t left, uint32_t right, uint32_t rank, uint32_t joined)
{
    uint64_t pair = (uint64_t)left << 32 | right;
    size_t i = hash_pair(pair) & tokenizer->merge_mask;
    while (tokenizer->merges[i].pair != UINT64_MAX && tokenizer->merges[i].pair != pair) {
        i = (i + 1) & tokenizer->merge_mask;
    }
    tokenizer->merges[i] = (struct cb__merge){pair, rank, joined};
}

static const struct cb__merge *find_merge(const struct cb_tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    uint64_t pair = (uint64_t)left << 32 | right;
    if (!tokenizer->merges) {
        return NULL;
    }
    for (size_t i = hash_pair(pair) & tokenizer->merge_mask; tokenizer->merges[i].pair != UINT64_MAX;
         i = (i + 1) & tokenizer->merge_mask) {
        if (tokenizer->merges[i].pair == pair) {
            return &tokenizer->merges[i];
        }
    }
    return NULL;
}

/* ---- symbols ------------------------------------------------------------------------------------------------------- */

static bool add_symbol(struct cb__scratch *scratch, uint32_t id, uint32_t bytes)
{
    if (scratch->symbol_count == scratch->symbol_capacity) {
        size_t capacity = scratch->symbol_capacity * 2 + 64;
        struct cb__symbol *symbols = realloc(scratch->symbols, capacity * sizeof(*symbols));
        if (!symbols) {
            scratch->failed = true;
            return false;
        }
        scratch->symbols = symbols;
        scratch->symbol_capacity = capacity;
    }
    scratch->symbols[scratch->symbol_count++] = (struct cb__symbol){.id = id, .bytes = bytes};
    return true;
}

/* The token of one letter with what the model puts before and behind it. */
static uint32_t letter_id(const struct cb_tokenizer *tokenizer, const char *letter, size_t bytes, bool is_first,
                          bool is_last)
{
    const char *prefix = is_first || !tokenizer->prefix ? "" : tokenizer->prefix;
    const char *suffix = is_last && tokenizer->suffix ? tokenizer->suffix : "";
    uint32_t node = 0;
    for (; *prefix; prefix++) {
        node = cb__trie_step(&tokenizer->trie, node, (uint8_t)*prefix);
        if (node == 0) {
            return CB_NO_TOKEN;
        }
    }
    for (size_t i = 0; i < bytes; i++) {
        node = cb__trie_step(&tokenizer->trie, node, (uint8_t)letter[i]);
        if (node == 0) {
            return CB_NO_TOKEN;
        }
    }
    for (; *suffix; suffix++) {
        node = cb__trie_step(&tokenizer->trie, node, (uint8_t)*suffix);
        if (node == 0) {
            return CB_NO_TOKEN;
        }
    }
    return tokenizer->trie.nodes[node].value;
}

/* The bytes of a letter that has no token, each by its own; false when one of them has none. As the original, of a
 * letter with a prefix or suffix these count as well. */
static bool fall_back(const struct cb_tokenizer *tokenizer, const char *letter, uint32_t bytes, bool is_first,
                      bool is_last, struct cb__scratch *scratch)
{
    const char *parts[3] = {is_first || !tokenizer->prefix ? "" : tokenizer->prefix, letter,
                            is_last && tokenizer->suffix ? tokenizer->suffix : ""};
    size_t counts[3] = {strlen(parts[0]), bytes, strlen(parts[2])};
    for (int pass = 0; pass < 2; pass++) {
        for (int p = 0; p < 3; p++) {
            for (size_t i = 0; i < counts[p]; i++) {
                uint32_t id = tokenizer->bytes_of[(unsigned char)parts[p][i]];
                if (pass == 0 && id == CB_NO_TOKEN) {
                    return false;
                }
                if (pass == 1 && !add_symbol(scratch, id, 1)) {
                    return true;
                }
            }
        }
    }
    return true;
}

/* Fills the scratch's symbols. False when a letter is unknown and must not be. */
static bool to_symbols(const struct cb_tokenizer *tokenizer, const char *piece, uint32_t bytes,
                       struct cb__scratch *scratch)
{
    uint32_t unknown_bytes = 0; /* that wait for their token */
    scratch->symbol_count = 0;
    for (uint32_t i = 0; i < bytes && !scratch->failed;) {
        uint32_t length = (uint32_t)cb__letter_bytes(piece[i]);
        bool is_first = i == 0, is_last = i + length == bytes;
        uint32_t id = letter_id(tokenizer, piece + i, length, is_first, is_last);
        if (id != CB_NO_TOKEN) {
            if (unknown_bytes > 0) {
                add_symbol(scratch, tokenizer->unknown, unknown_bytes);
            }
            unknown_bytes = 0;
            add_symbol(scratch, id, length);
        } else if (!tokenizer->has_byte_fallback || !fall_back(tokenizer, piece + i, length, is_first, is_last, scratch)) {
            if (tokenizer->unknown != CB_NO_TOKEN) { /* without one the letter is left out */
                if (unknown_bytes > 0 && !tokenizer->fuses_unknown) {
                    add_symbol(scratch, tokenizer->unknown, unknown_bytes);
                    unknown_bytes = 0;
                }
                unknown_bytes += length;
            }
        }
        i += length;
    }
    if (unknown_bytes > 0) {
        add_symbol(scratch, tokenizer->unknown, unknown_bytes);
    }
    return true;
}

static void look_up(const struct cb_tokenizer *tokenizer, struct cb__symbol *symbol, const struct cb__symbol *after)
{
    const struct cb__merge *merge = after ? find_merge(tokenizer, symbol->id, after->id) : NULL;
    symbol->rank = merge ? merge->rank : UINT32_MAX;
    symbol->joined = merge ? merge->joined : CB_NO_TOKEN;
}

/* ---- few symbols: the lowest rank is looked for ------------------------------------------------------------------- */

static void join_few(const struct cb_tokenizer *tokenizer, struct cb__symbol *symbols, size_t *count)
{
    size_t left = *count;
    for (size_t i = 0; i < left; i++) {
        look_up(tokenizer, &symbols[i], i + 1 < left ? &symbols[i + 1] : NULL);
    }
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < left; i++) {
            best = symbols[i].rank < symbols[best].rank ? i : best;
        }
        if (left < 2 || symbols[best].joined == CB_NO_TOKEN) {
            break;
        }
        symbols[best].id = symbols[best].joined;
        symbols[best].bytes += symbols[best + 1].bytes;
        memmove(&symbols[best + 1], &symbols[best + 2], (left - best - 2) * sizeof(*symbols));
        left--;
        look_up(tokenizer, &symbols[best], best + 1 < left ? &symbols[best + 1] : NULL);
        if (best > 0) {
            look_up(tokenizer, &symbols[best - 1], &symbols[best]);
        }
    }
    *count = left;
}

/* ---- many symbols: a heap ------------------------------------------------------------------------------------------ */

static bool is_before(struct cb__queued a, struct cb__queued b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.place < b.place;
}

static void push(struct cb__scratch *scratch, struct cb__queued one)
{
    if (scratch->queue_count == scratch->queue_capacity) {
        size_t capacity = scratch->queue_capacity * 2 + 256;
        struct cb__queued *queue = realloc(scratch->queue, capacity * sizeof(*queue));
        if (!queue) {
            scratch->failed = true;
            return;
        }
        scratch->queue = queue;
        scratch->queue_capacity = capacity;
    }
    size_t i = scratch->queue_count++;
    for (; i > 0 && is_before(one, scratch->queue[(i - 1) / 2]); i = (i - 1) / 2) {
        scratch->queue[i] = scratch->queue[(i - 1) / 2];
    }
    scratch->queue[i] = one;
}

static struct cb__queued pop(struct cb__scratch *scratch)
{
    struct cb__queued top = scratch->queue[0], last = scratch->queue[--scratch->queue_count];
    size_t i = 0, count = scratch->queue_count;
    for (size_t child; (child = 2 * i + 1) < count; i = child) {
        child += child + 1 < count && is_before(scratch->queue[child + 1], scratch->queue[child]);
        if (!is_before(scratch->queue[child], last)) {
            break;
        }
        scratch->queue[i] = scratch->queue[child];
    }
    scratch->queue[i] = last;
    return top;
}

static void push_pair(const struct cb_tokenizer *tokenizer, struct cb__scratch *scratch, int32_t place)
{
    struct cb__symbol *symbols = scratch->symbols;
    if (place < 0 || symbols[place].after < 0) {
        return;
    }
    const struct cb__merge *merge = find_merge(tokenizer, symbols[place].id, symbols[symbols[place].after].id);
    if (merge) {
        push(scratch, (struct cb__queued){merge->rank, merge->joined, (uint32_t)place});
    }
}

static void join_many(const struct cb_tokenizer *tokenizer, struct cb__scratch *scratch)
{
    struct cb__symbol *symbols = scratch->symbols;
    int32_t count = (int32_t)scratch->symbol_count;
    scratch->queue_count = 0;
    for (int32_t i = 0; i < count; i++) {
        symbols[i].before = i - 1;
        symbols[i].after = i + 1 < count ? i + 1 : -1;
    }
    for (int32_t i = 0; i < count; i++) {
        push_pair(tokenizer, scratch, i);
    }
    while (scratch->queue_count > 0 && !scratch->failed) {
        struct cb__queued top = pop(scratch);
        struct cb__symbol *left = &symbols[top.place];
        if (left->bytes == 0 || left->after < 0) {
            continue;
        }
        struct cb__symbol *right = &symbols[left->after];
        const struct cb__merge *merge = find_merge(tokenizer, left->id, right->id);
        if (!merge || merge->joined != top.joined) {
            continue; /* one of them was joined with another since */
        }
        left->id = top.joined;
        left->bytes += right->bytes;
        right->bytes = 0;
        left->after = right->after;
        if (right->after >= 0) {
            symbols[right->after].before = (int32_t)top.place;
        }
        push_pair(tokenizer, scratch, left->before);
        push_pair(tokenizer, scratch, (int32_t)top.place);
    }
    size_t left = 0;
    for (int32_t i = 0; i < count; i++) {
        if (symbols[i].bytes > 0) {
            symbols[left++] = symbols[i];
        }
    }
    scratch->symbol_count = left;
}

static void emit(struct cb__scratch *scratch)
{
    for (size_t i = 0; i < scratch->symbol_count; i++) {
        cb__scratch_emit(scratch, scratch->symbols[i].id, scratch->symbols[i].bytes);
    }
}

bool cb__bpe(const struct cb_tokenizer *tokenizer, const char *piece, uint32_t bytes, struct cb__scratch *scratch)
{
    uint32_t whole = tokenizer->ignores_merges ? cb__trie_find(&tokenizer->trie, piece, bytes) : CB_NO_TOKEN;
    if (whole != CB_NO_TOKEN) {
        cb__scratch_emit(scratch, whole, bytes);
        return true;
    }
    if (!to_symbols(tokenizer, piece, bytes, scratch)) {
        return false;
    }
    if (scratch->symbol_count <= FEW_SYMBOLS) {
        join_few(tokenizer, scratch->symbols, &scratch->symbol_count);
    } else {
        join_many(tokenizer, scratch);
    }
    emit(scratch);
    return true;
}
