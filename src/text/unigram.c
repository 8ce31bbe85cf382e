/* unigram.c: SentencePiece's unigram model: of all ways to cut a piece into tokens the one whose scores add up to most
 * (Viterbi; `EncodeOptimized` of unigram_model.cc). Neighbouring unknown letters become one unknown token. */
#include "text/internal.h"

#include <stdlib.h>

static double sum(const struct cb_tokenizer *tokenizer, double a, double b)
{
    return tokenizer->is_single_precision ? (double)((float)a + (float)b) : a + b;
}

static void reach(struct cb__best *to, double score, uint32_t id, uint32_t from)
{
    if (to->from == UINT32_MAX || score > to->score) {
        *to = (struct cb__best){score, id, from};
    }
}

static bool find_best(const struct cb_tokenizer *tokenizer, const char *piece, uint32_t bytes, struct cb__best *best)
{
    for (uint32_t i = 0; i <= bytes; i++) {
        best[i] = (struct cb__best){0, 0, UINT32_MAX};
    }
    for (uint32_t begin = 0; begin < bytes;) {
        uint32_t letter = (uint32_t)cb__letter_bytes(piece[begin]), node = 0;
        bool has_letter = false;
        for (uint32_t i = begin; i < bytes; i++) {
            node = cb__trie_step(&tokenizer->trie, node, (uint8_t)piece[i]);
            if (node == 0) {
                break;
            }
            uint32_t id = tokenizer->trie.nodes[node].value;
            if (id != CB_NO_TOKEN) {
                reach(&best[i + 1], sum(tokenizer, tokenizer->tokens[id].score, best[begin].score), id, begin);
                has_letter |= i + 1 - begin == letter;
            }
        }
        if (!has_letter) {
            if (tokenizer->unknown == CB_NO_TOKEN) {
                return false;
            }
            reach(&best[begin + letter], sum(tokenizer, tokenizer->unknown_score, best[begin].score), tokenizer->unknown,
                  begin);
        }
        begin += letter;
    }
    return true;
}

/* Unknown letters: their bytes, where each has a token, else one unknown token. */
static void emit_unknown(const struct cb_tokenizer *tokenizer, const char *piece, uint32_t bytes,
                         struct cb__scratch *scratch)
{
    bool has_bytes = tokenizer->has_byte_fallback;
    for (uint32_t i = 0; has_bytes && i < bytes; i++) {
        has_bytes = tokenizer->bytes_of[(unsigned char)piece[i]] != CB_NO_TOKEN;
    }
    for (uint32_t i = 0; has_bytes && i < bytes; i++) {
        cb__scratch_emit(scratch, tokenizer->bytes_of[(unsigned char)piece[i]], 1);
    }
    if (!has_bytes) {
        uint32_t id = cb__trie_find(&tokenizer->trie, piece, bytes); /* fused ones may spell a token */
        cb__scratch_emit(scratch, id != CB_NO_TOKEN ? id : tokenizer->unknown, bytes);
    }
}

bool cb__unigram(const struct cb_tokenizer *tokenizer, const char *piece, uint32_t bytes, struct cb__scratch *scratch)
{
    if (scratch->best_capacity < (size_t)bytes + 1) {
        size_t capacity = ((size_t)bytes + 1) * 2;
        struct cb__best *best = realloc(scratch->best, capacity * sizeof(*best));
        if (!best) {
            scratch->failed = true;
            return true;
        }
        scratch->best = best;
        scratch->best_capacity = capacity;
    }
    struct cb__best *best = scratch->best;
    if (!find_best(tokenizer, piece, bytes, best)) {
        return false;
    }
    /* the way is walked backwards; turned around in place: `id` and `from` of a place become those of the token that
     * begins there */
    uint32_t end = bytes;
    struct cb__best at = best[end];
    while (end > 0) {
        uint32_t begin = at.from;
        struct cb__best before = best[begin];
        best[begin] = (struct cb__best){0, at.id, end};
        end = begin;
        at = before;
    }
    for (uint32_t begin = 0; begin < bytes;) {
        uint32_t to = best[begin].from;
        if (best[begin].id == tokenizer->unknown) {
            while (to < bytes && best[to].id == tokenizer->unknown) {
                to = best[to].from;
            }
            emit_unknown(tokenizer, piece + begin, to - begin, scratch);
        } else {
            cb__scratch_emit(scratch, best[begin].id, to - begin);
        }
        begin = to;
    }
    return true;
}
