/* unicode.c: letters of UTF-8 texts and what kind they are. All data are utf8proc's. */
#include "text/unicode.h"

#include <pthread.h>
#include <stdlib.h>
#include <utf8proc.h>

/* ---- kinds --------------------------------------------------------------------------------------------------------- */

uint8_t cb__kinds[0x10000];
static int16_t byte_of_letter[0x144];
static pthread_once_t is_prepared = PTHREAD_ONCE_INIT;

/* White_Space: the separators and some controls. */
static bool is_space(int32_t code, utf8proc_category_t category)
{
    return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP ||
           (code >= 0x9 && code <= 0xd) || code == 0x85;
}

/* Letters of \w that their category does not tell: Other_Alphabetic's symbols (circled and squared letters), and the
 * two joiners (Join_Control). */
static bool is_word_by_property(int32_t code)
{
    return (code >= 0x24b6 && code <= 0x24e9) || (code >= 0x1f130 && code <= 0x1f149) ||
           (code >= 0x1f150 && code <= 0x1f169) || (code >= 0x1f170 && code <= 0x1f189) || code == 0x200c ||
           code == 0x200d;
}

static uint8_t kind_of(int32_t code)
{
    utf8proc_category_t category = utf8proc_category(code);
    uint8_t kind = is_space(code, category) ? CB__SPACE : 0;
    kind |= is_word_by_property(code) ? CB__WORD : 0;
    switch (category) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT: case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return kind | CB__LETTER | CB__WORD;
    case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL:
        return kind | CB__NUMBER | CB__WORD;
    case UTF8PROC_CATEGORY_NO:
        return kind | CB__NUMBER;
    case UTF8PROC_CATEGORY_MN:
        return kind | CB__MARK | CB__WORD | CB__NONSPACING;
    case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME:
        return kind | CB__MARK | CB__WORD;
    case UTF8PROC_CATEGORY_PC:
        return kind | CB__PUNCTUATION | CB__WORD;
    case UTF8PROC_CATEGORY_PD: case UTF8PROC_CATEGORY_PS: case UTF8PROC_CATEGORY_PE: case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF: case UTF8PROC_CATEGORY_PO:
        return kind | CB__PUNCTUATION;
    case UTF8PROC_CATEGORY_CC: case UTF8PROC_CATEGORY_CF: case UTF8PROC_CATEGORY_CO:
        return kind | CB__OTHER;
    default:
        return kind | (code < 0x80 && code > ' ' ? CB__PUNCTUATION : 0); /* $ + < = > ^ ` | ~ */
    }
}

static void prepare(void)
{
    for (int32_t code = 0; code < 0x10000; code++) {
        cb__kinds[code] = kind_of(code);
    }
    for (size_t i = 0; i < sizeof(byte_of_letter) / sizeof(byte_of_letter[0]); i++) {
        byte_of_letter[i] = -1;
    }
    for (int i = 0; i < 256; i++) {
        byte_of_letter[cb__byte_letters[i]] = (int16_t)i;
    }
}

void cb__unicode_prepare(void)
{
    pthread_once(&is_prepared, prepare);
}

uint8_t cb__kind_beyond(int32_t code)
{
    return kind_of(code);
}

/* ---- UTF-8 --------------------------------------------------------------------------------------------------------- */

size_t cb__encode_letter(int32_t code, char *out)
{
    return (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)out);
}

