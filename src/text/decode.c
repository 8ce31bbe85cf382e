/* decode.c: ids back to text: the tokens go through the decoder's steps, as the crate `tokenizers` defines them
 * (src/decoders), and are joined; without a decoder they are joined by blanks. */
#include "text/internal.h"

#include <stdlib.h>

/* Tokens on their way: each a growing text. */
struct parts {
    struct cb_text *items;
    size_t count;
    bool failed;
};

static void free_parts(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        cb_text_free(&parts->items[i]);
    }
    free(parts->items);
    *parts = (struct parts){0};
}

static const char *data_of(const struct cb_text *text)
{
    return text->data ? text->data : "";
}

static void set(struct cb_text *text, struct cb_text value)
{
    cb_text_free(text);
    *text = value;
}

/* Replaces every `from` in place. */
static void replace_all(struct cb_text *text, const char *from, const char *to)
{
    struct cb_text out = {0};
    const char *at = data_of(text);
    size_t bytes = strlen(from);
    if (bytes == 0 || !strstr(at, from)) {
        return;
    }
    for (const char *found; (found = strstr(at, from)) != NULL; at = found + bytes) {
        cb_text_add_bytes(&out, at, (size_t)(found - at));
        cb_text_add(&out, to);
    }
    cb_text_add(&out, at);
    set(text, out);
}

static void wordpiece(const struct cb__decode_step *step, struct parts *parts)
{
    static const char *const clean[][2] = {{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"},
                                           {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"},
                                           {" 're", "'re"}};
    for (size_t i = 0; i < parts->count; i++) {
        struct cb_text *token = &parts->items[i], out = {0};
        if (i > 0) {
            bool continues = strncmp(data_of(token), step->text, step->text_bytes) == 0;
            cb_text_add(&out, continues ? "" : " ");
            cb_text_add(&out, data_of(token) + (continues ? step->text_bytes : 0));
            set(token, out);
        }
        for (size_t k = 0; step->cleans && k < sizeof(clean) / sizeof(clean[0]); k++) {
            replace_all(token, clean[k][0], clean[k][1]);
        }
    }
}

static void fuse(struct parts *parts)
{
    struct cb_text all = {0};
    for (size_t i = 0; i < parts->count; i++) {
        cb_text_add_bytes(&all, data_of(&parts->items[i]), parts->items[i].length);
        cb_text_free(&parts->items[i]);
    }
    parts->count = parts->count > 0;
    if (parts->count > 0) {
        parts->items[0] = all;
    }
}

/* What is no UTF-8 becomes U+FFFD. */
static void add_repaired(struct cb_text *out, const char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        size_t valid = cb__valid_bytes(data + i, bytes - i);
        cb_text_add_bytes(out, data + i, valid);
        i += valid;
        if (i < bytes) {
            cb_text_add(out, "\xef\xbf\xbd");
            i += cb__invalid_bytes(data + i, bytes - i);
        }
    }
}

/* The bytes that a token's letters stand for; a token with another letter keeps its own. */
static void byte_level(struct parts *parts)
{
    struct cb_text repaired = {0};
    for (size_t i = 0; i < parts->count; i++) {
        struct cb_text *token = &parts->items[i], bytes = {0};
        bool is_whole = true;
        for (size_t k = 0; k < token->length && is_whole;) {
            int32_t code;
            k += cb__decode(token->data + k, &code);
            char byte = (char)cb__letter_byte(code);
            is_whole = cb__letter_byte(code) >= 0;
            cb_text_add_bytes(&bytes, &byte, 1);
        }
        if (is_whole) {
            set(token, bytes);
        } else {
            cb_text_free(&bytes);
        }
    }
    fuse(parts);
    if (parts->count > 0) {
        add_repaired(&repaired, data_of(&parts->items[0]), parts->items[0].length);
        set(&parts->items[0], repaired);
    }
}

static int byte_of(const struct cb_text *token)
{
    const char *t = data_of(token);
    char digits[3] = {0};
    char *end;
    if (token->length != 6 || strncmp(t, "<0x", 3) != 0 || t[5] != '>') {
        return -1;
    }
    memcpy(digits, t + 3, 2);
    long value = strtol(digits, &end, 16);
    return *end == '\0' && strchr("0123456789abcdefABCDEF", digits[0]) ? (int)value : -1;
}

/* A run of byte tokens becomes the text they spell, or a U+FFFD for each. */
static void byte_fallback(struct parts *parts)
{
    size_t to = 0;
    for (size_t i = 0; i < parts->count;) {
        struct cb_text bytes = {0}, out = {0};
        size_t end = i;
        for (int byte; end < parts->count && (byte = byte_of(&parts->items[end])) >= 0; end++) {
            char one = (char)byte;
            cb_text_add_bytes(&bytes, &one, 1);
            cb_text_free(&parts->items[end]);
        }
        if (end == i) {
            parts->items[to++] = parts->items[i++];
            continue;
        }
        bool is_valid = cb__valid_bytes(data_of(&bytes), bytes.length) == bytes.length;
        for (size_t k = i; k < end; k++) {
            cb_text_add(&out, is_valid ? "" : "\xef\xbf\xbd");
        }
        if (is_valid) {
            cb_text_add_bytes(&out, data_of(&bytes), bytes.length);
        }
        cb_text_free(&bytes);
        parts->items[to++] = out;
        i = end;
    }
    parts->count = to;
}

static void metaspace(const struct cb__decode_step *step, struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        struct cb_text *token = &parts->items[i], out = {0};
        for (size_t k = 0; k < token->length;) {
            int32_t code;
            size_t bytes = cb__decode(token->data + k, &code);
            if (code != step->letter) {
                cb_text_add_bytes(&out, token->data + k, bytes);
            } else if (i > 0 || !step->strips_first) {
                cb_text_add(&out, " ");
            }
            k += bytes;
        }
        set(token, out);
    }
}

