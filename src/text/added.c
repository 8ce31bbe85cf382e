/* added.c: added tokens: words that are one token wherever they stand in a text ("[MASK]", "<|endoftext|>"). Of those that
 * begin leftmost the longest is taken; flags as in the crate `tokenizers` (src/tokenizer/added_vocabulary.rs). */
#include "text/internal.h"

static bool is_word_before(const char *text, size_t begin, size_t at)
{
    if (at == begin) {
        return false;
    }
    for (at--; at > begin && ((unsigned char)text[at] & 0xc0) == 0x80; at--) {
    }
    int32_t code;
    cb__decode(text + at, &code);
    return (cb__kind(code) & CB__WORD) != 0;
}

static bool is_word_at(const char *text, size_t at, size_t end)
{
    int32_t code;
    if (at == end) {
        return false;
    }
    cb__decode(text + at, &code);
    return (cb__kind(code) & CB__WORD) != 0;
}

/* Where the blanks before `at` begin, not before `begin`. */
static size_t blanks_before(const char *text, size_t begin, size_t at)
{
    while (at > begin) {
        size_t letter = at - 1;
        for (; letter > begin && ((unsigned char)text[letter] & 0xc0) == 0x80; letter--) {
        }
        int32_t code;
        cb__decode(text + letter, &code);
        if (!(cb__kind(code) & CB__SPACE)) {
            break;
        }
        at = letter;
    }
    return at;
}

static size_t blanks_after(const char *text, size_t at, size_t end)
{
    while (at < end) {
        int32_t code;
        size_t length = cb__decode(text + at, &code);
        if (!(cb__kind(code) & CB__SPACE)) {
            break;
        }
        at += length;
    }
    return at;
}

/* The longest that begins at `at`; its end, 0: none. */
static size_t longest(const struct cb__trie *trie, const char *text, size_t at, size_t end, uint32_t *out)
{
    size_t found = 0;
    uint32_t node = 0;
    for (size_t i = at; i < end; i++) {
        node = cb__trie_step(trie, node, (uint8_t)text[i]);
        if (node == 0) {
            break;
        }
        if (trie->nodes[node].value != CB_NO_TOKEN) {
            *out = trie->nodes[node].value;
            found = i + 1;
        }
    }
    return found;
}

void cb__find_added(const struct cb_tokenizer *tokenizer, bool is_normalized, const struct cb__strand *strand,
                    struct cb__piece within, struct cb__pieces *out)
{
    const struct cb__trie *trie = is_normalized ? &tokenizer->added_normal : &tokenizer->added_raw;
    const char *text = strand->bytes;
    size_t last = within.begin;
    for (size_t i = within.begin; i < within.end;) {
        uint32_t which = 0;
        if (trie->roots[(uint8_t)text[i]] == 0) {
            i++;
            continue;
        }
        size_t end = longest(trie, text, i, within.end, &which);
        if (end == 0) {
            i++;
            continue;
        }
        const struct cb__added *added = &tokenizer->added[which];
        size_t begin = i;
        i = end;
        if (added->is_single_word && (is_word_before(text, within.begin, begin) || is_word_at(text, end, within.end))) {
            continue;
        }
        if (added->takes_left) {
            size_t blanks = blanks_before(text, within.begin, begin);
            begin = blanks > last ? blanks : last;
        }
        if (added->takes_right) {
            end = blanks_after(text, end, within.end);
        }
        cb__pieces_add(out, (struct cb__piece){(uint32_t)last, (uint32_t)begin, CB_NO_TOKEN,
                                               within.is_first && last == within.begin});
        cb__pieces_add(out, (struct cb__piece){(uint32_t)begin, (uint32_t)end, added->id, false});
        last = end;
    }
    if (last < within.end) {
        cb__pieces_add(out, (struct cb__piece){(uint32_t)last, within.end, CB_NO_TOKEN,
                                               within.is_first && last == within.begin});
    }
}