/* What the second byte may be after a first one (RFC 3629, section 4): the bytes of the sequence, 0: none begins so. */
static size_t second_range(unsigned char first, unsigned char *low, unsigned char *high)
{
    *low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

/* Bytes at `t` that begin a sequence rightly; `*out_whole`: they are all of it. */
static size_t begun(const unsigned char *t, size_t bytes, bool *out_whole)
{
    unsigned char low, high;
    size_t length = second_range(t[0], &low, &high), i = 1;
    if (length == 0) {
        *out_whole = false;
        return 1;
    }
    for (; i < length && i < bytes && t[i] >= low && t[i] <= high; i++) {
        low = 0x80;
        high = 0xbf;
    }
    *out_whole = i == length;
    return i;
}

size_t cb__valid_bytes(const char *text, size_t bytes)
{
    const unsigned char *t = (const unsigned char *)text;
    size_t i = 0;
    while (i < bytes) {
        while (i + 8 <= bytes) {
            uint64_t eight;
            __builtin_memcpy(&eight, t + i, 8);
            if ((eight & UINT64_C(0x8080808080808080)) != 0) {
                break;
            }
            i += 8;
        }
        if (i == bytes) {
            break;
        }
        bool is_whole = true;
        size_t length = t[i] < 0x80 ? 1 : begun(t + i, bytes - i, &is_whole);
        if (!is_whole) {
            return i;
        }
        i += length;
    }
    return i;
}

size_t cb__invalid_bytes(const char *text, size_t bytes)
{
    bool is_whole;
    return begun((const unsigned char *)text, bytes, &is_whole);
}

/* ---- byte letters -------------------------------------------------------------------------------------------------- */

#define ROW(a) a, a + 1, a + 2, a + 3, a + 4, a + 5, a + 6, a + 7, a + 8, a + 9, a + 10, a + 11, a + 12, a + 13, a + 14, a + 15
/* `bytes_to_unicode` of GPT-2's encoder.py: visible letters of Latin-1 are themselves, the others follow from U+0100. */
const uint16_t cb__byte_letters[256] = {
    ROW(0x100), ROW(0x110), 0x120, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e,
    0x2f, ROW(0x30), ROW(0x40), ROW(0x50), ROW(0x60), 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
    0x7b, 0x7c, 0x7d, 0x7e, 0x121, ROW(0x122), ROW(0x132), 0x142, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9,
    0xaa, 0xab, 0xac, 0x143, 0xae, 0xaf, ROW(0xb0), ROW(0xc0), ROW(0xd0), ROW(0xe0), ROW(0xf0),
};
#undef ROW

int cb__letter_byte(int32_t code)
{
    return code >= 0 && code < 0x144 ? byte_of_letter[code] : -1;
}

/* ---- normal forms -------------------------------------------------------------------------------------------------- */

bool cb__letters_add(struct cb__letters *letters, int32_t code, uint32_t source)
{
    if (letters->count == letters->capacity) {
        size_t capacity = letters->capacity > 0 ? letters->capacity * 2 : 64;
        int32_t *codes = realloc(letters->codes, capacity * sizeof(*codes));
        letters->codes = codes ? codes : letters->codes;
        uint32_t *sources = codes ? realloc(letters->sources, capacity * sizeof(*sources)) : NULL;
        if (!sources) {
            return false;
        }
        letters->sources = sources;
        letters->capacity = capacity;
    }
    letters->codes[letters->count] = code;
    letters->sources[letters->count++] = source;
    return true;
}

void cb__letters_free(struct cb__letters *letters)
{
    free(letters->codes);
    free(letters->sources);
    *letters = (struct cb__letters){0};
}

bool cb__letters_decompose(struct cb__letters *letters, int32_t code, uint32_t source, bool is_compatible)
{
    int32_t codes[32];
    int boundary = UTF8PROC_BOUNDCLASS_START;
    int options = UTF8PROC_DECOMPOSE | (is_compatible ? UTF8PROC_COMPAT : 0);
    utf8proc_ssize_t count = utf8proc_decompose_char(code, codes, 32, (utf8proc_option_t)options, &boundary);
    if (count < 0 || count > 32) { /* none is longer than 18 */
        return cb__letters_add(letters, code, source);
    }
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        if (!cb__letters_add(letters, codes[i], source)) {
            return false;
        }
    }
    return true;
}

static int class_of(int32_t code)
{
    return code < 0x300 ? 0 : utf8proc_get_property(code)->combining_class;
}

struct mark {
    int class;
    int32_t code;
    uint32_t source, place;
};

static int compare_marks(const void *a, const void *b)
{
    const struct mark *x = a, *y = b;
    return x->class != y->class ? x->class - y->class : x->place < y->place ? -1 : 1;
}

/* Puts [begin, end), all of them marks of a class, in order: by hand where there are few, sorted where there are many. */
static void order_run(struct cb__letters *letters, size_t begin, size_t end)
{
    int32_t *codes = letters->codes;
    struct mark *marks = end - begin > 32 ? malloc((end - begin) * sizeof(*marks)) : NULL;
    if (marks) {
        for (size_t i = begin; i < end; i++) {
            marks[i - begin] = (struct mark){class_of(codes[i]), codes[i], letters->sources[i], (uint32_t)(i - begin)};
        }
        qsort(marks, end - begin, sizeof(*marks), compare_marks);
        for (size_t i = begin; i < end; i++) {
            codes[i] = marks[i - begin].code;
            letters->sources[i] = marks[i - begin].source;
        }
        free(marks);
        return;
    }
    for (size_t i = begin + 1; i < end; i++) {
        int32_t code = codes[i];
        uint32_t source = letters->sources[i];
        size_t to = i;
        for (; to > begin && class_of(codes[to - 1]) > class_of(code); to--) {
            codes[to] = codes[to - 1];
            letters->sources[to] = letters->sources[to - 1];
        }
        codes[to] = code;
        letters->sources[to] = source;
    }
}

void cb__letters_order(struct cb__letters *letters)
{
    for (size_t i = 0; i < letters->count;) {
        size_t end = i;
        for (; end < letters->count && class_of(letters->codes[end]) != 0; end++) {
        }
        if (end - i > 1) {
            order_run(letters, i, end);
        }
        i = end + 1;
    }
}

/* utf8proc composes what stands in memory; a letter that was made of several keeps the first one's source. */
bool cb__letters_compose(struct cb__letters *letters)
{
    int32_t *codes = letters->codes;
    size_t starter = SIZE_MAX, to = 0;
    int last = -1; /* class of what stands between the starter and the letter; -1: nothing does */
    for (size_t i = 0; i < letters->count; i++) {
        int class = class_of(codes[i]);
        if (starter != SIZE_MAX && last < class) {
            int32_t two[2] = {codes[starter], codes[i]};
            if (utf8proc_normalize_utf32(two, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE) == 1) {
                codes[starter] = two[0];
                continue;
            }
        }
        if (class == 0) {
            starter = to;
            last = -1;
        } else {
            last = class;
        }
        codes[to] = codes[i];
        letters->sources[to++] = letters->sources[i];
    }
    letters->count = to;
    return true;
}

/* utf8proc has the simple mappings; of the full ones (SpecialCasing.txt) only this holds everywhere and is longer. */
size_t cb__lower(int32_t code, int32_t out[2])
{
    if (code == 0x130) {
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = utf8proc_tolower(code);
    return 1;
}
