/* tokenizer.h: text to the numbers that a network's embedding takes, and back; equal to the original tokenizers.
 *
 * A tokenizer is opened from
 *   - `tokenizer.json` (Hugging Face): added tokens, normalizer, pre-tokenizer, model, post-processor, decoder;
 *   - `vocab.txt` (BERT's WordPiece), `vocab.json` with `merges.txt` beside it (byte-level BPE of GPT-2 and RoBERTa);
 *   - a GGUF file's own (`tokenizer.ggml.*`);
 *   - a folder that holds one of them: what its tokenizer_config.json and special_tokens_map.json say is honoured.
 * What a file asks for and this library does not know is an error, never something near it. docs/tokenizers.md.
 *
 * An open tokenizer never changes: any number of threads may encode and decode with it at once. Words once cut are
 * remembered, by each thread for itself. Invalid UTF-8 counts as U+FFFD, one for each part that Python's
 * `bytes.decode(errors='replace')` would replace. */
#ifndef CAMBIUM_TEXT_TOKENIZER_H
#define CAMBIUM_TEXT_TOKENIZER_H

#include "base/arena.h"

struct cb_tokenizer;

#define CB_NO_TOKEN UINT32_MAX

/* Opens the file or folder at `path`; the caller closes it. `at` (may be NULL): where it was named. NOT_FOUND where a
 * folder has no tokenizer. On failure `*out` stays. */
enum cb_status cb_tokenizer_open(const char *path, struct cb_tokenizer **out, const struct cb_place *at,
                                 struct cb_diag *diag);
void cb_tokenizer_close(struct cb_tokenizer *tokenizer); /* accepts NULL */

/* ---- encoding ------------------------------------------------------------------------------------------------------ */

/* Bytes [begin, end) of the text that a token stands for; begin = end for one that stands for none. A token that is
 * part of a letter has the whole letter. */
struct cb_token_span {
    uint32_t begin, end;
};

struct cb_encode_options {
    bool leaves_special_out; /* neither [CLS] and [SEP] nor their like; such words in the text itself stay one token */
    bool wants_spans;        /* also fill `spans`; costs time */
    size_t max_tokens;       /* with the special ones; 0: no limit. The end of the text (of the longer one) is cut off */
    const char *pair;        /* a second text, NULL: none */
    size_t pair_bytes;
};

/* Start from `= {0}`; may be used again and again, cb_tokens_free at the end. */
struct cb_tokens {
    uint32_t *ids;
    uint8_t *segments;           /* 0 for the first text, 1 for what belongs to the second (BERT's token types) */
    struct cb_token_span *spans; /* with wants_spans; into the text that the token came from */
    uint8_t *sources;            /* with wants_spans: 0 the text, 1 the pair, 2 neither: a special token */
    size_t count, capacity;
    size_t uncut_count; /* what `count` would be without max_tokens */
};
void cb_tokens_free(struct cb_tokens *tokens);

/* Replaces what `*out` holds. `options` may be NULL. Fails with MEMORY, or INVALID: a text of 1 GiB or more; a letter
 * that the vocabulary lacks while it has no unknown token; max_tokens below the number of special tokens. */
enum cb_status cb_tokenizer_encode(const struct cb_tokenizer *tokenizer, const char *text, size_t bytes,
                                   const struct cb_encode_options *options, struct cb_tokens *out,
                                   struct cb_diag *diag);

/* ---- decoding ------------------------------------------------------------------------------------------------------ */

struct cb_text;
/* Appends the text of `count` tokens to `*out`. Numbers that are no token are left out, as the originals do. */
enum cb_status cb_tokenizer_decode(const struct cb_tokenizer *tokenizer, const uint32_t *ids, size_t count,
                                   bool leaves_special_out, struct cb_text *out, struct cb_diag *diag);

/* ---- facts --------------------------------------------------------------------------------------------------------- */

/* One more than the largest id: the least number of rows of an embedding. */
uint32_t cb_tokenizer_size(const struct cb_tokenizer *tokenizer);
/* The token as the vocabulary spells it, `*out_bytes` (may be NULL) of it and a NUL; NULL for a number that is none. */
const char *cb_tokenizer_token(const struct cb_tokenizer *tokenizer, uint32_t id, size_t *out_bytes);
uint32_t cb_tokenizer_id(const struct cb_tokenizer *tokenizer, const char *token, size_t bytes); /* or CB_NO_TOKEN */
bool cb_tokenizer_is_special(const struct cb_tokenizer *tokenizer, uint32_t id);
/* Tokens that an encoding gets beside its text's. */
size_t cb_tokenizer_added_count(const struct cb_tokenizer *tokenizer, bool is_pair);

/* Special tokens by their part; CB_NO_TOKEN where the tokenizer has none. */
enum cb_special { CB_SPECIAL_UNKNOWN, CB_SPECIAL_PAD, CB_SPECIAL_CLS, CB_SPECIAL_SEP, CB_SPECIAL_MASK, CB_SPECIAL_BOS,
                  CB_SPECIAL_EOS, CB_SPECIAL_COUNT };
uint32_t cb_tokenizer_special(const struct cb_tokenizer *tokenizer, enum cb_special part);
/* "unk_token", "pad_token", ...: the key of tokenizer_config.json. */
const char *cb_special_name(enum cb_special part);

/* The most tokens that the model was made for (`model_max_length`); 0: not said. */
size_t cb_tokenizer_max_tokens(const struct cb_tokenizer *tokenizer);
/* Whether letters lose their case; for "a cased model with an uncased vocabulary". */
bool cb_tokenizer_is_uncased(const struct cb_tokenizer *tokenizer);
/* "WordPiece, 30522 tokens, uncased": for people. */
const char *cb_tokenizer_describe(const struct cb_tokenizer *tokenizer);

/* ---- keeping it ---------------------------------------------------------------------------------------------------- */

/* The files it was read from, for a run to keep: written under their names into one folder they open as the same
 * tokenizer. (That of a GGUF file as a tokenizer.json.) They live as long as the tokenizer. */
struct cb_tokenizer_file {
    const char *name; /* "tokenizer.json" */
    const char *data;
    size_t bytes;
};
size_t cb_tokenizer_file_count(const struct cb_tokenizer *tokenizer);
const struct cb_tokenizer_file *cb_tokenizer_file_at(const struct cb_tokenizer *tokenizer, size_t i); /* NULL: end */
/* SHA-256 over these files' names and bytes: the same string, the same ids. */
const char *cb_tokenizer_sha256(const struct cb_tokenizer *tokenizer);
/* Opens from such files in memory; `name` stands for their folder in messages. */
enum cb_status cb_tokenizer_open_files(const char *name, const struct cb_tokenizer_file *files, size_t count,
                                       struct cb_tokenizer **out, struct cb_diag *diag);

#endif
