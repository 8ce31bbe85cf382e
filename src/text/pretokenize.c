/* pretokenize.c: the steps of a pre-tokenizer, as the crate `tokenizers` defines them (src/pre_tokenizers): each cuts
 * the pieces of the text further; some also change its letters. */
#include "text/internal.h"

/* ---- cutting at matches -------------------------------------------------------------------------------------------- */

/* Stretches of one piece, matches and what lies between them, come in order; what becomes of matches is the behavior. */
struct cutter {
    struct cb__pieces *out;
    struct cb__piece piece; /* that is cut */
    enum cb__behavior behavior;
    uint32_t begin, end; /* the stretch that is held back */
    bool is_held, was_match;
};

static void put(struct cutter *cutter, uint32_t begin, uint32_t end)
{
    cb__pieces_add(cutter->out, (struct cb__piece){begin, end, CB_NO_TOKEN,
                                                   cutter->piece.is_first && begin == cutter->piece.begin});
}

static void release(struct cutter *cutter)
{
    if (cutter->is_held) {
        put(cutter, cutter->begin, cutter->end);
    }
    cutter->is_held = false;
}

static void hold(struct cutter *cutter, uint32_t begin, uint32_t end)
{
    release(cutter);
    cutter->begin = begin;
    cutter->end = end;
    cutter->is_held = true;
}

static void stretch(struct cutter *cutter, size_t from, size_t to, bool is_match)
{
    uint32_t begin = (uint32_t)from, end = (uint32_t)to;
    bool joins = false;
    switch (cutter->behavior) {
    case CB__ISOLATED:
        put(cutter, begin, end);
        return;
    case CB__REMOVED:
        if (!is_match) {
            put(cutter, begin, end);
        }
        return;
    case CB__CONTIGUOUS:
        joins = is_match == cutter->was_match;
        break;
    case CB__MERGED_PREVIOUS:
        joins = is_match && !cutter->was_match;
        break;
    case CB__MERGED_NEXT:
        joins = !is_match && cutter->was_match;
        break;
    }
    if (joins && cutter->is_held) {
        cutter->end = end;
    } else {
        hold(cutter, begin, end);
    }
    cutter->was_match = is_match;
}

/* Cuts at letters for which `is_delimiter` holds, each by itself. */
typedef bool (*test)(int32_t code, int32_t wanted);

static void cut_letters(struct cutter *cutter, const char *bytes, test is_delimiter, int32_t wanted)
{
    size_t last = cutter->piece.begin;
    for (size_t i = last; i < cutter->piece.end;) {
        int32_t code;
        size_t length = cb__decode(bytes + i, &code);
        if (is_delimiter(code, wanted)) {
            if (last < i) {
                stretch(cutter, last, i, false);
            }
            stretch(cutter, i, i + length, true);
            last = i + length;
        }
        i += length;
    }
    if (last < cutter->piece.end) {
        stretch(cutter, last, cutter->piece.end, false);
    }
    release(cutter);
}

static bool is_space(int32_t code, int32_t wanted)
{
    (void)wanted;
    return (cb__kind(code) & CB__SPACE) != 0;
}

static bool is_punctuation(int32_t code, int32_t wanted)
{
    (void)wanted;
    return (cb__kind(code) & CB__PUNCTUATION) != 0;
}

static bool is_digit(int32_t code, int32_t wanted)
{
    (void)wanted;
    return (cb__kind(code) & CB__NUMBER) != 0;
}

static bool is_letter(int32_t code, int32_t wanted)
{
    return code == wanted;
}

/* Blanks go, punctuation stands by itself: BertPreTokenizer in one pass. */
static void cut_bert(struct cb__pieces *out, struct cb__piece piece, const char *bytes)
{
    uint32_t last = piece.begin;
    for (uint32_t i = piece.begin; i < piece.end;) {
        int32_t code;
        uint32_t length = (uint32_t)cb__decode(bytes + i, &code);
        uint8_t kind = cb__kind(code);
        if (kind & (CB__SPACE | CB__PUNCTUATION)) {
            cb__pieces_add(out, (struct cb__piece){last, i, CB_NO_TOKEN, piece.is_first && last == piece.begin});
            if (!(kind & CB__SPACE)) {
                cb__pieces_add(out, (struct cb__piece){i, i + length, CB_NO_TOKEN, piece.is_first && i == piece.begin});
            }
            last = i + length;
        }
        i += length;
    }
    cb__pieces_add(out, (struct cb__piece){last, piece.end, CB_NO_TOKEN, piece.is_first && last == piece.begin});
}

