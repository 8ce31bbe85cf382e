/* unicode.h: letters of UTF-8 texts and what kind they are. All data are utf8proc's. */
#ifndef CAMBIUM_TEXT_UNICODE_H
#define CAMBIUM_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Kinds of letters, several may hold. */
enum {
    CB__LETTER = 1,      /* \p{L} */
    CB__NUMBER = 2,      /* \p{N} */
    CB__SPACE = 4,       /* White_Space */
    CB__PUNCTUATION = 8, /* \p{P}, and all of ASCII's symbols */
    CB__MARK = 16,       /* \p{M} */
    CB__WORD = 32,       /* \w as Unicode's UTS 18 has it */
    CB__OTHER = 64,      /* control, format and private use: Cc, Cf, Co */
    CB__NONSPACING = 128 /* \p{Mn} */
};
/* The first 65536 letters' kinds; filled by cb__unicode_prepare, which any thread may call at any time. */
extern uint8_t cb__kinds[0x10000];
void cb__unicode_prepare(void);
uint8_t cb__kind_beyond(int32_t code);
static inline uint8_t cb__kind(int32_t code)
{
    return code < 0x10000 ? cb__kinds[code] : cb__kind_beyond(code);
}

/* The letter at `text`, which is valid UTF-8; its bytes. */
static inline size_t cb__decode(const char *text, int32_t *out)
{
    const unsigned char *t = (const unsigned char *)text;
    if (t[0] < 0x80) {
        *out = t[0];
        return 1;
    }
    if (t[0] < 0xe0) {
        *out = (t[0] & 0x1f) << 6 | (t[1] & 0x3f);
        return 2;
    }
    if (t[0] < 0xf0) {
        *out = (t[0] & 0xf) << 12 | (t[1] & 0x3f) << 6 | (t[2] & 0x3f);
        return 3;
    }
    *out = (t[0] & 7) << 18 | (t[1] & 0x3f) << 12 | (t[2] & 0x3f) << 6 | (t[3] & 0x3f);
    return 4;
}
static inline size_t cb__letter_bytes(char first)
{
    unsigned char c = (unsigned char)first;
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}
/* Writes up to 4 bytes; how many. */
size_t cb__encode_letter(int32_t code, char *out);

/* Bytes from `text` on that are valid UTF-8. */
size_t cb__valid_bytes(const char *text, size_t bytes);
/* Bytes (1 to 3) at `text`, where no letter begins, for which Python's errors='replace' puts one U+FFFD. */
size_t cb__invalid_bytes(const char *text, size_t bytes);

/* The letters that GPT-2's byte-level BPE writes bytes as. */
extern const uint16_t cb__byte_letters[256];
/* The byte that a letter stands for, -1: none. */
int cb__letter_byte(int32_t code);

/* Unicode's normal forms of `count` letters in `*letters` (malloc'd memory with room for `*capacity`, both updated), in
 * place; false when memory is exhausted. `origins`, where not NULL, go along: the first of what a letter came from. */
struct cb__letters {
    int32_t *codes;
    uint32_t *sources; /* of each: the index of the letter it came from */
    size_t count, capacity;
};
bool cb__letters_add(struct cb__letters *letters, int32_t code, uint32_t source);
void cb__letters_free(struct cb__letters *letters);
/* Appends the decomposition of one letter (of compatibility, with is_compatible). */
bool cb__letters_decompose(struct cb__letters *letters, int32_t code, uint32_t source, bool is_compatible);
/* Canonical order of marks, then, on demand, composition. */
void cb__letters_order(struct cb__letters *letters);
bool cb__letters_compose(struct cb__letters *letters);

/* Appends the lower case, of up to 2 letters; how many. */
size_t cb__lower(int32_t code, int32_t out[2]);

#endif
