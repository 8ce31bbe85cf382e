/* wordpiece.c: BERT's way to cut a word: the longest token that begins it, then, as a continuation (##), the longest that
 * begins the rest; a word of which any part is unknown is unknown as a whole. */
#include "text/internal.h"

static uint32_t letters_in(const char *piece, uint32_t bytes)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        count += ((unsigned char)piece[i] & 0xc0) != 0x80;
    }
    return count;
}

static bool unknown(const struct cb_tokenizer *tokenizer, uint32_t bytes, struct cb__scratch *scratch)
{
    if (tokenizer->unknown == CB_NO_TOKEN) {
        return false;
    }
    cb__scratch_emit(scratch, tokenizer->unknown, bytes);
    return true;
}

bool cb__wordpiece(const struct cb_tokenizer *tokenizer, const char *piece, uint32_t bytes, struct cb__scratch *scratch)
{
    size_t before = scratch->count;
    if (bytes > tokenizer->most_letters && letters_in(piece, bytes) > tokenizer->most_letters) {
        return unknown(tokenizer, bytes, scratch);
    }
    for (uint32_t begin = 0; begin < bytes;) {
        uint32_t node = begin == 0 ? 0 : tokenizer->continuing_node, end = begin, id = CB_NO_TOKEN;
        for (uint32_t i = begin; i < bytes && node != CB_NO_TOKEN; i++) {
            node = cb__trie_step(&tokenizer->trie, node, (uint8_t)piece[i]);
            if (node == 0) {
                break;
            }
            if (tokenizer->trie.nodes[node].value != CB_NO_TOKEN) {
                id = tokenizer->trie.nodes[node].value;
                end = i + 1;
            }
        }
        if (id == CB_NO_TOKEN) {
            scratch->count = before;
            return unknown(tokenizer, bytes, scratch);
        }
        cb__scratch_emit(scratch, id, end - begin);
        begin = end;
    }
    return true;
}