/* \w+|[^\w\s]+ */
static void cut_words(struct cb__pieces *out, struct cb__piece piece, const char *bytes)
{
    uint32_t last = piece.begin;
    int before = -1;
    for (uint32_t i = piece.begin; i <= piece.end;) {
        int32_t code = -1;
        uint32_t length = i < piece.end ? (uint32_t)cb__decode(bytes + i, &code) : 1;
        uint8_t kind = code >= 0 ? cb__kind(code) : CB__SPACE;
        int class = kind & CB__WORD ? 1 : kind & CB__SPACE ? 0 : 2;
        if (class != before) {
            if (before > 0) {
                cb__pieces_add(out, (struct cb__piece){last, i, CB_NO_TOKEN, piece.is_first && last == piece.begin});
            }
            last = i;
        }
        before = class;
        i += length;
    }
}

static bool cut_pattern(struct cutter *cutter, const struct cb__cut_step *step, const char *bytes)
{
    const char *text = bytes + cutter->piece.begin;
    size_t length = cutter->piece.end - cutter->piece.begin, at = 0, begin, end, base = cutter->piece.begin;
    bool failed = false;
    for (size_t from = 0; from <= length && cb__pattern_find(step->pattern, text, length, from, &begin, &end, &failed);) {
        if (at != begin) {
            stretch(cutter, base + at, base + begin, step->is_inverted);
        }
        stretch(cutter, base + begin, base + end, !step->is_inverted);
        at = end;
        from = end > begin ? end : begin < length ? begin + cb__letter_bytes(text[begin]) : length + 1;
    }
    if (at < length) {
        stretch(cutter, base + at, base + length, step->is_inverted);
    }
    release(cutter);
    return !failed;
}

/* A known pattern matches everywhere: every match is a piece. */
static void cut_scanned(struct cb__pieces *out, struct cb__piece piece, const char *bytes, cb__scan scan)
{
    const char *text = bytes + piece.begin;
    size_t length = piece.end - piece.begin;
    for (size_t from = 0; from < length;) {
        size_t end = scan(text, length, from);
        cb__pieces_add(out, (struct cb__piece){piece.begin + (uint32_t)from, piece.begin + (uint32_t)end, CB_NO_TOKEN,
                                               piece.is_first && from == 0});
        from = end;
    }
}

static void cut_fixed(struct cb__pieces *out, struct cb__piece piece, const char *bytes, size_t letters)
{
    for (uint32_t i = piece.begin; i < piece.end;) {
        uint32_t begin = i;
        for (size_t k = 0; k < letters && i < piece.end; k++) {
            i += (uint32_t)cb__letter_bytes(bytes[i]);
        }
        cb__pieces_add(out, (struct cb__piece){begin, i, CB_NO_TOKEN, piece.is_first && begin == piece.begin});
    }
}

/* ---- changing letters ---------------------------------------------------------------------------------------------- */

/* The pieces' bytes move to scratch->one, changed, which then takes the text's place. */
static struct cb__strand *begin_change(struct cb__scratch *scratch)
{
    struct cb__strand *to = &scratch->one;
    to->length = 0;
    to->failed = false;
    to->has_origins = scratch->text.has_origins;
    return to;
}

static void end_change(struct cb__scratch *scratch)
{
    struct cb__strand text = scratch->text;
    scratch->text = scratch->one;
    scratch->one = text;
}

static struct cb_token_span before(const struct cb__strand *text, uint32_t begin)
{
    struct cb_token_span first = cb__strand_origin(text, begin);
    return (struct cb_token_span){first.begin, first.begin};
}

/* A blank before each piece that has none. */
static void put_prefix(struct cb__scratch *scratch)
{
    struct cb__strand *to = begin_change(scratch);
    for (size_t i = 0; i < scratch->pieces.count; i++) {
        struct cb__piece *piece = &scratch->pieces.items[i];
        uint32_t begin = (uint32_t)to->length;
        if (piece->token == CB_NO_TOKEN && scratch->text.bytes[piece->begin] != ' ') {
            cb__strand_add(to, " ", 1, before(&scratch->text, piece->begin));
        }
        cb__strand_copy(to, &scratch->text, piece->begin, piece->end);
        piece->begin = begin;
        piece->end = (uint32_t)to->length;
    }
    end_change(scratch);
}

/* Every byte becomes the letter that GPT-2 writes it as. */
static void bytes_to_letters(struct cb__scratch *scratch)
{
    struct cb__strand *to = begin_change(scratch);
    const struct cb__strand *from = &scratch->text;
    if (!cb__strand_reserve(to, 2 * from->length + 8)) {
        return;
    }
    for (size_t i = 0; i < scratch->pieces.count; i++) {
        struct cb__piece *piece = &scratch->pieces.items[i];
        uint32_t begin = (uint32_t)to->length;
        if (piece->token != CB_NO_TOKEN) {
            cb__strand_copy(to, from, piece->begin, piece->end);
        }
        for (uint32_t k = piece->begin; piece->token == CB_NO_TOKEN && k < piece->end; k++) {
            uint16_t letter = cb__byte_letters[(unsigned char)from->bytes[k]];
            uint32_t at = (uint32_t)to->length, count = letter < 0x80 ? 1 : 2;
            if (count == 1) {
                to->bytes[at] = (char)letter;
            } else {
                to->bytes[at] = (char)(0xc0 | letter >> 6);
                to->bytes[at + 1] = (char)(0x80 | (letter & 0x3f));
            }
            for (uint32_t j = 0; to->has_origins && j < count; j++) {
                to->origins[at + j] = from->origins[k];
            }
            to->length += count;
        }
        piece->begin = begin;
        piece->end = (uint32_t)to->length;
    }
    end_change(scratch);
}