static void strip(const struct cb__decode_step *step, struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        struct cb_text *token = &parts->items[i], out = {0};
        char letter[4];
        size_t bytes = cb__encode_letter(step->letter, letter), begin = 0, end = token->length;
        for (size_t k = 0; k < step->start && end - begin >= bytes && memcmp(token->data + begin, letter, bytes) == 0; k++) {
            begin += bytes;
        }
        for (size_t k = 0; k < step->stop && end - begin >= bytes && memcmp(token->data + end - bytes, letter, bytes) == 0;
             k++) {
            end -= bytes;
        }
        cb_text_add_bytes(&out, data_of(token) + begin, end - begin);
        set(token, out);
    }
}

static void replace_pattern(const struct cb__decode_step *step, struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        struct cb_text *token = &parts->items[i], out = {0};
        size_t at = 0, begin, end;
        const char *text = data_of(token);
        for (size_t from = 0; cb__pattern_find(step->pattern, text, token->length, from, &begin, &end, &parts->failed) &&
                              end > begin; from = end) {
            cb_text_add_bytes(&out, text + at, begin - at);
            cb_text_add_bytes(&out, step->content, step->content_bytes);
            at = end;
        }
        cb_text_add_bytes(&out, text + at, token->length - at);
        set(token, out);
    }
}

static void apply(const struct cb__decode_step *step, struct parts *parts)
{
    switch (step->decode) {
    case CB__DECODE_BYTES:
        byte_level(parts);
        break;
    case CB__DECODE_WORDPIECE:
        wordpiece(step, parts);
        break;
    case CB__DECODE_METASPACE:
        metaspace(step, parts);
        break;
    case CB__DECODE_BYTE_FALLBACK:
        byte_fallback(parts);
        break;
    case CB__DECODE_FUSE:
        fuse(parts);
        break;
    case CB__DECODE_STRIP:
        strip(step, parts);
        break;
    case CB__DECODE_REPLACE:
        replace_pattern(step, parts);
        break;
    case CB__DECODE_BPE:
        for (size_t i = 0; i < parts->count; i++) {
            replace_all(&parts->items[i], step->text, i + 1 == parts->count ? "" : " ");
        }
    }
}

enum cb_status cb_tokenizer_decode(const struct cb_tokenizer *tokenizer, const uint32_t *ids, size_t count,
                                   bool leaves_special_out, struct cb_text *out, struct cb_diag *diag)
{
    struct parts parts = {.items = calloc(count + 1, sizeof(struct cb_text))};
    bool failed = parts.items == NULL;
    for (size_t i = 0; i < count && !failed; i++) {
        const struct cb__token *token = ids[i] < tokenizer->size ? &tokenizer->tokens[ids[i]] : NULL;
        if (token && token->text && !(leaves_special_out && token->is_special)) {
            cb_text_add_bytes(&parts.items[parts.count++], token->text, token->bytes);
        }
    }
    for (size_t i = 0; i < tokenizer->decode_count && !failed; i++) {
        apply(&tokenizer->decodes[i], &parts);
    }
    for (size_t i = 0; i < parts.count; i++) {
        cb_text_add(out, i > 0 && !tokenizer->has_decoder ? " " : "");
        cb_text_add_bytes(out, data_of(&parts.items[i]), parts.items[i].length);
        failed |= parts.items[i].failed;
    }
    failed |= out->failed || parts.failed;
    free_parts(&parts);
    return failed ? cb_fail(diag, CB_MEMORY, NULL, "out of memory while spelling tokens") : CB_OK;
}
