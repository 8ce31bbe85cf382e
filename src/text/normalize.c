/* normalize.c: the steps of a normalizer, as the crate `tokenizers` defines them (src/normalizers). Each reads one strand
 * and appends to another; runs of ASCII, which most of them leave as they are, are gone over quickly. */
#include "text/internal.h"

static struct cb_token_span origin_of(const struct cb__strand *in, size_t i)
{
    return cb__strand_origin(in, i);
}

/* ---- BERT ---------------------------------------------------------------------------------------------------------- */

/* The blocks that BERT puts blanks around. */
static bool is_chinese(int32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

/* What cleaning makes of a letter: -1: nothing. */
static int32_t cleaned(int32_t c)
{
    if (c == '\t' || c == '\n' || c == '\r') {
        return ' ';
    }
    uint8_t kind = cb__kind(c);
    return c == 0 || c == 0xfffd || (kind & CB__OTHER) ? -1 : kind & CB__SPACE ? ' ' : c;
}

/* One letter of ASCII; -1: nothing. Neither accents nor Chinese are to be found there. */
static int ascii_of(const struct cb__normal_step *step, unsigned char c)
{
    if (step->clean) {
        if (c < 0x20 || c == 0x7f) {
            return c == '\t' || c == '\n' || c == '\r' ? ' ' : -1;
        }
    }
    return step->lowercase && c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* The letters from `i` on that are not ASCII, to lower case and without accents as asked; the end of them. */
static size_t bert_beyond(const struct cb__normal_step *step, const struct cb__strand *in, size_t i,
                          struct cb__letters *letters, struct cb__strand *out)
{
    letters->count = 0;
    while (i < in->length && (unsigned char)in->bytes[i] >= 0x80) {
        int32_t c;
        size_t bytes = cb__decode(in->bytes + i, &c);
        int32_t clean = step->clean ? cleaned(c) : c;
        bool is_apart = clean >= 0 && step->chinese && is_chinese(clean);
        bool ok = clean < 0 || !is_apart || cb__letters_add(letters, ' ', (uint32_t)i);
        if (ok && clean >= 0) {
            ok = step->strip_accents ? cb__letters_decompose(letters, clean, (uint32_t)i, false)
                                     : cb__letters_add(letters, clean, (uint32_t)i);
        }
        ok = ok && (!is_apart || cb__letters_add(letters, ' ', (uint32_t)i));
        out->failed |= !ok;
        i += bytes;
    }
    if (step->strip_accents) {
        cb__letters_order(letters);
    }
    for (size_t k = 0; k < letters->count; k++) {
        int32_t code = letters->codes[k], lower[2] = {code, 0};
        if (step->strip_accents && (cb__kind(code) & CB__NONSPACING)) {
            continue;
        }
        size_t count = step->lowercase ? cb__lower(code, lower) : 1;
        for (size_t l = 0; l < count; l++) {
            cb__strand_add_code(out, lower[l], origin_of(in, letters->sources[k]));
        }
    }
    return i;
}

static void bert(const struct cb__normal_step *step, const struct cb__strand *in, struct cb__strand *out)
{
    struct cb__letters letters = {0};
    int16_t table[128];
    for (int c = 0; c < 128; c++) {
        table[c] = (int16_t)ascii_of(step, (unsigned char)c);
    }
    for (size_t i = 0; i < in->length && !out->failed;) {
        size_t end = i;
        for (; end < in->length && (unsigned char)in->bytes[end] < 0x80; end++) {
        }
        if (end > i && cb__strand_reserve(out, end - i)) {
            char *to = out->bytes + out->length, *begin = to;
            for (size_t k = i; k < end; k++) {
                int c = table[(unsigned char)in->bytes[k]];
                if (out->has_origins && c >= 0) {
                    out->origins[to - out->bytes] = in->origins[k];
                }
                *to = (char)c;
                to += c >= 0;
            }
            out->length += (size_t)(to - begin);
        }
        i = end < in->length ? bert_beyond(step, in, end, &letters, out) : end;
    }
    cb__letters_free(&letters);
}

/* ---- normal forms -------------------------------------------------------------------------------------------------- */

/* ASCII stays as it is, but for a last letter that marks behind it may change. */
static void normal_form(const struct cb__strand *in, bool is_compatible, bool composes, struct cb__strand *out)
{
    struct cb__letters letters = {0};
    size_t i = 0;
    while (i < in->length && !out->failed) {
        size_t end = i;
        for (; end < in->length && (unsigned char)in->bytes[end] < 0x80; end++) {
        }
        size_t plain = end < in->length && end > i ? end - 1 : end;
        cb__strand_copy(out, in, i, plain);
        letters.count = 0;
        for (i = plain; i < in->length && (i == plain || (unsigned char)in->bytes[i] >= 0x80);) {
            int32_t c;
            size_t bytes = cb__decode(in->bytes + i, &c);
            out->failed |= !cb__letters_decompose(&letters, c, (uint32_t)i, is_compatible);
            i += bytes;
        }
        cb__letters_order(&letters);
        if (composes) {
            cb__letters_compose(&letters);
        }
        for (size_t k = 0; k < letters.count; k++) {
            cb__strand_add_code(out, letters.codes[k], origin_of(in, letters.sources[k]));
        }
    }
    cb__letters_free(&letters);
}

/* ---- letter by letter ---------------------------------------------------------------------------------------------- */

/* The crate's Nmt: -1: nothing. */
static int32_t nmt(int32_t c)
{
    if ((c >= 0x1 && c <= 0x8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f) {
        return -1;
    }
    return c == 0x9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 || (c >= 0x200b && c <= 0x200f) || c == 0x2028 ||
           c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd ? ' ' : c;
}

static void by_letter(const struct cb__normal_step *step, const struct cb__strand *in, struct cb__strand *out)
{
    for (size_t i = 0; i < in->length;) {
        int32_t c, codes[2];
        size_t bytes = cb__decode(in->bytes + i, &c), count = 1;
        codes[0] = c;
        switch (step->change) {
        case CB__CHANGE_LOWERCASE:
            count = cb__lower(c, codes);
            break;
        case CB__CHANGE_STRIP_ACCENTS:
            count = cb__kind(c) & CB__MARK ? 0 : 1;
            break;
        case CB__CHANGE_NMT:
            codes[0] = nmt(c);
            count = codes[0] >= 0;
            break;
        default: /* CB__CHANGE_BYTES */
            for (size_t k = 0; k < bytes; k++) {
                cb__strand_add_code(out, cb__byte_letters[(unsigned char)in->bytes[i + k]], origin_of(in, i));
            }
            count = 0;
        }
        for (size_t k = 0; k < count; k++) {
            cb__strand_add_code(out, codes[k], origin_of(in, i));
        }
        i += bytes;
    }
}

static void strip(const struct cb__normal_step *step, const struct cb__strand *in, struct cb__strand *out)
{
    size_t begin = 0, end = in->length;
    int32_t c;
    while (step->strip_left && begin < end) {
        size_t bytes = cb__decode(in->bytes + begin, &c);
        if (!(cb__kind(c) & CB__SPACE)) {
            break;
        }
        begin += bytes;
    }
    while (step->strip_right && end > begin) {
        size_t last = end - 1;
        for (; last > begin && ((unsigned char)in->bytes[last] & 0xc0) == 0x80; last--) {
        }
        cb__decode(in->bytes + last, &c);
        if (!(cb__kind(c) & CB__SPACE)) {
            break;
        }
        end = last;
    }
    cb__strand_copy(out, in, begin, end);
}

static bool replace(const struct cb__normal_step *step, const struct cb__strand *in, struct cb__strand *out)
{
    size_t at = 0, begin, end;
    bool failed = false;
    for (size_t from = 0; from <= in->length && cb__pattern_find(step->pattern, in->bytes, in->length, from, &begin, &end,
                                                                 &failed);) {
        cb__strand_copy(out, in, at, begin);
        struct cb_token_span origin = begin < end ? origin_of(in, begin)
                                      : begin > 0 ? origin_of(in, begin - 1) : (struct cb_token_span){0, 0};
        cb__strand_add(out, step->content, step->content_bytes, origin);
        at = end;
        from = end > begin ? end : begin < in->length ? begin + cb__letter_bytes(in->bytes[begin]) : in->length + 1;
    }
    cb__strand_copy(out, in, at, in->length);
    return !failed;
}

bool cb__normalize_step(const struct cb__normal_step *step, const struct cb__strand *in, struct cb__strand *out)
{
    switch (step->change) {
    case CB__CHANGE_BERT:
        bert(step, in, out);
        break;
    case CB__CHANGE_NFC: case CB__CHANGE_NFD: case CB__CHANGE_NFKC: case CB__CHANGE_NFKD:
        normal_form(in, step->change == CB__CHANGE_NFKC || step->change == CB__CHANGE_NFKD,
                    step->change == CB__CHANGE_NFC || step->change == CB__CHANGE_NFKC, out);
        break;
    case CB__CHANGE_STRIP:
        strip(step, in, out);
        break;
    case CB__CHANGE_REPLACE:
        return replace(step, in, out) && !out->failed;
    case CB__CHANGE_PREPEND:
        if (in->length > 0) {
            struct cb_token_span first = origin_of(in, 0);
            cb__strand_add(out, step->content, step->content_bytes, (struct cb_token_span){first.begin, first.begin});
            cb__strand_copy(out, in, 0, in->length);
        }
        break;
    case CB__CHANGE_CHARSMAP:
        if (in->length > 0) {
            cb__normalize_charsmap(step->charsmap, in, out);
        }
        break;
    default:
        by_letter(step, in, out);
    }
    return !out->failed;
}

bool cb__normalize(const struct cb_tokenizer *tokenizer, struct cb__scratch *scratch, const struct cb__strand *from,
                   size_t begin, size_t end, struct cb__strand *to)
{
    if (tokenizer->normal_count == 0) {
        cb__strand_copy(to, from, begin, end);
        return !to->failed;
    }
    struct cb__strand view = *from; /* the part alone */
    view.bytes += begin;
    view.origins = from->has_origins ? from->origins + begin : NULL;
    view.length = end - begin;
    const struct cb__strand *in = &view;
    for (size_t i = 0; i < tokenizer->normal_count; i++) {
        bool is_last = i + 1 == tokenizer->normal_count;
        struct cb__strand *out = is_last ? to : in == &scratch->one ? &scratch->two : &scratch->one;
        if (!is_last) {
            out->length = 0;
            out->failed = false;
            out->has_origins = from->has_origins;
        }
        if (!cb__normalize_step(&tokenizer->normal[i], in, out)) {
            return false;
        }
        in = out;
    }
    return true;
}