static void metaspace(const struct cb__cut_step *step, struct cb__scratch *scratch)
{
    struct cb__strand *to = begin_change(scratch);
    const struct cb__strand *from = &scratch->text;
    char mark[4];
    size_t mark_bytes = cb__encode_letter(step->letter, mark);
    for (size_t i = 0; i < scratch->pieces.count; i++) {
        struct cb__piece *piece = &scratch->pieces.items[i];
        uint32_t begin = (uint32_t)to->length;
        if (piece->token != CB_NO_TOKEN) {
            cb__strand_copy(to, from, piece->begin, piece->end);
        } else {
            int32_t first;
            cb__decode(from->bytes + piece->begin, &first);
            if (first != ' ' && first != step->letter && (step->always_prefix || (step->first_prefix && piece->is_first))) {
                cb__strand_add(to, mark, mark_bytes, before(from, piece->begin));
            }
            for (uint32_t k = piece->begin; k < piece->end;) {
                uint32_t run = k;
                for (; run < piece->end && from->bytes[run] != ' '; run++) {
                }
                cb__strand_copy(to, from, k, run);
                if (run < piece->end) {
                    cb__strand_add(to, mark, mark_bytes, cb__strand_origin(from, run));
                }
                k = run + 1;
            }
        }
        piece->begin = begin;
        piece->end = (uint32_t)to->length;
    }
    end_change(scratch);
}

/* ---- steps --------------------------------------------------------------------------------------------------------- */

static bool cut_one(const struct cb__cut_step *step, struct cb__piece piece, const char *bytes, struct cb__pieces *out)
{
    struct cutter cutter = {.out = out, .piece = piece, .behavior = CB__REMOVED};
    switch (step->cut) {
    case CB__CUT_BERT:
        cut_bert(out, piece, bytes);
        return true;
    case CB__CUT_WHITESPACE:
        cut_words(out, piece, bytes);
        return true;
    case CB__CUT_WHITESPACE_SPLIT:
        cut_letters(&cutter, bytes, is_space, 0);
        return true;
    case CB__CUT_DELIMITER:
        cut_letters(&cutter, bytes, is_letter, step->letter);
        return true;
    case CB__CUT_PUNCTUATION:
        cutter.behavior = step->behavior;
        cut_letters(&cutter, bytes, is_punctuation, 0);
        return true;
    case CB__CUT_DIGITS:
        cutter.behavior = step->is_individual ? CB__ISOLATED : CB__CONTIGUOUS;
        cut_letters(&cutter, bytes, is_digit, 0);
        return true;
    case CB__CUT_METASPACE:
        cutter.behavior = CB__MERGED_NEXT;
        cut_letters(&cutter, bytes, is_letter, step->letter);
        return true;
    case CB__CUT_BYTES:
        cut_scanned(out, piece, bytes, cb__scan_gpt2);
        return true;
    case CB__CUT_FIXED:
        cut_fixed(out, piece, bytes, step->length);
        return true;
    default:
        if (step->scan) {
            cut_scanned(out, piece, bytes, step->scan);
            return true;
        }
        cutter.behavior = step->behavior;
        return cut_pattern(&cutter, step, bytes);
    }
}

enum cb_status cb__cut_pieces(const struct cb__cut_step *step, struct cb__scratch *scratch, struct cb_diag *diag)
{
    if (step->cut == CB__CUT_BYTES && step->has_prefix) {
        put_prefix(scratch);
    }
    if (step->cut == CB__CUT_METASPACE) {
        metaspace(step, scratch);
    }
    if (!(step->cut == CB__CUT_BYTES && !step->has_regex) && !(step->cut == CB__CUT_METASPACE && !step->splits)) {
        scratch->other.count = 0;
        for (size_t i = 0; i < scratch->pieces.count; i++) {
            struct cb__piece piece = scratch->pieces.items[i];
            if (piece.token != CB_NO_TOKEN) {
                cb__pieces_add(&scratch->other, piece);
            } else if (!cut_one(step, piece, scratch->text.bytes, &scratch->other)) {
                return cb_fail(diag, CB_INVALID, NULL, "a split pattern of the tokenizer gave up on this text");
            }
        }
        struct cb__pieces pieces = scratch->pieces;
        scratch->pieces = scratch->other;
        scratch->other = pieces;
    }
    if (step->cut == CB__CUT_BYTES) {
        bytes_to_letters(scratch);
    }
    return CB_OK;
}
